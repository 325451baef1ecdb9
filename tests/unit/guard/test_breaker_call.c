/* Results that wait for their turn to be counted: whose sums are sent, and what each is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "breaker_call.c" /* for its statics */

#define OPS 8

static struct weft_breaker_op ops[OPS];
static int counted[OPS]; /* what it was told; -1: nothing */
static struct weft_breaker_queue queue;

static void done(struct weft_breaker_op *op, const struct weft_breaker_result *r)
{
    counted[op - ops] = r->yes;
}

static int setup(void **state)
{
    memset(&queue, 0, sizeof(queue));
    memset(ops, 0, sizeof(ops));
    for (size_t i = 0; i < OPS; i++) {
        ops[i] = (struct weft_breaker_op){.kind = WEFT_BREAKER_OP_REPORT, .done = done};
        counted[i] = -1;
    }
    return 0;
}

static void put(size_t i, uint64_t epoch, uint64_t successes, uint64_t failures)
{
    ops[i].epoch = epoch;
    ops[i].successes = successes;
    ops[i].failures = failures;
    queue_report(&queue, &ops[i]);
}

static void sums_are(uint64_t epoch, uint64_t successes, uint64_t failures)
{
    assert_int_equal(queue.epoch, epoch);
    assert_int_equal(queue.successes, successes);
    assert_int_equal(queue.failures, failures);
}

static void those_that_count_in_every_epoch_are_never_dropped(void **state)
{
    put(0, 0, 0, 2);
    put(1, 0, 1, 0);
    sums_are(0, 1, 2);
    put(2, 7, 0, 1);
    sums_are(7, 1, 3);
    put(3, 0, 0, 1);
    put(4, 9, 5, 0);
    sums_are(9, 6, 3);
}

static void those_of_an_older_epoch_are_not_sent_and_told_so(void **state)
{
    static const int expected[] = {0, 1, 1, 0, 1, -1};
    struct weft_breaker_result r = {.rc = WEFT_BREAKER_DONE, .yes = true};

    put(0, 7, 0, 1);
    put(1, 0, 0, 1);
    put(2, 8, 0, 1);
    put(3, 7, 0, 1);
    put(4, 8, 0, 1);
    sums_are(8, 0, 3);
    finish_ops(queue.first, queue.epoch, &r);
    for (size_t i = 0; i < WEFT_COUNT_OF(expected); i++) {
        assert_int_equal(counted[i], expected[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(those_that_count_in_every_epoch_are_never_dropped, setup),
        cmocka_unit_test_setup(those_of_an_older_epoch_are_not_sent_and_told_so, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
