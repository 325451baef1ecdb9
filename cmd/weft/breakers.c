/* weft breakers - list circuit breakers, look at one, configure, force and remove it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "args.h"
#include "commands.h"
#include "exits.h"
#include "http.h"
#include "output.h"

#define ANSWER_MAX (64u << 20)
#define JSON_TYPE  "application/json"

static void print_help(const struct arg *table)
{
    puts(
        "usage: weft breakers [options]                       lists them\n"
        "       weft breakers NAME [options]                  all about one\n"
        "       weft breakers set NAME [FIELD=VALUE...]       makes or configures it; fields that\n"
        "                                                     are not named get their defaults\n"
        "       weft breakers force NAME open|closed|disabled|auto\n"
        "       weft breakers remove NAME\n"
        "\n"
        "The list: name, state, since when (ms), and in how many ms it may be tried again if it is\n"
        "open, with tabs between. Fields: mode (count, rate), failure_threshold, failure_rate (per cent),\n"
        "min_calls, success_threshold, timeout_ms, time_window_ms, half_open_permits, permit_ms,\n"
        "quorum, without_redis (open, closed, local).\n");
    args_print(table);
    puts("\nexit codes: 0 done, 1 the server refused, 2 wrong usage, 4 no server could be reached");
}

static void print_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    if (text != NULL)
        output_line(WEFT_STR(""), weft_str(text, strlen(text)));
    free(text);
}

static void print_row(const json_t *breaker)
{
    char line[400];
    int n = snprintf(line, sizeof(line), "%s\t%s\t%lld\t%lld",
                     json_string_value(json_object_get(breaker, "name")),
                     json_string_value(json_object_get(breaker, "state")),
                     (long long)json_integer_value(json_object_get(breaker, "since_ms")),
                     (long long)json_integer_value(json_object_get(breaker, "retry_after_ms")));

    if (n > 0 && (size_t)n < sizeof(line))
        output_line(WEFT_STR(""), weft_str(line, (size_t)n));
}

/* Its members, one a line. */
static void print_one(const json_t *breaker, const char *prefix)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)breaker, key, value) {
        char head[100];
        char *text;

        if (json_is_object(value)) {
            print_one(value, key);
            continue;
        }
        (void)snprintf(head, sizeof(head), "%s%s%s\t", prefix, prefix[0] != '\0' ? "." : "", key);
        text = json_is_string(value) ? strdup(json_string_value(value))
                                     : json_dumps(value, JSON_ENCODE_ANY);
        if (text != NULL)
            output_line(weft_str(head, strlen(head)), weft_str(text, strlen(text)));
        free(text);
    }
}

/* Asks and parses the answer; *ret_root NULL if it has no body. */
static int ask(struct http *http, const struct http_request *rq, json_t **ret_root)
{
    struct weft_buf answer;
    int code;

    *ret_root = NULL;
    weft_buf_init(&answer, ANSWER_MAX);
    code = http_call(http, rq, &answer);
    if (code == EXIT_DONE && answer.len > 0) {
        *ret_root = json_loadb(answer.data, answer.len, 0, NULL);
        if (!json_is_object(*ret_root)) {
            args_complain("the answer is not what a weft node sends");
            code = EXIT_REFUSED;
        }
    }
    weft_buf_fini(&answer);
    return code;
}

static int list(struct http *http, bool json)
{
    struct http_request rq = {.target = "/api/breakers"};
    json_t *root, *breaker;
    size_t i;
    int code = ask(http, &rq, &root);

    json_array_foreach(json_object_get(root, "breakers"), i, breaker) {
        if (json)
            print_json(breaker);
        else
            print_row(breaker);
    }
    if (code == EXIT_DONE && json_is_false(json_object_get(root, "redis")))
        args_complain("Redis is away: this is what the node knew last");
    json_decref(root);
    return code;
}

/* One request about one breaker; what comes back is printed. */
static int about(struct http *http, const char *name, const char *what, struct http_request rq,
                 bool json)
{
    struct weft_buf target;
    json_t *root;
    int code;

    weft_buf_init(&target, 8192);
    weft_buf_puts(&target, "/api/breakers/");
    http_encode(&target, name);
    weft_buf_puts(&target, what);
    rq.target = target.data;
    code = ask(http, &rq, &root);
    if (root != NULL && json)
        print_json(root);
    else if (root != NULL)
        print_one(root, "");
    json_decref(root);
    weft_buf_fini(&target);
    return code;
}

/* FIELD=VALUE words as a JSON object; the node checks what is in it. NULL: said on stderr. */
static char *fields_of(const char *const *words, size_t n)
{
    json_t *root = json_object();
    char *text;

    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(words[i], '=');
        char *end = NULL;
        long long number;
        char key[64];

        if (equals == NULL || equals == words[i] || (size_t)(equals - words[i]) >= sizeof(key)) {
            args_complain("'%s' is not FIELD=VALUE", words[i]);
            json_decref(root);
            return NULL;
        }
        memcpy(key, words[i], (size_t)(equals - words[i]));
        key[equals - words[i]] = '\0';
        number = strtoll(equals + 1, &end, 10);
        if (json_object_set_new(root, key,
                                *end == '\0' && end != equals + 1 ? json_integer(number)
                                                                  : json_string(equals + 1)) != 0) {
            args_complain("'%s' is not UTF-8", words[i]);
            json_decref(root);
            return NULL;
        }
    }
    text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

static int set(struct http *http, const struct args_list *words, bool json)
{
    char *body = fields_of(words->items + 2, words->n - 2);
    int code = EXIT_USAGE;

    if (body != NULL)
        code = about(http, words->items[1], "",
                     (struct http_request){.method = "PUT",
                                           .content_type = JSON_TYPE,
                                           .body = weft_str(body, strlen(body))},
                     json);
    free(body);
    return code;
}

static int force(struct http *http, const struct args_list *words, bool json)
{
    json_t *root = json_pack("{s:s}", "state", words->items[2]);
    char *body = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    int code = EXIT_USAGE;

    if (body == NULL)
        args_complain("'%s' is not UTF-8", words->items[2]);
    else
        code = about(http, words->items[1], "/force",
                     (struct http_request){.method = "POST",
                                           .content_type = JSON_TYPE,
                                           .body = weft_str(body, strlen(body))},
                     json);
    free(body);
    json_decref(root);
    return code;
}

/* By the first word and the number of words. -1: there is no such form. */
static int dispatch(struct http *http, const struct args_list *words, bool json)
{
    const char *verb = words->n > 0 ? words->items[0] : "";

    if (words->n == 0)
        return list(http, json);
    if (words->n == 1)
        return about(http, verb, "", (struct http_request){0}, json);
    if (strcmp(verb, "set") == 0)
        return set(http, words, json);
    if (strcmp(verb, "force") == 0 && words->n == 3)
        return force(http, words, json);
    if (strcmp(verb, "remove") == 0 && words->n == 2)
        return about(http, words->items[1], "", (struct http_request){.method = "DELETE"}, json);
    args_complain("set NAME, force NAME STATE or remove NAME (see weft help breakers)");
    return EXIT_USAGE;
}

int breakers_run(int argc, char **argv)
{
    struct args_list words, urls = {.n = 0};
    struct servers servers;
    struct http *http;
    bool json = false;
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &json, "a JSON object for each breaker"),
        ARG_IS_URL(&urls),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 0, 20, &words)) {
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
    code = dispatch(http, &words, json);
    output_flush();
    http_destroy(http);
    return code != EXIT_DONE ? code : output_exit();
}
