#include "ws_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <weft/base/clock.h>
#include <weft/wire/form.h>
#include <weft/wire/json.h>

/*
 * Publishing over a socket: the same checks and the same outcomes as POST (publishing.c). Requests are sent to the hub as they
 * come and answered as they are done. How many may be under way, and how long their answers may be in all, is bounded:
 * they have to find room even if the client does not read.
 */

struct weft_ws_publish {
    struct weft_waiting waiting;
    struct weft_ws *ws;
    struct weft_ws_publish *prev, *next;
    size_t promised;
    uint8_t request_len;
    bool has_request;
    char request[WEFT_WS_NAME_MAX];
};

static const struct weft_publish_names names = {
    .key = "key",
    .producer_id = "producer.id",
    .producer_epoch = "producer.epoch",
    .producer_seq = "producer.seq",
    .ack = "ack",
};

/* ---- the request ---- */

struct producer_form {
    struct weft_str id;
    uint64_t epoch, seq;
};

static const struct weft_member producer_members[] = {
    {.name = "id",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct producer_form, id),
     .hi = WEFT_NAME_MAX,
     .required = true},
    {.name = "epoch",
     .kind = WEFT_MEMBER_U64,
     .offset = offsetof(struct producer_form, epoch),
     .hi = (double)WEFT_PRODUCER_NUMBER_MAX,
     .required = true},
    {.name = "seq",
     .kind = WEFT_MEMBER_U64,
     .offset = offsetof(struct producer_form, seq),
     .hi = (double)WEFT_PRODUCER_NUMBER_MAX,
     .required = true},
};

struct publish_form {
    struct weft_str op, request, topic, key, ack;
    struct weft_json event, events, producer;
};

static const struct weft_member members[] = {
    {.name = "op", .kind = WEFT_MEMBER_TEXT, .hi = 64},
    {.name = "request",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct publish_form, request),
     .hi = WEFT_WS_NAME_MAX},
    {.name = "topic",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct publish_form, topic),
     .hi = WEFT_NAME_MAX,
     .required = true},
    {.name = "event", .kind = WEFT_MEMBER_OBJECT, .offset = offsetof(struct publish_form, event)},
    {.name = "events", .kind = WEFT_MEMBER_ARRAY, .offset = offsetof(struct publish_form, events)},
    {.name = "key",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct publish_form, key),
     .hi = WEFT_NAME_MAX},
    {.name = "producer",
     .kind = WEFT_MEMBER_OBJECT,
     .offset = offsetof(struct publish_form, producer)},
    {.name = "ack",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct publish_form, ack),
     .hi = WEFT_NAME_MAX},
};

/* `[3].payload.to` of events is `events[3].payload.to` of the message. */
static int put_before(struct weft_err *err, const char *what, bool with_dot)
{
    char field[sizeof(err->field)];

    if (strcmp(err->field, "body") == 0 || err->field[0] == '\0') {
        (void)snprintf(field, sizeof(field), "%s", what);
    } else {
        (void)snprintf(field, sizeof(field), "%s%s%.80s", what, with_dot ? "." : "", err->field);
    }
    memcpy(err->field, field, sizeof(field));
    return err->code;
}

static int take_producer(struct weft_ws_op *op, struct weft_json object, struct weft_publish_msg *m,
                         struct weft_err *err) WEFT_ON_WORKER
{
    struct producer_form form = {.id = {NULL, 0}};

    if (weft_form_read_value(producer_members, WEFT_COUNT_OF(producer_members), object,
                             &op->ws->worker->form, &form, NULL, err) != 0) {
        return put_before(err, "producer", true);
    }
    return weft_publish_take_producer(m, form.id, form.epoch, form.seq, &names, err);
}

static int take_events(struct weft_ws_op *op, const struct publish_form *form,
                       struct weft_publish_msg *m, struct weft_err *err) WEFT_ON_WORKER
{
    bool one = form->event.raw.p != NULL;
    int rc;

    if (one == (form->events.raw.p != NULL)) {
        return weft_err_set(err, WEFT_EINVAL, "event", "one of event and events is needed");
    }
    rc = weft_publish_take_events(op->ws->worker, m, WEFT_BODY_JSON,
                                  one ? form->event.raw : form->events.raw, NULL, 0,
                                  weft_str(NULL, 0), &names, err);
    if (rc != 0 && !weft_str_starts(weft_str(err->field, strlen(err->field)), "producer.")) {
        return put_before(err, one ? "event" : "events", one);
    }
    return rc;
}

static int fill(struct weft_ws_op *op, const struct publish_form *form, struct weft_publish_msg *m,
                struct weft_err *err) WEFT_ON_WORKER
{
    int rc = 0;

    m->received_ns = weft_clock_mono_ns();
    memcpy(m->topic, form->topic.p, form->topic.len);
    if (form->ack.p != NULL) {
        rc = weft_publish_take_ack(m, form->ack, &names, err);
    }
    if (rc == 0 && form->producer.raw.p != NULL) {
        rc = take_producer(op, form->producer, m, err);
    }
    if (rc == 0 && form->key.p != NULL) {
        rc = weft_publish_take_key(m, form->key, &names, err);
    }
    return rc == 0 ? take_events(op, form, m, err) : rc;
}

/* ---- the answer ---- */

static void end(struct weft_ws_publish *p) WEFT_ON_WORKER
{
    DL_DELETE(p->ws->publishes, p);
    p->ws->n_publishes--;
    p->ws->promised -= p->promised;
    free(p);
}

void weft_ws_publishes_drop(struct weft_ws *ws)
{
    while (ws->publishes != NULL) {
        weft_ticket_free(ws->worker, &ws->publishes->waiting);
        end(ws->publishes);
    }
}

static void put_number(struct weft_buf *b, const char *member, uint64_t value)
{
    weft_buf_printf(b, ",\"%s\":", member);
    weft_buf_u64(b, value);
}

static void published(struct weft_waiting *w, struct weft_published_msg *m)
{
    struct weft_ws_publish *p = WEFT_CONTAINER_OF(w, struct weft_ws_publish, waiting);
    struct weft_ws *ws = p->ws;
    struct weft_str request = weft_str(p->has_request ? p->request : NULL, p->request_len);
    struct weft_refusal refusal;
    struct weft_buf *b;

    weft_role_assert_worker(ws->worker->owner);
    weft_ticket_free(ws->worker, &p->waiting);
    if (weft_published_refused(m, &names, &refusal)) {
        b = weft_ws_error(ws, request, refusal.code, refusal.field, refusal.message);
        if (m->rc == WEFT_PUBLISHED_FENCED) {
            put_number(b, "producer_epoch", m->number);
        } else if (m->rc == WEFT_PUBLISHED_OUT_OF_ORDER) {
            put_number(b, "producer_expected_seq", m->number);
        } else if (m->rc == WEFT_PUBLISHED_REPLICAS) {
            put_number(b, "replicas", m->replicas);
        } else if (refusal.unwritten) {
            weft_buf_puts(b, ",\"written\":false");
        }
    } else {
        b = weft_ws_answer(ws, "weft.ok", request);
        weft_buf_puts(b, ",");
        weft_published_ids(b, m);
        if (m->rc == WEFT_PUBLISHED_REPLAYED) {
            weft_buf_puts(b, ",\"replayed\":true");
        }
        if (m->wanted > 0) {
            put_number(b, "replicas", m->replicas);
        }
    }
    weft_ws_answer_end(ws);
    end(p);
}

/* There is room for the answer to another one. If not, answers and returns false. */
static bool may_promise(struct weft_ws_op *op, size_t bytes) WEFT_ON_WORKER
{
    struct weft_ws *ws = op->ws;
    const struct weft_config *cfg = ws->worker->o.cfg;

    if (ws->moving != NULL) {
        weft_ws_refuse(op, "unavailable", "",
                       "the node sends its clients elsewhere: connect again");
        return false;
    }
    if (ws->n_publishes >= cfg->ws.max_pending ||
        (ws->n_publishes > 0 && ws->promised + bytes > 4 * cfg->ws.queue_bytes)) {
        weft_count(ws->worker->o.shard, WEFT_M_WS_BUSY, 1);
        weft_ws_refuse(op, "busy", "", "%u requests of this socket have not been answered yet",
                       (unsigned)ws->n_publishes);
        return false;
    }
    return true;
}

static struct weft_ws_publish *promise(struct weft_ws_op *op, size_t bytes) WEFT_ON_WORKER
{
    struct weft_ws_publish *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        return NULL;
    }
    p->ws = op->ws;
    p->promised = bytes;
    p->waiting.published = published;
    p->has_request = op->request.p != NULL;
    if (p->has_request) {
        memcpy(p->request, op->request.p, op->request.len);
        p->request_len = (uint8_t)op->request.len;
    }
    DL_APPEND(op->ws->publishes, p);
    op->ws->n_publishes++;
    op->ws->promised += bytes;
    return p;
}

/* Takes m. */
static void post(struct weft_ws_op *op, struct weft_publish_msg *m) WEFT_ON_WORKER
{
    /* An id with its quotes and comma for each event, or a sentence. */
    size_t bytes = 600 + m->events.n * (WEFT_ID_MAX_LEN + 3);
    struct weft_ws_publish *p;

    if (!may_promise(op, bytes)) {
        weft_publish_msg_free(m);
        return;
    }
    p = promise(op, bytes);
    if (p == NULL) {
        weft_publish_msg_free(m);
        weft_ws_refuse(op, "busy", "", "out of memory");
    } else if (!weft_publish_post(op->ws->worker, &p->waiting, m)) {
        end(p);
        weft_ws_refuse(op, "busy", "", "the publish queue is full");
    }
}

void weft_ws_publish(struct weft_ws_op *op)
{
    struct weft_worker *worker = op->ws->worker;
    struct publish_form form = {.topic = {NULL, 0}};
    struct weft_err err = {0};
    struct weft_publish_msg *m;

    weft_count(worker->o.shard, WEFT_M_PUBLISH_REQUESTS, 1);
    if (weft_form_read_value(members, WEFT_COUNT_OF(members), op->object, &worker->form, &form,
                             NULL, &err) != 0) {
        weft_count(worker->o.shard, WEFT_M_PUBLISH_REJECTED, 1);
        weft_ws_refuse(op, "invalid", err.field, "%s", err.message);
        return;
    }
    if (!weft_topic_valid(form.topic)) {
        weft_count(worker->o.shard, WEFT_M_PUBLISH_REJECTED, 1);
        weft_ws_refuse(op, "invalid", "topic", "a topic is 1 to 200 of A-Z a-z 0-9 . _ : -");
        return;
    }
    m = weft_publish_msg_create();
    if (m == NULL) {
        weft_ws_refuse(op, "busy", "", "out of memory");
        return;
    }
    m->origin = (uint64_t)(worker->o.index + 1) << 32 | op->ws->waiting.ticket.slot;
    if (fill(op, &form, m, &err) != 0) {
        weft_count(worker->o.shard, WEFT_M_PUBLISH_REJECTED, 1);
        weft_publish_msg_free(m);
        weft_ws_refuse(op, err.code == WEFT_ETOOBIG ? "too_large" : "invalid", err.field, "%s",
                       err.message);
        return;
    }
    if (!weft_ws_may_publish(op, m, form.events.raw.p != NULL)) {
        weft_count(worker->o.shard, WEFT_M_PUBLISH_REJECTED, 1);
        weft_publish_msg_free(m);
        return;
    }
    post(op, m);
}
