#include <weft/access/revocations.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/auth/revoked.h>
#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/loop/timer.h>
#include <weft/redis/conn.h>
#include <weft/redis/keys.h>
#include <weft/redis/reply.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#define LIST_BYTES_MAX ((size_t)8 * 1024 * 1024)

struct weft_revocations {
    const struct weft_feature_env *env;
    pthread_t owner;
    struct weft_revoked *table;
    struct weft_timer *timer;
    bool up;
    bool asking;      /* for the version, or the list */
    bool known;       /* the table is what Redis had at this version */
    bool overtaken;   /* a change was heard that what Redis is about to answer may not have */
    bool lost;        /* Redis has gone back: what it has is not all any more */
    uint64_t version; /* 0: nothing was ever revoked */
    uint64_t loading; /* the version that the list on its way belongs to, or a later one */
};

/* ---- the copy ---- */

static int64_t now_ms(void)
{
    return weft_clock_wall_ms();
}

static void told_full(struct weft_revocations *rvs) WEFT_ON_CONTROL
{
    weft_count(rvs->env->shard, WEFT_M_REVOKED_FULL, 1);
    weft_log(rvs->env->log, WEFT_LOG_ERROR, "revoked.full",
             WEFT_U("max", rvs->env->cfg->auth.revoked_max));
}

static void show(struct weft_revocations *rvs) WEFT_ON_CONTROL
{
    weft_gauge_set(rvs->env->shard, WEFT_G_REVOKED, (int64_t)weft_revoked_count(rvs->table));
}

static void apply(struct weft_revocations *rvs, struct weft_str jti,
                  int64_t until_ms) WEFT_ON_CONTROL
{
    if (until_ms == 0) {
        (void)weft_revoked_remove(rvs->table, jti);
    } else if (weft_revoked_add(rvs->table, jti, until_ms, now_ms()) == WEFT_EFULL) {
        told_full(rvs);
    }
    show(rvs);
}

/* All of these, and nothing becomes good again. */
static int add_all(struct weft_revocations *rvs, const struct weft_revoked_entry *entries,
                   size_t n) WEFT_ON_CONTROL
{
    int worst = 0;

    for (size_t i = 0; i < n; i++) {
        int rc = weft_revoked_add(rvs->table, entries[i].jti, entries[i].until_ms, now_ms());

        if (rc == WEFT_EFULL || worst == 0) {
            worst = rc;
        }
    }
    return worst;
}

/*
 * It comes by another connection than the changes, and may be older than one that was heard meanwhile: then it only adds,
 * and the next check asks again. It only adds as well once Redis has lost changes: what was revoked stays so, until the end
 * that was told with it or until somebody takes it back.
 */
static void list_replied(void *ctx, const struct weft_reply *reply)
{
    struct weft_revocations *rvs = ctx;
    bool went_back = !rvs->overtaken && rvs->loading < rvs->version;
    size_t n = reply != NULL && reply->kind == WEFT_REPLY_ARRAY ? reply->n / 2 : 0;
    struct weft_revoked_entry *entries;
    int rc;

    weft_role_assert_control(rvs->owner);
    rvs->asking = false;
    if (reply == NULL || reply->kind != WEFT_REPLY_ARRAY) {
        return; /* at the next check */
    }
    entries = calloc(n + 1, sizeof(*entries));
    WEFT_ASSERT(entries != NULL);
    for (size_t i = 0; i < n; i++) {
        uint64_t until = 0;

        (void)weft_reply_u64(weft_reply_at(reply, 2 * i + 1), &until);
        entries[i] = (struct weft_revoked_entry){weft_reply_str(weft_reply_at(reply, 2 * i)),
                                                 (int64_t)until};
    }
    rvs->lost = rvs->lost || went_back;
    rc = rvs->overtaken || rvs->lost ? add_all(rvs, entries, n)
                                     : weft_revoked_replace(rvs->table, entries, n, now_ms());
    if (rc == WEFT_EFULL) {
        told_full(rvs);
    }
    free(entries);
    show(rvs);
    if (went_back) {
        weft_log(rvs->env->log, WEFT_LOG_WARN, "revoked.went_back", WEFT_U("version", rvs->version),
                 WEFT_U("now", rvs->loading));
    }
    rvs->version = rvs->loading;
    rvs->known = !rvs->overtaken;
}

/* ZRANGEBYSCORE <key> <now> +inf WITHSCORES LIMIT 0 <limit> */
static bool send_list(struct weft_revocations *rvs, uint64_t limit, weft_redis_replied *replied,
                      void *ctx) WEFT_ON_CONTROL
{
    char from[24];
    char most[24];
    struct weft_buf key;
    bool sent;

    weft_buf_init(&key, 512);
    weft_key_revoked(&key, rvs->env->keys);
    struct weft_str argv[] = {
        WEFT_STR("ZRANGEBYSCORE"),
        weft_str(key.data, key.len),
        weft_str(from, (size_t)snprintf(from, sizeof(from), "%" PRId64, now_ms())),
        WEFT_STR("+inf"),
        WEFT_STR("WITHSCORES"),
        WEFT_STR("LIMIT"),
        WEFT_STR("0"),
        weft_str(most, weft_u64_print(most, limit)),
    };
    sent = rvs->env->cn != NULL &&
           weft_redis_send(rvs->env->cn, replied, ctx, WEFT_COUNT_OF(argv), argv) == 0;
    weft_buf_fini(&key);
    return sent;
}

static void version_replied(void *ctx, const struct weft_reply *reply)
{
    struct weft_revocations *rvs = ctx;
    uint64_t version = 0;

    weft_role_assert_control(rvs->owner);
    rvs->asking = false;
    if (reply == NULL || weft_reply_is_error(reply)) {
        return;
    }
    (void)weft_reply_u64(reply, &version); /* nil: 0 */
    if (rvs->known && (version == rvs->version || rvs->overtaken)) {
        return; /* if it was overtaken, the next check compares */
    }
    rvs->loading = version;
    /* One more than there is room for, to see that it is full. */
    rvs->asking = send_list(rvs, (uint64_t)rvs->env->cfg->auth.revoked_max + 1, list_replied, rvs);
}

static void check(struct weft_revocations *rvs) WEFT_ON_CONTROL
{
    struct weft_buf key;

    weft_timer_set(rvs->timer, rvs->env->cfg->auth.revoked_check_ms);
    if (rvs->asking || !rvs->up || rvs->env->cn == NULL) {
        return;
    }
    weft_buf_init(&key, 512);
    weft_key_revoked_version(&key, rvs->env->keys);
    struct weft_str argv[] = {WEFT_STR("GET"), weft_str(key.data, key.len)};
    rvs->overtaken = false;
    rvs->asking = weft_redis_send(rvs->env->cn, version_replied, rvs, 2, argv) == 0;
    weft_buf_fini(&key);
}

static void check_due(void *ctx)
{
    struct weft_revocations *rvs = ctx;

    weft_role_assert_control(rvs->owner);
    check(rvs);
}

/* `<version> <until_ms> <jti>`; the next check finds what is not understood. */
void weft_revocations_message(struct weft_revocations *rvs, struct weft_str payload)
{
    uint64_t version;
    uint64_t until;

    if (!weft_str_u64(weft_str_before(&payload, ' '), &version) ||
        !weft_str_u64(weft_str_before(&payload, ' '), &until) || payload.len == 0 ||
        payload.len > WEFT_REVOKED_JTI_MAX || until > (uint64_t)WEFT_REVOKED_FOR_EVER) {
        return;
    }
    apply(rvs, payload, (int64_t)until);
    rvs->overtaken = true;
    if (rvs->known && version == rvs->version + 1) {
        rvs->version = version;
    } else if (version != rvs->version) {
        rvs->known = false; /* one was missed, or another server tells */
    }
}

/* ---- up and down, life ---- */

void weft_revocations_up(struct weft_revocations *rvs)
{
    rvs->up = true;
    rvs->known = false;
    check(rvs);
}

void weft_revocations_down(struct weft_revocations *rvs)
{
    rvs->up = false;
}

int weft_revocations_create(struct weft_revocations **ret_rvs, const struct weft_feature_env *env,
                            struct weft_revoked *table)
{
    struct weft_revocations *rvs = calloc(1, sizeof(*rvs));
    int rc;

    if (rvs == NULL) {
        return WEFT_ENOMEM;
    }
    rvs->env = env;
    rvs->owner = pthread_self();
    rvs->table = table;
    rc = weft_timer_create(&rvs->timer, env->base, check_due, rvs);
    if (rc != 0) {
        free(rvs);
        return rc;
    }
    *ret_rvs = rvs;
    return 0;
}

void weft_revocations_destroy(struct weft_revocations *rvs)
{
    if (rvs != NULL) {
        weft_timer_destroy(rvs->timer);
        free(rvs);
    }
}

/* ---- requests ---- */

struct request {
    struct weft_request rq;
    struct weft_revocations *rvs; /* once control has it */
    bool loaded;                  /* somebody had flushed the functions: once is enough */
    uint32_t limit;
    int64_t until_ms;
    uint16_t jti_len;
    char jti[WEFT_REVOKED_JTI_MAX];
};

static struct request *request_of(struct weft_msg *msg)
{
    return WEFT_CONTAINER_OF(WEFT_CONTAINER_OF(msg, struct weft_request, msg), struct request, rq);
}

static void drop_request(struct weft_msg *msg)
{
    free(request_of(msg));
}

static void put_entry(struct weft_buf *b, struct weft_str jti, int64_t until_ms)
{
    weft_buf_puts(b, "{\"jti\":");
    weft_buf_json(b, jti);
    if (until_ms == WEFT_REVOKED_FOR_EVER) {
        weft_buf_puts(b, ",\"until_ms\":null}");
    } else {
        weft_buf_printf(b, ",\"until_ms\":%" PRId64 "}", until_ms);
    }
}

/* Takes m and a. */
static void finish(struct request *m, struct weft_answer_msg *a) WEFT_ON_CONTROL
{
    weft_feature_answer(m->rvs->env, &m->rq, a);
    free(m);
}

static void finish_unavailable(struct request *m) WEFT_ON_CONTROL
{
    struct weft_answer_msg *a = weft_answer_to(&m->rq, 503);

    weft_answer_problem(a, "unavailable", "", "Redis is away");
    finish(m, a);
}

static void send_revoke(struct request *m) WEFT_ON_CONTROL;

static void functions_loaded(void *ctx, const struct weft_reply *reply)
{
    struct request *m = ctx;

    (void)reply; /* if they were not, the next answer says so */
    weft_role_assert_control(m->rvs->owner);
    send_revoke(m);
}

static void finish_revoked(struct request *m, int64_t until_ms) WEFT_ON_CONTROL
{
    struct weft_answer_msg *a = weft_answer_to(&m->rq, 200);
    struct weft_buf b;

    weft_buf_init(&b, 4096);
    put_entry(&b, weft_str(m->jti, m->jti_len), until_ms);
    weft_answer_body(a, &b);
    finish(m, a);
}

/* One that was revoked before keeps the later end. */
static void end_replied(void *ctx, const struct weft_reply *reply)
{
    struct request *m = ctx;
    uint64_t until_ms;

    weft_role_assert_control(m->rvs->owner);
    finish_revoked(m, weft_reply_u64(reply, &until_ms) ? (int64_t)until_ms : m->until_ms);
}

static void ask_end(struct request *m) WEFT_ON_CONTROL
{
    struct weft_buf key;

    weft_buf_init(&key, 256);
    weft_key_revoked(&key, m->rvs->env->keys);
    struct weft_str argv[] = {WEFT_STR("ZSCORE"), weft_str(key.data, key.len),
                              weft_str(m->jti, m->jti_len)};
    if (m->rvs->env->cn == NULL ||
        weft_redis_send(m->rvs->env->cn, end_replied, m, WEFT_COUNT_OF(argv), argv) != 0) {
        finish_revoked(m, m->until_ms); /* it is revoked, all the same */
    }
    weft_buf_fini(&key);
}

static void revoke_replied(void *ctx, const struct weft_reply *reply)
{
    struct request *m = ctx;
    struct weft_str jti = weft_str(m->jti, m->jti_len);
    struct weft_answer_msg *a;

    weft_role_assert_control(m->rvs->owner);
    if (weft_redis_function_missing(reply) && !m->loaded) {
        m->loaded = true;
        if (m->rvs->env->cn == NULL ||
            weft_redis_load_functions(m->rvs->env->cn, functions_loaded, m) != 0) {
            finish_unavailable(m);
        }
        return;
    }
    if (reply == NULL || reply->kind != WEFT_REPLY_INTEGER) {
        finish_unavailable(m);
        return;
    }
    if (reply->integer > 0) {
        apply(m->rvs, jti, m->until_ms); /* known here before it is answered */
        weft_count(m->rvs->env->shard, WEFT_M_REVOCATIONS, m->until_ms != 0);
    }
    if (reply->integer < 0) {
        a = weft_answer_to(&m->rq, 409);
        weft_answer_problem(a, "full", "jti",
                            "as many tokens are revoked as can be (auth.revoked_max)");
    } else if (m->until_ms != 0) {
        ask_end(m);
        return;
    } else if (reply->integer == 0) {
        a = weft_answer_to(&m->rq, 404);
        weft_answer_problem(a, "not_found", "jti", "no such token is revoked");
    } else {
        a = weft_answer_to(&m->rq, 204);
    }
    finish(m, a);
}

static void send_revoke(struct request *m)
{
    struct weft_revocations *rvs = m->rvs;
    struct weft_buf names;
    char until[24];
    char most[24];
    size_t ends[3];

    weft_buf_init(&names, 2048);
    weft_key_revoked(&names, rvs->env->keys);
    ends[0] = names.len;
    weft_key_revoked_version(&names, rvs->env->keys);
    ends[1] = names.len;
    weft_chan_revoked(&names, rvs->env->keys);
    ends[2] = names.len;
    struct weft_str argv[] = {
        WEFT_STR("FCALL"),
        WEFT_STR(WEFT_FN_REVOKE),
        WEFT_STR("2"),
        weft_str(names.data, ends[0]),
        weft_str(names.data + ends[0], ends[1] - ends[0]),
        weft_str(names.data + ends[1], ends[2] - ends[1]),
        weft_str(m->jti, m->jti_len),
        weft_str(until, weft_u64_print(until, (uint64_t)m->until_ms)),
        weft_str(most, weft_u64_print(most, rvs->env->cfg->auth.revoked_max)),
    };
    if (!rvs->up || rvs->env->cn == NULL ||
        weft_redis_send(rvs->env->cn, revoke_replied, m, WEFT_COUNT_OF(argv), argv) != 0) {
        finish_unavailable(m);
    }
    weft_buf_fini(&names);
}

static void deliver_revoke(struct weft_msg *msg, void *owner)
{
    struct request *m = request_of(msg);

    m->rvs = weft_part(owner, WEFT_PART_REVOCATIONS);
    weft_role_assert_control(m->rvs->owner);
    send_revoke(m);
}

static void look_replied(void *ctx, const struct weft_reply *reply)
{
    struct request *m = ctx;
    struct weft_answer_msg *a;
    struct weft_buf b;

    weft_role_assert_control(m->rvs->owner);
    if (reply == NULL || reply->kind != WEFT_REPLY_ARRAY) {
        finish_unavailable(m);
        return;
    }
    a = weft_answer_to(&m->rq, 200);
    weft_buf_init(&b, LIST_BYTES_MAX);
    weft_buf_puts(&b, "{\"revocations\":[");
    for (size_t i = 0; i + 1 < reply->n; i += 2) {
        uint64_t until = 0;

        (void)weft_reply_u64(weft_reply_at(reply, i + 1), &until);
        weft_buf_puts(&b, i > 0 ? "," : "");
        put_entry(&b, weft_reply_str(weft_reply_at(reply, i)), (int64_t)until);
    }
    weft_buf_puts(&b, "]}");
    weft_answer_body(a, &b);
    finish(m, a);
}

static void deliver_list(struct weft_msg *msg, void *owner)
{
    struct weft_revocations *rvs = weft_part(owner, WEFT_PART_REVOCATIONS);
    struct request *m = request_of(msg);

    weft_role_assert_control(rvs->owner);
    m->rvs = rvs;
    if (!rvs->up || !send_list(rvs, m->limit, look_replied, m)) {
        finish_unavailable(m);
    }
}

static struct request *create(const struct weft_msg_ops *ops)
{
    struct request *m = calloc(1, sizeof(*m));

    WEFT_ASSERT(m != NULL);
    m->rq.msg.ops = ops;
    return m;
}

struct weft_request *weft_revocations_ask(struct weft_str jti, int64_t until_ms)
{
    static const struct weft_msg_ops ops = {"revoke", deliver_revoke, drop_request};
    struct request *m = create(&ops);

    WEFT_ASSERT(jti.len > 0 && jti.len <= sizeof(m->jti));
    memcpy(m->jti, jti.p, jti.len);
    m->jti_len = (uint16_t)jti.len;
    m->until_ms = until_ms;
    return &m->rq;
}

struct weft_request *weft_revocations_ask_list(uint32_t limit)
{
    static const struct weft_msg_ops ops = {"revocations", deliver_list, drop_request};
    struct request *m = create(&ops);

    m->limit = limit;
    return &m->rq;
}
