/* weft services - list services, look at one, register, start, stop, restart and remove it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "exits.h"
#include "output.h"

#define PATH "/api/services/"

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

static void print_row(const json_t *service)
{
    char line[400];
    int n = snprintf(line, sizeof(line), "%s\t%s\t%s\t%lld", api_text(service, "id"),
                     api_text(service, "state"), api_text(service, "node"),
                     api_number(service, "since_ms"));

    if (n > 0 && (size_t)n < sizeof(line))
        output_line(WEFT_STR(""), weft_str(line, (size_t)n));
}

static void print_status(const json_t *service)
{
    char line[200];
    int n = snprintf(line, sizeof(line), "%s\t%s\t%.3f", api_text(service, "name"),
                     api_text(service, "status"),
                     json_number_value(json_object_get(service, "latency")));

    if (n > 0 && (size_t)n < sizeof(line))
        output_line(WEFT_STR(""), weft_str(line, (size_t)n));
}

static int health(struct api *api)
{
    struct http_request rq = {.target = "/api/services/health"};
    json_t *root, *service;
    size_t i;
    int code = api_ask(api, &rq, &root);

    if (api->json && root != NULL)
        api_print(root);
    json_array_foreach(json_object_get(root, "services"), i, service) {
        if (!api->json)
            print_status(service);
    }
    json_decref(root);
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

static int put(struct api *api, const char *name, json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);
    int code = EXIT_REFUSED;

    if (text != NULL) {
        struct http_request rq = {
            .method = "PUT", .content_type = API_JSON, .body = weft_str(text, strlen(text))};

        code = api_about(api, PATH, name, "", rq);
    }
    free(text);
    return code;
}

/* words: behind the name. */
static int put_words(struct api *api, const char *name, bool is_url, const char *const *words,
                     size_t n)
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
        code = put(api, name, root);
    json_decref(command);
    json_decref(root);
    return code;
}

static int run(struct api *api)
{
    const char *const *words = api->words.items;
    size_t n = api->words.n;
    static const struct {
        const char *verb, *method, *what;
    } verbs[] = {
        {"metrics", NULL, "/metrics"},   {"start", "POST", "/start"}, {"stop", "POST", "/stop"},
        {"restart", "POST", "/restart"}, {"remove", "DELETE", ""},
    };

    if (n == 0)
        return api_list(api, "/api/services", "services", print_row);
    if (n == 1)
        return strcmp(words[0], "health") == 0
                   ? health(api)
                   : api_about(api, PATH, words[0], "", (struct http_request){0});
    for (size_t i = 0; n == 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(words[0], verbs[i].verb) == 0)
            return api_about(api, PATH, words[1], verbs[i].what,
                             (struct http_request){.method = verbs[i].method});
    }
    if (n > 2 && (strcmp(words[0], "probe") == 0 || strcmp(words[0], "run") == 0))
        return put_words(api, words[1], words[0][0] == 'p', words + 2, n - 2);
    args_complain("that is no way to use it (see weft help services)");
    return EXIT_USAGE;
}

int services_run(int argc, char **argv)
{
    struct api api = {.json = false};
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &api.json, "JSON instead of lines"),
        ARGS_ARE_SERVERS(&api.given),
        ARG_END,
    };

    if (!api_open(&api, table, print_help, ARGS_LIST_MAX, argc, argv, &code))
        return code;
    return api_close(&api, run(&api));
}
