#include <weft/service/services.h>

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/config/config.h>
#include <weft/loop/fetch.h>
#include <weft/loop/timer.h>
#include <weft/redis/conn.h>
#include <weft/telemetry/labels.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#include "call_priv.h"
#include "outbox_priv.h"
#include "roster_priv.h"
#include "unit_priv.h"

/*
 * The table of units follows Redis: a message names one that has changed, and every half life of a lease all of them
 * are read, so that nothing depends on a message.
 */

#define STOP_SLACK_MS 1500 /* beyond the patience of commands: for their reports and events */

/* ---- what Redis answers ---- */

bool weft_services_failed(struct weft_services *svs, const struct weft_reply *reply)
{
    if (reply == NULL) {
        return true;
    }
    if (!weft_reply_is_error(reply)) {
        return false;
    }
    weft_count(svs->env->shard, WEFT_M_SERVICE_FAILED, 1);
    weft_log(svs->env->log, WEFT_LOG_ERROR, "service.failed",
             WEFT_SN("error", reply->str.p, reply->str.len));
    if (weft_redis_function_missing(reply) && svs->env->cn != NULL) {
        int rc = weft_redis_load_functions(svs->env->cn, NULL, NULL);
        (void)rc; /* not up any more: they are loaded with the next connection */
    }
    return true;
}

struct weft_str weft_hash_field(const struct weft_reply *hash, const char *name)
{
    struct weft_str want = weft_str(name, strlen(name));

    for (size_t i = 0; i + 1 < hash->n; i += 2) {
        if (weft_str_eq(weft_reply_str(hash->items[i]), want)) {
            return weft_reply_str(hash->items[i + 1]);
        }
    }
    return weft_str(NULL, 0);
}

uint64_t weft_hash_u64(const struct weft_reply *hash, const char *name)
{
    struct weft_str text = weft_hash_field(hash, name);
    uint64_t n = 0;

    return text.p != NULL && weft_str_u64(text, &n) ? n : 0;
}

bool weft_services_may_run(const struct weft_services *svs, const char *program)
{
    const struct weft_config_list *programs = &svs->env->cfg->services.programs;

    for (size_t i = 0; i < programs->len; i++) {
        if (strcmp(programs->items[i], "*") == 0 || strcmp(programs->items[i], program) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- the table ---- */

struct weft_unit *weft_services_find(struct weft_services *svs, struct weft_str id)
{
    struct weft_unit *unit;

    HASH_FIND(hh, svs->units, id.p, id.len, unit);
    return unit;
}

static struct weft_unit *find_or_create(struct weft_services *svs,
                                        struct weft_str id) WEFT_ON_CONTROL
{
    struct weft_unit *unit = weft_services_find(svs, id);

    if (unit == NULL && HASH_COUNT(svs->units) >= svs->env->cfg->services.max) {
        weft_count(svs->env->shard, WEFT_M_SERVICES_FULL, 1);
        return NULL;
    }
    return unit != NULL ? unit : weft_unit_create(svs, id);
}

/* Those that are gone, and of which nothing is left here. */
static void clear_away(struct weft_services *svs) WEFT_ON_CONTROL
{
    struct weft_unit *unit;
    struct weft_unit *next;

    HASH_ITER(hh, svs->units, unit, next) {
        if (unit->known && unit->gone && !unit->listed && weft_unit_is_quiet(unit)) {
            weft_unit_destroy(unit);
        }
    }
    weft_gauge_set(svs->env->shard, WEFT_G_SERVICES, (int64_t)HASH_COUNT(svs->units));
}

static void names_came(void *ctx, const struct weft_reply *reply)
{
    struct weft_services *svs = ctx;
    struct weft_unit *unit;
    struct weft_unit *next;

    weft_role_assert_control(pthread_self());
    svs->syncing = false;
    if (weft_services_failed(svs, reply) || reply->kind != WEFT_REPLY_ARRAY) {
        return;
    }
    HASH_ITER(hh, svs->units, unit, next) {
        unit->listed = false;
    }
    for (size_t i = 0; i < reply->n; i++) {
        struct weft_str id = weft_reply_str(reply->items[i]);

        if (weft_service_id_valid(id) && (unit = find_or_create(svs, id)) != NULL) {
            unit->listed = true;
        }
    }
    HASH_ITER(hh, svs->units, unit, next) {
        weft_unit_read(unit);
    }
}

static void sync_all(struct weft_services *svs) WEFT_ON_CONTROL
{
    struct weft_svc_call call;

    clear_away(svs);
    if (svs->syncing || svs->stopping || !svs->up) {
        return;
    }
    weft_svc_call_begin(&call, "SMEMBERS");
    weft_svc_call_key(&call, svs->env->keys, weft_key_services);
    svs->syncing = weft_svc_call_send(&call, svs->env->cn, names_came, svs) == 0;
}

static void sync_due(void *ctx)
{
    struct weft_services *svs = ctx;

    weft_role_assert_control(pthread_self());
    sync_all(svs);
    weft_timer_set(svs->sync, svs->env->cfg->control.lease_ms / 2);
}

/* Nodes have come or gone. */
static void roster_changed(void *ctx)
{
    struct weft_services *svs = ctx;
    struct weft_unit *unit;
    struct weft_unit *next;

    weft_role_assert_control(pthread_self());
    HASH_ITER(hh, svs->units, unit, next) {
        weft_unit_settle(unit);
    }
}

/* ---- what control tells ---- */

void weft_services_message(struct weft_services *svs, struct weft_str payload)
{
    struct weft_unit *unit;

    if (weft_service_id_valid(payload) && (unit = find_or_create(svs, payload)) != NULL) {
        weft_unit_read(unit);
    }
}

void weft_services_up(struct weft_services *svs)
{
    svs->up = true;
    weft_roster_up(svs->roster);
    weft_outbox_up(svs->outbox);
    sync_all(svs);
}

void weft_services_down(struct weft_services *svs)
{
    svs->up = false;
    weft_roster_down(svs->roster);
}

void weft_services_allowed(struct weft_services *svs, uint64_t ticket, bool allowed, void *permit)
{
    struct weft_unit *unit;
    struct weft_unit *next;

    HASH_ITER(hh, svs->units, unit, next) {
        if (unit->runner.ticket == ticket) {
            weft_runner_allowed(unit, allowed, permit);
            return;
        }
    }
    if (permit != NULL) {
        svs->o->guard->report(svs->env, "", permit, true);
    }
}

/* ---- end ---- */

uint64_t weft_services_stop(struct weft_services *svs)
{
    uint64_t patience_ms = 0;
    struct weft_unit *unit;
    struct weft_unit *next;

    svs->stopping = true;
    weft_timer_cancel(svs->sync);
    HASH_ITER(hh, svs->units, unit, next) {
        if (!weft_runner_is_quiet(unit) && unit->def.stop_timeout_ms > patience_ms) {
            patience_ms = unit->def.stop_timeout_ms;
        }
        weft_unit_stop(unit);
    }
    return patience_ms + STOP_SLACK_MS;
}

bool weft_services_is_quiet(struct weft_services *svs)
{
    struct weft_unit *unit;
    struct weft_unit *next;
    bool quiet = !svs->up || weft_outbox_is_empty(svs->outbox);

    HASH_ITER(hh, svs->units, unit, next) {
        quiet =
            quiet && weft_unit_is_quiet(unit) && (!svs->up || !unit->mine || unit->report.n == 0);
    }
    /* Last, so that nobody thinks that what still ends here was lost. */
    if (quiet && svs->stopping) {
        weft_roster_leave(svs->roster);
        quiet = weft_roster_has_left(svs->roster);
    }
    return quiet;
}

/* ---- life ---- */

int weft_services_create(struct weft_services **ret_svs, const struct weft_feature_env *env,
                         const struct weft_services_opts *opts)
{
    struct weft_services *svs = calloc(1, sizeof(*svs));
    int rc;

    WEFT_ASSERT(svs != NULL);
    svs->env = env;
    svs->o = opts;
    svs->rng = env->seed | 1;
    rc = weft_roster_create(&svs->roster, env, opts, roster_changed, svs);
    if (rc == 0) {
        rc = weft_outbox_create(&svs->outbox, env);
    }
    if (rc == 0) {
        rc = weft_fetcher_create(&svs->fetcher, env->base, env->cfg->services.probes, "weft");
    }
    if (rc == 0) {
        rc = weft_timer_create(&svs->sync, env->base, sync_due, svs);
    }
    if (rc != 0) {
        weft_services_destroy(svs);
        return rc;
    }
    weft_timer_set(svs->sync, env->cfg->control.lease_ms / 2);
    *ret_svs = svs;
    return 0;
}

void weft_services_destroy(struct weft_services *svs)
{
    struct weft_unit *unit;
    struct weft_unit *next;

    if (svs == NULL) {
        return;
    }
    HASH_ITER(hh, svs->units, unit, next) {
        weft_unit_destroy(unit);
    }
    weft_timer_destroy(svs->sync);
    weft_fetcher_destroy(svs->fetcher);
    weft_outbox_destroy(svs->outbox);
    weft_roster_destroy(svs->roster);
    free(svs);
}
