/* weft connections - a node's slowest streams and busiest topics. */
#include <stdio.h>

#include "api.h"
#include "commands.h"
#include "output.h"

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

static void print_stream(const json_t *stream)
{
    struct weft_buf b;
    json_t *topic;
    size_t i;

    weft_buf_init(&b, 4096);
    weft_buf_printf(&b, "%s\t%s\t%s\tlag %lld\tunsent %lld\tstalled %lld ms\t",
                    api_text(stream, "stream"), api_text(stream, "peer"), api_text(stream, "slow"),
                    api_number(stream, "lag"), api_number(stream, "unsent_bytes"),
                    api_number(stream, "stalled_ms"));
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
                    api_text(topic, "topic"), api_number(topic, "subscribers"),
                    json_number_value(json_object_get(topic, "events_per_s")),
                    json_number_value(json_object_get(topic, "deliveries_per_s")));
    output_line(WEFT_STR(""), weft_str(b.data, b.len));
    weft_buf_fini(&b);
}

static int print_all(struct api *api, uint64_t limit)
{
    struct http_request rq = {0};
    json_t *root, *one;
    char target[64];
    size_t i;
    int code;

    (void)snprintf(target, sizeof(target), "/api/connections?sort=lag&limit=%llu",
                   (unsigned long long)limit);
    rq.target = target;
    code = api_ask(api, &rq, &root);
    if (api->json && root != NULL) {
        api_print(root);
    } else {
        json_array_foreach(json_object_get(root, "slowest"), i, one) {
            print_stream(one);
        }
        json_array_foreach(json_object_get(root, "topics"), i, one) {
            print_topic(one);
        }
    }
    json_decref(root);
    return code;
}

int connections_run(int argc, char **argv)
{
    struct api api = {.json = false};
    uint64_t limit = 20;
    int code;
    const struct arg table[] = {
        ARG_IS_NUMBER("limit", 1, 100, &limit, "at most so many of each (default: 20)"),
        ARG_IS_FLAG("json", &api.json, "the answer as the node gives it"),
        ARGS_ARE_SERVERS(&api.given),
        ARG_END,
    };

    if (!api_open(&api, table, print_help, 0, argc, argv, &code))
        return code;
    return api_close(&api, print_all(&api, limit));
}
