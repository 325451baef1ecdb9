/*
 * source - where the connections of one loop get their server from: the URL of the configuration, the files
 * of TLS, and Sentinels if the URL names some.
 *
 * load() reads and checks what can be wrong and needs no loop; begin() starts to ask Sentinels, on the
 * loop's thread, which has the source from then on. Every connection to the data begins with the options
 * of weft_redis_source_conn(): it takes only a master, and asks for the address before each connect.
 */
#ifndef WEFT_REDIS_SOURCE_H
#define WEFT_REDIS_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/redis/conn.h>

struct event_base;
struct weft_config;
struct weft_log;
struct weft_redis_source; /* opaque */
struct weft_shard;

struct weft_redis_source_opts {
    struct event_base *base;  /* borrowed */
    const char *name;         /* first part of CLIENT SETNAME; borrowed */
    uint64_t seed;            /* of jitter */
    struct weft_shard *shard; /* borrowed */
    struct weft_log *log;     /* borrowed */
    bool quiet; /* of Sentinels: another source of this process tells and counts the same */
    void *ctx;
    void (*moved)(
        void *ctx); /* the master is another server now: connections have to be made anew */
};

/* Yours. cfg is borrowed. WEFT_EINVAL (err names the parameter), WEFT_ENOMEM. */
int weft_redis_source_load(struct weft_redis_source **ret_source, const struct weft_config *cfg,
                           struct weft_err *err) WEFT_MUST_CHECK;
/* Once. WEFT_ENOMEM, WEFT_ESYS. */
int weft_redis_source_begin(struct weft_redis_source *source,
                            const struct weft_redis_source_opts *opts) WEFT_MUST_CHECK;
/* After the last connection made from it. NULL is allowed. */
void weft_redis_source_destroy(struct weft_redis_source *source);

/* There is reason to doubt that its server is the master still: asks Sentinels now, if there are any. */
void weft_redis_source_ask(struct weft_redis_source *source);

/* The number of its database. */
uint32_t weft_redis_source_db(const struct weft_redis_source *source);

/* Who we are there; "" for the default user. Borrowed. */
const char *weft_redis_source_user(const struct weft_redis_source *source);

/* What every connection to the data has in common; the rest is the caller's. After begin. */
struct weft_redis_conn_opts weft_redis_source_conn(struct weft_redis_source *source);

#endif
