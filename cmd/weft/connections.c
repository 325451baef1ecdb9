/* weft connections - a node's slowest streams and busiest topics. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "args.h"
#include "commands.h"
#include "exits.h"
#include "http.h"
#include "output.h"

#define ANSWER_MAX (16u << 20)

static void print_help(const struct arg *table)
{
    puts("usage: weft connections [options]\n"
         "\n"
         "Lists the slowest streams of one node: name, peer, policy, how many events it lies\n"
         "behind (by seq), bytes unsent, for how long it has taken none, its first topics; then\n"
         "its busiest topics: name, subscribers, events and deliveries each second.\n");
    args_print(table);
    puts("\nexit codes: 0 done, 1 the server refused, 2 wrong usage, 4 no server could be reached");
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_stream(const json_t *stream)
{
    struct weft_buf b;
    json_t *topic;
    size_t i;

    weft_buf_init(&b, 4096);
    weft_buf_printf(&b, "%s\t%s\t%s\tlag %lld\tunsent %lld\tstalled %lld ms\t",
                    text_of(stream, "stream"), text_of(stream, "peer"), text_of(stream, "slow"),
                    number_of(stream, "lag"), number_of(stream, "unsent_bytes"),
                    number_of(stream, "stalled_ms"));
    json_array_foreach(json_object_get(stream, "topics"), i, topic) {
        weft_buf_printf(&b, "%s%s", i > 0 ? " " : "", json_string_value(topic));
    }
    output_line(WEFT_STR(""), weft_str(b.data, b.len));
    weft_buf_fini(&b);
}

static void print_topic(const json_t *topic)
{
    struct weft_buf b;

    weft_buf_init(&b, 1024);
    weft_buf_printf(&b, "topic %s\t%lld subscribers\t%.1f events/s\t%.1f deliveries/s",
                    text_of(topic, "topic"), number_of(topic, "subscribers"),
                    json_number_value(json_object_get(topic, "events_per_s")),
                    json_number_value(json_object_get(topic, "deliveries_per_s")));
    output_line(WEFT_STR(""), weft_str(b.data, b.len));
    weft_buf_fini(&b);
}

static int print_answer(const struct weft_buf *answer, bool json)
{
    json_t *root = json_loadb(answer->data != NULL ? answer->data : "", answer->len, 0, NULL);
    json_t *one;
    size_t i;

    if (!json_is_array(json_object_get(root, "slowest"))) {
        args_complain("the answer is not what a weft node sends");
        json_decref(root);
        return EXIT_REFUSED;
    }
    if (json) {
        output_line(WEFT_STR(""), weft_str(answer->data, answer->len));
    } else {
        json_array_foreach(json_object_get(root, "slowest"), i, one) {
            print_stream(one);
        }
        json_array_foreach(json_object_get(root, "topics"), i, one) {
            print_topic(one);
        }
    }
    json_decref(root);
    output_flush();
    return EXIT_DONE;
}

int connections_run(int argc, char **argv)
{
    struct args_list words, urls = {.n = 0};
    struct servers servers;
    struct http *http;
    struct http_request rq = {0};
    struct weft_buf answer;
    char target[64];
    bool json = false;
    uint64_t limit = 20;
    int code;
    const struct arg table[] = {
        ARG_IS_NUMBER("limit", 1, 100, &limit, "at most so many of each (default: 20)"),
        ARG_IS_FLAG("json", &json, "the answer as the node gives it"),
        ARG_IS_URL(&urls),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 0, 0, &words)) {
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
    (void)snprintf(target, sizeof(target), "/api/connections?sort=lag&limit=%llu",
                   (unsigned long long)limit);
    rq.target = target;
    weft_buf_init(&answer, ANSWER_MAX);
    code = http_call(http, &rq, &answer);
    if (code == EXIT_DONE)
        code = print_answer(&answer, json);
    weft_buf_fini(&answer);
    http_destroy(http);
    return code != EXIT_DONE ? code : output_exit();
}
