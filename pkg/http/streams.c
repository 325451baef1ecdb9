#include "streams_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <weft/wire/name.h>

/*
 * /api/streams/{stream}: an open stream's topics, token and end, for whoever opened it and for operators, whatever node
 * they come to.
 */

/* ---- names: <node>-<worker>-<slot>-<secret> ---- */

#define SECRET_LEN 16 /* hex digits */

uint64_t weft_stream_secret(void)
{
    uint64_t secret = 0;

    WEFT_ASSERT(getrandom(&secret, sizeof(secret), 0) == (ssize_t)sizeof(secret));
    return secret;
}

void weft_stream_id_print(const struct weft_worker *worker, const struct weft_waiting *w, char *out,
                          size_t size)
{
    (void)snprintf(out, size, "%s-%u-%u-%016llx", worker->o.node_id, (unsigned)worker->o.index,
                   (unsigned)w->ticket.slot, (unsigned long long)w->handle->secret);
}

void weft_stream_id_hide(struct weft_buf *out, struct weft_str id)
{
    weft_buf_append(out, id.p, id.len > SECRET_LEN ? id.len - SECRET_LEN : 0);
    weft_buf_puts(out, "***");
}

/* Cuts the last part of it, behind a `-`. */
static struct weft_str cut_last(struct weft_str *id)
{
    const char *dash = id->len == 0 ? NULL : memrchr(id->p, '-', id->len);
    struct weft_str last = {NULL, 0};

    if (dash != NULL) {
        size_t at = (size_t)(dash - id->p);

        last = weft_str(dash + 1, id->len - at - 1);
        id->len = at;
    }
    return last;
}

static bool parse_id(struct weft_str id, struct weft_stream_ask *ask, struct weft_str *ret_node,
                     uint64_t *ret_worker)
{
    struct weft_str secret = cut_last(&id);
    struct weft_str slot = cut_last(&id);
    struct weft_str worker = cut_last(&id);
    uint64_t n;
    char hex[SECRET_LEN + 1] = "";
    char *end;

    if (secret.len != SECRET_LEN || !weft_str_u64(slot, &n) || n > UINT32_MAX ||
        !weft_str_u64(worker, ret_worker) || *ret_worker >= WEFT_WORKERS_MAX || id.len == 0 ||
        id.len > 64) {
        return false;
    }
    memcpy(hex, secret.p, SECRET_LEN);
    if (strspn(hex, "0123456789abcdef") != SECRET_LEN) {
        return false;
    }
    ask->slot = (uint32_t)n;
    ask->secret = strtoull(hex, &end, 16);
    *ret_node = id;
    return true;
}

/* ---- asking ---- */

static void respond(h2o_req_t *req, const struct weft_answer_msg *m) WEFT_ON_WORKER
{
    struct weft_stream_result r;

    if (m->code != NULL) {
        weft_respond_answer(req, m); /* it did not come so far */
        return;
    }

    if (!weft_stream_result_parse(&r, weft_str(m->body, m->body_len), &req->pool)) {
        weft_respond_problem(req, 503, "unavailable", "", "the stream's node answers nonsense");
    } else if (r.code.len > 0) {
        weft_respond_problem(req, r.status, r.code.p, r.field.p, "%s", r.detail.p);
    } else if (r.body.len > 0) {
        weft_respond_json(req, r.status, r.body);
    } else {
        weft_respond(req, r.status, NULL, weft_str(NULL, 0));
    }
}

/* ask has everything but whose stream it is. */
static void ask_stream(struct weft_call *call, struct weft_stream_ask *ask) WEFT_ON_WORKER
{
    struct weft_request *rq;
    struct weft_str node;
    uint64_t index;
    struct weft_buf b;

    if (!parse_id(call->params[0], ask, &node, &index)) {
        weft_respond_problem(call->req, 404, "not_found", "stream",
                             "that is no name of a stream: weft.open tells it");
        return;
    }
    weft_buf_init(&b, WEFT_STREAMS_TEXT_MAX);
    weft_stream_ask_print(&b, ask);
    if (b.toobig) {
        weft_buf_fini(&b);
        weft_respond_problem(call->req, 413, "too_large", "body", "the request is too long");
        return;
    }
    rq = weft_streams_ask(node, (uint32_t)index, weft_str(b.data, b.len));
    weft_buf_fini(&b);
    weft_ask(call, call->worker->control, &rq->msg, &rq->worker, &rq->ticket, respond);
}

static struct weft_stream_ask ask_of(const struct weft_call *call, enum weft_stream_op op)
{
    return (struct weft_stream_ask){
        .op = op, .caller = call->grant, .operates = weft_is_operator(call->worker, call->grant)};
}

/* ---- handlers ---- */

static const char *const no_query[] = {NULL};

void weft_handle_stream(struct weft_call *call)
{
    struct weft_stream_ask ask = ask_of(call, WEFT_STREAM_LOOK);

    if (weft_query_allow(call, no_query)) {
        ask_stream(call, &ask);
    }
}

void weft_handle_stream_close(struct weft_call *call)
{
    struct weft_stream_ask ask = ask_of(call, WEFT_STREAM_CLOSE);

    if (weft_query_allow(call, no_query)) {
        ask_stream(call, &ask);
    }
}

/* The patterns of an array. Answers 400 and returns false if they are none. */
static bool take_patterns(struct weft_call *call, struct weft_json array, const char *field,
                          struct weft_str **ret, size_t *ret_n) WEFT_ON_WORKER
{
    size_t max = call->worker->o.cfg->http.max_topics; /* a stream has no more */
    struct weft_json_iter it;
    struct weft_str key;
    struct weft_json v;
    size_t n = 0;

    *ret = h2o_mem_alloc_pool(&call->req->pool, max * sizeof(**ret));
    *ret_n = 0;
    if (array.raw.len == 0) {
        return true;
    }
    weft_json_begin(&it, array);
    while (weft_json_next(&it, &key, &v)) {
        char *text;

        if (n == max) {
            weft_respond_problem(call->req, 400, "invalid", field,
                                 "too many topics (http.max_topics)");
            return false;
        }
        text = h2o_mem_alloc_pool(&call->req->pool, v.raw.len + 1);
        if (v.kind == WEFT_JSON_STRING) {
            (*ret)[n] = weft_json_text(v, text);
        }
        if (v.kind != WEFT_JSON_STRING || !weft_pattern_valid((*ret)[n])) {
            weft_respond_problem(
                call->req, 400, "invalid", field,
                "a topic is 1 to 200 of A-Z a-z 0-9 . _ : -, at the end perhaps one *");
            return false;
        }
        n++;
    }
    *ret_n = n;
    return true;
}

struct topics_form {
    struct weft_json add, remove;
};

static const struct weft_member topics_members[] = {
    {.name = "add", .kind = WEFT_MEMBER_ARRAY, .offset = offsetof(struct topics_form, add)},
    {.name = "remove", .kind = WEFT_MEMBER_ARRAY, .offset = offsetof(struct topics_form, remove)},
};

void weft_handle_stream_topics(struct weft_call *call)
{
    struct weft_stream_ask ask = ask_of(call, WEFT_STREAM_TOPICS);
    struct topics_form form = {.add = {.raw = {NULL, 0}}};

    if (!weft_query_allow(call, no_query) ||
        !weft_call_form(call, topics_members, WEFT_COUNT_OF(topics_members), &form, NULL) ||
        !take_patterns(call, form.add, "add", &ask.add, &ask.n_add) ||
        !take_patterns(call, form.remove, "remove", &ask.remove, &ask.n_remove)) {
        return;
    }
    if (ask.n_add + ask.n_remove == 0) {
        weft_respond_problem(call->req, 400, "invalid", "add",
                             "nothing to add and nothing to remove");
        return;
    }
    ask_stream(call, &ask);
}

struct token_form {
    struct weft_str token;
};

static const struct weft_member token_members[] = {
    {.name = "token",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct token_form, token),
     .lo = 1,
     .hi = 16384},
};

/* The new token: in the body, or the request's own. The old one may be over already, and does not matter. */
void weft_handle_stream_token(struct weft_call *call)
{
    struct weft_stream_ask ask = {.op = WEFT_STREAM_TOKEN};
    struct token_form form = {.token = {NULL, 0}};
    struct weft_grant *grant = NULL;
    struct weft_err err;

    if (!weft_query_allow(call, no_query) ||
        !weft_call_form(call, token_members, WEFT_COUNT_OF(token_members), &form, NULL)) {
        return;
    }
    if (form.token.len > 0) {
        if (weft_token_take(call->worker, form.token, &grant, &err) != 0) {
            weft_respond_unauthorized(call->req, err.message);
            return;
        }
    } else if (call->refused != NULL || call->grant == NULL) {
        weft_respond_unauthorized(call->req, call->refused);
        return;
    }
    ask.caller = grant != NULL ? grant : call->grant;
    ask_stream(call, &ask);
    weft_grant_unref(grant);
}
