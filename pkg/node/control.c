#include "control_priv.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include <weft/base/assert.h>
#include <weft/config/config.h>
#include <weft/fabric/publisher.h>
#include <weft/loop/mailbox.h>
#include <weft/loop/wake.h>
#include <weft/redis/conn.h>
#include <weft/redis/lease.h>
#include <weft/redis/source.h>
#include <weft/telemetry/log.h>

/*
 * Everything but the mailbox lives and dies on the thread itself: loop -> connection -> jobs -> their
 * leases, and back: leases are given, the connection ends (which answers whatever still waits), then
 * leases and jobs go.
 */

#define GIVE_MS 500 /* for Redis to answer that the leases were given back */

/* A job of this node, and its lease. */
struct running {
    const struct weft_job *job;
    void *self;
    struct weft_lease *lease;
};

/* A feature of this node. */
struct featured {
    const struct weft_feature *feature;
    void *self;
    struct weft_feature_env env;
    struct weft_buf channel;
    bool heard; /* its channel is subscribed */
};

struct weft_control {
    struct weft_parts parts; /* first: features find themselves by the owner of the mailbox */
    /* Const after create. */
    struct weft_control_opts o;
    struct weft_keys keys;
    struct weft_redis_source *source;
    struct weft_mailbox *mb;
    char name[80]; /* of the connections */
    char sub_name[80];

    /* The node's thread. */
    pthread_t thread;
    bool started;

    pthread_t owner; /* the control thread, once it runs */
    struct event_base *base WEFT_OF_CONTROL;
    struct weft_wake *wake WEFT_OF_CONTROL;
    struct weft_redis_conn *cn WEFT_OF_CONTROL;  /* commands */
    struct weft_redis_conn *sub WEFT_OF_CONTROL; /* the features' channels */
    struct weft_publisher *publisher WEFT_OF_CONTROL;
    struct running jobs[WEFT_JOBS_MAX] WEFT_OF_CONTROL;
    size_t n_jobs WEFT_OF_CONTROL;
    struct featured features[WEFT_FEATURES_MAX] WEFT_OF_CONTROL;
    size_t n_features WEFT_OF_CONTROL;
    bool up WEFT_OF_CONTROL; /* as features know it */
    bool stopping WEFT_OF_CONTROL;
};

/* ---- the connections ---- */

/* Features are up when both connections are, and every channel is heard. */
static void tell_features(struct weft_control *control) WEFT_ON_CONTROL
{
    bool up = weft_redis_conn_is_up(control->cn) && weft_redis_conn_is_up(control->sub);

    for (size_t i = 0; i < control->n_features; i++) {
        up = up && (control->features[i].heard || control->features[i].feature->channel == NULL);
    }
    if (up == control->up) {
        return;
    }
    control->up = up;
    for (size_t i = 0; i < control->n_features; i++) {
        const struct weft_feature *feature = control->features[i].feature;
        void (*tell)(void *self) = up ? feature->up : feature->down;

        if (tell != NULL) {
            tell(control->features[i].self);
        }
    }
}

static void connection_up(void *ctx)
{
    struct weft_control *control = ctx;

    weft_role_assert_control(control->owner);
    for (size_t i = 0; i < control->n_jobs; i++) {
        weft_lease_retry(control->jobs[i].lease);
    }
    tell_features(control);
}

/* Leases and jobs see it by the answers that do not come. */
static void connection_down(void *ctx, const char *why)
{
    struct weft_control *control = ctx;

    (void)why;
    weft_role_assert_control(control->owner);
    tell_features(control);
}

static void sub_up(void *ctx)
{
    struct weft_control *control = ctx;

    weft_role_assert_control(control->owner);
    for (size_t i = 0; i < control->n_features; i++) {
        struct weft_buf *channel = &control->features[i].channel;
        struct weft_str argv[] = {WEFT_STR("SUBSCRIBE"), weft_str(channel->data, channel->len)};

        control->features[i].heard = false;
        if (channel->len > 0 && weft_redis_send(control->sub, NULL, NULL, 2, argv) != 0) {
            break; /* not up any more: it comes back */
        }
    }
    tell_features(control);
}

static void sub_down(void *ctx, const char *why)
{
    struct weft_control *control = ctx;

    (void)why;
    weft_role_assert_control(control->owner);
    for (size_t i = 0; i < control->n_features; i++) {
        control->features[i].heard = false;
    }
    tell_features(control);
}

static struct featured *find_channel(struct weft_control *control,
                                     struct weft_str channel) WEFT_ON_CONTROL
{
    for (size_t i = 0; i < control->n_features; i++) {
        struct featured *f = &control->features[i];

        if (f->channel.len > 0 && weft_str_eq(channel, weft_str(f->channel.data, f->channel.len))) {
            return f;
        }
    }
    return NULL;
}

static void sub_subscribed(void *ctx, struct weft_str channel, bool on)
{
    struct weft_control *control = ctx;
    struct featured *f;

    weft_role_assert_control(control->owner);
    f = find_channel(control, channel);
    if (f != NULL) {
        f->heard = on;
        tell_features(control);
    }
}

static void sub_message(void *ctx, struct weft_str channel, struct weft_str payload)
{
    struct weft_control *control = ctx;
    struct featured *f;

    weft_role_assert_control(control->owner);
    f = find_channel(control, channel);
    if (f != NULL) {
        f->feature->message(f->self, payload);
    }
}

static void master_moved(void *ctx)
{
    struct weft_control *control = ctx;

    weft_role_assert_control(control->owner);
    if (control->cn != NULL) {
        weft_redis_conn_reconnect(control->cn, "the master is another server now");
    }
    if (control->sub != NULL) {
        weft_redis_conn_reconnect(control->sub, "the master is another server now");
    }
}

static int connect_redis(struct weft_control *control) WEFT_ON_CONTROL
{
    struct weft_redis_source_opts from = {.base = control->base,
                                          .name = control->name,
                                          .seed = control->o.seed,
                                          .shard = control->o.shard,
                                          .log = control->o.log,
                                          .quiet = true, /* the hub's */
                                          .ctx = control,
                                          .moved = master_moved};
    int rc = weft_redis_source_begin(control->source, &from);
    struct weft_redis_conn_opts o = weft_redis_source_conn(control->source);

    o.name = control->name;
    o.seed = control->o.seed;
    o.functions = true;
    o.ctx = control;
    o.up = connection_up;
    o.down = connection_down;
    if (rc == 0) {
        rc = weft_redis_conn_create(&control->cn, &o);
    }
    o.name = control->sub_name;
    o.seed = control->o.seed + 1;
    o.functions = false;
    o.subscriber = true;
    o.up = sub_up;
    o.down = sub_down;
    o.subscribed = sub_subscribed;
    o.message_arrived = sub_message;
    return rc == 0 ? weft_redis_conn_create(&control->sub, &o) : rc;
}

/* ---- jobs ---- */

static void lease_taken(void *ctx, uint64_t fence)
{
    struct running *running = ctx;

    (void)fence;
    running->job->begin(running->self);
}

static void lease_lost(void *ctx)
{
    struct running *running = ctx;

    running->job->end(running->self);
}

static int begin_job(struct weft_control *control, const struct weft_job *job,
                     struct weft_err *err) WEFT_ON_CONTROL
{
    struct weft_job_env env = {.base = control->base,
                               .cn = control->cn,
                               .cfg = control->o.cfg,
                               .shard = control->o.shard,
                               .log = control->o.log};
    struct running *running = &control->jobs[control->n_jobs];
    struct weft_lease_opts o = {.base = control->base,
                                .cn = control->cn,
                                .keys = &control->keys,
                                .what = job->name,
                                .node_id = control->o.node_id,
                                .life_ms = control->o.cfg->control.lease_ms,
                                .seed = control->o.seed + (control->n_jobs + 1) * 7919,
                                .shard = control->o.shard,
                                .log = control->o.log,
                                .ctx = running,
                                .taken = lease_taken,
                                .lost = lease_lost};
    int rc = job->create(&running->self, &env, err);

    if (rc == 0) {
        running->job = job;
        rc = weft_lease_create(&running->lease, &o);
        if (rc != 0) {
            job->destroy(running->self);
            (void)weft_err_set(err, rc, "", "no lease for %s: %s", job->name, weft_err_text(rc));
        }
    }
    control->n_jobs += rc == 0 ? 1 : 0;
    return rc;
}

/* ---- features ---- */

/* What node has made for one feature alone. */
static void *own_of(const struct weft_control *control, enum weft_part_of part)
{
    if (part == WEFT_PART_SERVICES) {
        return (void *)(uintptr_t)control->o.services; /* it only reads it */
    }
    return part == WEFT_PART_REVOCATIONS ? control->o.revoked : NULL;
}

static int begin_feature(struct weft_control *control, const struct weft_feature *feature,
                         struct weft_err *err) WEFT_ON_CONTROL
{
    struct featured *f = &control->features[control->n_features];
    int rc;

    f->env = (struct weft_feature_env){.base = control->base,
                                       .cn = control->cn,
                                       .keys = &control->keys,
                                       .cfg = control->o.cfg,
                                       .node_id = control->o.node_id,
                                       .shard = control->o.shard,
                                       .log = control->o.log,
                                       .seed = control->o.seed + (control->n_features + 1) * 104729,
                                       .publisher = control->publisher,
                                       .parts = &control->parts,
                                       .own = own_of(control, feature->part),
                                       .workers = control->o.workers,
                                       .n_workers = control->o.n_workers,
                                       .ops = control->o.ops};
    rc = feature->create(&f->self, &f->env, err);
    if (rc != 0) {
        return rc;
    }
    f->feature = feature;
    weft_buf_init(&f->channel, 512);
    if (feature->channel != NULL) {
        feature->channel(&f->channel, &control->keys, control->o.node_id);
    }
    control->parts.of[feature->part] = f->self;
    control->n_features++;
    return 0;
}

static void end_features(struct weft_control *control) WEFT_ON_CONTROL
{
    while (control->n_features > 0) {
        struct featured *f = &control->features[--control->n_features];

        control->parts.of[f->feature->part] = NULL;
        f->feature->destroy(f->self);
        weft_buf_fini(&f->channel);
    }
}

/* ---- life on the thread ---- */

static int begin(struct weft_control *control, struct weft_err *err) WEFT_ON_CONTROL
{
    struct weft_publisher_opts publisher = {.cfg = control->o.cfg,
                                            .node_id = control->o.node_id,
                                            .hub = control->o.hub,
                                            .control = control->mb,
                                            .shard = control->o.shard};
    int rc = 0;

    control->base = event_base_new();
    if (control->base == NULL) {
        rc = WEFT_ESYS;
    }
    if (rc == 0) {
        rc = weft_wake_on_event(&control->wake, control->base, control->mb, NULL, control);
    }
    if (rc == 0) {
        rc = connect_redis(control);
    }
    if (rc == 0) {
        rc = weft_publisher_create(&control->publisher, &publisher);
        control->parts.of[WEFT_PART_PUBLISHER] = control->publisher;
    }
    if (rc != 0) {
        return weft_err_set(err, rc, "", "%s", weft_err_text(rc));
    }
    for (size_t i = 0; i < weft_jobs_len && rc == 0; i++) {
        rc = begin_job(control, &weft_jobs[i], err);
    }
    for (size_t i = 0; i < weft_features_len && rc == 0; i++) {
        rc = begin_feature(control, &weft_features[i], err);
    }
    return rc;
}

static bool is_quiet(const struct weft_control *control) WEFT_ON_CONTROL
{
    bool quiet = true;

    for (size_t i = 0; i < control->n_jobs; i++) {
        quiet = quiet && weft_lease_is_quiet(control->jobs[i].lease);
    }
    for (size_t i = 0; i < control->n_features; i++) {
        const struct featured *f = &control->features[i];

        quiet = quiet && (f->feature->is_quiet == NULL || f->feature->is_quiet(f->self));
    }
    return quiet;
}

static void end(struct weft_control *control) WEFT_ON_CONTROL
{
    struct timeval patience;
    uint64_t ms = GIVE_MS;

    for (size_t i = 0; i < control->n_jobs; i++) {
        weft_lease_give(control->jobs[i].lease);
    }
    for (size_t i = 0; i < control->n_features; i++) {
        const struct featured *f = &control->features[i];
        uint64_t needs_ms = f->feature->stop != NULL ? f->feature->stop(f->self) : 0;

        ms = needs_ms > ms ? needs_ms : ms;
    }
    patience.tv_sec = (time_t)(ms / 1000);
    patience.tv_usec = (suseconds_t)(ms % 1000 * 1000);
    if (control->base != NULL && !is_quiet(control)) {
        (void)event_base_loopexit(control->base, &patience);
        while (!is_quiet(control) && !event_base_got_exit(control->base)) {
            if (event_base_loop(control->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
                break;
            }
        }
    }
    for (size_t i = 0; i < control->n_features; i++) {
        control->features[i].env.cn = NULL; /* nothing is sent from here on */
    }
    weft_redis_conn_destroy(control->sub);
    control->sub = NULL;
    weft_redis_conn_destroy(control->cn);
    control->cn = NULL;
    weft_redis_source_destroy(control->source);
    control->source = NULL;
    while (control->n_jobs > 0) {
        struct running *running = &control->jobs[--control->n_jobs];

        weft_lease_destroy(running->lease);
        running->job->destroy(running->self);
    }
    end_features(control);
    control->parts.of[WEFT_PART_PUBLISHER] = NULL;
    weft_publisher_destroy(control->publisher);
    control->publisher = NULL;
    weft_wake_destroy(control->wake);
    control->wake = NULL;
    if (control->base != NULL) {
        /* Questions to the name server that nobody waits for any more end here. */
        (void)event_base_loop(control->base, EVLOOP_NONBLOCK);
        event_base_free(control->base);
        control->base = NULL;
    }
}

/* ---- the thread ---- */

static void *run(void *arg)
{
    struct weft_control *control = arg;
    struct weft_err err = {0};

    control->owner = pthread_self();
    weft_role_assert_control(control->owner);
    (void)pthread_setname_np(pthread_self(), "weft-control");
    if (begin(control, &err) == 0) {
        while (!control->stopping &&
               event_base_loop(control->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) >= 0) {
        }
    } else {
        weft_log(control->o.log, WEFT_LOG_ERROR, "control.failed", WEFT_S("why", err.message));
    }
    end(control);
    return NULL;
}

static void deliver_stop(struct weft_msg *msg, void *owner)
{
    struct weft_control *control = owner;

    weft_role_assert_control(control->owner);
    free(msg);
    control->stopping = true;
}

static void drop_stop(struct weft_msg *msg)
{
    free(msg);
}

int weft_control_create(struct weft_control **ret_control, const struct weft_control_opts *opts,
                        struct weft_err *err)
{
    struct weft_control *control = calloc(1, sizeof(*control));
    int rc;

    if (control == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    control->o = *opts;
    (void)snprintf(control->name, sizeof(control->name), "weft-%.48s-control", opts->node_id);
    (void)snprintf(control->sub_name, sizeof(control->sub_name), "weft-%.48s-control-sub",
                   opts->node_id);
    rc = weft_redis_source_load(&control->source, opts->cfg, err);
    if (rc == 0) {
        control->keys.prefix = opts->cfg->redis.prefix;
        control->keys.db = weft_redis_source_db(control->source);
        rc = weft_mailbox_create(&control->mb, opts->cfg->control.mailbox, control);
        if (rc != 0) {
            (void)weft_err_set(err, rc, "", "the control thread has no mailbox: %s",
                               weft_err_text(rc));
        }
    }
    if (rc != 0) {
        weft_control_destroy(control);
        return rc;
    }
    *ret_control = control;
    return 0;
}

struct weft_mailbox *weft_control_mailbox(struct weft_control *control)
{
    return control->mb;
}

int weft_control_start(struct weft_control *control)
{
    if (pthread_create(&control->thread, NULL, run, control) != 0) {
        return WEFT_ESYS;
    }
    control->started = true;
    return 0;
}

void weft_control_stop(struct weft_control *control)
{
    static const struct weft_msg_ops stop_ops = {"stop", deliver_stop, drop_stop};
    struct weft_msg *msg;

    if (!control->started) {
        return;
    }
    msg = calloc(1, sizeof(*msg));
    WEFT_ASSERT(msg != NULL);
    msg->ops = &stop_ops;
    weft_mailbox_post_chain(control->mb, msg, msg, 1);
    (void)pthread_join(control->thread, NULL);
    control->started = false;
}

void weft_control_destroy(struct weft_control *control)
{
    if (control == NULL) {
        return;
    }
    WEFT_ASSERT(!control->started);
    weft_redis_source_destroy(control->source); /* never started */
    weft_mailbox_destroy(control->mb);
    free(control);
}
