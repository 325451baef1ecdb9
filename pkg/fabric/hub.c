#include "hub_priv.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/loop/wake.h>
#include <weft/redis/sentinel.h>
#include <weft/redis/tls.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

/* ---- to the workers ---- */

static void send_live(struct weft_hub *hub, uint32_t worker) WEFT_ON_HUB
{
    struct weft_outbox *out = &hub->out[worker];
    struct weft_live_msg *m;

    if (out->n_live == 0) {
        return;
    }
    m = calloc(1, sizeof(*m) + out->n_live * sizeof(struct weft_batch *));
    WEFT_ASSERT(m != NULL);
    m->msg.ops = &hub->o.ops->live;
    m->n = (uint32_t)out->n_live;
    memcpy(m->batches, out->live, out->n_live * sizeof(struct weft_batch *));
    out->n_live = 0;
    weft_hub_send(hub, worker, &m->msg);
}

void weft_hub_send(struct weft_hub *hub, uint32_t worker, struct weft_msg *msg)
{
    struct weft_outbox *out = &hub->out[worker];

    /* Order is what makes a ring complete: live events that came before this message go first. */
    if (msg->ops != &hub->o.ops->live) {
        send_live(hub, worker);
    }
    msg->next = NULL;
    if (out->last != NULL) {
        out->last->next = msg;
    } else {
        out->first = msg;
    }
    out->last = msg;
    out->n++;
}

static void send_redis(struct weft_hub *hub, uint32_t worker, bool up, bool same) WEFT_ON_HUB
{
    struct weft_redis_msg *m = calloc(1, sizeof(*m));

    WEFT_ASSERT(m != NULL);
    m->msg.ops = &hub->o.ops->redis;
    m->up = up;
    m->same = same;
    m->history = hub->history;
    m->history.head = hub->head;
    weft_hub_send(hub, worker, &m->msg);
}

void weft_hub_flush(struct weft_hub *hub)
{
    weft_live_seal(hub);
    for (uint32_t w = 0; w < hub->o.n_workers; w++) {
        struct weft_outbox *out = &hub->out[w];

        if (out->lost && !out->behind && hub->up) {
            /* It missed events while it was behind: to it, Redis was away; the log has them. */
            out->lost = false;
            send_redis(hub, w, false, true);
            send_redis(hub, w, true, true);
            weft_follow_again(hub, w);
        }
        send_live(hub, w);
        if (out->first != NULL) {
            weft_mailbox_post_chain(hub->o.workers[w], out->first, out->last, out->n);
            out->first = out->last = NULL;
            out->n = 0;
        }
        out->behind = weft_mailbox_len(hub->o.workers[w]) > hub->o.cfg->hub.mailbox;
        if (out->behind) {
            weft_count(hub->o.shard, WEFT_M_MAILBOX_FULL, 1);
        }
    }
}

void weft_hub_see_head(struct weft_hub *hub, struct weft_id id)
{
    if (id.seq > hub->head.seq) {
        hub->head = id;
    }
}

/* ---- connections ---- */

static void tell_redis(struct weft_hub *hub, bool up) WEFT_ON_HUB
{
    hub->up = up;
    hub->epoch++;
    weft_gauge_set(hub->o.shard, WEFT_G_REDIS_UP, up ? 1 : 0);
    for (uint32_t w = 0; w < hub->o.n_workers; w++) {
        send_redis(hub, w, up, false);
    }
}

/* Which history Redis holds is known: only now subscribers can be told that it is back. */
static void history_arrived(void *ctx, const struct weft_reply *reply)
{
    struct weft_hub *hub = ctx;
    struct weft_history history;

    weft_role_assert_hub(hub->owner);
    hub->asking = false;
    if (!weft_head_take(hub, reply, 0, &history, NULL)) {
        return; /* the connection has gone again; after an error it is asked for with the canary's beat */
    }
    hub->history = history;
    hub->head = history.head;
    hub->stale_ns = 0;
    tell_redis(hub, true);
    weft_follow_connected(hub);
    weft_reader_resume(hub->reader);
    weft_canary_connected(hub->canary);
    weft_hub_flush(hub);
}

void weft_hub_come_up(struct weft_hub *hub)
{
    if (!hub->up && !hub->asking && weft_redis_conn_is_up(hub->cmd) &&
        weft_redis_conn_is_up(hub->sub) && weft_redis_conn_is_up(hub->rd) &&
        weft_redis_conn_is_up(hub->ack)) {
        hub->asking = weft_head_ask(hub, history_arrived, hub) == 0;
    }
}

static void connection_up(void *ctx)
{
    struct weft_hub *hub = ctx;

    weft_role_assert_hub(hub->owner);
    weft_hub_come_up(hub);
}

static void go_down(struct weft_hub *hub) WEFT_ON_HUB
{
    if (hub->up) {
        tell_redis(hub, false);
        weft_reader_forget(hub->reader);
        weft_hub_flush(hub);
    }
}

static void cmd_down(void *ctx, const char *why)
{
    struct weft_hub *hub = ctx;

    weft_role_assert_hub(hub->owner);
    (void)why;
    go_down(hub);
}

static void sub_down(void *ctx, const char *why)
{
    struct weft_hub *hub = ctx;

    weft_role_assert_hub(hub->owner);
    (void)why;
    weft_follow_disconnected(hub);
    go_down(hub);
}

/* Only who waits for replicas misses it; the committer answers them. */
static void ack_down(void *ctx, const char *why)
{
    (void)ctx;
    (void)why;
}

void weft_hub_history_changed(struct weft_hub *hub, const char *why)
{
    if (!hub->up) {
        return; /* it is asked for already */
    }
    weft_log(hub->o.log, WEFT_LOG_WARN, "redis.history_changed", WEFT_S("why", why));
    weft_count(hub->o.shard, WEFT_M_HISTORY_CHANGES, 1);
    go_down(hub);
    weft_hub_come_up(hub);
}

static void message_arrived(void *ctx, struct weft_str channel, struct weft_str payload)
{
    struct weft_hub *hub = ctx;

    weft_role_assert_hub(hub->owner);
    if (!weft_canary_arrived(hub->canary, channel, payload)) {
        weft_live_arrived(hub, channel, payload);
    }
}

static void pong(void *ctx, struct weft_str token)
{
    struct weft_hub *hub = ctx;

    weft_role_assert_hub(hub->owner);
    weft_reconcile_pong(hub->reconciler, token);
}

static void subscribed(void *ctx, struct weft_str channel, bool on)
{
    struct weft_hub *hub = ctx;

    weft_role_assert_hub(hub->owner);
    if (!weft_canary_subscribed(hub->canary, channel)) {
        weft_follow_confirmed(hub, channel, on);
    }
}

static void flush_commits(struct weft_hub *hub) WEFT_ON_HUB
{
    weft_commit_flush(hub->committer);
    weft_commit_flush(hub->acker);
    weft_gauge_set(
        hub->o.shard, WEFT_G_PUBLISH_QUEUE_EVENTS,
        (int64_t)(weft_commit_waiting(hub->committer) + weft_commit_waiting(hub->acker)));
}

/* The end of a turn, whoever began it. */
static void turn_ended(void *ctx)
{
    struct weft_hub *hub = ctx;

    weft_role_assert_hub(hub->owner);
    weft_follow_flush(hub);
    flush_commits(hub);
    weft_hub_flush(hub);
    hub->turn_ns = 0;
}

static int connect_all(struct weft_hub *hub) WEFT_ON_HUB
{
    static const char *const what[] = {"publish", "live", "read", "ack"};
    struct weft_redis_source_opts from = {.base = hub->base,
                                          .name = hub->name,
                                          .seed = hub->o.seed,
                                          .shard = hub->o.shard,
                                          .log = hub->o.log,
                                          .ctx = hub,
                                          .moved = weft_hub_master_moved};
    int rc = weft_redis_source_begin(hub->source, &from);
    struct weft_redis_conn_opts o = weft_redis_source_conn(hub->source);

    o.ctx = hub;
    o.message_arrived = message_arrived;
    o.subscribed = subscribed;
    o.pong = pong;
    o.drained = turn_ended;
    o.up = connection_up;
    for (int i = 0; i < 4 && rc == 0; i++) {
        struct weft_redis_conn **at[] = {&hub->cmd, &hub->sub, &hub->rd, &hub->ack};

        (void)snprintf(hub->names[i], sizeof(hub->names[i]), "%s-%s", hub->name, what[i]);
        o.name = hub->names[i];
        o.seed = hub->o.seed + (uint64_t)i * 7919;
        o.functions = i == 0;
        o.subscriber = i == 1;
        o.down = i == 1 ? sub_down : i == 3 ? ack_down : cmd_down;
        if (i == 3) {
            o.command_timeout_ms += hub->o.cfg->publish.ack_timeout_ms; /* WAIT takes so long */
        }
        rc = weft_redis_conn_create(at[i], &o);
    }
    weft_commit_connect(hub->committer, hub->cmd);
    weft_commit_connect(hub->acker, hub->ack);
    return rc;
}

/* ---- life ---- */

/* It is on the calling thread now: its creator's, then that of run(), then of who stops it. */
static void take_over(struct weft_hub *hub) WEFT_ASSERTS(weft_role_hub)
{
    hub->owner = pthread_self();
    weft_role_assert_hub(hub->owner);
}

int weft_hub_create(struct weft_hub **ret_hub, const struct weft_hub_opts *opts,
                    struct weft_err *err)
{
    struct weft_hub *hub = calloc(1, sizeof(*hub));
    int rc;

    if (hub == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    WEFT_ASSERT(opts->n_workers >= 1 && opts->n_workers <= WEFT_WORKERS_MAX);
    take_over(hub);
    hub->o = *opts;
    weft_buf_init(&hub->channel, 256);
    weft_batch_builder_init(&hub->bb);
    (void)snprintf(hub->name, sizeof(hub->name), "weft-%.48s", opts->node_id);
    rc = weft_redis_source_load(&hub->source, opts->cfg, err);
    if (rc == 0) {
        hub->keys.prefix = opts->cfg->redis.prefix;
        hub->keys.db = weft_redis_source_db(hub->source);
        weft_chan_partition(&hub->channel, &hub->keys);
        rc = weft_retention_rules_init(&hub->retention, &opts->cfg->history, err);
    }
    if (rc == 0) {
        hub->base = event_base_new();
        rc = hub->base == NULL ? WEFT_ESYS
                               : weft_mailbox_create(&hub->mb, opts->cfg->hub.mailbox, hub);
        if (rc == 0) {
            rc = weft_committer_create(&hub->committer, hub, false);
        }
        if (rc == 0) {
            rc = weft_committer_create(&hub->acker, hub, true);
        }
        if (rc == 0) {
            rc = weft_reader_create(&hub->reader, hub);
        }
        weft_follow_init(hub);
        if (rc == 0) {
            rc = weft_reconciler_create(&hub->reconciler, hub);
        }
        if (rc == 0) {
            rc = weft_canary_create(&hub->canary, hub);
        }
        if (rc == 0) {
            rc = weft_wake_on_event(&hub->wake, hub->base, hub->mb, turn_ended, hub);
        }
        if (rc != 0) {
            (void)weft_err_set(err, rc, "", "the hub cannot start: %s", weft_err_text(rc));
        }
    }
    if (rc != 0) {
        weft_hub_destroy(hub);
        return rc;
    }
    *ret_hub = hub;
    return 0;
}

static bool waits_for_redis(const struct weft_hub *hub) WEFT_ON_HUB
{
    return hub->up &&
           (weft_redis_conn_waiting(hub->cmd) > 0 || weft_redis_conn_waiting(hub->rd) > 0);
}

/*
 * Redis answers in tens of microseconds, while to sleep and be woken may take longer than that, on
 * a virtual machine above all. So for a moment after a command it looks instead of sleeping, and
 * lets others run in between.
 */
static void spin(struct weft_hub *hub) WEFT_ON_HUB
{
    uint64_t until = weft_clock_mono_ns() + (uint64_t)hub->o.cfg->hub.spin_us * 1000;

    while (!hub->stop && waits_for_redis(hub) && weft_clock_mono_ns() < until) {
        if (event_base_loop(hub->base, EVLOOP_NONBLOCK) != 0) {
            return;
        }
        (void)sched_yield();
    }
}

static void *run(void *arg)
{
    struct weft_hub *hub = arg;

    take_over(hub);
    (void)pthread_setname_np(pthread_self(), "weft-hub");
    if (connect_all(hub) == 0) {
        while (!hub->stop &&
               event_base_loop(hub->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) >= 0) {
            spin(hub);
        }
    } else {
        weft_log(hub->o.log, WEFT_LOG_ERROR, "hub.failed", WEFT_S("why", "no connection object"));
    }
    return NULL;
}

int weft_hub_start(struct weft_hub *hub)
{
    if (pthread_create(&hub->thread, NULL, run, hub) != 0) {
        return WEFT_ESYS;
    }
    hub->started = true;
    return 0;
}

static void deliver_stop(struct weft_msg *msg, void *owner)
{
    struct weft_hub *hub = owner;

    weft_role_assert_hub(hub->owner);
    free(msg);
    hub->stop = true;
}

static void drop_stop(struct weft_msg *msg)
{
    free(msg);
}

void weft_hub_stop(struct weft_hub *hub)
{
    static const struct weft_msg_ops stop_ops = {"stop", deliver_stop, drop_stop};
    struct weft_msg *msg;

    if (!hub->started) {
        return;
    }
    msg = calloc(1, sizeof(*msg));
    WEFT_ASSERT(msg != NULL);
    msg->ops = &stop_ops;
    weft_mailbox_post_chain(hub->mb, msg, msg, 1);
    (void)pthread_join(hub->thread, NULL);
    hub->started = false;
    take_over(hub);
    hub->up = false;
    /* Waiting commands are answered now; the answers reach workers that still run. */
    weft_redis_conn_destroy(hub->cmd);
    weft_redis_conn_destroy(hub->sub);
    weft_redis_conn_destroy(hub->rd);
    weft_redis_conn_destroy(hub->ack);
    hub->cmd = hub->sub = hub->rd = hub->ack = NULL;
    weft_redis_source_destroy(hub->source);
    hub->source = NULL;
    weft_commit_connect(hub->committer, NULL);
    weft_commit_connect(hub->acker, NULL);
    flush_commits(hub);
    weft_hub_flush(hub);
}

void weft_hub_destroy(struct weft_hub *hub)
{
    if (hub == NULL) {
        return;
    }
    WEFT_ASSERT(!hub->started);
    take_over(hub);
    weft_canary_destroy(hub->canary);
    weft_reconciler_destroy(hub->reconciler);
    weft_reader_destroy(hub->reader);
    weft_committer_destroy(hub->committer);
    weft_committer_destroy(hub->acker);
    weft_follow_fini(hub);
    weft_wake_destroy(hub->wake);
    weft_mailbox_destroy(hub->mb);
    for (size_t w = 0; w < hub->o.n_workers; w++) {
        free(hub->out[w].live);
    }
    weft_batch_builder_fini(&hub->bb);
    weft_buf_fini(&hub->channel);
    weft_retention_rules_fini(&hub->retention);
    weft_redis_source_destroy(hub->source);
    if (hub->base != NULL) {
        /* Questions to the name server that nobody waits for any more end here. */
        (void)event_base_loop(hub->base, EVLOOP_NONBLOCK);
        event_base_free(hub->base);
    }
    free(hub);
}

struct weft_mailbox *weft_hub_mailbox(struct weft_hub *hub)
{
    return hub->mb;
}
