#include <stdio.h>
#include <string.h>

#include <weft/base/clock.h>
#include <weft/loop/fetch.h>
#include <weft/loop/timer.h>
#include <weft/telemetry/labels.h>
#include <weft/telemetry/metrics.h>

#include "outbox_priv.h"
#include "unit_priv.h"

/*
 * A probe is a GET; 200 to 399 is good. Results are events when they are news: the first, each that differs from
 * the one before, and else one in SAMPLE_MS.
 */

#define BODY_BYTES 65536
#define SAMPLE_MS  10000
#define FULL_MS    100 /* too many probes at once: later */

static void probe(struct weft_unit *unit) WEFT_ON_CONTROL;

static void next_probe(struct weft_unit *unit) WEFT_ON_CONTROL
{
    uint64_t due = weft_probing_due_ms(&unit->prober.probing);
    uint64_t now = weft_clock_mono_ms();

    if (unit->prober.on && due != UINT64_MAX) {
        weft_timer_set(unit->prober.timer, due > now ? (uint32_t)(due - now) : 0);
    }
}

static void tell_check(struct weft_unit *unit, bool ok, const struct weft_fetched *fetched,
                       const char *message) WEFT_ON_CONTROL
{
    struct weft_prober *prober = &unit->prober;
    uint64_t now_ms = weft_clock_mono_ms();
    struct weft_buf b;

    if (prober->told_ms != 0 && ok == prober->last_ok && now_ms - prober->told_ms < SAMPLE_MS) {
        return;
    }
    prober->told_ms = now_ms;
    prober->last_ok = ok;
    weft_buf_init(&b, 4096);
    weft_buf_printf(&b, "{\"status\":\"%s\",\"latency_ms\":%.3f", ok ? "healthy" : "unhealthy",
                    (double)fetched->latency_ns / 1e6);
    if (message[0] != '\0') {
        weft_buf_puts(&b, ",\"message\":");
        weft_buf_json(&b, weft_str(message, strlen(message)));
    }
    weft_buf_append(&b, "}", 1);
    (void)weft_outbox_put(unit->svs->outbox, unit->id, "service.health_check", &b);
    weft_buf_fini(&b);
}

static void count(struct weft_unit *unit, bool ok, uint64_t latency_ns) WEFT_ON_CONTROL
{
    weft_report_count(unit, WEFT_TALLY_HEALTH_CHECKS, 1);
    weft_report_count(unit, WEFT_TALLY_REQUESTS, 1);
    weft_report_count(unit, ok ? WEFT_TALLY_SUCCESSES : WEFT_TALLY_FAILURES, 1);
    if (ok) {
        weft_report_count(unit, WEFT_TALLY_RESPONSE_US, latency_ns / 1000);
    }
    unit->report.latency_us = latency_ns / 1000;
    unit->report.has_latency = true;
    weft_count(unit->svs->env->shard, WEFT_M_SERVICE_PROBES, 1);
    weft_observe_ns(unit->svs->env->shard, WEFT_H_SERVICE_PROBE, latency_ns);
}

static void probed(void *ctx, const struct weft_fetched *fetched)
{
    struct weft_unit *unit = ctx;
    bool ok = fetched->why == NULL && fetched->status >= 200 && fetched->status < 400;
    struct weft_note note = {.pid = -1, .code = -1};
    bool changed;

    weft_role_assert_control(pthread_self());
    unit->prober.fetch = NULL;
    if (!ok) {
        if (fetched->why != NULL) {
            (void)snprintf(note.error, sizeof(note.error), "%s", fetched->why);
        } else {
            (void)snprintf(note.error, sizeof(note.error), "status %d", fetched->status);
        }
    }
    changed = weft_probing_result(&unit->prober.probing, ok, unit->def.unhealthy_after,
                                  unit->def.healthy_after);
    count(unit, ok, fetched->latency_ns);
    tell_check(unit, ok, fetched, note.error);
    unit->svs->o->guard->report(unit->svs->env, unit->id, NULL, ok);
    weft_labels_set(unit->svs->o->labels, unit->id, WEFT_COLUMN_UP,
                    unit->prober.probing.health == WEFT_HEALTH_HEALTHY ? 1 : 0);
    if (changed) {
        (void)snprintf(note.state, sizeof(note.state), "%s",
                       weft_health_word(unit->prober.probing.health));
        (void)snprintf(note.reason, sizeof(note.reason), "%s", ok ? "probe_ok" : "probe_failed");
        weft_report_note(unit, &note);
    } else {
        weft_report_send(unit);
    }
    next_probe(unit);
}

static void probe(struct weft_unit *unit)
{
    struct weft_prober *prober = &unit->prober;
    struct weft_fetch_opts o = {.connect_timeout_ms = (uint32_t)unit->def.connect_timeout_ms,
                                .timeout_ms = (uint32_t)unit->def.timeout_ms,
                                .body_bytes = BODY_BYTES,
                                .ctx = unit,
                                .done = probed};
    struct weft_fetched none = {.why = "this URL cannot be asked"};
    char url[2049];
    int rc;

    if (!prober->on ||
        !weft_probing_step(&prober->probing, unit->def.interval_ms, weft_clock_mono_ms())) {
        next_probe(unit);
        return;
    }
    (void)snprintf(url, sizeof(url), "%.*s", (int)unit->def.url.len, unit->def.url.p);
    o.url = url;
    rc = weft_fetch_start(&prober->fetch, unit->svs->fetcher, &o);
    if (rc == WEFT_EFULL) {
        weft_count(unit->svs->env->shard, WEFT_M_SERVICE_PROBES_DELAYED, 1);
        prober->probing.under_way = false;
        prober->probing.due_ms = weft_clock_mono_ms() + FULL_MS;
        next_probe(unit);
    } else if (rc != 0) {
        probed(unit, &none);
    }
}

static void timer_due(void *ctx)
{
    weft_role_assert_control(pthread_self());
    probe(ctx);
}

int weft_prober_init(struct weft_unit *unit)
{
    return weft_timer_create(&unit->prober.timer, unit->svs->env->base, timer_due, unit);
}

void weft_prober_fini(struct weft_unit *unit)
{
    weft_prober_end(unit);
    weft_timer_destroy(unit->prober.timer);
}

void weft_prober_begin(struct weft_unit *unit, enum weft_health health)
{
    struct weft_prober *prober = &unit->prober;

    prober->on = true;
    prober->told_ms = 0;
    unit->svs->rng += 0x9e3779b97f4a7c15u;
    weft_probing_begin(&prober->probing, health, unit->def.interval_ms, unit->svs->rng,
                       weft_clock_mono_ms());
    next_probe(unit);
}

void weft_prober_end(struct weft_unit *unit)
{
    struct weft_prober *prober = &unit->prober;

    prober->on = false;
    if (prober->fetch != NULL) {
        weft_fetch_cancel(prober->fetch);
        prober->fetch = NULL;
    }
    if (prober->timer != NULL) {
        weft_timer_cancel(prober->timer);
    }
}
