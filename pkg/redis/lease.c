#include <weft/redis/lease.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <weft/base/assert.h>
#include <weft/base/buf.h>
#include <weft/base/clock.h>
#include <weft/redis/conn.h>
#include <weft/redis/keys.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#include "lease_priv.h"

/*
 * The machine (lease_machine.c) decides; this sends its commands, sets its timer and tells the owner.
 *
 * A take whose answer did not come may have been executed: then the lease is a number of ours that we
 * do not know, and expires by itself.
 */

struct weft_lease {
    struct weft_lease_opts o;
    struct weft_lease_machine m;
    struct event *timer;
    bool giving; /* the answer to a give is waited for */
};

static void go_on(struct weft_lease *lease);

/* ---- sending ---- */

#define HOLDER_MAX 96 /* a node's id is at most 64 */

static size_t print_holder(const struct weft_lease *lease, uint64_t fence, char *out)
{
    int n = snprintf(out, HOLDER_MAX, "%s %llu", lease->o.node_id, (unsigned long long)fence);

    WEFT_ASSERT(n > 0 && n < HOLDER_MAX);
    return (size_t)n;
}

static bool command(struct weft_lease *lease, const char *function, bool with_fence,
                    struct weft_str who, bool with_life, weft_redis_replied *replied)
{
    struct weft_buf keys;
    struct weft_str argv[7];
    char life[20];
    size_t n = 0;
    int rc;

    weft_buf_init(&keys, 1024);
    weft_key_lease(&keys, lease->o.keys, lease->o.what);
    size_t len = keys.len;
    weft_key_fence(&keys, lease->o.keys, lease->o.what);
    WEFT_ASSERT(!keys.toobig);

    argv[n++] = WEFT_STR("FCALL");
    argv[n++] = weft_str(function, strlen(function));
    argv[n++] = with_fence ? WEFT_STR("2") : WEFT_STR("1");
    argv[n++] = weft_str(keys.data, len);
    if (with_fence) {
        argv[n++] = weft_str(keys.data + len, keys.len - len);
    }
    argv[n++] = who;
    if (with_life) {
        argv[n++] = weft_str(life, weft_u64_print(life, lease->o.life_ms));
    }
    rc = weft_redis_send(lease->o.cn, replied, lease, n, argv);
    weft_buf_fini(&keys);
    return rc == 0;
}

/* True: it was an error or nothing at all. Functions that somebody has flushed are loaded again. */
static bool failed(struct weft_lease *lease, const struct weft_reply *reply)
{
    if (weft_reply_is_error(reply)) {
        if (weft_redis_function_missing(reply)) {
            int rc = weft_redis_load_functions(lease->o.cn, NULL, NULL);
            (void)rc; /* not up any more: then they are loaded with the next connection */
        }
        weft_log(lease->o.log, WEFT_LOG_ERROR, "lease.failed", WEFT_S("what", lease->o.what),
                 WEFT_SN("error", reply->str.p, reply->str.len));
    }
    return reply == NULL || weft_reply_is_error(reply);
}

/* ---- telling ---- */

static void tell_lost(struct weft_lease *lease, const char *why)
{
    weft_gauge_add(lease->o.shard, WEFT_G_LEASES_HELD, -1);
    weft_count(lease->o.shard, WEFT_M_LEASES_LOST, 1);
    weft_log(lease->o.log, WEFT_LOG_WARN, "lease.lost", WEFT_S("what", lease->o.what),
             WEFT_U("fence", lease->m.fence), WEFT_S("why", why));
    lease->o.lost(lease->o.ctx);
}

static void give_answered(void *ctx, const struct weft_reply *reply)
{
    struct weft_lease *lease = ctx;

    (void)failed(lease, reply);
    lease->giving = false;
}

static void give(struct weft_lease *lease, uint64_t fence)
{
    char holder[HOLDER_MAX];
    size_t n = print_holder(lease, fence, holder);

    lease->giving = command(lease, WEFT_FN_GIVE, false, weft_str(holder, n), false, give_answered);
}

static void take_answered(void *ctx, const struct weft_reply *reply)
{
    struct weft_lease *lease = ctx;
    uint64_t now = weft_clock_mono_ns();
    uint64_t fence = 0;
    uint64_t left_ms = 0;

    if (failed(lease, reply) || !weft_reply_u64(weft_reply_at(reply, 0), &fence)) {
        weft_lease_machine_failed(&lease->m, now);
    } else {
        (void)weft_reply_u64(weft_reply_at(reply, 2), &left_ms);
        if (weft_lease_machine_took(&lease->m, fence, left_ms, now)) {
            weft_gauge_add(lease->o.shard, WEFT_G_LEASES_HELD, 1);
            weft_count(lease->o.shard, WEFT_M_LEASES_TAKEN, 1);
            weft_log(lease->o.log, WEFT_LOG_INFO, "lease.taken", WEFT_S("what", lease->o.what),
                     WEFT_U("fence", fence));
            lease->o.taken(lease->o.ctx, fence);
        } else if (fence > 0) {
            give(lease, fence); /* too late, or not wanted any more */
        }
    }
    go_on(lease);
}

static void renew_answered(void *ctx, const struct weft_reply *reply)
{
    struct weft_lease *lease = ctx;
    uint64_t now = weft_clock_mono_ns();
    uint64_t ours = 0;

    if (failed(lease, reply) || !weft_reply_u64(reply, &ours)) {
        weft_lease_machine_failed(&lease->m, now);
    } else if (!weft_lease_machine_renewed(&lease->m, ours != 0, now)) {
        tell_lost(lease, "it is not ours any more");
    }
    go_on(lease);
}

static void go_on(struct weft_lease *lease)
{
    uint64_t now = weft_clock_mono_ns();
    enum weft_lease_step step;
    struct timeval tv;
    char holder[HOLDER_MAX];
    uint64_t due;

    while ((step = weft_lease_machine_step(&lease->m, now)) != WEFT_LEASE_WAIT) {
        bool sent = true;

        if (step == WEFT_LEASE_LOSE) {
            tell_lost(lease, "it could not be renewed in time");
        } else if (step == WEFT_LEASE_TAKE) {
            sent =
                command(lease, WEFT_FN_TAKE, true,
                        weft_str(lease->o.node_id, strlen(lease->o.node_id)), true, take_answered);
        } else {
            size_t n = print_holder(lease, lease->m.fence, holder);

            sent = command(lease, WEFT_FN_RENEW, false, weft_str(holder, n), true, renew_answered);
        }
        if (!sent) {
            weft_lease_machine_failed(&lease->m, now);
        }
    }
    due = weft_lease_machine_due(&lease->m);
    if (due == UINT64_MAX) {
        (void)event_del(lease->timer);
        return;
    }
    due = due > now ? (due - now) / 1000 + 1 : 1;
    tv.tv_sec = (time_t)(due / 1000000);
    tv.tv_usec = (suseconds_t)(due % 1000000);
    (void)event_add(lease->timer, &tv);
}

static void timer_fired(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    go_on(ctx);
}

/* ---- life ---- */

int weft_lease_create(struct weft_lease **ret_lease, const struct weft_lease_opts *opts)
{
    struct weft_lease *lease = calloc(1, sizeof(*lease));

    if (lease == NULL) {
        return WEFT_ENOMEM;
    }
    lease->o = *opts;
    weft_lease_machine_init(&lease->m, opts->life_ms, opts->seed, weft_clock_mono_ns());
    lease->timer = evtimer_new(opts->base, timer_fired, lease);
    if (lease->timer == NULL) {
        free(lease);
        return WEFT_ESYS;
    }
    go_on(lease);
    *ret_lease = lease;
    return 0;
}

void weft_lease_destroy(struct weft_lease *lease)
{
    if (lease == NULL) {
        return;
    }
    WEFT_ASSERT(weft_lease_is_quiet(lease));
    event_free(lease->timer);
    free(lease);
}

void weft_lease_retry(struct weft_lease *lease)
{
    weft_lease_machine_retry(&lease->m, weft_clock_mono_ns());
    go_on(lease);
}

void weft_lease_give(struct weft_lease *lease)
{
    if (weft_lease_machine_stop(&lease->m)) {
        give(lease, lease->m.fence);
        weft_gauge_add(lease->o.shard, WEFT_G_LEASES_HELD, -1);
        lease->o.lost(lease->o.ctx);
    }
    go_on(lease);
}

bool weft_lease_is_held(const struct weft_lease *lease)
{
    return lease->m.state == WEFT_LEASE_HELD;
}

bool weft_lease_is_quiet(const struct weft_lease *lease)
{
    return !lease->m.asked && !lease->giving;
}
