/*
 * breakers_priv - what the files of the control side share. All of it on the control thread.
 *
 *   breakers.c          the table, what the channel says, what workers are told
 *   breaker_call.c      operations as commands, their replies
 *   breaker_refresh.c   compares the table with Redis
 *   breaker_without.c   operations without Redis
 *   breaker_request.c   requests of workers, JSON
 */
#ifndef WEFT_GUARD_BREAKERS_PRIV_H
#define WEFT_GUARD_BREAKERS_PRIV_H

#include <pthread.h>

#include <uthash.h>

#include <weft/config/config.h>
#include <weft/guard/breakers.h>
#include <weft/loop/timer.h>
#include <weft/redis/conn.h>
#include <weft/redis/keys.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

struct weft_breaker_call;

/* Results that wait until Redis has counted the ones before. The sums are of those that can count together. */
struct weft_breaker_queue {
    struct weft_breaker_op *first, *last;
    uint64_t epoch, successes, failures;
    uint64_t any_successes, any_failures; /* of them those that count in every epoch */
};

struct weft_breaker_entry {
    UT_hash_handle hh;
    struct weft_breaker_view view;
    uint64_t heard_ms;          /* monotonic: when the view came */
    struct weft_breaker *alone; /* decides while Redis is away, or answers with an error; or NULL */
    bool reporting;             /* Redis counts results of this one */
    uint64_t full_ms;      /* half-open: when Redis said that all permits are out; 0: it did not */
    uint64_t full_wait_ms; /* ... and when to ask again */
    struct weft_breaker_queue queue;
    char name[WEFT_NAME_MAX + 1];
};

struct weft_breaker_refresh {
    struct weft_timer *timer;
    struct weft_buf names; /* each with a NUL */
    size_t at;
    uint32_t in_flight;
    bool listing; /* SMEMBERS is under way */
};

struct weft_breakers {
    const struct weft_feature_env *env;
    pthread_t owner;
    struct weft_breaker_entry *entries;
    bool connected;
    bool silent;                     /* Redis has not answered in time, nor since */
    bool up;                         /* connected and not silent */
    uint64_t told_error;             /* hash of the error that was last told */
    struct weft_breaker_call *calls; /* in order (utlist DL) */
    struct weft_timer *patience;
    struct weft_breaker_refresh refresh;
};

/* ---- breakers.c ---- */
struct weft_breaker_entry *weft_breakers_find(struct weft_breakers *brs,
                                              struct weft_str name) WEFT_ON_CONTROL;
/* What Redis has said of it; older news than what is known are ignored. */
void weft_breakers_learn(struct weft_breakers *brs, struct weft_str name,
                         const struct weft_breaker_view *view) WEFT_ON_CONTROL;
/* What the node decided alone is over: Redis has decided, or knows more. */
void weft_breakers_together(struct weft_breaker_entry *e) WEFT_ON_CONTROL;
void weft_breakers_forget(struct weft_breakers *brs, struct weft_str name) WEFT_ON_CONTROL;
/* Whether Redis can be asked, as far as is known. */
bool weft_breakers_can_ask(const struct weft_breakers *brs) WEFT_ON_CONTROL;
/* Redis does not answer in time; or it does again. */
void weft_breakers_silent(struct weft_breakers *brs, bool silent) WEFT_ON_CONTROL;
size_t weft_breakers_count(const struct weft_breakers *brs) WEFT_ON_CONTROL;

/* ---- breaker_call.c ---- */
/* FCALL function: 4 keys (or 1), the channel and the name, then args. False: not up. */
bool weft_breaker_fcall(struct weft_breakers *brs, const char *function, struct weft_str name,
                        bool all_keys, size_t n, const struct weft_str *args,
                        weft_redis_replied *replied, void *ctx) WEFT_ON_CONTROL;
/* An error: counted, and told once. Functions that were flushed are loaded again. */
void weft_breaker_failed(struct weft_breakers *brs, const struct weft_reply *reply) WEFT_ON_CONTROL;
void weft_breakers_out_of_patience(void *ctx);

/* ---- breaker_refresh.c ---- */
int weft_breaker_refresh_init(struct weft_breakers *brs) WEFT_MUST_CHECK WEFT_ON_CONTROL;
void weft_breaker_refresh_fini(struct weft_breakers *brs) WEFT_ON_CONTROL;
void weft_breaker_refresh_begin(struct weft_breakers *brs) WEFT_ON_CONTROL;

/* ---- breaker_without.c ---- */
/* Calls op->done. */
void weft_breaker_without(struct weft_breakers *brs, struct weft_breaker_op *op) WEFT_ON_CONTROL;

#endif
