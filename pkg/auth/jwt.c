#include "jwt_priv.h"

#include <string.h>

#include <weft/auth/token.h>
#include <weft/base/assert.h>
#include <weft/wire/json.h>

#include "base64url_priv.h"

/* Decoded, three quarters of a token. */
#define PART_MAX WEFT_TOKEN_BYTES_MAX

int weft_jwt_split(struct weft_jwt_parts *ret, struct weft_str token, struct weft_err *err)
{
    struct weft_str parts[3];
    struct weft_str rest = token;

    if (token.len > WEFT_TOKEN_BYTES_MAX) {
        return weft_err_set(err, WEFT_ETOOBIG, "", "the token is longer than %d bytes",
                            WEFT_TOKEN_BYTES_MAX);
    }
    for (size_t i = 0; i < WEFT_COUNT_OF(parts); i++) {
        /* The last part takes all that is left: another dot in it is no base64url. */
        parts[i] = i < 2 ? weft_str_before(&rest, '.') : rest;
        if (parts[i].len == 0) {
            return weft_err_set(err, WEFT_EINVAL, "",
                                "the token is not three parts with dots between them");
        }
    }
    for (size_t i = 0; i < WEFT_COUNT_OF(parts); i++) {
        if (!weft_base64url_valid(parts[i])) {
            return weft_err_set(err, WEFT_EINVAL, "",
                                "the token has other bytes than A-Z a-z 0-9 - _ and two dots");
        }
    }
    *ret = (struct weft_jwt_parts){parts[0], parts[1], parts[2]};
    return 0;
}

int weft_jwt_text(struct weft_buf *out, struct weft_str part, const char *what,
                  struct weft_err *err)
{
    struct weft_err why = {.message = ""};
    unsigned char bytes[PART_MAX];
    size_t before = out->len;
    size_t len;
    char *quote;
    int rc;

    if (part.len > WEFT_TOKEN_BYTES_MAX || !weft_base64url_decode(bytes, &len, part)) {
        return weft_err_set(err, WEFT_EINVAL, "", "the %s of the token: wrong base64url", what);
    }
    rc = weft_json_minify(out, weft_str((const char *)bytes, len), WEFT_JWT_DEPTH, &why);
    if (rc != 0) {
        quote = strstr(why.message, " \""); /* a name out of the token */
        if (quote != NULL) {
            *quote = '\0';
        }
        return weft_err_set(err, rc, "", "the %s of the token: %s", what, why.message);
    }
    if (out->data[before] != '{') {
        out->len = before;
        return weft_err_set(err, WEFT_EINVAL, "", "the %s of the token: no JSON object", what);
    }
    return 0;
}

json_t *weft_jwt_json(struct weft_str part, const char *what, struct weft_err *err)
{
    struct weft_buf text;
    json_t *object = NULL;

    weft_buf_init(&text, PART_MAX);
    if (weft_jwt_text(&text, part, what, err) == 0) {
        /* Refuses what is left: numbers beyond all bounds, NUL, members twice by their escapes. */
        object = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
        if (object == NULL) {
            (void)weft_err_set(err, WEFT_EINVAL, "",
                               "the %s of the token: a number out of range, NUL in a string, or a "
                               "member twice",
                               what);
        }
    }
    weft_buf_fini(&text);
    return object;
}

int weft_token_read(struct weft_str token, struct weft_buf *ret_header, struct weft_buf *ret_claims,
                    struct weft_err *err)
{
    struct weft_jwt_parts parts = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    int rc = weft_jwt_split(&parts, token, err);

    if (rc == 0 && ret_header != NULL) {
        rc = weft_jwt_text(ret_header, parts.header, "header", err);
    }
    if (rc == 0 && ret_claims != NULL) {
        rc = weft_jwt_text(ret_claims, parts.claims, "claims", err);
    }
    return rc;
}
