/* When to try again, and how often to say why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <retry_priv.h>

#define SECOND UINT64_C(1000000000)

static void waits_longer_up_to_the_maximum(void **state)
{
    static const uint64_t most[] = {50, 100, 200, 400, 800, 1000, 1000};
    struct weft_retry r = {.min_ms = 50, .max_ms = 1000, .rng = 7};

    for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
        uint64_t ms = weft_retry_failed(&r);

        assert_in_range(ms, most[i] / 2, most[i]);
    }
    for (int i = 0; i < 1000; i++)
        assert_in_range(weft_retry_failed(&r), 500, 1000);
    weft_retry_worked(&r, SECOND);
    assert_in_range(weft_retry_failed(&r), 25, 50);
}

static void two_with_other_seeds_do_not_march_together(void **state)
{
    struct weft_retry a = {.min_ms = 10000, .max_ms = 10000, .rng = 1};
    struct weft_retry b = {.min_ms = 10000, .max_ms = 10000, .rng = 2};
    int same = 0;

    for (int i = 0; i < 100; i++)
        same += weft_retry_failed(&a) == weft_retry_failed(&b) ? 1 : 0;
    assert_true(same < 5);
}

static void each_reason_is_told_once(void **state)
{
    struct weft_retry r = {.min_ms = 1, .max_ms = 1, .rng = 7};
    char reason[32];

    assert_true(weft_retry_is_news(&r, "refused"));
    assert_true(weft_retry_is_news(&r, "no answer"));
    for (int i = 0; i < 10; i++) {
        assert_false(weft_retry_is_news(&r, "refused"));
        assert_false(weft_retry_is_news(&r, "no answer"));
    }
    weft_retry_worked(&r, SECOND);
    assert_true(weft_retry_is_news(&r, "refused"));
    for (int i = 0; i < 100; i++) {
        (void)snprintf(reason, sizeof(reason), "reason %d", i);
        assert_true(weft_retry_is_news(&r, reason) == (i < 7)); /* a few are enough */
    }
}

static void a_refusal_is_not_forgotten_by_connecting_again(void **state)
{
    struct weft_retry r = {.min_ms = 100, .max_ms = 10000, .rng = 7};

    (void)weft_retry_is_news(&r, "NOPERM");
    for (int i = 0; i < 5; i++) {
        weft_retry_refused(&r, 20 * SECOND);
        (void)weft_retry_failed(&r);
        weft_retry_worked(&r, 21 * SECOND);
        assert_true(weft_retry_is_suspect(&r, 21 * SECOND));
        assert_false(weft_retry_is_news(&r, "NOPERM"));
    }
    assert_int_equal(r.failures, 5);
    assert_false(weft_retry_is_suspect(&r, 31 * SECOND));
    weft_retry_worked(&r, 31 * SECOND);
    assert_int_equal(r.failures, 0);
    assert_true(weft_retry_is_news(&r, "NOPERM"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_longer_up_to_the_maximum),
        cmocka_unit_test(two_with_other_seeds_do_not_march_together),
        cmocka_unit_test(each_reason_is_told_once),
        cmocka_unit_test(a_refusal_is_not_forgotten_by_connecting_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
