/*
 * query - an URL's query string, and a path's segments, decoded (RFC 3986 percent-encoding; `+` is
 * a space, as HTML forms send it).
 *
 * Decoded text lives in the caller's buffer. Pure.
 */
#ifndef WEFT_WIRE_QUERY_H
#define WEFT_WIRE_QUERY_H

#include <weft/base/err.h>
#include <weft/base/str.h>

#define WEFT_QUERY_MAX_PARAMS 256

struct weft_param {
    struct weft_str key;
    struct weft_str value;
};

struct weft_query {
    size_t n;
    struct weft_param params[WEFT_QUERY_MAX_PARAMS];
};

/*
 * Splits and decodes text (without the `?`). scratch must have at least text.len bytes and outlive
 * *q. WEFT_EINVAL, err names the parameter: a broken escape, a NUL or other control byte, invalid
 * UTF-8, an empty key, too many parameters.
 */
int weft_query_parse(struct weft_query *q, struct weft_str text, char *scratch,
                     struct weft_err *err) WEFT_MUST_CHECK;

/* First value of key, or {NULL, 0}. */
struct weft_str weft_query_get(const struct weft_query *q, const char *key);

/*
 * Percent-decodes one path segment (`+` stays) into out (segment.len bytes). False: a broken
 * escape, control byte or invalid UTF-8.
 */
bool weft_segment_decode(struct weft_str segment, char *out, struct weft_str *ret_decoded);

/*
 * Appends s percent-encoded (everything but unreserved characters) to out of size cap; returns the
 * length or 0 if it does not fit.
 */
size_t weft_percent_encode(char *out, size_t cap, struct weft_str s);

#endif
