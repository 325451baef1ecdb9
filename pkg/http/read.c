#include "worker_priv.h"

#include <string.h>

/* History and topics: asked of the hub, which answers with the JSON. */

static void respond(h2o_req_t *req, const struct weft_answer_msg *m) WEFT_ON_WORKER
{
    if (m->status == 200) {
        weft_respond_json(req, 200, weft_str(m->body, m->body_len));
    } else if (m->status == 404) {
        weft_respond_problem(req, 404, "not_found", "topic",
                             "no such topic: it never had an event, or none since it was removed");
    } else {
        weft_respond_problem(req, 503, "unavailable", "", "Redis is away");
    }
}

static void ask(struct weft_call *call, struct weft_ask_msg *m) WEFT_ON_WORKER
{
    if (m == NULL) {
        weft_respond_problem(call->req, 503, "busy", "", "out of memory");
    } else {
        weft_ask(call, call->worker->hub, &m->msg, &m->worker, &m->ticket, respond);
    }
}

static struct weft_ask_msg *question(enum weft_ask_kind kind, struct weft_str name, uint32_t limit)
{
    struct weft_ask_msg *m = weft_ask_msg_create();

    if (m != NULL) {
        m->kind = kind;
        m->limit = limit;
        if (name.len > 0) {
            memcpy(m->name, name.p, name.len);
        }
    }
    return m;
}

void weft_handle_history(struct weft_call *call)
{
    static const char *const known[] = {"after", "before", "limit", "order", NULL};
    struct weft_str order = weft_query_get(call->query, "order");
    struct weft_ask_msg asked = {0};
    struct weft_ask_msg *m;
    struct weft_str topic;
    uint32_t limit;

    if (!weft_query_allow(call, known) || !weft_call_topic(call, &topic) ||
        !weft_query_id(call, "after", &asked.has_after, &asked.after) ||
        !weft_query_id(call, "before", &asked.has_before, &asked.before) ||
        !weft_query_u32(call, "limit", 1, 1000, 100, &limit) ||
        !weft_call_may_subscribe(call, topic, "topic")) {
        return;
    }
    if (order.p != NULL && !weft_str_eq(order, WEFT_STR("asc")) &&
        !weft_str_eq(order, WEFT_STR("desc"))) {
        weft_respond_problem(call->req, 400, "invalid", "order", "it must be asc or desc");
        return;
    }
    m = question(WEFT_ASK_HISTORY, topic, limit);
    if (m != NULL) {
        m->has_after = asked.has_after;
        m->after = asked.after;
        m->has_before = asked.has_before;
        m->before = asked.before;
        m->descending = weft_str_eq(order, WEFT_STR("desc"));
    }
    ask(call, m);
}

void weft_handle_topic(struct weft_call *call)
{
    static const char *const known[] = {NULL};
    struct weft_str topic;

    if (weft_query_allow(call, known) && weft_call_topic(call, &topic) &&
        weft_call_may_subscribe(call, topic, "topic")) {
        ask(call, question(WEFT_ASK_TOPIC, topic, 1));
    }
}

/* Names say something, too: who may follow all that begin with the prefix may list them. */
static bool may_list(struct weft_call *call, struct weft_str prefix) WEFT_ON_WORKER
{
    char pattern[WEFT_NAME_MAX + 1];

    memcpy(pattern, prefix.len > 0 ? prefix.p : "", prefix.len);
    pattern[prefix.len] = '*';
    return weft_is_operator(call->worker, call->grant) ||
           weft_call_may_subscribe(call, weft_str(pattern, prefix.len + 1), "prefix");
}

void weft_handle_topics(struct weft_call *call)
{
    static const char *const known[] = {"prefix", "after", "limit", NULL};
    struct weft_str prefix = weft_query_get(call->query, "prefix");
    struct weft_str after = weft_query_get(call->query, "after");
    struct weft_ask_msg *m;
    uint32_t limit;

    if (!weft_query_allow(call, known) || !weft_query_u32(call, "limit", 1, 1000, 100, &limit)) {
        return;
    }
    if (prefix.len > 0 && !weft_topic_valid(prefix)) {
        weft_respond_problem(call->req, 400, "invalid", "prefix",
                             "it must be the beginning of a topic's name");
        return;
    }
    if (!may_list(call, prefix)) {
        return;
    }
    if (after.len > 0 && !weft_topic_valid(after)) {
        weft_respond_problem(call->req, 400, "invalid", "after", "it must be a topic's name");
        return;
    }
    m = question(WEFT_ASK_TOPICS, prefix, limit);
    if (m != NULL && after.len > 0) {
        memcpy(m->after_name, after.p, after.len);
    }
    ask(call, m);
}
