#include "edge_priv.h"
#include "streams_priv.h"

#include <stdio.h>
#include <string.h>

#include <weft/wire/name.h>

#define BODY_MAX         (WEFT_STREAMS_TEXT_MAX / 2)
#define TOPICS_BYTES_MAX (BODY_MAX - 64) /* as an answer and as a control event */

/*
 * Something is wanted of a stream of this worker. Who knows its name may have learned it elsewhere: unless he operates, he
 * has to be the one who opened it, by the subject of his token. A stream that was opened without a token has only its
 * name, which nobody can guess.
 */

static void refuse(struct weft_stream_result *r, int status, struct weft_str code,
                   struct weft_str field, struct weft_str detail)
{
    r->status = status;
    r->code = code;
    r->field = field;
    r->detail = detail;
}

static struct weft_handle *find(const struct weft_worker *worker, const struct weft_stream_ask *ask)
    WEFT_ON_WORKER
{
    struct weft_waiting *w;

    if (ask->slot >= worker->n_slots) {
        return NULL;
    }
    w = worker->slots[ask->slot].waiting;
    return w != NULL && w->handle != NULL && w->handle->secret == ask->secret ? w->handle : NULL;
}

static bool is_owner(const struct weft_grant *stream, const struct weft_stream_ask *ask)
{
    if (ask->operates && ask->op != WEFT_STREAM_TOKEN) {
        return true;
    }
    if (stream == NULL) {
        return true; /* he knows its name */
    }
    return ask->caller != NULL && stream->is.subject.len > 0 &&
           weft_str_eq(stream->is.subject, ask->caller->is.subject);
}

static void do_it(struct weft_worker *worker, const struct weft_stream_ask *ask,
                  struct weft_stream_result *r, struct weft_buf *body) WEFT_ON_WORKER
{
    struct weft_handle *handle = find(worker, ask);

    if (handle == NULL) {
        refuse(r, 404, WEFT_STR("not_found"), WEFT_STR("stream"),
               WEFT_STR("there is no such stream, or no more"));
        return;
    }
    if (!is_owner(handle->standing->grant, ask)) {
        refuse(r, 403, WEFT_STR("forbidden"), WEFT_STR("stream"),
               WEFT_STR("the stream was opened with a token of another subject"));
        return;
    }
    switch (ask->op) {
    case WEFT_STREAM_LOOK:
        handle->ops->describe(handle, body);
        break;
    case WEFT_STREAM_TOPICS:
        handle->ops->topics(handle, ask, r, body);
        break;
    case WEFT_STREAM_TOKEN:
        handle->ops->token(handle, ask->caller, r, body);
        break;
    case WEFT_STREAM_CLOSE:
        handle->ops->close(handle);
        r->status = 204;
        break;
    }
}

static void act(void *ctx, struct weft_str text, struct weft_buf *answer)
{
    struct weft_worker *worker = ctx;
    struct weft_stream_result result = {.status = 200};
    struct weft_stream_ask ask;
    struct weft_buf body;
    h2o_mem_pool_t pool;

    weft_role_assert_worker(worker->owner);
    h2o_mem_init_pool(&pool);
    weft_buf_init(&body, BODY_MAX);
    if (weft_stream_ask_parse(&ask, text, &pool)) {
        do_it(worker, &ask, &result, &body);
        weft_grant_unref(ask.caller);
    } else {
        refuse(&result, 400, WEFT_STR("invalid"), WEFT_STR("body"),
               WEFT_STR("the request cannot be read"));
    }
    result.body = weft_str(body.data, body.len);
    weft_stream_result_print(answer, &result);
    weft_buf_fini(&body);
    h2o_mem_clear_pool(&pool);
}

struct weft_streams_part weft_streams_part_of(struct weft_worker *worker)
{
    return (struct weft_streams_part){.ctx = worker, .act = act, .control = worker->control};
}

/* ---- what streams and WebSockets share ---- */

/* The subscription's topics with those added and without those removed, in the pool. False: r says why not. */
static bool new_topics(struct weft_receiver *rx, const struct weft_grant *grant,
                       const struct weft_stream_ask *ask, struct weft_str *topics, size_t max,
                       size_t *ret_n, struct weft_stream_result *r) WEFT_ON_WORKER
{
    struct weft_str topic;
    size_t bytes = 0;
    size_t pos = 0;
    size_t n = 0;

    while (weft_sub_next_topic(&rx->sub, &pos, &topic)) {
        bool stays = true;

        for (size_t i = 0; i < ask->n_remove; i++) {
            stays = stays && !weft_str_eq(topic, ask->remove[i]);
        }
        if (stays && n < max) {
            topics[n++] = topic;
        }
    }
    for (size_t i = 0; i < ask->n_add; i++) {
        bool there = false;

        for (size_t k = 0; k < n; k++) {
            there = there || weft_str_eq(topics[k], ask->add[i]);
        }
        if (there) {
            continue;
        }
        if (!weft_may_subscribe(rx->worker, grant, ask->add[i])) {
            refuse(r, 403, WEFT_STR("forbidden"), WEFT_STR("add"),
                   WEFT_STR("the stream's token does not allow subscribing to this topic"));
            return false;
        }
        if (n == max) {
            refuse(r, 400, WEFT_STR("invalid"), WEFT_STR("add"),
                   WEFT_STR("too many topics (http.max_topics)"));
            return false;
        }
        topics[n++] = ask->add[i];
    }
    if (n == 0) {
        refuse(r, 400, WEFT_STR("invalid"), WEFT_STR("remove"),
               WEFT_STR("at least one topic is needed; close the stream instead"));
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bytes += topics[i].len + 3;
    }
    if (bytes > TOPICS_BYTES_MAX) {
        refuse(r, 400, WEFT_STR("invalid"), WEFT_STR("add"),
               WEFT_STR("too many topics: their names are too long together"));
        return false;
    }
    *ret_n = n;
    return true;
}

static void print_topics(struct weft_buf *b, const struct weft_sub *sub)
{
    struct weft_str topic;
    size_t pos = 0;

    weft_buf_puts(b, "{\"topics\":[");
    for (size_t i = 0; weft_sub_next_topic(sub, &pos, &topic); i++) {
        weft_buf_puts(b, i > 0 ? "," : "");
        weft_buf_json(b, topic);
    }
    weft_buf_puts(b, "]}");
}

bool weft_receiver_retopic(struct weft_receiver *rx, const struct weft_grant *grant,
                           const struct weft_stream_ask *ask, struct weft_stream_result *r,
                           struct weft_buf *body)
{
    struct weft_worker *worker = rx->worker;
    size_t max = worker->o.cfg->http.max_topics;
    struct weft_str *topics;
    size_t n = 0;
    bool behind = rx->sub.behind;
    bool ok = true;

    if (!weft_sub_may_leave(&rx->sub) || rx->waiting.drain != WEFT_DRAIN_NONE || worker->stopping) {
        refuse(r, 503, WEFT_STR("busy"), WEFT_STR(""),
               WEFT_STR("not at this moment: the stream has events to catch up with, or is moved"));
        return true;
    }
    topics = calloc(max + 1, sizeof(*topics));
    WEFT_ASSERT(topics != NULL);
    if (new_topics(rx, grant, ask, topics, max, &n, r)) {
        weft_ticket_renew(worker, &rx->waiting); /* a page on its way is of the topics before */
        ok = weft_sub_retopic(&rx->sub, topics, n) == 0;
        if (ok) {
            if (behind) {
                weft_sub_blocked(&rx->sub, worker->now_ms);
            }
            print_topics(body, &rx->sub);
        } else {
            refuse(r, 503, WEFT_STR("busy"), WEFT_STR(""), WEFT_STR("out of memory"));
        }
    }
    free(topics);
    return ok;
}

bool weft_receiver_may_take(const struct weft_receiver *rx, const struct weft_grant *grant,
                            struct weft_stream_result *r)
{
    struct weft_str topic;
    size_t pos = 0;

    while (weft_sub_next_topic(&rx->sub, &pos, &topic)) {
        if (!weft_may_subscribe(rx->worker, grant, topic)) {
            refuse(r, 403, WEFT_STR("forbidden"), WEFT_STR("token"),
                   WEFT_STR("the new token does not allow a topic that the stream follows"));
            return false;
        }
    }
    return true;
}

bool weft_receiver_count(struct weft_worker *worker, struct weft_kept *kept,
                         const struct weft_grant *grant, struct weft_stream_result *r)
{
    if (weft_kept_subject(worker, kept, grant->is.subject)) {
        return true;
    }
    refuse(r, 429, WEFT_STR("limited"), WEFT_STR("token"),
           WEFT_STR("too many streams at once (limits.connections_per_subject)"));
    return false;
}
