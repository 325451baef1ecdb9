/* weft breakers - list circuit breakers, look at one, configure, force and remove it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "exits.h"
#include "output.h"

#define PATH "/api/breakers/"

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

static void print_row(const json_t *breaker)
{
    char line[400];
    int n = snprintf(line, sizeof(line), "%s\t%s\t%lld\t%lld", api_text(breaker, "name"),
                     api_text(breaker, "state"), api_number(breaker, "since_ms"),
                     api_number(breaker, "retry_after_ms"));

    if (n > 0 && (size_t)n < sizeof(line))
        output_line(WEFT_STR(""), weft_str(line, (size_t)n));
}

static int list(struct api *api)
{
    struct http_request rq = {.target = "/api/breakers"};
    json_t *root, *breaker;
    size_t i;
    int code = api_ask(api, &rq, &root);

    json_array_foreach(json_object_get(root, "breakers"), i, breaker) {
        if (api->json)
            api_print(breaker);
        else
            print_row(breaker);
    }
    if (code == EXIT_DONE && json_is_false(json_object_get(root, "redis")))
        args_complain("Redis is away: this is what the node knew last");
    json_decref(root);
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

static int set(struct api *api)
{
    char *body = fields_of(api->words.items + 2, api->words.n - 2);
    int code = EXIT_USAGE;

    if (body != NULL)
        code = api_about(api, PATH, api->words.items[1], "",
                         (struct http_request){.method = "PUT",
                                               .content_type = API_JSON,
                                               .body = weft_str(body, strlen(body))});
    free(body);
    return code;
}

static int force(struct api *api)
{
    json_t *root = json_pack("{s:s}", "state", api->words.items[2]);
    char *body = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    int code = EXIT_USAGE;

    if (body == NULL)
        args_complain("'%s' is not UTF-8", api->words.items[2]);
    else
        code = api_about(api, PATH, api->words.items[1], "/force",
                         (struct http_request){.method = "POST",
                                               .content_type = API_JSON,
                                               .body = weft_str(body, strlen(body))});
    free(body);
    json_decref(root);
    return code;
}

static int run(struct api *api)
{
    const struct args_list *words = &api->words;
    const char *verb = words->n > 0 ? words->items[0] : "";

    if (words->n == 0)
        return list(api);
    if (words->n == 1)
        return api_about(api, PATH, verb, "", (struct http_request){0});
    if (strcmp(verb, "set") == 0)
        return set(api);
    if (strcmp(verb, "force") == 0 && words->n == 3)
        return force(api);
    if (strcmp(verb, "remove") == 0 && words->n == 2)
        return api_about(api, PATH, words->items[1], "", (struct http_request){.method = "DELETE"});
    args_complain("set NAME, force NAME STATE or remove NAME (see weft help breakers)");
    return EXIT_USAGE;
}

int breakers_run(int argc, char **argv)
{
    struct api api = {.json = false};
    int code;
    const struct arg table[] = {
        ARG_IS_FLAG("json", &api.json, "a JSON object for each breaker"),
        ARGS_ARE_SERVERS(&api.given),
        ARG_END,
    };

    if (!api_open(&api, table, print_help, 20, argc, argv, &code))
        return code;
    return api_close(&api, run(&api));
}
