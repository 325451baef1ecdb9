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

/* False: broken. */
static bool write_pieces(struct weft_stream *st, const struct weft_piece *pieces, size_t n)
    WEFT_ON_WORKER
{
    bool ok = weft_peer_write(&st->peer, pieces, n);

    if (ok && weft_peer_busy(&st->peer)) {
        weft_sub_blocked(&st->rx.sub, st->rx.worker->now_ms);
    }
    return ok;
}

bool weft_stream_write_scratch(struct weft_stream *st)
{
    struct weft_buf *b = &st->rx.worker->scratch;
    char head[16];
    struct weft_piece pieces[3];
    bool ok;

    if (st->chunked) {
        int n = snprintf(head, sizeof(head), "%zx\r\n", b->len);

        pieces[0] = (struct weft_piece){head, (size_t)n, NULL};
        pieces[1] = (struct weft_piece){b->data, b->len, NULL};
        pieces[2] = st->ended ? (struct weft_piece){"\r\n0\r\n\r\n", 7, NULL}
                              : (struct weft_piece){"\r\n", 2, NULL};
        ok = write_pieces(st, pieces, 3);
    } else {
        pieces[0] = (struct weft_piece){b->data, b->len, NULL};
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
    struct weft_piece pieces[WEFT_STREAM_RUNS_MAX];
    uint64_t events = 0;
    bool ok;

    for (size_t r = 0; r < n; r++) {
        const struct weft_batch *batch = runs[r].batch;
        const struct weft_frame *first = &batch->frames[runs[r].from];
        const struct weft_frame *last = &batch->frames[runs[r].to - 1];

        pieces[r] = (struct weft_piece){batch->bytes + first->off,
                                        last->off + last->len - first->off, runs[r].batch};
        events += runs[r].to - runs[r].from;
    }
    const struct weft_id last = runs[n - 1].batch->frames[runs[n - 1].to - 1].id;
    st->floats = false;
    if (last.seq > st->sent.seq) {
        st->sent = last;
    } else {
        st->tell_id = true;
    }
    ok = st->chunked && st->named ? write_pieces(st, pieces, n) : write_copied(st, runs, n);
    weft_count(worker->o.shard, WEFT_M_DELIVERIES, events);
    st->events += events;
    if (st->rx.sub.mode == WEFT_SUB_RING) {
        weft_observe_ns(worker->o.shard, WEFT_H_PUBLISH_TO_FLUSH,
                        weft_clock_mono_ns() - runs[n - 1].batch->born_ns);
    }
    return ok;
}
