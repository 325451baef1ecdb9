/* Mailboxes: bounded, in order for each poster, woken once, nothing lost between threads. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <weft/base/assert.h>
#include <weft/loop/mailbox.h>

#define POSTERS  4
#define MESSAGES 20000

struct number {
    struct weft_msg msg;
    unsigned poster, n;
};

struct owner {
    unsigned next[POSTERS];
    size_t delivered, dropped;
};

static struct owner *owner_of_dropped; /* drop has no owner: the test's own */

static void deliver(struct weft_msg *msg, void *arg)
{
    struct number *number = WEFT_CONTAINER_OF(msg, struct number, msg);
    struct owner *owner = arg;

    assert_int_equal(number->n, owner->next[number->poster]);
    owner->next[number->poster]++;
    owner->delivered++;
    free(number);
}

static void drop(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct number, msg));
    owner_of_dropped->dropped++;
}

static const struct weft_msg_ops ops = {"number", deliver, drop};

static struct weft_msg *number_create(unsigned poster, unsigned n)
{
    struct number *number = calloc(1, sizeof(*number));

    WEFT_ASSERT(number != NULL);
    number->msg.ops = &ops;
    number->poster = poster;
    number->n = n;
    return &number->msg;
}

static bool is_readable(const struct weft_mailbox *mb, int wait_ms)
{
    struct pollfd pfd = {.fd = weft_mailbox_fd(mb), .events = POLLIN};

    return poll(&pfd, 1, wait_ms) == 1;
}

static void full_refuses_and_chains_do_not(void **state)
{
    struct owner owner = {{0}, 0, 0};
    struct weft_mailbox *mb;
    struct weft_msg *msg;

    (void)state;
    assert_int_equal(weft_mailbox_create(&mb, 2, &owner), 0);
    assert_false(is_readable(mb, 0));
    for (unsigned n = 0; n < 2; n++) {
        msg = number_create(0, n);
        assert_int_equal(weft_mailbox_post(mb, &msg), 0);
        assert_null(msg);
    }
    msg = number_create(0, 2);
    assert_int_equal(weft_mailbox_post(mb, &msg), WEFT_EFULL);
    assert_non_null(msg);
    weft_mailbox_post_chain(mb, msg, msg, 1);
    assert_int_equal(weft_mailbox_len(mb), 3);
    assert_true(is_readable(mb, 0));
    assert_int_equal(weft_mailbox_drain(mb), 3);
    assert_false(is_readable(mb, 0));
    assert_int_equal(owner.delivered, 3);
    weft_mailbox_destroy(mb);
}

static void what_is_left_is_dropped(void **state)
{
    struct owner owner = {{0}, 0, 0};
    struct weft_mailbox *mb;

    (void)state;
    owner_of_dropped = &owner;
    assert_int_equal(weft_mailbox_create(&mb, 8, &owner), 0);
    for (unsigned n = 0; n < 5; n++) {
        struct weft_msg *msg = number_create(0, n);

        assert_int_equal(weft_mailbox_post(mb, &msg), 0);
    }
    weft_mailbox_destroy(mb);
    assert_int_equal(owner.dropped, 5);
    assert_int_equal(owner.delivered, 0);
}

struct poster {
    struct weft_mailbox *mb;
    unsigned me;
};

static void *post_all(void *arg)
{
    struct poster *poster = arg;

    for (unsigned n = 0; n < MESSAGES; n++) {
        struct weft_msg *msg = number_create(poster->me, n);

        while (weft_mailbox_post(poster->mb, &msg) != 0) {
            (void)sched_yield(); /* full: the owner is behind */
        }
    }
    return NULL;
}

static void many_posters_each_in_order(void **state)
{
    struct owner owner = {{0}, 0, 0};
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    struct weft_mailbox *mb;

    (void)state;
    assert_int_equal(weft_mailbox_create(&mb, 64, &owner), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){mb, i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    while (owner.delivered < (size_t)POSTERS * MESSAGES) {
        assert_true(is_readable(mb, 10000)); /* never asleep while something waits */
        (void)weft_mailbox_drain(mb);
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    weft_mailbox_destroy(mb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_refuses_and_chains_do_not),
        cmocka_unit_test(what_is_left_is_dropped),
        cmocka_unit_test(many_posters_each_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
