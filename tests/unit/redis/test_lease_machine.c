/* The lease as a state machine, in virtual time: taking, renewing, losing, and never too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../pkg/redis/lease_priv.h"

#define MS   UINT64_C(1000000)
#define LIFE UINT64_C(9000)

static struct weft_lease_machine m;
static uint64_t now;

static int setup(void **state)
{
    now = 5000 * MS;
    weft_lease_machine_init(&m, LIFE, 42, now);
    return 0;
}

static enum weft_lease_step step(void)
{
    return weft_lease_machine_step(&m, now);
}

static void take(uint64_t fence)
{
    assert_int_equal(step(), WEFT_LEASE_TAKE);
    assert_true(weft_lease_machine_took(&m, fence, LIFE, now));
}

/* The time until it wants to be asked again, ms. */
static uint64_t due_in(void)
{
    return (weft_lease_machine_due(&m) - now) / MS;
}

static void takes_at_once_and_renews_at_a_third(void **state)
{
    take(7);
    assert_int_equal(m.fence, 7);
    assert_int_equal(step(), WEFT_LEASE_WAIT);
    assert_int_equal(due_in(), LIFE / 3);
    for (int i = 0; i < 10; i++) {
        now = weft_lease_machine_due(&m);
        assert_int_equal(step(), WEFT_LEASE_RENEW);
        assert_int_equal(step(), WEFT_LEASE_WAIT); /* one command at a time */
        now += 50 * MS;
        assert_true(weft_lease_machine_renewed(&m, true, now));
        assert_int_equal(due_in(), LIFE / 3 - 50);
    }
}

/* Its life counts from when the command went out, since nobody knows when Redis executed it. */
static void a_slow_answer_makes_the_life_shorter(void **state)
{
    assert_int_equal(step(), WEFT_LEASE_TAKE);
    now += 4000 * MS;
    assert_true(weft_lease_machine_took(&m, 1, LIFE, now));
    assert_int_equal(step(), WEFT_LEASE_RENEW); /* the third has passed already */
    assert_int_equal(weft_lease_machine_due(&m), 5000 * MS + LIFE * MS);
}

static void an_answer_after_its_life_is_worth_nothing(void **state)
{
    assert_int_equal(step(), WEFT_LEASE_TAKE);
    now += LIFE * MS;
    assert_false(weft_lease_machine_took(&m, 1, 0, now));
    assert_int_equal(m.state, WEFT_LEASE_FREE);
    assert_int_equal(step(), WEFT_LEASE_TAKE);
}

static void without_answers_it_is_lost_when_its_life_ends(void **state)
{
    uint64_t began = now;
    int failures = 0;

    take(1);
    for (;;) {
        now = weft_lease_machine_due(&m);
        if (now >= began + LIFE * MS) {
            break;
        }
        assert_int_equal(step(), WEFT_LEASE_RENEW);
        weft_lease_machine_failed(&m, now);
        failures++;
    }
    assert_true(failures >= 4); /* it tried again and again */
    assert_int_equal(now, began + LIFE * MS);
    assert_int_equal(step(), WEFT_LEASE_LOSE);
    assert_int_equal(step(), WEFT_LEASE_TAKE);
}

/* The connection hangs: no answer, not even a failure. */
static void a_renewal_that_hangs_does_not_keep_it(void **state)
{
    uint64_t began = now;

    take(1);
    now = weft_lease_machine_due(&m);
    assert_int_equal(step(), WEFT_LEASE_RENEW);
    assert_int_equal(weft_lease_machine_due(&m), began + LIFE * MS);
    now = began + LIFE * MS;
    assert_int_equal(step(), WEFT_LEASE_LOSE);
    assert_int_equal(step(), WEFT_LEASE_WAIT); /* for the answer */
    now += 100 * MS;
    assert_true(weft_lease_machine_renewed(&m, true, now)); /* too late: not told again */
    assert_int_equal(m.state, WEFT_LEASE_FREE);
    assert_int_equal(step(), WEFT_LEASE_TAKE);
}

static void what_redis_says_is_another_s_is_lost_at_once(void **state)
{
    take(1);
    now = weft_lease_machine_due(&m);
    assert_int_equal(step(), WEFT_LEASE_RENEW);
    assert_false(weft_lease_machine_renewed(&m, false, now));
    assert_int_equal(m.state, WEFT_LEASE_FREE);
    assert_int_equal(step(), WEFT_LEASE_WAIT);
    now = weft_lease_machine_due(&m);
    assert_int_equal(step(), WEFT_LEASE_TAKE);
}

/* A lease that its holder does not renew any more: taken soon after it has expired. */
static void waits_for_another_s_to_expire(void **state)
{
    for (uint64_t left = 0; left < LIFE; left += 50) {
        setup(NULL);
        m.rng = left + 1;
        assert_int_equal(step(), WEFT_LEASE_TAKE);
        assert_false(weft_lease_machine_took(&m, 0, left, now));
        uint64_t due = due_in();
        if (due >= left) {
            assert_true(due <= left + LIFE / 20);
        } else {
            assert_true(due >= LIFE / 6 && due <= LIFE / 3); /* it may be given back before */
        }
        assert_int_equal(step(), WEFT_LEASE_WAIT);
    }
}

/* Those who wait for the same lease do not all come in the same moment. */
static void nodes_that_wait_come_at_different_times(void **state)
{
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;

    for (uint64_t seed = 1; seed <= 100; seed++) {
        weft_lease_machine_init(&m, LIFE, seed * UINT64_C(0x9e3779b97f4a7c15), now);
        assert_int_equal(step(), WEFT_LEASE_TAKE);
        assert_false(weft_lease_machine_took(&m, 0, LIFE, now));
        least = due_in() < least ? due_in() : least;
        most = due_in() > most ? due_in() : most;
    }
    assert_true(most - least > LIFE / 10);
}

static void a_retry_is_soon_but_not_later_than_planned(void **state)
{
    assert_int_equal(step(), WEFT_LEASE_TAKE);
    weft_lease_machine_failed(&m, now);
    weft_lease_machine_retry(&m, now);
    assert_true(due_in() <= LIFE / 20);
    uint64_t due = weft_lease_machine_due(&m);
    now = due - MS;
    weft_lease_machine_retry(&m, now);
    assert_true(weft_lease_machine_due(&m) <= due);
}

static void stopped_it_takes_nothing_any_more(void **state)
{
    take(1);
    assert_true(weft_lease_machine_stop(&m));
    assert_false(weft_lease_machine_stop(&m));
    assert_int_equal(weft_lease_machine_due(&m), UINT64_MAX);
    now += 10 * LIFE * MS;
    assert_int_equal(step(), WEFT_LEASE_WAIT);
}

static void a_take_under_way_when_stopped_is_not_ours(void **state)
{
    assert_int_equal(step(), WEFT_LEASE_TAKE);
    assert_false(weft_lease_machine_stop(&m));
    assert_false(weft_lease_machine_took(&m, 3, LIFE, now));
    assert_int_equal(m.state, WEFT_LEASE_FREE);
    assert_int_equal(step(), WEFT_LEASE_WAIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(takes_at_once_and_renews_at_a_third, setup),
        cmocka_unit_test_setup(a_slow_answer_makes_the_life_shorter, setup),
        cmocka_unit_test_setup(an_answer_after_its_life_is_worth_nothing, setup),
        cmocka_unit_test_setup(without_answers_it_is_lost_when_its_life_ends, setup),
        cmocka_unit_test_setup(a_renewal_that_hangs_does_not_keep_it, setup),
        cmocka_unit_test_setup(what_redis_says_is_another_s_is_lost_at_once, setup),
        cmocka_unit_test_setup(waits_for_another_s_to_expire, setup),
        cmocka_unit_test_setup(nodes_that_wait_come_at_different_times, setup),
        cmocka_unit_test_setup(a_retry_is_soon_but_not_later_than_planned, setup),
        cmocka_unit_test_setup(stopped_it_takes_nothing_any_more, setup),
        cmocka_unit_test_setup(a_take_under_way_when_stopped_is_not_ours, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
