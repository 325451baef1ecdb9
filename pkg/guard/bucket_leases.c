#include "buckets_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

struct lease_call {
    struct weft_buckets *bks;
    struct weft_lease_msg *m;
};

static void drop_lease(struct weft_msg *msg)
{
    struct weft_request *rq = WEFT_CONTAINER_OF(msg, struct weft_request, msg);

    free(WEFT_CONTAINER_OF(rq, struct weft_lease_msg, rq));
}

/* Takes m. reply: NULL if there is none. */
static void tell(struct weft_buckets *bks, struct weft_lease_msg *m, bool sent,
                 const struct weft_reply *reply) WEFT_ON_CONTROL
{
    struct weft_leased_msg *a = calloc(1, sizeof(*a));
    const struct weft_reply *got = weft_reply_at(reply, 1);

    WEFT_ASSERT(a != NULL);
    a->msg.ops = &weft_leased_ops;
    a->stock = m->stock;
    a->sent = sent;
    a->ask = m->ask;
    memcpy(a->name, m->name, sizeof(a->name));
    a->ok = got != NULL && got->kind == WEFT_REPLY_INTEGER && got->integer >= 0 &&
            weft_bucket_told_read(weft_reply_at(reply, 2), 0, &a->told);
    a->got = a->ok ? got->integer : 0;
    weft_feature_tell(bks->env, m->rq.worker, &a->msg);
    drop_lease(&m->rq.msg);
}

static void lease_answered(void *ctx, const struct weft_reply *reply)
{
    struct lease_call *call = ctx;

    weft_role_assert_control(pthread_self());
    tell(call->bks, call->m, true, reply);
    free(call);
}

static bool send_lease(struct weft_buckets *bks, struct weft_lease_msg *m) WEFT_ON_CONTROL
{
    struct lease_call *call;
    struct weft_buf text;
    struct weft_str argv[9] = {WEFT_STR("FCALL"), WEFT_STR(WEFT_FN_BUCKET_LEASE), WEFT_STR("1")};
    size_t begins[9];
    uint64_t numbers[] = {(uint64_t)m->ask.back, (uint64_t)m->ask.wanted, m->ask.would};
    int rc;

    if (!weft_buckets_can_ask(bks)) {
        return false;
    }
    weft_buf_init(&text, 1024);
    begins[3] = 0;
    weft_key_bucket(&text, bks->env->keys, weft_str(m->name, strlen(m->name)));
    begins[4] = text.len;
    weft_buf_u64(&text, (uint64_t)m->given.capacity);
    begins[5] = text.len;
    weft_bucket_rate_print(&text, m->given.rate);
    for (size_t i = 0; i < 3; i++) {
        begins[6 + i] = text.len;
        weft_buf_u64(&text, numbers[i]);
    }
    for (size_t i = 3; i < 9; i++) {
        size_t end = i < 8 ? begins[i + 1] : text.len;

        argv[i] = weft_str(text.data + begins[i], end - begins[i]);
    }
    call = calloc(1, sizeof(*call));
    WEFT_ASSERT(call != NULL);
    *call = (struct lease_call){bks, m};
    rc = weft_redis_send(bks->env->cn, lease_answered, call, 9, argv);
    weft_buf_fini(&text);
    if (rc != 0) {
        free(call);
    }
    return rc == 0;
}

static void deliver_lease(struct weft_msg *msg, void *owner)
{
    struct weft_buckets *bks = weft_part(owner, WEFT_PART_BUCKETS);
    struct weft_request *rq = WEFT_CONTAINER_OF(msg, struct weft_request, msg);
    struct weft_lease_msg *m = WEFT_CONTAINER_OF(rq, struct weft_lease_msg, rq);

    weft_role_assert_control(pthread_self());
    if (!send_lease(bks, m)) {
        tell(bks, m, false, NULL);
    }
}

static const struct weft_msg_ops lease_ops = {"lease", deliver_lease, drop_lease};

struct weft_lease_msg *weft_lease_msg_create(void)
{
    struct weft_lease_msg *m = calloc(1, sizeof(*m));

    WEFT_ASSERT(m != NULL);
    m->rq.msg.ops = &lease_ops;
    return m;
}

void weft_leases_forget(struct weft_buckets *bks, struct weft_str name)
{
    for (size_t i = 0; i < bks->env->n_workers; i++) {
        struct weft_forget_msg *m = calloc(1, sizeof(*m));

        WEFT_ASSERT(m != NULL && name.len < sizeof(m->name));
        m->msg.ops = &weft_forget_ops;
        if (name.len > 0) {
            memcpy(m->name, name.p, name.len);
        }
        weft_feature_tell(bks->env, i, &m->msg);
    }
}
