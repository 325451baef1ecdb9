/*
 * sweeper - trims what is too old in all topics, and removes topics without news (history.* in
 * docs/configuration.md), while it is this node's turn.
 *
 * It walks the topics in small steps, one command at a time with a pause behind each, and calls
 * weft1_retain for those that some bound concerns. Two sweepers at once would do no harm, only
 * the same work twice; a lease keeps that from being usual.
 *
 * It knows neither leases nor threads: whoever creates it calls it, on the loop's thread, which has
 * the role `control`.
 */
#ifndef WEFT_FABRIC_SWEEPER_H
#define WEFT_FABRIC_SWEEPER_H

#include <weft/base/err.h>
#include <weft/base/role.h>

struct event_base;
struct weft_config;
struct weft_log;
struct weft_redis_conn;
struct weft_shard;
struct weft_sweeper; /* opaque */

struct weft_sweeper_opts {
    struct event_base *base;       /* borrowed */
    struct weft_redis_conn *cn;    /* borrowed */
    const struct weft_config *cfg; /* borrowed; redis.prefix, history */
    struct weft_shard *shard;      /* borrowed */
    struct weft_log *log;          /* borrowed */
};

/* Yours; does nothing before begin. WEFT_EINVAL (err names the parameter), WEFT_ENOMEM, WEFT_ESYS. */
int weft_sweeper_create(struct weft_sweeper **ret_sw, const struct weft_sweeper_opts *opts,
                        struct weft_err *err) WEFT_ON_CONTROL WEFT_MUST_CHECK;
/* After the connection was destroyed. NULL is allowed. */
void weft_sweeper_destroy(struct weft_sweeper *sw) WEFT_ON_CONTROL;

/* This node's turn: sweeps at once and every history.sweep_ms. */
void weft_sweeper_begin(struct weft_sweeper *sw) WEFT_ON_CONTROL;
/* Not any more: no command is sent from now on. */
void weft_sweeper_end(struct weft_sweeper *sw) WEFT_ON_CONTROL;

#endif
