#include "worker_priv.h"

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

static const struct weft_publish_names names = {
    .key = "Idempotency-Key",
    .producer_id = "Producer-Id",
    .producer_epoch = "Producer-Epoch",
    .producer_seq = "Producer-Seq",
    .ack = "ack",
};

/* If not, answers and returns false. */
static bool took(struct weft_call *call, int rc, const struct weft_err *err) WEFT_ON_WORKER
{
    if (rc != 0) {
        weft_respond_err(call->req, err);
    }
    return rc == 0;
}

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
    struct weft_err err = {0};
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
    return took(
        call, weft_publish_take_producer(m, values[0], numbers[1], numbers[2], &names, &err), &err);
}

static bool take_key(struct weft_call *call, struct weft_publish_msg *m) WEFT_ON_WORKER
{
    struct weft_str key = weft_header(call->req, "idempotency-key");
    struct weft_err err = {0};

    return key.p == NULL || took(call, weft_publish_take_key(m, key, &names, &err), &err);
}

/* ack=replicas:N */
static bool take_ack(struct weft_call *call, struct weft_publish_msg *m) WEFT_ON_WORKER
{
    struct weft_str ack = weft_query_get(call->query, "ack");
    struct weft_err err = {0};

    return ack.p == NULL || took(call, weft_publish_take_ack(m, ack, &names, &err), &err);
}

static bool take_events(struct weft_call *call, struct weft_publish_msg *m) WEFT_ON_WORKER
{
    struct weft_ce_header ce[CE_HEADERS_MAX];
    size_t n_ce = ce_headers(call->req, ce);
    struct weft_err err = {0};
    enum weft_body_kind kind;

    if (!body_kind(call->req, n_ce, &kind)) {
        weft_respond_problem(call->req, 415, "unsupported_media_type", "Content-Type",
                             "events are application/json, application/x-ndjson, "
                             "application/cloudevents+json or application/cloudevents-batch+json");
        return false;
    }
    if (!took(call,
              weft_publish_take_events(call->worker, m, kind, weft_str_of(call->req->entity), ce,
                                       n_ce, weft_asked_of(call->req)->traceparent, &names, &err),
              &err)) {
        return false;
    }
    if (!weft_publish_allowed(call->worker, call->grant, m, &err)) {
        weft_respond_forbidden(call, err.field, err.message);
        return false;
    }
    return true;
}

/* ---- the answer ---- */

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
    weft_buf_puts(&worker->scratch, "{");
    weft_published_ids(&worker->scratch, m);
    weft_buf_puts(&worker->scratch, "}");
    weft_respond_json(req, m->rc == WEFT_PUBLISHED_DUPLICATE ? 200 : 201,
                      weft_str(worker->scratch.data, worker->scratch.len));
    weft_buf_clear(&worker->scratch);
}

static void published(struct weft_waiting *w, struct weft_published_msg *m)
{
    struct pending *p = WEFT_CONTAINER_OF(w, struct pending, waiting);
    struct weft_worker *worker = p->worker;
    struct weft_refusal refusal;
    h2o_req_t *req = p->req;

    weft_role_assert_worker(worker->owner);
    weft_ticket_free(worker, &p->waiting);
    free(p);
    weft_unwatch(req);
    if (!weft_published_refused(m, &names, &refusal)) {
        if (m->wanted > 0) {
            add_number(req, "weft-replicas", m->replicas);
        }
        respond_taken(worker, req, m);
        return;
    }
    if (m->rc == WEFT_PUBLISHED_REPLICAS) {
        add_number(req, "weft-replicas", m->replicas);
    } else if (m->rc == WEFT_PUBLISHED_FENCED) {
        add_number(req, "producer-epoch", m->number);
    } else if (m->rc == WEFT_PUBLISHED_OUT_OF_ORDER) {
        add_number(req, "producer-expected-seq", m->number);
    }
    weft_respond_refusal(req, &refusal);
}

void weft_handle_publish(struct weft_call *call)
{
    static const char *const known[] = {"ack", NULL};
    struct weft_worker *worker = call->worker;
    struct weft_publish_msg *m;
    struct pending *p;
    struct weft_str topic;

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
        !take_events(call, m)) {
        weft_count(worker->o.shard, WEFT_M_PUBLISH_REJECTED, 1);
        weft_publish_msg_free(m);
        free(p);
        return;
    }
    p->worker = worker;
    p->req = call->req;
    p->waiting.published = published;
    if (!weft_publish_post(worker, &p->waiting, m)) {
        free(p);
        weft_respond_problem(call->req, 503, "busy", "", "the publish queue is full");
        return;
    }
    weft_watch(call->req, NULL);
}
