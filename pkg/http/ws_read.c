#include "ws_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

/*
 * From the socket to messages. What is read at once is done at once, unless the answers to it are not read, or a message
 * has to wait for a token of the API's limits: then the rest is kept, and nothing more is read.
 */

#define READ_BYTES  4096
#define LIMITED_MAX 64 /* messages refused in a row: who goes on like that is cut */

void weft_ws_read_fini(struct weft_ws *ws)
{
    weft_ws_reader_fini(&ws->in);
    free(ws->rest);
    free(ws->held);
    free(ws->bucket);
    free(ws->asked_of);
    if (ws->is_asking) {
        weft_ticket_free(ws->worker, &ws->asking);
        ws->is_asking = false;
    }
}

/* Nothing stands in the way of another message. */
static bool may_go_on(const struct weft_ws *ws)
{
    return ws->state == WEFT_WS_OPEN && !ws->is_asking &&
           ws->out.len < ws->worker->o.cfg->ws.queue_bytes;
}

bool weft_ws_wants_input(const struct weft_ws *ws)
{
    if (ws->state == WEFT_WS_LINGERS) {
        return ws->readable;
    }
    return (ws->readable || ws->rest != NULL) && may_go_on(ws);
}

/* ---- the limits of the API: a message is as good as a request ---- */

static bool refused(struct weft_ws *ws, int64_t retry_ms) WEFT_ON_WORKER
{
    struct weft_buf *b;

    weft_count(ws->worker->o.shard, WEFT_M_API_LIMITED, 1);
    if (++ws->limited >= LIMITED_MAX) {
        weft_ws_close(ws, WEFT_WS_LIMITED, "too many messages (limits.api_per_s)");
        return false;
    }
    b = weft_ws_error(ws, weft_str(NULL, 0), "limited", "",
                      "too many messages from your address (limits.api_per_s)");
    weft_buf_printf(b, ",\"retry_ms\":%lld", (long long)retry_ms);
    weft_ws_answer_end(ws);
    return false;
}

static void asked(struct weft_waiting *waiting, struct weft_answer_msg *answer)
{
    struct weft_ws *ws = WEFT_CONTAINER_OF(waiting, struct weft_ws, asking);
    char *held = ws->held;
    char *bucket = ws->asked_of;
    int64_t retry_ms = 0;

    weft_role_assert_worker(ws->worker->owner);
    weft_ticket_free(ws->worker, &ws->asking);
    ws->is_asking = false;
    ws->held = ws->asked_of = NULL;
    if (ws->state == WEFT_WS_OPEN) {
        if (weft_admit_answered(ws->worker, bucket, answer, &retry_ms)) {
            ws->limited = 0;
            weft_ws_do(ws, weft_str(held, ws->held_len));
        } else {
            (void)refused(ws, retry_ms);
        }
    }
    free(held);
    free(bucket);
    weft_ws_queue(ws);
}

static void hold(struct weft_ws *ws, struct weft_str message) WEFT_ON_WORKER
{
    ws->is_asking = true;
    ws->held = malloc(message.len + 1);
    WEFT_ASSERT(ws->held != NULL);
    memcpy(ws->held, message.p, message.len);
    ws->held_len = message.len;
    ws->asked_of = strdup(ws->bucket);
    WEFT_ASSERT(ws->asked_of != NULL);
}

static void take_text(struct weft_ws *ws, struct weft_str message) WEFT_ON_WORKER
{
    int64_t retry_ms = 0;

    weft_count(ws->worker->o.shard, WEFT_M_WS_MESSAGES, 1);
    if (ws->bucket != NULL) {
        ws->asking.answer = asked;
        switch (weft_admit_message(ws->worker, ws->bucket, &ws->asking, &retry_ms)) {
        case WEFT_ADMIT_YES:
            ws->limited = 0;
            break;
        case WEFT_ADMIT_NO:
            (void)refused(ws, retry_ms);
            return;
        case WEFT_ADMIT_WAITS:
            hold(ws, message);
            return;
        }
    }
    weft_ws_do(ws, message);
}

/* ---- messages ---- */

static void take_message(struct weft_ws *ws, const struct weft_ws_message *m) WEFT_ON_WORKER
{
    switch (m->opcode) {
    case WEFT_WS_TEXT:
        ws->partial_ms = 0; /* what follows it is another one */
        take_text(ws, m->data);
        break;
    case WEFT_WS_PING:
        weft_ws_put(&ws->out, WEFT_WS_PONG, m->data);
        weft_ws_queue(ws);
        break;
    case WEFT_WS_CLOSE:
        ws->said_close = true;
        weft_ws_close(ws, m->code, ""); /* the same code back */
        break;
    case WEFT_WS_PONG: /* that anything came is enough */
    case WEFT_WS_CONTINUATION:
    case WEFT_WS_BINARY:
        break;
    }
}

/* Does what the bytes say. Returns how many of them; fewer than all: it has to wait. */
static size_t take(struct weft_ws *ws, char *p, size_t n) WEFT_ON_WORKER
{
    char *at = p;
    struct weft_ws_message m;

    while (may_go_on(ws)) {
        switch (weft_ws_read(&ws->in, &at, p + n, &m)) {
        case WEFT_WS_GOT_NOTHING:
            return n;
        case WEFT_WS_GOT_MESSAGE:
            take_message(ws, &m);
            break;
        case WEFT_WS_GOT_BROKEN:
            weft_ws_close(ws, m.code, m.why);
            break;
        }
    }
    return ws->state == WEFT_WS_OPEN ? (size_t)(at - p) : n;
}

static void take_rest(struct weft_ws *ws) WEFT_ON_WORKER
{
    char *rest = ws->rest;
    size_t at = ws->rest_at;

    ws->rest_at += take(ws, rest + at, ws->rest_len - at);
    if (ws->rest_at == ws->rest_len) {
        free(rest);
        ws->rest = NULL;
        ws->rest_at = ws->rest_len = 0;
    }
}

static void keep_rest(struct weft_ws *ws, const char *p, size_t n) WEFT_ON_WORKER
{
    if (n > 0) {
        ws->rest = malloc(n);
        WEFT_ASSERT(ws->rest != NULL);
        memcpy(ws->rest, p, n);
        ws->rest_len = n;
        weft_count(ws->worker->o.shard, WEFT_M_WS_PAUSES, 1);
    }
}

static bool is_partial(const struct weft_ws_reader *in)
{
    return in->in_message || in->in_payload || in->head_len > 0;
}

bool weft_ws_read_once(struct weft_ws *ws)
{
    char bytes[READ_BYTES];
    ssize_t n;

    if (ws->rest != NULL) {
        take_rest(ws);
    } else {
        n = weft_peer_read(&ws->peer, bytes, sizeof(bytes));
        if (n <= 0) {
            ws->readable = false;
            return n == 0;
        }
        ws->heard_ms = ws->worker->now_ms;
        ws->pinged_ms = 0;
        if (ws->state == WEFT_WS_OPEN) {
            size_t done = take(ws, bytes, (size_t)n);

            keep_rest(ws, bytes + done, (size_t)n - done);
        }
    }
    if (!is_partial(&ws->in)) {
        ws->partial_ms = 0;
    } else if (ws->partial_ms == 0) {
        ws->partial_ms = ws->worker->now_ms;
    }
    return true;
}
