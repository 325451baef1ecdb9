/*
 * What becomes of a subscriber whose writer is behind: it reads the log, is told what it will not get and goes on with the
 * newest events, or ends. In sim_fan, more than 3 events after 1000 ms are too many for one that wants the latest.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <weft/telemetry/metrics.h>

#include "sim_fan.h"

#define ALL SIZE_MAX

/* One fanout, one subscriber of some topics that is open at 0. */
static void begin(struct sim_fan *f, struct weft_sub *sub, size_t ring_events, const char *topics,
                  const char *types, enum weft_slow slow)
{
    sim_fan_init(f, ring_events, ALL);
    f->slow = slow;
    sim_fan_sub(f, sub, topics, types, WEFT_FROM_NOW, 0);
    sim_fan_followed(f, "a", 0, 0);
    sim_fan_followed(f, "b", 0, 0);
    sim_fan_gets(f, sub, "opened@0");
}

static void end(struct sim_fan *f, struct weft_sub *sub)
{
    weft_sub_fini(sub);
    sim_fan_fini(f);
}

/* Five events of a ring that holds two: 1 to 3 are gone. */
static void overrun(struct sim_fan *f)
{
    LIVE(f, {"a", 1, 0});
    LIVE(f, {"a", 2, 1});
    LIVE(f, {"a", 3, 2});
    LIVE(f, {"a", 4, 3});
    LIVE(f, {"a", 5, 4});
}

static void by_default_it_reads_the_log(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 2, "a", "", WEFT_SLOW_REPLAY);
    weft_sub_blocked(&sub, 100);
    overrun(&f);
    weft_sub_unblocked(&sub, 200);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 0");
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_SLOW_REPLAY), 1);
    PAGE(&f, &sub, 3, true, {"a", 1, 0}, {"a", 2, 1}, {"a", 3, 2});
    sim_fan_gets(&f, &sub, "1 2 3 4 5");
    end(&f, &sub);
}

static void the_latest_is_told_what_it_does_not_get(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 2, "a", "", WEFT_SLOW_LATEST);
    weft_sub_blocked(&sub, 100);
    overrun(&f);
    weft_sub_unblocked(&sub, 101); /* what is gone counts at once */
    sim_fan_gets(&f, &sub, "slow(a 0..5) 5");
    LIVE(&f, {"a", 6, 5});
    sim_fan_gets(&f, &sub, "6");
    assert_int_equal(f.n_reads, 0);
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_SLOW_LATEST), 1);
    end(&f, &sub);
}

/* It goes on right in front of the newest, which is where another topic's event was that got lost on the way. */
static void what_it_jumps_to_was_not_given(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 1, "a b", "", WEFT_SLOW_LATEST);
    weft_sub_blocked(&sub, 100);
    LIVE(&f, {"a", 1, 0});
    LIVE(&f, {"a", 2, 1});
    LIVE(&f, {"a", 4, 2}); /* b's 3 did not come */
    weft_sub_unblocked(&sub, 101);
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, 1), "slow(a 0..4)");
    sim_fan_followed(&f, "b", 3, 4);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "b after 0");
    PAGE(&f, &sub, 4, false, {"b", 3, 0});
    sim_fan_gets(&f, &sub, "3 4");
    end(&f, &sub);
}

/* Where it jumped to is no id of an event: whether what comes next survived says where it stands. */
static void a_jump_is_judged_by_what_comes_next(void **state)
{
    struct weft_history history = {.head = {1002, 4}, .born_ms = 1000};
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 1, "a b", "", WEFT_SLOW_LATEST);
    LIVE(&f, {"a", 1, 0});
    sim_fan_gets(&f, &sub, "1");
    weft_sub_blocked(&sub, 100);
    LIVE(&f, {"a", 2, 1});
    LIVE(&f, {"a", 3, 2});
    LIVE(&f, {"a", 5, 3});
    weft_sub_unblocked(&sub, 101);
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, 1), "slow(a 1..5)");
    assert_int_equal(sub.cursor.seq, 4);
    weft_fanout_down(f.fo);
    weft_fanout_up(f.fo, &history); /* 5 is lost, and 4 is older than 5 was */
    assert_int_equal(sub.cursor.seq, 4);
    assert_int_equal(sub.cursor.ms, 1002);
    end(&f, &sub);
}

/* Flushed: the numbers that were left out come again, and are given. */
static void what_is_left_out_is_forgotten_with_its_history(void **state)
{
    struct weft_history history = {.head = {0, 0}};
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 100, "a b", "", WEFT_SLOW_LATEST);
    weft_sub_blocked(&sub, 100);
    LIVE(&f, {"b", 1, 0});
    for (uint64_t seq = 2; seq < 8; seq++)
        LIVE(&f, {"a", seq, seq == 2 ? 0 : seq - 1});
    weft_sub_unblocked(&sub, 1100);
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, 1), "slow(a 0..7)");
    assert_int_equal(sub.cursor.seq, 0); /* b's 1 is next */
    weft_fanout_down(f.fo);
    weft_fanout_up(f.fo, &history);
    sim_fan_followed(&f, "a", 0, 0);
    sim_fan_followed(&f, "b", 0, 0);
    f.ms = 5000;
    LIVE(&f, {"a", 1, 0}, {"a", 2, 1});
    sim_fan_gets(&f, &sub, "1 2");
    end(&f, &sub);
}

/* It is in b as well, of which nothing is left out; that it lies in a's ring does not mean that it was given. */
static void what_is_left_out_of_one_topic_comes_by_the_other(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 100, "a b", "", WEFT_SLOW_LATEST);
    weft_sub_blocked(&sub, 100);
    overrun(&f);
    weft_sub_unblocked(&sub, 1100);
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, 1), "slow(a 0..5)");
    sim_fan_followed(&f, "b", 2, 5); /* 2 is in both, and b's message was lost */
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "b after 0");
    PAGE(&f, &sub, 5, false, {"b", 2, 0});
    sim_fan_gets(&f, &sub, "2 5");
    end(&f, &sub);
}

/* The rings have all of it, and it is still too much for one that wants the latest. */
static void the_latest_is_slow_early(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 100, "a b", "", WEFT_SLOW_LATEST);
    weft_sub_blocked(&sub, 100);
    overrun(&f);
    LIVE(&f, {"b", 6, 0});
    weft_sub_unblocked(&sub, 1099); /* not yet */
    sim_fan_gets(&f, &sub, "1 2 3 4 5 6");

    weft_sub_blocked(&sub, 2000);
    LIVE(&f, {"a", 7, 5}, {"a", 8, 7});
    LIVE(&f, {"b", 9, 6});
    weft_sub_unblocked(&sub, 9000); /* not too many */
    sim_fan_gets(&f, &sub, "7 8 9");

    weft_sub_blocked(&sub, 10000);
    LIVE(&f, {"a", 10, 8}, {"a", 11, 10}, {"a", 12, 11});
    LIVE(&f, {"b", 13, 9});
    weft_sub_unblocked(&sub, 11000);
    sim_fan_gets(&f, &sub, "slow(a 9..12) 12 13"); /* b lost nothing */
    sim_fan_gets(&f, &sub, "");
    end(&f, &sub);
}

static void the_newest_come_in_order(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 100, "a b", "", WEFT_SLOW_LATEST);
    weft_sub_blocked(&sub, 1);
    LIVE(&f, {"b", 1, 0}, {"b", 2, 1});
    LIVE(&f, {"a", 3, 0}, {"a", 4, 3});
    weft_sub_unblocked(&sub, 5000);
    LIVE(&f, {"b", 5, 2}, {"b", 6, 5});
    sim_fan_gets(&f, &sub, "slow(a 0..4) slow(b 0..6) 4 6");
    end(&f, &sub);
}

/* An event of two topics that is the newest of one of them. */
static void an_event_of_two_topics_comes_once(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 100, "a b", "", WEFT_SLOW_LATEST);
    weft_sub_blocked(&sub, 1);
    LIVE(&f, {"a", 1, 0}, {"a", 2, 1});
    LIVE(&f, {"b", 2, 0}, {"b", 3, 2});
    weft_sub_unblocked(&sub, 5000);
    sim_fan_gets(&f, &sub, "slow(a 0..2) slow(b 0..3) 2 3");
    end(&f, &sub);
}

static void only_its_types_count(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 4, "a", "x", WEFT_SLOW_LATEST);
    weft_sub_blocked(&sub, 1);
    f.type = "x";
    LIVE(&f, {"a", 1, 0});
    LIVE(&f, {"a", 2, 1});
    f.type = "y";
    LIVE(&f, {"a", 3, 2}, {"a", 4, 3});
    weft_sub_unblocked(&sub, 5000);
    sim_fan_gets(&f, &sub, "1 2"); /* two are not too many */

    weft_sub_blocked(&sub, 6000);
    f.type = "x";
    LIVE(&f, {"a", 5, 4}, {"a", 6, 5});
    LIVE(&f, {"a", 7, 6}, {"a", 8, 7});
    f.type = "y";
    LIVE(&f, {"a", 9, 8});
    weft_sub_unblocked(&sub, 8000);
    sim_fan_gets(&f, &sub, "slow(a 4..8) 8");

    /* The rings hold none of its types, but let go of something: the log knows. */
    weft_sub_blocked(&sub, 9000);
    LIVE(&f, {"a", 10, 9}, {"a", 11, 10}, {"a", 12, 11});
    LIVE(&f, {"a", 13, 12}, {"a", 14, 13}, {"a", 15, 14}, {"a", 16, 15});
    weft_sub_unblocked(&sub, 9001);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 9");
    end(&f, &sub);
}

/* Rings are bounded in bytes together: this one's is empty, and the log has its newest event. */
static void the_newest_may_be_in_the_log_only(void **state)
{
    const struct sim_entry entry = {"a", 1, 0};
    struct sim_fan f;
    struct weft_sub sub;
    struct weft_batch *one;
    size_t size;

    sim_fan_init(&f, 100, ALL);
    one = sim_fan_batch(&f, &entry, 1);
    size = one->size;
    weft_batch_unref(one);
    sim_fan_fini(&f);

    sim_fan_init(&f, 100, 2 * size);
    f.slow = WEFT_SLOW_LATEST;
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 0, 0);
    sim_fan_followed(&f, "b", 0, 0);
    sim_fan_gets(&f, &sub, "opened@0");
    weft_sub_blocked(&sub, 1);
    LIVE(&f, {"a", 1, 0});
    LIVE(&f, {"a", 2, 1});
    LIVE(&f, {"b", 3, 0});
    LIVE(&f, {"b", 4, 3});
    weft_sub_unblocked(&sub, 2);
    sim_fan_gets(&f, &sub, "slow(a 0..2) slow(b 0..4)");
    assert_string_equal(f.read, "a b after 1");
    PAGE(&f, &sub, 4, false, {"a", 2, 1}, {"b", 3, 0}, {"b", 4, 3});
    sim_fan_gets(&f, &sub, "2 3 4"); /* the log may have more than it was to get */
    LIVE(&f, {"a", 5, 2});
    sim_fan_gets(&f, &sub, "5");
    end(&f, &sub);
}

/* Not its fault, so the log is read: a live message was lost, or all came in one turn. */
static void who_keeps_up_is_not_slow(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 2, "a", "", WEFT_SLOW_CLOSE);
    overrun(&f);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 0");
    PAGE(&f, &sub, 5, false, {"a", 1, 0}, {"a", 2, 1}, {"a", 3, 2}, {"a", 4, 3}, {"a", 5, 4});
    sim_fan_gets(&f, &sub, "1 2 3 4 5");

    weft_sub_blocked(&sub, 1);
    LIVE(&f, {"a", 7, 6});
    weft_sub_unblocked(&sub, 9000);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 5");
    PAGE(&f, &sub, 7, false, {"a", 6, 5}, {"a", 7, 6});
    sim_fan_gets(&f, &sub, "6 7");
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_SLOW_CLOSED), 0);
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_SLOW_REPLAY), 0);
    end(&f, &sub);
}

static void one_that_wants_so_is_closed(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 2, "a", "", WEFT_SLOW_CLOSE);
    LIVE(&f, {"a", 1, 0});
    sim_fan_gets(&f, &sub, "1");
    weft_sub_blocked(&sub, 1);
    LIVE(&f, {"a", 2, 1});
    LIVE(&f, {"a", 3, 2});
    weft_sub_unblocked(&sub, 90000);
    sim_fan_gets(&f, &sub, "2 3"); /* slow, but nothing is gone */
    weft_sub_blocked(&sub, 90001);
    LIVE(&f, {"a", 4, 3});
    LIVE(&f, {"a", 5, 4});
    LIVE(&f, {"a", 6, 5});
    weft_sub_unblocked(&sub, 90002);
    sim_fan_gets(&f, &sub, "close@3");
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_SLOW_CLOSED), 1);
    end(&f, &sub);
}

/* What was there when it came is its resume, of which it is told everything. */
static void a_resume_is_not_slow(void **state)
{
    struct sim_fan f;
    struct weft_sub keeper, sub;

    sim_fan_init(&f, 5, ALL);
    sim_fan_sub(&f, &keeper, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 0, 0);
    sim_fan_gets(&f, &keeper, "opened@0");
    overrun(&f);
    f.slow = WEFT_SLOW_LATEST;
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_CURSOR, 0);
    assert_string_equal(sim_fan_pull_once(&f, &sub, 8, 1), "opened@0");
    assert_string_equal(sim_fan_pull_once(&f, &sub, 8, 1), "1");
    weft_sub_blocked(&sub, 1);
    weft_sub_unblocked(&sub, 5000);
    assert_string_equal(sim_fan_pull_once(&f, &sub, 8, 1), "2");
    LIVE(&f, {"a", 6, 5}, {"a", 7, 6}, {"a", 8, 7});
    sim_fan_gets(&f, &sub, ""); /* 1 to 3 are gone, of which it has not had 3 */
    assert_string_equal(f.read, "a after 2");
    PAGE(&f, &sub, 4, true, {"a", 3, 2}, {"a", 4, 3});
    sim_fan_gets(&f, &sub, "3 4 5 6 7 8");

    weft_sub_blocked(&sub, 6000); /* from here on it is live */
    LIVE(&f, {"a", 9, 8}, {"a", 10, 9}, {"a", 11, 10}, {"a", 12, 11});
    weft_sub_unblocked(&sub, 9000);
    sim_fan_gets(&f, &sub, "slow(a 8..12) 12");
    weft_sub_fini(&sub);
    end(&f, &keeper);
}

/* Blocked again before it could write the newest: it goes on from there once more. */
static void it_may_be_slow_again(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, 2, "a", "", WEFT_SLOW_LATEST);
    weft_sub_blocked(&sub, 1);
    overrun(&f);
    weft_sub_unblocked(&sub, 2);
    assert_string_equal(sim_fan_pull_once(&f, &sub, 8, 1), "slow(a 0..5)");
    weft_sub_blocked(&sub, 3);
    LIVE(&f, {"a", 6, 5});
    LIVE(&f, {"a", 7, 6});
    LIVE(&f, {"a", 8, 7});
    weft_sub_unblocked(&sub, 4);
    sim_fan_gets(&f, &sub, "slow(a 4..8) 8");
    assert_int_equal(weft_sub_lag(&sub), 0);
    end(&f, &sub);
}

/* Pages that subscribers hold are bounded together; many that hold one hold it once. */
static void reads_wait_for_what_others_hold(void **state)
{
    struct sim_fan f;
    struct weft_sub one, two, three;
    struct weft_page *page;
    const struct sim_entry entries[] = {{"a", 1, 0}, {"a", 2, 1}};

    sim_fan_init_held(&f, 1);
    sim_fan_sub(&f, &one, "a", "", WEFT_FROM_CURSOR, 0);
    sim_fan_followed(&f, "a", 2, 2);
    sim_fan_gets(&f, &one, "opened@0");
    sim_fan_sub(&f, &two, "a", "", WEFT_FROM_CURSOR, 0);
    sim_fan_gets(&f, &two, "opened@0");
    assert_int_equal(f.n_reads, 2);

    page = weft_page_create(0);
    page->batch = sim_fan_batch(&f, entries, 2);
    page->upto = page->batch->frames[1].id;
    weft_sub_page_arrived(&one, page);
    int64_t held = weft_metrics_gauge(f.metrics, WEFT_G_REPLAY_HELD_BYTES);
    weft_sub_page_arrived(&two, page);
    weft_page_unref(page);
    assert_int_equal(weft_metrics_gauge(f.metrics, WEFT_G_REPLAY_HELD_BYTES), held);

    sim_fan_sub(&f, &three, "a", "", WEFT_FROM_CURSOR, 1);
    sim_fan_gets(&f, &three, "opened@1");
    assert_int_equal(f.n_reads, 2);
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_REPLAY_HELD_FULL), 1);
    sim_fan_gets(&f, &one, "1 2");
    weft_sub_fini(&two); /* with the page in its hands */
    assert_int_equal(weft_metrics_gauge(f.metrics, WEFT_G_REPLAY_HELD_BYTES), 0);
    weft_fanout_tick(f.fo);
    sim_fan_gets(&f, &three, "");
    assert_int_equal(f.n_reads, 3);
    weft_sub_fini(&one);
    end(&f, &three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default_it_reads_the_log),
        cmocka_unit_test(the_latest_is_told_what_it_does_not_get),
        cmocka_unit_test(what_it_jumps_to_was_not_given),
        cmocka_unit_test(what_is_left_out_of_one_topic_comes_by_the_other),
        cmocka_unit_test(a_jump_is_judged_by_what_comes_next),
        cmocka_unit_test(what_is_left_out_is_forgotten_with_its_history),
        cmocka_unit_test(the_latest_is_slow_early),
        cmocka_unit_test(the_newest_come_in_order),
        cmocka_unit_test(an_event_of_two_topics_comes_once),
        cmocka_unit_test(only_its_types_count),
        cmocka_unit_test(the_newest_may_be_in_the_log_only),
        cmocka_unit_test(who_keeps_up_is_not_slow),
        cmocka_unit_test(one_that_wants_so_is_closed),
        cmocka_unit_test(a_resume_is_not_slow),
        cmocka_unit_test(it_may_be_slow_again),
        cmocka_unit_test(reads_wait_for_what_others_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
