#include "breakers_priv.h"

#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>

/*
 * Redis is away, or has answered with an error. Breakers whose `without_redis` is `local` are decided by the machine in C,
 * which goes on from what was last known and forgets everything once Redis decides again. What an operator has forced holds on for all of them.
 */

#define AWAY_RETRY_MS 1000

static struct weft_breaker *alone(struct weft_breaker_entry *e, uint64_t now_ms)
{
    if (e->alone == NULL) {
        struct weft_breaker_view view = e->view;
        uint64_t gone_ms = now_ms - e->heard_ms;

        view.wait_ms = view.wait_ms > gone_ms ? view.wait_ms - gone_ms : 0;
        view.cfg.quorum = 1; /* there is nobody else */
        e->alone = weft_breaker_resume(&view, now_ms);
    }
    return e->alone;
}

static bool is_forced(const struct weft_breaker_view *view)
{
    return view->state != WEFT_BREAKER_CLOSED && view->state != WEFT_BREAKER_OPEN &&
           view->state != WEFT_BREAKER_HALF_OPEN;
}

static void acquire(struct weft_breaker_entry *e, uint64_t now_ms, struct weft_breaker_result *r)
{
    struct weft_breaker_answer a;

    if (e->view.cfg.without_redis == WEFT_WITHOUT_LOCAL || is_forced(&e->view)) {
        weft_breaker_acquire(alone(e, now_ms), now_ms, &a);
        r->yes = a.allowed;
        r->permit = a.permit;
        r->wait_ms = a.wait_ms;
    } else {
        r->yes = e->view.cfg.without_redis == WEFT_WITHOUT_OPEN;
        r->wait_ms = r->yes ? 0 : AWAY_RETRY_MS;
    }
}

static void report(struct weft_breaker_entry *e, const struct weft_breaker_op *op, uint64_t now_ms,
                   struct weft_breaker_result *r)
{
    if (e->view.cfg.without_redis != WEFT_WITHOUT_LOCAL) {
        return;
    }
    if (op->kind == WEFT_BREAKER_OP_GIVE_BACK) {
        r->yes = weft_breaker_give_back(alone(e, now_ms), op->permit);
    } else if (op->kind == WEFT_BREAKER_OP_SETTLE) {
        r->yes = weft_breaker_settle(alone(e, now_ms), op->permit, op->success, now_ms);
    } else {
        r->yes = weft_breaker_report(alone(e, now_ms), 0, 0, op->successes, op->failures, now_ms);
    }
}

void weft_breaker_without(struct weft_breakers *brs, struct weft_breaker_op *op)
{
    struct weft_breaker_result r = {.rc = WEFT_BREAKER_UNAVAILABLE, .alone = true};
    struct weft_breaker_entry *e = weft_breakers_find(brs, weft_str(op->name, strlen(op->name)));
    uint64_t now_ms = weft_clock_mono_ms();
    bool guards = op->kind == WEFT_BREAKER_OP_ACQUIRE || op->kind == WEFT_BREAKER_OP_REPORT ||
                  op->kind == WEFT_BREAKER_OP_SETTLE || op->kind == WEFT_BREAKER_OP_GIVE_BACK;

    if (e != NULL && e->view.epoch != 0 && guards) {
        weft_count(brs->env->shard, WEFT_M_BREAKER_WITHOUT, 1);
        r.rc = WEFT_BREAKER_DONE;
        if (op->kind == WEFT_BREAKER_OP_ACQUIRE) {
            acquire(e, now_ms, &r);
        } else {
            report(e, op, now_ms, &r);
        }
        r.known = true;
        if (e->alone != NULL) {
            weft_breaker_view(e->alone, now_ms, &r.view);
        } else {
            r.view = e->view;
        }
    }
    op->done(op, &r);
}
