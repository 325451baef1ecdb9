#include "sse_priv.h"

#include <weft/access/streams.h>
#include <weft/auth/grant.h>
#include <weft/wire/sse.h>

bool weft_stream_tell_open(struct weft_stream *st)
{
    struct weft_worker *worker = st->rx.worker;
    bool floats = !weft_sub_has_cursor(&st->rx.sub);
    char id[WEFT_ID_MAX_LEN];
    size_t id_len = weft_id_print(id, st->rx.sub.cursor);
    struct weft_str type = st->open_told ? WEFT_STR("weft.topics") : WEFT_STR("weft.open");
    char name[100];
    struct weft_str topic;
    struct weft_buf b;
    size_t pos = 0;
    bool first = true;

    weft_buf_init(&b, worker->what.max);
    weft_stream_id_print(worker, &st->rx.waiting, name, sizeof(name));
    weft_buf_printf(&b, "{\"stream\":\"%s\",\"node\":\"%s\",\"cursor\":", name, worker->o.node_id);
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
    st->open_told = true;
    st->floats = floats;
    if (!floats) {
        st->sent = st->rx.sub.cursor;
    }
    bool ok = weft_stream_write_control(st, type, weft_str(id, floats ? 0 : id_len), &b);
    weft_buf_fini(&b);
    return ok;
}

bool weft_stream_tell_gaps(struct weft_stream *st)
{
    struct weft_buf *out = &st->rx.worker->scratch;
    const struct weft_gap *gap;
    struct weft_buf b;
    size_t pos = 0;
    size_t n = 0;

    /* All of them in one write: what is kept of a write is one. */
    weft_buf_init(&b, 4096);
    for (; (gap = weft_sub_next_gap(&st->rx.sub, &pos)) != NULL; n++) {
        weft_buf_clear(&b);
        weft_gap_print(&b, gap);
        if (gap->reason == WEFT_GAP_RESET) {
            st->sent = (struct weft_id){0, 0}; /* ids of another history */
        }
        weft_sse_write(out, WEFT_STR("weft.gap"), weft_str(NULL, 0), weft_str(b.data, b.len),
                       st->named);
    }
    weft_buf_fini(&b);
    weft_count(st->rx.worker->o.shard, WEFT_M_GAPS, n);
    weft_count(st->rx.worker->o.shard, WEFT_M_CONTROL_EVENTS, n);
    return weft_stream_write_scratch(st);
}

bool weft_stream_tell_redis(struct weft_stream *st)
{
    bool up = st->tell_recovered;
    struct weft_buf b;
    bool ok;

    st->tell_degraded = st->tell_recovered = false;
    weft_buf_init(&b, 64);
    weft_buf_puts(&b, up ? "{}" : "{\"reason\":\"redis\"}");
    ok = weft_stream_write_control(st, up ? WEFT_STR("weft.recovered") : WEFT_STR("weft.degraded"),
                                   weft_str(NULL, 0), &b);
    weft_buf_fini(&b);
    return ok;
}

bool weft_stream_tell_cursor(struct weft_stream *st)
{
    st->floats = false;
    st->sent = st->rx.sub.cursor;
    return weft_stream_tell_id(st);
}

bool weft_stream_tell_id(struct weft_stream *st)
{
    struct weft_buf *b = &st->rx.worker->scratch;
    char id[WEFT_ID_MAX_LEN];

    st->tell_id = false;
    weft_buf_puts(b, "id: ");
    weft_buf_append(b, id, weft_id_print(id, st->sent));
    weft_buf_append(b, "\n\n", 2);
    return weft_stream_write_scratch(st);
}

bool weft_stream_tell_closed(struct weft_stream *st, const char *reason)
{
    bool begun = weft_sub_has_cursor(&st->rx.sub);
    char id[WEFT_ID_MAX_LEN];
    size_t id_len = weft_id_print(id, st->rx.sub.cursor);
    struct weft_buf b;
    bool ok;

    weft_buf_init(&b, 128);
    st->why = reason;
    if (st->retry_ms > 0) {
        weft_buf_printf(&st->rx.worker->scratch, "retry: %u\n", (unsigned)st->retry_ms);
    }
    weft_buf_printf(&b, "{\"reason\":\"%s\",\"cursor\":", reason);
    if (begun) {
        weft_buf_json(&b, weft_str(id, id_len));
    } else {
        weft_buf_puts(&b, "null"); /* with one it would resume from somewhere else */
    }
    weft_buf_puts(&b, "}");
    st->ended = true;
    ok = weft_stream_write_control(st, WEFT_STR("weft.closed"), weft_str(id, begun ? id_len : 0),
                                   &b);
    weft_buf_fini(&b);
    return ok;
}

bool weft_stream_tell_moved(struct weft_stream *st)
{
    struct weft_worker *worker = st->rx.worker;

    weft_moved_print(&worker->scratch, st->moving, weft_moved_retry_ms(worker), st->named);
    weft_count(worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    weft_count(worker->o.shard, WEFT_M_STREAMS_MOVED, 1);
    st->why = st->moving;
    st->ended = true;
    return weft_stream_write_scratch(st);
}

bool weft_stream_tell_expiring(struct weft_stream *st)
{
    struct weft_buf b;
    bool ok;

    st->tell_expiring = false;
    if (st->standing.grant == NULL || st->standing.grant->is.expires_ms == 0) {
        return true; /* it was renewed meanwhile */
    }
    weft_buf_init(&b, 128);
    weft_buf_puts(&b, "{");
    weft_expiring_print(&b, &st->standing);
    weft_buf_puts(&b, "}");
    ok = weft_stream_write_control(st, WEFT_STR("weft.expiring"), weft_str(NULL, 0), &b);
    weft_buf_fini(&b);
    return ok;
}

bool weft_stream_tell_expired(struct weft_stream *st)
{
    struct weft_buf b;
    bool ok;

    weft_buf_init(&b, 128);
    st->why = st->over;
    weft_buf_printf(&b, "{\"reason\":\"%s\"}", st->over);
    weft_count(st->rx.worker->o.shard, WEFT_M_STREAMS_EXPIRED, 1);
    st->ended = true;
    ok = weft_stream_write_control(st, WEFT_STR("weft.expired"), weft_str(NULL, 0), &b);
    weft_buf_fini(&b);
    return ok;
}

bool weft_stream_tell_renewed(struct weft_stream *st)
{
    struct weft_buf b;
    bool ok;

    st->tell_renewed = false;
    weft_buf_init(&b, 128);
    weft_buf_puts(&b, "{");
    weft_renewed_print(&b, &st->standing);
    weft_buf_puts(&b, "}");
    ok = weft_stream_write_control(st, WEFT_STR("weft.renewed"), weft_str(NULL, 0), &b);
    weft_buf_fini(&b);
    return ok;
}
