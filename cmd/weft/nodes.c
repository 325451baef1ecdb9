/* weft nodes - list the nodes of the cluster. */
#include <stdio.h>

#include "api.h"
#include "commands.h"
#include "output.h"

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

static void print_node(const json_t *node)
{
    const json_t *load = json_object_get(node, "load");
    char line[600];
    int n = snprintf(line, sizeof(line), "%s\t%s\t%s\t%lld\t%lld\t%.1f", api_text(node, "id"),
                     api_text(node, "address"), api_text(node, "version"),
                     api_number(load, "connections"), api_number(load, "subscribers"),
                     (double)api_number(load, "resident_bytes") / 1048576);

    if (n > 0 && (size_t)n < sizeof(line))
        output_line(WEFT_STR(""), weft_str(line, (size_t)n));
}

int nodes_run(int argc, char **argv)
{
    struct api api = {.json = false};
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &api.json, "a JSON object for each node"),
        ARGS_ARE_SERVERS(&api.given),
        ARG_END,
    };

    if (!api_open(&api, table, print_help, 0, argc, argv, &code))
        return code;
    return api_close(&api, api_list(&api, "/api/nodes", "nodes", print_node));
}
