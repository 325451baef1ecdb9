#include <weft/guard/breakers.h>

#include <stdlib.h>

#include <weft/base/assert.h>

struct weft_breakers {
    const struct weft_feature_env *env;
    bool up;
};

struct list_request {
    struct weft_request rq;
};

static void drop_list(struct weft_msg *msg)
{
    struct weft_request *rq = WEFT_CONTAINER_OF(msg, struct weft_request, msg);

    free(WEFT_CONTAINER_OF(rq, struct list_request, rq));
}

static void deliver_list(struct weft_msg *msg, void *owner)
{
    struct weft_request *rq = WEFT_CONTAINER_OF(msg, struct weft_request, msg);
    struct weft_breakers *brs = weft_part(owner, WEFT_PART_BREAKERS);
    struct weft_answer_msg *a = weft_answer_to(rq, brs->up ? 200 : 503);
    struct weft_buf b;

    weft_role_assert_control(pthread_self());
    if (brs->up) {
        weft_buf_init(&b, 4096);
        weft_buf_puts(&b, "{\"breakers\":[]}");
        weft_answer_body(a, &b);
    } else {
        weft_answer_problem(a, "unavailable", "", "Redis is away");
    }
    weft_feature_answer(brs->env, rq, a);
    drop_list(msg);
}

static const struct weft_msg_ops list_ops = {"breakers", deliver_list, drop_list};

struct weft_request *weft_breakers_ask_list(void)
{
    struct list_request *m = calloc(1, sizeof(*m));

    WEFT_ASSERT(m != NULL);
    m->rq.msg.ops = &list_ops;
    return &m->rq;
}

int weft_breakers_create(struct weft_breakers **ret_brs, const struct weft_feature_env *env)
{
    struct weft_breakers *brs = calloc(1, sizeof(*brs));

    if (brs == NULL) {
        return WEFT_ENOMEM;
    }
    brs->env = env;
    *ret_brs = brs;
    return 0;
}

void weft_breakers_destroy(struct weft_breakers *brs)
{
    free(brs);
}

void weft_breakers_message(struct weft_breakers *brs, struct weft_str payload)
{
    (void)brs;
    (void)payload;
}

void weft_breakers_up(struct weft_breakers *brs)
{
    brs->up = true;
}

void weft_breakers_down(struct weft_breakers *brs)
{
    brs->up = false;
}
