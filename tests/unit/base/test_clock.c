#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weft/base/clock.h>

static void mono_never_goes_back(void **state)
{
    uint64_t last = weft_clock_mono_ns();

    for (int i = 0; i < 1000; i++) {
        uint64_t now = weft_clock_mono_ns();

        assert_true(now >= last);
        last = now;
    }
}

static void mono_units_agree(void **state)
{
    uint64_t before = weft_clock_mono_ns();
    uint64_t ms = weft_clock_mono_ms();
    uint64_t after = weft_clock_mono_ns();

    assert_in_range(ms, before / 1000000, after / 1000000);
}

static void wall_is_in_milliseconds(void **state)
{
    int64_t now = weft_clock_wall_ms();

    assert_true(now > INT64_C(1704067200000)); /* 2024 */
    assert_true(now < INT64_C(4102444800000)); /* 2100 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mono_never_goes_back),
        cmocka_unit_test(mono_units_agree),
        cmocka_unit_test(wall_is_in_milliseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
