/*
 * stocks - a worker's tokens of leased buckets, by name.
 *
 * A bucket gets a stock when an answer says that it is leased. What the stock cannot decide is taken exactly, through
 * control (buckets.h). Bounded: beyond WEFT_STOCKS_MAX buckets are asked exactly. All on the worker's thread.
 */
#ifndef WEFT_GUARD_STOCKS_H
#define WEFT_GUARD_STOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/guard/bucket.h>

#define WEFT_STOCKS_MAX 65536

struct weft_mailbox;
struct weft_shard;
struct weft_stocks; /* opaque */

struct weft_stocks_opts {
    uint32_t worker, n_workers;
    uint32_t lease_percent;
    struct weft_mailbox *control; /* borrowed */
    struct weft_shard *shard;     /* borrowed */
};

/* Yours. WEFT_ENOMEM. Before the worker's thread runs, and after it. */
int weft_stocks_create(struct weft_stocks **ret_sts, const struct weft_stocks_opts *opts)
    WEFT_MUST_CHECK;
/* What it holds is not given back: Redis fills the bucket again. NULL is allowed. */
void weft_stocks_destroy(struct weft_stocks *sts);

enum weft_stocks_take {
    WEFT_STOCKS_TAKEN, /* *ret_told is set, as if Redis had answered */
    WEFT_STOCKS_REFUSED,
    WEFT_STOCKS_ASK /* control has to be asked */
};

enum weft_stocks_take weft_stocks_take(struct weft_stocks *sts, struct weft_str name,
                                       int64_t tokens, uint64_t now_ms,
                                       struct weft_bucket_told *ret_told) WEFT_ON_WORKER;

/*
 * An answer says how the bucket is set. given: with numbers of the node's own, which its asks have to carry.
 */
void weft_stocks_seen(struct weft_stocks *sts, struct weft_str name,
                      const struct weft_bucket_told *told, bool given, uint64_t now_ms)
    WEFT_ON_WORKER;

/* Now and then: gives back what is idle. */
void weft_stocks_tick(struct weft_stocks *sts, uint64_t now_ms) WEFT_ON_WORKER;

#endif
