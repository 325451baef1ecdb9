#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/redis/conn.h>
#include <weft/redis/lease.h>
#include <weft/telemetry/labels.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#include "call_priv.h"
#include "place_priv.h"
#include "roster_priv.h"
#include "unit_priv.h"

/*
 * What this node has to do with a service follows from what Redis says and who is there; settle() compares it with
 * what it does. A url belongs to the node that the places (place.c) prefer, once it has the lease; a command to the node
 * in its hash, which an order has put there. Both are claimed, which gives the fence for writing.
 */

/* ---- claims ---- */

static bool is_active(const char *state)
{
    return strcmp(state, "starting") == 0 || strcmp(state, "running") == 0 ||
           strcmp(state, "stopping") == 0 || strcmp(state, "backoff") == 0;
}

static void carry_out_orders(struct weft_unit *unit) WEFT_ON_CONTROL
{
    bool stop = strcmp(unit->ordered, "stop") == 0;

    if (unit->restart_order != unit->done_restart && !stop) {
        weft_runner_restart(unit);
    } else if (unit->order != unit->done_order) {
        weft_runner_want(unit, !stop);
        if (stop && weft_runner_is_quiet(unit) && strcmp(unit->state, "failed") == 0) {
            weft_runner_tell(unit); /* it failed in an earlier life of this node */
        }
    }
    unit->done_order = unit->order;
    unit->done_restart = unit->restart_order;
}

static void claimed(void *ctx, const struct weft_reply *reply)
{
    struct weft_unit *unit = ctx;
    uint64_t fence = 0;

    weft_role_assert_control(pthread_self());
    unit->claiming = false;
    if (weft_services_failed(unit->svs, reply) ||
        !weft_reply_u64(weft_reply_at(reply, 0), &fence) || fence == 0) {
        return; /* the next look at it says why */
    }
    weft_svc_copy(unit->state, sizeof(unit->state), weft_reply_str(weft_reply_at(reply, 1)));
    unit->fence = fence;
    unit->mine = true;
    if (unit->gone || unit->svs->stopping) {
        return;
    }
    if (unit->def.kind == WEFT_SERVICE_URL) {
        if (unit->lease_number == 0) {
            unit->mine = false; /* lost meanwhile */
        } else if (!unit->prober.on) {
            weft_prober_begin(unit, weft_health_of(unit->state));
        }
        return;
    }
    if (unit->was_mine) {
        carry_out_orders(unit); /* what has ended meanwhile is still `wanted` until that is told */
    } else {
        /* From here on orders count; before, what is wanted does. */
        unit->done_order = unit->order;
        unit->done_restart = unit->restart_order;
        unit->was_mine = true;
        weft_runner_want(unit, unit->wanted);
    }
    /* What an earlier life of this node has left there stays: that it has failed, or why it stopped. */
    if (unit->runner.sup.state != WEFT_SUP_STOPPED || is_active(unit->state)) {
        weft_runner_tell(unit);
    }
}

static void claim(struct weft_unit *unit, uint64_t lease_number) WEFT_ON_CONTROL
{
    struct weft_services *svs = unit->svs;
    struct weft_svc_call call;

    if (unit->claiming || !svs->up) {
        return;
    }
    weft_svc_call_function(&call, WEFT_FN_SERVICE_CLAIM, 1);
    weft_svc_call_key_of(&call, svs->env->keys, unit->id, weft_key_service);
    weft_svc_call_text(&call, svs->env->node_id);
    weft_svc_call_u64(&call, lease_number);
    unit->claiming = weft_svc_call_send(&call, svs->env->cn, claimed, unit) == 0;
}

void weft_unit_fenced(struct weft_unit *unit)
{
    unit->mine = false;
    weft_unit_read(unit);
}

/* ---- leases of urls ---- */

static void lease_taken(void *ctx, uint64_t number)
{
    struct weft_unit *unit = ctx;

    weft_role_assert_control(pthread_self());
    unit->lease_number = number;
    claim(unit, number);
}

static void lease_lost(void *ctx)
{
    struct weft_unit *unit = ctx;

    weft_role_assert_control(pthread_self());
    unit->lease_number = 0;
    unit->mine = false;
    weft_prober_end(unit);
    weft_report_drop(unit);
}

/* A lease that was given back is taken no more: whoever wants it again needs a new one, once the giving is answered. */
static void drop_given_lease(struct weft_unit *unit) WEFT_ON_CONTROL
{
    if (unit->lease != NULL && unit->leaving && weft_lease_is_quiet(unit->lease)) {
        weft_lease_destroy(unit->lease);
        unit->lease = NULL;
        unit->leaving = false;
    }
}

static void want_lease(struct weft_unit *unit) WEFT_ON_CONTROL
{
    struct weft_services *svs = unit->svs;
    struct weft_lease_opts o = {.base = svs->env->base,
                                .cn = svs->env->cn,
                                .keys = svs->env->keys,
                                .what = unit->lease_what,
                                .node_id = svs->env->node_id,
                                .life_ms = svs->env->cfg->control.lease_ms,
                                .shard = svs->env->shard,
                                .log = svs->env->log,
                                .ctx = unit,
                                .taken = lease_taken,
                                .lost = lease_lost};

    drop_given_lease(unit);
    if (unit->lease != NULL) {
        if (unit->lease_number != 0 && !unit->mine) {
            claim(unit,
                  unit->lease_number); /* the answer did not come, or the definition has changed */
        }
        return;
    }
    svs->rng += 0x9e3779b97f4a7c15u;
    o.seed = svs->rng;
    if (weft_lease_create(&unit->lease, &o) != 0) {
        unit->lease = NULL;
    }
}

static void give_lease(struct weft_unit *unit) WEFT_ON_CONTROL
{
    if (unit->lease != NULL && !unit->leaving) {
        unit->leaving = true;
        weft_lease_give(unit->lease);
    }
    drop_given_lease(unit);
}

/* The node that is to probe it: the one it asks for if that is there, else by the places. */
static bool is_preferred(const struct weft_unit *unit) WEFT_ON_CONTROL
{
    const struct weft_services *svs = unit->svs;
    const char *me = svs->env->node_id;
    struct weft_str wish = unit->def.run_on;
    const char *const *nodes;
    size_t n = weft_roster_nodes(svs->roster, &nodes);
    size_t at;

    for (size_t i = 0; i < n && wish.len > 0; i++) {
        if (weft_str_eq(wish, weft_str(nodes[i], strlen(nodes[i])))) {
            return strcmp(nodes[i], me) == 0;
        }
    }
    at = weft_place(unit->id, nodes, n);
    return at < n && strcmp(nodes[at], me) == 0;
}

/* ---- nodes that are gone ---- */

static void lost(void *ctx, const struct weft_reply *reply)
{
    struct weft_unit *unit = ctx;
    struct weft_note note = {
        .state = "stopped", .reason = "node_lost", .stopped = true, .pid = 0, .code = -1};
    char before[12];

    weft_role_assert_control(pthread_self());
    unit->losing = false;
    if (weft_services_failed(unit->svs, reply)) {
        return;
    }
    weft_svc_copy(before, sizeof(before), weft_reply_str(reply));
    if (before[0] == '\0') {
        return; /* another node has said so, or it is not so */
    }
    weft_log(unit->svs->env->log, WEFT_LOG_WARN, "service.node_lost", WEFT_S("service", unit->id),
             WEFT_S("lost", unit->node));
    weft_report_events(unit->svs, unit->id, before, &note);
}

/*
 * The list of nodes may be older than the hash: a node that came back is in it a moment later. But its own
 * hash was there before it could claim anything, so that is asked for, after the service was read.
 */
static void node_asked(void *ctx, const struct weft_reply *reply)
{
    struct weft_unit *unit = ctx;
    struct weft_services *svs = unit->svs;
    struct weft_svc_call call;
    uint64_t is_there = 1;

    weft_role_assert_control(pthread_self());
    unit->losing = false;
    if (weft_services_failed(svs, reply) || !weft_reply_u64(reply, &is_there) || is_there != 0 ||
        svs->stopping) {
        return;
    }
    weft_svc_call_function(&call, WEFT_FN_SERVICE_LOST, 1);
    weft_svc_call_key_of(&call, svs->env->keys, unit->id, weft_key_service);
    weft_svc_call_key(&call, svs->env->keys, weft_chan_services);
    weft_svc_call_text(&call, unit->id);
    weft_svc_call_text(&call, unit->node);
    weft_svc_call_u64(&call, unit->lost_fence);
    unit->losing = weft_svc_call_send(&call, svs->env->cn, lost, unit) == 0;
}

static void look_for_node(struct weft_unit *unit) WEFT_ON_CONTROL
{
    struct weft_services *svs = unit->svs;
    struct weft_svc_call call;

    if (unit->losing || !svs->up) {
        return;
    }
    unit->lost_fence = unit->seen_fence;
    weft_svc_call_begin(&call, "EXISTS");
    weft_svc_call_key_of(&call, svs->env->keys, unit->node, weft_key_node);
    unit->losing = weft_svc_call_send(&call, svs->env->cn, node_asked, unit) == 0;
}

/* ---- what follows ---- */

static void settle_command(struct weft_unit *unit) WEFT_ON_CONTROL
{
    struct weft_services *svs = unit->svs;

    give_lease(unit);
    if (strcmp(unit->node, svs->env->node_id) == 0) {
        if (!unit->mine) {
            claim(unit, 0);
        } else {
            carry_out_orders(unit);
        }
        return;
    }
    unit->mine = unit->was_mine = false;
    weft_report_drop(unit);
    weft_runner_want(unit, false);
    if (unit->node[0] != '\0' && is_active(unit->state) && weft_roster_is_settled(svs->roster) &&
        !weft_roster_has(svs->roster, unit->node)) {
        look_for_node(unit);
    }
}

static void settle_url(struct weft_unit *unit) WEFT_ON_CONTROL
{
    unit->was_mine = false;
    weft_runner_want(unit, false);
    if (unit->lease_number == 0) {
        weft_report_drop(unit); /* of the command that it was */
    }
    if (is_preferred(unit) && weft_runner_is_quiet(unit)) {
        want_lease(unit);
    } else {
        give_lease(unit);
    }
}

void weft_unit_settle(struct weft_unit *unit)
{
    if (unit->svs->stopping || !unit->known) {
        return;
    }
    if (unit->gone || !unit->good) {
        unit->mine = unit->was_mine = false;
        give_lease(unit);
        weft_runner_want(unit, false);
        weft_report_drop(unit);
    } else if (unit->def.kind == WEFT_SERVICE_URL) {
        settle_url(unit);
    } else {
        settle_command(unit);
    }
    weft_report_send(unit);
}

/* ---- what Redis holds ---- */

static struct weft_str field_of(void *ctx, const char *name)
{
    return weft_hash_field(ctx, name);
}

/* What is due, or under way, is so by the fields of before. */
static void probe_anew(struct weft_unit *unit) WEFT_ON_CONTROL
{
    if (unit->prober.on && unit->def.kind == WEFT_SERVICE_URL) {
        weft_prober_end(unit);
        weft_prober_begin(unit, unit->prober.probing.health);
    }
}

static void load_definition(struct weft_unit *unit, const struct weft_reply *hash) WEFT_ON_CONTROL
{
    struct weft_err err = {0};

    /* The definition of a process stays as long as it does: argv may be in use only while it is started. */
    weft_service_def_fini(&unit->def);
    unit->good = weft_service_def_load(&unit->def, field_of, (void *)(uintptr_t)hash, &err) == 0;
    unit->revision = weft_hash_u64(hash, "revision");
    if (unit->good) {
        weft_runner_rules(unit);
        probe_anew(unit);
    } else {
        weft_log(unit->svs->env->log, WEFT_LOG_ERROR, "service.unreadable",
                 WEFT_S("service", unit->id), WEFT_S("field", err.field),
                 WEFT_S("why", err.message));
    }
}

/* Deleted and registered again since it was read: another service, of which this node has nothing yet. */
static void begin_anew(struct weft_unit *unit) WEFT_ON_CONTROL
{
    unit->mine = unit->was_mine = false;
    weft_prober_end(unit);
    weft_runner_want(unit, false);
    weft_report_drop(unit);
}

static void load(struct weft_unit *unit, const struct weft_reply *hash) WEFT_ON_CONTROL
{
    uint64_t revision = weft_hash_u64(hash, "revision");
    uint64_t created_ms = weft_hash_u64(hash, "created_ms");
    bool another = unit->known && created_ms != unit->created_ms;

    unit->gone = hash->n == 0;
    if (unit->gone) {
        unit->known = true;
        return;
    }
    if (another) {
        begin_anew(unit);
    }
    if (!unit->known || !unit->good || another || revision != unit->revision) {
        load_definition(unit, hash);
    }
    unit->created_ms = created_ms;
    unit->known = true;
    unit->order = weft_hash_u64(hash, "order");
    unit->restart_order = weft_hash_u64(hash, "restart_order");
    unit->wanted = weft_str_eq(weft_hash_field(hash, "want"), WEFT_STR("running"));
    weft_svc_copy(unit->ordered, sizeof(unit->ordered), weft_hash_field(hash, "ordered"));
    weft_svc_copy(unit->node, sizeof(unit->node), weft_hash_field(hash, "node"));
    weft_svc_copy(unit->state, sizeof(unit->state), weft_hash_field(hash, "state"));
    unit->seen_fence = weft_hash_u64(hash, "fence");
    if (unit->mine && unit->seen_fence != unit->fence) {
        unit->mine = false;
    }
}

/* In its set, or not, as it should be: two keys, so that one may be without the other for a moment. */
static void mend_list(struct weft_unit *unit) WEFT_ON_CONTROL
{
    struct weft_services *svs = unit->svs;
    struct weft_svc_call call;

    if (unit->listed == !unit->gone) {
        return;
    }
    weft_svc_call_begin(&call, unit->gone ? "SREM" : "SADD");
    weft_svc_call_key(&call, svs->env->keys, weft_key_services);
    weft_svc_call_text(&call, unit->id);
    if (weft_svc_call_send(&call, svs->env->cn, NULL, NULL) == 0) {
        unit->listed = !unit->gone;
    }
}

static void hash_came(void *ctx, const struct weft_reply *reply)
{
    struct weft_unit *unit = ctx;
    bool again = unit->read_again;

    weft_role_assert_control(pthread_self());
    unit->reading = unit->read_again = false;
    if (weft_services_failed(unit->svs, reply) || reply->kind != WEFT_REPLY_ARRAY) {
        return;
    }
    load(unit, reply);
    mend_list(unit);
    weft_unit_settle(unit);
    if (again) {
        weft_unit_read(unit);
    }
}

void weft_unit_read(struct weft_unit *unit)
{
    struct weft_services *svs = unit->svs;
    struct weft_svc_call call;

    if (unit->reading) {
        unit->read_again = true; /* what is under way may have been read before */
        return;
    }
    if (!svs->up || svs->stopping) {
        return;
    }
    weft_svc_call_begin(&call, "HGETALL");
    weft_svc_call_key_of(&call, svs->env->keys, unit->id, weft_key_service);
    unit->reading = weft_svc_call_send(&call, svs->env->cn, hash_came, unit) == 0;
}

/* ---- life ---- */

struct weft_unit *weft_unit_create(struct weft_services *svs, struct weft_str id)
{
    struct weft_unit *unit = calloc(1, sizeof(*unit));

    WEFT_ASSERT(unit != NULL && id.len < sizeof(unit->id));
    unit->svs = svs;
    memcpy(unit->id, id.p, id.len);
    (void)snprintf(unit->lease_what, sizeof(unit->lease_what), "service:%s", unit->id);
    if (weft_prober_init(unit) != 0 || weft_runner_init(unit) != 0) {
        WEFT_ASSERT(false); /* two small timers */
    }
    HASH_ADD_STR(svs->units, id, unit);
    return unit;
}

void weft_unit_destroy(struct weft_unit *unit)
{
    HASH_DEL(unit->svs->units, unit);
    weft_labels_remove(unit->svs->o->labels, unit->id);
    weft_lease_destroy(unit->lease);
    weft_prober_fini(unit);
    weft_runner_fini(unit);
    weft_service_def_fini(&unit->def);
    free(unit);
}

void weft_unit_stop(struct weft_unit *unit)
{
    give_lease(unit);
    if (unit->runner.sup.state !=
        WEFT_SUP_FAILED) { /* that it has failed is to be seen later, too */
        weft_runner_want(unit, false);
    }
    weft_report_send(unit);
}

bool weft_unit_is_quiet(const struct weft_unit *unit)
{
    return !unit->reading && !unit->claiming && !unit->losing && !unit->report.under_way &&
           (unit->lease == NULL || weft_lease_is_quiet(unit->lease)) &&
           (unit->lease == NULL || unit->leaving) && weft_runner_is_quiet(unit);
}
