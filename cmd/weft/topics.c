/* weft topics - list the topics, page by page. */
#include <stdio.h>

#include "api.h"
#include "commands.h"
#include "output.h"

#define PAGE 1000

static void print_help(const struct arg *table)
{
    puts("usage: weft topics [PREFIX] [options]\n"
         "\n"
         "Lists the topics that begin with PREFIX: the name, a tab, the sequence number of the\n"
         "last event.\n");
    args_print(table);
    puts("\nexit codes: 0 done, 1 the server refused, 2 wrong usage, 4 no server could be reached");
}

static void print_topic(const json_t *topic)
{
    const json_t *name = json_object_get(topic, "topic");
    char tail[32];
    int n = snprintf(tail, sizeof(tail), "\t%lld", api_number(topic, "last_seq"));

    output_line(weft_str(json_string_value(name), json_string_length(name)),
                weft_str(tail, (size_t)n));
}

static int print_all(struct api *api)
{
    struct weft_buf target;
    int code;

    weft_buf_init(&target, 8192);
    weft_buf_printf(&target, "/api/topics?limit=%d", PAGE);
    if (api->words.n > 0) {
        weft_buf_puts(&target, "&prefix=");
        http_encode(&target, api->words.items[0]);
    }
    code = api_list(api, target.data, "topics", print_topic);
    weft_buf_fini(&target);
    return code;
}

int topics_run(int argc, char **argv)
{
    struct api api = {.json = false};
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &api.json, "a JSON object for each topic"),
        ARGS_ARE_SERVERS(&api.given),
        ARG_END,
    };

    if (!api_open(&api, table, print_help, 1, argc, argv, &code))
        return code;
    return api_close(&api, print_all(&api));
}
