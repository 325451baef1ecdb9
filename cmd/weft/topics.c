/* weft topics - list the topics, page by page. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "args.h"
#include "commands.h"
#include "exits.h"
#include "http.h"
#include "output.h"

#define PAGE       1000
#define ANSWER_MAX (16u << 20)

static void print_help(const struct arg *table)
{
    puts("usage: weft topics [PREFIX] [options]\n"
         "\n"
         "Lists the topics that begin with PREFIX: the name, a tab, the sequence number of the\n"
         "last event.\n");
    args_print(table);
    puts("\nexit codes: 0 done, 1 the server refused, 2 wrong usage, 4 no server could be reached");
}

static void print_topic(const json_t *topic, bool json)
{
    if (json) {
        char *text = json_dumps(topic, JSON_COMPACT);

        if (text != NULL)
            output_line(WEFT_STR(""), weft_str(text, strlen(text)));
        free(text);
    } else {
        const json_t *name = json_object_get(topic, "topic");
        char tail[32];
        int n = snprintf(tail, sizeof(tail), "\t%lld",
                         (long long)json_integer_value(json_object_get(topic, "last_seq")));

        output_line(weft_str(json_string_value(name), json_string_length(name)),
                    weft_str(tail, (size_t)n));
    }
}

/* One page. *next: the name to go on after, replaced by the next one; NULL at the end. */
static int print_page(struct http *http, const char *prefix, bool json, char **next)
{
    struct weft_buf target, answer;
    struct http_request rq = {0};
    json_t *root = NULL, *topic;
    size_t i;
    int code;

    weft_buf_init(&target, 8192);
    weft_buf_init(&answer, ANSWER_MAX);
    weft_buf_printf(&target, "/api/topics?limit=%d", PAGE);
    if (prefix != NULL) {
        weft_buf_puts(&target, "&prefix=");
        http_encode(&target, prefix);
    }
    if (*next != NULL) {
        weft_buf_puts(&target, "&after=");
        http_encode(&target, *next);
    }
    free(*next);
    *next = NULL;

    rq.target = target.data;
    code = http_call(http, &rq, &answer);
    if (code == EXIT_DONE) {
        root = json_loadb(answer.data != NULL ? answer.data : "", answer.len, 0, NULL);
        if (!json_is_array(json_object_get(root, "topics"))) {
            args_complain("the answer is not what a weft node sends");
            code = EXIT_REFUSED;
        }
    }
    json_array_foreach(json_object_get(root, "topics"), i, topic) {
        print_topic(topic, json);
    }
    output_flush();
    if (code == EXIT_DONE && json_is_string(json_object_get(root, "next")))
        *next = strdup(json_string_value(json_object_get(root, "next")));
    json_decref(root);
    weft_buf_fini(&answer);
    weft_buf_fini(&target);
    return code;
}

int topics_run(int argc, char **argv)
{
    struct args_list words, urls = {.n = 0};
    struct servers servers;
    struct http *http;
    bool json = false;
    char *next = NULL;
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &json, "a JSON object for each topic"),
        ARG_IS_URL(&urls),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 0, 1, &words)) {
    case ARGS_HELP:
        print_help(table);
        return EXIT_DONE;
    case ARGS_BAD:
        return EXIT_USAGE;
    case ARGS_OK:
        break;
    }
    if (!servers_init(&servers, &urls))
        return EXIT_USAGE;
    http = http_create(&servers);
    if (http == NULL)
        return EXIT_REFUSED;
    do {
        code = print_page(http, words.n > 0 ? words.items[0] : NULL, json, &next);
    } while (code == EXIT_DONE && next != NULL && output_is_open());
    free(next);
    http_destroy(http);
    return code != EXIT_DONE ? code : output_exit();
}
