#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hist.h"

/* Every duration falls into a bucket that begins at most 1/64 below it. */
static void is_precise_enough(void **state)
{
    static const uint64_t seeds[] = {0, 1, 63, 64, 65, 127, 128, 999, 1000000, 123456789012345};

    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        for (unsigned shift = 0; shift < 16; shift++) {
            struct hist hist = {.n = 0};
            uint64_t ns = seeds[i] << shift, got;

            hist_add(&hist, ns);
            got = hist_quantile(&hist, 0.5);
            assert_true(got <= ns && ns - got <= ns / 64);
        }
    }
}

static void takes_anything(void **state)
{
    struct hist hist = {.n = 0};

    hist_add(&hist, UINT64_MAX);
    assert_true(hist_quantile(&hist, 1) > UINT64_MAX / 64 * 62);
}

static void quantiles(void **state)
{
    struct hist hist = {.n = 0};

    assert_int_equal(hist_quantile(&hist, 0.5), 0);
    for (uint64_t us = 1; us <= 1000; us++)
        hist_add(&hist, us * 1000);
    assert_in_range(hist_quantile(&hist, 0.5), 490000, 510000);
    assert_in_range(hist_quantile(&hist, 0.99), 970000, 1000000);
    assert_in_range(hist_quantile(&hist, 1), 984000, 1000000);
    assert_in_range(hist_quantile(&hist, 0), 984, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_precise_enough),
        cmocka_unit_test(takes_anything),
        cmocka_unit_test(quantiles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
