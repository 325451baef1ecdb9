/* weft nodes - list the nodes of the cluster. */
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
    puts(
        "usage: weft nodes [options]\n"
        "\n"
        "Lists the nodes that are there: id, address, version, connections, subscribers, memory in\n"
        "MiB, with tabs between.\n");
    args_print(table);
    puts("\nexit codes: 0 done, 1 the server refused, 2 wrong usage, 4 no server could be reached");
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

static void print_node(const json_t *node, bool json)
{
    const json_t *load = json_object_get(node, "load");
    char *text = json ? json_dumps(node, JSON_COMPACT) : NULL;
    char line[600];
    int n;

    if (json) {
        if (text != NULL)
            output_line(WEFT_STR(""), weft_str(text, strlen(text)));
        free(text);
        return;
    }
    n = snprintf(line, sizeof(line), "%s\t%s\t%s\t%lld\t%lld\t%.1f", text_of(node, "id"),
                 text_of(node, "address"), text_of(node, "version"),
                 (long long)json_integer_value(json_object_get(load, "connections")),
                 (long long)json_integer_value(json_object_get(load, "subscribers")),
                 (double)json_integer_value(json_object_get(load, "resident_bytes")) / 1048576);
    if (n > 0 && (size_t)n < sizeof(line))
        output_line(WEFT_STR(""), weft_str(line, (size_t)n));
}

static int print_all(struct http *http, bool json)
{
    struct http_request rq = {.target = "/api/nodes"};
    struct weft_buf answer;
    json_t *root = NULL, *node;
    size_t i;
    int code;

    weft_buf_init(&answer, ANSWER_MAX);
    code = http_call(http, &rq, &answer);
    if (code == EXIT_DONE) {
        root = json_loadb(answer.data != NULL ? answer.data : "", answer.len, 0, NULL);
        if (!json_is_array(json_object_get(root, "nodes"))) {
            args_complain("the answer is not what a weft node sends");
            code = EXIT_REFUSED;
        }
    }
    json_array_foreach(json_object_get(root, "nodes"), i, node) {
        print_node(node, json);
    }
    output_flush();
    json_decref(root);
    weft_buf_fini(&answer);
    return code;
}

int nodes_run(int argc, char **argv)
{
    struct args_list words, urls = {.n = 0};
    struct servers servers;
    struct http *http;
    bool json = false;
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &json, "a JSON object for each node"),
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
    code = print_all(http, json);
    http_destroy(http);
    return code != EXIT_DONE ? code : output_exit();
}
