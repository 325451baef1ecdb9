#include "worker_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <h2o/http1.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/base/random.h>
#include <weft/wire/frame.h>
#include <weft/wire/sse.h>

/*
 * An event stream. The head goes out by h2o (h2o_http1_upgrade, which then frees connection and
 * request and hands the socket over); from then on it is a descriptor in the worker's poller and
 * this struct.
 *
 * Nothing is queued: while the socket takes bytes, runs of events are written straight from the
 * batches all subscribers share; when it does not, the rest of one write is kept (`unsent`,
 * references) and nothing more is pulled until it is gone.
 *
 * (h2o writes `connection: upgrade` into that head. Without an Upgrade header it names a header
 * that is not there, as Apache does on every answer of a server with HTTP/2; browsers, curl, Node
 * and proxies take it.)
 */

#define RUNS_MAX         64
#define PULL_BYTES       ((size_t)256 * 1024)
#define CLIENT_BYTES_MAX 16384 /* that a client may send where there is nothing to say */

struct piece {
    const char *p;
    size_t len;
    struct weft_batch *batch; /* a reference, or NULL: p is inside own */
};

/* The rest of a write that the socket did not take. */
struct unsent {
    size_t n, at;
    char *own; /* bytes that no batch holds; malloc'd or NULL */
    struct piece pieces[];
};

struct stream {
    struct weft_receiver rx;
    struct weft_poll poll;
    struct unsent *unsent;
    uint64_t progress_ms; /* when the socket last took a byte */
    uint64_t number;
    struct weft_id sent; /* highest id that the client was given */
    uint64_t end_ms;     /* when its life is over; 0: never */
    const char *moving;  /* NULL, or why the client is told to go on elsewhere */
    uint32_t client_bytes;
    bool chunked;
    bool named;
    bool live;  /* the socket is ours */
    bool ended; /* nothing follows what was written, or is unsent */
    bool told_degraded;
    bool tell_degraded, tell_recovered;
    bool tell_id; /* events came late: the client's last id is not the highest */
    size_t head_len;
    char head[160]; /* first bytes of the body, sent with the head */
};

static struct stream *stream_of(struct weft_receiver *rx)
{
    return WEFT_CONTAINER_OF(rx, struct stream, rx);
}

static void unsent_free(struct unsent *u)
{
    for (size_t i = u->at; i < u->n; i++) {
        weft_batch_unref(u->pieces[i].batch);
    }
    free(u->own);
    free(u);
}

static void destroy(struct stream *st) WEFT_ON_WORKER
{
    struct weft_worker *worker = st->rx.worker;

    if (st->live) {
        weft_poller_remove(worker->poller, &st->poll);
        (void)close(st->poll.fd);
        weft_connection_gone(worker);
        weft_gauge_add(worker->o.shard, WEFT_G_SUBSCRIBERS, -1);
    }
    if (st->unsent != NULL) {
        unsent_free(st->unsent);
    }
    weft_receiver_fini(&st->rx);
    free(st);
}

/* ---- writing ---- */

/* Bytes taken by the socket, 0 if none now, or -1: it is broken. */
static ssize_t push(struct stream *st, struct iovec *iov, size_t n) WEFT_ON_WORKER
{
    struct msghdr mh = {.msg_iov = iov, .msg_iovlen = n};
    ssize_t sent =
        n == 1 ? send(st->poll.fd, iov[0].iov_base, iov[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL)
               : sendmsg(st->poll.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    if (sent > 0) {
        st->progress_ms = st->rx.worker->now_ms;
        weft_count(st->rx.worker->o.shard, WEFT_M_DELIVERY_BYTES, (uint64_t)sent);
    }
    return sent;
}

/* Writes the pieces; keeps the rest. False: broken. */
static bool write_pieces(struct stream *st, const struct piece *pieces, size_t n) WEFT_ON_WORKER
{
    struct iovec iov[RUNS_MAX];
    size_t total = 0;
    size_t i = 0;
    ssize_t sent;

    for (i = 0; i < n; i++) {
        iov[i].iov_base = (void *)(uintptr_t)pieces[i].p;
        iov[i].iov_len = pieces[i].len;
        total += pieces[i].len;
    }
    sent = push(st, iov, n);
    if (sent < 0) {
        return false;
    }
    if ((size_t)sent == total) {
        return true;
    }
    size_t left = (size_t)sent;
    size_t own = 0;

    for (i = 0; i < n && left >= pieces[i].len; i++) {
        left -= pieces[i].len;
    }
    WEFT_ASSERT(i < n);
    struct unsent *u = calloc(1, sizeof(*u) + (n - i) * sizeof(u->pieces[0]));
    WEFT_ASSERT(u != NULL);
    for (size_t k = i; k < n; k++) {
        struct piece *rest = &u->pieces[u->n++];
        size_t skip = k == i ? left : 0;

        rest->p = pieces[k].p + skip;
        rest->len = pieces[k].len - skip;
        if (pieces[k].batch != NULL) {
            rest->batch = weft_batch_ref(pieces[k].batch);
        } else {
            own += rest->len;
        }
    }
    if (own > 0) { /* bytes of the scratch buffer: it is used by the next write */
        char *at = u->own = malloc(own);

        WEFT_ASSERT(at != NULL);
        for (size_t k = 0; k < u->n; k++) {
            if (u->pieces[k].batch == NULL) {
                memcpy(at, u->pieces[k].p, u->pieces[k].len);
                u->pieces[k].p = at;
                at += u->pieces[k].len;
            }
        }
    }
    st->unsent = u;
    return true;
}

/* Writes on where the last write stopped. False: broken. */
static bool write_unsent(struct stream *st) WEFT_ON_WORKER
{
    struct unsent *u = st->unsent;

    while (u != NULL) {
        struct iovec iov[RUNS_MAX];
        size_t n = u->n - u->at;
        ssize_t sent;

        for (size_t i = 0; i < n; i++) {
            iov[i].iov_base = (void *)(uintptr_t)u->pieces[u->at + i].p;
            iov[i].iov_len = u->pieces[u->at + i].len;
        }
        sent = push(st, iov, n);
        if (sent <= 0) {
            return sent == 0;
        }
        while (u->at < u->n && (size_t)sent >= u->pieces[u->at].len) {
            sent -= (ssize_t)u->pieces[u->at].len;
            weft_batch_unref(u->pieces[u->at].batch);
            u->at++;
        }
        if (u->at == u->n) {
            unsent_free(u);
            st->unsent = NULL;
            return true;
        }
        u->pieces[u->at].p += sent;
        u->pieces[u->at].len -= (size_t)sent;
    }
    return true;
}

/* What stands in the worker's scratch buffer, as one chunk where the stream has chunks; and the last one. */
static bool write_scratch(struct stream *st) WEFT_ON_WORKER
{
    struct weft_buf *b = &st->rx.worker->scratch;
    char head[16];
    struct piece pieces[3];
    bool ok;

    if (st->chunked) {
        int n = snprintf(head, sizeof(head), "%zx\r\n", b->len);

        pieces[0] = (struct piece){head, (size_t)n, NULL};
        pieces[1] = (struct piece){b->data, b->len, NULL};
        pieces[2] =
            st->ended ? (struct piece){"\r\n0\r\n\r\n", 7, NULL} : (struct piece){"\r\n", 2, NULL};
        ok = write_pieces(st, pieces, 3);
    } else {
        pieces[0] = (struct piece){b->data, b->len, NULL};
        ok = write_pieces(st, pieces, 1);
    }
    weft_buf_clear(b);
    return ok;
}

static bool write_control(struct stream *st, struct weft_str type, struct weft_str id,
                          const struct weft_buf *data) WEFT_ON_WORKER
{
    struct weft_worker *worker = st->rx.worker;

    weft_sse_write(&worker->scratch, type, id, weft_str(data->data, data->len), st->named);
    weft_count(worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    return write_scratch(st);
}

/* Without `event:` lines, or without chunks, events are not sent as they lie: they are copied. */
static bool write_copied(struct stream *st, const struct weft_run *runs, size_t n) WEFT_ON_WORKER
{
    struct weft_buf *b = &st->rx.worker->scratch;

    for (size_t r = 0; r < n; r++) {
        for (uint32_t i = runs[r].from; i < runs[r].to; i++) {
            const struct weft_frame *f = &runs[r].batch->frames[i];
            uint32_t from = st->named ? f->off + WEFT_CHUNK_HEAD : f->id_off;

            weft_buf_append(b, runs[r].batch->bytes + from,
                            f->off + f->len - WEFT_CHUNK_TAIL - from);
        }
    }
    return write_scratch(st);
}

static bool write_runs(struct stream *st, const struct weft_run *runs, size_t n) WEFT_ON_WORKER
{
    struct weft_worker *worker = st->rx.worker;
    struct piece pieces[RUNS_MAX];
    uint64_t events = 0;
    bool ok;

    for (size_t r = 0; r < n; r++) {
        const struct weft_batch *batch = runs[r].batch;
        const struct weft_frame *first = &batch->frames[runs[r].from];
        const struct weft_frame *last = &batch->frames[runs[r].to - 1];

        pieces[r] = (struct piece){batch->bytes + first->off, last->off + last->len - first->off,
                                   runs[r].batch};
        events += runs[r].to - runs[r].from;
    }
    const struct weft_id last = runs[n - 1].batch->frames[runs[n - 1].to - 1].id;
    if (last.seq > st->sent.seq) {
        st->sent = last;
    } else {
        st->tell_id = true;
    }
    ok = st->chunked && st->named ? write_pieces(st, pieces, n) : write_copied(st, runs, n);
    weft_count(worker->o.shard, WEFT_M_DELIVERIES, events);
    if (st->rx.sub.mode == WEFT_SUB_RING) {
        weft_observe_ns(worker->o.shard, WEFT_H_PUBLISH_TO_FLUSH,
                        weft_clock_mono_ns() - runs[n - 1].batch->born_ns);
    }
    return ok;
}

/* ---- what is told besides events ---- */

static bool tell_open(struct stream *st) WEFT_ON_WORKER
{
    struct weft_worker *worker = st->rx.worker;
    bool floats = weft_sub_floats(&st->rx.sub);
    char id[WEFT_ID_MAX_LEN];
    size_t id_len = weft_id_print(id, st->rx.sub.cursor);
    struct weft_str topic;
    struct weft_buf b;
    size_t pos = 0;
    bool first = true;

    weft_buf_init(&b, 65536);
    weft_buf_printf(&b, "{\"stream\":\"%s-%u-%llu\",\"node\":\"%s\",\"cursor\":", worker->o.node_id,
                    worker->o.index, (unsigned long long)st->number, worker->o.node_id);
    if (floats) {
        weft_buf_puts(&b, "null");
    } else {
        weft_buf_json(&b, weft_str(id, id_len));
    }
    weft_buf_puts(&b, ",\"topics\":[");
    while (weft_sub_next_topic(&st->rx.sub, &pos, &topic)) {
        if (!first) {
            weft_buf_append(&b, ",", 1);
        }
        weft_buf_json(&b, topic);
        first = false;
    }
    weft_buf_printf(&b, "],\"heartbeat_ms\":%u}", worker->o.cfg->sse.heartbeat_ms);
    bool ok = write_control(st, WEFT_STR("weft.open"), weft_str(id, floats ? 0 : id_len), &b);
    weft_buf_fini(&b);
    return ok;
}

static bool tell_gaps(struct stream *st) WEFT_ON_WORKER
{
    const struct weft_page *page = st->rx.sub.page;
    struct weft_buf *out = &st->rx.worker->scratch;
    struct weft_buf b;

    /* All of them in one write: what is kept of a write is one. */
    weft_buf_init(&b, 4096);
    for (size_t i = 0; i < page->n_gaps; i++) {
        weft_buf_clear(&b);
        weft_gap_print(&b, &page->gaps[i]);
        if (page->gaps[i].reason == WEFT_GAP_RESET) {
            st->sent = (struct weft_id){0, 0}; /* ids of another history */
        }
        weft_sse_write(out, WEFT_STR("weft.gap"), weft_str(NULL, 0), weft_str(b.data, b.len),
                       st->named);
    }
    weft_buf_fini(&b);
    weft_count(st->rx.worker->o.shard, WEFT_M_GAPS, page->n_gaps);
    weft_count(st->rx.worker->o.shard, WEFT_M_CONTROL_EVENTS, page->n_gaps);
    return write_scratch(st);
}

static bool tell_redis(struct stream *st) WEFT_ON_WORKER
{
    bool up = st->tell_recovered;
    struct weft_buf b;
    bool ok;

    st->tell_degraded = st->tell_recovered = false;
    weft_buf_init(&b, 64);
    weft_buf_puts(&b, up ? "{}" : "{\"reason\":\"redis\"}");
    ok = write_control(st, up ? WEFT_STR("weft.recovered") : WEFT_STR("weft.degraded"),
                       weft_str(NULL, 0), &b);
    weft_buf_fini(&b);
    return ok;
}

/*
 * After late events (fanout.h), an event of nothing but an id: by the standard it only sets the last
 * event id, with which the client then resumes.
 */
static bool tell_id(struct stream *st) WEFT_ON_WORKER
{
    struct weft_buf *b = &st->rx.worker->scratch;
    char id[WEFT_ID_MAX_LEN];

    st->tell_id = false;
    weft_buf_puts(b, "id: ");
    weft_buf_append(b, id, weft_id_print(id, st->sent));
    weft_buf_append(b, "\n\n", 2);
    return write_scratch(st);
}

static bool tell_moved(struct stream *st) WEFT_ON_WORKER
{
    struct weft_worker *worker = st->rx.worker;

    weft_moved_print(&worker->scratch, st->moving, weft_moved_retry_ms(worker), st->named);
    weft_count(worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    weft_count(worker->o.shard, WEFT_M_STREAMS_MOVED, 1);
    st->ended = true;
    return write_scratch(st);
}

/* ---- the turn of a stream ---- */

/* Writes what there is until there is no more or the socket takes no more. False: broken, or over. */
static bool pump(struct stream *st) WEFT_ON_WORKER
{
    struct weft_run runs[RUNS_MAX];
    size_t n;

    while (st->unsent == NULL) {
        bool ok = true;

        if (st->ended) {
            return false;
        }
        if (st->tell_id) {
            ok = tell_id(st);
        } else if (st->tell_degraded || st->tell_recovered) {
            ok = tell_redis(st);
        } else if (st->moving != NULL &&
                   (weft_sub_may_leave(&st->rx.sub) || st->rx.worker->stopping)) {
            ok = tell_moved(st);
        } else {
            switch (weft_sub_pull(&st->rx.sub, runs, RUNS_MAX, PULL_BYTES, &n)) {
            case WEFT_PULL_NONE:
                return true;
            case WEFT_PULL_OPENED:
                ok = tell_open(st);
                break;
            case WEFT_PULL_GAPS:
                ok = tell_gaps(st);
                break;
            case WEFT_PULL_EVENTS:
                ok = write_runs(st, runs, n);
                break;
            }
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static void stream_ready(struct weft_receiver *rx)
{
    struct stream *st = stream_of(rx);

    weft_role_assert_worker(st->rx.worker->owner);
    if (st->live && !pump(st)) {
        destroy(st);
    }
}

/* False: the client is gone, or talks where there is nothing to say. */
static bool client_is_there(struct stream *st)
{
    char bytes[4096];

    for (;;) {
        ssize_t n = recv(st->poll.fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        }
        st->client_bytes += (uint32_t)n;
        if (st->client_bytes > CLIENT_BYTES_MAX) {
            return false;
        }
    }
}

static void socket_ready(struct weft_poll *poll, bool readable, bool writable)
{
    struct stream *st = WEFT_CONTAINER_OF(poll, struct stream, poll);

    weft_role_assert_worker(st->rx.worker->owner);
    if ((readable && !client_is_there(st)) || (writable && !write_unsent(st))) {
        destroy(st);
        return;
    }
    if (writable && st->unsent == NULL) {
        weft_sub_wake(&st->rx.sub); /* pulls at the end of the turn, with the others */
    }
}

static void move_away(struct stream *st, const char *reason) WEFT_ON_WORKER
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

static void stream_tick(struct weft_waiting *w, uint64_t now_ms)
{
    struct stream *st =
        WEFT_CONTAINER_OF(WEFT_CONTAINER_OF(w, struct weft_receiver, waiting), struct stream, rx);
    struct weft_worker *worker = st->rx.worker;

    weft_role_assert_worker(worker->owner);
    if (!st->live) {
        return;
    }
    /* Ticks come once a second: rather early than late. */
    if (st->end_ms != 0 && now_ms + 1000 > st->end_ms) {
        move_away(st, "lifetime");
    }
    if (st->unsent != NULL) {
        if (now_ms - st->progress_ms > worker->o.cfg->http.write_stall_ms) {
            weft_count(worker->o.shard, WEFT_M_SUBSCRIBER_STALLED, 1);
            destroy(st);
        }
        return;
    }
    if (now_ms - st->progress_ms + 1000 > worker->o.cfg->sse.heartbeat_ms) {
        weft_buf_append(&worker->scratch, ":\n\n", 3);
        if (!write_scratch(st)) {
            destroy(st);
        }
    }
}

static void stream_redis(struct weft_receiver *rx, bool up)
{
    struct stream *st = stream_of(rx);

    weft_role_assert_worker(st->rx.worker->owner);
    /* Only what changed since it was last told. */
    st->tell_degraded = !up && !st->told_degraded;
    st->tell_recovered = up && st->told_degraded;
    st->told_degraded = !up;
    weft_sub_wake(&rx->sub);
}

static void stream_stop(struct weft_receiver *rx)
{
    struct stream *st = stream_of(rx);

    weft_role_assert_worker(st->rx.worker->owner);
    if (st->live && st->chunked && st->unsent == NULL) {
        struct iovec end = {.iov_base = (void *)(uintptr_t) "0\r\n\r\n", .iov_len = 5};

        (void)push(st, &end, 1);
    }
    if (st->live) {
        destroy(st);
    }
}

/* ---- beginning ---- */

static void tune(const struct weft_worker *worker, int fd)
{
    int lowat = (int)worker->o.cfg->http.sndbuf_lowat_bytes;
    /* Only for peers that are gone without a word; one that stalls is ours to cut, and to count. */
    unsigned timeout = worker->o.cfg->http.write_stall_ms + 5000;
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

/* The head is out; the socket is ours. */
static void head_sent(void *ctx, h2o_socket_t *sock, size_t reqsize)
{
    struct stream *st = ctx;
    struct weft_worker *worker = st->rx.worker;
    h2o_socket_export_t bare;

    weft_role_assert_worker(worker->owner);
    (void)reqsize;
    if (sock == NULL || h2o_socket_export(sock, &bare) != 0) {
        destroy(st);
        return;
    }
    /* What a client may have sent behind its request means nothing here. */
    h2o_buffer_dispose(&bare.input);
    st->poll.fd = bare.fd;
    st->poll.ready = socket_ready;
    st->live = true;
    st->progress_ms = worker->now_ms;
    if (worker->o.cfg->sse.max_lifetime_ms > 0) {
        st->end_ms = worker->now_ms + weft_pace_life_ms(worker->o.cfg->sse.max_lifetime_ms,
                                                        weft_random_next(&worker->rng));
    }
    weft_connection_kept(worker);
    weft_gauge_add(worker->o.shard, WEFT_G_SUBSCRIBERS, 1);
    tune(worker, bare.fd);
    if (worker->stopping || weft_poller_add(worker->poller, &st->poll) != 0) {
        destroy(st);
        return;
    }
    weft_sub_wake(&st->rx.sub);
}

void weft_sse_begin(struct weft_call *call, const struct weft_subscription *s)
{
    struct weft_worker *worker = call->worker;
    h2o_req_t *req = call->req;
    uint32_t retry = worker->o.cfg->sse.retry_ms;
    struct stream *st;
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
    st->rx.waiting.tick = stream_tick;
    weft_receiver_init(&st->rx, worker);
    st->named = s->named;
    st->chunked = req->version >= 0x101;
    st->number = ++worker->next_stream;
    st->told_degraded = !weft_fanout_is_up(worker->fanout);
    st->tell_degraded = st->told_degraded;
    if (weft_sub_init(&st->rx.sub, worker->fanout, &s->opts) != 0) {
        destroy(st);
        weft_respond_problem(req, 503, "busy", "", "out of memory");
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
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("x-content-type-options"), 0,
                          NULL, H2O_STRLIT("nosniff"));
    if (st->chunked) {
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_TRANSFER_ENCODING, NULL,
                       H2O_STRLIT("chunked"));
    }
    weft_respond_cors(req);
    weft_count(worker->o.shard, WEFT_M_HTTP_REQUESTS, 1);

    h2o_iovec_t body = h2o_iovec_init(st->head, st->head_len);
    h2o_http1_upgrade(req, &body, 1, head_sent, st);
}
