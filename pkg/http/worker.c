#include "worker_priv.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/auth/revoked.h>
#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/guard/breaker_cache.h>
#include <weft/guard/stocks.h>
#include <weft/loop/wake.h>
#include <weft/tls/server.h>

#define TICK_MS            100
#define DRAIN_MS           10 /* the longest turn while streams are moved away */
#define TICKS_PER_SWEEP    10 /* each waiting one is ticked once a second */
#define MANY_PATTERN_BYTES ((size_t)4 * 1024 * 1024)
#define LINGER_SWEEPS      30 /* seconds a topic without subscribers is still followed */
/* The longest event (http.max_body_bytes), with what a long-poll has before it, and all the gaps of a page. */
#define SCRATCH_MAX  ((size_t)128 * 1024 * 1024)
#define SCRATCH_KEEP ((size_t)1024 * 1024)
/* All topics that a subscription may have (http.max_topics), with what stands around them. */
#define WHAT_MAX      ((size_t)4 * 1024 * 1024)
#define STOP_MS       3000
#define STOP_GRACE_MS 200

/* ---- tickets ---- */

#define NO_SLOT UINT32_MAX

void weft_ticket_take(struct weft_worker *worker, struct weft_waiting *w)
{
    struct weft_slot *slot;

    if (worker->free_slot == NO_SLOT) {
        uint32_t n = worker->n_slots == 0 ? 256 : worker->n_slots * 2;

        worker->slots = realloc(worker->slots, n * sizeof(*worker->slots));
        WEFT_ASSERT(worker->slots != NULL);
        for (uint32_t i = n; i-- > worker->n_slots;) {
            worker->slots[i] = (struct weft_slot){NULL, 0, worker->free_slot};
            worker->free_slot = i;
        }
        worker->n_slots = n;
    }
    w->ticket.slot = worker->free_slot;
    slot = &worker->slots[w->ticket.slot];
    worker->free_slot = slot->next_free;
    slot->waiting = w;
    w->ticket.generation = ++slot->generation;
    worker->n_waiting++;
}

void weft_ticket_free(struct weft_worker *worker, struct weft_waiting *w)
{
    struct weft_slot *slot = &worker->slots[w->ticket.slot];

    WEFT_ASSERT(slot->waiting == w);
    slot->waiting = NULL;
    slot->next_free = worker->free_slot;
    worker->free_slot = w->ticket.slot;
    worker->n_waiting--;
}

void weft_ticket_renew(struct weft_worker *worker, struct weft_waiting *w)
{
    struct weft_slot *slot = &worker->slots[w->ticket.slot];

    WEFT_ASSERT(slot->waiting == w);
    w->ticket.generation = ++slot->generation;
}

struct weft_waiting *weft_ticket_find(const struct weft_worker *worker, struct weft_ticket ticket)
{
    const struct weft_slot *slot = &worker->slots[ticket.slot];

    return ticket.slot < worker->n_slots && slot->generation == ticket.generation ? slot->waiting
                                                                                  : NULL;
}

/* ---- messages of the hub ---- */

static void drop_published(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_published_msg, msg));
}

static void deliver_published(struct weft_msg *msg, void *owner)
{
    struct weft_published_msg *m = WEFT_CONTAINER_OF(msg, struct weft_published_msg, msg);
    struct weft_worker *worker = owner;
    struct weft_waiting *w;

    weft_role_assert_worker(worker->owner);
    w = weft_ticket_find(worker, m->ticket);
    if (w != NULL) {
        w->published(w, m);
    }
    free(m);
}

static void drop_followed(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_followed_msg, msg));
}

static void deliver_followed(struct weft_msg *msg, void *owner)
{
    struct weft_followed_msg *m = WEFT_CONTAINER_OF(msg, struct weft_followed_msg, msg);
    struct weft_worker *worker = owner;

    weft_role_assert_worker(worker->owner);
    weft_fanout_followed(worker->fanout, weft_str(m->topic, strlen(m->topic)), m->base, m->head);
    free(m);
}

static void drop_live(struct weft_msg *msg)
{
    weft_live_msg_free(WEFT_CONTAINER_OF(msg, struct weft_live_msg, msg));
}

static void deliver_live(struct weft_msg *msg, void *owner)
{
    struct weft_live_msg *m = WEFT_CONTAINER_OF(msg, struct weft_live_msg, msg);
    struct weft_worker *worker = owner;

    weft_role_assert_worker(worker->owner);
    for (uint32_t i = 0; i < m->n; i++) {
        weft_fanout_live(worker->fanout, m->batches[i]);
    }
    weft_live_msg_free(m);
}

static void drop_broken(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_broken_msg, msg));
}

static void deliver_broken(struct weft_msg *msg, void *owner)
{
    struct weft_broken_msg *m = WEFT_CONTAINER_OF(msg, struct weft_broken_msg, msg);
    struct weft_worker *worker = owner;

    weft_role_assert_worker(worker->owner);
    weft_fanout_broken(worker->fanout, m->from, m->base);
    free(m);
}

static void drop_page(struct weft_msg *msg)
{
    weft_page_msg_free(WEFT_CONTAINER_OF(msg, struct weft_page_msg, msg));
}

static void deliver_page(struct weft_msg *msg, void *owner)
{
    struct weft_page_msg *m = WEFT_CONTAINER_OF(msg, struct weft_page_msg, msg);
    struct weft_worker *worker = owner;
    struct weft_waiting *w;

    weft_role_assert_worker(worker->owner);
    w = weft_ticket_find(worker, m->ticket);
    if (w != NULL) {
        w->page(w, m);
    }
    weft_page_msg_free(m);
}

static void drop_answer(struct weft_msg *msg)
{
    weft_answer_msg_free(WEFT_CONTAINER_OF(msg, struct weft_answer_msg, msg));
}

static void deliver_answer(struct weft_msg *msg, void *owner)
{
    struct weft_answer_msg *m = WEFT_CONTAINER_OF(msg, struct weft_answer_msg, msg);
    struct weft_worker *worker = owner;
    struct weft_waiting *w;

    weft_role_assert_worker(worker->owner);
    w = weft_ticket_find(worker, m->ticket);
    if (w != NULL) {
        w->answer(w, m);
    }
    weft_answer_msg_free(m);
}

static void drop_redis(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_redis_msg, msg));
}

static void tell_redis(void *arg, struct weft_sub *sub)
{
    struct weft_receiver *rx = WEFT_CONTAINER_OF(sub, struct weft_receiver, sub);
    const bool *up = arg;

    weft_role_assert_worker(rx->worker->owner);
    rx->redis(rx, *up);
}

static void deliver_redis(struct weft_msg *msg, void *owner)
{
    struct weft_redis_msg *m = WEFT_CONTAINER_OF(msg, struct weft_redis_msg, msg);
    struct weft_worker *worker = owner;

    weft_role_assert_worker(worker->owner);
    if (m->up) {
        weft_fanout_up(worker->fanout, m->same ? NULL : &m->history);
    } else {
        weft_fanout_down(worker->fanout);
    }
    weft_fanout_each(worker->fanout, tell_redis, &m->up);
    weft_ws_redis(worker);
    free(m);
}

static void drop_canary(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_canary_msg, msg));
}

static void deliver_canary(struct weft_msg *msg, void *owner)
{
    struct weft_canary_msg *m = WEFT_CONTAINER_OF(msg, struct weft_canary_msg, msg);
    struct weft_worker *worker = owner;

    weft_role_assert_worker(worker->owner);
    atomic_store_explicit(&worker->o.canaries->sent_ns[worker->o.index], m->sent_ns,
                          memory_order_relaxed);
    weft_observe_ns(worker->o.shard, WEFT_H_CANARY, weft_clock_mono_ns() - m->sent_ns);
    free(m);
}

static const struct weft_worker_ops message_ops = {
    .published = {"published", deliver_published, drop_published},
    .followed = {"followed", deliver_followed, drop_followed},
    .live = {"live", deliver_live, drop_live},
    .broken = {"broken", deliver_broken, drop_broken},
    .page = {"page", deliver_page, drop_page},
    .answer = {"answer", deliver_answer, drop_answer},
    .redis = {"redis", deliver_redis, drop_redis},
    .canary = {"canary", deliver_canary, drop_canary},
};

const struct weft_worker_ops *weft_worker_message_ops(void)
{
    return &message_ops;
}

/* ---- the loop ---- */

/* A part of the waiting ones each time, so that no turn is long. */
static void sweep(struct weft_worker *worker) WEFT_ON_WORKER
{
    uint32_t n = worker->n_slots / TICKS_PER_SWEEP + 1;

    for (uint32_t i = 0; i < n && worker->n_slots > 0; i++) {
        struct weft_waiting *w;

        if (worker->sweep_at >= worker->n_slots) {
            worker->sweep_at = 0;
            weft_slowest_report(worker);
        }
        w = worker->slots[worker->sweep_at++].waiting;
        if (w != NULL && w->tick != NULL) {
            w->tick(w, worker->now_ms);
        }
    }
}

/* There were more than `many`, and most are gone. */
static bool has_shrunk(size_t *most, size_t n, size_t many)
{
    bool shrunk = *most > many && n < *most / 2;

    if (shrunk || n > *most) {
        *most = n;
    }
    return shrunk;
}

/* glibc keeps what thousands of connections, or of topics, have left behind; give it back when most are gone. */
static void trim(struct weft_worker *worker) WEFT_ON_WORKER
{
    bool fewer = has_shrunk(&worker->most_connections, worker->connections, 1000);
    bool quieter = has_shrunk(&worker->most_pattern_bytes,
                              weft_fanout_pattern_bytes(worker->fanout), MANY_PATTERN_BYTES);

    if (fewer || quieter) {
        worker->trim_at_ms = worker->now_ms + 1000;
    }
    if (worker->trim_at_ms != 0 && worker->now_ms >= worker->trim_at_ms) {
        worker->trim_at_ms = 0;
        (void)malloc_trim(0);
    }
}

/* Whose token was revoked ends now, and not at its next tick. */
static void recheck(struct weft_worker *worker) WEFT_ON_WORKER
{
    uint64_t version = weft_revoked_version(worker->o.revoked);

    if (version == worker->revoked_seen) {
        return;
    }
    worker->revoked_seen = version;
    for (uint32_t i = 0; i < worker->n_slots; i++) {
        struct weft_waiting *w = worker->slots[i].waiting;

        if (w != NULL && w->recheck != NULL) {
            w->recheck(w);
        }
    }
}

static void tick(struct weft_worker *worker) WEFT_ON_WORKER
{
    recheck(worker);
    weft_accept_tick(worker);
    weft_connections_look(worker);
    weft_linger_tick(worker);
    weft_fanout_tick(worker->fanout);
    weft_breaker_cache_flush(worker->parts.of[WEFT_PART_BREAKERS], worker->control);
    weft_stocks_tick(worker->stocks, worker->now_ms);
    sweep(worker);
    trim(worker);
    if (worker->scratch.cap > SCRATCH_KEEP) {
        weft_buf_fini(&worker->scratch);
        weft_buf_init(&worker->scratch, SCRATCH_MAX);
    }
}

static void move_receiver(void *arg, struct weft_sub *sub)
{
    struct weft_receiver *rx = WEFT_CONTAINER_OF(sub, struct weft_receiver, sub);

    weft_role_assert_worker(rx->worker->owner);
    (void)arg;
    rx->move(rx);
}

static void stop_receiver(void *arg, struct weft_sub *sub)
{
    struct weft_receiver *rx = WEFT_CONTAINER_OF(sub, struct weft_receiver, sub);

    weft_role_assert_worker(rx->worker->owner);
    (void)arg;
    rx->stop(rx);
}

static void begin_stop(struct weft_worker *worker) WEFT_ON_WORKER
{
    worker->stopping = true;
    worker->stop_began_ms = worker->now_ms;
    weft_accept_stop(worker);
    h2o_context_request_shutdown(&worker->ctx.h2o);
    weft_fanout_each(worker->fanout, move_receiver, NULL);
    weft_fanout_flush(worker->fanout);
    weft_ws_stop(worker);
    weft_fanout_each(worker->fanout, stop_receiver, NULL); /* who could not be told */
}

/* When nobody waits for an answer and answers had time to leave, idle connections are ended. */
static bool stopped(struct weft_worker *worker) WEFT_ON_WORKER
{
    uint64_t for_ms = worker->now_ms - worker->stop_began_ms;

    if (!worker->shut && worker->n_waiting == 0 && for_ms >= STOP_GRACE_MS) {
        worker->shut = true;
        weft_connections_shut(worker);
    }
    return worker->connections == 0 || for_ms >= STOP_MS;
}

/* It is on the calling thread now: its creator's, then that of run(), then of who destroys it. */
static void take_over(struct weft_worker *worker) WEFT_ASSERTS(weft_role_worker)
{
    worker->owner = pthread_self();
    weft_role_assert_worker(worker->owner);
}

/* On the worker's own thread: h2o's objects belong to it. */
static void dispose(struct weft_worker *worker) WEFT_ON_WORKER
{
    weft_fanout_destroy(worker->fanout);
    weft_poller_destroy(worker->poller);
    weft_wake_destroy(worker->wake);
    worker->fanout = NULL;
    worker->poller = NULL;
    worker->wake = NULL;
    /* Closed sockets are freed at the end of a turn. */
    (void)h2o_evloop_run(worker->ctx.h2o.loop, 0);
    h2o_context_dispose(&worker->ctx.h2o);
    h2o_evloop_destroy(worker->ctx.h2o.loop);
    h2o_config_dispose(&worker->globalconf);
}

/* How long the loop may sleep. */
static int32_t wait_ms(const struct weft_worker *worker) WEFT_ON_WORKER
{
    if (worker->ws_turns != NULL) {
        return 0;
    }
    return worker->drain.waits > 0 ? DRAIN_MS : TICK_MS;
}

static void *run(void *arg)
{
    struct weft_worker *worker = arg;
    char name[16];

    take_over(worker);
    (void)snprintf(name, sizeof(name), "weft-worker-%u", worker->o.index % 100);
    (void)pthread_setname_np(pthread_self(), name);
    worker->now_ms = worker->tick_ms = worker->round.began_ms = weft_clock_mono_ms();
    weft_accept_start(worker);
    for (;;) {
        (void)h2o_evloop_run(worker->ctx.h2o.loop, wait_ms(worker));
        worker->now_ms = weft_clock_mono_ms();
        if (worker->now_ms - worker->tick_ms >= TICK_MS) {
            worker->tick_ms = worker->now_ms;
            tick(worker);
        }
        weft_drain_turn(worker);
        weft_fanout_flush(worker->fanout);
        weft_ws_turns(worker);
        weft_fanout_flush(worker->fanout); /* subscriptions that have just been made */
        if (!worker->stopping && atomic_load_explicit(&worker->stop_asked, memory_order_acquire)) {
            begin_stop(worker);
        }
        if (worker->stopping && stopped(worker)) {
            break;
        }
    }
    if (worker->connections == 0) { /* else somebody does not let go: the process ends anyhow */
        dispose(worker);
    }
    return NULL;
}

/* ---- life ---- */

static void configure(struct weft_worker *worker)
{
    const struct weft_config *cfg = worker->o.cfg;
    h2o_hostconf_t *host;
    h2o_pathconf_t *path;
    h2o_handler_t *handler;

    h2o_config_init(&worker->globalconf);
    worker->globalconf.server_name = h2o_iovec_init(H2O_STRLIT("weft"));
    /* h2o refuses at the limit. */
    worker->globalconf.max_request_entity_size = cfg->http.max_body_bytes;
    worker->globalconf.http1.req_timeout = cfg->http.request_timeout_ms;
    worker->globalconf.handshake_timeout = cfg->tls.handshake_timeout_ms;
    worker->globalconf.http1.upgrade_to_http2 = 0; /* this libh2o can be aborted through HTTP/2 */
    /* Its timer would outlive the context. */
    worker->globalconf.http2.callbacks.request_shutdown = NULL;
    host =
        h2o_config_register_host(&worker->globalconf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    weft_fallback_register(host);
    weft_access_register(&host->fallback_path);
    path = h2o_config_register_path(host, "/", 0);
    handler = h2o_create_handler(path, sizeof(*handler));
    handler->on_req = weft_router_handle;
    weft_access_register(path);
}

int weft_worker_create(struct weft_worker **ret_worker, const struct weft_worker_opts *opts)
{
    struct weft_worker *worker = calloc(1, sizeof(*worker));
    struct weft_fanout_opts fo = {
        .ops = &weft_receiver_ops,
        .ctx = worker,
        .shard = opts->shard,
        .ring_events = opts->cfg->ring.events,
        .ring_bytes = opts->cfg->ring.bytes,
        .linger_sweeps = LINGER_SWEEPS,
        .latest_events = opts->cfg->slow.latest_events,
        .latest_ms = opts->cfg->slow.latest_ms,
        .hears_all = opts->cfg->hub.listen == WEFT_LISTEN_PARTITION,
        .held_bytes = opts->cfg->replay.held_bytes,
    };
    struct weft_breaker_cache *breakers = NULL;
    int rc;

    if (worker == NULL) {
        return WEFT_ENOMEM;
    }
    take_over(worker);
    worker->o = *opts;
    worker->rng = opts->seed | 1;
    worker->free_slot = NO_SLOT;
    worker->ctx.worker = worker;
    worker->tls = weft_tls_ref(opts->tls);
    weft_buf_init(&worker->scratch, SCRATCH_MAX);
    weft_buf_init(&worker->what, WHAT_MAX);
    weft_buf_init(&worker->form, (size_t)4 * 1024 * 1024);
    weft_buf_init(&worker->line, (size_t)32 * 1024);
    worker->checker = weft_checker_create(opts->cfg);
    configure(worker);
    h2o_context_init(&worker->ctx.h2o, h2o_evloop_create(), &worker->globalconf);
    worker->accept_ctx.ctx = &worker->ctx.h2o;
    worker->accept_ctx.hosts = worker->globalconf.hosts;
    rc = weft_mailbox_create(&worker->mb, opts->cfg->hub.mailbox, worker);
    if (rc == 0) {
        rc = weft_fanout_create(&worker->fanout, &fo);
    }
    if (rc == 0) {
        rc = weft_breaker_cache_create(&breakers, opts->shard);
        worker->parts.of[WEFT_PART_BREAKERS] = breakers;
    }
    if (rc == 0) {
        rc = weft_poller_create(&worker->poller, worker->ctx.h2o.loop);
    }
    if (rc == 0) {
        rc = weft_wake_on_h2o(&worker->wake, worker->ctx.h2o.loop, worker->mb, NULL, NULL);
    }
    if (rc != 0) {
        weft_worker_destroy(worker);
        return rc;
    }
    *ret_worker = worker;
    return 0;
}

struct weft_mailbox *weft_worker_mailbox(struct weft_worker *worker)
{
    return worker->mb;
}

int weft_worker_start(struct weft_worker *worker, struct weft_mailbox *hub,
                      struct weft_mailbox *control)
{
    struct weft_stocks_opts stocks = {.worker = worker->o.index,
                                      .n_workers = worker->o.n_workers,
                                      .lease_percent = worker->o.cfg->limits.lease_percent,
                                      .control = control,
                                      .shard = worker->o.shard};
    int rc;

    worker->hub = hub;
    worker->control = control;
    rc = weft_stocks_create(&worker->stocks, &stocks);
    if (rc != 0) {
        return rc;
    }
    worker->parts.of[WEFT_PART_BUCKETS] = worker->stocks;
    worker->streams = weft_streams_part_of(worker);
    worker->parts.of[WEFT_PART_STREAMS] = &worker->streams;
    if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
        return WEFT_ESYS;
    }
    worker->started = true;
    return 0;
}

void weft_worker_stop(struct weft_worker *worker)
{
    atomic_store_explicit(&worker->stop_asked, true, memory_order_release);
}

void weft_worker_use_tls(struct weft_worker *worker, struct weft_tls *tls)
{
    /* One that was not taken yet is not wanted any more. */
    weft_tls_unref(
        atomic_exchange_explicit(&worker->next_tls, weft_tls_ref(tls), memory_order_acq_rel));
}

void weft_worker_join(struct weft_worker *worker)
{
    if (worker->started) {
        (void)pthread_join(worker->thread, NULL);
        worker->started = false;
    }
}

void weft_worker_destroy(struct weft_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    WEFT_ASSERT(!worker->started);
    take_over(worker);
    weft_mailbox_destroy(worker->mb);
    weft_breaker_cache_destroy(worker->parts.of[WEFT_PART_BREAKERS]);
    weft_buf_fini(&worker->scratch);
    weft_buf_fini(&worker->what);
    weft_buf_fini(&worker->form);
    weft_buf_fini(&worker->line);
    weft_stocks_destroy(worker->stocks);
    weft_checker_destroy(worker->checker);
    weft_tls_unref(worker->tls);
    weft_tls_unref(atomic_load(&worker->next_tls));
    free(worker->slots);
    free(worker);
}
