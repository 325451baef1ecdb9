#include "streams_priv.h"
#include "ws_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/form.h>
#include <weft/wire/json.h>

/*
 * What a client asks for: one JSON object, whose `op` says which table its members are held against. Everything is
 * answered, with the request's name if it has one.
 */

#define OP                                                \
    {                                                     \
        .name = "op", .kind = WEFT_MEMBER_TEXT, .hi = 64, \
    }
#define REQUEST(type)                                                                   \
    {                                                                                   \
        .name = "request", .kind = WEFT_MEMBER_TEXT, .offset = offsetof(type, request), \
        .hi = WEFT_WS_NAME_MAX,                                                         \
    }

/* Reads the members; if they are wrong, answers and returns false. */
static bool read_form(struct weft_ws_op *op, const struct weft_member *members, size_t n, void *out)
    WEFT_ON_WORKER
{
    struct weft_err err = {0};

    if (weft_form_read_value(members, n, op->object, &op->ws->worker->form, out, NULL, &err) != 0) {
        weft_ws_refuse(op, "invalid", err.field, "%s", err.message);
        return false;
    }
    return true;
}

static void answer_ok(struct weft_ws_op *op, struct weft_str subscription) WEFT_ON_WORKER
{
    struct weft_buf *b = weft_ws_answer(op->ws, "weft.ok", op->request);

    weft_buf_puts(b, ",\"subscription\":");
    weft_buf_json(b, subscription);
    weft_ws_answer_end(op->ws);
}

/* ---- subscribe ---- */

struct subscribe_form {
    struct weft_str op, request, subscription, cursor, since, slow;
    struct weft_json topics, types;
};

static const struct weft_member subscribe_members[] = {
    OP,
    REQUEST(struct subscribe_form),
    {.name = "subscription",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct subscribe_form, subscription),
     .hi = WEFT_WS_NAME_MAX},
    {.name = "topics",
     .kind = WEFT_MEMBER_ARRAY,
     .offset = offsetof(struct subscribe_form, topics),
     .required = true},
    {.name = "types", .kind = WEFT_MEMBER_ARRAY, .offset = offsetof(struct subscribe_form, types)},
    {.name = "cursor",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct subscribe_form, cursor),
     .hi = WEFT_NAME_MAX},
    {.name = "since",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct subscribe_form, since),
     .hi = WEFT_NAME_MAX},
    {.name = "slow",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct subscribe_form, slow),
     .hi = WEFT_NAME_MAX},
};

/* Room for what a subscription may name, while it is made. */
struct room {
    struct weft_str types[WEFT_GLOBS_MAX];
    struct weft_str topics[];
};

static struct room *room_create(const struct weft_worker *worker)
{
    struct room *room =
        malloc(sizeof(*room) + worker->o.cfg->http.max_topics * sizeof(room->topics[0]));

    WEFT_ASSERT(room != NULL);
    return room;
}

/* The text of an element, decoded behind what is in the form's buffer: there is room for all of them. */
static bool element(struct weft_buf *form, struct weft_json v, const char *field,
                    struct weft_str *ret_text, struct weft_err *err)
{
    char *at;

    if (v.kind != WEFT_JSON_STRING) {
        (void)weft_err_set(err, WEFT_EINVAL, field, "it must be an array of strings");
        return false;
    }
    at = weft_buf_reserve(form, v.raw.len);
    WEFT_ASSERT(at != NULL);
    *ret_text = weft_json_text(v, at);
    form->len += ret_text->len;
    return true;
}

static bool take_topics(struct weft_worker *worker, struct weft_json list, const char *field,
                        struct room *room, struct weft_sub_opts *opts, struct weft_err *err)
    WEFT_ON_WORKER
{
    struct weft_json_iter it;
    struct weft_json v;
    struct weft_str text;

    weft_json_begin(&it, list);
    while (weft_json_next(&it, NULL, &v)) {
        if (!element(&worker->form, v, field, &text, err) ||
            weft_take_topic(opts, room->topics, worker->o.cfg->http.max_topics, text, field, err) !=
                0) {
            return false;
        }
    }
    if (opts->n_topics == 0) {
        (void)weft_err_set(err, WEFT_EINVAL, field, "at least one topic is needed");
        return false;
    }
    return true;
}

static bool take_types(struct weft_worker *worker, struct weft_json list, struct room *room,
                       struct weft_sub_opts *opts, struct weft_err *err) WEFT_ON_WORKER
{
    struct weft_json_iter it;
    struct weft_json v;
    struct weft_str text;

    weft_json_begin(&it, list);
    while (weft_json_next(&it, NULL, &v)) {
        if (!element(&worker->form, v, "types", &text, err) ||
            weft_take_type(opts, room->types, text, err) != 0) {
            return false;
        }
    }
    return true;
}

static bool take_opts(struct weft_worker *worker, const struct subscribe_form *form,
                      struct room *room, struct weft_sub_opts *opts, struct weft_err *err)
    WEFT_ON_WORKER
{
    opts->from = WEFT_FROM_NOW;
    return take_topics(worker, form->topics, "topics", room, opts, err) &&
           (form->types.raw.p == NULL || take_types(worker, form->types, room, opts, err)) &&
           (form->since.len == 0 || weft_take_since(opts, form->since, err) == 0) &&
           (form->cursor.len == 0 || weft_take_cursor(opts, form->cursor, "cursor", err) == 0) &&
           weft_take_slow(worker->o.cfg, form->slow, opts, err) == 0;
}

/* It may be named so. If not, answers and returns false. */
static bool name_is_good(struct weft_ws_op *op, struct weft_str name) WEFT_ON_WORKER
{
    if (name.len > 0 && !weft_topic_valid(name)) {
        weft_ws_refuse(op, "invalid", "subscription", "it must be 1 to 64 of A-Z a-z 0-9 . _ : -");
        return false;
    }
    return true;
}

/* If there is none of this name, answers and returns NULL. */
static struct weft_ws_sub *find_sub(struct weft_ws_op *op, struct weft_str name) WEFT_ON_WORKER
{
    struct weft_ws_sub *sub = NULL;

    if (name_is_good(op, name)) {
        sub = weft_ws_sub_find(op->ws, name);
        if (sub == NULL) {
            weft_ws_refuse(op, "not_found", "subscription", "there is none of this name");
        }
    }
    return sub;
}

static bool may_have_another(struct weft_ws_op *op, struct weft_str name) WEFT_ON_WORKER
{
    uint32_t max = op->ws->worker->o.cfg->ws.max_subscriptions;

    if (op->ws->moving != NULL) {
        weft_ws_refuse(op, "unavailable", "",
                       "the node sends its clients elsewhere: connect again");
    } else if (weft_ws_sub_find(op->ws, name) != NULL) {
        weft_ws_refuse(op, "conflict", "subscription", "there is one of this name");
    } else if (op->ws->n_subs >= max) {
        weft_ws_refuse(op, "limited", "subscription", "at most %u subscriptions on one socket",
                       max);
    } else {
        return true;
    }
    return false;
}

static void subscribe_with(struct weft_ws_op *op, const struct subscribe_form *form,
                           struct room *room) WEFT_ON_WORKER
{
    struct weft_sub_opts opts = {.n_topics = 0};
    struct weft_err err = {0};

    if (!take_opts(op->ws->worker, form, room, &opts, &err)) {
        weft_ws_refuse(op, "invalid", err.field, "%s", err.message);
        return;
    }
    for (size_t i = 0; i < opts.n_topics; i++) {
        if (!weft_ws_may_subscribe(op, opts.topics[i])) {
            return;
        }
    }
    if (!may_have_another(op, form->subscription)) {
        return;
    }
    if (weft_ws_sub_begin(op->ws, form->subscription, &opts) != 0) {
        weft_ws_refuse(op, "busy", "", "out of memory");
        return;
    }
    answer_ok(op, form->subscription);
}

static void subscribe(struct weft_ws_op *op) WEFT_ON_WORKER
{
    struct subscribe_form form = {.subscription = WEFT_STR("")};
    struct room *room;

    if (!read_form(op, subscribe_members, WEFT_COUNT_OF(subscribe_members), &form) ||
        !name_is_good(op, form.subscription)) {
        return;
    }
    room = room_create(op->ws->worker);
    subscribe_with(op, &form, room);
    free(room);
}

/* ---- unsubscribe ---- */

struct unsubscribe_form {
    struct weft_str op, request, subscription;
};

static const struct weft_member unsubscribe_members[] = {
    OP,
    REQUEST(struct unsubscribe_form),
    {.name = "subscription",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct unsubscribe_form, subscription),
     .hi = WEFT_WS_NAME_MAX},
};

static void unsubscribe(struct weft_ws_op *op) WEFT_ON_WORKER
{
    struct unsubscribe_form form = {.subscription = WEFT_STR("")};
    struct weft_ws_sub *sub;

    if (!read_form(op, unsubscribe_members, WEFT_COUNT_OF(unsubscribe_members), &form)) {
        return;
    }
    sub = find_sub(op, form.subscription);
    if (sub == NULL) {
        return;
    }
    weft_ws_sub_end(sub);
    answer_ok(op, form.subscription);
}

/* ---- topics ---- */

struct topics_form {
    struct weft_str op, request, subscription;
    struct weft_json add, remove;
};

static const struct weft_member topics_members[] = {
    OP,
    REQUEST(struct topics_form),
    {.name = "subscription",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct topics_form, subscription),
     .hi = WEFT_WS_NAME_MAX},
    {.name = "add", .kind = WEFT_MEMBER_ARRAY, .offset = offsetof(struct topics_form, add)},
    {.name = "remove", .kind = WEFT_MEMBER_ARRAY, .offset = offsetof(struct topics_form, remove)},
};

/* As POST /api/streams/{stream}/topics. */
static void change_topics(struct weft_ws_op *op, struct weft_ws_sub *sub,
                          const struct weft_stream_ask *ask) WEFT_ON_WORKER
{
    struct weft_stream_result result = {.status = 200};
    struct weft_ws *ws = op->ws;
    struct weft_buf body;

    weft_buf_init(&body, ws->worker->what.max / 2); /* it becomes a part of the answer */
    if (!weft_receiver_retopic(&sub->rx, ws->standing.grant, ask, &result, &body)) {
        weft_ws_sub_end(sub);
    }
    if (result.code.len > 0) {
        weft_ws_refuse(op, result.code.p, result.field.p, "%s", result.detail.p);
    } else {
        struct weft_buf *b = weft_ws_answer(ws, "weft.ok", op->request);

        weft_buf_puts(b, ",");
        weft_buf_append(b, body.data + 1, body.len - 2); /* its members */
        weft_ws_answer_end(ws);
    }
    weft_buf_fini(&body);
}

static void topics_with(struct weft_ws_op *op, const struct topics_form *form,
                        struct weft_ws_sub *sub, struct room *add, struct room *remove)
    WEFT_ON_WORKER
{
    struct weft_sub_opts adds = {.n_topics = 0};
    struct weft_sub_opts removes = {.n_topics = 0};
    struct weft_err err = {0};

    if ((form->add.raw.p != NULL &&
         !take_topics(op->ws->worker, form->add, "add", add, &adds, &err)) ||
        (form->remove.raw.p != NULL &&
         !take_topics(op->ws->worker, form->remove, "remove", remove, &removes, &err))) {
        weft_ws_refuse(op, "invalid", err.field, "%s", err.message);
        return;
    }
    struct weft_stream_ask ask = {.op = WEFT_STREAM_TOPICS,
                                  .add = add->topics,
                                  .n_add = adds.n_topics,
                                  .remove = remove->topics,
                                  .n_remove = removes.n_topics};

    change_topics(op, sub, &ask);
}

static void topics(struct weft_ws_op *op) WEFT_ON_WORKER
{
    struct topics_form form = {.subscription = WEFT_STR("")};
    struct weft_ws_sub *sub;
    struct room *add;
    struct room *remove;

    if (!read_form(op, topics_members, WEFT_COUNT_OF(topics_members), &form)) {
        return;
    }
    sub = find_sub(op, form.subscription);
    if (sub == NULL) {
        return;
    }
    if (form.add.raw.p == NULL && form.remove.raw.p == NULL) {
        weft_ws_refuse(op, "invalid", "add", "nothing to add and nothing to remove");
        return;
    }
    add = room_create(op->ws->worker);
    remove = room_create(op->ws->worker);
    topics_with(op, &form, sub, add, remove);
    free(add);
    free(remove);
}

/* ---- auth, ping ---- */

struct auth_form {
    struct weft_str op, request, token;
};

static const struct weft_member auth_members[] = {
    OP,
    REQUEST(struct auth_form),
    {.name = "token",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct auth_form, token),
     .lo = 1,
     .hi = 8192,
     .required = true},
};

static void auth(struct weft_ws_op *op) WEFT_ON_WORKER
{
    struct auth_form form;

    if (read_form(op, auth_members, WEFT_COUNT_OF(auth_members), &form)) {
        weft_ws_auth(op, form.token);
    }
}

struct ping_form {
    struct weft_str op, request;
};

static const struct weft_member ping_members[] = {
    OP,
    REQUEST(struct ping_form),
};

static void ping(struct weft_ws_op *op) WEFT_ON_WORKER
{
    struct ping_form form;

    if (read_form(op, ping_members, WEFT_COUNT_OF(ping_members), &form)) {
        (void)weft_ws_answer(op->ws, "weft.pong", op->request);
        weft_ws_answer_end(op->ws);
    }
}

/* ---- which one ---- */

static const struct {
    const char *name;
    void (*run)(struct weft_ws_op *op);
} ops[] = {
    {"subscribe", subscribe}, {"unsubscribe", unsubscribe},
    {"topics", topics},       {"publish", weft_ws_publish},
    {"auth", auth},           {"ping", ping},
};

/* So that also what is wrong is answered by its name. False: that is what is wrong. */
static bool take_request(struct weft_ws_op *op, char *room) WEFT_ON_WORKER
{
    struct weft_json v;

    if (!weft_json_get(op->object, "request", &v)) {
        return true;
    }
    if (v.kind == WEFT_JSON_STRING && v.raw.len - 2 <= 6 * WEFT_WS_NAME_MAX) {
        struct weft_str text = weft_json_text(v, room);

        if (text.len <= WEFT_WS_NAME_MAX && weft_str_printable(text)) {
            op->request = text;
            return true;
        }
    }
    weft_ws_refuse(op, "invalid", "request",
                   "it must be a string of at most 64 bytes without control characters");
    return false;
}

void weft_ws_do(struct weft_ws *ws, struct weft_str message)
{
    struct weft_ws_op op = {.ws = ws};
    struct weft_buf *form = &ws->worker->form;
    char request[6 * WEFT_WS_NAME_MAX + 2];
    struct weft_err err = {0};
    struct weft_json name;

    weft_buf_clear(form);
    if (weft_json_minify(form, message, WEFT_JSON_MAX_DEPTH, &err) != 0) {
        weft_ws_refuse(&op, "invalid", "message", "%s", err.message);
        return;
    }
    /* Decoded texts come behind it: it must not move then. */
    if (weft_buf_reserve(form, form->len) == NULL) {
        weft_ws_refuse(&op, "too_large", "message", "it is too long");
        return;
    }
    op.object = weft_json_value(weft_str(form->data, form->len));
    if (op.object.kind != WEFT_JSON_OBJECT) {
        weft_ws_refuse(&op, "invalid", "message", "it must be a JSON object");
        return;
    }
    if (!take_request(&op, request)) {
        return;
    }
    if (!weft_json_get(op.object, "op", &name)) {
        weft_ws_refuse(&op, "invalid", "op", "it is missing");
        return;
    }
    for (size_t i = 0; i < WEFT_COUNT_OF(ops); i++) {
        size_t len = strlen(ops[i].name);

        if (name.raw.len == len + 2 && memcmp(name.raw.p + 1, ops[i].name, len) == 0 &&
            name.kind == WEFT_JSON_STRING) {
            ops[i].run(&op);
            return;
        }
    }
    weft_ws_refuse(&op, "invalid", "op",
                   "it must be one of: subscribe, unsubscribe, topics, publish, auth, ping");
}
