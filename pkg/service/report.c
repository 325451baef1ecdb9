#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/clock.h>
#include <weft/redis/conn.h>
#include <weft/telemetry/labels.h>
#include <weft/telemetry/metrics.h>

#include "call_priv.h"
#include "outbox_priv.h"
#include "unit_priv.h"

/*
 * One report is under way at a time. A note goes as soon as it can, counters with it or once a second. Redis
 * answers with the state before; that is what the event says.
 */

#define COUNTERS_MS 1000

static const char *const tally_fields[WEFT_TALLIES] = {
    "health_checks", "requests", "successes", "failures", "response_us", "starts", "restarts"};

static bool has_counters(const struct weft_report *report)
{
    bool any = false;

    for (int i = 0; i < WEFT_TALLIES; i++) {
        any = any || report->tallies[i] > 0;
    }
    return any;
}

bool weft_report_is_empty(const struct weft_unit *unit)
{
    return unit->report.n == 0 && !unit->report.under_way && !has_counters(&unit->report);
}

void weft_report_drop(struct weft_unit *unit)
{
    unit->report.n = 0;
    unit->report.with_note = false; /* what is under way may be about one of them */
    memset(unit->report.tallies, 0, sizeof(unit->report.tallies));
}

/* ---- events ---- */

static void event(struct weft_services *svs, const char *id, const char *type,
                  struct weft_buf *b) WEFT_ON_CONTROL
{
    weft_buf_append(b, "}", 1);
    (void)weft_outbox_put(svs->outbox, id, type, b);
    weft_buf_clear(b);
}

void weft_report_events(struct weft_services *svs, const char *id, const char *from,
                        const struct weft_note *note)
{
    struct weft_buf b;

    weft_role_assert_control(pthread_self());
    weft_buf_init(&b, 4096);
    if (strcmp(from, note->state) != 0) {
        weft_buf_printf(
            &b,
            "{\"service\":\"%s\",\"from\":\"%s\",\"to\":\"%s\",\"reason\":\"%s\",\"node\":\"%s\"",
            id, from, note->state, note->reason, svs->env->node_id);
        event(svs, id, "service.state_changed", &b);
        weft_labels_add(svs->o->labels, id, WEFT_COLUMN_STATE_CHANGES, 1);
    }
    if (note->started) {
        weft_buf_printf(&b, "{\"pid\":%" PRId64, note->pid);
        event(svs, id, "service.started", &b);
    }
    if (note->restarted) {
        weft_buf_printf(&b, "{\"count\":%" PRIu64 ",\"reason\":\"%s\"", note->restarts,
                        note->reason);
        event(svs, id, "service.restarted", &b);
    }
    if (note->stopped) {
        weft_buf_printf(&b, "{\"reason\":\"%s\"", note->reason);
        if (note->code >= 0) {
            weft_buf_printf(&b, ",\"code\":%" PRId64, note->code);
        }
        event(svs, id, "service.stopped", &b);
    }
    if (note->error[0] != '\0') {
        weft_buf_puts(&b, "{\"message\":");
        weft_buf_json(&b, weft_str(note->error, strlen(note->error)));
        weft_buf_printf(&b, ",\"code\":\"%s\"", note->reason);
        event(svs, id, "service.error", &b);
        weft_labels_add(svs->o->labels, id, WEFT_COLUMN_ERRORS, 1);
    }
    weft_buf_fini(&b);
}

/* ---- into Redis ---- */

static void answered(void *ctx, const struct weft_reply *reply)
{
    struct weft_unit *unit = ctx;
    struct weft_report *report = &unit->report;
    uint64_t taken = 0;

    weft_role_assert_control(pthread_self());
    report->under_way = false;
    if (weft_services_failed(unit->svs, reply) ||
        !weft_reply_u64(weft_reply_at(reply, 0), &taken) || taken == 0) {
        for (int i = 0; i < WEFT_TALLIES; i++) {
            report->tallies[i] += report->sent[i]; /* may count twice: better than not at all */
        }
        if (reply != NULL && !weft_reply_is_error(reply)) {
            weft_unit_fenced(unit);
        }
        return;
    }
    if (report->with_note && report->n > 0) {
        char before[12];
        struct weft_note note = report->notes[0];

        weft_svc_copy(before, sizeof(before), weft_reply_str(weft_reply_at(reply, 1)));
        report->n--;
        memmove(report->notes, report->notes + 1, report->n * sizeof(report->notes[0]));
        (void)snprintf(unit->state, sizeof(unit->state), "%s", note.state);
        weft_report_events(unit->svs, unit->id, before, &note);
    }
    weft_report_send(unit);
}

static void set(struct weft_svc_call *call, size_t *n, const char *name, const char *value)
{
    weft_svc_call_text(call, name);
    weft_svc_call_text(call, value);
    (*n)++;
}

/* The fields that are set come first in the call, but their number before them: so they are counted before. */
static size_t fields_of(const struct weft_report *report)
{
    const struct weft_note *note = &report->notes[0];
    size_t n = report->has_latency ? 1 : 0;

    if (report->n > 0) {
        n +=
            2u + (note->pid >= 0 ? 1u : 0) + (note->code >= 0 ? 1u : 0) + (note->given_up ? 1u : 0);
    }
    return n;
}

static void put_fields(struct weft_svc_call *call, const struct weft_report *report)
{
    const struct weft_note *note = &report->notes[0];
    char number[24];
    size_t n = 0;

    if (report->n > 0) {
        set(call, &n, "state", note->state);
        set(call, &n, "reason", note->reason);
        if (note->pid >= 0) {
            (void)snprintf(number, sizeof(number), "%" PRId64, note->pid);
            set(call, &n, "pid", number);
        }
        if (note->code >= 0) {
            (void)snprintf(number, sizeof(number), "%" PRId64, note->code);
            set(call, &n, "exit_code", number);
        }
        if (note->given_up) {
            set(call, &n, "want", "stopped");
        }
    }
    if (report->has_latency) {
        (void)snprintf(number, sizeof(number), "%" PRIu64 ".%03u", report->latency_us / 1000,
                       (unsigned)(report->latency_us % 1000));
        set(call, &n, "latency_ms", number);
    }
}

void weft_report_send(struct weft_unit *unit)
{
    struct weft_report *report = &unit->report;
    uint64_t now_ms = weft_clock_mono_ms();
    struct weft_services *svs = unit->svs;
    struct weft_svc_call call;

    if (report->under_way || !unit->mine || !svs->up ||
        (report->n == 0 && (!has_counters(report) || now_ms - report->at_ms < COUNTERS_MS))) {
        return;
    }
    weft_svc_call_function(&call, WEFT_FN_SERVICE_REPORT, 2);
    weft_svc_call_key_of(&call, svs->env->keys, unit->id, weft_key_service);
    weft_svc_call_key_of(&call, svs->env->keys, unit->id, weft_key_service_errors);
    weft_svc_call_key(&call, svs->env->keys, weft_chan_services);
    weft_svc_call_text(&call, unit->id);
    weft_svc_call_text(&call, svs->env->node_id);
    weft_svc_call_u64(&call, unit->fence);
    weft_svc_call_text(&call, report->n > 0 ? report->notes[0].error : "");
    weft_svc_call_u64(&call, fields_of(report));
    put_fields(&call, report);
    for (int i = 0; i < WEFT_TALLIES; i++) {
        report->sent[i] = report->tallies[i];
        report->tallies[i] = 0;
        if (report->sent[i] > 0) {
            weft_svc_call_text(&call, tally_fields[i]);
            weft_svc_call_u64(&call, report->sent[i]);
        }
    }
    report->with_note = report->n > 0;
    report->has_latency = false;
    report->at_ms = now_ms;
    report->under_way = true;
    if (weft_svc_call_send(&call, svs->env->cn, answered, unit) != 0) {
        answered(unit, NULL);
    }
}

void weft_report_note(struct weft_unit *unit, const struct weft_note *note)
{
    struct weft_report *report = &unit->report;

    if (report->n == WEFT_NOTES_MAX) {
        /* Redis is away: the oldest stay, of which the first may be under way, and this one takes the newest's place. */
        report->n--;
        weft_count(unit->svs->env->shard, WEFT_M_SERVICE_EVENTS_DROPPED, 1);
    }
    report->notes[report->n++] = *note;
    weft_report_send(unit);
}

void weft_report_count(struct weft_unit *unit, enum weft_tally tally, uint64_t n)
{
    static const enum weft_service_column columns[WEFT_TALLIES] = {
        WEFT_COLUMN_HEALTH_CHECKS, WEFT_COLUMN_REQUESTS,         WEFT_COLUMN_SUCCESSES,
        WEFT_COLUMN_FAILURES,      WEFT_COLUMN_RESPONSE_SECONDS, WEFT_COLUMN_STARTS,
        WEFT_COLUMN_RESTARTS};
    double value = tally == WEFT_TALLY_RESPONSE_US ? (double)n / 1e6 : (double)n;

    unit->report.tallies[tally] += n;
    weft_labels_add(unit->svs->o->labels, unit->id, columns[tally], value);
}
