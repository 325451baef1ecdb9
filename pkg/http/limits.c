#include "worker_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/guard/buckets.h>
#include <weft/guard/stocks.h>

/*
 * Buckets over HTTP. A take of one bucket is answered from the worker's stock if it can, else by control; a
 * check is a take whose answer is its status, for proxies that ask before they let a request pass.
 */

struct take_wait {
    struct weft_waiting waiting;
    struct weft_worker *worker;
    h2o_req_t *req;
    bool several;
    int refused_status; /* of an answer that says no */
    size_t n;
    struct weft_str names[]; /* in the request's pool */
};

/* ---- what a bucket is called, and what it can be set to ---- */

/* The path's bucket; answers 400 and returns false if it cannot be one. */
static bool bucket_of(struct weft_call *call, bool own_too, struct weft_str *ret_name)
    WEFT_ON_WORKER
{
    struct weft_str name = call->params[0];

    if (!weft_topic_valid(name)) {
        weft_respond_problem(call->req, 400, "invalid", "bucket",
                             "a bucket is 1 to 200 of A-Z a-z 0-9 . _ : -");
        return false;
    }
    if (!own_too && weft_type_reserved(name)) {
        weft_respond_problem(call->req, 400, "invalid", "bucket",
                             "buckets that begin with weft. are the nodes' own");
        return false;
    }
    *ret_name = name;
    return true;
}

struct bucket_form {
    uint64_t capacity;
    double refill_per_s;
    unsigned mode, without_redis;
    bool dry_run;
};

static const char *const modes[] = {"exact", "leased", NULL};

static const struct weft_member bucket_members[] = {
    {.name = "capacity",
     .kind = WEFT_MEMBER_U64,
     .offset = offsetof(struct bucket_form, capacity),
     .lo = 1,
     .hi = (double)WEFT_BUCKET_CAPACITY_MAX,
     .required = true},
    {.name = "refill_per_s",
     .kind = WEFT_MEMBER_NUMBER,
     .offset = offsetof(struct bucket_form, refill_per_s),
     .lo = 0.001,
     .hi = (double)WEFT_BUCKET_RATE_MAX / 1000,
     .required = true},
    {.name = "mode",
     .kind = WEFT_MEMBER_CHOICE,
     .offset = offsetof(struct bucket_form, mode),
     .choices = modes},
    {.name = "dry_run", .kind = WEFT_MEMBER_BOOL, .offset = offsetof(struct bucket_form, dry_run)},
    {.name = "without_redis",
     .kind = WEFT_MEMBER_CHOICE,
     .offset = offsetof(struct bucket_form, without_redis),
     .choices = weft_without_words},
};

void weft_handle_limits_set(struct weft_call *call)
{
    struct bucket_form form = {.without_redis = WEFT_WITHOUT_OPEN};
    struct weft_bucket_conf conf;
    struct weft_str name;
    double rate;

    if (!bucket_of(call, false, &name) ||
        !weft_call_form(call, bucket_members, WEFT_COUNT_OF(bucket_members), &form, NULL)) {
        return;
    }
    rate = form.refill_per_s * 1000;
    if (fabs(rate - round(rate)) > 1e-12 * rate + 1e-9) {
        weft_respond_problem(call->req, 400, "invalid", "refill_per_s",
                             "it must have at most three decimals");
        return;
    }
    conf = (struct weft_bucket_conf){.capacity = (int64_t)form.capacity,
                                     .rate = (int64_t)round(rate),
                                     .leased = form.mode == 1,
                                     .dry_run = form.dry_run,
                                     .without_redis = (enum weft_without)form.without_redis};
    weft_control_ask(call, weft_buckets_ask_set(name, &conf));
}

void weft_handle_limits_look(struct weft_call *call)
{
    struct weft_str name;

    /* Those of addresses and subjects tell who is active. */
    if (bucket_of(call, true, &name) &&
        (!weft_str_starts(name, "weft.") || weft_call_permitted(call, WEFT_RIGHT_OPERATE))) {
        weft_control_ask(call, weft_buckets_ask_look(name));
    }
}

void weft_handle_limits_delete(struct weft_call *call)
{
    struct weft_str name;

    if (bucket_of(call, true, &name)) {
        weft_control_ask(call, weft_buckets_ask_delete(name));
    }
}

void weft_handle_limits_list(struct weft_call *call)
{
    static const char *const known[] = {"after", "limit", NULL};
    struct weft_str after = weft_query_get(call->query, "after");
    uint32_t limit;

    if (!weft_query_allow(call, known) || !weft_query_u32(call, "limit", 1, 1000, 100, &limit)) {
        return;
    }
    if (after.len > 0 && !weft_topic_valid(after)) {
        weft_respond_problem(call->req, 400, "invalid", "after", "it must be a bucket's name");
        return;
    }
    weft_control_ask(call, weft_buckets_ask_list(after, limit));
}

/* ---- answers ---- */

static void add_header(h2o_req_t *req, const char *name, const struct weft_buf *value)
{
    h2o_iovec_t copy = h2o_strdup(&req->pool, value->data, value->len);

    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, copy.base,
                          copy.len);
}

static uint64_t seconds(int64_t ms)
{
    return (uint64_t)(ms + 999) / 1000;
}

void weft_limit_headers(h2o_req_t *req, struct weft_str name, const struct weft_bucket_told *told,
                        bool refused)
{
    struct weft_buf b;

    weft_buf_init(&b, 1024);
    if (told->conf.capacity > 0 && told->conf.rate > 0 && told->stands != WEFT_STANDS_MISSING) {
        const char *quota[] = {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"};
        uint64_t values[] = {(uint64_t)told->conf.capacity, (uint64_t)told->remaining,
                             seconds(told->reset_ms)};

        weft_buf_printf(&b, "\"%.*s\";q=%" PRIu64 ";w=%" PRId64, (int)name.len, name.p, values[0],
                        (told->conf.capacity * 1000 + told->conf.rate - 1) / told->conf.rate);
        add_header(req, "ratelimit-policy", &b);
        weft_buf_clear(&b);
        weft_buf_printf(&b, "\"%.*s\";r=%" PRIu64 ";t=%" PRIu64, (int)name.len, name.p, values[1],
                        values[2]);
        add_header(req, "ratelimit", &b);
        for (size_t i = 0; i < WEFT_COUNT_OF(quota); i++) {
            weft_buf_clear(&b);
            weft_buf_u64(&b, values[i]);
            add_header(req, quota[i], &b);
        }
    }
    if (refused) {
        weft_buf_clear(&b);
        weft_buf_u64(&b, told->retry_ms > 1000 ? seconds(told->retry_ms) : 1);
        add_header(req, "retry-after", &b);
    }
    weft_buf_fini(&b);
}

static void print_told(struct weft_buf *b, const struct weft_bucket_told *told)
{
    weft_buf_printf(b, "\"remaining\":%" PRId64 ",\"retry_after_ms\":%" PRId64, told->remaining,
                    told->retry_ms);
    if (told->conf.capacity > 0) {
        weft_buf_printf(b, ",\"limit\":%" PRId64 ",\"reset_ms\":%" PRId64, told->conf.capacity,
                        told->reset_ms);
    }
    if (told->stands == WEFT_STANDS_DRY) {
        weft_buf_puts(b, ",\"would_refuse\":true");
    }
}

static void respond_one(h2o_req_t *req, struct weft_str name, bool taken, enum weft_decided by,
                        const struct weft_bucket_told *told, int refused_status) WEFT_ON_WORKER
{
    struct weft_buf *b = &weft_worker_of(req)->scratch;

    weft_limit_headers(req, name, told, !taken);
    weft_buf_printf(b, "{\"allowed\":%s,", taken ? "true" : "false");
    print_told(b, told);
    weft_buf_printf(b, ",\"by\":\"%s\"}", weft_decided_words[by]);
    weft_respond_json(req, taken ? 200 : refused_status, weft_str(b->data, b->len));
    weft_buf_clear(b);
}

static void respond_several(const struct take_wait *w, h2o_req_t *req,
                            const struct weft_taken_msg *m) WEFT_ON_WORKER
{
    struct weft_buf *b = &w->worker->scratch;
    struct weft_bucket_told longest = {.stands = WEFT_STANDS_MISSING};

    for (size_t i = 0; i < m->n; i++) {
        if (m->told[i].stands == WEFT_STANDS_SHORT && m->told[i].retry_ms > longest.retry_ms) {
            longest.retry_ms = m->told[i].retry_ms;
        }
    }
    weft_limit_headers(req, w->names[0], &longest, !m->taken);
    weft_buf_printf(b, "{\"allowed\":%s,\"retry_after_ms\":%" PRId64 ",\"by\":\"%s\",\"buckets\":[",
                    m->taken ? "true" : "false", m->taken ? 0 : longest.retry_ms,
                    weft_decided_words[m->by]);
    for (size_t i = 0; i < m->n; i++) {
        weft_buf_puts(b, i == 0 ? "{\"bucket\":" : ",{\"bucket\":");
        weft_buf_json(b, w->names[i]);
        weft_buf_printf(b, ",\"enough\":%s,",
                        m->told[i].stands == WEFT_STANDS_ENOUGH ? "true" : "false");
        print_told(b, &m->told[i]);
        weft_buf_puts(b, "}");
    }
    weft_buf_puts(b, "]}");
    weft_respond_json(req, 200, weft_str(b->data, b->len));
    weft_buf_clear(b);
}

/* Answers, if the take can never be granted. */
static bool is_mistake(h2o_req_t *req, struct weft_str name, const struct weft_bucket_told *told)
    WEFT_ON_WORKER
{
    if (told->stands == WEFT_STANDS_MISSING) {
        weft_respond_problem(req, 404, "not_found", "bucket", "there is no bucket %.*s",
                             (int)name.len, name.p);
    } else if (told->stands == WEFT_STANDS_BROKEN) {
        weft_respond_problem(req, 409, "conflict", "bucket",
                             "what Redis holds under %.*s is no bucket", (int)name.len, name.p);
    } else if (told->stands == WEFT_STANDS_NEVER) {
        weft_respond_problem(req, 400, "invalid", "tokens",
                             "bucket %.*s never holds more than %" PRId64, (int)name.len, name.p,
                             told->conf.capacity);
    } else {
        return false;
    }
    return true;
}

static void taken(struct weft_waiting *waiting, struct weft_answer_msg *answer)
{
    struct take_wait *w = WEFT_CONTAINER_OF(waiting, struct take_wait, waiting);
    const struct weft_taken_msg *m = WEFT_CONTAINER_OF(answer, struct weft_taken_msg, answer);
    h2o_req_t *req = w->req;
    bool mistake = false;

    weft_role_assert_worker(w->worker->owner);
    weft_ticket_free(w->worker, &w->waiting);
    weft_unwatch(req);
    for (size_t i = 0; i < m->n && !m->taken && !mistake; i++) {
        mistake = is_mistake(req, w->names[i], &m->told[i]);
    }
    if (mistake) {
        /* answered */
    } else if (w->several) {
        respond_several(w, req, m);
    } else {
        if (m->by == WEFT_DECIDED_REDIS) {
            weft_stocks_seen(w->worker->stocks, w->names[0], &m->told[0], false, w->worker->now_ms);
        }
        respond_one(req, w->names[0], m->taken, m->by, &m->told[0], w->refused_status);
    }
    free(w);
}

/* ---- takes ---- */

bool weft_take_post(struct weft_worker *worker, struct weft_waiting *waiting,
                    struct weft_take_msg *m)
{
    struct weft_msg *msg = &m->rq.msg;

    weft_ticket_take(worker, waiting);
    m->rq.worker = worker->o.index;
    m->rq.ticket = waiting->ticket;
    if (weft_mailbox_post(worker->control, &msg) != 0) {
        weft_count(worker->o.shard, WEFT_M_MAILBOX_FULL, 1);
        msg->ops->drop(msg);
        weft_ticket_free(worker, waiting);
        return false;
    }
    return true;
}

/* Takes m. */
static void take_ask(struct weft_call *call, struct weft_take_msg *m, bool several,
                     int refused_status) WEFT_ON_WORKER
{
    struct take_wait *w = calloc(1, sizeof(*w) + m->n * sizeof(w->names[0]));

    WEFT_ASSERT(w != NULL);
    w->worker = call->worker;
    w->req = call->req;
    w->several = several;
    w->refused_status = refused_status;
    w->waiting.answer = taken;
    w->n = m->n;
    for (size_t i = 0; i < m->n; i++) {
        h2o_iovec_t copy = h2o_strdup(&call->req->pool, m->items[i].name, SIZE_MAX);

        w->names[i] = weft_str_of(copy);
    }
    if (!weft_take_post(call->worker, &w->waiting, m)) {
        free(w);
        weft_respond_problem(call->req, 503, "busy", "", "too much is being asked at the moment");
        return;
    }
    weft_watch(call->req, NULL);
}

static void take_one(struct weft_call *call, struct weft_str name, int64_t tokens,
                     int refused_status) WEFT_ON_WORKER
{
    struct weft_worker *worker = call->worker;
    struct weft_bucket_told told;
    struct weft_take_msg *m;
    enum weft_stocks_take how =
        weft_stocks_take(worker->stocks, name, tokens, worker->now_ms, &told);

    if (how != WEFT_STOCKS_ASK) {
        respond_one(call->req, name, how == WEFT_STOCKS_TAKEN, WEFT_DECIDED_LEASE, &told,
                    refused_status);
        return;
    }
    m = weft_take_create(1);
    memcpy(m->items[0].name, name.p, name.len);
    m->items[0].tokens = tokens;
    take_ask(call, m, false, refused_status);
}

struct take_form {
    uint64_t tokens;
    struct weft_str bucket;
};

static const struct weft_member take_members[] = {
    {.name = "tokens",
     .kind = WEFT_MEMBER_U64,
     .offset = offsetof(struct take_form, tokens),
     .lo = 1,
     .hi = (double)WEFT_BUCKET_CAPACITY_MAX},
    {.name = "bucket",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct take_form, bucket),
     .lo = 1,
     .hi = WEFT_NAME_MAX,
     .required = true},
};

void weft_handle_limits_take(struct weft_call *call)
{
    struct take_form form = {.tokens = 1};
    struct weft_str name;

    if (bucket_of(call, false, &name) && weft_call_form(call, take_members, 1, &form, NULL)) {
        take_one(call, name, (int64_t)form.tokens, 200);
    }
}

void weft_handle_limits_check(struct weft_call *call)
{
    static const char *const known[] = {"tokens", "refused", NULL};
    struct weft_str name;
    uint32_t tokens;
    uint32_t refused;

    if (!bucket_of(call, false, &name) || !weft_query_allow(call, known) ||
        !weft_query_u32(call, "tokens", 1, (uint32_t)WEFT_BUCKET_CAPACITY_MAX, 1, &tokens) ||
        !weft_query_u32(call, "refused", 400, 599, 429, &refused)) {
        return;
    }
    take_one(call, name, tokens, (int)refused);
}

/* Elements of `take`; 400 names the one that is wrong. */
static struct weft_take_msg *read_several(struct weft_call *call, struct weft_json list)
    WEFT_ON_WORKER
{
    struct weft_take_msg *m = weft_take_create(WEFT_BUCKETS_MAX);
    struct weft_json_iter it;
    struct weft_json element;
    struct weft_str key;
    struct weft_err err;
    size_t n = 0;

    weft_json_begin(&it, list);
    while (weft_json_next(&it, &key, &element)) {
        struct take_form form = {.tokens = 1};
        char field[64];
        const char *why = NULL;
        int rc = 0;

        if (n == WEFT_BUCKETS_MAX) {
            why = "it has too many buckets";
        } else {
            rc = weft_form_read_value(take_members, 2, element, &call->worker->form, &form, NULL,
                                      &err);
        }
        if (rc == 0 && why == NULL) {
            if (!weft_topic_valid(form.bucket) || weft_type_reserved(form.bucket)) {
                why = "this cannot be taken from";
            }
            for (size_t i = 0; i < n && why == NULL; i++) {
                if (weft_str_eq(form.bucket,
                                weft_str(m->items[i].name, strlen(m->items[i].name)))) {
                    why = "it is there twice";
                }
            }
            (void)snprintf(err.field, sizeof(err.field), "bucket");
        }
        if (rc != 0 || why != NULL) {
            (void)snprintf(field, sizeof(field), n == WEFT_BUCKETS_MAX ? "take" : "take[%zu].%.40s",
                           n, err.field);
            weft_respond_problem(call->req, 400, "invalid", field, "%s",
                                 why != NULL ? why : err.message);
            m->rq.msg.ops->drop(&m->rq.msg);
            return NULL;
        }
        memcpy(m->items[n].name, form.bucket.p, form.bucket.len);
        m->items[n++].tokens = (int64_t)form.tokens;
    }
    m->n = n;
    if (n == 0) {
        weft_respond_problem(call->req, 400, "invalid", "take", "it must name a bucket at least");
        m->rq.msg.ops->drop(&m->rq.msg);
        return NULL;
    }
    return m;
}

void weft_handle_limits_take_several(struct weft_call *call)
{
    static const struct weft_member members[] = {
        {.name = "take", .kind = WEFT_MEMBER_ARRAY, .offset = 0, .required = true},
    };
    struct weft_json list;
    struct weft_take_msg *m;

    if (!weft_call_form(call, members, 1, &list, NULL)) {
        return;
    }
    m = read_several(call, list);
    if (m != NULL) {
        take_ask(call, m, true, 200);
    }
}
