/* weft limits - list, set, delete token buckets, and take from them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "exits.h"
#include "output.h"

#define PATH "/api/limits/"

struct limits {
    struct api api;
    bool leased, dry_run;
    uint64_t tokens;
    const char *without;
};

static void print_help(const struct arg *table)
{
    puts(
        "usage: weft limits [options]\n"
        "       weft limits set BUCKET CAPACITY REFILL_PER_S [options]\n"
        "       weft limits take BUCKET [options]\n"
        "       weft limits delete BUCKET\n"
        "\n"
        "Without a word lists the token buckets: name, tokens left, capacity, refill per second, mode,\n"
        "what is done without Redis, and what a dry run let pass.\n");
    args_print(table);
    puts("\nexit codes: 0 done, 1 the server refused, or the bucket did, 2 wrong usage,\n"
         "            4 no server could be reached");
}

static void print_bucket(const json_t *bucket)
{
    const char *name = api_text(bucket, "bucket");
    char tail[160];
    int n;

    n = snprintf(tail, sizeof(tail), "\t%lld\t%lld\t%.10g\t%s%s\t%s\t%lld",
                 api_number(bucket, "remaining"), api_number(bucket, "capacity"),
                 json_number_value(json_object_get(bucket, "refill_per_s")),
                 api_text(bucket, "mode"),
                 json_is_true(json_object_get(bucket, "dry_run")) ? ",dry-run" : "",
                 api_text(bucket, "without_redis"), api_number(bucket, "would_refuse"));
    output_line(weft_str(name, strlen(name)), weft_str(tail, (size_t)n));
}

static bool is_number(const char *s)
{
    char *end;

    (void)strtod(s, &end);
    return end != s && *end == '\0' && strspn(s, "0123456789.") == strlen(s);
}

static int set(struct limits *l, const char *bucket, const char *capacity, const char *refill)
{
    struct http_request rq = {.method = "PUT", .content_type = API_JSON};
    struct weft_buf target, body;
    json_t *root;
    int code;

    if (!is_number(capacity) || !is_number(refill)) {
        args_complain("CAPACITY and REFILL_PER_S are numbers");
        return EXIT_USAGE;
    }
    weft_buf_init(&target, 8192);
    weft_buf_init(&body, 1024);
    weft_buf_puts(&target, PATH);
    http_encode(&target, bucket);
    weft_buf_printf(&body, "{\"capacity\":%s,\"refill_per_s\":%s,\"mode\":\"%s\",\"dry_run\":%s",
                    capacity, refill, l->leased ? "leased" : "exact",
                    l->dry_run ? "true" : "false");
    if (l->without != NULL) {
        weft_buf_puts(&body, ",\"without_redis\":");
        weft_buf_json(&body, weft_str(l->without, strlen(l->without)));
    }
    weft_buf_puts(&body, "}");
    rq.target = target.data;
    rq.body = weft_str(body.data, body.len);
    code = api_ask(&l->api, &rq, &root);
    if (root != NULL)
        l->api.json ? api_print(root) : print_bucket(root);
    json_decref(root);
    weft_buf_fini(&body);
    weft_buf_fini(&target);
    return code;
}

static int take(struct limits *l, const char *bucket)
{
    struct http_request rq = {.method = "POST", .content_type = API_JSON};
    struct weft_buf target;
    char body[64], line[160];
    json_t *root;
    int code, n;

    weft_buf_init(&target, 8192);
    weft_buf_puts(&target, PATH);
    http_encode(&target, bucket);
    weft_buf_puts(&target, "/take");
    n = snprintf(body, sizeof(body), "{\"tokens\":%llu}", (unsigned long long)l->tokens);
    rq.target = target.data;
    rq.body = weft_str(body, (size_t)n);
    code = api_ask(&l->api, &rq, &root);
    if (root != NULL) {
        bool allowed = json_is_true(json_object_get(root, "allowed"));

        if (l->api.json) {
            api_print(root);
        } else {
            n = snprintf(line, sizeof(line), "%s\t%lld left\tagain in %lld ms\tby %s",
                         allowed ? "allowed" : "refused", api_number(root, "remaining"),
                         api_number(root, "retry_after_ms"), api_text(root, "by"));
            output_line(weft_str(line, (size_t)n), WEFT_STR(""));
        }
        code = allowed ? EXIT_DONE : EXIT_REFUSED;
    }
    json_decref(root);
    weft_buf_fini(&target);
    return code;
}

static int run(struct limits *l)
{
    const struct args_list *words = &l->api.words;
    const char *what = words->n > 0 ? words->items[0] : "list";

    if (strcmp(what, "list") == 0 && words->n <= 1)
        return api_list(&l->api, "/api/limits?limit=1000", "buckets", print_bucket);
    if (strcmp(what, "set") == 0 && words->n == 4)
        return set(l, words->items[1], words->items[2], words->items[3]);
    if (strcmp(what, "take") == 0 && words->n == 2)
        return take(l, words->items[1]);
    if (strcmp(what, "delete") == 0 && words->n == 2)
        return api_about(&l->api, PATH, words->items[1], "",
                         (struct http_request){.method = "DELETE"});
    args_complain("see weft limits --help");
    return EXIT_USAGE;
}

int limits_run(int argc, char **argv)
{
    struct limits l = {.tokens = 1};
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &l.api.json, "JSON as the node sends it"),
        ARG_IS_FLAG("leased", &l.leased, "set: nodes may have some tokens at hand"),
        ARG_IS_FLAG("dry-run", &l.dry_run, "set: refuse nothing, only count"),
        ARG_IS_STRING("without-redis", "WHAT", &l.without,
                      "set: open (default), closed or local, while Redis is away"),
        ARG_IS_NUMBER("tokens", 1, 1000000000, &l.tokens, "take: how many (1)"),
        ARGS_ARE_SERVERS(&l.api.given),
        ARG_END,
    };

    if (!api_open(&l.api, table, print_help, 4, argc, argv, &code))
        return code;
    return api_close(&l.api, run(&l));
}
