#include "worker_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/wire/event.h>

/*
 * What a publish request may be and what becomes of it, the same over HTTP and over WebSocket; only the names of its
 * parts differ.
 */

int weft_publish_take_producer(struct weft_publish_msg *m, struct weft_str id, uint64_t epoch,
                               uint64_t first, const struct weft_publish_names *names,
                               struct weft_err *err)
{
    if (!weft_topic_valid(id)) { /* it looks the same */
        return weft_err_set(err, WEFT_EINVAL, names->producer_id,
                            "it must be 1 to 200 of A-Z a-z 0-9 . _ : -");
    }
    m->key_kind = WEFT_PUBLISH_KEY_PRODUCER;
    memcpy(m->key, id.p, id.len);
    m->key_len = (uint16_t)id.len;
    m->epoch = epoch;
    m->first = first;
    return 0;
}

int weft_publish_take_key(struct weft_publish_msg *m, struct weft_str key,
                          const struct weft_publish_names *names, struct weft_err *err)
{
    if (m->key_kind == WEFT_PUBLISH_KEY_PRODUCER) {
        return weft_err_set(err, WEFT_EINVAL, names->key,
                            "a numbered producer needs no key beside its numbers");
    }
    for (size_t i = 0; i < key.len; i++) {
        if (key.p[i] < 0x21 || key.p[i] > 0x7e) {
            key.len = 0;
        }
    }
    if (key.len == 0 || key.len > WEFT_NAME_MAX) {
        return weft_err_set(err, WEFT_EINVAL, names->key,
                            "it must be 1 to 200 printable ASCII characters without space");
    }
    m->key_kind = WEFT_PUBLISH_KEY_ONCE;
    memcpy(m->key, key.p, key.len);
    m->key_len = (uint16_t)key.len;
    return 0;
}

int weft_publish_take_ack(struct weft_publish_msg *m, struct weft_str ack,
                          const struct weft_publish_names *names, struct weft_err *err)
{
    struct weft_str number = ack;
    uint64_t n;

    if (!weft_str_eq(weft_str_before(&number, ':'), WEFT_STR("replicas")) ||
        !weft_str_u64(number, &n) || n < 1 || n > WEFT_PUBLISH_REPLICAS_MAX) {
        return weft_err_set(err, WEFT_EINVAL, names->ack,
                            "it must be replicas:N, with N from 1 to %d",
                            WEFT_PUBLISH_REPLICAS_MAX);
    }
    m->replicas = (uint32_t)n;
    return 0;
}

int weft_publish_take_events(struct weft_worker *worker, struct weft_publish_msg *m,
                             enum weft_body_kind kind, struct weft_str body,
                             const struct weft_ce_header *ce, size_t n_ce,
                             struct weft_str traceparent, const struct weft_publish_names *names,
                             struct weft_err *err)
{
    const struct weft_config *cfg = worker->o.cfg;
    struct weft_event_ctx ctx = {
        .limits = {.max_events = cfg->publish.max_batch,
                   .max_event_bytes = (uint32_t)cfg->publish.max_event_bytes,
                   .max_topics = cfg->http.max_topics,
                   .known_types_only = cfg->publish.unknown_types == WEFT_UNKNOWN_TYPES_REFUSE},
        .topic = weft_str(m->topic, strlen(m->topic)),
        .node = weft_str(worker->o.node_id, strlen(worker->o.node_id)),
        .now_ms = weft_clock_wall_ms(),
        .traceparent = traceparent,
    };
    int rc = weft_events_parse(&m->events, kind, body, ce, n_ce, &ctx, err);

    if (rc != 0) {
        return rc;
    }
    if (m->key_kind == WEFT_PUBLISH_KEY_PRODUCER) {
        if (m->events.list[0].once_len > 0) {
            return weft_err_set(err, WEFT_EINVAL, names->producer_id,
                                "CloudEvents have keys of their own and are not numbered");
        }
        if (m->events.n - 1 > WEFT_PRODUCER_NUMBER_MAX - m->first) {
            return weft_err_set(err, WEFT_EINVAL, names->producer_seq,
                                "the last event's number would be over 9007199254740991");
        }
    }
    for (size_t i = 0; i < m->events.n; i++) {
        m->topic_refs += m->events.list[i].topics_n;
    }
    if (m->topic_refs > WEFT_PUBLISH_APPENDS_MAX) {
        return weft_err_set(err, WEFT_ETOOBIG, "topics",
                            "at most %d appends (events times their topics) in one request",
                            WEFT_PUBLISH_APPENDS_MAX);
    }
    return 0;
}

bool weft_publish_post(struct weft_worker *worker, struct weft_waiting *waiting,
                       struct weft_publish_msg *m)
{
    struct weft_msg *msg = &m->msg;

    weft_ticket_take(worker, waiting);
    m->worker = worker->o.index;
    m->ticket = waiting->ticket;
    if (weft_mailbox_post(worker->hub, &msg) != 0) {
        weft_count(worker->o.shard, WEFT_M_MAILBOX_FULL, 1);
        weft_count(worker->o.shard, WEFT_M_PUBLISH_QUEUE_FULL, 1);
        weft_publish_msg_free(m);
        weft_ticket_free(worker, waiting);
        return false;
    }
    return true;
}

/* ---- the answer ---- */

void weft_published_ids(struct weft_buf *b, const struct weft_published_msg *m)
{
    char text[WEFT_ID_MAX_LEN];
    bool first = true;

    weft_buf_puts(b, "\"ids\":[");
    for (uint32_t r = 0; r < m->n_runs; r++) {
        for (uint32_t i = 0; i < m->runs[r].n; i++) {
            struct weft_id id = {m->runs[r].first.ms, m->runs[r].first.seq + i};

            weft_buf_puts(b, first ? "\"" : ",\"");
            weft_buf_append(b, text, weft_id_print(text, id));
            weft_buf_append(b, "\"", 1);
            first = false;
        }
    }
    weft_buf_puts(b, m->rc == WEFT_PUBLISHED_DUPLICATE ? "],\"duplicate\":true" : "]");
}

static bool refuse(struct weft_refusal *ret, int status, const char *code, const char *field,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static bool refuse(struct weft_refusal *ret, int status, const char *code, const char *field,
                   const char *fmt, ...)
{
    va_list ap;

    ret->status = status;
    ret->code = code;
    ret->field = field;
    ret->unwritten = false;
    va_start(ap, fmt);
    (void)vsnprintf(ret->message, sizeof(ret->message), fmt, ap);
    va_end(ap);
    return true;
}

bool weft_published_refused(const struct weft_published_msg *m,
                            const struct weft_publish_names *names, struct weft_refusal *ret)
{
    switch (m->rc) {
    case WEFT_PUBLISHED_OK:
    case WEFT_PUBLISHED_REPLAYED:
    case WEFT_PUBLISHED_DUPLICATE:
        break;
    case WEFT_PUBLISHED_FENCED:
        return refuse(ret, 403, "fenced", names->producer_epoch,
                      "the producer has come with epoch %" PRIu64, m->number);
    case WEFT_PUBLISHED_OUT_OF_ORDER:
        if (m->number == 0) {
            return refuse(ret, 409, "out_of_order", names->producer_seq,
                          "a producer, or an epoch of it, that is not known begins with 0");
        }
        return refuse(ret, 409, "out_of_order", names->producer_seq,
                      "the producer's next event is %" PRIu64, m->number);
    case WEFT_PUBLISHED_REFUSED:
        return refuse(ret, 409, "conflict", "topic", "%s", m->why);
    case WEFT_PUBLISHED_REPLICAS:
        return refuse(ret, 503, "replicas", "",
                      "%" PRIu32 " of %" PRIu32
                      " replicas have it; the events are in the log of the master and may "
                      "be delivered",
                      m->replicas, m->wanted);
    case WEFT_PUBLISHED_UNAVAILABLE:
        (void)refuse(ret, 503, "unavailable", "", "%s", m->why);
        ret->unwritten = true;
        return true;
    case WEFT_PUBLISHED_UNSURE:
        return refuse(ret, 503, "unavailable", "", "%s", m->why);
    case WEFT_PUBLISHED_BUSY:
        return refuse(ret, 503, "busy", "", "%s", m->why);
    }
    return false;
}

bool weft_publish_allowed(const struct weft_worker *worker, const struct weft_grant *grant,
                          const struct weft_publish_msg *m, struct weft_err *err)
{
    const struct weft_events *events = &m->events;
    struct weft_str good = weft_str(m->topic, strlen(m->topic)); /* mostly all have this one */
    struct weft_str topic;
    char field[32] = "topic";

    /* Also if no event goes there: its keys and producers are those of this topic. */
    if (!weft_may_publish(worker, grant, good)) {
        (void)weft_err_set(err, WEFT_EINVAL, field, "publishing to this topic");
        return false;
    }
    for (size_t i = 0; i < events->n; i++) {
        uint32_t pos = 0;

        while (weft_event_next_topic(events, &events->list[i], &pos, &topic)) {
            if (weft_str_eq(topic, good)) {
                continue;
            }
            if (!weft_may_publish(worker, grant, topic)) {
                if (events->list[i].topics_n > 1 || events->n > 1) {
                    (void)snprintf(field, sizeof(field), "[%zu].topics", i);
                }
                (void)weft_err_set(err, WEFT_EINVAL, field, "publishing to this topic");
                return false;
            }
            good = topic;
        }
    }
    return true;
}
