#include "worker_priv.h"

#include <weft/base/random.h>
#include <weft/wire/sse.h>

/*
 * A worker's part of a drain. From weft_worker_leave() on it is not ready and lets go of a
 * connection after its answer; else nothing changes, while those who send traffic here learn of it.
 * From weft_worker_drain() on, the streams that it has then are told one after another to go on
 * elsewhere (pace.h), and new ones are told so at once. Long-polls are answered at their turn; new
 * ones wait as ever, until the end: an answer at once would only bring them back at once.
 */

/* ---- any thread ---- */

void weft_worker_leave(struct weft_worker *worker)
{
    atomic_store_explicit(&worker->leaving, true, memory_order_release);
}

void weft_worker_drain(struct weft_worker *worker, uint32_t period_ms)
{
    worker->drain_period_ms = period_ms;
    /* Until they are counted. */
    atomic_store_explicit(&worker->drain_left, 1, memory_order_relaxed);
    atomic_store_explicit(&worker->drain_asked, true, memory_order_release);
}

uint32_t weft_worker_undrained(const struct weft_worker *worker)
{
    return atomic_load_explicit(&worker->drain_left, memory_order_acquire);
}

/* ---- the worker's ---- */

bool weft_drain_is_leaving(const struct weft_worker *worker)
{
    return atomic_load_explicit(&worker->leaving, memory_order_acquire);
}

static bool is_asked(const struct weft_worker *worker)
{
    return atomic_load_explicit(&worker->drain_asked, memory_order_acquire);
}

bool weft_drain_is_moving(const struct weft_worker *worker)
{
    return is_asked(worker);
}

static void set_left(struct weft_worker *worker, uint32_t left) WEFT_ON_WORKER
{
    atomic_store_explicit(&worker->drain_left, left, memory_order_release);
    weft_gauge_set(worker->o.shard, WEFT_G_DRAIN_LEFT, left);
}

static void count(void *arg, struct weft_sub *sub)
{
    struct weft_receiver *rx = WEFT_CONTAINER_OF(sub, struct weft_receiver, sub);
    struct weft_worker *worker = arg;

    weft_role_assert_worker(worker->owner);
    rx->waiting.drain = WEFT_DRAIN_WAITS;
    worker->drain.waits++;
}

static void begin(struct weft_worker *worker) WEFT_ON_WORKER
{
    struct weft_drain *drain = &worker->drain;

    drain->began = true;
    weft_fanout_each(worker->fanout, count, worker);
    drain->pace = (struct weft_pace){
        .began_ms = worker->now_ms,
        .period_ms = worker->drain_period_ms,
        .n = drain->waits,
        .index = worker->o.index,
        .parts = worker->o.n_workers,
    };
    set_left(worker, drain->waits);
    weft_ws_drain(worker);
}

/* Slots are taken anew meanwhile, but not by those who were there at the beginning. */
static void move_next(struct weft_worker *worker) WEFT_ON_WORKER
{
    struct weft_drain *drain = &worker->drain;

    for (;;) {
        struct weft_waiting *w = worker->slots[drain->at++].waiting;

        if (w != NULL && w->drain == WEFT_DRAIN_WAITS) {
            struct weft_receiver *rx = WEFT_CONTAINER_OF(w, struct weft_receiver, waiting);

            w->drain = WEFT_DRAIN_MOVES;
            drain->waits--;
            rx->move(rx);
            return;
        }
    }
}

void weft_drain_turn(struct weft_worker *worker)
{
    uint32_t left;

    if (worker->stopping || !is_asked(worker)) {
        return;
    }
    if (!worker->drain.began) {
        begin(worker);
    }
    left = weft_pace_left(&worker->drain.pace, worker->now_ms);
    while (worker->drain.waits > left) {
        move_next(worker);
    }
}

void weft_drain_gone(struct weft_worker *worker, const struct weft_waiting *w)
{
    if (w->drain == WEFT_DRAIN_NONE) {
        return;
    }
    if (w->drain == WEFT_DRAIN_WAITS) {
        worker->drain.waits--;
    }
    set_left(worker, weft_worker_undrained(worker) - 1);
}

/* ---- weft.moved ---- */

void weft_moved_print(struct weft_buf *out, const char *reason, uint32_t retry_ms, bool named)
{
    struct weft_buf data;

    weft_buf_init(&data, 128);
    weft_buf_printf(&data, "{\"reason\":\"%s\",\"retry_ms\":%u}", reason, retry_ms);
    weft_buf_printf(out, "retry: %u\n", retry_ms);
    weft_sse_write(out, WEFT_STR("weft.moved"), weft_str(NULL, 0), weft_str(data.data, data.len),
                   named);
    weft_buf_fini(&data);
}

static uint32_t some(struct weft_worker *worker, uint32_t at_least, uint32_t more) WEFT_ON_WORKER
{
    return at_least + (uint32_t)(weft_random_next(&worker->rng) % ((uint64_t)more + 1));
}

/* As after any other cut. */
static uint32_t long_retry_ms(struct weft_worker *worker) WEFT_ON_WORKER
{
    const struct weft_config *cfg = worker->o.cfg;

    return some(worker, cfg->sse.retry_ms, cfg->sse.retry_jitter_ms);
}

uint32_t weft_moved_retry_ms(struct weft_worker *worker)
{
    uint32_t short_ms = worker->o.cfg->sse.moved_retry_ms;

    /*
     * At the end all that are left go at once: nothing has spread them yet. Else the pace has, and more
     * chance would only blur it.
     */
    return worker->stopping ? long_retry_ms(worker) : some(worker, short_ms, short_ms / 2);
}

bool weft_drain_turned_away(struct weft_call *call, const struct weft_subscription *s)
{
    struct weft_worker *worker = call->worker;
    struct weft_buf *b = &worker->scratch;

    if (!is_asked(worker) && !worker->stopping) { /* who is in a hurry stops without a drain */
        return false;
    }
    /* Who comes now was sent here by somebody who does not know yet, so that he may be sent here again. */
    weft_moved_print(b, "draining", long_retry_ms(worker), s->named);
    weft_count(worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    weft_respond(call->req, 200, "text/event-stream", weft_str(b->data, b->len));
    weft_buf_clear(b);
    return true;
}
