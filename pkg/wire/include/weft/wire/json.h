/*
 * json - a strict, allocation-free scanner of JSON text (RFC 8259).
 *
 * It validates (UTF-8, escapes, lone surrogates refused, numbers, depth, duplicate keys, nothing
 * after the value) and can write a minified copy in the same pass, so that what goes to Redis and
 * the wire is one line whatever the publisher sent. It builds no tree: publishing is the hot path;
 * elsewhere jansson serves.
 */
#ifndef WEFT_WIRE_JSON_H
#define WEFT_WIRE_JSON_H

#include <stdbool.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/str.h>

#define WEFT_JSON_MAX_DEPTH 64
#define WEFT_JSON_MAX_KEYS  4096 /* keys of all objects open at one moment */

enum weft_json_kind {
    WEFT_JSON_OBJECT,
    WEFT_JSON_ARRAY,
    WEFT_JSON_STRING,
    WEFT_JSON_NUMBER,
    WEFT_JSON_BOOL,
    WEFT_JSON_NULL
};

/* A value inside minified text: raw is its bytes (a string with its quotes). */
struct weft_json {
    enum weft_json_kind kind;
    struct weft_str raw;
};

/*
 * Validates the whole of text and appends its minified form to out.
 * WEFT_EINVAL with a sentence (and "at byte N") in err; out is then cut back to what it held.
 * depth_limit <= WEFT_JSON_MAX_DEPTH.
 */
int weft_json_minify(struct weft_buf *out, struct weft_str text, unsigned depth_limit,
                     struct weft_err *err) WEFT_MUST_CHECK;

/*
 * The same for what a node sends: events that were taken, within these limits, with what the node has put around and
 * into them. So its own are a little larger.
 */
int weft_json_minify_sent(struct weft_buf *out, struct weft_str text, struct weft_err *err)
    WEFT_MUST_CHECK;

/* The kind of already validated minified text, by its first byte. */
struct weft_json weft_json_value(struct weft_str minified);

/* Walks the members of a validated minified object, or the elements of an array. */
struct weft_json_iter {
    const char *p;
    const char *end;
    bool object;
};

/* v must be an object or an array. */
void weft_json_begin(struct weft_json_iter *it, struct weft_json v);
/*
 * False at the end. *ret_key (raw, without quotes, escapes as they stand) is only set for objects.
 */
bool weft_json_next(struct weft_json_iter *it, struct weft_str *ret_key,
                    struct weft_json *ret_value);

/* Member by key (a key without escapes). False if absent. */
bool weft_json_get(struct weft_json object, const char *key, struct weft_json *ret_value);

/* Decodes the escapes of a string value into out (raw.len bytes are enough). */
struct weft_str weft_json_text(struct weft_json string, char *out);

/* A number without fraction or exponent that fits an int64. */
bool weft_json_int(struct weft_json number, int64_t *ret_value);

#endif
