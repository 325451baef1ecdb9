#include "ws_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/assert.h>

/* ---- one message, put together where it does not need memory of its own ---- */

static struct weft_buf *begin(struct weft_ws *ws, const char *type) WEFT_ON_WORKER
{
    struct weft_buf *b = &ws->worker->what;

    weft_buf_clear(b);
    weft_buf_printf(b, "{\"type\":\"%s\"", type);
    return b;
}

static void end(struct weft_ws *ws) WEFT_ON_WORKER
{
    struct weft_buf *b = &ws->worker->what;

    weft_buf_append(b, "}", 1);
    WEFT_ASSERT(!b->toobig);
    weft_ws_put(&ws->out, WEFT_WS_TEXT, weft_str(b->data, b->len));
    weft_buf_clear(b);
}

static void put(struct weft_buf *b, const char *member, struct weft_str text)
{
    weft_buf_printf(b, ",\"%s\":", member);
    weft_buf_json(b, text);
}

static void put_id(struct weft_buf *b, const char *member, struct weft_id id)
{
    char text[WEFT_ID_MAX_LEN];

    put(b, member, weft_str(text, weft_id_print(text, id)));
}

static void put_cursor(struct weft_buf *b, const struct weft_sub *sub)
{
    if (weft_sub_has_cursor(sub)) {
        put_id(b, "cursor", sub->cursor);
    } else {
        weft_buf_puts(b, ",\"cursor\":null"); /* with one it would resume from somewhere else */
    }
}

/* ---- control messages ---- */

static struct weft_buf *begin_control(struct weft_ws_sub *sub, const char *type) WEFT_ON_WORKER
{
    struct weft_buf *b = begin(sub->ws, type);

    put(b, "subscription", weft_ws_sub_name(sub));
    weft_count(sub->ws->worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    return b;
}

void weft_ws_tell_open(struct weft_ws_sub *sub)
{
    struct weft_worker *worker = sub->ws->worker;
    struct weft_buf *b = begin_control(sub, sub->open_told ? "weft.topics" : "weft.open");
    struct weft_stream_name name;
    struct weft_str topic;
    size_t pos = 0;
    bool first = true;

    sub->open_told = true;
    sub->rx.name(&sub->rx, &name);
    put(b, "stream", weft_str(name.stream, strlen(name.stream)));
    put(b, "node", weft_str(worker->o.node_id, strlen(worker->o.node_id)));
    put_cursor(b, &sub->rx.sub);
    sub->floats = !weft_sub_has_cursor(&sub->rx.sub);
    if (!sub->floats) {
        sub->sent = sub->rx.sub.cursor;
    }
    sub->given_ms = worker->now_ms;
    weft_buf_puts(b, ",\"topics\":[");
    while (weft_sub_next_topic(&sub->rx.sub, &pos, &topic)) {
        weft_buf_puts(b, first ? "" : ",");
        weft_buf_json(b, topic);
        first = false;
    }
    weft_buf_printf(b, "],\"heartbeat_ms\":%u", worker->o.cfg->ws.heartbeat_ms);
    end(sub->ws);
}

void weft_ws_tell_gaps(struct weft_ws_sub *sub)
{
    const struct weft_gap *gap;
    struct weft_buf text;
    size_t pos = 0;

    weft_buf_init(&text, 4096);
    while ((gap = weft_sub_next_gap(&sub->rx.sub, &pos)) != NULL) {
        struct weft_buf *b = begin_control(sub, "weft.gap");

        if (gap->reason == WEFT_GAP_RESET) {
            sub->sent = (struct weft_id){0, 0}; /* ids of another history */
        }
        weft_buf_clear(&text);
        weft_gap_print(&text, gap);
        weft_buf_puts(b, ",");
        weft_buf_append(b, text.data + 1, text.len - 2); /* its members */
        end(sub->ws);
        weft_count(sub->ws->worker->o.shard, WEFT_M_GAPS, 1);
    }
    weft_buf_fini(&text);
}

void weft_ws_tell_cursor(struct weft_ws_sub *sub)
{
    sub->tell_cursor = false;
    sub->given_ms = sub->ws->worker->now_ms;
    put_id(begin_control(sub, "weft.cursor"), "cursor", sub->sent);
    end(sub->ws);
}

void weft_ws_tell_closed(struct weft_ws_sub *sub, const char *reason)
{
    struct weft_buf *b = begin_control(sub, "weft.closed");

    put(b, "reason", weft_str(reason, strlen(reason)));
    put_cursor(b, &sub->rx.sub);
    end(sub->ws);
}

void weft_ws_tell_redis(struct weft_ws *ws, bool up)
{
    struct weft_buf *b = begin(ws, up ? "weft.recovered" : "weft.degraded");

    if (!up) {
        put(b, "reason", WEFT_STR("redis"));
    }
    weft_count(ws->worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    end(ws);
}

void weft_ws_tell_renewed(struct weft_ws *ws)
{
    struct weft_buf *b = begin(ws, "weft.renewed");

    weft_buf_puts(b, ",");
    weft_renewed_print(b, &ws->standing);
    weft_count(ws->worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    end(ws);
}

void weft_ws_tell_expiring(struct weft_ws *ws)
{
    struct weft_buf *b = begin(ws, "weft.expiring");

    weft_buf_puts(b, ",");
    weft_expiring_print(b, &ws->standing);
    weft_count(ws->worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    end(ws);
}

void weft_ws_tell_expired(struct weft_ws *ws, const char *reason)
{
    put(begin(ws, "weft.expired"), "reason", weft_str(reason, strlen(reason)));
    weft_count(ws->worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    weft_count(ws->worker->o.shard, WEFT_M_STREAMS_EXPIRED, 1);
    end(ws);
}

void weft_ws_tell_moved(struct weft_ws *ws)
{
    struct weft_buf *b = begin(ws, "weft.moved");

    put(b, "reason", weft_str(ws->moving, strlen(ws->moving)));
    weft_buf_printf(b, ",\"retry_ms\":%u", weft_moved_retry_ms(ws->worker));
    weft_count(ws->worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    weft_count(ws->worker->o.shard, WEFT_M_STREAMS_MOVED, 1);
    end(ws);
}

/* ---- answers ---- */

struct weft_buf *weft_ws_answer(struct weft_ws *ws, const char *type, struct weft_str request)
{
    struct weft_buf *b = begin(ws, type);

    if (request.p != NULL) {
        put(b, "request", request);
    }
    return b;
}

void weft_ws_answer_end(struct weft_ws *ws)
{
    end(ws);
    weft_ws_queue(ws);
}

struct weft_buf *weft_ws_error(struct weft_ws *ws, struct weft_str request, const char *code,
                               const char *field, const char *message)
{
    struct weft_buf *b = weft_ws_answer(ws, "weft.error", request);

    put(b, "code", weft_str(code, strlen(code)));
    put(b, "message", weft_str(message, strlen(message)));
    if (field[0] != '\0') {
        put(b, "field", weft_str(field, strlen(field)));
    }
    weft_count(ws->worker->o.shard, WEFT_M_WS_ERRORS, 1);
    return b;
}

void weft_ws_refuse(struct weft_ws_op *op, const char *code, const char *field, const char *fmt,
                    ...)
{
    char message[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    (void)weft_ws_error(op->ws, op->request, code, field, message);
    weft_ws_answer_end(op->ws);
}
