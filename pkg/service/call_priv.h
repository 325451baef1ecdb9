/*
 * call_priv - one command to Redis, word by word.
 */
#ifndef WEFT_SERVICE_CALL_PRIV_H
#define WEFT_SERVICE_CALL_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/redis/conn.h>
#include <weft/redis/keys.h>

#define WEFT_CALL_WORDS_MAX 96

struct weft_svc_call {
    struct weft_buf bytes; /* one word behind the other */
    size_t ends[WEFT_CALL_WORDS_MAX];
    size_t n;
};

void weft_svc_call_begin(struct weft_svc_call *call, const char *command);
/* FCALL with n keys, which come next. */
void weft_svc_call_function(struct weft_svc_call *call, const char *function, size_t n_keys);
void weft_svc_call_word(struct weft_svc_call *call, struct weft_str word);
void weft_svc_call_text(struct weft_svc_call *call, const char *word);
void weft_svc_call_u64(struct weft_svc_call *call, uint64_t word);
void weft_svc_call_key(struct weft_svc_call *call, const struct weft_keys *keys,
                       void (*key)(struct weft_buf *b, const struct weft_keys *k));
void weft_svc_call_key_of(struct weft_svc_call *call, const struct weft_keys *keys, const char *id,
                          void (*key)(struct weft_buf *b, const struct weft_keys *k,
                                      const char *id));
/* A word that is appended to the buffer returned, and ended by this. */
struct weft_buf *weft_svc_call_open(struct weft_svc_call *call);
void weft_svc_call_close(struct weft_svc_call *call);

/*
 * Sends it and frees its memory. cn may be NULL: as one that is not up. WEFT_EUNAVAILABLE: replied is not called. A
 * library that somebody has flushed is loaded again by whoever gets the error (weft_svc_failed).
 */
int weft_svc_call_send(struct weft_svc_call *call, struct weft_redis_conn *cn,
                       weft_redis_replied *replied, void *ctx) WEFT_MUST_CHECK;

/* ---- what came back ---- */

/* Sorts a list of names. */
void weft_svc_sort(const struct weft_reply *names);
/* s with a NUL behind it; "" if it is not there or does not fit. */
void weft_svc_copy(char *to, size_t size, struct weft_str s);

#endif
