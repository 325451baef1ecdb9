#include "control_priv.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include <weft/base/assert.h>
#include <weft/config/config.h>
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

#define MAILBOX_MESSAGES 64
#define GIVE_MS          500 /* for Redis to answer that the leases were given back */

/* A job of this node, and its lease. */
struct running {
    const struct weft_job *job;
    void *self;
    struct weft_lease *lease;
};

struct weft_control {
    /* Const after create. */
    struct weft_control_opts o;
    struct weft_keys keys;
    struct weft_redis_source *source;
    struct weft_mailbox *mb;
    char name[80]; /* of the connection */

    /* The node's thread. */
    pthread_t thread;
    bool started;

    pthread_t owner; /* the control thread, once it runs */
    struct event_base *base WEFT_OF_CONTROL;
    struct weft_wake *wake WEFT_OF_CONTROL;
    struct weft_redis_conn *cn WEFT_OF_CONTROL;
    struct running jobs[WEFT_JOBS_MAX] WEFT_OF_CONTROL;
    size_t n_jobs WEFT_OF_CONTROL;
    bool stopping WEFT_OF_CONTROL;
};

/* ---- the connection ---- */

static void connection_up(void *ctx)
{
    struct weft_control *control = ctx;

    weft_role_assert_control(control->owner);
    for (size_t i = 0; i < control->n_jobs; i++) {
        weft_lease_retry(control->jobs[i].lease);
    }
}

/* Leases and jobs see it by the answers that do not come. */
static void connection_down(void *ctx, const char *why)
{
    (void)ctx;
    (void)why;
}

static void master_moved(void *ctx)
{
    struct weft_control *control = ctx;

    weft_role_assert_control(control->owner);
    if (control->cn != NULL) {
        weft_redis_conn_reconnect(control->cn, "the master is another server now");
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
    return rc == 0 ? weft_redis_conn_create(&control->cn, &o) : rc;
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

static int begin(struct weft_control *control, struct weft_err *err) WEFT_ON_CONTROL
{
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
    if (rc != 0) {
        return weft_err_set(err, rc, "", "%s", weft_err_text(rc));
    }
    for (size_t i = 0; i < weft_jobs_len && rc == 0; i++) {
        rc = begin_job(control, &weft_jobs[i], err);
    }
    return rc;
}

static bool is_quiet(const struct weft_control *control) WEFT_ON_CONTROL
{
    bool quiet = true;

    for (size_t i = 0; i < control->n_jobs; i++) {
        quiet = quiet && weft_lease_is_quiet(control->jobs[i].lease);
    }
    return quiet;
}

static void end(struct weft_control *control) WEFT_ON_CONTROL
{
    static const struct timeval patience = {0, GIVE_MS * 1000};

    for (size_t i = 0; i < control->n_jobs; i++) {
        weft_lease_give(control->jobs[i].lease);
    }
    if (control->base != NULL && !is_quiet(control)) {
        (void)event_base_loopexit(control->base, &patience);
        while (!is_quiet(control) && !event_base_got_exit(control->base)) {
            if (event_base_loop(control->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
                break;
            }
        }
    }
    weft_redis_conn_destroy(control->cn);
    control->cn = NULL;
    weft_redis_source_destroy(control->source);
    control->source = NULL;
    while (control->n_jobs > 0) {
        struct running *running = &control->jobs[--control->n_jobs];

        weft_lease_destroy(running->lease);
        running->job->destroy(running->self);
    }
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
    control->keys.prefix = opts->cfg->redis.prefix;
    (void)snprintf(control->name, sizeof(control->name), "weft-%.48s-control", opts->node_id);
    rc = weft_redis_source_load(&control->source, opts->cfg, err);
    if (rc == 0) {
        rc = weft_mailbox_create(&control->mb, MAILBOX_MESSAGES, control);
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
