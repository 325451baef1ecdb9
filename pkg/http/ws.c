#include "ws_priv.h"

#include <stdlib.h>

#include <utlist.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/base/random.h>

/*
 * A WebSocket: the head goes out by h2o, from then on it is a peer and this struct. Nothing is allocated while
 * nothing happens, but what each subscription has.
 *
 * Events are written straight from the batches that all subscribers share. Answers and control messages are short and go
 * through `out`. While the socket takes nothing, subscriptions are not pulled from, and once `out` is as long as
 * ws.queue_bytes nothing more is read: a client that does not read its answers cannot go on asking.
 */

#define READS_PER_TURN 2
#define TURNS_NS       ((uint64_t)2000000) /* that sockets may have of one turn of the worker */
#define LINGER_MS      2000                /* for the client to answer a close frame */

/* ---- life ---- */

struct weft_ws *weft_ws_create(struct weft_worker *worker)
{
    struct weft_ws *ws = calloc(1, sizeof(*ws));

    if (ws != NULL) {
        ws->worker = worker;
        weft_ws_reader_init(&ws->in, worker->o.cfg->ws.max_message_bytes, true);
        weft_buf_init(&ws->out, SIZE_MAX); /* its bounds: ws_read.c, ws_publish.c */
    }
    return ws;
}

void weft_ws_discard(struct weft_ws *ws)
{
    WEFT_ASSERT(ws->state == WEFT_WS_OPENING);
    weft_kept_end(ws->worker, &ws->kept, "websocket", 0, 0, "client");
    weft_ws_caller_fini(ws);
    weft_ws_read_fini(ws);
    free(ws);
}

void weft_ws_queue(struct weft_ws *ws)
{
    if (!ws->queued) {
        ws->queued = true;
        DL_APPEND2(ws->worker->ws_turns, ws, turn_prev, turn_next);
    }
}

static void let_go(struct weft_ws *ws) WEFT_ON_WORKER
{
    while (ws->subs != NULL) {
        weft_ws_sub_end(ws->subs);
    }
    weft_ws_publishes_drop(ws);
}

static void destroy(struct weft_ws *ws) WEFT_ON_WORKER
{
    struct weft_worker *worker = ws->worker;

    if (ws->state == WEFT_WS_OPEN) {
        weft_count(worker->o.shard, WEFT_M_WS_CLOSED_GONE, 1);
    }
    let_go(ws);
    if (ws->queued) {
        DL_DELETE2(worker->ws_turns, ws, turn_prev, turn_next);
    }
    DL_DELETE(worker->sockets, ws);
    weft_ticket_free(worker, &ws->waiting);
    weft_gauge_add(worker->o.shard, WEFT_G_WS_CONNECTIONS, -1);
    weft_peer_close(&ws->peer);
    weft_kept_end(worker, &ws->kept, "websocket", ws->peer.sent_bytes, ws->events,
                  ws->why != NULL && !ws->said_close ? ws->why : "client");
    weft_buf_fini(&ws->out);
    weft_ws_caller_fini(ws);
    weft_ws_read_fini(ws);
    free(ws);
}

static enum weft_counter counter_of(const struct weft_ws *ws, unsigned code)
{
    if (ws->said_close) {
        return WEFT_M_WS_CLOSED_CLIENT;
    }
    switch (code) {
    case WEFT_WS_NORMAL:
    case WEFT_WS_GOING_AWAY:
        return WEFT_M_WS_CLOSED_MOVED;
    case WEFT_WS_PROTOCOL:
    case WEFT_WS_UNSUPPORTED:
    case WEFT_WS_BAD_DATA:
    case WEFT_WS_TOO_BIG:
        return WEFT_M_WS_CLOSED_PROTOCOL;
    default:
        return WEFT_M_WS_CLOSED_POLICY;
    }
}

void weft_ws_close(struct weft_ws *ws, unsigned code, const char *why)
{
    if (ws->state != WEFT_WS_OPEN) {
        return;
    }
    ws->state = WEFT_WS_CLOSING;
    ws->why = why;
    let_go(ws);
    weft_count(ws->worker->o.shard, counter_of(ws, code), 1);
    weft_ws_put_close(&ws->out, code, why);
    weft_ws_queue(ws);
}

void weft_ws_end_expired(struct weft_ws *ws, const char *reason)
{
    if (ws->state == WEFT_WS_OPEN) {
        weft_ws_tell_expired(ws, reason);
        weft_ws_close(ws, WEFT_WS_UNAUTHORIZED, reason);
    }
}

void weft_ws_move(struct weft_ws *ws, const char *reason)
{
    if (ws->moving == NULL) {
        ws->moving = reason;
        weft_ws_queue(ws);
    }
}

/* ---- its turn ---- */

/* What it owes is given: late events (fanout.h), and the answers of what it has published. */
static bool may_leave(const struct weft_ws *ws) WEFT_ON_WORKER
{
    const struct weft_ws_sub *sub;

    if (ws->n_publishes > 0) {
        return false;
    }
    DL_FOREACH(ws->subs, sub) {
        if (sub->tell_cursor || !weft_sub_may_leave(&sub->rx.sub)) {
            return ws->worker->stopping;
        }
    }
    return true;
}

static void tell_busy(struct weft_ws *ws) WEFT_ON_WORKER
{
    bool busy = weft_peer_busy(&ws->peer);
    struct weft_ws_sub *sub;

    if (busy == ws->was_busy) {
        return;
    }
    ws->was_busy = busy;
    DL_FOREACH(ws->subs, sub) {
        if (busy) {
            weft_sub_blocked(&sub->rx.sub, ws->worker->now_ms);
        } else {
            weft_sub_unblocked(&sub->rx.sub, ws->worker->now_ms);
        }
    }
}

/* Writes until there is nothing more or the socket takes no more. False: broken, or over. */
static bool write_all(struct weft_ws *ws) WEFT_ON_WORKER
{
    while (!weft_peer_busy(&ws->peer)) {
        bool up = weft_fanout_is_up(ws->worker->fanout);

        if (ws->out.len > 0) {
            if (!weft_ws_write_out(ws)) {
                return false;
            }
        } else if (ws->state == WEFT_WS_CLOSING) {
            if (ws->said_close) {
                return false; /* both have: the server closes first (RFC 6455, 7.1.1) */
            }
            ws->state = WEFT_WS_LINGERS;
            ws->cut_ms = ws->worker->now_ms + LINGER_MS;
            weft_peer_finish(&ws->peer);
        } else if (ws->state != WEFT_WS_OPEN) {
            break;
        } else if (ws->told_degraded == up) {
            ws->told_degraded = !up;
            weft_ws_tell_redis(ws, up);
        } else if (ws->tell_renewed) {
            ws->tell_renewed = false;
            weft_ws_tell_renewed(ws);
        } else if (ws->tell_expiring) {
            ws->tell_expiring = false;
            weft_ws_tell_expiring(ws);
        } else if (ws->moving != NULL && may_leave(ws)) {
            weft_ws_tell_moved(ws);
            weft_ws_close(ws, WEFT_WS_GOING_AWAY, ws->moving);
        } else if (ws->ready != NULL) {
            if (!weft_ws_sub_serve(ws->ready)) {
                return false;
            }
        } else {
            break;
        }
    }
    tell_busy(ws);
    return true;
}

static bool turn(struct weft_ws *ws) WEFT_ON_WORKER
{
    if (ws->writable && !weft_peer_write_on(&ws->peer)) {
        return false;
    }
    ws->writable = false;
    for (int reads = 0;; reads++) {
        if (!write_all(ws)) {
            return false;
        }
        if (!weft_ws_wants_input(ws)) {
            return true;
        }
        if (reads == READS_PER_TURN) {
            weft_ws_queue(ws); /* the others first */
            return true;
        }
        if (!weft_ws_read_once(ws)) {
            return false;
        }
    }
}

/* Until the deadline: clients that send without pause must not hold up what others are to get. 0: all of them. */
static void take_turns(struct weft_worker *worker, uint64_t deadline_ns) WEFT_ON_WORKER
{
    struct weft_ws *list = worker->ws_turns;

    worker->ws_turns = NULL; /* who is queued meanwhile has the next one */
    while (list != NULL) {
        struct weft_ws *ws = list;

        if (deadline_ns != 0 && weft_clock_mono_ns() >= deadline_ns) {
            DL_CONCAT2(list, worker->ws_turns, turn_prev, turn_next);
            worker->ws_turns = list;
            return;
        }

        DL_DELETE2(list, ws, turn_prev, turn_next);
        ws->queued = false;
        if (!turn(ws)) {
            destroy(ws);
        }
    }
}

void weft_ws_turns(struct weft_worker *worker)
{
    if (worker->ws_turns != NULL) {
        take_turns(worker, weft_clock_mono_ns() + TURNS_NS);
    }
}

static void peer_ready(struct weft_peer *peer, bool readable, bool writable)
{
    struct weft_ws *ws = WEFT_CONTAINER_OF(peer, struct weft_ws, peer);

    weft_role_assert_worker(ws->worker->owner);
    ws->readable = ws->readable || readable;
    ws->writable = ws->writable || writable;
    weft_ws_queue(ws);
}

/* ---- time ---- */

static void ping(struct weft_ws *ws) WEFT_ON_WORKER
{
    ws->pinged_ms = ws->worker->now_ms;
    weft_ws_put(&ws->out, WEFT_WS_PING, weft_str(NULL, 0));
    weft_ws_queue(ws);
}

static void watch_client(struct weft_ws *ws, uint64_t now_ms) WEFT_ON_WORKER
{
    const struct weft_config *cfg = ws->worker->o.cfg;

    if (ws->auth_until_ms != 0 && now_ms >= ws->auth_until_ms) {
        weft_ws_close(ws, WEFT_WS_UNAUTHORIZED, "no token came in time");
    } else if (ws->partial_ms != 0 && now_ms - ws->partial_ms > cfg->http.request_timeout_ms) {
        weft_ws_close(ws, WEFT_WS_TIMEOUT, "a message did not come to its end");
    } else if (!ws->readable) { /* else there is something that was not listened to */
        if (ws->pinged_ms != 0) {
            if (now_ms - ws->pinged_ms >= cfg->ws.pong_ms) {
                weft_ws_close(ws, WEFT_WS_TIMEOUT, "no answer to a ping");
            }
        } else if (now_ms - ws->heard_ms + 1000 > cfg->ws.heartbeat_ms) {
            /* Ticks come once a second: rather early than late. */
            ping(ws);
        }
    }
}

static void tick(struct weft_waiting *w, uint64_t now_ms)
{
    struct weft_ws *ws = WEFT_CONTAINER_OF(w, struct weft_ws, waiting);
    const struct weft_config *cfg = ws->worker->o.cfg;

    weft_role_assert_worker(ws->worker->owner);
    if (ws->state == WEFT_WS_LINGERS) {
        if (now_ms >= ws->cut_ms || ws->worker->stopping) {
            destroy(ws);
        }
        return;
    }
    weft_ws_look_at_token(ws);
    if (weft_peer_busy(&ws->peer)) {
        if (now_ms - ws->peer.progress_ms > cfg->http.write_stall_ms) {
            weft_count(ws->worker->o.shard, WEFT_M_SUBSCRIBER_STALLED, 1);
            ws->why = "stalled";
            destroy(ws);
        }
        return;
    }
    if (ws->end_ms != 0 && now_ms + 1000 > ws->end_ms) {
        weft_ws_move(ws, "lifetime");
    }
    watch_client(ws, now_ms);
}

static void recheck(struct weft_waiting *w)
{
    struct weft_ws *ws = WEFT_CONTAINER_OF(w, struct weft_ws, waiting);

    weft_role_assert_worker(ws->worker->owner);
    weft_ws_look_at_token(ws);
}

/* ---- all of a worker ---- */

void weft_ws_redis(struct weft_worker *worker)
{
    struct weft_ws *ws;

    DL_FOREACH(worker->sockets, ws) {
        weft_ws_queue(ws);
    }
}

void weft_ws_drain(struct weft_worker *worker)
{
    struct weft_ws *ws;

    DL_FOREACH(worker->sockets, ws) {
        if (ws->n_subs == 0) {
            weft_ws_move(ws, "draining");
        }
    }
}

void weft_ws_stop(struct weft_worker *worker)
{
    struct weft_ws *ws, *next;

    DL_FOREACH(worker->sockets, ws) {
        weft_ws_move(ws, "draining");
    }
    take_turns(worker, 0);
    DL_FOREACH_SAFE(worker->sockets, ws, next) {
        if (weft_peer_busy(&ws->peer)) {
            ws->why = "stopping"; /* it could not be told */
            destroy(ws);
        }
    }
}

/* ---- beginning ---- */

void weft_ws_head_sent(void *ctx, h2o_socket_t *sock, size_t reqsize)
{
    struct weft_ws *ws = ctx;
    struct weft_worker *worker = ws->worker;
    const struct weft_config *cfg = worker->o.cfg;

    weft_role_assert_worker(worker->owner);
    ws->peer.ready = peer_ready;
    if (sock == NULL || !weft_peer_open(&ws->peer, worker, sock, reqsize)) {
        weft_ws_discard(ws);
        return;
    }
    ws->state = WEFT_WS_OPEN;
    ws->waiting.tick = tick;
    ws->waiting.recheck = recheck;
    weft_ticket_take(worker, &ws->waiting);
    DL_APPEND(worker->sockets, ws);
    weft_gauge_add(worker->o.shard, WEFT_G_WS_CONNECTIONS, 1);
    weft_count(worker->o.shard, WEFT_M_WS_OPENED, 1);
    ws->began_ms = ws->heard_ms = worker->now_ms;
    if (cfg->ws.max_lifetime_ms > 0) {
        ws->end_ms = worker->now_ms +
                     weft_pace_life_ms(cfg->ws.max_lifetime_ms, weft_random_next(&worker->rng));
    }
    if (worker->stopping || weft_drain_is_moving(worker)) {
        weft_ws_move(ws, "draining");
    }
    ws->readable =
        true; /* what came behind the request; and if nothing did, it is read once for it */
    weft_ws_queue(ws);
}
