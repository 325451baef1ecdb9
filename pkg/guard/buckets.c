#include "buckets_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/config/config.h>
#include <weft/loop/timer.h>
#include <weft/telemetry/metrics.h>

#define COUNT_NODES_MS 1000
#define LIST_MAX       1000
#define ARGS_MAX       (LIST_MAX + 8)
#define TEXT_MAX       ((size_t)LIST_MAX * 256 + 4096)

enum admin_what { ADMIN_LIST, ADMIN_LOOK, ADMIN_SET, ADMIN_DELETE };

/* One request about buckets, from the worker through all its calls of Redis to the answer. */
struct admin {
    struct weft_request rq;
    struct weft_buckets *bks;
    enum admin_what what;
    uint16_t status; /* of the answer with a body */
    uint32_t limit;  /* LIST */
    struct weft_bucket_conf conf;
    struct weft_buf names; /* LIST: those that are looked at, each with its NUL */
    size_t n_names;
    bool more;
    char name[WEFT_NAME_MAX + 1]; /* LIST: names behind it */
};

/* ---- a call of Redis, its arguments one behind the other ---- */

struct call {
    struct weft_buf text;
    size_t n;
    size_t begins[ARGS_MAX];
    struct weft_str argv[ARGS_MAX];
};

static struct call *call_begin(void)
{
    struct call *c = malloc(sizeof(*c));

    WEFT_ASSERT(c != NULL);
    c->n = 0;
    weft_buf_init(&c->text, TEXT_MAX);
    return c;
}

static struct weft_buf *arg(struct call *c)
{
    WEFT_ASSERT(c->n < ARGS_MAX);
    c->begins[c->n++] = c->text.len;
    return &c->text;
}

static void arg_text(struct call *c, const char *text)
{
    weft_buf_puts(arg(c), text);
}

/* Takes c. */
static int call_send(struct weft_buckets *bks, struct call *c, weft_redis_replied *replied,
                     void *ctx)
{
    int rc;

    for (size_t i = 0; i < c->n; i++) {
        size_t end = i + 1 < c->n ? c->begins[i + 1] : c->text.len;

        c->argv[i] = weft_str(c->text.data + c->begins[i], end - c->begins[i]);
    }
    WEFT_ASSERT(!c->text.toobig);
    rc = bks->env->cn == NULL ? WEFT_EUNAVAILABLE
                              : weft_redis_send(bks->env->cn, replied, ctx, c->n, c->argv);
    weft_buf_fini(&c->text);
    free(c);
    return rc;
}

/* ---- the end of a request ---- */

static void drop_admin(struct weft_msg *msg)
{
    struct weft_request *rq = WEFT_CONTAINER_OF(msg, struct weft_request, msg);
    struct admin *m = WEFT_CONTAINER_OF(rq, struct admin, rq);

    weft_buf_fini(&m->names);
    free(m);
}

static void fail(struct admin *m, uint16_t status, const char *code, const char *field,
                 const char *why) WEFT_ON_CONTROL
{
    struct weft_answer_msg *a = weft_answer_to(&m->rq, status);

    weft_answer_problem(a, code, field, "%s", why);
    weft_feature_answer(m->bks->env, &m->rq, a);
    drop_admin(&m->rq.msg);
}

static void fail_redis(struct admin *m, const struct weft_reply *reply) WEFT_ON_CONTROL
{
    struct weft_answer_msg *a = weft_answer_to(&m->rq, 503);

    if (reply == NULL) {
        weft_answer_problem(a, "unavailable", "", "Redis is away");
    } else {
        weft_answer_problem(a, "unavailable", "", "Redis refused: %.*s",
                            (int)(reply->str.len < 120 ? reply->str.len : 120), reply->str.p);
    }
    weft_feature_answer(m->bks->env, &m->rq, a);
    drop_admin(&m->rq.msg);
}

static void answer_body(struct admin *m, struct weft_buf *b) WEFT_ON_CONTROL
{
    struct weft_answer_msg *a = weft_answer_to(&m->rq, m->status);

    weft_answer_body(a, b);
    weft_feature_answer(m->bks->env, &m->rq, a);
    drop_admin(&m->rq.msg);
}

/* ---- look ---- */

static uint64_t would_refuse(const struct weft_reply *one)
{
    uint64_t n = 0;

    (void)weft_reply_u64(weft_reply_at(one, 7), &n);
    return n;
}

static void looked_at_one(void *ctx, const struct weft_reply *reply)
{
    struct admin *m = ctx;
    const struct weft_reply *one = weft_reply_at(reply, 1);
    struct weft_bucket_told told;
    struct weft_buf b;

    weft_role_assert_control(pthread_self());
    if (!weft_bucket_told_read(one, 0, &told)) {
        fail_redis(m, reply);
    } else if (told.stands == WEFT_STANDS_MISSING) {
        fail(m, 404, "not_found", "bucket", "there is no such bucket");
    } else if (told.stands == WEFT_STANDS_BROKEN) {
        fail(m, 409, "conflict", "bucket", "what Redis holds there is no bucket");
    } else {
        weft_buf_init(&b, 1024);
        weft_bucket_json(&b, weft_str(m->name, strlen(m->name)), &told, would_refuse(one));
        answer_body(m, &b);
    }
}

static void looked_at_all(void *ctx, const struct weft_reply *reply)
{
    struct admin *m = ctx;
    const char *name = m->names.data;
    struct weft_buf b;
    bool first = true;

    weft_role_assert_control(pthread_self());
    if (reply == NULL || weft_reply_is_error(reply)) {
        fail_redis(m, reply);
        return;
    }
    weft_buf_init(&b, TEXT_MAX * 2);
    weft_buf_puts(&b, "{\"buckets\":[");
    for (size_t i = 0; i < m->n_names; i++) {
        const struct weft_reply *one = weft_reply_at(reply, i + 1);
        struct weft_bucket_told told;

        if (weft_bucket_told_read(one, 0, &told) && told.conf.capacity > 0) {
            weft_buf_puts(&b, first ? "" : ",");
            weft_bucket_json(&b, weft_str(name, strlen(name)), &told, would_refuse(one));
            first = false;
        }
        if (i + 1 < m->n_names) {
            name += strlen(name) + 1;
        }
    }
    weft_buf_puts(&b, "]");
    if (m->more) {
        weft_buf_puts(&b, ",\"next\":");
        weft_buf_json(&b, weft_str(name, strlen(name)));
    }
    weft_buf_puts(&b, "}");
    answer_body(m, &b);
}

static void look(struct admin *m, const char *names, size_t n,
                 weft_redis_replied *replied) WEFT_ON_CONTROL
{
    struct call *c = call_begin();

    arg_text(c, "FCALL");
    arg_text(c, WEFT_FN_BUCKET_LOOK);
    weft_buf_u64(arg(c), n);
    for (size_t i = 0; i < n; i++) {
        weft_key_bucket(arg(c), m->bks->env->keys, weft_str(names, strlen(names)));
        names += strlen(names) + 1;
    }
    if (call_send(m->bks, c, replied, m) != 0) {
        fail_redis(m, NULL);
    }
}

/* ---- list ---- */

static void listed(void *ctx, const struct weft_reply *reply)
{
    struct admin *m = ctx;
    struct weft_buf b;

    weft_role_assert_control(pthread_self());
    if (reply == NULL || reply->kind != WEFT_REPLY_ARRAY) {
        fail_redis(m, reply);
        return;
    }
    m->more = reply->n > m->limit;
    for (size_t i = 0; i < reply->n && i < m->limit; i++) {
        struct weft_str name = weft_reply_str(reply->items[i]);

        if (weft_topic_valid(name)) {
            weft_buf_str(&m->names, name);
            weft_buf_append(&m->names, "", 1);
            m->n_names++;
        }
    }
    if (m->n_names == 0) {
        weft_buf_init(&b, 64);
        weft_buf_puts(&b, "{\"buckets\":[]}");
        answer_body(m, &b);
        return;
    }
    look(m, m->names.data, m->n_names, looked_at_all);
}

static void list(struct admin *m) WEFT_ON_CONTROL
{
    struct call *c = call_begin();
    struct weft_buf *from;

    arg_text(c, "ZRANGE");
    weft_key_buckets(arg(c), m->bks->env->keys);
    from = arg(c);
    weft_buf_puts(from, m->name[0] == '\0' ? "-" : "(");
    weft_buf_puts(from, m->name);
    arg_text(c, "+");
    arg_text(c, "BYLEX");
    arg_text(c, "LIMIT");
    arg_text(c, "0");
    weft_buf_u64(arg(c), (uint64_t)m->limit + 1);
    if (call_send(m->bks, c, listed, m) != 0) {
        fail_redis(m, NULL);
    }
}

/* ---- set and delete ---- */

static void was_set(void *ctx, const struct weft_reply *reply)
{
    struct admin *m = ctx;

    weft_role_assert_control(pthread_self());
    if (reply == NULL || reply->kind != WEFT_REPLY_INTEGER) {
        fail_redis(m, reply);
    } else if (reply->integer < 0) {
        fail(m, 409, "full", "bucket", "there are as many buckets as limits.max_buckets allows");
    } else {
        m->status = reply->integer == 1 ? 201 : 200;
        look(m, m->name, 1, looked_at_one);
    }
}

static void set(struct admin *m) WEFT_ON_CONTROL
{
    const struct weft_keys *keys = m->bks->env->keys;
    struct weft_str name = weft_str(m->name, strlen(m->name));
    struct call *c = call_begin();

    arg_text(c, "FCALL");
    arg_text(c, WEFT_FN_BUCKET_SET);
    arg_text(c, "2");
    weft_key_bucket(arg(c), keys, name);
    weft_key_buckets(arg(c), keys);
    weft_buf_str(arg(c), name);
    weft_buf_u64(arg(c), m->bks->env->cfg->limits.max_buckets);
    weft_chan_buckets(arg(c), keys);
    weft_buf_u64(arg(c), (uint64_t)m->conf.capacity);
    weft_bucket_rate_print(arg(c), m->conf.rate);
    arg_text(c, m->conf.leased ? "leased" : "exact");
    arg_text(c, m->conf.dry_run ? "yes" : "no");
    arg_text(c, weft_without_words[m->conf.without_redis]);
    if (call_send(m->bks, c, was_set, m) != 0) {
        fail_redis(m, NULL);
    }
}

static void was_deleted(void *ctx, const struct weft_reply *reply)
{
    struct admin *m = ctx;

    weft_role_assert_control(pthread_self());
    if (reply == NULL || reply->kind != WEFT_REPLY_INTEGER) {
        fail_redis(m, reply);
    } else if (reply->integer == 0) {
        fail(m, 404, "not_found", "bucket", "there is no such bucket");
    } else {
        weft_feature_answer(m->bks->env, &m->rq, weft_answer_to(&m->rq, 204));
        drop_admin(&m->rq.msg);
    }
}

static void unset(struct admin *m) WEFT_ON_CONTROL
{
    const struct weft_keys *keys = m->bks->env->keys;
    struct weft_str name = weft_str(m->name, strlen(m->name));
    struct call *c = call_begin();

    arg_text(c, "FCALL");
    arg_text(c, WEFT_FN_BUCKET_DELETE);
    arg_text(c, "2");
    weft_key_bucket(arg(c), keys, name);
    weft_key_buckets(arg(c), keys);
    weft_buf_str(arg(c), name);
    weft_chan_buckets(arg(c), keys);
    if (call_send(m->bks, c, was_deleted, m) != 0) {
        fail_redis(m, NULL);
    }
}

/* ---- requests ---- */

static void deliver_admin(struct weft_msg *msg, void *owner)
{
    struct weft_request *rq = WEFT_CONTAINER_OF(msg, struct weft_request, msg);
    struct admin *m = WEFT_CONTAINER_OF(rq, struct admin, rq);

    weft_role_assert_control(pthread_self());
    m->bks = weft_part(owner, WEFT_PART_BUCKETS);
    m->status = 200;
    if (!m->bks->up) {
        fail_redis(m, NULL);
        return;
    }
    switch (m->what) {
    case ADMIN_LIST:
        list(m);
        break;
    case ADMIN_LOOK:
        look(m, m->name, 1, looked_at_one);
        break;
    case ADMIN_SET:
        set(m);
        break;
    case ADMIN_DELETE:
        unset(m);
        break;
    }
}

static const struct weft_msg_ops admin_ops = {"buckets", deliver_admin, drop_admin};

static struct admin *admin_create(enum admin_what what, struct weft_str name)
{
    struct admin *m = calloc(1, sizeof(*m));

    WEFT_ASSERT(m != NULL && name.len < sizeof(m->name));
    m->rq.msg.ops = &admin_ops;
    m->what = what;
    weft_buf_init(&m->names, TEXT_MAX);
    if (name.len > 0) {
        memcpy(m->name, name.p, name.len);
    }
    return m;
}

struct weft_request *weft_buckets_ask_list(struct weft_str after, uint32_t limit)
{
    struct admin *m = admin_create(ADMIN_LIST, after);

    m->limit = limit < LIST_MAX ? limit : LIST_MAX;
    return &m->rq;
}

struct weft_request *weft_buckets_ask_look(struct weft_str name)
{
    return &admin_create(ADMIN_LOOK, name)->rq;
}

struct weft_request *weft_buckets_ask_set(struct weft_str name, const struct weft_bucket_conf *conf)
{
    struct admin *m = admin_create(ADMIN_SET, name);

    m->conf = *conf;
    return &m->rq;
}

struct weft_request *weft_buckets_ask_delete(struct weft_str name)
{
    return &admin_create(ADMIN_DELETE, name)->rq;
}

/* ---- how many nodes share a local bucket ---- */

static void nodes_counted(void *ctx, const struct weft_reply *reply)
{
    struct weft_buckets *bks = ctx;
    uint64_t n = 0;

    weft_role_assert_control(pthread_self());
    if (weft_reply_u64(weft_reply_at(reply, 1), &n) && n > 0 && n < 100000) {
        bks->nodes = (uint32_t)n;
        weft_gauge_set(bks->env->shard, WEFT_G_BUCKET_NODES, (int64_t)n);
    }
}

static void count_nodes(void *ctx)
{
    struct weft_buckets *bks = ctx;
    struct call *c;

    weft_role_assert_control(pthread_self());
    if (!bks->up) {
        return;
    }
    c = call_begin();
    arg_text(c, "PUBSUB");
    arg_text(c, "NUMSUB");
    weft_chan_buckets(arg(c), bks->env->keys);
    (void)call_send(bks, c, nodes_counted, bks);
    weft_timer_set(bks->nodes_timer, COUNT_NODES_MS);
}

/* ---- the feature ---- */

int weft_buckets_create(struct weft_buckets **ret_bks, const struct weft_feature_env *env)
{
    struct weft_buckets *bks = calloc(1, sizeof(*bks));
    int rc;

    if (bks == NULL) {
        return WEFT_ENOMEM;
    }
    bks->env = env;
    bks->nodes = 1;
    rc = weft_takes_init(bks);
    if (rc == 0) {
        rc = weft_timer_create(&bks->nodes_timer, env->base, count_nodes, bks);
    }
    if (rc != 0) {
        weft_buckets_destroy(bks);
        return rc;
    }
    *ret_bks = bks;
    return 0;
}

void weft_buckets_destroy(struct weft_buckets *bks)
{
    if (bks != NULL) {
        weft_takes_fini(bks);
        weft_known_forget_all(bks);
        weft_timer_destroy(bks->nodes_timer);
        free(bks);
    }
}

void weft_buckets_message(struct weft_buckets *bks, struct weft_str payload)
{
    struct weft_str name = payload;

    if (weft_str_eq(weft_str_before(&name, ' '), WEFT_STR("bucket")) && weft_topic_valid(name)) {
        weft_known_forget(bks, name);
        weft_leases_forget(bks, name);
    }
}

/* Messages may have been missed. */
void weft_buckets_up(struct weft_buckets *bks)
{
    bks->up = true;
    weft_leases_forget(bks, weft_str(NULL, 0));
    count_nodes(bks);
}

void weft_buckets_down(struct weft_buckets *bks)
{
    bks->up = false;
}
