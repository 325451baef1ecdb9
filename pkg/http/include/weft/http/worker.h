/*
 * worker - one thread that serves HTTP: its listener, its connections, its subscribers.
 *
 * HTTP/1.1 (and 1.0) by libh2o on its own loop; event streams are taken out of h2o after their head
 * and driven by the worker's own poller. A worker never blocks and never talks to Redis: it asks
 * the hub. Workers share nothing but the count of connections
 * and the board.
 */
#ifndef WEFT_HTTP_WORKER_H
#define WEFT_HTTP_WORKER_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include <weft/base/err.h>
#include <weft/fabric/msg.h>

struct weft_board;
struct weft_canaries;
struct weft_config;
struct weft_edge;
struct weft_keychain;
struct weft_labels;
struct weft_log;
struct weft_mailbox;
struct weft_metrics;
struct weft_revoked;
struct weft_shard;
struct weft_tls;
struct weft_worker; /* opaque */
struct ssl_st;

struct weft_worker_opts {
    const struct weft_config *cfg;  /* borrowed */
    const char *node_id;            /* borrowed */
    uint32_t index, n_workers;      /* this worker is number index of so many */
    int listen_fd;                  /* bound and listening, non-blocking; moved */
    struct weft_metrics *metrics;   /* borrowed */
    struct weft_labels *labels;     /* borrowed; further metrics, for /metrics */
    struct weft_shard *shard;       /* borrowed; this worker's own */
    struct weft_log *log;           /* borrowed */
    atomic_uint *connections;       /* borrowed; of the whole node */
    struct weft_canaries *canaries; /* borrowed; of the whole node: writes its own place */
    struct weft_board *board;       /* borrowed; of the whole node */
    struct weft_edge *edge;         /* borrowed; of the whole node */
    struct weft_keychain *keychain; /* borrowed; keys for tokens */
    struct weft_revoked *revoked;   /* borrowed; tokens that are not good any more */
    struct weft_tls
        *tls; /* made with weft_worker_tls_told; a reference is taken. NULL: in the clear */
    uint64_t seed;
};

/* Yours. WEFT_ENOMEM, WEFT_ESYS. */
int weft_worker_create(struct weft_worker **ret_worker, const struct weft_worker_opts *opts)
    WEFT_MUST_CHECK;
/* Where the hub posts to. */
struct weft_mailbox *weft_worker_mailbox(struct weft_worker *worker);
/* What the hub's messages do here: the same table for all workers. */
const struct weft_worker_ops *weft_worker_message_ops(void);
/* Starts its thread. The mailboxes of the hub and of control are borrowed. */
int weft_worker_start(struct weft_worker *worker, struct weft_mailbox *hub,
                      struct weft_mailbox *control) WEFT_MUST_CHECK;
/* Any thread: from now on it is not ready (/readyz), and ends each connection with its answer. */
void weft_worker_leave(struct weft_worker *worker);
/* Any thread: those who connect from now on get this one (a reference is taken). Only for a worker that was made with one. */
void weft_worker_use_tls(struct weft_worker *worker, struct weft_tls *tls);
/* For weft_tls_opts of what a worker is given. */
void weft_worker_tls_told(const struct ssl_st *ssl, int where, int ret);
/*
 * Any thread, once, after leave: its streams are told `weft.moved` and ended, spread over period_ms; new ones
 * are told so at once. All else is served as before.
 */
void weft_worker_drain(struct weft_worker *worker, uint32_t period_ms);
/* Any thread, after drain: how many of them are still there (1 until it has counted them). */
uint32_t weft_worker_undrained(const struct weft_worker *worker);
/*
 * Any thread: no new connections; requests under way are finished, streams that are left are moved
 * at once or cut; the thread ends within some seconds.
 */
void weft_worker_stop(struct weft_worker *worker);
void weft_worker_join(struct weft_worker *worker);
/* After join, and after the hub stopped posting. NULL is allowed. */
void weft_worker_destroy(struct weft_worker *worker);

/* One line `METHOD /path` for each route, for documentation and tests. */
void weft_routes_print(FILE *out);

#endif
