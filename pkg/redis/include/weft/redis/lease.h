/*
 * lease - one node of the cluster at a time: `weft:lease:{<what>}` in Redis.
 *
 * It takes the lease when it is free and tells `taken`, renews it at a third of its life, and tells
 * `lost` when it is another's or could not be renewed in time. The holder counts its life from
 * before the command was sent, so it stops before Redis lets anybody else in, as long as neither's
 * clock runs wild; a stopped process finds out when it goes on. Who cannot bear the moment between uses
 * the fence: a number that is larger for each later holder.
 *
 * Everything runs on the loop's thread. It does not know what the lease is for, nor why the
 * connection, which it borrows, comes and goes.
 */
#ifndef WEFT_REDIS_LEASE_H
#define WEFT_REDIS_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/err.h>

struct event_base;
struct weft_keys;
struct weft_lease; /* opaque */
struct weft_log;
struct weft_redis_conn;
struct weft_shard;

struct weft_lease_opts {
    struct event_base *base;      /* borrowed */
    struct weft_redis_conn *cn;   /* borrowed */
    const struct weft_keys *keys; /* borrowed */
    const char *what;             /* borrowed: the name in the key */
    const char *node_id;          /* borrowed: who holds it */
    uint32_t life_ms;
    uint64_t seed;            /* of jitter */
    struct weft_shard *shard; /* borrowed */
    struct weft_log *log;     /* borrowed */

    void *ctx;
    void (*taken)(void *ctx, uint64_t fence);
    void (*lost)(void *ctx); /* at once stop what the lease is for */
};

/* Yours; tries at once. WEFT_ENOMEM, WEFT_ESYS. */
int weft_lease_create(struct weft_lease **ret_lease, const struct weft_lease_opts *opts)
    WEFT_MUST_CHECK;
/* After the connection ended, or when weft_lease_is_quiet(). `lost` is not called. NULL is allowed. */
void weft_lease_destroy(struct weft_lease *lease);

/* The connection is up: tries soon, not only when its time has come. */
void weft_lease_retry(struct weft_lease *lease);

/* Gives it back, if it is held (`lost` is called), and takes it no more. */
void weft_lease_give(struct weft_lease *lease);

bool weft_lease_is_held(const struct weft_lease *lease);
/* No answer is being waited for. */
bool weft_lease_is_quiet(const struct weft_lease *lease);

#endif
