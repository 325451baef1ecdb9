/*
 * since - where a subscription starts when it has no cursor:
 * `earliest`, an id, a time in ms, or a span back from now (`-30s`, `-5m`, `-2h`, `-1d`).
 */
#ifndef WEFT_WIRE_SINCE_H
#define WEFT_WIRE_SINCE_H

#include <weft/base/err.h>
#include <weft/base/str.h>
#include <weft/wire/id.h>

enum weft_since_kind {
    WEFT_SINCE_EARLIEST,
    WEFT_SINCE_ID,   /* after this event */
    WEFT_SINCE_TIME, /* at or after id.ms (Unix time) */
    WEFT_SINCE_AGO   /* id.ms milliseconds before Redis's now */
};

struct weft_since {
    enum weft_since_kind kind;
    struct weft_id id;
};

/* WEFT_EINVAL: anything else. *ret_since only set on success. */
int weft_since_parse(struct weft_str s, struct weft_since *ret_since) WEFT_MUST_CHECK;

#endif
