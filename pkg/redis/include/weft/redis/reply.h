/*
 * reply - what Redis answered, as a tree in one arena.
 *
 * A reply is borrowed until the callback that got it returns; then its whole arena is reset. This
 * keeps hiredis out of everything above the port, and makes a page of a thousand log entries
 * cost no allocation for each element.
 */
#ifndef WEFT_REDIS_REPLY_H
#define WEFT_REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/str.h>

enum weft_reply_kind {
    WEFT_REPLY_STRING,
    WEFT_REPLY_ARRAY,
    WEFT_REPLY_INTEGER,
    WEFT_REPLY_NIL,
    WEFT_REPLY_STATUS,
    WEFT_REPLY_ERROR
};

struct weft_reply {
    enum weft_reply_kind kind;
    int64_t integer;
    struct weft_str str;       /* string, status, error: NUL-terminated too */
    size_t n;                  /* of an array */
    struct weft_reply **items; /* never NULL pointers once the reply is complete */
};

/* Element i of an array, or NULL if r is not an array or has no such element. */
static inline const struct weft_reply *weft_reply_at(const struct weft_reply *r, size_t i)
{
    return r != NULL && r->kind == WEFT_REPLY_ARRAY && i < r->n ? r->items[i] : NULL;
}

/* The bytes of a string or status; {NULL, 0} for anything else, NULL included. */
static inline struct weft_str weft_reply_str(const struct weft_reply *r)
{
    if (r == NULL || (r->kind != WEFT_REPLY_STRING && r->kind != WEFT_REPLY_STATUS)) {
        return weft_str(NULL, 0);
    }
    return r->str;
}

static inline bool weft_reply_is_error(const struct weft_reply *r)
{
    return r != NULL && r->kind == WEFT_REPLY_ERROR;
}

/* A number sent as an integer or as decimal text; false for anything else. */
bool weft_reply_u64(const struct weft_reply *r, uint64_t *ret_value);

#endif
