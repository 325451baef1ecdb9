#include "worker_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/wire/event.h>

/*
 * POST /api/topics/{topic}/events. The body is checked here, on the worker; what goes to the hub is
 * good. The answer comes when Redis has taken all of it.
 */

#define CE_HEADERS_MAX 32

struct pending {
    struct weft_waiting waiting;
    struct weft_worker *worker;
    h2o_req_t *req;
};

static bool starts_with(struct weft_str s, const char *prefix)
{
    size_t n = strlen(prefix);

    return s.len >= n && weft_str_ieq(weft_str(s.p, n), weft_str(prefix, n));
}

static size_t ce_headers(h2o_req_t *req, struct weft_ce_header *out) WEFT_ON_WORKER
{
    size_t n = 0;

    for (size_t i = 0; i < req->headers.size && n < CE_HEADERS_MAX; i++) {
        struct weft_str name = weft_str_of(*req->headers.entries[i].name);

        if (starts_with(name, "ce-")) {
            out[n].name = weft_str(name.p + 3, name.len - 3);
            out[n++].value = weft_str_of(req->headers.entries[i].value);
        }
    }
    return n;
}

static bool body_kind(h2o_req_t *req, size_t n_ce, enum weft_body_kind *ret_kind) WEFT_ON_WORKER
{
    static const struct {
        const char *type;
        enum weft_body_kind kind;
    } kinds[] = {
        {"application/json", WEFT_BODY_JSON},
        {"application/x-ndjson", WEFT_BODY_NDJSON},
        {"application/cloudevents+json", WEFT_BODY_CE},
        {"application/cloudevents-batch+json", WEFT_BODY_CE_BATCH},
    };
    struct weft_str header = weft_header(req, "content-type");
    struct weft_str type = weft_str_trim(weft_str_before(&header, ';')); /* no parameters */

    for (size_t i = 0; i < WEFT_COUNT_OF(kinds); i++) {
        if (weft_str_ieq(type, weft_str(kinds[i].type, strlen(kinds[i].type)))) {
            *ret_kind =
                kinds[i].kind == WEFT_BODY_JSON && n_ce > 0 ? WEFT_BODY_CE_BINARY : kinds[i].kind;
            return true;
        }
    }
    return false;
}

/* The header's value, if it is there once. Answers 400 and returns false if it is there twice. */
static bool one_header(h2o_req_t *req, const char *name, const char *field,
                       struct weft_str *ret_value) WEFT_ON_WORKER
{
    ssize_t at = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);

    *ret_value = weft_str(NULL, 0);
    if (at == -1) {
        return true;
    }
    *ret_value = weft_str_of(req->headers.entries[at].value);
    if (h2o_find_header_by_str(&req->headers, name, strlen(name), at) != -1) {
        weft_respond_problem(req, 400, "invalid", field, "it is there twice");
        return false;
    }
    return true;
}

/* Producer-Id, -Epoch and -Seq: all of them or none. */
static bool take_producer(struct weft_call *call, struct weft_publish_msg *m) WEFT_ON_WORKER
{
    static const struct {
        const char *name;
        const char *field;
    } headers[] = {{"producer-id", "Producer-Id"},
                   {"producer-epoch", "Producer-Epoch"},
                   {"producer-seq", "Producer-Seq"}};
    struct weft_str values[WEFT_COUNT_OF(headers)];
    uint64_t numbers[WEFT_COUNT_OF(headers)] = {0};
    size_t n = 0;

    for (size_t i = 0; i < WEFT_COUNT_OF(headers); i++) {
        if (!one_header(call->req, headers[i].name, headers[i].field, &values[i])) {
            return false;
        }
        n += values[i].p != NULL;
    }
    if (n == 0) {
        return true;
    }
    for (size_t i = 0; i < WEFT_COUNT_OF(headers); i++) {
        if (values[i].p == NULL) {
            weft_respond_problem(call->req, 400, "invalid", headers[i].field,
                                 "Producer-Id, Producer-Epoch and Producer-Seq go together");
            return false;
        }
        if (i > 0 &&
            (!weft_str_u64(values[i], &numbers[i]) || numbers[i] > WEFT_PRODUCER_NUMBER_MAX)) {
            weft_respond_problem(call->req, 400, "invalid", headers[i].field,
                                 "it must be a whole number from 0 to 9007199254740991");
            return false;
        }
    }
    if (!weft_topic_valid(values[0])) { /* it looks the same */
        weft_respond_problem(call->req, 400, "invalid", headers[0].field,
                             "it must be 1 to 200 of A-Z a-z 0-9 . _ : -");
        return false;
    }
    m->key_kind = WEFT_PUBLISH_KEY_PRODUCER;
    memcpy(m->key, values[0].p, values[0].len);
    m->key_len = (uint16_t)values[0].len;
    m->epoch = numbers[1];
    m->first = numbers[2];
    return true;
}

static bool take_key(struct weft_call *call, struct weft_publish_msg *m) WEFT_ON_WORKER
{
    struct weft_str key = weft_header(call->req, "idempotency-key");

    if (key.p == NULL) {
        return true;
    }
    if (m->key_kind == WEFT_PUBLISH_KEY_PRODUCER) {
        weft_respond_problem(call->req, 400, "invalid", "Idempotency-Key",
                             "a numbered producer needs no key beside its numbers");
        return false;
    }
    for (size_t i = 0; i < key.len; i++) {
        if (key.p[i] < 0x21 || key.p[i] > 0x7e) {
            key.len = 0;
        }
    }
    if (key.len == 0 || key.len > WEFT_NAME_MAX) {
        weft_respond_problem(call->req, 400, "invalid", "Idempotency-Key",
                             "it must be 1 to 200 printable ASCII characters without space");
        return false;
    }
    m->key_kind = WEFT_PUBLISH_KEY_ONCE;
    memcpy(m->key, key.p, key.len);
    m->key_len = (uint16_t)key.len;
    return true;
}

/* ack=replicas:N */
static bool take_ack(struct weft_call *call, struct weft_publish_msg *m) WEFT_ON_WORKER
{
    struct weft_str ack = weft_query_get(call->query, "ack");
    struct weft_str number = ack;
    uint64_t n;

    if (ack.p == NULL) {
        return true;
    }
    if (!weft_str_eq(weft_str_before(&number, ':'), WEFT_STR("replicas")) ||
        !weft_str_u64(number, &n) || n < 1 || n > WEFT_PUBLISH_REPLICAS_MAX) {
        weft_respond_problem(call->req, 400, "invalid", "ack",
                             "it must be replicas:N, with N from 1 to %d",
                             WEFT_PUBLISH_REPLICAS_MAX);
        return false;
    }
    m->replicas = (uint32_t)n;
    return true;
}

/* Every topic of every event. */
static bool may_publish(struct weft_call *call, const struct weft_events *events) WEFT_ON_WORKER
{
    struct weft_str good = {NULL, 0}; /* mostly all have the same */
    struct weft_str topic;

    for (size_t i = 0; i < events->n; i++) {
        uint32_t pos = 0;

        while (weft_event_next_topic(events, &events->list[i], &pos, &topic)) {
            if (weft_str_eq(topic, good)) {
                continue;
            }
            if (!weft_may_publish(call->worker, call->grant, topic)) {
                char field[32] = "topic";

                if (events->list[i].topics_n > 1 || events->n > 1) {
                    (void)snprintf(field, sizeof(field), "[%zu].topics", i);
                }
                weft_respond_forbidden(call, field, "publishing to this topic");
                return false;
            }
            good = topic;
        }
    }
    return true;
}

static bool take_events(struct weft_call *call, struct weft_publish_msg *m, struct weft_str topic)
    WEFT_ON_WORKER
{
    struct weft_ce_header ce[CE_HEADERS_MAX];
    size_t n_ce = ce_headers(call->req, ce);
    const struct weft_config *cfg = call->worker->o.cfg;
    struct weft_event_ctx ctx = {
        .limits = {.max_events = cfg->publish.max_batch,
                   .max_event_bytes = (uint32_t)cfg->publish.max_event_bytes,
                   .max_topics = cfg->http.max_topics,
                   .known_types_only = cfg->publish.unknown_types == WEFT_UNKNOWN_TYPES_REFUSE},
        .topic = topic,
        .node = weft_str(call->worker->o.node_id, strlen(call->worker->o.node_id)),
        .now_ms = weft_clock_wall_ms(),
    };
    enum weft_body_kind kind;
    struct weft_err err = {0};

    if (!body_kind(call->req, n_ce, &kind)) {
        weft_respond_problem(call->req, 415, "unsupported_media_type", "Content-Type",
                             "events are application/json, application/x-ndjson, "
                             "application/cloudevents+json or application/cloudevents-batch+json");
        return false;
    }
    if (weft_events_parse(&m->events, kind, weft_str_of(call->req->entity), ce, n_ce, &ctx, &err) !=
        0) {
        weft_respond_err(call->req, &err);
        return false;
    }
    if (m->key_kind == WEFT_PUBLISH_KEY_PRODUCER) {
        if (m->events.list[0].once_len > 0) {
            weft_respond_problem(call->req, 400, "invalid", "Producer-Id",
                                 "CloudEvents have keys of their own and are not numbered");
            return false;
        }
        if (m->events.n - 1 > WEFT_PRODUCER_NUMBER_MAX - m->first) {
            weft_respond_problem(call->req, 400, "invalid", "Producer-Seq",
                                 "the last event's number would be over 9007199254740991");
            return false;
        }
    }
    if (!may_publish(call, &m->events)) {
        return false;
    }
    for (size_t i = 0; i < m->events.n; i++) {
        m->topic_refs += m->events.list[i].topics_n;
    }
    if (m->topic_refs > WEFT_PUBLISH_APPENDS_MAX) {
        weft_respond_problem(call->req, 413, "too_large", "topics",
                             "at most %u appends (events times their topics) in one request",
                             WEFT_PUBLISH_APPENDS_MAX);
        return false;
    }
    return true;
}

/* ---- the answer ---- */

static void put_ids(struct weft_buf *b, const struct weft_published_msg *m)
{
    char text[WEFT_ID_MAX_LEN];
    bool first = true;

    weft_buf_puts(b, "{\"ids\":[");
    for (uint32_t r = 0; r < m->n_runs; r++) {
        for (uint32_t i = 0; i < m->runs[r].n; i++) {
            struct weft_id id = {m->runs[r].first.ms, m->runs[r].first.seq + i};

            weft_buf_puts(b, first ? "\"" : ",\"");
            weft_buf_append(b, text, weft_id_print(text, id));
            weft_buf_append(b, "\"", 1);
            first = false;
        }
    }
    weft_buf_puts(b, m->rc == WEFT_PUBLISHED_DUPLICATE ? "],\"duplicate\":true}" : "]}");
}

/* The name has to be in lower case, and a literal. */
static void add_number(h2o_req_t *req, const char *name, uint64_t value)
{
    char *text = h2o_mem_alloc_pool(&req->pool, 20);

    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 0, NULL, text,
                          weft_u64_print(text, value));
}

static void respond_taken(struct weft_worker *worker, h2o_req_t *req,
                          const struct weft_published_msg *m) WEFT_ON_WORKER
{
    if (m->rc == WEFT_PUBLISHED_REPLAYED) {
        h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("idempotency-replayed"), 0,
                              NULL, H2O_STRLIT("true"));
    }
    put_ids(&worker->scratch, m);
    weft_respond_json(req, m->rc == WEFT_PUBLISHED_DUPLICATE ? 200 : 201,
                      weft_str(worker->scratch.data, worker->scratch.len));
    weft_buf_clear(&worker->scratch);
}

static void published(struct weft_waiting *w, struct weft_published_msg *m)
{
    struct pending *p = WEFT_CONTAINER_OF(w, struct pending, waiting);
    struct weft_worker *worker = p->worker;
    h2o_req_t *req = p->req;

    weft_role_assert_worker(worker->owner);
    weft_ticket_free(worker, &p->waiting);
    free(p);
    weft_unwatch(req);
    switch (m->rc) {
    case WEFT_PUBLISHED_OK:
    case WEFT_PUBLISHED_REPLAYED:
    case WEFT_PUBLISHED_DUPLICATE:
        if (m->wanted > 0) {
            add_number(req, "weft-replicas", m->replicas);
        }
        respond_taken(worker, req, m);
        break;
    case WEFT_PUBLISHED_FENCED:
        add_number(req, "producer-epoch", m->number);
        weft_respond_problem(req, 403, "fenced", "Producer-Epoch",
                             "the producer has come with epoch %" PRIu64, m->number);
        break;
    case WEFT_PUBLISHED_OUT_OF_ORDER:
        add_number(req, "producer-expected-seq", m->number);
        if (m->number == 0) {
            weft_respond_problem(req, 409, "out_of_order", "Producer-Seq",
                                 "a producer, or an epoch of it, that is not known begins with 0");
        } else {
            weft_respond_problem(req, 409, "out_of_order", "Producer-Seq",
                                 "the producer's next event is %" PRIu64, m->number);
        }
        break;
    case WEFT_PUBLISHED_REFUSED:
        weft_respond_problem(req, 409, "conflict", "topic", "%s", m->why);
        break;
    case WEFT_PUBLISHED_REPLICAS:
        add_number(req, "weft-replicas", m->replicas);
        weft_respond_problem(req, 503, "replicas", "",
                             "%" PRIu32 " of %" PRIu32
                             " replicas have it; the events are in the log of the master and may "
                             "be delivered",
                             m->replicas, m->wanted);
        break;
    case WEFT_PUBLISHED_UNAVAILABLE:
        weft_respond_problem(req, 503, "unavailable", "", "%s", m->why);
        break;
    case WEFT_PUBLISHED_BUSY:
        weft_respond_problem(req, 503, "busy", "", "%s", m->why);
        break;
    }
}

void weft_handle_publish(struct weft_call *call)
{
    static const char *const known[] = {"ack", NULL};
    struct weft_worker *worker = call->worker;
    struct weft_publish_msg *m;
    struct pending *p;
    struct weft_str topic;
    struct weft_msg *msg;

    weft_count(worker->o.shard, WEFT_M_PUBLISH_REQUESTS, 1);
    if (!weft_query_allow(call, known) || !weft_call_topic(call, &topic)) {
        weft_count(worker->o.shard, WEFT_M_PUBLISH_REJECTED, 1);
        return;
    }
    m = weft_publish_msg_create();
    p = calloc(1, sizeof(*p));
    if (m == NULL || p == NULL) {
        weft_publish_msg_free(m);
        free(p);
        weft_respond_problem(call->req, 503, "busy", "", "out of memory");
        return;
    }
    m->received_ns = weft_clock_mono_ns();
    memcpy(m->topic, topic.p, topic.len);
    if (!take_ack(call, m) || !take_producer(call, m) || !take_key(call, m) ||
        !take_events(call, m, topic)) {
        weft_count(worker->o.shard, WEFT_M_PUBLISH_REJECTED, 1);
        weft_publish_msg_free(m);
        free(p);
        return;
    }
    p->worker = worker;
    p->req = call->req;
    p->waiting.published = published;
    weft_ticket_take(worker, &p->waiting);
    m->worker = worker->o.index;
    m->ticket = p->waiting.ticket;
    msg = &m->msg;
    if (weft_mailbox_post(worker->hub, &msg) != 0) {
        weft_count(worker->o.shard, WEFT_M_MAILBOX_FULL, 1);
        weft_count(worker->o.shard, WEFT_M_PUBLISH_QUEUE_FULL, 1);
        weft_publish_msg_free(m);
        weft_ticket_free(worker, &p->waiting);
        free(p);
        weft_respond_problem(call->req, 503, "busy", "", "the publish queue is full");
        return;
    }
    weft_watch(call->req, NULL);
}
