#include "buckets_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/loop/timer.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

/*
 * A take waits in the queue until the loop has handed over what came with it, then goes to Redis in a batch. A
 * batch whose answer is late is decided without it; it stays in the list until the answer, or the end of the
 * connection, says that Redis is there again.
 */

#define BATCH_KEYS  64
#define BATCH_TAKES 256
#define BATCH_ARGS  2048
#define BATCH_BYTES 65536 /* of keys and numbers */

const char *const weft_decided_words[] = {
    [WEFT_DECIDED_REDIS] = "redis",   [WEFT_DECIDED_LEASE] = "lease", [WEFT_DECIDED_OPEN] = "open",
    [WEFT_DECIDED_CLOSED] = "closed", [WEFT_DECIDED_LOCAL] = "local",
};

struct weft_take_batch {
    struct weft_buckets *bks;
    struct weft_take_batch *next;
    uint64_t sent_ms;
    bool late;                   /* its takes have been answered */
    struct weft_take_msg *takes; /* linked by next */
};

/* ---- answers ---- */

static void drop_take(struct weft_msg *msg)
{
    struct weft_request *rq = WEFT_CONTAINER_OF(msg, struct weft_request, msg);

    free(WEFT_CONTAINER_OF(rq, struct weft_take_msg, rq));
}

static struct weft_taken_msg *taken_create(const struct weft_take_msg *m)
{
    struct weft_taken_msg *a = calloc(1, sizeof(*a) + m->n * sizeof(a->told[0]));

    WEFT_ASSERT(a != NULL);
    a->answer.ticket = m->rq.ticket;
    a->n = m->n;
    return a;
}

/* Takes both. */
static void answer(struct weft_buckets *bks, struct weft_take_msg *m,
                   struct weft_taken_msg *a) WEFT_ON_CONTROL
{
    bool dry = false;

    for (size_t i = 0; i < a->n; i++) {
        dry = dry || (a->taken && a->told[i].stands == WEFT_STANDS_DRY);
    }
    weft_count(bks->env->shard, a->taken ? WEFT_M_BUCKET_TAKES : WEFT_M_BUCKET_REFUSED, 1);
    weft_count(bks->env->shard, WEFT_M_BUCKET_WOULD_REFUSE, dry ? 1 : 0);
    weft_feature_answer(bks->env, &m->rq, &a->answer);
    drop_take(&m->rq.msg);
}

static void answer_without(struct weft_buckets *bks, struct weft_take_msg *m) WEFT_ON_CONTROL
{
    struct weft_taken_msg *a = taken_create(m);

    a->taken = weft_known_decide(bks, m, (int64_t)weft_clock_mono_ms(), &a->by, a->told);
    weft_count(bks->env->shard, WEFT_M_BUCKET_WITHOUT_REDIS, 1);
    answer(bks, m, a);
}

static void answer_all_without(struct weft_buckets *bks, struct weft_take_msg *m) WEFT_ON_CONTROL
{
    while (m != NULL) {
        struct weft_take_msg *next = m->next;

        answer_without(bks, m);
        m = next;
    }
}

static void answer_queue_without(struct weft_buckets *bks) WEFT_ON_CONTROL
{
    struct weft_take_msg *all = bks->queue;

    bks->queue = NULL;
    bks->queue_tail = &bks->queue;
    bks->queued = 0;
    answer_all_without(bks, all);
}

/* 1 or 0, then seven numbers for each bucket. */
static void answer_from(struct weft_buckets *bks, struct weft_take_msg *m,
                        const struct weft_reply *reply) WEFT_ON_CONTROL
{
    struct weft_taken_msg *a = taken_create(m);
    const struct weft_reply *verdict = weft_reply_at(reply, 0);
    bool ok = verdict != NULL && verdict->kind == WEFT_REPLY_INTEGER;

    a->taken = ok && verdict->integer == 1;
    for (size_t i = 0; i < m->n && ok; i++) {
        ok = weft_bucket_told_read(reply, 1 + 7 * i, &a->told[i]);
        if (ok && m->items[i].conf.capacity == 0 && a->told[i].conf.capacity > 0) {
            weft_known_learn(bks, m->items[i].name, &a->told[i].conf);
        }
    }
    if (!ok) {
        free(a);
        answer_without(bks, m);
        return;
    }
    answer(bks, m, a);
}

/* ---- batches ---- */

static void set_late_timer(struct weft_buckets *bks) WEFT_ON_CONTROL
{
    uint32_t wait_ms = bks->env->cfg->limits.redis_wait_ms;
    const struct weft_take_batch *b = bks->batches;

    while (b != NULL && b->late) {
        b = b->next;
    }
    if (b != NULL && !weft_timer_is_set(bks->late_timer)) {
        uint64_t passed = weft_clock_mono_ms() - b->sent_ms;

        weft_timer_set(bks->late_timer, passed >= wait_ms ? 0 : wait_ms - (uint32_t)passed);
    }
}

static void some_are_late(void *ctx)
{
    struct weft_buckets *bks = ctx;
    uint64_t now_ms = weft_clock_mono_ms();

    weft_role_assert_control(pthread_self());
    for (struct weft_take_batch *b = bks->batches; b != NULL; b = b->next) {
        if (!b->late && now_ms - b->sent_ms >= bks->env->cfg->limits.redis_wait_ms) {
            struct weft_take_msg *takes = b->takes;

            b->takes = NULL;
            b->late = true;
            if (!bks->late) {
                bks->late = true;
                weft_count(bks->env->shard, WEFT_M_BUCKET_LATE, 1);
            }
            answer_all_without(bks, takes);
        }
    }
    set_late_timer(bks);
}

static void flush(struct weft_buckets *bks) WEFT_ON_CONTROL;

static void functions_loaded(void *ctx, const struct weft_reply *reply)
{
    struct weft_buckets *bks = ctx;

    weft_role_assert_control(pthread_self());
    bks->loading = false;
    if (reply == NULL || weft_reply_is_error(reply)) {
        answer_queue_without(bks);
    }
    flush(bks);
}

/* Nothing was executed: once more, as soon as the functions are there. */
static bool sent_again(struct weft_buckets *bks, struct weft_take_batch *b,
                       const struct weft_reply *reply) WEFT_ON_CONTROL
{
    struct weft_take_msg **tail = &b->takes;

    if (!weft_redis_function_missing(reply) || bks->env->cn == NULL ||
        (!bks->loading && weft_redis_load_functions(bks->env->cn, functions_loaded, bks) != 0)) {
        return false;
    }
    bks->loading = true;
    if (b->takes == NULL) {
        return true; /* it was late, and its takes have been answered */
    }
    while (*tail != NULL) {
        bks->queued++;
        tail = &(*tail)->next;
    }
    *tail = bks->queue;
    if (bks->queue == NULL) {
        bks->queue_tail = tail;
    }
    bks->queue = b->takes;
    b->takes = NULL;
    return true;
}

static void batch_answered(void *ctx, const struct weft_reply *reply)
{
    struct weft_take_batch *b = ctx;
    struct weft_buckets *bks = b->bks;
    struct weft_take_msg *m;

    weft_role_assert_control(pthread_self());
    WEFT_ASSERT(bks->batches == b); /* answers come in order */
    bks->batches = b->next;
    if (bks->batches == NULL) {
        bks->batches_tail = &bks->batches;
    }
    bks->late = bks->batches != NULL && bks->batches->late;
    if (!weft_reply_is_error(reply)) {
        bks->error_told = false;
    } else if (!weft_redis_function_missing(reply) && !bks->error_told) {
        bks->error_told = true;
        weft_log(bks->env->log, WEFT_LOG_ERROR, "redis.error", WEFT_S("for", "takes from buckets"),
                 WEFT_SN("error", reply->str.p, reply->str.len));
    }
    if (reply != NULL && reply->kind == WEFT_REPLY_ARRAY) {
        m = b->takes;
        for (size_t i = 1; m != NULL; i++) {
            struct weft_take_msg *next = m->next;

            answer_from(bks, m, weft_reply_at(reply, i));
            m = next;
        }
    } else if (!sent_again(bks, b, reply)) {
        answer_all_without(bks, b->takes);
    }
    free(b);
}

/* What is being put together for one call. */
struct call {
    struct weft_buf text; /* of keys and numbers, which args point into once it is complete */
    size_t n_args;
    struct weft_str args[BATCH_ARGS]; /* until then len is where it begins */
    size_t n_keys;
    const struct weft_take_item *keys[BATCH_KEYS]; /* by their first item */
};

static void arg_begins(struct call *c)
{
    c->args[c->n_args++] = weft_str(NULL, c->text.len);
}

static void arg_u64(struct call *c, uint64_t v)
{
    arg_begins(c);
    weft_buf_u64(&c->text, v);
}

/* Counted from 1; 0: there is no room for a further one. */
static size_t key_index(struct call *c, const struct weft_take_item *item)
{
    for (size_t i = 0; i < c->n_keys; i++) {
        if (strcmp(c->keys[i]->name, item->name) == 0) {
            return i + 1;
        }
    }
    if (c->n_keys == BATCH_KEYS) {
        return 0;
    }
    c->keys[c->n_keys++] = item;
    return c->n_keys;
}

static bool has_room(struct call *c, const struct weft_take_msg *m, size_t n_args)
{
    size_t before = c->n_keys;

    if (n_args + 1 + 2 * m->n > BATCH_ARGS - 3 - 3 * (size_t)BATCH_KEYS) {
        return false;
    }
    for (size_t i = 0; i < m->n; i++) {
        if (key_index(c, &m->items[i]) == 0) {
            c->n_keys = before;
            return false;
        }
    }
    return true;
}

static void print_call(struct weft_buckets *bks, struct call *c, const struct weft_take_msg *m)
{
    arg_begins(c);
    weft_buf_puts(&c->text, "FCALL");
    arg_begins(c);
    weft_buf_puts(&c->text, WEFT_FN_BUCKET_TAKE);
    arg_u64(c, c->n_keys);
    for (size_t i = 0; i < c->n_keys; i++) {
        const char *name = c->keys[i]->name;

        arg_begins(c);
        weft_key_bucket(&c->text, bks->env->keys, weft_str(name, strlen(name)));
    }
    for (size_t i = 0; i < c->n_keys; i++) {
        arg_u64(c, (uint64_t)c->keys[i]->conf.capacity);
        arg_begins(c);
        weft_bucket_rate_print(&c->text, c->keys[i]->conf.rate);
    }
    for (; m != NULL; m = m->next) {
        arg_u64(c, m->n);
        for (size_t i = 0; i < m->n; i++) {
            arg_u64(c, key_index(c, &m->items[i]));
            arg_u64(c, (uint64_t)m->items[i].tokens);
        }
    }
    WEFT_ASSERT(!c->text.toobig);
    for (size_t i = 0; i < c->n_args; i++) {
        size_t end = i + 1 < c->n_args ? c->args[i + 1].len : c->text.len;

        c->args[i] = weft_str(c->text.data + c->args[i].len, end - c->args[i].len);
    }
}

/* As many as one call may carry. */
static void send_some(struct weft_buckets *bks, struct call *c) WEFT_ON_CONTROL
{
    struct weft_take_batch *b = calloc(1, sizeof(*b));
    struct weft_take_msg **tail;
    size_t n_args = 0;
    size_t n = 0;

    WEFT_ASSERT(b != NULL);
    b->bks = bks;
    c->n_args = c->n_keys = 0;
    weft_buf_clear(&c->text);
    b->takes = bks->queue;
    tail = &b->takes;
    while (*tail != NULL && n < BATCH_TAKES && has_room(c, *tail, n_args)) {
        n_args += 1 + 2 * (*tail)->n;
        tail = &(*tail)->next;
        n++;
    }
    bks->queue = *tail;
    *tail = NULL;
    bks->queued -= n;
    if (bks->queue == NULL) {
        bks->queue_tail = &bks->queue;
    }
    print_call(bks, c, b->takes);
    b->sent_ms = weft_clock_mono_ms();
    if (weft_redis_send(bks->env->cn, batch_answered, b, c->n_args, c->args) != 0) {
        answer_all_without(bks, b->takes);
        free(b);
        return;
    }
    *bks->batches_tail = b;
    bks->batches_tail = &b->next;
}

static void flush(struct weft_buckets *bks)
{
    struct call *c;

    if (bks->queue == NULL || bks->loading) {
        return;
    }
    if (!weft_buckets_can_ask(bks)) {
        answer_queue_without(bks);
        return;
    }
    c = malloc(sizeof(*c));
    WEFT_ASSERT(c != NULL);
    weft_buf_init(&c->text, BATCH_BYTES);
    while (bks->queue != NULL) {
        send_some(bks, c);
    }
    weft_buf_fini(&c->text);
    free(c);
    set_late_timer(bks);
}

static void turn_is_over(void *ctx)
{
    weft_role_assert_control(pthread_self());
    flush(ctx);
}

static void deliver_take(struct weft_msg *msg, void *owner)
{
    struct weft_buckets *bks = weft_part(owner, WEFT_PART_BUCKETS);
    struct weft_request *rq = WEFT_CONTAINER_OF(msg, struct weft_request, msg);
    struct weft_take_msg *m = WEFT_CONTAINER_OF(rq, struct weft_take_msg, rq);

    weft_role_assert_control(pthread_self());
    m->next = NULL;
    if (!weft_buckets_can_ask(bks)) {
        answer_without(bks, m);
        return;
    }
    *bks->queue_tail = m;
    bks->queue_tail = &m->next;
    if (++bks->queued >= BATCH_TAKES) {
        flush(bks);
    } else if (!weft_timer_is_set(bks->flush_timer)) {
        weft_timer_set(bks->flush_timer, 0);
    }
}

static const struct weft_msg_ops take_ops = {"take", deliver_take, drop_take};

struct weft_take_msg *weft_take_create(size_t n)
{
    struct weft_take_msg *m = calloc(1, sizeof(*m) + n * sizeof(m->items[0]));

    WEFT_ASSERT(m != NULL && n >= 1 && n <= WEFT_BUCKETS_MAX);
    m->rq.msg.ops = &take_ops;
    m->n = n;
    return m;
}

/* ---- life ---- */

int weft_takes_init(struct weft_buckets *bks)
{
    int rc = weft_timer_create(&bks->flush_timer, bks->env->base, turn_is_over, bks);

    bks->queue_tail = &bks->queue;
    bks->batches_tail = &bks->batches;
    return rc != 0 ? rc : weft_timer_create(&bks->late_timer, bks->env->base, some_are_late, bks);
}

void weft_takes_fini(struct weft_buckets *bks)
{
    WEFT_ASSERT(bks->batches == NULL); /* the connection has ended, which answered them */
    while (bks->queue != NULL) {
        struct weft_take_msg *next = bks->queue->next;

        drop_take(&bks->queue->rq.msg);
        bks->queue = next;
    }
    weft_timer_destroy(bks->flush_timer);
    weft_timer_destroy(bks->late_timer);
}
