/* The configuration file: a JSON object of groups, each an object of parameters. */
#include "config_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include <weft/base/err.h>

static const char *json_kind(const struct weft_param *p)
{
    switch (p->type) {
    case WEFT_PARAM_TYPE_STRING:
    case WEFT_PARAM_TYPE_ENUM:
        return "must be a string";
    case WEFT_PARAM_TYPE_LIST:
        return "must be an array of strings";
    case WEFT_PARAM_TYPE_BOOL:
        return "must be true or false";
    case WEFT_PARAM_TYPE_INT:
        return "must be a whole number";
    case WEFT_PARAM_TYPE_S:
        return "must be seconds or a duration such as \"30s\", \"5m\", \"1h\" or \"7d\"";
    case WEFT_PARAM_TYPE_MS:
        return "must be milliseconds or a duration such as \"500ms\", \"30s\", \"5m\" or \"1h\"";
    case WEFT_PARAM_TYPE_SIZE:
        return "must be bytes or a size such as \"64KiB\", \"16MiB\" or \"1GiB\"";
    }
    return "has a wrong type";
}

static int wrong_kind(const struct weft_param *p, struct weft_param_why *why)
{
    snprintf(why->text, sizeof(why->text), "%s", json_kind(p));
    return WEFT_EINVAL;
}

static int set_json_list(struct weft_config *cfg, const struct weft_param *p, const json_t *value,
                         struct weft_param_why *why)
{
    const char *items[WEFT_CONFIG_LIST_MAX + 1];
    size_t len = json_array_size(value);

    if (len > WEFT_CONFIG_LIST_MAX)
        len = WEFT_CONFIG_LIST_MAX + 1; /* one too many: refused by what follows */
    for (size_t i = 0; i < len; i++) {
        items[i] = json_string_value(json_array_get(value, i));
        if (!items[i])
            return wrong_kind(p, why);
    }
    return weft_param_set_list(cfg, p, items, len, why);
}

static int set_json(struct weft_config *cfg, const struct weft_param *p, const json_t *value,
                    struct weft_param_why *why)
{
    const char *text = json_string_value(value);
    json_int_t number;

    switch (p->type) {
    case WEFT_PARAM_TYPE_STRING:
    case WEFT_PARAM_TYPE_ENUM:
        return text ? weft_param_set_text(cfg, p, text, why) : wrong_kind(p, why);
    case WEFT_PARAM_TYPE_LIST:
        return json_is_array(value) ? set_json_list(cfg, p, value, why) : wrong_kind(p, why);
    case WEFT_PARAM_TYPE_BOOL:
        if (!json_is_boolean(value))
            return wrong_kind(p, why);
        return weft_param_set_number(cfg, p, json_is_true(value), why);
    case WEFT_PARAM_TYPE_MS:
    case WEFT_PARAM_TYPE_S:
    case WEFT_PARAM_TYPE_SIZE:
        if (text)
            return weft_param_set_text(cfg, p, text, why);
        break;
    case WEFT_PARAM_TYPE_INT:
        break;
    }
    if (!json_is_integer(value))
        return wrong_kind(p, why);
    number = json_integer_value(value);
    /* A negative number is out of every range: let it be refused as the largest one. */
    return weft_param_set_number(cfg, p, number < 0 ? UINT64_MAX : (uint64_t)number, why);
}

static int apply_group(struct weft_config *cfg, const char *path, const char *group, json_t *fields,
                       struct weft_err *err)
{
    struct weft_param_why why;
    char name[96];
    const char *field;
    json_t *value;

    json_object_foreach(fields, field, value) {
        const struct weft_param *p;
        int rc;

        snprintf(name, sizeof(name), "%s.%s", group, field);
        p = weft_param_find(name, strlen(name));
        if (!p)
            return weft_err_set(err, WEFT_EINVAL, name, "is not a parameter (%s)", path);
        rc = set_json(cfg, p, value, &why);
        if (rc == WEFT_EINVAL)
            return weft_err_set(err, rc, name, "%s (%s)", why.text, path);
        if (rc)
            return weft_err_set(err, rc, name, "%s", weft_err_text(rc));
    }
    return 0;
}

static bool group_known(const char *group)
{
    for (size_t i = 0; i < weft_params_len; i++) {
        if (strcmp(weft_params[i].group, group) == 0)
            return true;
    }
    return false;
}

static int apply_root(struct weft_config *cfg, const char *path, json_t *root, struct weft_err *err)
{
    const char *group;
    json_t *fields;

    if (!json_is_object(root))
        return weft_err_set(err, WEFT_EINVAL, "", "%s must hold one JSON object", path);
    json_object_foreach(root, group, fields) {
        int rc;

        if (!group_known(group))
            return weft_err_set(err, WEFT_EINVAL, group, "is not a group of parameters (%s)", path);
        if (!json_is_object(fields))
            return weft_err_set(err, WEFT_EINVAL, group, "must be an object (%s)", path);
        rc = apply_group(cfg, path, group, fields, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int read_file(const char *path, struct weft_buf *out, struct weft_err *err)
{
    FILE *in = fopen(path, "re");
    int failed = errno;
    char piece[4096];
    size_t n;

    if (in) {
        errno = 0;
        while (!out->toobig && (n = fread(piece, 1, sizeof(piece), in)) > 0)
            weft_buf_append(out, piece, n);
        failed = ferror(in) ? errno : 0;
        fclose(in);
    }
    if (failed)
        return weft_err_set(err, WEFT_ESYS, "", "cannot read %s: %s", path, strerror(failed));
    if (out->toobig)
        return weft_err_set(err, WEFT_ETOOBIG, "", "%s is longer than %d bytes", path,
                            WEFT_CONFIG_FILE_MAX);
    return 0;
}

int weft_config_apply_file(struct weft_config *cfg, const char *path, struct weft_err *err)
{
    struct weft_buf text;
    json_error_t where;
    json_t *root = NULL;
    char *near;
    int rc;

    weft_buf_init(&text, WEFT_CONFIG_FILE_MAX);
    rc = read_file(path, &text, err);
    if (rc)
        goto out;

    root = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &where);
    if (!root) {
        near = strstr(where.text, " near '");
        if (near)
            *near = '\0'; /* it quotes the file, which may hold a password */
        rc = weft_err_set(err, WEFT_EINVAL, "", "%s is not valid JSON: line %d, column %d: %s",
                          path, where.line, where.column, where.text);
        goto out;
    }
    rc = apply_root(cfg, path, root, err);
out:
    json_decref(root);
    weft_buf_fini(&text);
    return rc;
}
