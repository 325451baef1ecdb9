/* weft limits - list, set, delete token buckets, and take from them. */
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

struct limits {
    struct http *http;
    bool json, leased, dry_run;
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

static void print_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    if (text != NULL)
        output_line(WEFT_STR(""), weft_str(text, strlen(text)));
    free(text);
}

static long long number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value == NULL ? "" : value;
}

static void print_bucket(const json_t *bucket, bool json)
{
    const char *name = text(bucket, "bucket");
    char tail[160];
    int n;

    if (json) {
        print_json(bucket);
        return;
    }
    n = snprintf(tail, sizeof(tail), "\t%lld\t%lld\t%.10g\t%s%s\t%s\t%lld",
                 number(bucket, "remaining"), number(bucket, "capacity"),
                 json_number_value(json_object_get(bucket, "refill_per_s")), text(bucket, "mode"),
                 json_is_true(json_object_get(bucket, "dry_run")) ? ",dry-run" : "",
                 text(bucket, "without_redis"), number(bucket, "would_refuse"));
    output_line(weft_str(name, strlen(name)), weft_str(tail, (size_t)n));
}

/* Yours, or NULL; *ret_code says how it went. */
static json_t *call(struct limits *l, const struct http_request *rq, int *ret_code)
{
    struct weft_buf answer;
    json_t *root = NULL;

    weft_buf_init(&answer, ANSWER_MAX);
    *ret_code = http_call(l->http, rq, &answer);
    if (*ret_code == EXIT_DONE && answer.len > 0) {
        root = json_loadb(answer.data, answer.len, 0, NULL);
        if (!json_is_object(root)) {
            args_complain("the answer is not what a weft node sends");
            *ret_code = EXIT_REFUSED;
        }
    }
    weft_buf_fini(&answer);
    return root;
}

static int list(struct limits *l)
{
    struct http_request rq = {0};
    char *after = NULL;
    int code;

    do {
        struct weft_buf target;
        json_t *root, *bucket;
        size_t i;

        weft_buf_init(&target, 8192);
        weft_buf_printf(&target, "/api/limits?limit=%d", PAGE);
        if (after != NULL) {
            weft_buf_puts(&target, "&after=");
            http_encode(&target, after);
        }
        free(after);
        after = NULL;
        rq.target = target.data;
        root = call(l, &rq, &code);
        json_array_foreach(json_object_get(root, "buckets"), i, bucket) {
            print_bucket(bucket, l->json);
        }
        output_flush();
        if (json_is_string(json_object_get(root, "next")))
            after = strdup(text(root, "next"));
        json_decref(root);
        weft_buf_fini(&target);
    } while (code == EXIT_DONE && after != NULL && output_is_open());
    free(after);
    return code;
}

static bool is_number(const char *s)
{
    char *end;

    (void)strtod(s, &end);
    return end != s && *end == '\0' && strspn(s, "0123456789.") == strlen(s);
}

static int set(struct limits *l, const char *bucket, const char *capacity, const char *refill)
{
    struct http_request rq = {.method = "PUT", .content_type = "application/json"};
    struct weft_buf target, body;
    json_t *root;
    int code;

    if (!is_number(capacity) || !is_number(refill)) {
        args_complain("CAPACITY and REFILL_PER_S are numbers");
        return EXIT_USAGE;
    }
    weft_buf_init(&target, 8192);
    weft_buf_init(&body, 1024);
    weft_buf_puts(&target, "/api/limits/");
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
    root = call(l, &rq, &code);
    if (root != NULL)
        print_bucket(root, l->json);
    json_decref(root);
    weft_buf_fini(&body);
    weft_buf_fini(&target);
    return code;
}

static int take(struct limits *l, const char *bucket)
{
    struct http_request rq = {.method = "POST", .content_type = "application/json"};
    struct weft_buf target;
    char body[64], line[160];
    json_t *root;
    int code, n;

    weft_buf_init(&target, 8192);
    weft_buf_puts(&target, "/api/limits/");
    http_encode(&target, bucket);
    weft_buf_puts(&target, "/take");
    n = snprintf(body, sizeof(body), "{\"tokens\":%llu}", (unsigned long long)l->tokens);
    rq.target = target.data;
    rq.body = weft_str(body, (size_t)n);
    root = call(l, &rq, &code);
    if (root != NULL) {
        bool allowed = json_is_true(json_object_get(root, "allowed"));

        if (l->json) {
            print_json(root);
        } else {
            n = snprintf(line, sizeof(line), "%s\t%lld left\tagain in %lld ms\tby %s",
                         allowed ? "allowed" : "refused", number(root, "remaining"),
                         number(root, "retry_after_ms"), text(root, "by"));
            output_line(weft_str(line, (size_t)n), WEFT_STR(""));
        }
        code = allowed ? EXIT_DONE : EXIT_REFUSED;
    }
    json_decref(root);
    weft_buf_fini(&target);
    return code;
}

static int delete_bucket(struct limits *l, const char *bucket)
{
    struct http_request rq = {.method = "DELETE"};
    struct weft_buf target;
    int code;

    weft_buf_init(&target, 8192);
    weft_buf_puts(&target, "/api/limits/");
    http_encode(&target, bucket);
    rq.target = target.data;
    json_decref(call(l, &rq, &code));
    weft_buf_fini(&target);
    return code;
}

static int run(struct limits *l, const struct args_list *words)
{
    const char *what = words->n > 0 ? words->items[0] : "list";

    if (strcmp(what, "list") == 0 && words->n <= 1)
        return list(l);
    if (strcmp(what, "set") == 0 && words->n == 4)
        return set(l, words->items[1], words->items[2], words->items[3]);
    if (strcmp(what, "take") == 0 && words->n == 2)
        return take(l, words->items[1]);
    if (strcmp(what, "delete") == 0 && words->n == 2)
        return delete_bucket(l, words->items[1]);
    args_complain("see weft limits --help");
    return EXIT_USAGE;
}

int limits_run(int argc, char **argv)
{
    struct args_list words, urls = {.n = 0};
    struct servers servers;
    struct limits l = {.tokens = 1};
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &l.json, "JSON as the node sends it"),
        ARG_IS_FLAG("leased", &l.leased, "set: nodes may have some tokens at hand"),
        ARG_IS_FLAG("dry-run", &l.dry_run, "set: refuse nothing, only count"),
        ARG_IS_STRING("without-redis", "WHAT", &l.without,
                      "set: open (default), closed or local, while Redis is away"),
        ARG_IS_NUMBER("tokens", 1, 1000000000, &l.tokens, "take: how many (1)"),
        ARG_IS_URL(&urls),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 0, 4, &words)) {
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
    l.http = http_create(&servers);
    if (l.http == NULL)
        return EXIT_REFUSED;
    code = run(&l, &words);
    http_destroy(l.http);
    output_flush();
    return code != EXIT_DONE ? code : output_exit();
}
