/*
 * buf - a growing byte buffer with a maximum.
 *
 * Appending past the maximum changes nothing but `toobig`, which stays set until
 * the buffer is cleared and refuses whatever follows, so that a writer may append
 * many times and look once: what is there is always a prefix of what was meant. Out of memory
 * aborts (sizes are bounded by `max`). One owner, one thread.
 */
#ifndef WEFT_BASE_BUF_H
#define WEFT_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/str.h>

struct weft_buf {
    char *data; /* len bytes, and always one NUL after them once anything was reserved */
    size_t len;
    size_t cap;
    size_t max;
    bool toobig;
};

void weft_buf_init(struct weft_buf *b, size_t max);
/* Frees the memory; b may be used again after weft_buf_init. */
void weft_buf_fini(struct weft_buf *b);
/* Empties it, forgets toobig and keeps the memory. */
void weft_buf_clear(struct weft_buf *b);

/*
 * Room for n more bytes; NULL when that would pass the maximum. The caller adds to b->len; the NUL
 * stands after all n bytes, so one who uses fewer of them writes it again.
 */
char *weft_buf_reserve(struct weft_buf *b, size_t n);

void weft_buf_append(struct weft_buf *b, const void *p, size_t n);
void weft_buf_str(struct weft_buf *b, struct weft_str s);
void weft_buf_puts(struct weft_buf *b, const char *s);
void weft_buf_u64(struct weft_buf *b, uint64_t v);
void weft_buf_printf(struct weft_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* s as a JSON string with its quotes: control bytes escaped, invalid UTF-8 as U+FFFD. */
void weft_buf_json(struct weft_buf *b, struct weft_str s);

/* Hands the bytes over (free() them) and empties b. NULL if nothing was ever written. */
char *weft_buf_take(struct weft_buf *b, size_t *ret_len);

#endif
