#include "sse_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include <h2o/http1.h>

#include <weft/base/assert.h>
#include <weft/base/random.h>

#include "look_priv.h"

/*
 * An event stream. The head goes out by h2o (h2o_http1_upgrade, which then frees connection and
 * request and hands the socket over); from then on it is a peer (peer_priv.h) and this struct.
 *
 * Nothing is queued: while the socket takes bytes, runs of events are written straight from the
 * batches all subscribers share; when it does not, nothing more is pulled until the peer is not busy.
 *
 * (h2o writes `connection: upgrade` into that head. Without an Upgrade header it names a header
 * that is not there, as Apache does on every answer of a server with HTTP/2; browsers, curl, Node
 * and proxies take it.)
 */

#define PULL_BYTES       ((size_t)256 * 1024)
#define CLIENT_BYTES_MAX 16384 /* that a client may send where there is nothing to say */
/* There will be as many topics when it comes back, and it costs a long read each time: in a minute or two. */
#define TOO_MANY_RETRY_MS 60000

static struct weft_stream *stream_of(struct weft_receiver *rx)
{
    return WEFT_CONTAINER_OF(rx, struct weft_stream, rx);
}

void weft_stream_destroy(struct weft_stream *st)
{
    struct weft_worker *worker = st->rx.worker;

    if (st->peer.open) {
        weft_peer_close(&st->peer);
        weft_gauge_add(worker->o.shard, WEFT_G_SUBSCRIBERS, -1);
    }
    weft_kept_end(worker, &st->kept, "sse", st->peer.sent_bytes, st->events,
                  st->why != NULL ? st->why : "client");
    weft_standing_end(&st->standing);
    weft_receiver_fini(&st->rx);
    free(st);
}

/* ---- the turn of a stream ---- */

/* Writes what there is until there is no more or the socket takes no more. False: broken, or over. */
static bool pump(struct weft_stream *st) WEFT_ON_WORKER
{
    struct weft_run runs[WEFT_STREAM_RUNS_MAX];
    size_t n;

    while (!weft_peer_busy(&st->peer)) {
        bool ok = true;

        if (st->ended) {
            return false;
        }
        if (st->over != NULL) {
            ok = weft_stream_tell_expired(st);
        } else if (st->closing != NULL) {
            ok = weft_stream_tell_closed(st, st->closing);
        } else if (st->tell_id) {
            ok = weft_stream_tell_id(st);
        } else if (st->tell_degraded || st->tell_recovered) {
            ok = weft_stream_tell_redis(st);
        } else if (st->tell_renewed) {
            ok = weft_stream_tell_renewed(st);
        } else if (st->tell_expiring && st->rx.sub.opened) {
            ok = weft_stream_tell_expiring(st);
        } else if (st->moving != NULL &&
                   (weft_sub_may_leave(&st->rx.sub) || st->rx.worker->stopping)) {
            ok = weft_stream_tell_moved(st);
        } else {
            switch (weft_sub_pull(&st->rx.sub, runs, WEFT_STREAM_RUNS_MAX, PULL_BYTES, &n)) {
            case WEFT_PULL_NONE:
                if (!st->floats || !weft_sub_has_cursor(&st->rx.sub)) {
                    return true;
                }
                ok = weft_stream_tell_cursor(st); /* it would ask again for what is then the past */
                break;
            case WEFT_PULL_OPENED:
                ok = weft_stream_tell_open(st);
                break;
            case WEFT_PULL_GAPS:
                ok = weft_stream_tell_gaps(st);
                break;
            case WEFT_PULL_EVENTS:
                ok = weft_stream_write_runs(st, runs, n);
                break;
            case WEFT_PULL_CLOSE:
                ok = weft_stream_tell_closed(st, "slow");
                break;
            }
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static void stream_name(struct weft_receiver *rx, struct weft_stream_name *ret_name)
{
    weft_role_assert_worker(rx->worker->owner);
    weft_look_name(rx, &stream_of(rx)->peer, stream_of(rx)->kept.request_id, ret_name);
}

static void stream_describe(struct weft_receiver *rx, const struct weft_seen *seen,
                            struct weft_buf *out)
{
    weft_role_assert_worker(rx->worker->owner);
    weft_look_describe(rx, &stream_of(rx)->peer, stream_of(rx)->began_ms, seen, out);
}

static void stream_ready(struct weft_receiver *rx)
{
    struct weft_stream *st = stream_of(rx);

    weft_role_assert_worker(st->rx.worker->owner);
    if (st->peer.open && !pump(st)) {
        weft_stream_destroy(st);
    }
}

/* False: the client is gone, or talks where there is nothing to say. */
static bool client_is_there(struct weft_stream *st) WEFT_ON_WORKER
{
    char bytes[4096];

    for (;;) {
        ssize_t n = weft_peer_read(&st->peer, bytes, sizeof(bytes));

        if (n <= 0) {
            return n == 0;
        }
        st->client_bytes += (uint32_t)n;
        if (st->client_bytes > CLIENT_BYTES_MAX) {
            return false;
        }
    }
}

static void peer_ready(struct weft_peer *peer, bool readable, bool writable)
{
    struct weft_stream *st = WEFT_CONTAINER_OF(peer, struct weft_stream, peer);

    weft_role_assert_worker(st->rx.worker->owner);
    if ((readable && !client_is_there(st)) || (writable && !weft_peer_write_on(peer))) {
        weft_stream_destroy(st);
        return;
    }
    if (writable && !weft_peer_busy(peer)) {
        weft_sub_unblocked(
            &st->rx.sub, st->rx.worker->now_ms); /* pulls at the end of the turn, with the others */
    }
}

static void move_away(struct weft_stream *st, const char *reason) WEFT_ON_WORKER
{
    if (st->moving == NULL) {
        st->moving = reason;
        weft_sub_wake(&st->rx.sub);
    }
}

static void stream_move(struct weft_receiver *rx)
{
    weft_role_assert_worker(rx->worker->owner);
    move_away(stream_of(rx), "draining");
}

/* Is its token still good? */
static void look_at_token(struct weft_stream *st) WEFT_ON_WORKER
{
    switch (weft_standing_look(&st->standing, st->rx.worker)) {
    case WEFT_STILL_GOOD:
        return;
    case WEFT_EXPIRES_SOON:
        st->tell_expiring = true;
        break;
    case WEFT_EXPIRED:
        st->over = "expired";
        break;
    case WEFT_REVOKED:
        st->over = "revoked";
        break;
    }
    weft_sub_wake(&st->rx.sub);
}

static void stream_recheck(struct weft_waiting *w)
{
    struct weft_receiver *rx = WEFT_CONTAINER_OF(w, struct weft_receiver, waiting);

    weft_role_assert_worker(rx->worker->owner);
    look_at_token(stream_of(rx));
}

/* A sign of life: where the client stands, if it cannot know, or nothing at all. False: broken. */
static bool beat(struct weft_stream *st) WEFT_ON_WORKER
{
    if (weft_look_passed(&st->rx, st->sent)) {
        return weft_stream_tell_cursor(st);
    }
    weft_buf_append(&st->rx.worker->scratch, ":\n\n", 3);
    return weft_stream_write_scratch(st);
}

static void stream_tick(struct weft_waiting *w, uint64_t now_ms)
{
    struct weft_stream *st = WEFT_CONTAINER_OF(WEFT_CONTAINER_OF(w, struct weft_receiver, waiting),
                                               struct weft_stream, rx);
    struct weft_worker *worker = st->rx.worker;

    weft_role_assert_worker(worker->owner);
    if (!st->peer.open) {
        return;
    }
    weft_look_show(&st->rx, &st->peer);
    look_at_token(st);
    /* Ticks come once a second: rather early than late. */
    if (st->end_ms != 0 && now_ms + 1000 > st->end_ms) {
        move_away(st, "lifetime");
    }
    if (weft_peer_busy(&st->peer)) {
        if (now_ms - st->peer.progress_ms > worker->o.cfg->http.write_stall_ms) {
            weft_count(worker->o.shard, WEFT_M_SUBSCRIBER_STALLED, 1);
            st->why = "stalled";
            weft_stream_destroy(st);
        }
        return;
    }
    if (now_ms - st->peer.progress_ms + 1000 > worker->o.cfg->sse.heartbeat_ms) {
        if (!beat(st)) {
            weft_stream_destroy(st);
        }
    }
}

static void stream_redis(struct weft_receiver *rx, bool up)
{
    struct weft_stream *st = stream_of(rx);

    weft_role_assert_worker(st->rx.worker->owner);
    /* Only what changed since it was last told. */
    st->tell_degraded = !up && !st->told_degraded;
    st->tell_recovered = up && st->told_degraded;
    st->told_degraded = !up;
    weft_sub_wake(&rx->sub);
}

/* Its head may not be out yet: it is told then. */
static void stream_too_many(struct weft_receiver *rx)
{
    struct weft_stream *st = stream_of(rx);

    weft_role_assert_worker(st->rx.worker->owner);
    st->closing = "too_many_topics";
    st->retry_ms =
        TOO_MANY_RETRY_MS + (uint32_t)(weft_random_next(&rx->worker->rng) % TOO_MANY_RETRY_MS);
    weft_sub_wake(&rx->sub);
}

static void stream_stop(struct weft_receiver *rx)
{
    struct weft_stream *st = stream_of(rx);

    weft_role_assert_worker(st->rx.worker->owner);
    if (st->peer.open) {
        if (st->chunked && !weft_peer_busy(&st->peer)) {
            struct weft_piece end = {"0\r\n\r\n", 5, NULL};

            (void)weft_peer_write(&st->peer, &end, 1);
        }
        st->why = "stopping";
        weft_stream_destroy(st);
    }
}

/* ---- beginning ---- */

/* The head is out; the socket is ours. */
static void head_sent(void *ctx, h2o_socket_t *sock, size_t reqsize)
{
    struct weft_stream *st = ctx;
    struct weft_worker *worker = st->rx.worker;

    weft_role_assert_worker(worker->owner);
    if (sock == NULL || !weft_peer_open(&st->peer, worker, sock, reqsize)) {
        weft_stream_destroy(st);
        return;
    }
    weft_gauge_add(worker->o.shard, WEFT_G_SUBSCRIBERS, 1);
    st->began_ms = worker->now_ms;
    if (worker->stopping || !client_is_there(st)) { /* read for what came behind the request */
        weft_stream_destroy(st);
        return;
    }
    if (worker->o.cfg->sse.max_lifetime_ms > 0) {
        st->end_ms = worker->now_ms + weft_pace_life_ms(worker->o.cfg->sse.max_lifetime_ms,
                                                        weft_random_next(&worker->rng));
    }
    weft_sub_wake(&st->rx.sub);
}

void weft_sse_begin(struct weft_call *call, const struct weft_subscription *s)
{
    struct weft_worker *worker = call->worker;
    h2o_req_t *req = call->req;
    uint32_t retry = worker->o.cfg->sse.retry_ms;
    struct weft_stream *st;
    char line[64];

    if (weft_drain_turned_away(call, s)) {
        return;
    }
    st = calloc(1, sizeof(*st));
    if (st == NULL) {
        weft_respond_problem(req, 503, "busy", "", "out of memory");
        return;
    }
    st->rx.ready = stream_ready;
    st->rx.redis = stream_redis;
    st->rx.move = stream_move;
    st->rx.stop = stream_stop;
    st->rx.too_many = stream_too_many;
    st->rx.name = stream_name;
    st->rx.describe = stream_describe;
    st->rx.waiting.tick = stream_tick;
    st->rx.waiting.recheck = stream_recheck;
    st->peer.ready = peer_ready;
    weft_receiver_init(&st->rx, worker);
    weft_standing_begin(&st->standing, s->grant);
    st->named = s->named;
    st->chunked = req->version >= 0x101;
    st->handle = (struct weft_handle){
        .ops = &weft_stream_handle_ops, .standing = &st->standing, .secret = weft_stream_secret()};
    st->rx.waiting.handle = &st->handle;
    st->told_degraded = !weft_fanout_is_up(worker->fanout);
    st->tell_degraded = st->told_degraded;
    if (weft_sub_init(&st->rx.sub, worker->fanout, &s->opts) != 0) {
        weft_stream_destroy(st);
        weft_respond_problem(req, 503, "busy", "", "out of memory");
        return;
    }
    if (!weft_kept_begin(call, "sse", &st->kept)) {
        weft_stream_destroy(st);
        return;
    }

    retry += (uint32_t)(weft_random_next(&worker->rng) % (worker->o.cfg->sse.retry_jitter_ms + 1));
    int n = snprintf(line, sizeof(line), "retry: %u\n\n", retry);
    n = st->chunked ? snprintf(st->head, sizeof(st->head), "%x\r\n%s\r\n", (unsigned)n, line)
                    : snprintf(st->head, sizeof(st->head), "%s", line);
    st->head_len = (size_t)n;

    req->res.status = 200;
    req->res.reason = "OK";
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("text/event-stream"));
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                   H2O_STRLIT("no-store"));
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("x-accel-buffering"), 0, NULL,
                          H2O_STRLIT("no"));
    if (st->chunked) {
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_TRANSFER_ENCODING, NULL,
                       H2O_STRLIT("chunked"));
    }
    weft_answer_headers(req);
    weft_count(worker->o.shard, WEFT_M_HTTP_REQUESTS, 1);

    h2o_iovec_t body = h2o_iovec_init(st->head, st->head_len);
    h2o_http1_upgrade(req, &body, 1, head_sent, st);
}
