#include "hub_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

/*
 * Group commit: everything that is waiting goes to Redis in one call of weft1_publish. A lone
 * request goes at once; what comes while a call is under way waits for its answer, so that under
 * load the calls grow by themselves. Only when enough for a good call has come together is a second
 * one sent behind the first, so that Redis never waits for us.
 *
 * In a call the requests are put in the order of their first topic, so that events of one topic
 * make one run and one message on its channel. Requests of one call were under way together: no
 * order between them was promised.
 *
 * A request is answered once: with its ids, or unavailable when Redis was away or went away before
 * it answered (then the events may be in the log; a retry with an Idempotency-Key finds out).
 */

#define CALLS_IN_FLIGHT    2
#define SECOND_CALL_EVENTS 256
#define CALL_APPENDS_MAX   1024 /* events times topics; WEFT_PUBLISH_APPENDS_MAX in one request */
#define CALL_BYTES_MAX     ((size_t)1024 * 1024)
#define TABLE_SIZE         16384 /* of topics by name; a power of two, never more than half full */

struct request {
    struct weft_publish_msg *m;
    uint32_t first_topic;
    uint32_t place; /* of arrival */
};

/* One call in flight: owns its requests until it is answered. */
struct call {
    struct weft_committer *c;
    struct request *requests;
    size_t n, cap;
    size_t events;
    uint64_t sent_ns;
    bool loaded; /* the functions were loaded again for it */
    bool used;
};

struct piece {
    size_t off, len;
};

struct weft_committer {
    struct weft_hub *hub;
    struct weft_publish_msg *head, *tail; /* waiting */
    size_t events, bytes;                 /* of them */
    struct call calls[CALLS_IN_FLIGHT];
    size_t in_flight;

    /* Scratch of one call, kept between calls. */
    struct weft_buf text; /* keys and numbers */
    struct piece *args;
    const char **ptrs; /* where an argument lies when it is not in text; NULL: in text */
    size_t n_args, args_cap;
    struct weft_str *argv;
    size_t argv_cap;
    uint32_t *table; /* 0: free; else 1 + index in topics */
    struct {
        struct weft_str name;
        uint32_t slot;
    } * topics;
    size_t n_topics, topics_cap;
    struct weft_buf once; /* names of once keys, one after the other */
    struct piece *once_keys;
    size_t n_once_keys, once_keys_cap;
};

static void *grown(void *list, size_t *cap, size_t need, size_t size)
{
    if (need > *cap) {
        size_t more = *cap == 0 ? 256 : *cap * 2;

        more = more < need ? need : more;
        list = realloc(list, more * size);
        WEFT_ASSERT(list != NULL);
        *cap = more;
    }
    return list;
}

/* ---- answers ---- */

static struct weft_published_msg *answer_create(struct weft_hub *hub,
                                                const struct weft_publish_msg *m,
                                                enum weft_published_rc rc, size_t n_runs)
{
    struct weft_published_msg *a = calloc(1, sizeof(*a) + n_runs * sizeof(a->runs[0]));

    WEFT_ASSERT(a != NULL);
    a->msg.ops = &hub->o.ops->published;
    a->ticket = m->ticket;
    a->rc = rc;
    a->n_runs = (uint32_t)n_runs;
    return a;
}

static void answer_failed(struct weft_hub *hub, struct weft_publish_msg *m,
                          enum weft_published_rc rc, struct weft_str why) WEFT_ON_HUB
{
    struct weft_published_msg *a = answer_create(hub, m, rc, 0);
    size_t n = why.len < sizeof(a->why) - 1 ? why.len : sizeof(a->why) - 1;

    memcpy(a->why, why.p, n);
    weft_count(hub->o.shard,
               rc == WEFT_PUBLISHED_BUSY          ? WEFT_M_PUBLISH_QUEUE_FULL
               : rc == WEFT_PUBLISHED_UNAVAILABLE ? WEFT_M_PUBLISH_UNAVAILABLE
                                                  : WEFT_M_PUBLISH_REJECTED,
               1);
    weft_hub_send(hub, m->worker, &a->msg);
    weft_publish_msg_free(m);
}

/* CloudEvents carry an idempotency key each; other requests at most one. */
static bool keyed_singly(const struct weft_publish_msg *m)
{
    return m->once_len == 0 && m->events.list[0].once_len > 0;
}

static size_t parts_of(const struct weft_publish_msg *m)
{
    return keyed_singly(m) ? m->events.n : 1;
}

/* `<ms>-<seq> <n>`, perhaps with `=` in front. */
static bool parse_run(struct weft_str s, struct weft_id_run *ret_run, bool *ret_replayed)
{
    const char *space;
    uint64_t n;

    *ret_replayed = s.len > 0 && s.p[0] == '=';
    if (*ret_replayed) {
        s.p++;
        s.len--;
    }
    space = s.len == 0 ? NULL : memchr(s.p, ' ', s.len);
    if (space == NULL || !weft_id_parse(weft_str(s.p, (size_t)(space - s.p)), &ret_run->first) ||
        !weft_str_u64(weft_str(space + 1, s.len - (size_t)(space + 1 - s.p)), &n) ||
        n > UINT32_MAX) {
        return false;
    }
    ret_run->n = (uint32_t)n;
    return true;
}

/* Answers one request from its parts of the reply. */
static void answer(struct weft_hub *hub, struct weft_publish_msg *m, const struct weft_reply *reply,
                   size_t at) WEFT_ON_HUB
{
    size_t parts = parts_of(m);
    struct weft_published_msg *a = answer_create(hub, m, WEFT_PUBLISHED_OK, parts);

    for (size_t i = 0; i < parts; i++) {
        struct weft_str s = weft_reply_str(weft_reply_at(reply, at + i));
        bool replayed = false;

        if (s.len > 0 && s.p[0] == '!') {
            free(a);
            answer_failed(hub, m, WEFT_PUBLISHED_REFUSED, weft_str(s.p + 1, s.len - 1));
            return;
        }
        if (!parse_run(s, &a->runs[i], &replayed)) {
            free(a);
            answer_failed(hub, m, WEFT_PUBLISHED_UNAVAILABLE,
                          WEFT_STR("an answer that makes no sense"));
            return;
        }
        if (replayed) {
            a->rc = WEFT_PUBLISHED_REPLAYED;
        } else {
            weft_count(hub->o.shard, WEFT_M_EVENTS_PUBLISHED, a->runs[i].n);
        }
    }
    weft_observe_ns(hub->o.shard, WEFT_H_PUBLISH_COMMIT, weft_clock_mono_ns() - m->received_ns);
    weft_hub_send(hub, m->worker, &a->msg);
    weft_publish_msg_free(m);
}

static void call_free(struct call *call)
{
    call->n = 0;
    call->events = 0;
    call->loaded = false;
    call->used = false;
    call->c->in_flight--;
}

static void fail_call(struct call *call, struct weft_str why) WEFT_ON_HUB
{
    for (size_t i = 0; i < call->n; i++) {
        answer_failed(call->c->hub, call->requests[i].m, WEFT_PUBLISHED_UNAVAILABLE, why);
    }
    call_free(call);
}

static bool starts(struct weft_str s, const char *prefix)
{
    size_t n = strlen(prefix);

    return s.len >= n && memcmp(s.p, prefix, n) == 0;
}

static void send_call(struct call *call) WEFT_ON_HUB;

static void functions_loaded(void *ctx, const struct weft_reply *reply)
{
    struct call *call = ctx;

    weft_role_assert_hub(call->c->hub->owner);
    if (reply == NULL || weft_reply_is_error(reply)) {
        fail_call(call, reply == NULL ? WEFT_STR("Redis is away") : reply->str);
    } else {
        send_call(call);
    }
}

static void call_answered(void *ctx, const struct weft_reply *reply)
{
    struct call *call = ctx;
    struct weft_hub *hub = call->c->hub;
    size_t at = 0;

    weft_role_assert_hub(hub->owner);
    if (reply == NULL) {
        fail_call(call, WEFT_STR("Redis went away before it answered"));
        return;
    }
    if (weft_reply_is_error(reply)) {
        /* Somebody flushed the functions: nothing was written, so it may be sent again. */
        if (starts(reply->str, "ERR Function not found") && !call->loaded) {
            call->loaded = true;
            if (weft_redis_load_functions(hub->cmd, functions_loaded, call) == 0) {
                return;
            }
        }
        weft_log(hub->o.log, WEFT_LOG_ERROR, "publish.failed",
                 WEFT_SN("error", reply->str.p, reply->str.len), WEFT_U("events", call->events));
        fail_call(call, reply->str);
        return;
    }
    for (size_t i = 0; i < call->n; i++) {
        struct weft_publish_msg *m = call->requests[i].m;
        size_t parts = parts_of(m);

        answer(hub, m, reply, at);
        at += parts;
    }
    call_free(call);
}

/* ---- building a call ---- */

static void arg_text(struct weft_committer *c, size_t from)
{
    size_t args_cap = c->args_cap;

    c->args = grown(c->args, &args_cap, c->n_args + 1, sizeof(*c->args));
    c->ptrs = grown(c->ptrs, &c->args_cap, c->n_args + 1, sizeof(*c->ptrs));
    c->ptrs[c->n_args] = NULL;
    c->args[c->n_args].off = from;
    c->args[c->n_args++].len = c->text.len - from;
}

static void arg_u64(struct weft_committer *c, uint64_t v)
{
    size_t from = c->text.len;

    weft_buf_u64(&c->text, v);
    arg_text(c, from);
}

static void arg_str(struct weft_committer *c, struct weft_str s)
{
    arg_text(c, c->text.len);
    c->ptrs[c->n_args - 1] = s.p;
    c->args[c->n_args - 1].len = s.len;
}

/* The topic's index in this call, from 0; a new one is added. */
static uint32_t topic_index(struct weft_committer *c, struct weft_str name)
{
    uint32_t slot;

    if (c->n_topics > 0 && weft_str_eq(c->topics[c->n_topics - 1].name, name)) {
        return (uint32_t)c->n_topics - 1;
    }
    slot = (uint32_t)weft_hash64(name.p, name.len) & (TABLE_SIZE - 1);
    while (c->table[slot] != 0) {
        if (weft_str_eq(c->topics[c->table[slot] - 1].name, name)) {
            return c->table[slot] - 1;
        }
        slot = (slot + 1) & (TABLE_SIZE - 1);
    }
    c->topics = grown(c->topics, &c->topics_cap, c->n_topics + 1, sizeof(*c->topics));
    c->topics[c->n_topics].name = name;
    c->topics[c->n_topics].slot = slot;
    c->table[slot] = (uint32_t)++c->n_topics;
    return (uint32_t)c->n_topics - 1;
}

static void forget_topics(struct weft_committer *c)
{
    for (size_t i = 0; i < c->n_topics; i++) {
        c->table[c->topics[i].slot] = 0;
    }
    c->n_topics = 0;
}

static size_t add_once(struct weft_committer *c, const struct weft_publish_msg *m,
                       struct weft_str key)
{
    size_t from = c->once.len;

    weft_key_once(&c->once, &c->hub->keys, weft_str(m->topic, strlen(m->topic)), key);
    c->once_keys =
        grown(c->once_keys, &c->once_keys_cap, c->n_once_keys + 1, sizeof(*c->once_keys));
    c->once_keys[c->n_once_keys].off = from;
    c->once_keys[c->n_once_keys++].len = c->once.len - from;
    return c->n_once_keys;
}

/* The requests of the call in order, so that topics, once keys and events get their places. */
static void collect(struct call *call)
{
    struct weft_committer *c = call->c;

    forget_topics(c);
    weft_buf_clear(&c->once);
    c->n_once_keys = 0;
    for (size_t i = 0; i < call->n; i++) {
        struct weft_publish_msg *m = call->requests[i].m;

        for (size_t e = 0; e < m->events.n; e++) {
            const struct weft_event *ev = &m->events.list[e];
            struct weft_str topic;
            uint32_t pos = 0;

            while (weft_event_next_topic(&m->events, ev, &pos, &topic)) {
                (void)topic_index(c, topic);
            }
        }
        if (keyed_singly(m)) {
            for (size_t e = 0; e < m->events.n; e++) {
                const struct weft_event *ev = &m->events.list[e];

                (void)add_once(c, m, weft_str(m->events.bytes.data + ev->once_off, ev->once_len));
            }
        } else if (m->once_len > 0) {
            (void)add_once(c, m, weft_str(m->once, m->once_len));
        }
    }
}

static void add_event(struct weft_committer *c, const struct weft_publish_msg *m,
                      const struct weft_event *ev)
{
    struct weft_str topic;
    uint32_t pos = 0;
    size_t from;

    arg_str(c, weft_event_type(&m->events, ev));
    arg_str(c, weft_event_envelope(&m->events, ev));
    from = c->text.len;
    while (weft_event_next_topic(&m->events, ev, &pos, &topic)) {
        if (c->text.len > from) {
            weft_buf_append(&c->text, ",", 1);
        }
        weft_buf_u64(&c->text, topic_index(c, topic) + 1);
    }
    arg_text(c, from);
}

static void add_requests(struct call *call)
{
    struct weft_committer *c = call->c;
    size_t once = 0;

    for (size_t i = 0; i < call->n; i++) {
        const struct weft_publish_msg *m = call->requests[i].m;
        bool singly = keyed_singly(m);

        if (!singly) {
            arg_u64(c, m->once_len > 0 ? ++once : 0);
            arg_u64(c, m->events.n);
        }
        for (size_t e = 0; e < m->events.n; e++) {
            if (singly) {
                arg_u64(c, ++once);
                arg_u64(c, 1);
            }
            add_event(c, m, &m->events.list[e]);
        }
    }
}

static void send_call(struct call *call) WEFT_ON_HUB
{
    struct weft_committer *c = call->c;
    struct weft_hub *hub = c->hub;
    size_t from;

    weft_buf_clear(&c->text);
    c->n_args = 0;
    collect(call);

    arg_str(c, WEFT_STR("FCALL"));
    arg_str(c, WEFT_STR(WEFT_FN_PUBLISH));
    arg_u64(c, 2 + c->n_topics + c->n_once_keys);
    from = c->text.len;
    weft_key_head(&c->text, &hub->keys);
    arg_text(c, from);
    from = c->text.len;
    weft_key_topics(&c->text, &hub->keys);
    arg_text(c, from);
    for (size_t i = 0; i < c->n_topics; i++) {
        from = c->text.len;
        weft_key_log(&c->text, &hub->keys, c->topics[i].name);
        arg_text(c, from);
    }
    for (size_t i = 0; i < c->n_once_keys; i++) {
        arg_str(c, weft_str(c->once.data + c->once_keys[i].off, c->once_keys[i].len));
    }
    arg_str(c, weft_str(hub->channel.data, hub->channel.len));
    arg_u64(c, hub->o.cfg->publish.idempotency_ttl_ms);
    arg_u64(c, c->n_topics);
    for (size_t i = 0; i < c->n_topics; i++) {
        arg_str(c, c->topics[i].name);
        arg_u64(c, weft_retention_of(&hub->retention, c->topics[i].name).max_events);
    }
    add_requests(call);
    WEFT_ASSERT(!c->text.toobig && !c->once.toobig);

    c->argv = grown(c->argv, &c->argv_cap, c->n_args, sizeof(*c->argv));
    for (size_t i = 0; i < c->n_args; i++) {
        c->argv[i] = weft_str(c->ptrs[i] != NULL ? c->ptrs[i] : c->text.data + c->args[i].off,
                              c->args[i].len);
    }
    call->sent_ns = weft_clock_mono_ns();
    weft_count(hub->o.shard, WEFT_M_PUBLISH_BATCHES, 1);
    if (weft_redis_send(hub->cmd, call_answered, call, c->n_args, c->argv) != 0) {
        fail_call(call, WEFT_STR("Redis is away"));
    }
}

static int by_topic(const void *a, const void *b)
{
    const struct request *x = a;
    const struct request *y = b;

    if (x->first_topic != y->first_topic) {
        return x->first_topic < y->first_topic ? -1 : 1;
    }
    return x->place < y->place ? -1 : 1;
}

/* Moves what is waiting into the call, up to the bounds of one; one request at least. */
static void fill(struct call *call) WEFT_ON_HUB
{
    struct weft_committer *c = call->c;
    size_t bytes = 0;
    size_t refs = 0;

    forget_topics(c);
    while (c->head != NULL) {
        struct weft_publish_msg *m = c->head;
        struct weft_str topic = weft_str(NULL, 0);
        uint32_t pos = 0;

        if (call->n > 0 && (refs + m->topic_refs > CALL_APPENDS_MAX ||
                            bytes + m->events.bytes.len > CALL_BYTES_MAX)) {
            break;
        }
        refs += m->topic_refs;
        c->head = m->next;
        if (c->head == NULL) {
            c->tail = NULL;
        }
        c->events -= m->events.n;
        c->bytes -= m->events.bytes.len;
        bytes += m->events.bytes.len;
        call->events += m->events.n;
        (void)weft_event_next_topic(&m->events, &m->events.list[0], &pos, &topic);
        call->requests = grown(call->requests, &call->cap, call->n + 1, sizeof(*call->requests));
        call->requests[call->n] = (struct request){
            .m = m, .first_topic = topic_index(c, topic), .place = (uint32_t)call->n};
        call->n++;
    }
    weft_gauge_set(c->hub->o.shard, WEFT_G_PUBLISH_QUEUE_EVENTS, (int64_t)c->events);
    if (call->n > 1) {
        qsort(call->requests, call->n, sizeof(*call->requests), by_topic);
    }
}

/* ---- the queue ---- */

void weft_commit_take(struct weft_committer *c, struct weft_publish_msg *m)
{
    const struct weft_config *cfg = c->hub->o.cfg;

    WEFT_ASSERT(m->events.n > 0 && m->topic_refs <= WEFT_PUBLISH_APPENDS_MAX);
    if (!c->hub->up) {
        answer_failed(c->hub, m, WEFT_PUBLISHED_UNAVAILABLE, WEFT_STR("Redis is away"));
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

void weft_commit_flush(struct weft_committer *c)
{
    while (c->head != NULL && !c->hub->up) {
        struct weft_publish_msg *m = c->head;

        c->head = m->next;
        c->events -= m->events.n;
        c->bytes -= m->events.bytes.len;
        answer_failed(c->hub, m, WEFT_PUBLISHED_UNAVAILABLE, WEFT_STR("Redis is away"));
    }
    if (c->head == NULL) {
        c->tail = NULL;
    }
    for (size_t i = 0; i < CALLS_IN_FLIGHT && c->head != NULL; i++) {
        struct call *call = &c->calls[i];

        if (!call->used && (c->in_flight == 0 || c->events >= SECOND_CALL_EVENTS)) {
            call->used = true;
            c->in_flight++;
            fill(call);
            send_call(call);
        }
    }
}

int weft_committer_create(struct weft_committer **ret_c, struct weft_hub *hub)
{
    struct weft_committer *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        return WEFT_ENOMEM;
    }
    c->hub = hub;
    weft_buf_init(&c->text, (size_t)64 * 1024 * 1024);
    weft_buf_init(&c->once, (size_t)64 * 1024 * 1024);
    for (size_t i = 0; i < CALLS_IN_FLIGHT; i++) {
        c->calls[i].c = c;
    }
    c->table = calloc(TABLE_SIZE, sizeof(*c->table));
    if (c->table == NULL) {
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
        struct weft_publish_msg *m = c->head;

        c->head = m->next;
        weft_publish_msg_free(m);
    }
    for (size_t i = 0; i < CALLS_IN_FLIGHT; i++) {
        free(c->calls[i].requests);
    }
    weft_buf_fini(&c->text);
    weft_buf_fini(&c->once);
    free(c->args);
    free(c->ptrs);
    free(c->argv);
    free(c->table);
    free(c->topics);
    free(c->once_keys);
    free(c);
}
