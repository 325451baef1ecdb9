/* The copy of the list against a Redis that is a list of commands: what overtakes what, and what gets lost. */
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
static void fake_destroy(struct weft_timer *timer);

#define weft_redis_send    fake_send
#define weft_timer_create  fake_timer
#define weft_timer_set     fake_set
#define weft_timer_destroy fake_destroy
#include "revocations.c"

#define MAX 3

/* ---- the Redis ---- */

static struct {
    weft_redis_replied *replied;
    void *ctx;
    char command[32];
    char last[24]; /* argument */
} sent;

static int fake_send(struct weft_redis_conn *cn, weft_redis_replied *replied, void *ctx,
                     size_t argc, const struct weft_str *argv)
{
    assert_null(sent.replied);
    sent.replied = replied;
    sent.ctx = ctx;
    (void)snprintf(sent.command, sizeof(sent.command), "%.*s", (int)argv[0].len, argv[0].p);
    (void)snprintf(sent.last, sizeof(sent.last), "%.*s", (int)argv[argc - 1].len, argv[argc - 1].p);
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

static void fake_destroy(struct weft_timer *timer)
{
}

static void answer(const char *command, const struct weft_reply *reply)
{
    weft_redis_replied *replied = sent.replied;

    assert_string_equal(sent.command, command);
    sent.replied = NULL;
    replied(sent.ctx, reply);
}

static void answer_version(int64_t version)
{
    const struct weft_reply reply = {.kind = WEFT_REPLY_INTEGER, .integer = version};

    answer("GET", &reply);
}

/* "a b": these are revoked for ever. */
static void answer_list(const char *jtis)
{
    struct weft_reply parts[16];
    struct weft_reply *items[16];
    struct weft_reply list = {.kind = WEFT_REPLY_ARRAY, .items = items};

    for (const char *c = jtis; *c != '\0'; c++) {
        if (*c == ' ')
            continue;
        parts[list.n] = (struct weft_reply){.kind = WEFT_REPLY_STRING, .str = weft_str(c, 1)};
        parts[list.n + 1] =
            (struct weft_reply){.kind = WEFT_REPLY_STRING, .str = WEFT_STR("9007199254740991")};
        items[list.n] = &parts[list.n];
        items[list.n + 1] = &parts[list.n + 1];
        list.n += 2;
    }
    answer("ZRANGEBYSCORE", &list);
}

/* ---- a node ---- */

struct node {
    struct weft_config cfg;
    struct weft_keys keys;
    struct weft_metrics *metrics;
    struct weft_log *log;
    struct weft_revoked *table;
    struct weft_feature_env env;
    struct weft_revocations *rvs;
};

static int setup(void **state)
{
    static struct node node;

    weft_role_assert_control(pthread_self());
    memset(&sent, 0, sizeof(sent));
    memset(&node, 0, sizeof(node));
    node.cfg.auth.revoked_max = MAX;
    node.keys = (struct weft_keys){.prefix = "weft"};
    node.metrics = weft_metrics_create(1);
    node.log = weft_log_create(-1, WEFT_LOG_ERROR, WEFT_LOG_JSON, NULL);
    node.table = weft_revoked_create(MAX);
    node.env = (struct weft_feature_env){
        .cfg = &node.cfg,
        .keys = &node.keys,
        .cn = (struct weft_redis_conn *)&node, /* never looked into */
        .shard = weft_metrics_shard(node.metrics, 0),
        .log = node.log,
    };
    assert_int_equal(weft_revocations_create(&node.rvs, &node.env, node.table), 0);
    weft_revocations_up(node.rvs);
    *state = &node;
    return 0;
}

static int teardown(void **state)
{
    struct node *node = *state;

    weft_role_assert_control(pthread_self());
    weft_revocations_destroy(node->rvs);
    weft_revoked_destroy(node->table);
    weft_log_destroy(node->log);
    weft_metrics_destroy(node->metrics);
    return 0;
}

static void heard(const struct node *node, const char *text)
{
    weft_role_assert_control(pthread_self());
    weft_revocations_message(node->rvs, weft_str(text, strlen(text)));
}

static void check_comes(const struct node *node)
{
    check_due(node->rvs);
}

/* Exactly these, of a to f. */
static void revoked_are(const struct node *node, const char *expected)
{
    char found[16] = "";

    for (char c = 'a'; c <= 'f'; c++) {
        if (weft_revoked_has(node->table, weft_str(&c, 1), now_ms()))
            (void)snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%c",
                           found[0] != '\0' ? " " : "", c);
    }
    assert_string_equal(found, expected);
}

/* ---- */

static void the_list_is_read_and_then_only_when_it_has_changed(void **state)
{
    const struct node *node = *state;

    answer_version(2);
    answer_list("a b");
    revoked_are(node, "a b");
    check_comes(node);
    answer_version(2);
    heard(node, "3 9007199254740991 c");
    revoked_are(node, "a b c");
    check_comes(node);
    answer_version(3);
    assert_null(sent.replied);
    check_comes(node);
    answer_version(5); /* two were missed */
    answer_list("c");
    revoked_are(node, "c");
}

static void a_change_that_overtakes_the_list_stays(void **state)
{
    const struct node *node = *state;

    answer_version(1);
    heard(node, "2 9007199254740991 b");
    answer_list("a"); /* read before it */
    revoked_are(node, "a b");
    check_comes(node);
    answer_version(2);
    answer_list("a b");
    revoked_are(node, "a b");
    check_comes(node);
    answer_version(2);
    assert_null(sent.replied);
}

static void one_that_is_good_again_is_so_at_the_next_check(void **state)
{
    const struct node *node = *state;

    answer_version(2);
    heard(node, "3 0 a");
    answer_list("a b"); /* read before it */
    check_comes(node);
    answer_version(3);
    answer_list("b");
    revoked_are(node, "b");
}

static void a_change_that_overtakes_the_version_does_no_harm(void **state)
{
    const struct node *node = *state;

    answer_version(1);
    answer_list("a");
    check_comes(node);
    heard(node, "2 9007199254740991 b");
    answer_version(1);
    assert_null(sent.replied);
    check_comes(node);
    answer_version(2);
    assert_null(sent.replied);
    revoked_are(node, "a b");
}

static void what_redis_has_lost_stays_revoked(void **state)
{
    const struct node *node = *state;

    answer_version(7);
    answer_list("a b");
    check_comes(node);
    answer_version(0); /* flushed */
    answer_list("");
    revoked_are(node, "a b");
    heard(node, "1 9007199254740991 c");
    revoked_are(node, "a b c");
    check_comes(node);
    answer_version(1);
    assert_null(sent.replied);
    check_comes(node);
    answer_version(3); /* one was missed */
    answer_list("c");
    revoked_are(node, "a b c");
    heard(node, "4 0 a"); /* whoever wants it good again says so */
    revoked_are(node, "b c");
}

static void more_than_there_is_room_for_is_counted(void **state)
{
    const struct node *node = *state;

    answer_version(4);
    assert_string_equal(sent.last, "4"); /* one more than MAX */
    answer_list("a b c d");
    revoked_are(node, "a b c");
    assert_int_equal(weft_metrics_counter(node->metrics, WEFT_M_REVOKED_FULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_list_is_read_and_then_only_when_it_has_changed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_change_that_overtakes_the_list_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_is_good_again_is_so_at_the_next_check, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_change_that_overtakes_the_version_does_no_harm, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_redis_has_lost_stays_revoked, setup, teardown),
        cmocka_unit_test_setup_teardown(more_than_there_is_room_for_is_counted, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
