#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "backoff.h"

static void doubles_up_to_the_cap(void **state)
{
    /* random 0: the longest pause. */
    assert_int_equal(backoff_ms(0, -1, BACKOFF_CAP_MS, 0), 500);
    assert_int_equal(backoff_ms(1, -1, BACKOFF_CAP_MS, 0), 1000);
    assert_int_equal(backoff_ms(5, -1, BACKOFF_CAP_MS, 0), 16000);
    assert_int_equal(backoff_ms(6, -1, BACKOFF_CAP_MS, 0), 30000);
    assert_int_equal(backoff_ms(4000000000, -1, BACKOFF_CAP_MS, 0), 30000);
    assert_int_equal(backoff_ms(3, -1, 300, 0), 300);
    assert_int_equal(backoff_ms(3, -1, 0, UINT64_MAX), 0);
}

static void half_of_it_is_random(void **state)
{
    for (uint64_t random = 0; random < 5000; random++) {
        uint64_t ms = backoff_ms(2, -1, BACKOFF_CAP_MS, random * 7919);

        assert_in_range(ms, 1000, 2000);
    }
    assert_int_equal(backoff_ms(2, -1, BACKOFF_CAP_MS, 1000), 1000);
}

static void the_server_may_ask(void **state)
{
    /* A stream that had opened: exactly what was asked for, however short. */
    assert_int_equal(backoff_ms(0, 0, BACKOFF_CAP_MS, 3), 0);
    assert_int_equal(backoff_ms(0, 2345, BACKOFF_CAP_MS, 3), 2345);
    /* Failures: at least that, and never more than the cap. */
    assert_int_equal(backoff_ms(1, 2345, BACKOFF_CAP_MS, 0), 2345);
    assert_int_equal(backoff_ms(5, 2345, BACKOFF_CAP_MS, 0), 16000);
    assert_int_equal(backoff_ms(0, INT64_MAX, BACKOFF_CAP_MS, 0), BACKOFF_CAP_MS);
    assert_int_equal(backoff_ms(2, INT64_MAX, BACKOFF_CAP_MS, 0), BACKOFF_CAP_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_the_cap),
        cmocka_unit_test(half_of_it_is_random),
        cmocka_unit_test(the_server_may_ask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
