#include "problem.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "args.h"

/* A server's text on its way to a terminal: no control bytes. */
static void put_plain(const char *text)
{
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text, stderr);
}

bool problem_is(struct weft_str body, const char *code)
{
    json_t *root = body.len > 0 ? json_loadb(body.p, body.len, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(json_object_get(root, "error"), "code"));
    bool is = text != NULL && strcmp(text, code) == 0;

    json_decref(root);
    return is;
}

bool problem_is_harmless(struct weft_str body)
{
    json_t *root = body.len > 0 ? json_loadb(body.p, body.len, 0, NULL) : NULL;
    bool is = json_is_false(json_object_get(json_object_get(root, "error"), "written"));

    json_decref(root);
    return is || problem_is(body, "busy");
}

void problem_print(const char *url, long status, struct weft_str body)
{
    json_t *root = body.len > 0 ? json_loadb(body.p, body.len, 0, NULL) : NULL;
    const json_t *error = json_object_get(root, "error");
    const char *field = json_string_value(json_object_get(error, "field"));
    const char *message = json_string_value(json_object_get(error, "message"));

    if (message == NULL)
        message = json_string_value(json_object_get(root, "detail"));
    if (message == NULL) {
        args_complain("%s answered with status %ld", url, status);
    } else {
        fprintf(stderr, "%s: ", args_program);
        /* Some sentences begin with the field anyway. */
        if (field != NULL && field[0] != '\0' && strncmp(message, field, strlen(field)) != 0) {
            put_plain(field);
            fputs(": ", stderr);
        }
        put_plain(message);
        fputc('\n', stderr);
    }
    json_decref(root);
}
