/*
 * sentinel - asks Redis Sentinels where the master is, and tells when it is somewhere else.
 *
 * It holds a connection to each Sentinel of the URL and asks all of them every `ask_ms`, and listens to one
 * of them for +switch-master, after which it asks at once. The answer with the highest config epoch
 * counts: a Sentinel that was cut off and still names the old master does not lead us back.
 *
 * While no Sentinel answers, the last answer stands. Whether the server found is a master
 * is for the connection to see (ROLE). Everything runs on the loop's thread.
 */
#ifndef WEFT_REDIS_SENTINEL_H
#define WEFT_REDIS_SENTINEL_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/redis/url.h>

struct event_base;
struct weft_log;
struct weft_redis_tls;
struct weft_sentinel; /* opaque */
struct weft_shard;

struct weft_sentinel_opts {
    struct event_base *base;          /* borrowed */
    const struct weft_redis_url *url; /* borrowed; has Sentinels */
    struct weft_redis_tls *tls;       /* borrowed; NULL: without TLS */
    const char *name;                 /* first part of CLIENT SETNAME; borrowed */
    uint32_t ask_ms;
    uint32_t connect_timeout_ms;
    uint32_t command_timeout_ms;
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    uint64_t seed;            /* of the jitter */
    struct weft_shard *shard; /* borrowed */
    struct weft_log *log;     /* borrowed, may be NULL */
    bool quiet;               /* another one in this process tells and counts the same */

    void *ctx;
    void (*moved)(void *ctx); /* it is somewhere else, or known for the first time */
};

/* Yours; begins to ask at once. WEFT_ENOMEM or WEFT_ESYS. */
int weft_sentinel_create(struct weft_sentinel **ret_s, const struct weft_sentinel_opts *opts)
    WEFT_MUST_CHECK;
/* NULL is allowed. */
void weft_sentinel_destroy(struct weft_sentinel *s);

/* Where the master is, as far as is known; false: no Sentinel has said yet. */
bool weft_sentinel_master(const struct weft_sentinel *s, struct weft_redis_host *ret_host);

/* There is reason to doubt the last answer: asks now. */
void weft_sentinel_ask(struct weft_sentinel *s);

#endif
