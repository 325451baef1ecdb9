/* weft services - list services, look at one, register, start, stop, restart and remove it. */
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
        "usage: weft services [options]                    lists them\n"
        "       weft services health [options]             how they are\n"
        "       weft services NAME [options]               all about one\n"
        "       weft services metrics NAME [options]\n"
        "       weft services start|stop|restart|remove NAME\n"
        "       weft services probe NAME URL [FIELD=VALUE...]           registers a url\n"
        "       weft services run NAME [FIELD=VALUE...] PROGRAM ARG...  registers a command\n"
        "\n"
        "The list: name, state, its node, since when (ms), with tabs between. Fields: version, run_on;\n"
        "of a url interval_ms, timeout_ms, connect_timeout_ms, unhealthy_after, healthy_after; of a\n"
        "command restart (always, on_failure, never), autostart (true, false), backoff_min_ms,\n"
        "backoff_max_ms, start_ms, stop_timeout_ms. Those that are not named get their defaults.\n"
        "PROGRAM is the first word without a =; put -- before words that begin with dashes.\n");
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

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

static void print_row(const json_t *service)
{
    char line[400];
    int n = snprintf(line, sizeof(line), "%s\t%s\t%s\t%lld", text_of(service, "id"),
                     text_of(service, "state"), text_of(service, "node"),
                     (long long)json_integer_value(json_object_get(service, "since_ms")));

    if (n > 0 && (size_t)n < sizeof(line))
        output_line(WEFT_STR(""), weft_str(line, (size_t)n));
}

static void print_status(const json_t *service)
{
    char line[200];
    int n = snprintf(line, sizeof(line), "%s\t%s\t%.3f", text_of(service, "name"),
                     text_of(service, "status"),
                     json_number_value(json_object_get(service, "latency")));

    if (n > 0 && (size_t)n < sizeof(line))
        output_line(WEFT_STR(""), weft_str(line, (size_t)n));
}

/* Its members, one a line. */
static void print_one(json_t *service)
{
    const char *key;
    json_t *value;

    json_object_foreach(service, key, value) {
        char head[100];
        char *text = json_is_string(value) ? strdup(json_string_value(value))
                                           : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        (void)snprintf(head, sizeof(head), "%s\t", key);
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

/* A page of the list; *after: the name to go on behind, replaced by the next one; NULL at the end. */
static int list_page(struct http *http, bool json, char **after)
{
    struct http_request rq = {0};
    struct weft_buf target;
    json_t *root, *service;
    size_t i;
    int code;

    weft_buf_init(&target, 8192);
    weft_buf_puts(&target, "/api/services");
    if (*after != NULL) {
        weft_buf_puts(&target, "?after=");
        http_encode(&target, *after);
    }
    rq.target = target.data;
    code = ask(http, &rq, &root);
    json_array_foreach(json_object_get(root, "services"), i, service) {
        if (json)
            print_json(service);
        else
            print_row(service);
    }
    output_flush();
    free(*after);
    *after = NULL;
    if (code == EXIT_DONE && json_is_string(json_object_get(root, "next")))
        *after = strdup(json_string_value(json_object_get(root, "next")));
    json_decref(root);
    weft_buf_fini(&target);
    return code;
}

static int list(struct http *http, bool json)
{
    char *after = NULL;
    int code;

    do {
        code = list_page(http, json, &after);
    } while (code == EXIT_DONE && after != NULL && output_is_open());
    free(after);
    return code;
}

static int health(struct http *http, bool json)
{
    struct http_request rq = {.target = "/api/services/health"};
    json_t *root, *service;
    size_t i;
    int code = ask(http, &rq, &root);

    if (json && root != NULL)
        print_json(root);
    json_array_foreach(json_object_get(root, "services"), i, service) {
        if (!json)
            print_status(service);
    }
    json_decref(root);
    return code;
}

/* One request about one service; what comes back is printed. */
static int about(struct http *http, const char *name, const char *what, struct http_request rq,
                 bool json)
{
    struct weft_buf target;
    json_t *root;
    int code;

    weft_buf_init(&target, 8192);
    weft_buf_puts(&target, "/api/services/");
    http_encode(&target, name);
    weft_buf_puts(&target, what);
    rq.target = target.data;
    code = ask(http, &rq, &root);
    if (root != NULL && json)
        print_json(root);
    else if (root != NULL)
        print_one(root);
    json_decref(root);
    weft_buf_fini(&target);
    return code;
}

/* FIELD=VALUE into root: a number or a truth if it looks like one; the node checks what is in it. */
static bool add_field(json_t *root, const char *word)
{
    const char *equals = strchr(word, '=');
    char name[64];
    json_t *value;

    if (equals == NULL || equals == word || (size_t)(equals - word) >= sizeof(name)) {
        args_complain("'%s' is not FIELD=VALUE", word);
        return false;
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)(equals - word), word);
    value = strcmp(name, "version") == 0 || strcmp(name, "run_on") == 0
                ? NULL
                : json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    if (value == NULL)
        value = json_string(equals + 1);
    return json_object_set_new(root, name, value) == 0;
}

static int put(struct http *http, const char *name, json_t *root, bool json)
{
    char *text = json_dumps(root, JSON_COMPACT);
    int code = EXIT_REFUSED;

    if (text != NULL) {
        struct http_request rq = {
            .method = "PUT", .content_type = JSON_TYPE, .body = weft_str(text, strlen(text))};

        code = about(http, name, "", rq, json);
    }
    free(text);
    return code;
}

/* words: behind the name. */
static int put_words(struct http *http, const char *name, bool is_url, const char *const *words,
                     size_t n, bool json)
{
    json_t *root = json_pack("{s:s}", "kind", is_url ? "url" : "command");
    json_t *command = json_array();
    bool good = root != NULL && command != NULL;
    size_t i = 0;
    int code = EXIT_USAGE;

    if (is_url && n > 0)
        good = good && json_object_set_new(root, "url", json_string(words[i++])) == 0;
    while (good && i < n && (is_url || strchr(words[i], '=') != NULL))
        good = add_field(root, words[i++]);
    for (; good && i < n; i++)
        good = json_array_append_new(command, json_string(words[i])) == 0;
    if (good && !is_url)
        good = json_object_set(root, "command", command) == 0;
    if (good)
        code = put(http, name, root, json);
    json_decref(command);
    json_decref(root);
    return code;
}

static int run(struct http *http, const char *const *words, size_t n, bool json)
{
    static const struct {
        const char *verb, *method, *what;
    } verbs[] = {
        {"metrics", NULL, "/metrics"},   {"start", "POST", "/start"}, {"stop", "POST", "/stop"},
        {"restart", "POST", "/restart"}, {"remove", "DELETE", ""},
    };

    if (n == 0)
        return list(http, json);
    if (n == 1)
        return strcmp(words[0], "health") == 0
                   ? health(http, json)
                   : about(http, words[0], "", (struct http_request){0}, json);
    for (size_t i = 0; n == 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(words[0], verbs[i].verb) == 0)
            return about(http, words[1], verbs[i].what,
                         (struct http_request){.method = verbs[i].method}, json);
    }
    if (n > 2 && (strcmp(words[0], "probe") == 0 || strcmp(words[0], "run") == 0))
        return put_words(http, words[1], words[0][0] == 'p', words + 2, n - 2, json);
    args_complain("that is no way to use it (see weft help services)");
    return EXIT_USAGE;
}

int services_run(int argc, char **argv)
{
    struct args_list words, urls = {.n = 0};
    struct servers servers;
    struct http *http;
    bool json = false;
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &json, "JSON instead of lines"),
        ARG_IS_URL(&urls),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 0, ARGS_LIST_MAX, &words)) {
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
    code = run(http, words.items, words.n, json);
    output_flush();
    http_destroy(http);
    return code != EXIT_DONE ? code : output_exit();
}
