/*
 * hub - the data path to Redis: one thread that owns its connections and serves all workers of a
 * node.
 *
 * It commits publishes in groups, follows topics for whoever asks, formats each live event once,
 * and reads pages of the log, equal ones once. What it is told and what it tells stands in msg.h.
 * It does not know HTTP, subscribers or cursors of theirs.
 */
#ifndef WEFT_FABRIC_HUB_H
#define WEFT_FABRIC_HUB_H

#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/fabric/canary.h>
#include <weft/fabric/msg.h>

struct weft_config;
struct weft_hub; /* opaque */
struct weft_log;
struct weft_mailbox;
struct weft_shard;

struct weft_hub_opts {
    const struct weft_config *cfg;        /* borrowed; redis, history, publish, replay, hub */
    const struct weft_worker_ops *ops;    /* borrowed: what a worker does with each message */
    struct weft_mailbox *const *workers;  /* borrowed; all of them exist before start */
    size_t n_workers;                     /* 1 .. WEFT_WORKERS_MAX */
    const char *node_id;                  /* borrowed */
    const struct weft_canaries *canaries; /* borrowed; what the workers have heard */
    struct weft_shard *shard;             /* borrowed; the hub's own */
    struct weft_log *log;                 /* borrowed */
    uint64_t seed;                        /* of jitter */
};

/* Yours. WEFT_EINVAL (err names the parameter), WEFT_ENOMEM, WEFT_ESYS. */
int weft_hub_create(struct weft_hub **ret_hub, const struct weft_hub_opts *opts,
                    struct weft_err *err) WEFT_MUST_CHECK;
/* Starts its thread, which connects to Redis for as long as it takes. */
int weft_hub_start(struct weft_hub *hub) WEFT_MUST_CHECK;
/* Ends the thread and waits for it. Publishes in flight are answered unavailable. */
void weft_hub_stop(struct weft_hub *hub);
/* After stop, and after the workers' threads ended. NULL is allowed. */
void weft_hub_destroy(struct weft_hub *hub);

/* Where workers post to. */
struct weft_mailbox *weft_hub_mailbox(struct weft_hub *hub);

#endif
