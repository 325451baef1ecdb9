#include "worker_priv.h"

#include <stdio.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/guard/breaker_cache.h>
#include <weft/guard/breakers.h>

/*
 * Circuit breakers. May a call be made: answered here while the worker knows, else by control. So with good results
 * of calls without permit; all else is control's.
 */

#define ANSWER_MAX  400
#define LATENCY_MAX 86400000.0

static const char *const outcome_words[] = {"success", "failure", NULL};

enum outcome { OUTCOME_SUCCESS, OUTCOME_FAILURE };

static const char *const no_query[] = {NULL};

static struct weft_breaker_cache *cache_of(struct weft_call *call) WEFT_ON_WORKER
{
    return call->worker->parts.of[WEFT_PART_BREAKERS];
}

/* The path's breaker into op. Answers 400 and returns false if it can be none. */
static bool begin(struct weft_call *call, enum weft_breaker_op_kind kind,
                  struct weft_breaker_op *op) WEFT_ON_WORKER
{
    struct weft_str name = call->params[0];

    if (!weft_query_allow(call, no_query)) {
        return false;
    }
    if (!weft_topic_valid(name)) {
        weft_respond_problem(call->req, 400, "invalid", "name",
                             "a breaker's name is 1 to 200 of A-Z a-z 0-9 . _ : -");
        return false;
    }
    *op = (struct weft_breaker_op){.kind = kind};
    memcpy(op->name, name.p, name.len);
    return true;
}

static bool no_body(struct weft_call *call) WEFT_ON_WORKER
{
    char unused;

    return weft_call_form(call, NULL, 0, &unused, NULL);
}

void weft_handle_breakers(struct weft_call *call)
{
    if (weft_query_allow(call, no_query)) {
        weft_control_ask(call, weft_breakers_ask_list());
    }
}

void weft_handle_breaker(struct weft_call *call)
{
    struct weft_breaker_op op;

    if (begin(call, WEFT_BREAKER_OP_READ, &op)) {
        weft_control_ask(call, weft_breakers_ask(&op));
    }
}

#define NUMBER(field, least, most)                                                          \
    {                                                                                       \
        .name = #field, .kind = WEFT_MEMBER_U64,                                            \
        .offset = offsetof(struct weft_breaker_config, field), .lo = (least), .hi = (most), \
    }

#define WORD(field, words)                                                         \
    {                                                                              \
        .name = #field, .kind = WEFT_MEMBER_CHOICE,                                \
        .offset = offsetof(struct weft_breaker_config, field), .choices = (words), \
    }

void weft_handle_breaker_put(struct weft_call *call)
{
    static const struct weft_member members[] = {
        WORD(mode, weft_breaker_mode_words),
        NUMBER(failure_threshold, 1, WEFT_BREAKER_COUNT_MAX),
        NUMBER(failure_rate, 1, 100),
        NUMBER(min_calls, 1, WEFT_BREAKER_COUNT_MAX),
        NUMBER(success_threshold, 1, WEFT_BREAKER_COUNT_MAX),
        NUMBER(timeout_ms, 1, WEFT_BREAKER_TIMEOUT_MAX_MS),
        NUMBER(time_window_ms, 1000, WEFT_BREAKER_WINDOW_MAX_MS),
        NUMBER(half_open_permits, 1, WEFT_BREAKER_PERMITS_MAX),
        NUMBER(permit_ms, 10, WEFT_BREAKER_TIMEOUT_MAX_MS),
        NUMBER(quorum, 1, WEFT_BREAKER_QUORUM_MAX),
        WORD(without_redis, weft_without_words),
    };
    struct weft_breaker_op op;

    if (!begin(call, WEFT_BREAKER_OP_CONFIGURE, &op)) {
        return;
    }
    weft_breaker_config_init(&op.cfg);
    if (weft_call_form(call, members, WEFT_COUNT_OF(members), &op.cfg, NULL)) {
        weft_control_ask(call, weft_breakers_ask(&op));
    }
}

void weft_handle_breaker_delete(struct weft_call *call)
{
    struct weft_breaker_op op;

    if (begin(call, WEFT_BREAKER_OP_REMOVE, &op) && no_body(call)) {
        weft_control_ask(call, weft_breakers_ask(&op));
    }
}

void weft_handle_breaker_force(struct weft_call *call)
{
    struct {
        unsigned state;
    } form = {0};
    const struct weft_member members[] = {
        {.name = "state",
         .kind = WEFT_MEMBER_CHOICE,
         .choices = weft_breaker_force_words,
         .required = true},
    };
    struct weft_breaker_op op;

    if (begin(call, WEFT_BREAKER_OP_FORCE, &op) &&
        weft_call_form(call, members, WEFT_COUNT_OF(members), &form, NULL)) {
        op.force = (enum weft_breaker_force)form.state;
        weft_control_ask(call, weft_breakers_ask(&op));
    }
}

void weft_handle_breaker_acquire(struct weft_call *call)
{
    struct weft_breaker_op op;
    struct weft_breaker_said said;
    enum weft_breaker_verdict verdict;
    char seconds[24];
    struct weft_buf b;

    if (!begin(call, WEFT_BREAKER_OP_ACQUIRE, &op) || !no_body(call)) {
        return;
    }
    verdict =
        weft_breaker_cache_allow(cache_of(call), call->params[0], call->worker->now_ms, &said);
    if (verdict == WEFT_BREAKER_ASK) {
        weft_control_ask(call, weft_breakers_ask(&op));
        return;
    }
    if (verdict == WEFT_BREAKER_DENY) {
        int n = snprintf(seconds, sizeof(seconds), "%llu",
                         (unsigned long long)(said.wait_ms + 999) / 1000);
        h2o_iovec_t value = h2o_strdup(&call->req->pool, seconds, (size_t)n);

        h2o_add_header(&call->req->pool, &call->req->res.headers, H2O_TOKEN_RETRY_AFTER, NULL,
                       value.base, value.len);
    }
    weft_buf_init(&b, ANSWER_MAX);
    weft_breaker_print_acquired(&b, verdict == WEFT_BREAKER_ALLOW, said.state, "", said.wait_ms);
    weft_respond_json(call->req, 200, weft_str(b.data, b.len));
    weft_buf_fini(&b);
}

struct report_form {
    struct weft_str permit;
    unsigned outcome;
    double latency_ms;
};

/* Where a result goes that control has to hear of. */
static void ask_report(struct weft_call *call, struct weft_breaker_op *op,
                       const struct report_form *form, bool has_permit) WEFT_ON_WORKER
{
    op->success = form->outcome == OUTCOME_SUCCESS;
    if (has_permit) {
        op->kind = WEFT_BREAKER_OP_SETTLE;
    } else {
        op->epoch = weft_breaker_cache_epoch(cache_of(call), call->params[0]);
        op->successes = op->success ? 1 : 0;
        op->failures = op->success ? 0 : 1;
    }
    weft_control_ask(call, weft_breakers_ask(op));
}

void weft_handle_breaker_report(struct weft_call *call)
{
    static const struct weft_member members[] = {
        {.name = "permit",
         .kind = WEFT_MEMBER_TEXT,
         .offset = offsetof(struct report_form, permit),
         .lo = 1,
         .hi = WEFT_PERMIT_MAX_LEN - 1},
        {.name = "outcome",
         .kind = WEFT_MEMBER_CHOICE,
         .offset = offsetof(struct report_form, outcome),
         .choices = outcome_words,
         .required = true},
        {.name = "latency_ms",
         .kind = WEFT_MEMBER_NUMBER,
         .offset = offsetof(struct report_form, latency_ms),
         .lo = 0,
         .hi = LATENCY_MAX},
    };
    struct weft_shard *shard = call->worker->o.shard;
    struct report_form form = {.latency_ms = -1};
    struct weft_breaker_op op;
    enum weft_breaker_state state;
    struct weft_buf b;

    if (!begin(call, WEFT_BREAKER_OP_REPORT, &op) ||
        !weft_call_form(call, members, WEFT_COUNT_OF(members), &form, NULL)) {
        return;
    }
    if (form.permit.p != NULL && !weft_permit_parse(&op.permit, form.permit)) {
        weft_respond_problem(call->req, 400, "invalid", "permit",
                             "it must be a permit as acquire gave it");
        return;
    }
    weft_count(shard,
               form.outcome == OUTCOME_SUCCESS ? WEFT_M_BREAKER_SUCCESSES : WEFT_M_BREAKER_FAILURES,
               1);
    if (form.latency_ms >= 0) {
        weft_observe_ns(shard, WEFT_H_BREAKER_CALL, (uint64_t)(form.latency_ms * 1e6));
    }
    if (form.permit.p == NULL && form.outcome == OUTCOME_SUCCESS &&
        weft_breaker_cache_succeeded(cache_of(call), call->params[0], &state)) {
        weft_buf_init(&b, ANSWER_MAX);
        weft_breaker_print_reported(&b, true, state);
        weft_respond_json(call->req, 200, weft_str(b.data, b.len));
        weft_buf_fini(&b);
        return;
    }
    ask_report(call, &op, &form, form.permit.p != NULL);
}
