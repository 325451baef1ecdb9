/* How old the proof is that events arrive: as old as at the worker that is furthest behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <weft/fabric/canary.h>

#define MS  UINT64_C(1000000)
#define NOW (100000 * MS)

static void it_is_as_old_as_at_the_worker_furthest_behind(void **state)
{
    struct weft_canaries canaries = {.n = 3, .sent_ns = {NOW, NOW - 7000 * MS, NOW - 20 * MS}};

    (void)state;
    assert_int_equal(weft_canaries_age_ms(&canaries, NOW), 7000);
    canaries.sent_ns[1] = NOW;
    assert_int_equal(weft_canaries_age_ms(&canaries, NOW), 20);
}

static void it_is_none_while_one_worker_has_heard_none(void **state)
{
    struct weft_canaries canaries = {.n = 3, .sent_ns = {NOW, NOW - 7000 * MS, 0}};

    (void)state;
    assert_true(weft_canaries_age_ms(&canaries, NOW) == UINT64_MAX);
    canaries.n = 2; /* there is no third worker */
    assert_int_equal(weft_canaries_age_ms(&canaries, NOW), 7000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_as_old_as_at_the_worker_furthest_behind),
        cmocka_unit_test(it_is_none_while_one_worker_has_heard_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
