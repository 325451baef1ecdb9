/*
 * A command as a state machine, in virtual time: starts, stops, restarts with backoff, and when it gives up. The last test lets
 * chance act and looks that a process is never started twice, never forgotten, and that every stop ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weft/base/random.h>

#include "supervisor_priv.h"

static struct weft_sup sup;
static uint64_t now;

static const struct weft_sup_rules usual = {.restart = WEFT_RESTART_ALWAYS,
                                            .backoff_min_ms = 100,
                                            .backoff_max_ms = 1600,
                                            .start_ms = 1000,
                                            .stop_timeout_ms = 5000};

static int setup(void **state)
{
    now = 5000;
    weft_sup_init(&sup, &usual, 42);
    return 0;
}

static enum weft_sup_step step(void)
{
    return weft_sup_step(&sup, now);
}

/* To where it wants to be asked again. */
static uint64_t wait_due(void)
{
    uint64_t began = now;

    assert_int_equal(step(), WEFT_SUP_WAIT);
    assert_true(weft_sup_due_ms(&sup) != UINT64_MAX);
    assert_true(weft_sup_due_ms(&sup) >= now);
    now = weft_sup_due_ms(&sup);
    return now - began;
}

static void is(enum weft_sup_state state, const char *reason)
{
    assert_string_equal(weft_sup_word(sup.state), weft_sup_word(state));
    assert_string_equal(sup.reason, reason);
}

static void spawn(void)
{
    assert_int_equal(step(), WEFT_SUP_ASK);
    assert_int_equal(step(), WEFT_SUP_WAIT);
    assert_true(weft_sup_allowed(&sup, true));
    assert_int_equal(step(), WEFT_SUP_SPAWN);
    assert_int_equal(step(), WEFT_SUP_WAIT);
    weft_sup_born(&sup, now);
}

static void run(void)
{
    weft_sup_want(&sup, true, now);
    spawn();
    assert_int_equal(wait_due(), usual.start_ms);
    assert_int_equal(step(), WEFT_SUP_STARTED);
    assert_int_equal(step(), WEFT_SUP_WAIT);
    is(WEFT_SUP_RUNNING, "asked");
}

static void starts_when_the_breaker_allows_and_runs_after_a_while(void **state)
{
    is(WEFT_SUP_STOPPED, "asked");
    run();
    weft_sup_want(&sup, true, now); /* nothing new */
    assert_int_equal(step(), WEFT_SUP_WAIT);
    assert_int_equal(weft_sup_due_ms(&sup), UINT64_MAX);
}

/* Whoever starts it may be slow, and tell later. */
static void has_not_started_before_it_is_there(void **state)
{
    sup.rules.start_ms = 0;
    weft_sup_want(&sup, true, now);
    assert_int_equal(step(), WEFT_SUP_ASK);
    assert_true(weft_sup_allowed(&sup, true));
    assert_int_equal(step(), WEFT_SUP_SPAWN);
    now += 10 * usual.start_ms;
    assert_int_equal(step(), WEFT_SUP_WAIT);
    assert_int_equal(weft_sup_due_ms(&sup), UINT64_MAX);
    is(WEFT_SUP_STARTING, "asked");
    weft_sup_born(&sup, now);
    assert_int_equal(step(), WEFT_SUP_STARTED);
}

static void stops_by_term_then_kill(void **state)
{
    run();
    weft_sup_want(&sup, false, now);
    is(WEFT_SUP_STOPPING, "asked");
    assert_int_equal(step(), WEFT_SUP_TERM);
    assert_int_equal(wait_due(), usual.stop_timeout_ms);
    assert_int_equal(step(), WEFT_SUP_KILL);
    assert_int_equal(step(), WEFT_SUP_WAIT);
    assert_int_equal(weft_sup_due_ms(&sup), UINT64_MAX);
    assert_false(weft_sup_is_quiet(&sup));
    assert_false(weft_sup_ended(&sup, WEFT_SUP_BROKEN, now)); /* as wanted: no failure */
    is(WEFT_SUP_STOPPED, "asked");
    assert_true(weft_sup_is_quiet(&sup));
    run(); /* and again */
}

static void backs_off_twice_as_long_each_time_up_to_a_bound(void **state)
{
    uint64_t expected = usual.backoff_min_ms;

    weft_sup_want(&sup, true, now);
    for (int i = 0; i < 12; i++) {
        spawn();
        now += 10;
        assert_true(weft_sup_ended(&sup, WEFT_SUP_BROKEN, now));
        is(WEFT_SUP_BACKOFF, "exited");
        uint64_t waited = wait_due();
        assert_in_range(waited, expected / 2, expected);
        expected = expected * 2 > usual.backoff_max_ms ? usual.backoff_max_ms : expected * 2;
        assert_int_equal(sup.restarts, i); /* counted when it begins */
    }
    spawn();
    assert_int_equal(sup.restarts, 12);
}

static void a_long_life_forgives(void **state)
{
    weft_sup_want(&sup, true, now);
    for (int i = 0; i < 5; i++) {
        spawn();
        assert_true(weft_sup_ended(&sup, WEFT_SUP_BROKEN, now));
        (void)wait_due();
    }
    spawn();
    (void)wait_due();
    assert_int_equal(step(), WEFT_SUP_STARTED);
    now += 2 * usual.backoff_max_ms;
    assert_true(weft_sup_ended(&sup, WEFT_SUP_BROKEN, now));
    assert_in_range(wait_due(), usual.backoff_min_ms / 2, usual.backoff_min_ms);
}

static void what_is_forbidden_is_not_tried_again(void **state)
{
    weft_sup_want(&sup, true, now);
    spawn();
    weft_sup_forbid(&sup);
    is(WEFT_SUP_FAILED, "forbidden");
    assert_true(weft_sup_is_quiet(&sup));
    now += 1000000;
    assert_int_equal(step(), WEFT_SUP_WAIT);
    assert_int_equal(weft_sup_due_ms(&sup), UINT64_MAX);
    run();
}

static void gives_up_when_the_breaker_is_open_until_somebody_wants_it(void **state)
{
    weft_sup_want(&sup, true, now);
    spawn();
    assert_true(weft_sup_ended(&sup, WEFT_SUP_UNSTARTABLE, now));
    is(WEFT_SUP_BACKOFF, "not_started");
    (void)wait_due();
    assert_int_equal(step(), WEFT_SUP_ASK);
    assert_true(weft_sup_allowed(&sup, false));
    is(WEFT_SUP_FAILED, "breaker_open");
    assert_true(weft_sup_is_quiet(&sup));
    now += 1000000;
    assert_int_equal(step(), WEFT_SUP_WAIT);
    assert_int_equal(weft_sup_due_ms(&sup), UINT64_MAX);
    run();
}

/* What ends decides: rule, how, and whether it had lived for long enough. */
static void what_an_end_means(void **state)
{
    static const struct {
        enum weft_service_restart restart;
        enum weft_sup_end how;
        bool early;
        enum weft_sup_state then;
        bool failure;
    } table[] = {
        {WEFT_RESTART_ALWAYS, WEFT_SUP_CLEAN, false, WEFT_SUP_BACKOFF, false},
        {WEFT_RESTART_ALWAYS, WEFT_SUP_CLEAN, true, WEFT_SUP_BACKOFF, true},
        {WEFT_RESTART_ALWAYS, WEFT_SUP_BROKEN, false, WEFT_SUP_BACKOFF, true},
        {WEFT_RESTART_ON_FAILURE, WEFT_SUP_CLEAN, true, WEFT_SUP_STOPPED, false},
        {WEFT_RESTART_ON_FAILURE, WEFT_SUP_CLEAN, false, WEFT_SUP_STOPPED, false},
        {WEFT_RESTART_ON_FAILURE, WEFT_SUP_BROKEN, false, WEFT_SUP_BACKOFF, true},
        {WEFT_RESTART_NEVER, WEFT_SUP_CLEAN, true, WEFT_SUP_STOPPED, false},
        {WEFT_RESTART_NEVER, WEFT_SUP_BROKEN, false, WEFT_SUP_FAILED, true},
        {WEFT_RESTART_NEVER, WEFT_SUP_UNSTARTABLE, true, WEFT_SUP_FAILED, true},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        setup(NULL);
        sup.rules.restart = table[i].restart;
        weft_sup_want(&sup, true, now);
        spawn();
        if (!table[i].early) {
            (void)wait_due();
            assert_int_equal(step(), WEFT_SUP_STARTED);
        }
        assert_int_equal(weft_sup_ended(&sup, table[i].how, now), table[i].failure);
        assert_string_equal(weft_sup_word(sup.state), weft_sup_word(table[i].then));
    }
}

static void restart_ends_it_and_starts_it_again(void **state)
{
    run();
    weft_sup_restart(&sup, now);
    assert_int_equal(step(), WEFT_SUP_TERM);
    weft_sup_restart(&sup, now); /* twice is once */
    assert_int_equal(step(), WEFT_SUP_WAIT);
    assert_false(weft_sup_ended(&sup, WEFT_SUP_CLEAN, now));
    is(WEFT_SUP_STARTING, "asked");
    assert_int_equal(sup.restarts, 1);
    spawn();
    /* Changed one's mind in the middle. */
    weft_sup_restart(&sup, now);
    weft_sup_want(&sup, false, now);
    assert_int_equal(step(), WEFT_SUP_TERM);
    assert_false(weft_sup_ended(&sup, WEFT_SUP_CLEAN, now));
    is(WEFT_SUP_STOPPED, "asked");
    weft_sup_restart(&sup, now); /* of one that does not run is a start */
    spawn();
}

static void an_answer_that_comes_after_a_stop_starts_nothing(void **state)
{
    weft_sup_want(&sup, true, now);
    assert_int_equal(step(), WEFT_SUP_ASK);
    weft_sup_want(&sup, false, now);
    is(WEFT_SUP_STOPPED, "asked");
    assert_false(weft_sup_is_quiet(&sup));
    assert_false(weft_sup_allowed(&sup, true));
    assert_true(weft_sup_is_quiet(&sup));
    assert_int_equal(step(), WEFT_SUP_WAIT);
    /* Stopped and wanted again before the answer: it serves the second start. */
    weft_sup_want(&sup, true, now);
    assert_int_equal(step(), WEFT_SUP_ASK);
    weft_sup_want(&sup, false, now);
    weft_sup_want(&sup, true, now);
    assert_int_equal(step(), WEFT_SUP_WAIT);
    assert_true(weft_sup_allowed(&sup, true));
    assert_int_equal(step(), WEFT_SUP_SPAWN);
}

static void chance(uint64_t seed)
{
    uint64_t rng = seed;
    bool process = false;
    bool born = false;
    bool asked = false;
    bool wanted = false;
    uint64_t term_ms = 0;

    setup(NULL);
    weft_sup_init(&sup, &usual, seed);
    for (int i = 0; i < 400; i++) {
        enum weft_sup_step s;

        switch (weft_random_next(&rng) % 9) {
        case 0:
            wanted = true;
            weft_sup_want(&sup, true, now);
            break;
        case 1:
            wanted = false;
            weft_sup_want(&sup, false, now);
            break;
        case 2:
            wanted = true;
            weft_sup_restart(&sup, now);
            break;
        case 3:
            if (process) {
                process = false;
                (void)weft_sup_ended(&sup, weft_random_next(&rng) % 3, now);
            }
            break;
        case 4:
            if (asked) {
                asked = false;
                (void)weft_sup_allowed(&sup, weft_random_next(&rng) % 4 != 0);
            }
            break;
        case 5:
            if (process && !born) {
                born = true;
                weft_sup_born(&sup, now);
            }
            break;
        default:
            now += weft_random_next(&rng) % 2000;
            break;
        }
        while ((s = weft_sup_step(&sup, now)) != WEFT_SUP_WAIT) {
            if (s == WEFT_SUP_ASK) {
                assert_false(asked);
                asked = true;
            } else if (s == WEFT_SUP_SPAWN) {
                assert_false(process);
                assert_true(wanted);
                process = true;
                born = false;
            } else if (s == WEFT_SUP_STARTED) {
                assert_true(born);
            } else if (s == WEFT_SUP_TERM) {
                assert_true(process);
                term_ms = now;
            } else if (s == WEFT_SUP_KILL) {
                assert_true(process);
                assert_true(now >= term_ms + usual.stop_timeout_ms);
            }
        }
        assert_int_equal(sup.has_process, process);
        assert_true(weft_sup_due_ms(&sup) > now);
        if (sup.state == WEFT_SUP_RUNNING || sup.state == WEFT_SUP_STOPPING) {
            assert_true(process);
        }
        if (!wanted) {
            assert_true(sup.state == WEFT_SUP_STOPPED || sup.state == WEFT_SUP_STOPPING ||
                        sup.state == WEFT_SUP_FAILED);
        }
    }
    /* Whatever it was up to, a stop ends it within its timeout. */
    weft_sup_want(&sup, false, now);
    while (sup.has_process) {
        enum weft_sup_step s = weft_sup_step(&sup, now);

        if (s == WEFT_SUP_KILL || (s == WEFT_SUP_WAIT && sup.killed)) {
            (void)weft_sup_ended(&sup, WEFT_SUP_BROKEN, now);
        } else if (s == WEFT_SUP_WAIT) {
            now = weft_sup_due_ms(&sup);
        }
    }
    if (asked) {
        (void)weft_sup_allowed(&sup, true);
    }
    assert_true(weft_sup_is_quiet(&sup));
}

static void by_chance(void **state)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        chance(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(starts_when_the_breaker_allows_and_runs_after_a_while, setup),
        cmocka_unit_test_setup(has_not_started_before_it_is_there, setup),
        cmocka_unit_test_setup(stops_by_term_then_kill, setup),
        cmocka_unit_test_setup(backs_off_twice_as_long_each_time_up_to_a_bound, setup),
        cmocka_unit_test_setup(a_long_life_forgives, setup),
        cmocka_unit_test_setup(gives_up_when_the_breaker_is_open_until_somebody_wants_it, setup),
        cmocka_unit_test_setup(what_is_forbidden_is_not_tried_again, setup),
        cmocka_unit_test_setup(what_an_end_means, setup),
        cmocka_unit_test_setup(restart_ends_it_and_starts_it_again, setup),
        cmocka_unit_test_setup(an_answer_that_comes_after_a_stop_starts_nothing, setup),
        cmocka_unit_test(by_chance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
