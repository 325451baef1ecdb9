#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "output.h"

#define ANSWER_MAX (64u << 20)
#define TARGET_MAX 8192

bool api_open(struct api *api, const struct arg *table, void (*help)(const struct arg *table),
              size_t most, int argc, char **argv, int *ret_code)
{
    switch (args_parse(table, argc, argv, 0, most, &api->words)) {
    case ARGS_HELP:
        help(table);
        *ret_code = EXIT_DONE;
        return false;
    case ARGS_BAD:
        *ret_code = EXIT_USAGE;
        return false;
    case ARGS_OK:
        break;
    }
    *ret_code = EXIT_USAGE;
    if (!servers_init(&api->servers, &api->given))
        return false;
    *ret_code = EXIT_REFUSED;
    api->http = http_create(&api->servers);
    return api->http != NULL;
}

int api_close(struct api *api, int code)
{
    output_flush();
    http_destroy(api->http);
    return code != EXIT_DONE ? code : output_exit();
}

int api_ask(struct api *api, const struct http_request *rq, json_t **ret_root)
{
    struct weft_buf answer;
    int code;

    *ret_root = NULL;
    weft_buf_init(&answer, ANSWER_MAX);
    code = http_call(api->http, rq, &answer);
    if (code == EXIT_DONE && answer.len > 0) {
        *ret_root = json_loadb(answer.data, answer.len, 0, NULL);
        if (!json_is_object(*ret_root)) {
            args_complain("the answer is not what a weft node sends");
            json_decref(*ret_root);
            *ret_root = NULL;
            code = EXIT_REFUSED;
        }
    }
    weft_buf_fini(&answer);
    return code;
}

/* One page. *after: the name to go on behind, replaced by the next one; NULL at the end. */
static int list_page(struct api *api, const char *target, const char *member,
                     void (*print)(const json_t *one), char **after)
{
    struct http_request rq = {0};
    struct weft_buf page;
    json_t *root, *one;
    size_t i;
    int code;

    weft_buf_init(&page, TARGET_MAX);
    weft_buf_puts(&page, target);
    if (*after != NULL) {
        weft_buf_puts(&page, strchr(target, '?') != NULL ? "&after=" : "?after=");
        http_encode(&page, *after);
    }
    free(*after);
    *after = NULL;
    rq.target = page.data;
    code = api_ask(api, &rq, &root);
    if (code == EXIT_DONE && !json_is_array(json_object_get(root, member))) {
        args_complain("the answer is not what a weft node sends");
        code = EXIT_REFUSED;
    }
    json_array_foreach(json_object_get(root, member), i, one) {
        if (api->json)
            api_print(one);
        else
            print(one);
    }
    output_flush();
    if (code == EXIT_DONE && json_is_string(json_object_get(root, "next")))
        *after = strdup(json_string_value(json_object_get(root, "next")));
    json_decref(root);
    weft_buf_fini(&page);
    return code;
}

int api_list(struct api *api, const char *target, const char *member,
             void (*print)(const json_t *one))
{
    char *after = NULL;
    int code;

    do {
        code = list_page(api, target, member, print, &after);
    } while (code == EXIT_DONE && after != NULL && output_is_open());
    free(after);
    return code;
}

/* Its members, one a line; those of objects in it with the path before their names. */
static void print_members(const json_t *object, const char *path)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        char name[100];
        char *text;

        (void)snprintf(name, sizeof(name), "%s%s%s", path, path[0] != '\0' ? "." : "", key);
        if (json_is_object(value)) {
            print_members(value, name);
            continue;
        }
        text = json_is_string(value) ? strdup(json_string_value(value))
                                     : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        if (text != NULL) {
            char head[102];
            int n = snprintf(head, sizeof(head), "%s\t", name);

            output_line(weft_str(head, (size_t)n), weft_str(text, strlen(text)));
        }
        free(text);
    }
}

int api_about(struct api *api, const char *path, const char *name, const char *what,
              struct http_request rq)
{
    struct weft_buf target;
    json_t *root;
    int code;

    weft_buf_init(&target, TARGET_MAX);
    weft_buf_puts(&target, path);
    http_encode(&target, name);
    weft_buf_puts(&target, what);
    rq.target = target.data;
    code = api_ask(api, &rq, &root);
    if (root != NULL && api->json)
        api_print(root);
    else if (root != NULL)
        print_members(root, "");
    json_decref(root);
    weft_buf_fini(&target);
    return code;
}

void api_print(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    if (text != NULL)
        output_line(WEFT_STR(""), weft_str(text, strlen(text)));
    free(text);
}

const char *api_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

long long api_number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}
