/* When streams are ended: evenly, all of them, under the ceiling where that is possible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weft/base/random.h>
#include <weft/http/pace.h>

static void period(void **state)
{
    static const struct {
        uint64_t n;
        uint32_t period_ms, max_per_s, period_max_ms, want_ms;
    } cases[] = {
        {3000, 10000, 0, 25000, 10000},    /* no ceiling */
        {3000, 10000, 300, 25000, 10000},  /* just kept */
        {3001, 10000, 300, 25000, 10004},  /* the period grows ... */
        {6000, 10000, 300, 25000, 20000},  /* ... */
        {60000, 10000, 300, 25000, 25000}, /* ... up to its end: the deadline wins */
        {60000, 10000, 300, 0, 10000},     /* it may not grow */
        {60000, 30000, 300, 25000, 30000}, /* it is longer already */
        {10, 10000, 300, 25000, 10000},    /* few are spread as well */
        {0, 10000, 300, 25000, 10000},     /* none */
        {10, 0, 0, 0, 0},                  /* at once */
        {UINT32_MAX, 1000, 1, 3600000, 3600000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(weft_pace_period_ms(cases[i].n, cases[i].period_ms, cases[i].max_per_s,
                                             cases[i].period_max_ms),
                         cases[i].want_ms);
    }
}

static void one_is_ended_in_the_middle(void **state)
{
    const struct weft_pace pace = {.began_ms = 500, .period_ms = 1000, .n = 1, .parts = 1};

    (void)state;
    assert_int_equal(weft_pace_left(&pace, 500), 1);
    assert_int_equal(weft_pace_left(&pace, 999), 1);
    assert_int_equal(weft_pace_left(&pace, 1000), 0);
}

/* Two workers with two streams each: 1/8, 3/8, 5/8, 7/8 of the period, in turn. */
static void workers_interleave(void **state)
{
    struct weft_pace a = {.period_ms = 800, .n = 2, .index = 0, .parts = 2};
    struct weft_pace b = {.period_ms = 800, .n = 2, .index = 1, .parts = 2};

    (void)state;
    assert_int_equal(weft_pace_left(&a, 99), 2);
    assert_int_equal(weft_pace_left(&a, 100), 1);
    assert_int_equal(weft_pace_left(&b, 299), 2);
    assert_int_equal(weft_pace_left(&b, 300), 1);
    assert_int_equal(weft_pace_left(&a, 499), 1);
    assert_int_equal(weft_pace_left(&a, 500), 0);
    assert_int_equal(weft_pace_left(&b, 699), 1);
    assert_int_equal(weft_pace_left(&b, 700), 0);
}

static void no_period_no_wait(void **state)
{
    const struct weft_pace pace = {.began_ms = 7, .period_ms = 0, .n = 5, .parts = 1};

    (void)state;
    assert_int_equal(weft_pace_left(&pace, 7), 0);
}

/* Of several workers with any numbers of streams: never more, all in the end, and no second with more than its part. */
static void even(void **state)
{
    uint64_t rng = 1;

    (void)state;
    for (int round = 0; round < 200; round++) {
        uint32_t parts = 1 + (uint32_t)(weft_random_next(&rng) % 8);
        uint32_t period_ms = 1000 + (uint32_t)(weft_random_next(&rng) % 20000);
        struct weft_pace paces[8];
        uint64_t n = 0, before = 0;
        uint64_t at[21001];

        for (uint32_t i = 0; i < parts; i++) {
            paces[i] = (struct weft_pace){.began_ms = 12345,
                                          .period_ms = period_ms,
                                          .n = (uint32_t)(weft_random_next(&rng) % 5000),
                                          .index = i,
                                          .parts = parts};
            n += paces[i].n;
        }
        for (uint32_t ms = 0; ms <= period_ms; ms++) {
            uint64_t left = 0;

            for (uint32_t i = 0; i < parts; i++) {
                left += weft_pace_left(&paces[i], 12345 + ms);
            }
            assert_true(ms == 0 ? left == n : left <= before);
            before = at[ms] = left;
            if (ms >= 1000) {
                /* One more of each worker, as a step may begin and end in the second. */
                assert_true(at[ms - 1000] - left <= n * 1000 / period_ms + parts);
            }
        }
        assert_int_equal(before, 0);
    }
}

static void a_long_drain_of_very_many(void **state)
{
    const struct weft_pace pace = {.period_ms = 3600000, .n = 10000000, .index = 63, .parts = 64};

    (void)state;
    assert_int_equal(weft_pace_left(&pace, 0), 10000000);
    assert_int_equal(weft_pace_left(&pace, 1800000), 5000000);
    assert_in_range(weft_pace_left(&pace, 3599999), 1, 3);
    assert_int_equal(weft_pace_left(&pace, 3600000), 0);
}

static void lives(void **state)
{
    uint64_t rng = 1;
    uint32_t least = UINT32_MAX, most = 0;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint32_t ms = weft_pace_life_ms(60000, weft_random_next(&rng));

        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_in_range(least, 48000, 48100);
    assert_in_range(most, 59900, 60000);
    assert_int_equal(weft_pace_life_ms(1, 12345), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(period),
        cmocka_unit_test(one_is_ended_in_the_middle),
        cmocka_unit_test(workers_interleave),
        cmocka_unit_test(no_period_no_wait),
        cmocka_unit_test(even),
        cmocka_unit_test(a_long_drain_of_very_many),
        cmocka_unit_test(lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
