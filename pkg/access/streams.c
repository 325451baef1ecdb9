#include <weft/access/streams.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/loop/mailbox.h>
#include <weft/loop/timer.h>
#include <weft/redis/conn.h>
#include <weft/redis/keys.h>
#include <weft/redis/reply.h>
#include <weft/telemetry/metrics.h>

#define WAIT_MS     2000
#define LOOK_MS     250
#define PENDING_MAX 4096
#define NODE_MAX    64

/* One that another node was asked for. */
struct pending {
    UT_hash_handle hh;
    uint64_t number;
    struct weft_request rq; /* worker and ticket: who waits */
    uint64_t until_ms;
};

struct weft_streams {
    const struct weft_feature_env *env;
    pthread_t owner;
    struct pending *pending;
    struct weft_timer *timer;
    uint64_t next;
    bool up;
};

/* Who has asked: a worker of this node, or another node. */
struct asker {
    struct weft_request rq;  /* worker and ticket */
    char node[NODE_MAX + 1]; /* "": this one */
    uint64_t number;
};

/* ---- answers ---- */

static void answer_problem(struct weft_streams *sts, const struct weft_request *rq, uint16_t status,
                           const char *code, const char *why) WEFT_ON_CONTROL
{
    struct weft_answer_msg *a = weft_answer_to(rq, status);

    weft_answer_problem(a, code, status == 404 ? "stream" : "", "%s", why);
    weft_feature_answer(sts->env, rq, a);
}

static void answer_text(struct weft_streams *sts, const struct weft_request *rq,
                        struct weft_str text) WEFT_ON_CONTROL
{
    struct weft_answer_msg *a = weft_answer_to(rq, 200);
    struct weft_buf b;

    weft_buf_init(&b, WEFT_STREAMS_TEXT_MAX);
    weft_buf_str(&b, text);
    weft_answer_body(a, &b);
    weft_feature_answer(sts->env, rq, a);
}

/* Takes p. */
static void finish(struct weft_streams *sts, struct pending *p) WEFT_ON_CONTROL
{
    HASH_DEL(sts->pending, p);
    free(p);
}

/* ---- the channel ---- */

/* A PUBLISH on its way. */
struct sending {
    struct weft_streams *sts;
    uint64_t number; /* of the pending one; 0: it is an answer */
};

static struct pending *find(struct weft_streams *sts, uint64_t number) WEFT_ON_CONTROL
{
    struct pending *p = NULL;

    HASH_FIND(hh, sts->pending, &number, sizeof(number), p);
    return p;
}

static void finish_unavailable(struct weft_streams *sts, struct pending *p) WEFT_ON_CONTROL
{
    answer_problem(sts, &p->rq, 503, "unavailable", "Redis is away");
    finish(sts, p);
}

/*
 * Nobody heard it: there is no such node. Else whoever has to answer does, or the time is over. Whether it was heard may
 * not be known at all.
 */
static void published(void *ctx, const struct weft_reply *reply)
{
    struct sending *sending = ctx;
    struct weft_streams *sts = sending->sts;

    weft_role_assert_control(sts->owner);
    struct pending *p = find(sts, sending->number);

    if (p != NULL && (reply == NULL || reply->kind != WEFT_REPLY_INTEGER)) {
        finish_unavailable(sts, p);
    } else if (p != NULL && reply->integer == 0) {
        answer_problem(sts, &p->rq, 404, "not_found", "the stream's node is not there any more");
        finish(sts, p);
    }
    free(sending);
}

/* To the channel of a node. */
static bool send(struct weft_streams *sts, const char *node, uint64_t number,
                 const struct weft_buf *message) WEFT_ON_CONTROL
{
    struct sending *sending = calloc(1, sizeof(*sending));
    struct weft_buf channel;
    bool sent;

    WEFT_ASSERT(sending != NULL);
    *sending = (struct sending){sts, number};
    weft_buf_init(&channel, 512);
    weft_chan_streams(&channel, sts->env->keys, node);
    struct weft_str argv[] = {WEFT_STR("PUBLISH"), weft_str(channel.data, channel.len),
                              weft_str(message->data, message->len)};
    sent = sts->up && sts->env->cn != NULL && !message->toobig &&
           weft_redis_send(sts->env->cn, published, sending, 3, argv) == 0;
    if (!sent) {
        free(sending);
    }
    weft_buf_fini(&channel);
    return sent;
}

/* ---- to the worker and back ---- */

struct act_msg {
    struct weft_msg msg;
    struct asker asker;
    size_t len;
    char text[];
};

static void drop_act(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct act_msg, msg));
}

static struct act_msg *act_create(const struct weft_msg_ops *ops, const struct asker *asker,
                                  struct weft_str text)
{
    struct act_msg *m = calloc(1, sizeof(*m) + text.len);

    WEFT_ASSERT(m != NULL);
    m->msg.ops = ops;
    m->asker = *asker;
    m->len = text.len;
    memcpy(m->text, text.p, text.len);
    return m;
}

static void deliver_answer(struct weft_msg *msg, void *owner)
{
    struct act_msg *m = WEFT_CONTAINER_OF(msg, struct act_msg, msg);
    struct weft_streams *sts = weft_part(owner, WEFT_PART_STREAMS);
    struct weft_str text = weft_str(m->text, m->len);
    struct weft_buf b;

    weft_role_assert_control(sts->owner);
    if (m->asker.node[0] == '\0') {
        answer_text(sts, &m->asker.rq, text);
    } else {
        weft_buf_init(&b, 2 * WEFT_STREAMS_TEXT_MAX);
        weft_buf_puts(&b, "answer ");
        weft_buf_u64(&b, m->asker.number);
        weft_buf_puts(&b, " ");
        weft_buf_str(&b, text);
        (void)send(sts, m->asker.node, 0, &b); /* else he waits in vain, and is told so */
        weft_buf_fini(&b);
    }
    free(m);
}

static void deliver_act(struct weft_msg *msg, void *owner)
{
    static const struct weft_msg_ops ops = {"stream answer", deliver_answer, drop_act};
    struct act_msg *m = WEFT_CONTAINER_OF(msg, struct act_msg, msg);
    const struct weft_streams_part *part = weft_part(owner, WEFT_PART_STREAMS);
    struct weft_msg *back;
    struct weft_buf b;

    weft_buf_init(&b, WEFT_STREAMS_TEXT_MAX);
    part->act(part->ctx, weft_str(m->text, m->len), &b);
    back = &act_create(&ops, &m->asker, weft_str(b.data, b.len))->msg;
    weft_buf_fini(&b);
    /* Whatever waits there: who has asked here waits for as long as it takes, and the request was let in. */
    weft_mailbox_post_chain(part->control, back, back, 1);
    free(m);
}

static void act(struct weft_streams *sts, uint32_t worker, const struct asker *asker,
                struct weft_str text) WEFT_ON_CONTROL
{
    static const struct weft_msg_ops ops = {"stream act", deliver_act, drop_act};

    weft_feature_tell(sts->env, worker, &act_create(&ops, asker, text)->msg);
}

/* ---- requests ---- */

struct request {
    struct weft_request rq;
    char node[NODE_MAX + 1];
    uint32_t worker;
    size_t len;
    char text[];
};

static struct request *request_of(struct weft_msg *msg)
{
    return WEFT_CONTAINER_OF(WEFT_CONTAINER_OF(msg, struct weft_request, msg), struct request, rq);
}

static void drop_request(struct weft_msg *msg)
{
    free(request_of(msg));
}

static void ask_node(struct weft_streams *sts, const struct request *m) WEFT_ON_CONTROL
{
    struct pending *p;
    struct weft_buf b;
    bool sent;

    if (HASH_COUNT(sts->pending) >= PENDING_MAX) {
        answer_problem(sts, &m->rq, 503, "busy", "too much is being asked at the moment");
        return;
    }
    p = calloc(1, sizeof(*p));
    WEFT_ASSERT(p != NULL);
    p->number = ++sts->next;
    p->rq = m->rq;
    p->until_ms = weft_clock_mono_ms() + WAIT_MS;
    HASH_ADD(hh, sts->pending, number, sizeof(p->number), p);
    weft_buf_init(&b, 2 * WEFT_STREAMS_TEXT_MAX);
    weft_buf_printf(&b, "ask %s ", sts->env->node_id);
    weft_buf_u64(&b, p->number);
    weft_buf_printf(&b, " %u ", (unsigned)m->worker);
    weft_buf_append(&b, m->text, m->len);
    sent = send(sts, m->node, p->number, &b);
    weft_buf_fini(&b);
    if (!sent) {
        finish_unavailable(sts, p);
        return;
    }
    if (!weft_timer_is_set(sts->timer)) {
        weft_timer_set(sts->timer, LOOK_MS);
    }
}

static void deliver_request(struct weft_msg *msg, void *owner)
{
    struct weft_streams *sts = weft_part(owner, WEFT_PART_STREAMS);
    struct request *m = request_of(msg);

    weft_role_assert_control(sts->owner);
    if (strcmp(m->node, sts->env->node_id) != 0) {
        ask_node(sts, m);
    } else if (m->worker >= sts->env->n_workers) {
        answer_problem(sts, &m->rq, 404, "not_found", "there is no such stream");
    } else {
        struct asker asker = {.rq = m->rq};

        act(sts, m->worker, &asker, weft_str(m->text, m->len));
    }
    free(m);
}

struct weft_request *weft_streams_ask(struct weft_str node, uint32_t worker, struct weft_str text)
{
    static const struct weft_msg_ops ops = {"stream ask", deliver_request, drop_request};
    struct request *m = calloc(1, sizeof(*m) + text.len);

    WEFT_ASSERT(m != NULL && node.len <= NODE_MAX && text.len <= WEFT_STREAMS_TEXT_MAX);
    m->rq.msg.ops = &ops;
    memcpy(m->node, node.p, node.len);
    m->worker = worker;
    m->len = text.len;
    memcpy(m->text, text.p, text.len);
    return &m->rq;
}

static void look_due(void *ctx)
{
    struct weft_streams *sts = ctx;
    uint64_t now_ms = weft_clock_mono_ms();
    struct pending *p;
    struct pending *next;

    weft_role_assert_control(sts->owner);
    HASH_ITER(hh, sts->pending, p, next) {
        if (now_ms >= p->until_ms) {
            answer_problem(sts, &p->rq, 404, "not_found",
                           "the stream's node does not answer: both are gone, or cut off");
            finish(sts, p);
        }
    }
    if (sts->pending != NULL) {
        weft_timer_set(sts->timer, LOOK_MS);
    }
}

/* ---- what other nodes say ---- */

static void asked(struct weft_streams *sts, struct weft_str rest) WEFT_ON_CONTROL
{
    struct weft_str from = weft_str_before(&rest, ' ');
    struct asker asker = {.number = 0};
    uint64_t worker;

    if (from.len == 0 || from.len > NODE_MAX ||
        !weft_str_u64(weft_str_before(&rest, ' '), &asker.number) ||
        !weft_str_u64(weft_str_before(&rest, ' '), &worker) || worker >= sts->env->n_workers ||
        rest.len > WEFT_STREAMS_TEXT_MAX) {
        return;
    }
    memcpy(asker.node, from.p, from.len);
    act(sts, (uint32_t)worker, &asker, rest);
}

static void answered(struct weft_streams *sts, struct weft_str rest) WEFT_ON_CONTROL
{
    struct pending *p;
    uint64_t number;

    if (!weft_str_u64(weft_str_before(&rest, ' '), &number) || rest.len > WEFT_STREAMS_TEXT_MAX) {
        return;
    }
    p = find(sts, number);
    if (p != NULL) {
        answer_text(sts, &p->rq, rest);
        finish(sts, p);
    }
}

void weft_streams_message(struct weft_streams *sts, struct weft_str payload)
{
    struct weft_str word = weft_str_before(&payload, ' ');

    if (weft_str_eq(word, WEFT_STR("ask"))) {
        asked(sts, payload);
    } else if (weft_str_eq(word, WEFT_STR("answer"))) {
        answered(sts, payload);
    }
}

/* ---- life ---- */

void weft_streams_up(struct weft_streams *sts)
{
    sts->up = true;
}

void weft_streams_down(struct weft_streams *sts)
{
    struct pending *p;
    struct pending *next;

    sts->up = false;
    HASH_ITER(hh, sts->pending, p, next) {
        finish_unavailable(sts, p); /* an answer would have come through Redis */
    }
}

int weft_streams_create(struct weft_streams **ret_sts, const struct weft_feature_env *env)
{
    struct weft_streams *sts = calloc(1, sizeof(*sts));
    int rc;

    if (sts == NULL) {
        return WEFT_ENOMEM;
    }
    sts->env = env;
    sts->owner = pthread_self();
    sts->next =
        env->seed; /* a node that comes again under its name does not take answers for the one before */
    rc = weft_timer_create(&sts->timer, env->base, look_due, sts);
    if (rc != 0) {
        free(sts);
        return rc;
    }
    *ret_sts = sts;
    return 0;
}

void weft_streams_destroy(struct weft_streams *sts)
{
    struct pending *p;
    struct pending *next;

    if (sts == NULL) {
        return;
    }
    HASH_ITER(hh, sts->pending, p, next) {
        finish(sts, p);
    }
    weft_timer_destroy(sts->timer);
    free(sts);
}
