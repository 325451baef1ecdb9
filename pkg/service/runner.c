#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/loop/child.h>
#include <weft/loop/timer.h>
#include <weft/telemetry/labels.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#include "outbox_priv.h"
#include "unit_priv.h"

/* The machine (supervisor.c) decides; this asks the breaker, has the process, and tells what becomes of it. */

#define GRACE_MS_MAX 5000 /* between TERM and KILL when the node is gone */

static void go_on(struct weft_unit *unit) WEFT_ON_CONTROL;

/* ---- telling ---- */

static struct weft_note note_of(const struct weft_unit *unit)
{
    const struct weft_sup *sup = &unit->runner.sup;
    struct weft_note note = {.pid = -1, .code = -1};
    const char *reason = sup->reason;

    if (unit->svs->stopping && reason == weft_sup_asked) {
        reason = "node_stopping";
    }
    (void)snprintf(note.state, sizeof(note.state), "%s", weft_sup_word(sup->state));
    (void)snprintf(note.reason, sizeof(note.reason), "%s", reason);
    return note;
}

static void set_up(struct weft_unit *unit)
{
    weft_labels_set(unit->svs->o->labels, unit->id, WEFT_COLUMN_UP,
                    unit->runner.sup.state == WEFT_SUP_RUNNING ? 1 : 0);
}

void weft_runner_tell(struct weft_unit *unit)
{
    struct weft_note note = note_of(unit);

    note.pid = unit->runner.pid;
    weft_report_note(unit, &note);
}

/* ---- output ---- */

static bool may_tell_line(struct weft_unit *unit) WEFT_ON_CONTROL
{
    struct weft_runner *run = &unit->runner;
    double rate = unit->svs->env->cfg->services.lines_per_s;
    uint64_t now_ms = weft_clock_mono_ms();

    run->lines_left += rate * (double)(now_ms - run->lines_at_ms) / 1000;
    run->lines_left = run->lines_left < rate * 2 ? run->lines_left : rate * 2;
    run->lines_at_ms = now_ms;
    if (run->lines_left < 1) {
        return false;
    }
    run->lines_left -= 1;
    return true;
}

/* Cut until it fits into an event. */
static bool put_line(struct weft_unit *unit, const char *level, const char *stream,
                     struct weft_str line, bool cut) WEFT_ON_CONTROL
{
    size_t room = weft_outbox_room(unit->svs->outbox, unit->id);
    struct weft_buf b;
    bool taken;

    weft_buf_init(&b, line.len * 6 + 256);
    for (;;) {
        weft_buf_printf(&b, "{\"level\":\"%s\",\"stream\":\"%s\",\"message\":", level, stream);
        weft_buf_json(&b, line);
        weft_buf_puts(&b, cut ? ",\"cut\":true}" : "}");
        if (b.len <= room || line.len == 0) {
            break;
        }
        line.len /= 2;
        cut = true;
        weft_buf_clear(&b);
    }
    taken = weft_outbox_put_line(unit->svs->outbox, unit->id, &b);
    weft_buf_fini(&b);
    return taken;
}

static void tell_dropped(struct weft_unit *unit) WEFT_ON_CONTROL
{
    struct weft_runner *run = &unit->runner;
    char text[64];
    int n;

    if (run->lines_dropped == 0) {
        return;
    }
    n = snprintf(text, sizeof(text), "%" PRIu64 " lines left out", run->lines_dropped);
    if (put_line(unit, "warn", "weft", weft_str(text, (size_t)n), false)) {
        run->lines_dropped = 0;
    }
}

static void line_came(void *ctx, bool from_err, struct weft_str line, bool cut)
{
    struct weft_unit *unit = ctx;

    weft_role_assert_control(pthread_self());
    weft_count(unit->svs->env->shard, WEFT_M_SERVICE_LINES, 1);
    if (may_tell_line(unit)) {
        tell_dropped(unit);
        if (put_line(unit, from_err ? "error" : "info", from_err ? "stderr" : "stdout", line,
                     cut)) {
            return;
        }
    }
    unit->runner.lines_dropped++;
    weft_count(unit->svs->env->shard, WEFT_M_SERVICE_LINES_DROPPED, 1);
}

/* ---- the process ---- */

static void started(void *ctx, pid_t pid)
{
    struct weft_unit *unit = ctx;
    struct weft_note note = note_of(unit);

    weft_role_assert_control(pthread_self());
    unit->runner.pid = note.pid = pid;
    weft_report_note(unit, &note);
    weft_sup_born(&unit->runner.sup, weft_clock_mono_ms());
    go_on(unit);
}

/* How it went; with the permit, if there is one. */
static void give_permit(struct weft_unit *unit, bool success) WEFT_ON_CONTROL
{
    void *permit = unit->runner.permit;

    unit->runner.permit = NULL;
    unit->svs->o->guard->report(unit->svs->env, unit->id, permit, success);
}

/* Nothing was started, or it was ended before it could show anything: no result. */
static void return_permit(struct weft_unit *unit) WEFT_ON_CONTROL
{
    void *permit = unit->runner.permit;

    unit->runner.permit = NULL;
    if (permit != NULL) {
        unit->svs->o->guard->unused(unit->svs->env, permit);
    }
}

static void describe_end(struct weft_note *note, int why, int status, bool failure)
{
    if (why == 0) {
        note->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    if (!failure) {
        return;
    }
    if (why != 0) {
        (void)snprintf(note->error, sizeof(note->error), "it cannot be started: %s", strerror(why));
    } else if (WIFSIGNALED(status)) {
        (void)snprintf(note->error, sizeof(note->error), "ended by signal %d", WTERMSIG(status));
    } else {
        (void)snprintf(note->error, sizeof(note->error), "exited with code %d",
                       WEXITSTATUS(status));
    }
}

static void ended(void *ctx, int why, int status)
{
    struct weft_unit *unit = ctx;
    struct weft_runner *run = &unit->runner;
    enum weft_sup_state before = run->sup.state;
    enum weft_sup_end how = why != 0      ? WEFT_SUP_UNSTARTABLE
                            : status == 0 ? WEFT_SUP_CLEAN
                                          : WEFT_SUP_BROKEN;
    struct weft_note note;
    bool failure;

    weft_role_assert_control(pthread_self());
    weft_child_destroy(run->child);
    run->child = NULL;
    run->pid = 0;
    weft_gauge_add(unit->svs->env->shard, WEFT_G_SERVICE_PROCESSES, -1);
    tell_dropped(unit);
    failure = weft_sup_ended(&run->sup, how, weft_clock_mono_ms());
    if (before == WEFT_SUP_STOPPING) {
        return_permit(unit); /* of a start that was cut short */
    } else if (before == WEFT_SUP_STARTING || failure) {
        give_permit(unit, !failure);
    }
    note = note_of(unit);
    note.pid = 0;
    note.stopped = why == 0;
    note.given_up = run->sup.state == WEFT_SUP_FAILED ||
                    (run->sup.state == WEFT_SUP_STOPPED && run->sup.reason == weft_sup_exited);
    describe_end(&note, why, status, failure);
    weft_log(unit->svs->env->log, failure ? WEFT_LOG_WARN : WEFT_LOG_INFO, "service.ended",
             WEFT_S("service", unit->id), WEFT_S("state", note.state), WEFT_I("code", note.code),
             WEFT_S("error", note.error));
    set_up(unit);
    weft_report_note(unit, &note);
    go_on(unit);
}

/* Whoever registered it asked a node with another list, or this one's has become shorter. */
static void forbid(struct weft_unit *unit) WEFT_ON_CONTROL
{
    struct weft_note note;

    weft_sup_forbid(&unit->runner.sup);
    return_permit(unit);
    note = note_of(unit);
    note.pid = 0;
    note.given_up = true;
    (void)snprintf(note.error, sizeof(note.error),
                   "not started: services.programs of node %s does not list its program",
                   unit->svs->env->node_id);
    weft_log(unit->svs->env->log, WEFT_LOG_WARN, "service.forbidden", WEFT_S("service", unit->id),
             WEFT_S("program", unit->def.argv[0]));
    weft_report_note(unit, &note);
}

static void spawn(struct weft_unit *unit) WEFT_ON_CONTROL
{
    uint64_t grace_ms = unit->def.stop_timeout_ms;
    struct weft_child_opts o = {.base = unit->svs->env->base,
                                .name = unit->id,
                                .argv = unit->def.argv,
                                .grace_ms =
                                    (uint32_t)(grace_ms < GRACE_MS_MAX ? grace_ms : GRACE_MS_MAX),
                                .line_bytes = (uint32_t)unit->svs->env->cfg->services.line_bytes,
                                .files = unit->svs->o->files,
                                .ctx = unit,
                                .started = started,
                                .line = line_came,
                                .ended = ended};
    struct weft_err err = {0};

    if (!weft_services_may_run(unit->svs, unit->def.argv[0])) {
        forbid(unit);
        return;
    }
    weft_gauge_add(unit->svs->env->shard, WEFT_G_SERVICE_PROCESSES, 1);
    weft_report_count(unit, WEFT_TALLY_STARTS, 1);
    if (weft_child_create(&unit->runner.child, &o, &err) != 0) {
        weft_log(unit->svs->env->log, WEFT_LOG_ERROR, "service.no_process",
                 WEFT_S("service", unit->id), WEFT_S("why", err.message));
        unit->runner.child = NULL;
        ended(unit, EAGAIN, 0);
    }
}

static void ask(struct weft_unit *unit) WEFT_ON_CONTROL
{
    unit->runner.ticket = ++unit->svs->tickets;
    unit->svs->o->guard->ask(unit->svs->env, unit->id, unit->runner.ticket);
}

static void tell_started(struct weft_unit *unit) WEFT_ON_CONTROL
{
    struct weft_runner *run = &unit->runner;
    struct weft_note note = note_of(unit);

    give_permit(unit, true);
    note.pid = run->pid;
    note.started = true;
    note.restarted = run->sup.restarts > run->restarts;
    note.restarts = run->sup.restarts;
    if (note.restarted) {
        weft_report_count(unit, WEFT_TALLY_RESTARTS, run->sup.restarts - run->restarts);
        run->restarts = run->sup.restarts;
    }
    set_up(unit);
    weft_report_note(unit, &note);
}

/* ---- the machine's turn ---- */

static void go_on(struct weft_unit *unit)
{
    struct weft_runner *run = &unit->runner;
    enum weft_sup_step step;
    uint64_t now;
    uint64_t due;

    while ((step = weft_sup_step(&run->sup, weft_clock_mono_ms())) != WEFT_SUP_WAIT) {
        switch (step) {
        case WEFT_SUP_ASK:
            weft_runner_tell(unit);
            ask(unit);
            break;
        case WEFT_SUP_SPAWN:
            spawn(unit);
            break;
        case WEFT_SUP_STARTED:
            tell_started(unit);
            break;
        case WEFT_SUP_TERM:
            weft_runner_tell(unit);
            weft_child_term(run->child);
            break;
        case WEFT_SUP_KILL:
            weft_child_kill(run->child);
            break;
        case WEFT_SUP_WAIT:
            break;
        }
    }
    now = weft_clock_mono_ms();
    due = weft_sup_due_ms(&run->sup);
    if (due == UINT64_MAX) {
        weft_timer_cancel(run->timer);
    } else {
        weft_timer_set(run->timer, due > now ? (uint32_t)(due - now) : 0);
    }
}

void weft_runner_allowed(struct weft_unit *unit, bool allowed, void *permit)
{
    struct weft_runner *run = &unit->runner;

    run->ticket = 0;
    run->permit = permit;
    if (!weft_sup_allowed(&run->sup, allowed)) {
        return_permit(unit);
    } else if (!allowed) {
        struct weft_note note = note_of(unit);

        note.given_up = true;
        (void)snprintf(note.error, sizeof(note.error), "not started: its breaker is open");
        weft_report_note(unit, &note);
    }
    go_on(unit);
}

static void timer_due(void *ctx)
{
    weft_role_assert_control(pthread_self());
    go_on(ctx);
}

/* ---- life ---- */

static struct weft_sup_rules rules_of(const struct weft_service_def *def)
{
    struct weft_sup_rules rules = {.restart = (enum weft_service_restart)def->restart,
                                   .backoff_min_ms = def->backoff_min_ms,
                                   .backoff_max_ms = def->backoff_max_ms,
                                   .start_ms = def->start_ms,
                                   .stop_timeout_ms = def->stop_timeout_ms};

    return rules;
}

int weft_runner_init(struct weft_unit *unit)
{
    struct weft_sup_rules rules = {.restart = WEFT_RESTART_ALWAYS};

    unit->svs->rng += 0x9e3779b97f4a7c15u;
    weft_sup_init(&unit->runner.sup, &rules, unit->svs->rng);
    return weft_timer_create(&unit->runner.timer, unit->svs->env->base, timer_due, unit);
}

void weft_runner_rules(struct weft_unit *unit)
{
    unit->runner.sup.rules = rules_of(&unit->def);
}

void weft_runner_fini(struct weft_unit *unit)
{
    return_permit(unit);
    weft_child_destroy(unit->runner.child);
    weft_timer_destroy(unit->runner.timer);
}

void weft_runner_want(struct weft_unit *unit, bool running)
{
    enum weft_sup_state before = unit->runner.sup.state;

    weft_sup_want(&unit->runner.sup, running, weft_clock_mono_ms());
    if (unit->runner.sup.state == WEFT_SUP_STOPPED && before != WEFT_SUP_STOPPED) {
        weft_runner_tell(unit); /* there was no process to end */
    }
    go_on(unit);
}

void weft_runner_restart(struct weft_unit *unit)
{
    weft_sup_restart(&unit->runner.sup, weft_clock_mono_ms());
    go_on(unit);
}

bool weft_runner_is_quiet(const struct weft_unit *unit)
{
    return weft_sup_is_quiet(&unit->runner.sup) && unit->runner.child == NULL;
}
