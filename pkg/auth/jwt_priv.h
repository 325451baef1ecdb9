/*
 * jwt - the outside of a token: three parts of base64url, two of them JSON objects.
 */
#ifndef WEFT_AUTH_JWT_PRIV_H
#define WEFT_AUTH_JWT_PRIV_H

#include <jansson.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/str.h>

/* As they stand in the token. */
struct weft_jwt_parts {
    struct weft_str header;
    struct weft_str claims;
    struct weft_str signature;
};

/* Not empty, at most WEFT_TOKEN_BYTES_MAX together, of no other bytes than A-Z a-z 0-9 - _ */
int weft_jwt_split(struct weft_jwt_parts *ret, struct weft_str token, struct weft_err *err);

/*
 * Appends a part's JSON object to out, minified: strict JSON without duplicate members, nested
 * WEFT_JWT_DEPTH deep at most. what: "header" or "claims", for the message.
 */
int weft_jwt_text(struct weft_buf *out, struct weft_str part, const char *what,
                  struct weft_err *err);

/* The same as an object, yours; NULL, and err says why. */
json_t *weft_jwt_json(struct weft_str part, const char *what, struct weft_err *err);

#define WEFT_JWT_DEPTH 16

#endif
