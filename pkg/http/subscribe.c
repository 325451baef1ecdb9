#include "worker_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/wire/name.h>
#include <weft/wire/since.h>

/*
 * GET /api/events: what to follow and from where, the same for an event stream and a long-poll.
 */

static const char *const known[] = {"topic",   "types", "lastEventId", "since", "named",
                                    "wait_ms", "limit", "slow",        NULL};

static bool refuse(struct weft_call *call, const char *field, const char *why) WEFT_ON_WORKER
{
    weft_respond_problem(call->req, 400, "invalid", field, "%s", why);
    return false;
}

/* ---- the parts of a subscription, however it is asked for ---- */

int weft_take_topic(struct weft_sub_opts *opts, struct weft_str *room, uint32_t max,
                    struct weft_str topic, const char *field, struct weft_err *err)
{
    if (!weft_pattern_valid(topic)) {
        return weft_err_set(err, WEFT_EINVAL, field,
                            "a topic is 1 to 200 of A-Z a-z 0-9 . _ : -, at the end perhaps one *");
    }
    for (size_t i = 0; i < opts->n_topics; i++) {
        if (weft_str_eq(room[i], topic)) {
            return 0;
        }
    }
    if (opts->n_topics == max) {
        return weft_err_set(err, WEFT_EINVAL, field, "at most %u topics in one request", max);
    }
    room[opts->n_topics++] = topic;
    opts->topics = room;
    return 0;
}

int weft_take_type(struct weft_sub_opts *opts, struct weft_str *room, struct weft_str glob,
                   struct weft_err *err)
{
    if (!weft_type_glob_valid(glob)) {
        return weft_err_set(err, WEFT_EINVAL, "types",
                            "a type glob is 1 to 200 of A-Z a-z 0-9 . _ - *");
    }
    if (opts->n_types == WEFT_GLOBS_MAX) {
        return weft_err_set(err, WEFT_EINVAL, "types", "too many type globs");
    }
    room[opts->n_types++] = glob;
    opts->types = room;
    return 0;
}

int weft_take_cursor(struct weft_sub_opts *opts, struct weft_str text, const char *field,
                     struct weft_err *err)
{
    if (!weft_id_parse(text, &opts->start)) {
        return weft_err_set(err, WEFT_EINVAL, field, "it must be an event id, <ms>-<seq>");
    }
    opts->from = WEFT_FROM_CURSOR;
    return 0;
}

int weft_take_since(struct weft_sub_opts *opts, struct weft_str text, struct weft_err *err)
{
    static const enum weft_sub_from from[] = {
        [WEFT_SINCE_EARLIEST] = WEFT_FROM_EARLIEST,
        [WEFT_SINCE_ID] = WEFT_FROM_CURSOR,
        [WEFT_SINCE_TIME] = WEFT_FROM_TIME,
        [WEFT_SINCE_AGO] = WEFT_FROM_AGO,
    };
    struct weft_since parsed;

    if (weft_since_parse(text, &parsed) != 0) {
        return weft_err_set(
            err, WEFT_EINVAL, "since",
            "it must be `earliest`, an event id, a time in ms, or a span back such as -5m");
    }
    opts->from = from[parsed.kind];
    opts->start = parsed.kind == WEFT_SINCE_EARLIEST ? (struct weft_id){0, 0} : parsed.id;
    return 0;
}

/* ---- of a query ---- */

/* If not, answers and returns false. */
static bool took(struct weft_call *call, int rc, const struct weft_err *err) WEFT_ON_WORKER
{
    if (rc != 0) {
        weft_respond_err(call->req, err);
    }
    return rc == 0;
}

static bool take_topics(struct weft_call *call, struct weft_subscription *s) WEFT_ON_WORKER
{
    uint32_t max = call->worker->o.cfg->http.max_topics;
    struct weft_str *topics = h2o_mem_alloc_pool(&call->req->pool, max * sizeof(*topics));
    struct weft_err err = {0};

    for (size_t i = 0; i < call->query->n; i++) {
        const struct weft_param *p = &call->query->params[i];

        if (weft_str_eq(p->key, WEFT_STR("topic")) &&
            !took(call, weft_take_topic(&s->opts, topics, max, p->value, "topic", &err), &err)) {
            return false;
        }
    }
    if (s->opts.n_topics == 0) {
        return refuse(call, "topic", "at least one topic is needed");
    }
    for (size_t i = 0; i < s->opts.n_topics; i++) {
        if (!weft_call_may_subscribe(call, s->opts.topics[i], "topic")) {
            return false;
        }
    }
    return true;
}

/* Repeated, or several parted by commas. */
static bool take_types(struct weft_call *call, struct weft_subscription *s) WEFT_ON_WORKER
{
    struct weft_str *types = h2o_mem_alloc_pool(&call->req->pool, WEFT_GLOBS_MAX * sizeof(*types));
    struct weft_err err = {0};

    for (size_t i = 0; i < call->query->n; i++) {
        const struct weft_param *p = &call->query->params[i];
        struct weft_str rest = p->value;

        if (!weft_str_eq(p->key, WEFT_STR("types"))) {
            continue;
        }
        for (;;) {
            const char *comma = rest.len == 0 ? NULL : memchr(rest.p, ',', rest.len);
            struct weft_str glob =
                weft_str(rest.p, comma == NULL ? rest.len : (size_t)(comma - rest.p));

            if (!took(call, weft_take_type(&s->opts, types, glob, &err), &err)) {
                return false;
            }
            if (comma == NULL) {
                break;
            }
            rest.p += glob.len + 1;
            rest.len -= glob.len + 1;
        }
    }
    return true;
}

/* The header wins over the query, which an EventSource repeats; a cursor wins over `since`. */
static bool take_start(struct weft_call *call, struct weft_subscription *s) WEFT_ON_WORKER
{
    struct weft_str header = weft_header(call->req, "last-event-id");
    struct weft_str query = weft_query_get(call->query, "lastEventId");
    struct weft_str since = weft_query_get(call->query, "since");
    struct weft_err err = {0};

    s->opts.from = WEFT_FROM_NOW;
    return (since.p == NULL || took(call, weft_take_since(&s->opts, since, &err), &err)) &&
           (query.len == 0 ||
            took(call, weft_take_cursor(&s->opts, query, "lastEventId", &err), &err)) &&
           (header.len == 0 ||
            took(call, weft_take_cursor(&s->opts, header, "Last-Event-ID", &err), &err));
}

static bool take_slow(struct weft_call *call, struct weft_subscription *s) WEFT_ON_WORKER
{
    struct weft_err err = {0};

    return took(
        call,
        weft_take_slow(call->worker->o.cfg, weft_query_get(call->query, "slow"), &s->opts, &err),
        &err);
}

/* Whether one of the media ranges of an Accept header is this one; parameters are not looked at. */
static bool accepts(struct weft_str accept, const char *range)
{
    while (accept.len > 0) {
        struct weft_str one = weft_str_before(&accept, ',');

        if (weft_str_ieq(weft_str_trim(weft_str_before(&one, ';')),
                         weft_str(range, strlen(range)))) {
            return true;
        }
    }
    return false;
}

enum shape { SHAPE_STREAM, SHAPE_POLL, SHAPE_NONE };

/* What the client wants to have it as. */
static enum shape shape_of(struct weft_call *call) WEFT_ON_WORKER
{
    struct weft_str accept = weft_header(call->req, "accept");

    if (accept.len == 0 || accepts(accept, "text/event-stream") || accepts(accept, "text/*")) {
        return SHAPE_STREAM;
    }
    if (accepts(accept, "application/json") || accepts(accept, "application/*")) {
        return SHAPE_POLL;
    }
    return accepts(accept, "*/*") ? SHAPE_STREAM : SHAPE_NONE;
}

bool weft_call_is_stream(struct weft_call *call)
{
    return weft_route_handles(call->route, weft_handle_events) && shape_of(call) == SHAPE_STREAM;
}

void weft_handle_events(struct weft_call *call)
{
    struct weft_subscription s = {.named = true, .grant = call->grant};
    struct weft_str named = weft_query_get(call->query, "named");
    enum shape shape = shape_of(call);
    uint32_t max_wait = call->worker->o.cfg->longpoll.wait_ms;

    if (!weft_query_allow(call, known) || !take_topics(call, &s) || !take_types(call, &s) ||
        !take_start(call, &s) || !take_slow(call, &s) ||
        !weft_query_u32(call, "wait_ms", 0, max_wait, max_wait, &s.wait_ms) ||
        !weft_query_u32(call, "limit", 1, 1000, 100, &s.limit)) {
        return;
    }
    if (named.p != NULL) {
        if (!weft_str_eq(named, WEFT_STR("0")) && !weft_str_eq(named, WEFT_STR("1"))) {
            (void)refuse(call, "named", "it must be 0 or 1");
            return;
        }
        s.named = named.p[0] == '1';
    }
    if (h2o_memis(call->req->input.method.base, call->req->input.method.len, H2O_STRLIT("HEAD"))) {
        weft_respond(call->req, 200, "text/event-stream", weft_str(NULL, 0));
        return;
    }
    if (shape == SHAPE_STREAM) {
        weft_sse_begin(call, &s);
    } else if (shape == SHAPE_POLL) {
        s.opts.slow = WEFT_SLOW_REPLAY; /* there is no writer that could be behind */
        weft_longpoll_begin(call, &s);
    } else {
        weft_respond_problem(call->req, 406, "not_acceptable", "Accept",
                             "this is sent as text/event-stream or application/json");
    }
}

/* ---- what streams and long-polls share ---- */

void weft_gap_print(struct weft_buf *b, const struct weft_gap *gap)
{
    static const char *const reasons[] = {
        [WEFT_GAP_TRIMMED] = "trimmed",
        [WEFT_GAP_RESET] = "reset",
        [WEFT_GAP_SLOW] = "slow",
    };
    char text[WEFT_ID_MAX_LEN];

    weft_buf_puts(b, "{\"topic\":");
    weft_buf_json(b, weft_str(gap->topic, strlen(gap->topic)));
    weft_buf_puts(b, ",\"after\":\"");
    weft_buf_append(b, text, weft_id_print(text, gap->after));
    weft_buf_puts(b, "\",\"next\":");
    if (gap->next.seq == 0) {
        weft_buf_puts(b, "null");
    } else {
        weft_buf_puts(b, "\"");
        weft_buf_append(b, text, weft_id_print(text, gap->next));
        weft_buf_puts(b, "\"");
    }
    weft_buf_printf(b, ",\"reason\":\"%s\"}", reasons[gap->reason]);
}

static void follow(void *ctx, struct weft_str topic, bool on)
{
    struct weft_worker *worker = ctx;
    struct weft_follow_msg *m = weft_follow_msg_create();

    weft_role_assert_worker(worker->owner);
    if (m == NULL) {
        abort(); /* a small object: there is no way on without it */
    }
    m->worker = worker->o.index;
    m->on = on;
    memcpy(m->topic, topic.p, topic.len);
    weft_mailbox_post_chain(worker->hub, &m->msg, &m->msg, 1);
}

static bool read_page(void *ctx, struct weft_sub *sub)
{
    static const enum weft_read_start starts[] = {
        [WEFT_FROM_NOW] = WEFT_READ_AFTER,         [WEFT_FROM_CURSOR] = WEFT_READ_AFTER,
        [WEFT_FROM_EARLIEST] = WEFT_READ_EARLIEST, [WEFT_FROM_TIME] = WEFT_READ_TIME,
        [WEFT_FROM_AGO] = WEFT_READ_AGO,
    };
    struct weft_worker *worker = ctx;
    struct weft_receiver *rx = WEFT_CONTAINER_OF(sub, struct weft_receiver, sub);
    struct weft_read_msg *m;
    struct weft_msg *msg;

    weft_role_assert_worker(worker->owner);
    weft_buf_clear(&worker->what);
    weft_sub_what(sub, &worker->what);
    m = weft_read_msg_create(weft_str(worker->what.data, worker->what.len));
    if (m == NULL) {
        return false;
    }
    m->worker = worker->o.index;
    m->ticket = rx->waiting.ticket;
    m->from = starts[weft_sub_read_start(sub, &m->start)];
    msg = &m->msg;
    if (weft_mailbox_post(worker->hub, &msg) != 0) {
        weft_count(worker->o.shard, WEFT_M_MAILBOX_FULL, 1);
        m->msg.ops->drop(&m->msg);
        return false;
    }
    return true;
}

static void ready(void *ctx, struct weft_sub *sub)
{
    struct weft_receiver *rx = WEFT_CONTAINER_OF(sub, struct weft_receiver, sub);

    weft_role_assert_worker(rx->worker->owner);
    (void)ctx;
    rx->ready(rx);
}

const struct weft_fanout_ops weft_receiver_ops = {follow, read_page, ready};

static void page_arrived(struct weft_waiting *w, struct weft_page_msg *m)
{
    struct weft_receiver *rx = WEFT_CONTAINER_OF(w, struct weft_receiver, waiting);

    weft_role_assert_worker(rx->worker->owner);
    if (m->rc == WEFT_READ_OK) {
        weft_sub_page_arrived(&rx->sub, m->page);
    } else if (m->rc == WEFT_READ_TOO_MANY) {
        rx->too_many(rx);
    } else {
        weft_sub_page_failed(&rx->sub, m->rc == WEFT_READ_UNAVAILABLE);
    }
}

void weft_receiver_init(struct weft_receiver *rx, struct weft_worker *worker)
{
    rx->worker = worker;
    rx->waiting.page = page_arrived;
    weft_ticket_take(worker, &rx->waiting);
}

void weft_receiver_fini(struct weft_receiver *rx)
{
    weft_sub_fini(&rx->sub);
    weft_drain_gone(rx->worker, &rx->waiting);
    weft_ticket_free(rx->worker, &rx->waiting);
}
