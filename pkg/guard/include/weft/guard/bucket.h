/*
 * bucket - a token bucket in memory: what pkg/redis/functions/bucket.lua does, without Redis.
 *
 * A node counts with these while Redis is away (`without_redis` local), and tests hold both against
 * the same model. Sums are of whole numbers: millionths of a token, whole milliseconds, and a rate
 * in thousandths of a token per second, which are millionths per millisecond. Pure: time comes in.
 */
#ifndef WEFT_GUARD_BUCKET_H
#define WEFT_GUARD_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/guard/without.h>

#define WEFT_TOKEN               INT64_C(1000000)       /* one token in the unit of sums */
#define WEFT_BUCKET_CAPACITY_MAX INT64_C(1000000000)    /* tokens */
#define WEFT_BUCKET_RATE_MAX     INT64_C(1000000000000) /* thousandths of a token per second */
#define WEFT_BUCKETS_MAX         16                     /* in one take */

/* How a take stands to a bucket; the numbers are those of the function. */
enum weft_stands {
    WEFT_STANDS_MISSING, /* there is no such bucket */
    WEFT_STANDS_ENOUGH,
    WEFT_STANDS_SHORT,
    WEFT_STANDS_DRY,   /* short, but dry_run lets it pass */
    WEFT_STANDS_NEVER, /* more than the capacity */
    WEFT_STANDS_BROKEN /* what lies there is no bucket */
};

/* What a bucket was set to. */
struct weft_bucket_conf {
    int64_t capacity; /* tokens, 1 to WEFT_BUCKET_CAPACITY_MAX */
    int64_t rate;     /* 1 to WEFT_BUCKET_RATE_MAX */
    bool leased, dry_run;
    enum weft_without without_redis;
};

struct weft_bucket {
    struct weft_bucket_conf conf;
    int64_t tokens; /* millionths */
    int64_t at_ms;
    uint64_t would_refuse;
};

/* One bucket of a take, and how it came out. */
struct weft_bucket_item {
    struct weft_bucket *bucket; /* NULL: missing. No bucket twice */
    int64_t tokens;             /* >= 1 */
    enum weft_stands stands;
};

/* What whoever took is told of a bucket. */
struct weft_bucket_told {
    enum weft_stands stands;
    int64_t remaining; /* whole tokens */
    int64_t retry_ms;  /* until what was asked for is there; 0: it is, or never will be */
    int64_t reset_ms;  /* until it is full */
    struct weft_bucket_conf conf;
};

/* Full. */
void weft_bucket_init(struct weft_bucket *b, const struct weft_bucket_conf *conf, int64_t now_ms);
/* Other numbers; it keeps its tokens, as many as it may hold. */
void weft_bucket_change(struct weft_bucket *b, const struct weft_bucket_conf *conf, int64_t now_ms);
/* From all of them or from none. True: taken. Sets stands of each. */
bool weft_bucket_take(struct weft_bucket_item *items, size_t n, int64_t now_ms);
/* After a take; needs a bucket. */
void weft_bucket_tell(struct weft_bucket_told *ret_told, const struct weft_bucket_item *item);

#endif
