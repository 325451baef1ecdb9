#include "ws_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "look_priv.h"

/*
 * One subscription of a socket. Those that have something stand in line; each is served at most PULL_BYTES and goes to
 * the end, so that one that resumes from far back does not keep the others waiting. And it is all that a socket that
 * stops taking bytes can leave in memory.
 */

#define PULL_BYTES ((size_t)16 * 1024)

static struct weft_ws_sub *sub_of(struct weft_receiver *rx)
{
    return WEFT_CONTAINER_OF(rx, struct weft_ws_sub, rx);
}

/* ---- in line ---- */

static void line_up(struct weft_ws_sub *sub) WEFT_ON_WORKER
{
    if (!sub->is_ready) {
        sub->is_ready = true;
        DL_APPEND2(sub->ws->ready, sub, ready_prev, ready_next);
    }
    weft_ws_queue(sub->ws);
}

static void step_out(struct weft_ws_sub *sub) WEFT_ON_WORKER
{
    if (sub->is_ready) {
        sub->is_ready = false;
        DL_DELETE2(sub->ws->ready, sub, ready_prev, ready_next);
    }
}

/* ---- what the fanout says: it may be walking its subscribers ---- */

static void ready(struct weft_receiver *rx)
{
    weft_role_assert_worker(rx->worker->owner);
    line_up(sub_of(rx));
}

static void redis(struct weft_receiver *rx, bool up)
{
    weft_role_assert_worker(rx->worker->owner);
    (void)up;
    weft_ws_queue(sub_of(rx)->ws); /* it is told once for all of them */
}

static void move(struct weft_receiver *rx)
{
    weft_role_assert_worker(rx->worker->owner);
    weft_ws_move(sub_of(rx)->ws, "draining");
}

/* Its socket ends: weft_ws_stop(). */
static void stop(struct weft_receiver *rx)
{
    (void)rx;
}

static void too_many(struct weft_receiver *rx)
{
    weft_role_assert_worker(rx->worker->owner);
    sub_of(rx)->too_many = true;
    line_up(sub_of(rx));
}

/* Where it stands is known by now, or it has passed events that are not for the client. */
static void tell_cursor(struct weft_ws_sub *sub) WEFT_ON_WORKER
{
    sub->floats = false;
    sub->sent = sub->rx.sub.cursor;
    sub->tell_cursor = true;
}

/* ---- being looked at ---- */

static void tick(struct weft_waiting *w, uint64_t now_ms)
{
    struct weft_receiver *rx = WEFT_CONTAINER_OF(w, struct weft_receiver, waiting);

    struct weft_ws_sub *sub = sub_of(rx);

    weft_role_assert_worker(rx->worker->owner);
    weft_look_show(rx, &sub->ws->peer);
    if (weft_look_passed(rx, sub->sent) &&
        now_ms - sub->given_ms + 1000 > rx->worker->o.cfg->ws.heartbeat_ms) {
        tell_cursor(sub);
        line_up(sub);
    }
}

static void name(struct weft_receiver *rx, struct weft_stream_name *ret_name)
{
    weft_role_assert_worker(rx->worker->owner);
    weft_look_name(rx, &sub_of(rx)->ws->peer, sub_of(rx)->ws->kept.request_id, ret_name);
}

static void describe(struct weft_receiver *rx, const struct weft_seen *seen, struct weft_buf *out)
{
    struct weft_ws_sub *sub = sub_of(rx);

    weft_role_assert_worker(rx->worker->owner);
    weft_look_describe(rx, &sub->ws->peer, sub->began_ms, seen, out);
}

/* ---- life ---- */

struct weft_ws_sub *weft_ws_sub_find(const struct weft_ws *ws, struct weft_str name)
{
    struct weft_ws_sub *sub;

    DL_FOREACH(ws->subs, sub) {
        if (weft_str_eq(weft_ws_sub_name(sub), name)) {
            break;
        }
    }
    return sub;
}

int weft_ws_sub_begin(struct weft_ws *ws, struct weft_str sub_name,
                      const struct weft_sub_opts *opts)
{
    struct weft_worker *worker = ws->worker;
    struct weft_ws_sub *sub = calloc(1, sizeof(*sub));

    if (sub == NULL) {
        return WEFT_ENOMEM;
    }
    sub->ws = ws;
    memcpy(sub->name, sub_name.p, sub_name.len);
    sub->name_len = (uint8_t)sub_name.len;
    sub->handle = (struct weft_handle){
        .ops = &weft_ws_handle_ops, .standing = &ws->standing, .secret = weft_stream_secret()};
    sub->rx.waiting.handle = &sub->handle;
    sub->began_ms = worker->now_ms;
    sub->rx.ready = ready;
    sub->rx.redis = redis;
    sub->rx.move = move;
    sub->rx.stop = stop;
    sub->rx.too_many = too_many;
    sub->rx.name = name;
    sub->rx.describe = describe;
    sub->rx.waiting.tick = tick;
    weft_receiver_init(&sub->rx, worker);
    DL_APPEND(ws->subs, sub);
    ws->n_subs++;
    weft_gauge_add(worker->o.shard, WEFT_G_SUBSCRIBERS, 1);
    if (weft_sub_init(&sub->rx.sub, worker->fanout, opts) != 0) {
        weft_ws_sub_end(sub);
        return WEFT_ENOMEM;
    }
    if (ws->was_busy) {
        weft_sub_blocked(&sub->rx.sub, worker->now_ms);
    }
    return 0;
}

void weft_ws_sub_end(struct weft_ws_sub *sub)
{
    struct weft_ws *ws = sub->ws;

    step_out(sub);
    DL_DELETE(ws->subs, sub);
    ws->n_subs--;
    weft_gauge_add(ws->worker->o.shard, WEFT_G_SUBSCRIBERS, -1);
    weft_receiver_fini(&sub->rx);
    free(sub);
}

/* ---- its turn ---- */

static void end_told(struct weft_ws_sub *sub, const char *reason) WEFT_ON_WORKER
{
    weft_ws_tell_closed(sub, reason);
    weft_ws_sub_end(sub);
}

bool weft_ws_sub_serve(struct weft_ws_sub *sub)
{
    struct weft_run runs[WEFT_PEER_PIECES_MAX];
    size_t n;

    step_out(sub);
    if (sub->too_many) {
        end_told(sub, "too_many_topics");
        return true;
    }
    if (sub->is_closed) {
        end_told(sub, "closed");
        return true;
    }
    if (sub->tell_cursor) {
        weft_ws_tell_cursor(sub);
        line_up(sub);
        return true;
    }
    switch (weft_sub_pull(&sub->rx.sub, runs, WEFT_PEER_PIECES_MAX, PULL_BYTES, &n)) {
    case WEFT_PULL_NONE:
        if (!sub->floats || !weft_sub_has_cursor(&sub->rx.sub)) {
            return true;
        }
        tell_cursor(sub);
        break;
    case WEFT_PULL_OPENED:
        weft_ws_tell_open(sub);
        break;
    case WEFT_PULL_GAPS:
        weft_ws_tell_gaps(sub);
        break;
    case WEFT_PULL_EVENTS:
        line_up(sub);
        return weft_ws_write_runs(sub, runs, n);
    case WEFT_PULL_CLOSE:
        end_told(sub, "slow");
        return true;
    }
    line_up(sub);
    return true;
}
