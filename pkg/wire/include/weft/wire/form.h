/*
 * form - reads a request body that is one JSON object with known members.
 *
 * A static table says each member's name, kind, range and where its value goes. What is not in the
 * table, of another kind or out of range is refused with the member's name in the error, and what a
 * member that is absent would have set stays as it was: defaults are there before. Pure.
 */
#ifndef WEFT_WIRE_FORM_H
#define WEFT_WIRE_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/str.h>
#include <weft/wire/json.h>

enum weft_member_kind {
    WEFT_MEMBER_U64,    /* uint64_t: lo .. hi; no fraction, no exponent */
    WEFT_MEMBER_NUMBER, /* double: lo .. hi */
    WEFT_MEMBER_BOOL,   /* bool */
    WEFT_MEMBER_TEXT,   /* struct weft_str: lo .. hi bytes, printable; in the form's buffer */
    WEFT_MEMBER_CHOICE, /* unsigned: the index of one of choices */
    WEFT_MEMBER_OBJECT, /* struct weft_json: any object; in the form's buffer */
    WEFT_MEMBER_ARRAY   /* struct weft_json: any array */
};

struct weft_member {
    const char *name;
    enum weft_member_kind kind;
    size_t offset;              /* of the value in the struct that is filled */
    double lo, hi;              /* at most 2^53 for numbers */
    const char *const *choices; /* ends with NULL */
    bool required;
};

#define WEFT_FORM_MEMBERS_MAX 64

/*
 * Reads body into *out. b is initialised and empty, and what texts, objects and arrays point into; the caller keeps it as
 * long. An empty body is an empty object. *ret_seen (may be NULL): bit i is set if field i was there.
 * WEFT_EINVAL, err names the member (`body`: no JSON object at all); *out may be filled in part.
 */
int weft_form_read(const struct weft_member *members, size_t n, struct weft_str body,
                   struct weft_buf *b, void *out, uint64_t *ret_seen, struct weft_err *err)
    WEFT_MUST_CHECK;

/* The same for an object that is already validated and minified, as an element of an array is. */
int weft_form_read_value(const struct weft_member *members, size_t n, struct weft_json object,
                         struct weft_buf *b, void *out, uint64_t *ret_seen, struct weft_err *err)
    WEFT_MUST_CHECK;

#endif
