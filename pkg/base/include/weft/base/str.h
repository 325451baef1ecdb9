/*
 * str - a borrowed run of bytes: not terminated, not owned.
 */
#ifndef WEFT_BASE_STR_H
#define WEFT_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct weft_str {
    const char *p;
    size_t len;
};

/* A string literal as a weft_str. */
#define WEFT_STR(literal)              \
    (struct weft_str)                  \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }

static inline struct weft_str weft_str(const char *p, size_t len)
{
    struct weft_str s = {p, len};
    return s;
}

static inline bool weft_str_eq(struct weft_str a, struct weft_str b)
{
    return a.len == b.len &&
           (a.len == 0 || (a.p != NULL && b.p != NULL && memcmp(a.p, b.p, a.len) == 0));
}

/* As memcmp, a shorter one before a longer one that begins with it: for qsort. */
int weft_str_cmp(struct weft_str a, struct weft_str b);

/* What stands before the first sep, or all of it; *rest goes on behind the sep. */
struct weft_str weft_str_before(struct weft_str *rest, char sep);

/* Whether s begins with prefix. */
bool weft_str_starts(struct weft_str s, const char *prefix);

/* The same, and then *rest goes on behind it; else *rest stays as it is. */
bool weft_str_take(struct weft_str *rest, const char *prefix);

/* Without the spaces and tabs around it. */
struct weft_str weft_str_trim(struct weft_str s);

/* ASCII case ignored. */
bool weft_str_ieq(struct weft_str a, struct weft_str b);

/* Decimal digits only, the whole of s, no sign; false on overflow or anything else. */
bool weft_str_u64(struct weft_str s, uint64_t *ret_value);

/* Writes v in decimal to out (at least 20 bytes), returns the number of bytes; no terminator. */
size_t weft_u64_print(char *out, uint64_t v);

/*
 * The length (1 to 4) of the UTF-8 sequence that p begins with, 0 if it is not a valid one
 * (overlong, a surrogate, above U+10FFFF, cut off). n must be at least 1.
 */
size_t weft_utf8_len(const char *p, size_t n);

/* Valid UTF-8, and no byte below 0x20 and no DEL. */
bool weft_str_printable(struct weft_str s);

/* 64-bit FNV-1a: for tables whose keys are not chosen to collide. */
uint64_t weft_hash64(const void *p, size_t len);

#endif
