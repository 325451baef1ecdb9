#include "breakers_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>

/* What workers ask, and the answers as JSON. */

#define BODY_MAX      4096
#define LIST_BODY_MAX ((size_t)64 * 1024 * 1024)

struct request {
    struct weft_request rq;
    const struct weft_feature_env *env; /* once control has it */
    struct weft_breaker_op op;
};

/* ---- JSON ---- */

static void put_member(struct weft_buf *b, const char *name, uint64_t v)
{
    weft_buf_printf(b, ",\"%s\":", name);
    weft_buf_u64(b, v);
}

static void put_word(struct weft_buf *b, const char *name, const char *word)
{
    weft_buf_printf(b, ",\"%s\":\"%s\"", name, word);
}

/* Without the closing brace. */
static void put_view(struct weft_buf *b, const char *name, const struct weft_breaker_view *view)
{
    const struct weft_breaker_config *cfg = &view->cfg;

    weft_buf_puts(b, "{\"name\":");
    weft_buf_json(b, weft_str(name, strlen(name)));
    put_word(b, "state", weft_breaker_state_words[view->state]);
    put_member(b, "since_ms", view->since_ms);
    put_member(b, "retry_after_ms", view->wait_ms);
    put_word(b, "mode", weft_breaker_mode_words[cfg->mode]);
    put_member(b, "failure_threshold", cfg->failure_threshold);
    put_member(b, "failure_rate", cfg->failure_rate);
    put_member(b, "min_calls", cfg->min_calls);
    put_member(b, "success_threshold", cfg->success_threshold);
    put_member(b, "timeout_ms", cfg->timeout_ms);
    put_member(b, "time_window_ms", cfg->time_window_ms);
    put_member(b, "half_open_permits", cfg->half_open_permits);
    put_member(b, "permit_ms", cfg->permit_ms);
    put_member(b, "quorum", cfg->quorum);
    put_word(b, "without_redis", weft_without_words[cfg->without_redis]);
}

static void put_counts(struct weft_buf *b, const struct weft_breaker_result *r)
{
    weft_buf_puts(b, ",\"window\":{\"successes\":");
    weft_buf_u64(b, r->successes);
    put_member(b, "failures", r->failures);
    put_member(b, "nodes_with_failures", r->nodes);
    weft_buf_puts(b, "}");
    put_member(b, "permits_out", r->permits);
    put_member(b, "permits_good", r->good);
    put_member(b, "opened", r->opened);
}

void weft_breaker_print_acquired(struct weft_buf *b, bool allowed, enum weft_breaker_state state,
                                 const char *permit, uint64_t wait_ms)
{
    weft_buf_puts(b, allowed ? "{\"allowed\":true" : "{\"allowed\":false");
    put_word(b, "state", weft_breaker_state_words[state]);
    if (permit[0] == '\0') {
        weft_buf_puts(b, ",\"permit\":null");
    } else {
        put_word(b, "permit", permit);
    }
    put_member(b, "retry_after_ms", wait_ms);
    weft_buf_puts(b, "}");
}

void weft_breaker_print_reported(struct weft_buf *b, bool counted, enum weft_breaker_state state)
{
    weft_buf_puts(b, counted ? "{\"counted\":true" : "{\"counted\":false");
    put_word(b, "state", weft_breaker_state_words[state]);
    weft_buf_puts(b, "}");
}

/* ---- answers ---- */

static void refuse(struct weft_answer_msg *a, enum weft_breaker_rc rc)
{
    if (rc == WEFT_BREAKER_NOT_FOUND) {
        a->status = 404;
        weft_answer_problem(a, "not_found", "name", "there is no such breaker");
    } else if (rc == WEFT_BREAKER_FULL) {
        a->status = 409;
        weft_answer_problem(a, "full", "name",
                            "there are as many breakers as there may be (breaker.max)");
    } else {
        a->status = 503;
        weft_answer_problem(a, "unavailable", "", "Redis is away");
    }
}

static void print_result(struct weft_answer_msg *a, const struct weft_breaker_op *op,
                         const struct weft_breaker_result *r)
{
    char permit[WEFT_PERMIT_MAX_LEN];
    struct weft_buf b;

    weft_buf_init(&b, BODY_MAX);
    switch (op->kind) {
    case WEFT_BREAKER_OP_ACQUIRE:
        (void)weft_permit_print(permit, r->permit);
        weft_breaker_print_acquired(&b, r->yes, r->view.state, permit, r->wait_ms);
        if (!r->yes) {
            weft_answer_header(a, "retry-after", "%llu",
                               (unsigned long long)(r->wait_ms + 999) / 1000);
        }
        break;
    case WEFT_BREAKER_OP_REPORT:
    case WEFT_BREAKER_OP_SETTLE:
    case WEFT_BREAKER_OP_GIVE_BACK:
        weft_breaker_print_reported(&b, r->yes, r->view.state);
        break;
    case WEFT_BREAKER_OP_CONFIGURE:
    case WEFT_BREAKER_OP_FORCE:
    case WEFT_BREAKER_OP_READ:
        put_view(&b, op->name, &r->view);
        if (op->kind == WEFT_BREAKER_OP_READ) {
            put_counts(&b, r);
        }
        weft_buf_puts(&b, "}");
        break;
    case WEFT_BREAKER_OP_REMOVE:
        a->status = 204;
        return;
    }
    if (op->kind == WEFT_BREAKER_OP_CONFIGURE && r->yes) {
        a->status = 201;
    }
    WEFT_ASSERT(!b.toobig);
    weft_answer_body(a, &b);
}

static void done(struct weft_breaker_op *op, const struct weft_breaker_result *r)
{
    struct request *m = WEFT_CONTAINER_OF(op, struct request, op);
    struct weft_answer_msg *a = weft_answer_to(&m->rq, 200);

    weft_role_assert_control(pthread_self());
    if (op->kind == WEFT_BREAKER_OP_ACQUIRE && r->rc == WEFT_BREAKER_DONE) {
        weft_count(m->env->shard, r->yes ? WEFT_M_BREAKER_ALLOWED : WEFT_M_BREAKER_DENIED, 1);
    }
    if (r->rc != WEFT_BREAKER_DONE) {
        refuse(a, r->rc);
    } else {
        print_result(a, op, r);
    }
    weft_feature_answer(m->env, &m->rq, a);
    free(m);
}

/* ---- requests ---- */

static struct request *request_of(struct weft_msg *msg)
{
    return WEFT_CONTAINER_OF(WEFT_CONTAINER_OF(msg, struct weft_request, msg), struct request, rq);
}

static void drop_request(struct weft_msg *msg)
{
    free(request_of(msg));
}

static void deliver_ask(struct weft_msg *msg, void *owner)
{
    struct weft_breakers *brs = weft_part(owner, WEFT_PART_BREAKERS);
    struct request *m = request_of(msg);

    weft_role_assert_control(brs->owner);
    m->env = brs->env;
    m->op.done = done;
    weft_breakers_do(brs, &m->op);
}

static void told(struct weft_breaker_op *op, const struct weft_breaker_result *r)
{
    (void)r;
    free(WEFT_CONTAINER_OF(op, struct request, op));
}

static void deliver_results(struct weft_msg *msg, void *owner)
{
    struct weft_breakers *brs = weft_part(owner, WEFT_PART_BREAKERS);
    struct request *m = request_of(msg);

    weft_role_assert_control(brs->owner);
    m->op.done = told;
    weft_breakers_do(brs, &m->op);
}

static int by_name(struct weft_breaker_entry *a, struct weft_breaker_entry *b)
{
    return strcmp(a->name, b->name);
}

static void deliver_list(struct weft_msg *msg, void *owner)
{
    struct weft_breakers *brs = weft_part(owner, WEFT_PART_BREAKERS);
    struct request *m = request_of(msg);
    struct weft_answer_msg *a = weft_answer_to(&m->rq, 200);
    uint64_t now_ms = weft_clock_mono_ms();
    struct weft_buf b;

    weft_role_assert_control(brs->owner);
    weft_buf_init(&b, LIST_BODY_MAX);
    weft_buf_puts(&b, "{\"breakers\":[");
    HASH_SORT(brs->entries, by_name);
    for (struct weft_breaker_entry *e = brs->entries; e != NULL; e = e->hh.next) {
        struct weft_breaker_view view = e->view;
        uint64_t gone_ms = now_ms - e->heard_ms;

        view.wait_ms = view.wait_ms > gone_ms ? view.wait_ms - gone_ms : 0;
        if (e != brs->entries) {
            weft_buf_puts(&b, ",");
        }
        put_view(&b, e->name, &view);
        weft_buf_puts(&b, "}");
    }
    weft_buf_puts(&b, brs->up ? "],\"redis\":true}" : "],\"redis\":false}");
    if (b.toobig) {
        weft_buf_fini(&b);
        a->status = 503;
        weft_answer_problem(a, "busy", "", "the list is too long");
    } else {
        weft_answer_body(a, &b);
    }
    weft_feature_answer(brs->env, &m->rq, a);
    free(m);
}

static struct request *create(const struct weft_msg_ops *ops)
{
    struct request *m = calloc(1, sizeof(*m));

    WEFT_ASSERT(m != NULL);
    m->rq.msg.ops = ops;
    return m;
}

struct weft_request *weft_breakers_ask(const struct weft_breaker_op *op)
{
    static const struct weft_msg_ops ops = {"breaker ask", deliver_ask, drop_request};
    struct request *m = create(&ops);

    m->op = *op;
    return &m->rq;
}

struct weft_request *weft_breakers_ask_list(void)
{
    static const struct weft_msg_ops ops = {"breaker list", deliver_list, drop_request};

    return &create(&ops)->rq;
}

struct weft_request *weft_breakers_tell_results(struct weft_str name, uint64_t epoch,
                                                uint64_t successes)
{
    static const struct weft_msg_ops ops = {"breaker results", deliver_results, drop_request};
    struct request *m = create(&ops);

    m->op.kind = WEFT_BREAKER_OP_REPORT;
    m->op.epoch = epoch;
    m->op.successes = successes;
    WEFT_ASSERT(name.len <= WEFT_NAME_MAX);
    memcpy(m->op.name, name.p, name.len);
    return &m->rq;
}
