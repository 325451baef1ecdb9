/*
 * buckets - the node's token buckets on the control thread: their traffic with Redis.
 *
 * Takes of one turn of the loop are one call of weft1_bucket_take. One that Redis does not answer within
 * limits.redis_wait_ms is decided as the bucket says (`without_redis`), and from then on all are, at once, until
 * Redis answers again. Workers have their own part, stocks.h, for leased buckets.
 */
#ifndef WEFT_GUARD_BUCKETS_H
#define WEFT_GUARD_BUCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/fabric/feature.h>
#include <weft/guard/bucket.h>
#include <weft/guard/stock.h>
#include <weft/wire/name.h>

struct weft_buckets; /* opaque */

/* Yours; env is borrowed. WEFT_ENOMEM. */
int weft_buckets_create(struct weft_buckets **ret_bks, const struct weft_feature_env *env)
    WEFT_MUST_CHECK WEFT_ON_CONTROL;
/* NULL is allowed. */
void weft_buckets_destroy(struct weft_buckets *bks) WEFT_ON_CONTROL;

/* A message of the buckets' channel: `bucket <name>` was set or deleted. */
void weft_buckets_message(struct weft_buckets *bks, struct weft_str payload) WEFT_ON_CONTROL;
void weft_buckets_up(struct weft_buckets *bks) WEFT_ON_CONTROL;
void weft_buckets_down(struct weft_buckets *bks) WEFT_ON_CONTROL;

/* ---- requests: made on any thread, posted to control, never NULL; answered with JSON ---- */

/* Names behind after (may be empty), limit at most. */
struct weft_request *weft_buckets_ask_list(struct weft_str after, uint32_t limit);
struct weft_request *weft_buckets_ask_look(struct weft_str name);
struct weft_request *weft_buckets_ask_set(struct weft_str name,
                                          const struct weft_bucket_conf *conf);
struct weft_request *weft_buckets_ask_delete(struct weft_str name);

/* ---- takes ---- */

struct weft_take_item {
    char name[WEFT_NAME_MAX + 1];
    int64_t tokens; /* >= 1 */
    /* Capacity not 0: the bucket is made with these numbers when it is not there. */
    struct weft_bucket_conf conf;
};

/* From all of the buckets or from none. Its answer is a weft_taken_msg. */
struct weft_take_msg {
    struct weft_request rq;
    struct weft_take_msg *next; /* buckets' */
    size_t n;                   /* 1 to WEFT_BUCKETS_MAX */
    struct weft_take_item items[];
};

/* Zeroed but for n and ops. Never NULL. */
struct weft_take_msg *weft_take_create(size_t n);

/* Who decided. */
enum weft_decided {
    WEFT_DECIDED_REDIS,
    WEFT_DECIDED_LEASE, /* tokens at hand */
    WEFT_DECIDED_OPEN,  /* Redis is away */
    WEFT_DECIDED_CLOSED,
    WEFT_DECIDED_LOCAL
};

/* "redis", "lease", "open", "closed", "local" */
extern const char *const weft_decided_words[];

struct weft_taken_msg {
    struct weft_answer_msg answer; /* first, since it is delivered and freed as one; ticket only */
    bool taken;
    enum weft_decided by;
    size_t n;
    struct weft_bucket_told told[]; /* stands only, unless by Redis or local */
};

#endif
