/* Requests for streams, between real mailboxes and a Redis that is one command: each is answered, and with what is true. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <weft/loop/timer.h>
#include <weft/redis/conn.h>

static int fake_send(struct weft_redis_conn *cn, weft_redis_replied *replied, void *ctx,
                     size_t argc, const struct weft_str *argv);
static int fake_timer(struct weft_timer **ret_timer, struct event_base *base,
                      void (*due)(void *ctx), void *ctx);
static void fake_set(struct weft_timer *timer, uint32_t ms);
static bool fake_is_set(const struct weft_timer *timer);
static void fake_destroy(struct weft_timer *timer);

#define weft_redis_send    fake_send
#define weft_timer_create  fake_timer
#define weft_timer_set     fake_set
#define weft_timer_is_set  fake_is_set
#define weft_timer_destroy fake_destroy
#include "streams.c"

/* ---- the Redis ---- */

static struct {
    weft_redis_replied *replied;
    void *ctx;
    char message[200];
} sent;

static int fake_send(struct weft_redis_conn *cn, weft_redis_replied *replied, void *ctx,
                     size_t argc, const struct weft_str *argv)
{
    assert_null(sent.replied);
    assert_int_equal(argc, 3);
    sent.replied = replied;
    sent.ctx = ctx;
    (void)snprintf(sent.message, sizeof(sent.message), "%.*s", (int)argv[2].len, argv[2].p);
    return 0;
}

static int fake_timer(struct weft_timer **ret_timer, struct event_base *base,
                      void (*due)(void *ctx), void *ctx)
{
    *ret_timer = NULL;
    return 0;
}

static void fake_set(struct weft_timer *timer, uint32_t ms)
{
}

static bool fake_is_set(const struct weft_timer *timer)
{
    return true;
}

static void fake_destroy(struct weft_timer *timer)
{
}

/* NULL: the connection was lost before. */
static void redis_replies(const struct weft_reply *reply)
{
    weft_redis_replied *replied = sent.replied;

    assert_non_null(replied);
    sent.replied = NULL;
    replied(sent.ctx, reply);
}

static void redis_heard(int64_t n)
{
    const struct weft_reply reply = {.kind = WEFT_REPLY_INTEGER, .integer = n};

    redis_replies(&reply);
}

/* ---- a node: control and one worker, on this thread ---- */

static struct {
    int n;
    int status;
    char code[32];
    char body[64];
} told;

static void drop_worker_answer(struct weft_msg *msg)
{
    weft_answer_msg_free(WEFT_CONTAINER_OF(msg, struct weft_answer_msg, msg));
}

static void take_worker_answer(struct weft_msg *msg, void *owner)
{
    struct weft_answer_msg *a = WEFT_CONTAINER_OF(msg, struct weft_answer_msg, msg);

    told.n++;
    told.status = a->status;
    (void)snprintf(told.code, sizeof(told.code), "%s", a->code == NULL ? "" : a->code);
    (void)snprintf(told.body, sizeof(told.body), "%.*s", (int)a->body_len,
                   a->body == NULL ? "" : a->body);
    weft_answer_msg_free(a);
}

static void act_on(void *ctx, struct weft_str text, struct weft_buf *answer)
{
    weft_buf_puts(answer, "did ");
    weft_buf_str(answer, text);
}

struct node {
    struct weft_parts control_parts, worker_parts; /* what owns a mailbox begins with them */
    struct weft_mailbox *control, *worker;
    struct weft_streams_part part;
    struct weft_keys keys;
    struct weft_worker_ops ops;
    struct weft_feature_env env;
    struct weft_streams *sts;
};

static int setup(void **state)
{
    static struct node node;

    weft_role_assert_control(pthread_self());
    memset(&sent, 0, sizeof(sent));
    memset(&told, 0, sizeof(told));
    memset(&node, 0, sizeof(node));
    assert_int_equal(weft_mailbox_create(&node.control, 1, &node.control_parts), 0);
    assert_int_equal(weft_mailbox_create(&node.worker, 1, &node.worker_parts), 0);
    node.keys = (struct weft_keys){.prefix = "weft"};
    node.ops.answer = (struct weft_msg_ops){"answer", take_worker_answer, drop_worker_answer};
    node.env = (struct weft_feature_env){
        .keys = &node.keys,
        .cn = (struct weft_redis_conn *)&node, /* never looked into */
        .node_id = "here",
        .workers = &node.worker,
        .n_workers = 1,
        .ops = &node.ops,
    };
    assert_int_equal(weft_streams_create(&node.sts, &node.env), 0);
    node.part = (struct weft_streams_part){.act = act_on, .control = node.control};
    node.control_parts.of[WEFT_PART_STREAMS] = node.sts;
    node.worker_parts.of[WEFT_PART_STREAMS] = &node.part;
    weft_streams_up(node.sts);
    *state = &node;
    return 0;
}

static int teardown(void **state)
{
    struct node *node = *state;

    weft_role_assert_control(pthread_self());
    weft_streams_destroy(node->sts);
    weft_mailbox_destroy(node->control);
    weft_mailbox_destroy(node->worker);
    return 0;
}

/* The worker asks for a stream of worker 0 of that node. */
static void ask_for(const struct node *node, const char *of)
{
    struct weft_msg *msg =
        &weft_streams_ask(weft_str(of, strlen(of)), 0, WEFT_STR("something"))->msg;

    assert_int_equal(weft_mailbox_post(node->control, &msg), 0);
    (void)weft_mailbox_drain(node->control);
}

static void answer_is(int status, const char *code, const char *body)
{
    assert_int_equal(told.n, 1);
    assert_int_equal(told.status, status);
    assert_string_equal(told.code, code);
    assert_string_equal(told.body, body);
}

/* ---- */

static void drop_nothing(struct weft_msg *msg)
{
    (void)msg;
}

static void ignore(struct weft_msg *msg, void *owner)
{
}

static void a_local_answer_comes_however_full_control_is(void **state)
{
    static const struct weft_msg_ops other_ops = {"other", ignore, drop_nothing};
    const struct node *node = *state;
    struct weft_msg other = {.ops = &other_ops};
    struct weft_msg *msg = &other;

    ask_for(node, "here");
    assert_int_equal(weft_mailbox_post(node->control, &msg), 0);
    assert_int_equal(weft_mailbox_len(node->control), 1); /* all there is room for */
    (void)weft_mailbox_drain(node->worker);               /* acts */
    (void)weft_mailbox_drain(node->control);
    (void)weft_mailbox_drain(node->worker);
    answer_is(200, "", "did something");
    assert_null(sent.replied);
}

static void another_node_is_asked_and_answers(void **state)
{
    const struct node *node = *state;

    weft_role_assert_control(pthread_self());
    ask_for(node, "there");
    assert_string_equal(sent.message, "ask here 1 0 something");
    redis_heard(1);
    assert_int_equal(weft_mailbox_len(node->worker), 0);
    weft_streams_message(node->sts, WEFT_STR("answer 1 done"));
    (void)weft_mailbox_drain(node->worker);
    answer_is(200, "", "done");
}

static void a_node_that_nobody_hears_for_is_gone(void **state)
{
    const struct node *node = *state;

    ask_for(node, "there");
    redis_heard(0);
    (void)weft_mailbox_drain(node->worker);
    answer_is(404, "not_found", "");
}

static void redis_goes_before_it_replies(void **state)
{
    const struct node *node = *state;

    ask_for(node, "there");
    redis_replies(NULL);
    (void)weft_mailbox_drain(node->worker);
    answer_is(503, "unavailable", "");
}

static void redis_replies_with_an_error(void **state)
{
    const struct weft_reply error = {.kind = WEFT_REPLY_ERROR};
    const struct node *node = *state;

    ask_for(node, "there");
    redis_replies(&error);
    (void)weft_mailbox_drain(node->worker);
    answer_is(503, "unavailable", "");
}

static void redis_goes_before_the_answer_comes(void **state)
{
    const struct node *node = *state;

    weft_role_assert_control(pthread_self());
    ask_for(node, "there");
    redis_heard(1);
    weft_streams_down(node->sts);
    (void)weft_mailbox_drain(node->worker);
    answer_is(503, "unavailable", "");
    weft_streams_up(node->sts);
    weft_streams_message(node->sts, WEFT_STR("answer 1 done")); /* nobody waits for it any more */
    (void)weft_mailbox_drain(node->worker);
    assert_int_equal(told.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_local_answer_comes_however_full_control_is, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_node_is_asked_and_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_that_nobody_hears_for_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(redis_goes_before_it_replies, setup, teardown),
        cmocka_unit_test_setup_teardown(redis_replies_with_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(redis_goes_before_the_answer_comes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
