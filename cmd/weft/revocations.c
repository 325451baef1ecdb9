/* weft revocations - list the revoked tokens, revoke one, and end a revocation. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "exits.h"
#include "output.h"

#define PATH     "/api/revocations/"
#define LIST_MAX 10000 /* that a node lists */

#define AS_TEXT_(number) #number
#define AS_TEXT(number)  AS_TEXT_(number)

struct revocations {
    struct api api;
    uint64_t until_ms; /* 0: not given */
};

static void print_help(const struct arg *table)
{
    puts(
        "usage: weft revocations [options]               lists them: jti, until when (ms)\n"
        "       weft revocations add JTI [--until-ms MS] the token with this jti is no longer good\n"
        "       weft revocations remove JTI              it is again\n"
        "\n"
        "All nodes refuse it at once, and end the streams that were opened with it. It has to be\n"
        "remembered until the token ends by itself. Needs a token with the role operator.\n");
    args_print(table);
    puts("\nexit codes: 0 done, 1 the server refused, 2 wrong usage, 4 no server could be reached");
}

static void print_row(const json_t *one)
{
    char line[300];
    bool ends = json_is_integer(json_object_get(one, "until_ms"));
    int n = ends ? snprintf(line, sizeof(line), "%s\t%lld", api_text(one, "jti"),
                            api_number(one, "until_ms"))
                 : snprintf(line, sizeof(line), "%s\tfor ever", api_text(one, "jti"));

    if (n > 0 && (size_t)n < sizeof(line))
        output_line(WEFT_STR(""), weft_str(line, (size_t)n));
}

static int list(struct api *api)
{
    struct http_request rq = {.target = "/api/revocations?limit=" AS_TEXT(LIST_MAX)};
    json_t *root, *one;
    size_t i;
    int code = api_ask(api, &rq, &root);

    json_array_foreach(json_object_get(root, "revocations"), i, one) {
        if (api->json)
            api_print(one);
        else
            print_row(one);
    }
    if (json_array_size(json_object_get(root, "revocations")) == LIST_MAX)
        args_complain(
            "these are the first " AS_TEXT(LIST_MAX) ", by until when; there may be more");
    json_decref(root);
    return code;
}

static int add(struct revocations *r, const char *jti)
{
    char body[64] = "{}";
    int n = 2;

    if (r->until_ms != 0)
        n = snprintf(body, sizeof(body), "{\"until_ms\":%" PRIu64 "}", r->until_ms);
    return api_about(&r->api, PATH, jti, "",
                     (struct http_request){.method = "PUT",
                                           .content_type = API_JSON,
                                           .body = weft_str(body, (size_t)n)});
}

static int run(struct revocations *r)
{
    const struct args_list *words = &r->api.words;

    if (words->n == 0)
        return list(&r->api);
    if (words->n == 2 && strcmp(words->items[0], "add") == 0)
        return add(r, words->items[1]);
    if (words->n == 2 && strcmp(words->items[0], "remove") == 0)
        return api_about(&r->api, PATH, words->items[1], "",
                         (struct http_request){.method = "DELETE"});
    args_complain("see weft revocations --help");
    return EXIT_USAGE;
}

int revocations_run(int argc, char **argv)
{
    struct revocations r = {.until_ms = 0};
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &r.api.json, "JSON as the node sends it"),
        ARG_IS_NUMBER("until-ms", 1, 9007199254740991, &r.until_ms,
                      "add: until when, Unix time in ms (for ever)"),
        ARGS_ARE_SERVERS(&r.api.given),
        ARG_END,
    };

    if (!api_open(&r.api, table, print_help, 2, argc, argv, &code))
        return code;
    return api_close(&r.api, run(&r));
}
