#include "sse_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/wire/frame.h>
#include <weft/wire/sse.h>

struct piece {
    const char *p;
    size_t len;
    struct weft_batch *batch; /* a reference, or NULL: p is inside own */
};

/* The rest of a write that the socket did not take. */
struct weft_unsent {
    size_t n, at;
    char *own; /* bytes that no batch holds; malloc'd or NULL */
    struct piece pieces[];
};

size_t weft_unsent_bytes(const struct weft_unsent *u)
{
    size_t bytes = 0;

    for (size_t i = u->at; i < u->n; i++) {
        bytes += u->pieces[i].len;
    }
    return bytes;
}

void weft_unsent_free(struct weft_unsent *u)
{
    for (size_t i = u->at; i < u->n; i++) {
        weft_batch_unref(u->pieces[i].batch);
    }
    free(u->own);
    free(u);
}

ssize_t weft_stream_push(struct weft_stream *st, struct iovec *iov, size_t n)
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
static bool write_pieces(struct weft_stream *st, const struct piece *pieces, size_t n)
    WEFT_ON_WORKER
{
    struct iovec iov[WEFT_STREAM_RUNS_MAX];
    size_t total = 0;
    size_t i = 0;
    ssize_t sent;

    for (i = 0; i < n; i++) {
        iov[i].iov_base = (void *)(uintptr_t)pieces[i].p;
        iov[i].iov_len = pieces[i].len;
        total += pieces[i].len;
    }
    sent = weft_stream_push(st, iov, n);
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
    struct weft_unsent *u = calloc(1, sizeof(*u) + (n - i) * sizeof(u->pieces[0]));
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
    weft_sub_blocked(&st->rx.sub, st->rx.worker->now_ms);
    return true;
}

bool weft_stream_write_unsent(struct weft_stream *st)
{
    struct weft_unsent *u = st->unsent;

    while (u != NULL) {
        struct iovec iov[WEFT_STREAM_RUNS_MAX];
        size_t n = u->n - u->at;
        ssize_t sent;

        for (size_t i = 0; i < n; i++) {
            iov[i].iov_base = (void *)(uintptr_t)u->pieces[u->at + i].p;
            iov[i].iov_len = u->pieces[u->at + i].len;
        }
        sent = weft_stream_push(st, iov, n);
        if (sent <= 0) {
            return sent == 0;
        }
        while (u->at < u->n && (size_t)sent >= u->pieces[u->at].len) {
            sent -= (ssize_t)u->pieces[u->at].len;
            weft_batch_unref(u->pieces[u->at].batch);
            u->at++;
        }
        if (u->at == u->n) {
            weft_unsent_free(u);
            st->unsent = NULL;
            return true;
        }
        u->pieces[u->at].p += sent;
        u->pieces[u->at].len -= (size_t)sent;
    }
    return true;
}

bool weft_stream_write_scratch(struct weft_stream *st)
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

bool weft_stream_write_control(struct weft_stream *st, struct weft_str type, struct weft_str id,
                               const struct weft_buf *data)
{
    struct weft_worker *worker = st->rx.worker;

    weft_sse_write(&worker->scratch, type, id, weft_str(data->data, data->len), st->named);
    weft_count(worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    return weft_stream_write_scratch(st);
}

/* Without `event:` lines, or without chunks, events are not sent as they lie: they are copied. */
static bool write_copied(struct weft_stream *st, const struct weft_run *runs, size_t n)
    WEFT_ON_WORKER
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
    return weft_stream_write_scratch(st);
}

bool weft_stream_write_runs(struct weft_stream *st, const struct weft_run *runs, size_t n)
{
    struct weft_worker *worker = st->rx.worker;
    struct piece pieces[WEFT_STREAM_RUNS_MAX];
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
