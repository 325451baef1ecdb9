#include "roster_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/loop/timer.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#include "call_priv.h"

/*
 * A beat is three commands, one after the other: the hash (which brings the time of Redis), the score, the list. Nodes
 * that have not beaten for many lives are taken off the list by whoever sees them.
 */

#define BEATS     4  /* in a life */
#define FORGOTTEN 60 /* lives */

struct weft_roster {
    const struct weft_feature_env *env;
    const struct weft_services_opts *o;
    void (*changed)(void *ctx);
    void *ctx;
    struct weft_timer *timer;
    int64_t started_ms;
    bool up, asked;
    bool left;      /* no more beats */
    bool off;       /* the list, too */
    uint64_t up_ms; /* monotonic: since when Redis was reachable */
    int64_t redis_ms;
    uint64_t redis_at_ms; /* monotonic, when it was so */
    char (*names)[WEFT_SERVICE_ID_MAX + 1];
    const char **ids;
    size_t n;
};

static uint32_t life_ms(const struct weft_roster *roster)
{
    return roster->env->cfg->control.lease_ms;
}

static void next_beat(struct weft_roster *roster)
{
    roster->asked = false;
    if (!roster->left) {
        weft_timer_set(roster->timer, life_ms(roster) / BEATS);
    }
}

/* ---- who is there ---- */

static bool is_same(const struct weft_roster *roster, const struct weft_reply *reply)
{
    bool same = roster->n == reply->n;

    for (size_t i = 0; same && i < reply->n; i++) {
        struct weft_str id = weft_reply_str(reply->items[i]);

        same = weft_str_eq(id, weft_str(roster->ids[i], strlen(roster->ids[i])));
    }
    return same;
}

static void take_list(struct weft_roster *roster, const struct weft_reply *reply)
{
    size_t n = 0;

    for (size_t i = 0; i < reply->n && n < WEFT_ROSTER_MAX; i++) {
        struct weft_str id = weft_reply_str(reply->items[i]);

        if (weft_service_id_valid(id)) { /* ids of nodes look like those of services */
            weft_svc_copy(roster->names[n], sizeof(roster->names[n]), id);
            roster->ids[n] = roster->names[n];
            n++;
        }
    }
    roster->n = n;
    weft_gauge_set(roster->env->shard, WEFT_G_NODES, (int64_t)n);
}

static void list_came(void *ctx, const struct weft_reply *reply)
{
    struct weft_roster *roster = ctx;

    weft_role_assert_control(pthread_self());
    if (reply != NULL && reply->kind == WEFT_REPLY_ARRAY) {
        weft_svc_sort(reply);
        if (!is_same(roster, reply)) {
            take_list(roster, reply);
            roster->changed(roster->ctx);
        }
    }
    next_beat(roster);
}

static void ask_list(struct weft_roster *roster)
{
    int64_t since = roster->redis_ms - (int64_t)life_ms(roster);
    struct weft_svc_call call;

    weft_svc_call_begin(&call, "ZRANGEBYSCORE");
    weft_svc_call_key(&call, roster->env->keys, weft_key_nodes);
    weft_svc_call_u64(&call, since > 0 ? (uint64_t)since : 0);
    weft_svc_call_text(&call, "+inf");
    if (weft_svc_call_send(&call, roster->env->cn, list_came, roster) != 0) {
        next_beat(roster);
    }
}

/* ---- the beat ---- */

static void score_set(void *ctx, const struct weft_reply *reply)
{
    struct weft_roster *roster = ctx;

    weft_role_assert_control(pthread_self());
    if (reply == NULL || weft_reply_is_error(reply)) {
        next_beat(roster);
        return;
    }
    ask_list(roster);
}

static void forget_old(struct weft_roster *roster)
{
    int64_t before = roster->redis_ms - (int64_t)life_ms(roster) * FORGOTTEN;
    struct weft_svc_call call;

    weft_svc_call_begin(&call, "ZREMRANGEBYSCORE");
    weft_svc_call_key(&call, roster->env->keys, weft_key_nodes);
    weft_svc_call_text(&call, "-inf");
    weft_svc_call_u64(&call, before > 0 ? (uint64_t)before : 0);
    if (weft_svc_call_send(&call, roster->env->cn, NULL, NULL) != 0) {
        return; /* another time */
    }
}

static void beaten(void *ctx, const struct weft_reply *reply)
{
    struct weft_roster *roster = ctx;
    struct weft_svc_call call;
    uint64_t now = 0;

    weft_role_assert_control(pthread_self());
    if (weft_reply_is_error(reply)) {
        weft_log(roster->env->log, WEFT_LOG_ERROR, "node.beat_failed",
                 WEFT_SN("error", reply->str.p, reply->str.len));
        if (weft_redis_function_missing(reply) &&
            weft_redis_load_functions(roster->env->cn, NULL, NULL) != 0) {
            reply = NULL; /* not up any more: they are loaded with the next connection */
        }
    }
    if (roster->left || !weft_reply_u64(reply, &now)) {
        next_beat(roster);
        return;
    }
    roster->redis_ms = (int64_t)now;
    roster->redis_at_ms = weft_clock_mono_ms();
    forget_old(roster);
    weft_svc_call_begin(&call, "ZADD");
    weft_svc_call_key(&call, roster->env->keys, weft_key_nodes);
    weft_svc_call_u64(&call, now);
    weft_svc_call_text(&call, roster->env->node_id);
    if (weft_svc_call_send(&call, roster->env->cn, score_set, roster) != 0) {
        next_beat(roster);
    }
}

static void field(struct weft_svc_call *call, const char *name, uint64_t value)
{
    weft_svc_call_text(call, name);
    weft_svc_call_u64(call, value);
}

static void beat(struct weft_roster *roster)
{
    struct weft_node_load load = {0};
    struct weft_svc_call call;

    if (roster->asked || roster->left) {
        return;
    }
    roster->o->load(roster->o->load_ctx, &load);
    weft_svc_call_function(&call, WEFT_FN_NODE_BEAT, 1);
    weft_svc_call_key_of(&call, roster->env->keys, roster->env->node_id, weft_key_node);
    weft_svc_call_u64(&call, life_ms(roster));
    weft_svc_call_text(&call, "id");
    weft_svc_call_text(&call, roster->env->node_id);
    weft_svc_call_text(&call, "version");
    weft_svc_call_text(&call, roster->o->version);
    weft_svc_call_text(&call, "address");
    weft_svc_call_text(&call, roster->o->address);
    field(&call, "started_ms", (uint64_t)roster->started_ms);
    field(&call, "connections", load.connections);
    field(&call, "subscribers", load.subscribers);
    field(&call, "deliveries", load.deliveries);
    field(&call, "cpu_ms", (uint64_t)(load.cpu_seconds * 1000));
    field(&call, "resident_bytes", load.resident_bytes);
    roster->asked = weft_svc_call_send(&call, roster->env->cn, beaten, roster) == 0;
    if (!roster->asked) {
        next_beat(roster);
    }
}

static void timer_due(void *ctx)
{
    weft_role_assert_control(pthread_self());
    beat(ctx);
}

/* ---- life ---- */

int weft_roster_create(struct weft_roster **ret_roster, const struct weft_feature_env *env,
                       const struct weft_services_opts *opts, void (*changed)(void *ctx), void *ctx)
{
    struct weft_roster *roster = calloc(1, sizeof(*roster));

    WEFT_ASSERT(roster != NULL);
    roster->env = env;
    roster->o = opts;
    roster->changed = changed;
    roster->ctx = ctx;
    roster->started_ms = weft_clock_wall_ms();
    roster->names = calloc(WEFT_ROSTER_MAX, sizeof(roster->names[0]));
    roster->ids = calloc(WEFT_ROSTER_MAX, sizeof(roster->ids[0]));
    if (roster->names == NULL || roster->ids == NULL ||
        weft_timer_create(&roster->timer, env->base, timer_due, roster) != 0) {
        weft_roster_destroy(roster);
        return WEFT_ENOMEM;
    }
    *ret_roster = roster;
    return 0;
}

void weft_roster_destroy(struct weft_roster *roster)
{
    if (roster == NULL) {
        return;
    }
    weft_timer_destroy(roster->timer);
    free(roster->names);
    free(roster->ids);
    free(roster);
}

void weft_roster_up(struct weft_roster *roster)
{
    roster->up = true;
    roster->up_ms = weft_clock_mono_ms();
    beat(roster);
}

void weft_roster_down(struct weft_roster *roster)
{
    roster->up = false;
}

static void left(void *ctx, const struct weft_reply *reply)
{
    struct weft_roster *roster = ctx;

    (void)reply; /* if it was not done, it expires */
    weft_role_assert_control(pthread_self());
    roster->off = true;
}

void weft_roster_leave(struct weft_roster *roster)
{
    struct weft_svc_call call;

    if (roster->left) {
        return;
    }
    roster->left = true;
    weft_timer_cancel(roster->timer);
    weft_svc_call_begin(&call, "DEL");
    weft_svc_call_key_of(&call, roster->env->keys, roster->env->node_id, weft_key_node);
    if (weft_svc_call_send(&call, roster->env->cn, NULL, NULL) != 0) {
        roster->off = true;
        return;
    }
    weft_svc_call_begin(&call, "ZREM");
    weft_svc_call_key(&call, roster->env->keys, weft_key_nodes);
    weft_svc_call_text(&call, roster->env->node_id);
    if (weft_svc_call_send(&call, roster->env->cn, left, roster) != 0) {
        roster->off = true;
    }
}

bool weft_roster_has_left(const struct weft_roster *roster)
{
    return roster->off;
}

size_t weft_roster_nodes(const struct weft_roster *roster, const char *const **ret_ids)
{
    *ret_ids = roster->ids;
    return roster->n;
}

bool weft_roster_has(const struct weft_roster *roster, const char *id)
{
    for (size_t i = 0; i < roster->n; i++) {
        if (strcmp(roster->ids[i], id) == 0) {
            return true;
        }
    }
    return false;
}

bool weft_roster_is_settled(const struct weft_roster *roster)
{
    return roster->up && roster->n > 0 &&
           weft_clock_mono_ms() - roster->up_ms >= (uint64_t)life_ms(roster);
}

int64_t weft_roster_now_ms(const struct weft_roster *roster)
{
    return roster->redis_ms + (int64_t)(weft_clock_mono_ms() - roster->redis_at_ms);
}
