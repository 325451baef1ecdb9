#include <weft/wire/form.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

#include "json_priv.h"

#define DEPTH_MAX      16
#define NUMBER_LEN_MAX 40

static int wrong(const struct weft_member *f, struct weft_err *err, const char *what)
{
    return weft_err_set(err, WEFT_EINVAL, f->name, "it must be %s", what);
}

static int out_of_range(const struct weft_member *f, struct weft_err *err, const char *what)
{
    return weft_err_set(err, WEFT_EINVAL, f->name, "it must be %s from %.15g to %.15g", what, f->lo,
                        f->hi);
}

static int read_u64(const struct weft_member *f, struct weft_json v, uint64_t *ret_value,
                    struct weft_err *err)
{
    int64_t n;

    if (v.kind != WEFT_JSON_NUMBER || !weft_json_int(v, &n) || (double)n < f->lo ||
        (double)n > f->hi) {
        return out_of_range(f, err, "a whole number");
    }
    *ret_value = (uint64_t)n;
    return 0;
}

static int read_number(const struct weft_member *f, struct weft_json v, double *ret_value,
                       struct weft_err *err)
{
    char text[NUMBER_LEN_MAX + 1];
    double n;

    if (v.kind != WEFT_JSON_NUMBER || v.raw.len > NUMBER_LEN_MAX) {
        return out_of_range(f, err, "a number");
    }
    memcpy(text, v.raw.p, v.raw.len);
    text[v.raw.len] = '\0';
    n = strtod(text, NULL);
    if (!isfinite(n) || n < f->lo || n > f->hi) {
        return out_of_range(f, err, "a number");
    }
    *ret_value = n;
    return 0;
}

static int read_text(const struct weft_member *f, struct weft_json v, struct weft_buf *b,
                     struct weft_str *ret_value, struct weft_err *err)
{
    char *at;

    if (v.kind != WEFT_JSON_STRING) {
        return wrong(f, err, "a string");
    }
    at = weft_buf_reserve(b, v.raw.len); /* there is room already: nothing moves */
    WEFT_ASSERT(at != NULL);
    *ret_value = weft_json_text(v, at);
    b->len += ret_value->len;
    if ((double)ret_value->len < f->lo || (double)ret_value->len > f->hi) {
        return out_of_range(f, err, "a string with a number of bytes");
    }
    if (!weft_str_printable(*ret_value)) {
        return wrong(f, err, "without control characters");
    }
    return 0;
}

static int read_choice(const struct weft_member *f, struct weft_json v, unsigned *ret_value,
                       struct weft_err *err)
{
    char list[160] = "";
    size_t len = 0;

    for (unsigned i = 0; f->choices[i] != NULL; i++) {
        struct weft_str choice = weft_str(f->choices[i], strlen(f->choices[i]));

        if (v.kind == WEFT_JSON_STRING &&
            weft_json_raw_eq(weft_str(v.raw.p + 1, v.raw.len - 2), choice)) {
            *ret_value = i;
            return 0;
        }
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i == 0 ? "" : ", ",
                                f->choices[i]);
        WEFT_ASSERT(len < sizeof(list));
    }
    return weft_err_set(err, WEFT_EINVAL, f->name, "it must be one of: %s", list);
}

static int read_member(const struct weft_member *f, struct weft_json v, struct weft_buf *b,
                       void *out, struct weft_err *err)
{
    void *at = (char *)out + f->offset;

    switch (f->kind) {
    case WEFT_MEMBER_U64:
        return read_u64(f, v, at, err);
    case WEFT_MEMBER_NUMBER:
        return read_number(f, v, at, err);
    case WEFT_MEMBER_BOOL:
        if (v.kind != WEFT_JSON_BOOL) {
            return wrong(f, err, "true or false");
        }
        *(bool *)at = v.raw.p[0] == 't';
        return 0;
    case WEFT_MEMBER_TEXT:
        return read_text(f, v, b, at, err);
    case WEFT_MEMBER_CHOICE:
        return read_choice(f, v, at, err);
    case WEFT_MEMBER_OBJECT:
    case WEFT_MEMBER_ARRAY:
        if (v.kind != (f->kind == WEFT_MEMBER_OBJECT ? WEFT_JSON_OBJECT : WEFT_JSON_ARRAY)) {
            return wrong(f, err, f->kind == WEFT_MEMBER_OBJECT ? "an object" : "an array");
        }
        *(struct weft_json *)at = v;
        return 0;
    }
    return WEFT_EINVAL;
}

static int unknown(struct weft_str key, struct weft_err *err)
{
    char field[80];
    size_t n = 0;

    for (; n < key.len && n < sizeof(field) - 1; n++) {
        field[n] = key.p[n];
    }
    field[n] = '\0';
    return weft_err_set(err, WEFT_EINVAL, field, "this field is not known here");
}

/* b has room for the decoded texts. */
static int read_all(const struct weft_member *members, size_t n, struct weft_json object,
                    struct weft_buf *b, void *out, uint64_t *ret_seen, struct weft_err *err)
{
    struct weft_json_iter it;
    struct weft_json v;
    struct weft_str key;
    uint64_t seen = 0;
    int rc = 0;

    WEFT_ASSERT(n <= WEFT_FORM_MEMBERS_MAX);
    weft_json_begin(&it, object);
    while (rc == 0 && weft_json_next(&it, &key, &v)) {
        size_t i = 0;

        while (i < n &&
               !weft_json_raw_eq(key, weft_str(members[i].name, strlen(members[i].name)))) {
            i++;
        }
        if (i == n) {
            return unknown(key, err);
        }
        rc = read_member(&members[i], v, b, out, err);
        seen |= UINT64_C(1) << i;
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (members[i].required && (seen & UINT64_C(1) << i) == 0) {
            rc = weft_err_set(err, WEFT_EINVAL, members[i].name, "it is missing");
        }
    }
    if (ret_seen != NULL) {
        *ret_seen = seen;
    }
    return rc;
}

int weft_form_read(const struct weft_member *members, size_t n, struct weft_str body,
                   struct weft_buf *b, void *out, uint64_t *ret_seen, struct weft_err *err)
{
    size_t len;
    int rc;

    if (body.len == 0) {
        body = WEFT_STR("{}");
    }
    rc = weft_json_minify(b, body, DEPTH_MAX, err);
    if (rc == 0 && (b->len == 0 || b->data[0] != '{')) {
        rc = weft_err_set(err, WEFT_EINVAL, "", "it must be a JSON object");
    }
    len = b->len;
    if (rc == 0 && weft_buf_reserve(b, len) == NULL) { /* for all that is decoded */
        rc = weft_err_set(err, WEFT_EINVAL, "", "it is too long");
    }
    if (rc != 0) {
        if (err != NULL) {
            (void)snprintf(err->field, sizeof(err->field), "body");
        }
        return rc;
    }
    return read_all(members, n, weft_json_value(weft_str(b->data, len)), b, out, ret_seen, err);
}

int weft_form_read_value(const struct weft_member *members, size_t n, struct weft_json object,
                         struct weft_buf *b, void *out, uint64_t *ret_seen, struct weft_err *err)
{
    if (object.kind != WEFT_JSON_OBJECT) {
        return weft_err_set(err, WEFT_EINVAL, "body", "it must be a JSON object");
    }
    if (weft_buf_reserve(b, object.raw.len) == NULL) {
        return weft_err_set(err, WEFT_EINVAL, "body", "it is too long");
    }
    return read_all(members, n, object, b, out, ret_seen, err);
}
