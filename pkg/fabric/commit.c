#include "commit_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#include "hub_priv.h"

/*
 * Group commit: everything that is waiting goes to Redis in one call of weft1_publish. A lone
 * request goes at once; what comes while a call is under way waits for its answer, so that under
 * load the calls grow by themselves. Only when enough for a good call has come together is a second
 * one sent behind the first, so that Redis never waits for us.
 *
 * In a call the requests are put in the order of their first topic, so that events of one topic
 * make one run and one message on its channel. Requests of one call were under way together: no
 * order between them was promised. But those of one producer stay in the order in which they came,
 * whatever topics their events name, since its numbers say that they have one, and those of one origin
 * (a WebSocket) as well, since it has sent them one after the other.
 *
 * A committer that waits for replicas sends WAIT right behind the call, for which Redis holds up
 * the connection: so it has one of its own, one call in flight, and in a call only requests that
 * ask for as many replicas.
 *
 * A request is answered once: with its ids; or unavailable, when Redis was away or has refused, and nothing was
 * written; or unsure, when Redis went away before it answered (then the events may be in the log; a retry with its
 * key or its numbers finds out).
 */

#define CALLS_IN_FLIGHT    2
#define SECOND_CALL_EVENTS 256
#define CALL_APPENDS_MAX   1024 /* events times topics; WEFT_PUBLISH_APPENDS_MAX in one request */
#define CALL_BYTES_MAX     ((size_t)1024 * 1024)

/* One call in flight: owns its requests until they are answered. */
struct call {
    struct weft_committer *c;
    struct weft_call_request *requests;
    size_t n, cap;
    size_t events;
    bool loaded; /* the functions were loaded again for it */
    bool held;   /* it is answered, but for WAIT */
    bool used;
};

struct weft_committer {
    struct weft_hub *hub;
    struct weft_redis_conn *conn; /* borrowed; NULL: not yet, or no more */
    bool waits;                   /* for replicas */
    struct weft_publish_msg *head, *tail;
    size_t events, bytes; /* of what is in that queue */
    struct call calls[CALLS_IN_FLIGHT];
    size_t in_flight;
    struct weft_call_args args;
};

static bool is_up(const struct weft_committer *c) WEFT_ON_HUB
{
    return c->hub->up && c->conn != NULL && weft_redis_conn_is_up(c->conn);
}

static struct weft_str why_away(const struct weft_committer *c) WEFT_ON_HUB
{
    return c->hub->up ? WEFT_STR("the connection that waits for replicas is away")
                      : WEFT_STR("Redis is away");
}

/* ---- answers ---- */

static struct weft_published_msg *answer_create(struct weft_hub *hub,
                                                const struct weft_publish_msg *m,
                                                enum weft_published_rc rc, size_t n_runs)
{
    struct weft_published_msg *a = calloc(1, sizeof(*a) + n_runs * sizeof(a->runs[0]));

    WEFT_ASSERT(a != NULL);
    a->msg.ops = m->answer_to != NULL ? m->answer_ops : &hub->o.ops->published;
    a->ticket = m->ticket;
    a->rc = rc;
    a->wanted = m->replicas;
    a->n_runs = (uint32_t)n_runs;
    return a;
}

static void set_why(struct weft_published_msg *a, struct weft_str why)
{
    size_t n = why.len < sizeof(a->why) - 1 ? why.len : sizeof(a->why) - 1;

    if (n > 0) {
        memcpy(a->why, why.p, n);
    }
}

static void count_answer(struct weft_shard *shard, enum weft_published_rc rc)
{
    switch (rc) {
    case WEFT_PUBLISHED_OK:
    case WEFT_PUBLISHED_REPLAYED:
    case WEFT_PUBLISHED_DUPLICATE:
        break;
    case WEFT_PUBLISHED_FENCED:
        weft_count(shard, WEFT_M_PUBLISH_FENCED, 1);
        weft_count(shard, WEFT_M_PUBLISH_REJECTED, 1);
        break;
    case WEFT_PUBLISHED_OUT_OF_ORDER:
    case WEFT_PUBLISHED_REFUSED:
        weft_count(shard, WEFT_M_PUBLISH_REJECTED, 1);
        break;
    case WEFT_PUBLISHED_REPLICAS:
        weft_count(shard, WEFT_M_PUBLISH_REPLICAS_MISSING, 1);
        break;
    case WEFT_PUBLISHED_UNAVAILABLE:
    case WEFT_PUBLISHED_UNSURE:
        weft_count(shard, WEFT_M_PUBLISH_UNAVAILABLE, 1);
        break;
    case WEFT_PUBLISHED_BUSY:
        weft_count(shard, WEFT_M_PUBLISH_QUEUE_FULL, 1);
        break;
    }
}

/* Takes both. */
static void send_answer(struct weft_hub *hub, struct weft_publish_msg *m,
                        struct weft_published_msg *a) WEFT_ON_HUB
{
    count_answer(hub->o.shard, a->rc);
    if (m->answer_to != NULL) {
        weft_mailbox_post_chain(m->answer_to, &a->msg, &a->msg, 1);
    } else {
        weft_hub_send(hub, m->worker, &a->msg);
    }
    weft_publish_msg_free(m);
}

static void answer_failed(struct weft_hub *hub, struct weft_publish_msg *m,
                          enum weft_published_rc rc, struct weft_str why) WEFT_ON_HUB
{
    struct weft_published_msg *a = answer_create(hub, m, rc, 0);

    set_why(a, why);
    send_answer(hub, m, a);
}

/* One request's answer, from its parts of the reply. */
static struct weft_published_msg *answer_make(struct weft_hub *hub,
                                              const struct weft_publish_msg *m,
                                              const struct weft_reply *reply, size_t at) WEFT_ON_HUB
{
    size_t parts = weft_call_parts(m);
    struct weft_published_msg *a = answer_create(hub, m, WEFT_PUBLISHED_OK, parts);

    for (size_t i = 0; i < parts; i++) {
        struct weft_verdict v;

        if (!weft_verdict_parse(&v, weft_reply_str(weft_reply_at(reply, at + i)))) {
            v.rc = WEFT_PUBLISHED_UNSURE;
            v.why = WEFT_STR("an answer that makes no sense");
        }
        a->runs[i] = v.run;
        if (v.rc == WEFT_PUBLISHED_OK) {
            weft_count(hub->o.shard, WEFT_M_EVENTS_PUBLISHED, v.run.n);
            continue;
        }
        a->rc = v.rc;
        if (v.rc != WEFT_PUBLISHED_REPLAYED) {
            a->number = v.number;
            a->n_runs = 0;
            set_why(a, v.why);
            break;
        }
    }
    return a;
}

/* Whether the events are in the log: now, or since before. */
static bool is_taken(const struct weft_published_msg *a)
{
    return a->rc == WEFT_PUBLISHED_OK || a->rc == WEFT_PUBLISHED_REPLAYED ||
           a->rc == WEFT_PUBLISHED_DUPLICATE;
}

static void answer_now(struct weft_hub *hub, struct weft_call_request *rq) WEFT_ON_HUB
{
    if (is_taken(rq->answer)) {
        weft_observe_ns(hub->o.shard, WEFT_H_PUBLISH_COMMIT,
                        weft_clock_mono_ns() - rq->m->received_ns);
    }
    send_answer(hub, rq->m, rq->answer);
    rq->m = NULL;
    rq->answer = NULL;
}

/* ---- calls ---- */

static void call_free(struct call *call)
{
    call->n = 0;
    call->events = 0;
    call->loaded = false;
    call->held = false;
    call->used = false;
    call->c->in_flight--;
}

static void fail_call(struct call *call, enum weft_published_rc rc, struct weft_str why) WEFT_ON_HUB
{
    for (size_t i = 0; i < call->n; i++) {
        struct weft_call_request *rq = &call->requests[i];

        if (rq->m != NULL) {
            free(rq->answer);
            answer_failed(call->c->hub, rq->m, rc, why);
        }
    }
    call_free(call);
}

/* Redis said no to the whole call. A reply that was handed to the caller is void after this. */
static void refuse_call(struct call *call, const struct weft_reply *error) WEFT_ON_HUB
{
    struct weft_hub *hub = call->c->hub;
    const struct weft_refusal *refusal = weft_refusal_of(error->str);

    if (weft_hub_is_news(hub, error)) {
        weft_log(hub->o.log, WEFT_LOG_ERROR, "publish.failed",
                 WEFT_SN("error", error->str.p, error->str.len),
                 WEFT_S("user", weft_redis_source_user(hub->source)),
                 WEFT_U("events", call->events));
    }
    fail_call(call, refusal->unsure ? WEFT_PUBLISHED_UNSURE : WEFT_PUBLISHED_UNAVAILABLE,
              weft_str(refusal->why, strlen(refusal->why)));
    if (refusal->leave) {
        weft_hub_leave_master(hub, refusal->why);
    }
}

static void send_call(struct call *call) WEFT_ON_HUB;

static void functions_loaded(void *ctx, const struct weft_reply *reply)
{
    struct call *call = ctx;

    weft_role_assert_hub(call->c->hub->owner);
    if (reply == NULL) { /* they were missing: nothing was written */
        fail_call(call, WEFT_PUBLISHED_UNAVAILABLE, WEFT_STR("Redis is away"));
    } else if (weft_reply_is_error(reply)) {
        refuse_call(call, reply);
    } else {
        send_call(call);
    }
}

static void call_answered(void *ctx, const struct weft_reply *reply)
{
    struct call *call = ctx;
    struct weft_committer *c = call->c;
    size_t at = 0;

    weft_role_assert_hub(c->hub->owner);
    if (reply == NULL) {
        fail_call(call, WEFT_PUBLISHED_UNSURE, WEFT_STR("Redis went away before it answered"));
        return;
    }
    if (weft_reply_is_error(reply)) {
        /* Somebody flushed the functions: nothing was written, so it may be sent again. */
        if (weft_redis_function_missing(reply) && !call->loaded) {
            call->loaded = true;
            if (weft_redis_load_functions(c->conn, functions_loaded, call) == 0) {
                return;
            }
        }
        refuse_call(call, reply);
        return;
    }
    for (size_t i = 0; i < call->n; i++) {
        struct weft_call_request *rq = &call->requests[i];
        size_t parts = weft_call_parts(rq->m);

        rq->answer = answer_make(c->hub, rq->m, reply, at);
        at += parts;
        if (c->waits && is_taken(rq->answer)) {
            call->held = true;
        } else {
            answer_now(c->hub, rq);
        }
    }
    if (!call->held) {
        call_free(call);
    }
}

/*
 * WAIT's answer: how many replicas have everything that this connection has written, and what was
 * there before. If nobody waits any more, it belongs to a call that has failed.
 */
static void replicas_counted(void *ctx, const struct weft_reply *reply)
{
    struct call *call = ctx;
    struct weft_hub *hub = call->c->hub;
    uint64_t replicas;

    weft_role_assert_hub(hub->owner);
    if (!call->held) {
        return;
    }
    if (!weft_reply_u64(reply, &replicas)) {
        fail_call(call, WEFT_PUBLISHED_UNSURE,
                  WEFT_STR("Redis went away before it had counted the replicas"));
        return;
    }
    for (size_t i = 0; i < call->n; i++) {
        struct weft_call_request *rq = &call->requests[i];

        if (rq->m != NULL) {
            rq->answer->replicas = (uint32_t)replicas;
            if (replicas < rq->m->replicas) {
                rq->answer->rc = WEFT_PUBLISHED_REPLICAS;
            }
            answer_now(hub, rq);
        }
    }
    call_free(call);
}

static void send_wait(struct call *call) WEFT_ON_HUB
{
    struct weft_committer *c = call->c;
    char n[20];
    char ms[20];
    struct weft_str argv[] = {
        WEFT_STR("WAIT"), weft_str(n, weft_u64_print(n, call->requests[0].m->replicas)),
        weft_str(ms, weft_u64_print(ms, c->hub->o.cfg->publish.ack_timeout_ms))};

    /* The connection is up and has nothing else waiting. */
    WEFT_ASSERT(weft_redis_send(c->conn, replicas_counted, call, 3, argv) == 0);
}

static void send_call(struct call *call) WEFT_ON_HUB
{
    struct weft_committer *c = call->c;

    weft_call_args_build(&c->args, c->hub, call->requests, call->n);
    weft_count(c->hub->o.shard, WEFT_M_PUBLISH_BATCHES, 1);
    if (weft_redis_send(c->conn, call_answered, call, c->args.n_args, c->args.argv) != 0) {
        fail_call(call, WEFT_PUBLISHED_UNAVAILABLE, WEFT_STR("Redis is away"));
    } else if (c->waits) {
        send_wait(call);
    }
}

static int by_order(const void *a, const void *b)
{
    const struct weft_call_request *x = a;
    const struct weft_call_request *y = b;

    if (x->order != y->order) {
        return x->order < y->order ? -1 : 1;
    }
    return x->place < y->place ? -1 : 1;
}

/* ---- the queue ---- */

static struct weft_publish_msg *take_head(struct weft_committer *c)
{
    struct weft_publish_msg *m = c->head;

    c->head = m->next;
    if (c->head == NULL) {
        c->tail = NULL;
    }
    c->events -= m->events.n;
    c->bytes -= m->events.bytes.len;
    return m;
}

/* The topic by which a request is put into order: see the top. */
static struct weft_str topic_of(const struct weft_publish_msg *m)
{
    struct weft_str topic = weft_str(m->topic, strlen(m->topic));
    uint32_t pos = 0;

    if (m->key_kind != WEFT_PUBLISH_KEY_PRODUCER) {
        (void)weft_event_next_topic(&m->events, &m->events.list[0], &pos, &topic);
    }
    return topic;
}

/* All of an origin are put where its first one belongs. */
static uint32_t order_of(struct call *call, const struct weft_publish_msg *m) WEFT_ON_HUB
{
    for (size_t i = call->n; m->origin != 0 && i-- > 0;) {
        if (call->requests[i].origin == m->origin) {
            return call->requests[i].order;
        }
    }
    return weft_call_topic_index(&call->c->args, topic_of(m));
}

/* Moves what is waiting into the call, up to the bounds of one; one request at least. */
static void fill(struct call *call) WEFT_ON_HUB
{
    struct weft_committer *c = call->c;
    uint32_t replicas = c->head->replicas;
    size_t bytes = 0;
    size_t refs = 0;

    weft_call_forget_topics(&c->args);
    while (c->head != NULL && c->head->replicas == replicas) {
        struct weft_publish_msg *m = c->head;

        if (call->n > 0 && (refs + m->topic_refs > CALL_APPENDS_MAX ||
                            bytes + m->events.bytes.len > CALL_BYTES_MAX)) {
            break;
        }
        (void)take_head(c);
        refs += m->topic_refs;
        bytes += m->events.bytes.len;
        call->events += m->events.n;
        call->requests =
            weft_grown(call->requests, &call->cap, call->n + 1, sizeof(*call->requests));
        call->requests[call->n] = (struct weft_call_request){
            .m = m, .origin = m->origin, .order = order_of(call, m), .place = (uint32_t)call->n};
        call->n++;
    }
    if (call->n > 1) {
        qsort(call->requests, call->n, sizeof(*call->requests), by_order);
    }
}

void weft_commit_take(struct weft_committer *c, struct weft_publish_msg *m)
{
    const struct weft_config *cfg = c->hub->o.cfg;

    WEFT_ASSERT(m->events.n > 0 && m->topic_refs <= WEFT_PUBLISH_APPENDS_MAX);
    WEFT_ASSERT((m->replicas > 0) == c->waits);
    if (!is_up(c)) {
        answer_failed(c->hub, m, WEFT_PUBLISHED_UNAVAILABLE, why_away(c));
        return;
    }
    if (c->events + m->events.n > cfg->publish.queue_events ||
        c->bytes + m->events.bytes.len > cfg->publish.queue_bytes) {
        answer_failed(c->hub, m, WEFT_PUBLISHED_BUSY, WEFT_STR("the publish queue is full"));
        return;
    }
    m->next = NULL;
    if (c->tail != NULL) {
        c->tail->next = m;
    } else {
        c->head = m;
    }
    c->tail = m;
    c->events += m->events.n;
    c->bytes += m->events.bytes.len;
}

/* Who has waited its time behind others that wait for replicas is not sent at all. */
static void drop_late(struct weft_committer *c) WEFT_ON_HUB
{
    uint64_t most_ns = (uint64_t)c->hub->o.cfg->publish.ack_timeout_ms * 1000000;
    uint64_t now_ns = weft_clock_mono_ns();

    while (c->head != NULL && now_ns - c->head->received_ns > most_ns) {
        answer_failed(c->hub, take_head(c), WEFT_PUBLISHED_BUSY,
                      WEFT_STR("others still wait for replicas; nothing was written"));
    }
}

void weft_commit_flush(struct weft_committer *c)
{
    size_t most = c->waits ? 1 : CALLS_IN_FLIGHT;

    while (c->head != NULL && !is_up(c)) {
        answer_failed(c->hub, take_head(c), WEFT_PUBLISHED_UNAVAILABLE, why_away(c));
    }
    if (c->waits && c->head != NULL) {
        drop_late(c);
    }
    for (size_t i = 0; i < most && c->head != NULL; i++) {
        struct call *call = &c->calls[i];

        if (!call->used && (c->in_flight == 0 || c->events >= SECOND_CALL_EVENTS)) {
            call->used = true;
            c->in_flight++;
            fill(call);
            send_call(call);
        }
    }
}

size_t weft_commit_waiting(const struct weft_committer *c)
{
    return c->events;
}

/* ---- life ---- */

void weft_commit_connect(struct weft_committer *c, struct weft_redis_conn *conn)
{
    c->conn = conn;
}

int weft_committer_create(struct weft_committer **ret_c, struct weft_hub *hub, bool waits)
{
    struct weft_committer *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return WEFT_ENOMEM;
    }
    c->hub = hub;
    c->waits = waits;
    for (size_t i = 0; i < CALLS_IN_FLIGHT; i++) {
        c->calls[i].c = c;
    }
    if (weft_call_args_init(&c->args) != 0) {
        weft_committer_destroy(c);
        return WEFT_ENOMEM;
    }
    *ret_c = c;
    return 0;
}

void weft_committer_destroy(struct weft_committer *c)
{
    if (c == NULL) {
        return;
    }
    WEFT_ASSERT(c->in_flight == 0);
    while (c->head != NULL) {
        weft_publish_msg_free(take_head(c));
    }
    for (size_t i = 0; i < CALLS_IN_FLIGHT; i++) {
        free(c->calls[i].requests);
    }
    weft_call_args_fini(&c->args);
    free(c);
}
