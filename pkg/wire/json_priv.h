/*
 * json, for this library's own files: where a text stands in a larger one, and escapes.
 */
#ifndef WEFT_WIRE_JSON_PRIV_H
#define WEFT_WIRE_JSON_PRIV_H

#include <weft/wire/json.h>

/* As weft_json_minify; text begins at byte `offset` of what the error's position counts in. */
int weft_json_minify_at(struct weft_buf *out, struct weft_str text, size_t offset,
                        unsigned depth_limit, struct weft_err *err) WEFT_MUST_CHECK;

/*
 * Decodes what stands at *p inside a validated string, one byte or one escape (a surrogate pair is
 * one), to 1 to 4 bytes, and moves *p behind it.
 */
size_t weft_json_decode_one(const char **p, char out[4]);

/* raw: a key or the inside of a string, as it stands in the text. */
bool weft_json_raw_eq(struct weft_str raw, struct weft_str decoded);

#endif
