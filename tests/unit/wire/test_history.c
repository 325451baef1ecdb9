/* Which cursors a history vouches for, and where the others go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weft/base/assert.h>
#include <weft/wire/history.h>

#define G UINT64_C(1000000000)

static struct weft_history history(const char *leaps, uint64_t ms, uint64_t seq)
{
    struct weft_history h = {.head = {ms, seq}, .born_ms = 1000};

    assert_true(weft_history_parse_leaps(&h, weft_str(leaps, strlen(leaps))));
    return h;
}

static void leaps_are_read(void **state)
{
    struct weft_history h =
        history("2000000000,9000,8000-1000000004 1000000000,5000,4000-100", 0, 0);

    (void)state;
    assert_int_equal(h.n, 2);
    assert_int_equal(h.leaps[0].first, 2 * G);
    assert_int_equal(h.leaps[0].began_ms, 9000);
    assert_int_equal(h.leaps[0].after.seq, G + 4);
    assert_int_equal(h.leaps[1].after.ms, 4000);
    assert_int_equal(weft_history_origin_ms(&h), 9000);
    h = history("", 0, 0);
    assert_int_equal(h.n, 0);
    assert_int_equal(weft_history_origin_ms(&h), 1000);
}

static void what_is_no_leap_is_refused(void **state)
{
    static const char *const bad[] = {
        "x",
        "1000000000",
        "1000000000,5000",
        "1000000000,5000,4000",
        "5,5000,4-9",
        "1000000000,,4-1",
        "1000000000,5000,4-1,",
        "1000000000,5000,4-1 2000000000,6000,5-2",
        "-1,5000,4-1",
        "1000000000,5000,4-1  ",
        "1000000000,5000,4-0",
        "1000000000,5000,5001-1",
        "2000000000,9000,8000-1000000005 1000000000,8001,4-1",
    };

    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(bad); i++) {
        struct weft_history h = {0};

        if (weft_history_parse_leaps(&h, weft_str(bad[i], strlen(bad[i])))) {
            fail_msg("%s", bad[i]);
        }
    }
}

struct row {
    struct weft_id cursor;
    bool held;
    struct weft_id resume;
};

static void check(const struct weft_history *h, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct weft_id resume = {7, 7};
        bool held = weft_history_holds(h, rows[i].cursor, &resume);

        if (held != rows[i].held ||
            (!held && (resume.seq != rows[i].resume.seq || resume.ms != rows[i].resume.ms))) {
            fail_msg("row %zu: held %d, resume %lu-%lu", i, held, (unsigned long)resume.ms,
                     (unsigned long)resume.seq);
        }
    }
}

/* 1 to 100 survived, 101 to 105 were lost, then 8 more; and the same again at 1000000008. */
static void cursors_in_a_lost_tail_go_on_after_what_survived(void **state)
{
    struct weft_history h =
        history("2000000000,9000,8000-1000000008 1000000000,5000,4000-100", 9100, 2 * G + 8);
    static const struct row rows[] = {
        {{4000, 100}, true, {0, 0}},       {{4100, 101}, false, {4000, 100}},
        {{6000, 105}, false, {4000, 100}}, /* its server's clock was ahead */
        {{5000, G}, true, {0, 0}},         {{5000, G + 1}, true, {0, 0}},
        {{8000, G + 8}, true, {0, 0}},     {{8000, G + 9}, false, {8000, G + 8}},
        {{9100, 2 * G + 8}, true, {0, 0}}, {{1000, 1}, true, {0, 0}},
        {{999, 1}, false, {0, 0}},
    };

    (void)state;
    check(&h, rows, WEFT_COUNT_OF(rows));
}

/* Promoted, and nobody has written since. */
static void before_the_leap_the_end_is_what_survived(void **state)
{
    struct weft_history h = history("", 4000, 100);
    static const struct row rows[] = {
        {{4000, 100}, true, {0, 0}},
        {{4100, 105}, false, {4000, 100}},
        {{4100, 50}, false, {0, 0}}, /* no event of this history has such an id */
    };

    (void)state;
    check(&h, rows, WEFT_COUNT_OF(rows));
}

/* A backup of 4000-100 was restored at 7000 when another history had got to 1000000050. */
static void numbers_that_were_used_before_are_told_by_time(void **state)
{
    struct weft_history h = history("1000000000,7000,4000-100", 7500, G + 60);
    static const struct row rows[] = {
        {{6000, G + 50}, false, {4000, 100}},
        {{7100, G + 50}, true, {0, 0}},
        {{4500, 200}, false, {4000, 100}},
        {{3000, 60}, true, {0, 0}},
    };

    (void)state;
    check(&h, rows, WEFT_COUNT_OF(rows));
}

/* The clock of the server that took over is behind: what it writes is older than what was lost, for a while. */
static void a_lost_event_may_be_younger_than_all_there_is(void **state)
{
    struct weft_history h = history("1000000000,4000,4000-100", 4010, G + 3);
    static const struct row rows[] = {
        {{4200, 105}, false, {4000, 100}},
        {{4000, G + 1}, true, {0, 0}},
        {{4200, G + 2}, false, {4000, 100}}, /* of another one that took over, and was lost */
        {{4200, 50}, false, {0, 0}},
    };

    (void)state;
    check(&h, rows, WEFT_COUNT_OF(rows));
}

/* Flushed at 3000, and 7 events later it leapt: what was there before shares nothing, though its numbers were beyond a leap. */
static void numbers_of_a_history_before_the_birth_share_nothing(void **state)
{
    struct weft_history h = history("1000000000,5000,4000-7", 5500, G + 60);
    static const struct row rows[] = {
        {{2000, G + 3}, false, {0, 0}},
        {{2000, 3}, false, {0, 0}},
        {{4500, G + 3}, false, {4000, 7}},
    };

    (void)state;
    h.born_ms = 3000;
    check(&h, rows, WEFT_COUNT_OF(rows));
}

/* Of leaps before the oldest that is noted nothing is known. */
static void a_cursor_from_before_what_is_noted_is_not_vouched_for(void **state)
{
    struct weft_history h = {.head = {100000, 100 * G}, .born_ms = 1, .n = WEFT_LEAPS_MAX};
    const struct row rows[] = {
        {{9000, 20 * G}, false, {9000, 20 * G}},
        {{99000, 99 * G + 1}, true, {0, 0}},
    };

    (void)state;
    for (uint64_t i = 0; i < WEFT_LEAPS_MAX; i++) {
        h.leaps[i] = (struct weft_leap){
            (99 - i) * G, (99 - i) * 1000, {(99 - i) * 1000 - 1, (98 - i) * G + 3}};
    }
    check(&h, rows, WEFT_COUNT_OF(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaps_are_read),
        cmocka_unit_test(what_is_no_leap_is_refused),
        cmocka_unit_test(cursors_in_a_lost_tail_go_on_after_what_survived),
        cmocka_unit_test(before_the_leap_the_end_is_what_survived),
        cmocka_unit_test(numbers_that_were_used_before_are_told_by_time),
        cmocka_unit_test(a_lost_event_may_be_younger_than_all_there_is),
        cmocka_unit_test(numbers_of_a_history_before_the_birth_share_nothing),
        cmocka_unit_test(a_cursor_from_before_what_is_noted_is_not_vouched_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
