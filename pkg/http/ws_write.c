#include "ws_priv.h"

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/wire/frame.h>

/*
 * Events are sent as they lie in their batches. Small ones are copied behind one another, each with its head, so that a
 * run is one piece and one system call; large ones are pieces of their own, by reference.
 */

#define COPY_MAX 4096 /* bytes of an event that is copied */

/* Put together in the scratch buffer, which may move while it grows: pieces of it are offsets until the end. */
struct gather {
    struct weft_buf *b;
    size_t from; /* what stands in b from here on is in no piece yet */
    struct weft_piece pieces[WEFT_PEER_PIECES_MAX];
    size_t offsets[WEFT_PEER_PIECES_MAX];
    size_t n;
};

static void cut(struct gather *g)
{
    if (g->b->len > g->from) {
        WEFT_ASSERT(g->n < WEFT_PEER_PIECES_MAX);
        g->offsets[g->n] = g->from;
        g->pieces[g->n++] = (struct weft_piece){NULL, g->b->len - g->from, NULL};
        g->from = g->b->len;
    }
}

static void add_event(struct gather *g, const struct weft_ws_sub *sub, struct weft_batch *batch,
                      const struct weft_frame *f)
{
    static const char before[] = "{\"subscription\":\"";
    static const char between[] = "\",\"event\":";
    struct weft_str json = weft_frame_json(batch, f);
    size_t around =
        sub->name_len == 0 ? 0 : sizeof(before) - 1 + sub->name_len + sizeof(between) - 1 + 1;
    size_t len = json.len + around;
    char head[WEFT_WS_HEAD_MAX];

    weft_buf_append(g->b, head, weft_ws_head(head, WEFT_WS_TEXT, len));
    if (around > 0) {
        weft_buf_append(g->b, before, sizeof(before) - 1);
        weft_buf_append(g->b, sub->name, sub->name_len); /* nothing in it needs escaping */
        weft_buf_append(g->b, between, sizeof(between) - 1);
    }
    if (json.len <= COPY_MAX) {
        weft_buf_str(g->b, json);
    } else {
        cut(g);
        WEFT_ASSERT(g->n < WEFT_PEER_PIECES_MAX);
        g->pieces[g->n++] = (struct weft_piece){json.p, json.len, batch};
    }
    if (around > 0) {
        weft_buf_append(g->b, "}", 1);
    }
}

bool weft_ws_write_runs(struct weft_ws_sub *sub, const struct weft_run *runs, size_t n)
{
    struct weft_worker *worker = sub->ws->worker;
    struct gather g;
    uint64_t events = 0;
    bool ok;

    g.b = &worker->scratch;
    g.from = 0;
    g.n = 0;
    for (size_t r = 0; r < n; r++) {
        for (uint32_t i = runs[r].from; i < runs[r].to; i++) {
            add_event(&g, sub, runs[r].batch, &runs[r].batch->frames[i]);
        }
        events += runs[r].to - runs[r].from;
    }
    cut(&g);
    for (size_t i = 0; i < g.n; i++) {
        if (g.pieces[i].batch == NULL) {
            g.pieces[i].p = g.b->data + g.offsets[i];
        }
    }
    WEFT_ASSERT(!g.b->toobig);

    const struct weft_id last = runs[n - 1].batch->frames[runs[n - 1].to - 1].id;
    sub->floats = false;
    sub->given_ms = worker->now_ms;
    if (last.seq > sub->sent.seq) {
        sub->sent = last;
    } else {
        sub->tell_cursor = true;
    }
    ok = weft_peer_write(&sub->ws->peer, g.pieces, g.n);
    weft_buf_clear(g.b);
    sub->ws->events += events;
    weft_count(worker->o.shard, WEFT_M_DELIVERIES, events);
    if (sub->rx.sub.mode == WEFT_SUB_RING) {
        weft_observe_ns(worker->o.shard, WEFT_H_PUBLISH_TO_FLUSH,
                        weft_clock_mono_ns() - runs[n - 1].batch->born_ns);
    }
    return ok;
}

bool weft_ws_write_out(struct weft_ws *ws)
{
    struct weft_piece piece = {ws->out.data, ws->out.len, NULL};
    bool ok = weft_peer_write(&ws->peer, &piece, 1);

    weft_buf_fini(&ws->out); /* an idle socket keeps nothing */
    weft_buf_init(&ws->out, SIZE_MAX);
    return ok;
}
