#include "breakers_priv.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>

/*
 * Operations as commands. A call carries one operation, or all results of one breaker that came while the
 * call before was under way: so the number of calls does not grow with the number of failures.
 */

#define ARGS_MAX 12 /* behind the channel and the name */
#define FULL_MS  5

struct weft_breaker_call {
    struct weft_breakers *brs;
    struct weft_breaker_call *prev, *next;
    struct weft_breaker_op *ops; /* NULL: answered without Redis meanwhile */
    enum weft_breaker_op_kind kind;
    uint64_t epoch, successes, failures;
    uint64_t sent_ms;
    bool again; /* functions had to be loaded first */
    char name[WEFT_NAME_MAX + 1];
};

bool weft_breaker_fcall(struct weft_breakers *brs, const char *function, struct weft_str name,
                        bool all_keys, size_t n, const struct weft_str *args,
                        weft_redis_replied *replied, void *ctx)
{
    static const char *const suffixes[] = {"", ":window", ":nodes", ":permits"};
    size_t n_keys = all_keys ? WEFT_COUNT_OF(suffixes) : 1;
    struct weft_str argv[9 + ARGS_MAX];
    size_t ends[WEFT_COUNT_OF(suffixes) + 1];
    struct weft_buf keys;
    size_t argc = 0;
    size_t at = 0;
    bool sent;

    if (brs->env->cn == NULL) {
        return false;
    }
    WEFT_ASSERT(n <= ARGS_MAX);
    weft_buf_init(&keys, 4096);
    for (size_t i = 0; i < n_keys; i++) {
        weft_key_breaker(&keys, brs->env->keys, name, suffixes[i]);
        ends[i] = keys.len;
    }
    weft_chan_breakers(&keys, brs->env->keys);
    ends[n_keys] = keys.len;
    WEFT_ASSERT(!keys.toobig);
    argv[argc++] = WEFT_STR("FCALL");
    argv[argc++] = weft_str(function, strlen(function));
    argv[argc++] = all_keys ? WEFT_STR("4") : WEFT_STR("1");
    for (size_t i = 0; i <= n_keys; i++) {
        argv[argc++] = weft_str(keys.data + at, ends[i] - at);
        at = ends[i];
    }
    argv[argc++] = name;
    for (size_t i = 0; i < n; i++) {
        argv[argc++] = args[i];
    }
    sent = weft_redis_send(brs->env->cn, replied, ctx, argc, argv) == 0;
    weft_buf_fini(&keys);
    return sent;
}

void weft_breaker_failed(struct weft_breakers *brs, const struct weft_reply *reply)
{
    uint64_t hash = weft_hash64(reply->str.p, reply->str.len);

    weft_count(brs->env->shard, WEFT_M_BREAKER_FAILED, 1);
    if (hash != brs->told_error) {
        brs->told_error = hash;
        weft_log(brs->env->log, WEFT_LOG_ERROR, "breaker.failed",
                 WEFT_SN("error", reply->str.p, reply->str.len));
    }
    if (weft_redis_function_missing(reply) && brs->env->cn != NULL) {
        int rc = weft_redis_load_functions(brs->env->cn, NULL, NULL);
        (void)rc; /* not up any more: then they are loaded with the next connection */
    }
}

/* Adds the breaker to the list of all, or takes it off. What comes of it is seen at the next refresh. */
static bool list_name(struct weft_breakers *brs, const char *command,
                      struct weft_str name) WEFT_ON_CONTROL
{
    struct weft_buf key;
    bool sent;

    weft_buf_init(&key, 512);
    weft_key_breakers(&key, brs->env->keys);
    struct weft_str argv[] = {weft_str(command, strlen(command)), weft_str(key.data, key.len),
                              name};
    sent = brs->env->cn != NULL && weft_redis_send(brs->env->cn, NULL, NULL, 3, argv) == 0;
    weft_buf_fini(&key);
    return sent;
}

/* ---- sending ---- */

static void call_replied(void *ctx, const struct weft_reply *reply);

struct args {
    struct weft_str list[ARGS_MAX];
    char numbers[ARGS_MAX][20];
    size_t n;
};

static void put_u64(struct args *args, uint64_t v)
{
    char *text = args->numbers[args->n];

    args->list[args->n++] = weft_str(text, weft_u64_print(text, v));
}

static void put_word(struct args *args, const char *word)
{
    args->list[args->n++] = weft_str(word, strlen(word));
}

static void put_config(struct args *args, const struct weft_breaker_config *cfg)
{
    put_word(args, weft_breaker_mode_words[cfg->mode]);
    put_u64(args, cfg->failure_threshold);
    put_u64(args, cfg->failure_rate);
    put_u64(args, cfg->min_calls);
    put_u64(args, cfg->success_threshold);
    put_u64(args, cfg->timeout_ms);
    put_u64(args, cfg->time_window_ms);
    put_u64(args, cfg->half_open_permits);
    put_u64(args, cfg->permit_ms);
    put_u64(args, cfg->quorum);
    put_word(args, weft_without_words[cfg->without_redis]);
}

static bool send(struct weft_breaker_call *call) WEFT_ON_CONTROL
{
    struct weft_breakers *brs = call->brs;
    const struct weft_breaker_op *op = call->ops;
    struct weft_str name = weft_str(call->name, strlen(call->name));
    char permit[WEFT_PERMIT_MAX_LEN] = "";
    const char *function = NULL;
    struct args args = {.n = 0};

    switch (call->kind) {
    case WEFT_BREAKER_OP_CONFIGURE:
        function = WEFT_FN_BREAKER_CONFIGURE;
        put_config(&args, &op->cfg);
        if (!list_name(brs, "SADD", name)) {
            return false;
        }
        break;
    case WEFT_BREAKER_OP_ACQUIRE:
        function = WEFT_FN_BREAKER_ACQUIRE;
        break;
    case WEFT_BREAKER_OP_REPORT:
    case WEFT_BREAKER_OP_SETTLE:
        function = WEFT_FN_BREAKER_REPORT;
        put_word(&args, brs->env->node_id);
        put_u64(&args, call->epoch);
        put_u64(&args, call->successes);
        put_u64(&args, call->failures);
        if (call->kind == WEFT_BREAKER_OP_SETTLE) {
            (void)weft_permit_print(permit, op->permit);
        }
        put_word(&args, permit);
        put_word(&args,
                 call->kind == WEFT_BREAKER_OP_SETTLE && op->success ? "success" : "failure");
        break;
    case WEFT_BREAKER_OP_GIVE_BACK:
        function = WEFT_FN_BREAKER_GIVE_BACK;
        (void)weft_permit_print(permit, op->permit);
        put_word(&args, permit);
        break;
    case WEFT_BREAKER_OP_FORCE:
        function = WEFT_FN_BREAKER_FORCE;
        put_word(&args, weft_breaker_force_words[op->force]);
        break;
    case WEFT_BREAKER_OP_REMOVE:
        function = WEFT_FN_BREAKER_REMOVE;
        break;
    case WEFT_BREAKER_OP_READ:
        function = WEFT_FN_BREAKER_READ;
        break;
    }
    return weft_breaker_fcall(brs, function, name, true, args.n, args.list, call_replied, call);
}

static bool may_wait(const struct weft_breaker_call *call)
{
    return call->kind != WEFT_BREAKER_OP_ACQUIRE && call->kind != WEFT_BREAKER_OP_REPORT &&
           call->kind != WEFT_BREAKER_OP_SETTLE && call->kind != WEFT_BREAKER_OP_GIVE_BACK;
}

static void answer_without(struct weft_breakers *brs, struct weft_breaker_op *ops) WEFT_ON_CONTROL
{
    while (ops != NULL) {
        struct weft_breaker_op *op = ops;

        ops = op->next;
        op->next = NULL;
        weft_breaker_without(brs, op);
    }
}

/* Takes ops: one, or several reports with these sums. */
static void begin(struct weft_breakers *brs, struct weft_breaker_op *ops, uint64_t epoch,
                  uint64_t successes, uint64_t failures) WEFT_ON_CONTROL
{
    struct weft_breaker_call *call = calloc(1, sizeof(*call));

    WEFT_ASSERT(call != NULL);
    call->brs = brs;
    call->ops = ops;
    call->kind = ops->kind;
    call->epoch = epoch;
    call->successes = successes;
    call->failures = failures;
    call->sent_ms = weft_clock_mono_ms();
    memcpy(call->name, ops->name, sizeof(call->name));
    DL_APPEND(brs->calls, call);
    if (!send(call)) {
        struct weft_breaker_entry *e =
            weft_breakers_find(brs, weft_str(call->name, strlen(call->name)));

        if (e != NULL && call->kind == WEFT_BREAKER_OP_REPORT) {
            e->reporting = false;
        }
        DL_DELETE(brs->calls, call);
        free(call);
        answer_without(brs, ops);
        return;
    }
    if (!may_wait(call) && !weft_timer_is_set(brs->patience)) {
        weft_timer_set(brs->patience, brs->env->cfg->breaker.patience_ms);
    }
}

/* ---- patience ---- */

/* Those results, too, that wait behind a call which is not answered. */
static void answer_queues(struct weft_breakers *brs) WEFT_ON_CONTROL
{
    for (struct weft_breaker_entry *e = brs->entries; e != NULL; e = e->hh.next) {
        struct weft_breaker_op *ops = e->queue.first;

        e->queue = (struct weft_breaker_queue){0};
        answer_without(brs, ops);
    }
}

void weft_breakers_out_of_patience(void *ctx)
{
    struct weft_breakers *brs = ctx;
    uint32_t patience_ms = brs->env->cfg->breaker.patience_ms;
    uint64_t now_ms = weft_clock_mono_ms();
    struct weft_breaker_op *ops = NULL;
    struct weft_breaker_call *call;

    weft_role_assert_control(brs->owner);
    DL_FOREACH(brs->calls, call) {
        uint64_t age_ms = now_ms - call->sent_ms;

        if (may_wait(call) || call->ops == NULL) {
            continue;
        }
        if (age_ms < patience_ms) {
            weft_timer_set(brs->patience, (uint32_t)(patience_ms - age_ms));
            break;
        }
        LL_CONCAT(ops, call->ops);
        call->ops = NULL;
    }
    if (ops != NULL) {
        weft_breakers_silent(brs, true);
        answer_without(brs, ops);
        answer_queues(brs);
    }
}

/* ---- replies ---- */

static uint64_t u64_at(const struct weft_reply *reply, size_t i)
{
    uint64_t v = 0;

    (void)weft_reply_u64(weft_reply_at(reply, i), &v);
    return v;
}

/* False: it makes no sense. */
static bool parse(enum weft_breaker_op_kind kind, const struct weft_reply *reply,
                  struct weft_breaker_result *r)
{
    size_t line = kind == WEFT_BREAKER_OP_READ ? 0 : kind == WEFT_BREAKER_OP_ACQUIRE ? 3 : 1;

    if (kind == WEFT_BREAKER_OP_REMOVE) {
        r->rc = reply->integer == 0 ? WEFT_BREAKER_NOT_FOUND : WEFT_BREAKER_DONE;
        return true;
    }
    if (reply->kind == WEFT_REPLY_NIL) {
        r->rc = WEFT_BREAKER_NOT_FOUND;
        return true;
    }
    r->known = weft_breaker_view_parse(&r->view, weft_reply_str(weft_reply_at(reply, line)));
    if (kind == WEFT_BREAKER_OP_READ) {
        r->successes = u64_at(reply, 1);
        r->failures = u64_at(reply, 2);
        r->nodes = u64_at(reply, 3);
        r->permits = u64_at(reply, 4);
        r->good = u64_at(reply, 5);
        r->opened = u64_at(reply, 6);
    } else {
        r->yes = u64_at(reply, 0) == 1;
    }
    if (kind == WEFT_BREAKER_OP_ACQUIRE) {
        (void)weft_permit_parse(&r->permit, weft_reply_str(weft_reply_at(reply, 1)));
        r->wait_ms = u64_at(reply, 2);
    }
    return r->known;
}

/* epoch: that was sent; results of an older one were not. */
static void finish_ops(struct weft_breaker_op *ops, uint64_t epoch,
                       const struct weft_breaker_result *r)
{
    while (ops != NULL) {
        struct weft_breaker_op *op = ops;
        struct weft_breaker_result its = *r;

        ops = op->next;
        op->next = NULL;
        if (op->kind == WEFT_BREAKER_OP_REPORT && op->epoch != 0 && op->epoch != epoch) {
            its.yes = false;
        }
        op->done(op, &its);
    }
}

/* Results that came meanwhile. */
static void report_next(struct weft_breakers *brs, struct weft_str name) WEFT_ON_CONTROL
{
    struct weft_breaker_entry *e = weft_breakers_find(brs, name);
    struct weft_breaker_queue queue;

    if (e == NULL) {
        return;
    }
    queue = e->queue;
    e->queue = (struct weft_breaker_queue){0};
    e->reporting = queue.first != NULL && weft_breakers_can_ask(brs);
    if (e->reporting) {
        begin(brs, queue.first, queue.epoch, queue.successes, queue.failures);
    } else {
        answer_without(brs, queue.first);
    }
}

/* It counts and gives permits again; that it could be read says nothing. */
static void decided(struct weft_breakers *brs, struct weft_str name,
                    enum weft_breaker_op_kind kind) WEFT_ON_CONTROL
{
    struct weft_breaker_entry *e = weft_breakers_find(brs, name);

    if (e != NULL && kind != WEFT_BREAKER_OP_READ) {
        weft_breakers_together(e);
    }
}

static void note_full(struct weft_breakers *brs, struct weft_str name,
                      const struct weft_breaker_result *r) WEFT_ON_CONTROL
{
    struct weft_breaker_entry *e = weft_breakers_find(brs, name);

    if (e != NULL && r->view.version == e->view.version) {
        e->full_ms = r->yes ? 0 : weft_clock_mono_ms();
        e->full_wait_ms = r->wait_ms;
    }
}

static void functions_loaded(void *ctx, const struct weft_reply *reply)
{
    struct weft_breaker_call *call = ctx;

    weft_role_assert_control(call->brs->owner);
    if (reply == NULL || weft_reply_is_error(reply) || call->ops == NULL || !send(call)) {
        call_replied(call, NULL);
    }
}

/* Somebody has flushed the functions: nothing was executed. */
static bool try_again(struct weft_breaker_call *call,
                      const struct weft_reply *reply) WEFT_ON_CONTROL
{
    if (call->again || !weft_redis_function_missing(reply) || call->brs->env->cn == NULL) {
        return false;
    }
    call->again = true;
    return weft_redis_load_functions(call->brs->env->cn, functions_loaded, call) == 0;
}

static void call_replied(void *ctx, const struct weft_reply *reply)
{
    struct weft_breaker_call *call = ctx;
    struct weft_breakers *brs = call->brs;
    struct weft_str name = weft_str(call->name, strlen(call->name));
    struct weft_breaker_result r = {.rc = WEFT_BREAKER_DONE};

    weft_role_assert_control(brs->owner);
    if (reply != NULL) {
        weft_breakers_silent(brs, false);
    }
    if (weft_reply_is_error(reply)) {
        if (try_again(call, reply)) {
            return;
        }
        weft_breaker_failed(brs, reply);
    }
    DL_DELETE(brs->calls, call);
    if (reply == NULL || weft_reply_is_error(reply) || !parse(call->kind, reply, &r)) {
        answer_without(brs, call->ops);
    } else {
        if (r.known) {
            weft_breakers_learn(brs, name, &r.view);
            decided(brs, name, call->kind);
        } else {
            weft_breakers_forget(brs, name);
        }
        if (call->kind == WEFT_BREAKER_OP_REMOVE && !list_name(brs, "SREM", name)) {
            r.rc = WEFT_BREAKER_UNAVAILABLE;
        }
        if (call->kind == WEFT_BREAKER_OP_ACQUIRE && r.known) {
            note_full(brs, name, &r);
        }
        finish_ops(call->ops, call->epoch, &r);
    }
    if (call->kind == WEFT_BREAKER_OP_REPORT) {
        report_next(brs, name);
    }
    free(call);
}

/* ---- doing ---- */

/* Behind the results that wait already; those of an older epoch cannot count any more. */
static void queue_report(struct weft_breaker_queue *queue, struct weft_breaker_op *op)
{
    if (queue->first == NULL) {
        *queue = (struct weft_breaker_queue){.first = op};
    } else {
        queue->last->next = op;
    }
    queue->last = op;
    if (op->epoch > queue->epoch) {
        queue->epoch = op->epoch;
        queue->successes = queue->any_successes;
        queue->failures = queue->any_failures;
    }
    if (op->epoch == 0) {
        queue->any_successes += op->successes;
        queue->any_failures += op->failures;
    }
    if (op->epoch == queue->epoch || op->epoch == 0) {
        queue->successes += op->successes;
        queue->failures += op->failures;
    }
}

/*
 * All permits of a half-open breaker were out a moment ago: the answer is the same, and Redis need not hear each of
 * the many calls that come meanwhile.
 */
static bool answer_full(const struct weft_breaker_entry *e, struct weft_breaker_op *op)
{
    struct weft_breaker_result r = {.rc = WEFT_BREAKER_DONE, .known = true, .view = e->view};
    uint64_t age_ms = weft_clock_mono_ms() - e->full_ms;

    if (e->view.state != WEFT_BREAKER_HALF_OPEN || e->full_ms == 0 || age_ms >= FULL_MS ||
        age_ms >= e->full_wait_ms) {
        return false;
    }
    r.wait_ms = e->full_wait_ms - age_ms;
    op->done(op, &r);
    return true;
}

void weft_breakers_do(struct weft_breakers *brs, struct weft_breaker_op *op)
{
    struct weft_breaker_entry *e = weft_breakers_find(brs, weft_str(op->name, strlen(op->name)));

    op->next = NULL;
    if (!weft_breakers_can_ask(brs)) {
        weft_breaker_without(brs, op);
        return;
    }
    if (op->kind == WEFT_BREAKER_OP_CONFIGURE && e == NULL &&
        weft_breakers_count(brs) >= brs->env->cfg->breaker.max) {
        op->done(op, &(struct weft_breaker_result){.rc = WEFT_BREAKER_FULL});
        return;
    }
    if (op->kind == WEFT_BREAKER_OP_ACQUIRE && e != NULL && answer_full(e, op)) {
        return;
    }
    if (op->kind == WEFT_BREAKER_OP_ACQUIRE) {
        weft_count(brs->env->shard, WEFT_M_BREAKER_ASKED, 1);
    }
    if (op->kind == WEFT_BREAKER_OP_REPORT && e != NULL) {
        if (e->reporting) {
            queue_report(&e->queue, op);
            return;
        }
        e->reporting = true;
    }
    begin(brs, op, op->epoch, op->successes, op->failures);
}
