/*
 * buckets_priv - what the files of buckets share. All of it on the control thread.
 *
 *   buckets.c        the feature; set, delete, look, list
 *   bucket_takes.c   takes: gathering, sending, answering
 *   bucket_known.c   what nodes know of buckets, and what they decide without Redis
 *   bucket_leases.c  asks of the workers' stocks
 *   bucket_wire.c    arguments and answers of the functions (pure)
 */
#ifndef WEFT_GUARD_BUCKETS_PRIV_H
#define WEFT_GUARD_BUCKETS_PRIV_H

#include <weft/guard/buckets.h>

#include <weft/base/buf.h>
#include <weft/redis/conn.h>
#include <weft/redis/keys.h>
#include <weft/redis/reply.h>

struct weft_known;
struct weft_timer;
struct weft_take_batch;

struct weft_buckets {
    const struct weft_feature_env *env;
    bool up;                        /* and every message of the channel comes */
    bool late;                      /* Redis owes an answer for longer than limits.redis_wait_ms */
    uint32_t nodes;                 /* that listen: each has its share of a local bucket */
    struct weft_timer *nodes_timer; /* when to count them again */

    /* bucket_takes.c */
    struct weft_take_msg *queue, **queue_tail;
    size_t queued;
    struct weft_timer *flush_timer, *late_timer;
    struct weft_take_batch *batches, **batches_tail; /* under way, oldest first */
    bool error_told; /* what Redis answers to takes, once until it answers something else */
    bool loading;    /* the functions, which somebody has flushed */

    /* bucket_known.c */
    struct weft_known *known;
};

/* Commands are taken, and answered in time. */
static inline bool weft_buckets_can_ask(const struct weft_buckets *bks)
{
    return bks->env->cn != NULL && weft_redis_conn_is_up(bks->env->cn) && !bks->late;
}

/* ---- bucket_takes.c ---- */
int weft_takes_init(struct weft_buckets *bks) WEFT_ON_CONTROL;
/* After the connection has ended. */
void weft_takes_fini(struct weft_buckets *bks) WEFT_ON_CONTROL;

/* ---- bucket_known.c ---- */
/* An answer said how it is set. */
void weft_known_learn(struct weft_buckets *bks, const char *name,
                      const struct weft_bucket_conf *conf) WEFT_ON_CONTROL;
void weft_known_forget(struct weft_buckets *bks, struct weft_str name) WEFT_ON_CONTROL;
void weft_known_forget_all(struct weft_buckets *bks) WEFT_ON_CONTROL;
/* What is decided without Redis. ret_told: of each item. */
bool weft_known_decide(struct weft_buckets *bks, const struct weft_take_msg *m, int64_t now_ms,
                       enum weft_decided *ret_by,
                       struct weft_bucket_told *ret_told) WEFT_ON_CONTROL;

/* ---- bucket_leases.c ---- */
/* To all workers: what they hold of it goes back. "" for all. */
void weft_leases_forget(struct weft_buckets *bks, struct weft_str name) WEFT_ON_CONTROL;

struct weft_lease_msg {
    struct weft_request rq;
    uint64_t stock; /* which of the worker's: a later one of the same bucket has another number */
    struct weft_stock_ask ask;
    struct weft_bucket_conf given; /* capacity 0: as set */
    char name[WEFT_NAME_MAX + 1];
};

/* Never NULL. */
struct weft_lease_msg *weft_lease_msg_create(void);

/* ---- stocks.c: to a worker's stocks ---- */
struct weft_leased_msg {
    struct weft_msg msg;
    uint64_t stock;
    bool sent; /* to Redis */
    bool ok;   /* answered */
    struct weft_stock_ask ask;
    int64_t got;
    struct weft_bucket_told told;
    char name[WEFT_NAME_MAX + 1];
};

struct weft_forget_msg {
    struct weft_msg msg;
    char name[WEFT_NAME_MAX + 1];
};

extern const struct weft_msg_ops weft_leased_ops;
extern const struct weft_msg_ops weft_forget_ops;

/* ---- bucket_wire.c ---- */
/* Refill per second as text: 0.5, 1000. */
void weft_bucket_rate_print(struct weft_buf *b, int64_t rate);
/* Elements at .. at + 6 of an array, as bucket_tell (bucket.lua) writes them. False: they are not that. */
bool weft_bucket_told_read(const struct weft_reply *array, size_t at,
                           struct weft_bucket_told *ret_told);
/* One bucket as JSON, from weft1_bucket_look. */
void weft_bucket_json(struct weft_buf *b, struct weft_str name, const struct weft_bucket_told *told,
                      uint64_t would_refuse);

#endif
