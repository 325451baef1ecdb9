/*
 * breakers - the node's circuit breakers on the control thread: a table of what is known of each, and
 * all their traffic with Redis.
 *
 * Whoever wants something makes an operation (struct weft_breaker_op): a worker sends it as a request and
 * gets the answer as JSON, a feature of the control thread calls weft_breakers_do() and is called back.
 * Results of one breaker that come while Redis counts others are sent together.
 *
 * Redis away, or silent for breaker.patience_ms: calls and results are decided as each breaker says
 * (without_redis), all else is not available.
 */
#ifndef WEFT_GUARD_BREAKERS_H
#define WEFT_GUARD_BREAKERS_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/fabric/feature.h>
#include <weft/guard/breaker.h>
#include <weft/wire/name.h>

struct weft_breakers; /* opaque */

/* Yours; env is borrowed. WEFT_ENOMEM. */
int weft_breakers_create(struct weft_breakers **ret_brs, const struct weft_feature_env *env)
    WEFT_MUST_CHECK WEFT_ON_CONTROL;
/* After the connections. NULL is allowed. */
void weft_breakers_destroy(struct weft_breakers *brs) WEFT_ON_CONTROL;

/* A message of the breakers' channel. */
void weft_breakers_message(struct weft_breakers *brs, struct weft_str payload) WEFT_ON_CONTROL;
void weft_breakers_up(struct weft_breakers *brs) WEFT_ON_CONTROL;
void weft_breakers_down(struct weft_breakers *brs) WEFT_ON_CONTROL;

/* ---- operations ---- */

enum weft_breaker_op_kind {
    WEFT_BREAKER_OP_CONFIGURE, /* cfg */
    WEFT_BREAKER_OP_ACQUIRE,
    WEFT_BREAKER_OP_REPORT,    /* successes, failures, epoch: calls without permit */
    WEFT_BREAKER_OP_SETTLE,    /* permit, success */
    WEFT_BREAKER_OP_GIVE_BACK, /* permit, that was not used */
    WEFT_BREAKER_OP_FORCE,     /* force */
    WEFT_BREAKER_OP_REMOVE,
    WEFT_BREAKER_OP_READ
};

enum weft_breaker_rc {
    WEFT_BREAKER_DONE,
    WEFT_BREAKER_NOT_FOUND,
    WEFT_BREAKER_FULL,       /* configure: as many as breaker.max */
    WEFT_BREAKER_UNAVAILABLE /* Redis is away */
};

struct weft_breaker_result {
    enum weft_breaker_rc rc;
    bool yes;   /* configure: new; acquire: allowed; report, settle: counted; give back: it was out;
                   force: changed */
    bool alone; /* decided without Redis */
    bool known; /* view is set */
    struct weft_permit permit;
    uint64_t wait_ms; /* acquire, not allowed: when to ask again */
    struct weft_breaker_view view;
    /* read */
    uint64_t successes, failures; /* in the window */
    uint64_t nodes;               /* with failures in it */
    uint64_t permits;             /* that are out */
    uint64_t good;                /* permits that have come back good, in half_open */
    uint64_t opened;              /* times */
};

struct weft_breaker_op {
    enum weft_breaker_op_kind kind;
    char name[WEFT_NAME_MAX + 1]; /* a valid topic's name */
    struct weft_breaker_config cfg;
    uint64_t epoch, successes, failures;
    struct weft_permit permit;
    bool success;
    enum weft_breaker_force force;
    /* Called once, with the op, which is the caller's again. */
    void (*done)(struct weft_breaker_op *op, const struct weft_breaker_result *r);
    struct weft_breaker_op *next; /* the breakers', until done */
};

/* op lives until done is called, which may be at once. */
void weft_breakers_do(struct weft_breakers *brs, struct weft_breaker_op *op) WEFT_ON_CONTROL;

/* ---- requests of workers: made on any thread, posted to control; never NULL ---- */

/* op: copied, but for done and next. Answered as JSON. */
struct weft_request *weft_breakers_ask(const struct weft_breaker_op *op);
struct weft_request *weft_breakers_ask_list(void);
/* Good results of calls without permit, in that epoch: not answered. */
struct weft_request *weft_breakers_tell_results(struct weft_str name, uint64_t epoch,
                                                uint64_t successes);

/* ---- JSON of the API, for those who answer without asking ---- */

/* {"allowed":…,"state":…,"permit":…,"retry_after_ms":…}; permit "": null. */
void weft_breaker_print_acquired(struct weft_buf *b, bool allowed, enum weft_breaker_state state,
                                 const char *permit, uint64_t wait_ms);
/* {"counted":…,"state":…} */
void weft_breaker_print_reported(struct weft_buf *b, bool counted, enum weft_breaker_state state);

#endif
