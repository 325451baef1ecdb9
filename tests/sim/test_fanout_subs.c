#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <weft/telemetry/metrics.h>

#include "sim_fan.h"

#define ALL SIZE_MAX

static void tick(struct sim_fan *f, size_t times)
{
    while (times-- > 0)
        weft_fanout_tick(f->fo);
}

/* ---- the log ---- */

static void pages_lead_to_the_rings(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "b a", "", WEFT_FROM_CURSOR, 2);
    sim_fan_gets(&f, &sub, "opened@2");
    assert_string_equal(f.read, "a b after 2");
    PAGE(&f, &sub, 6, true, {"a", 3, 1}, {"b", 6, 2});
    sim_fan_gets(&f, &sub, "3 6");
    assert_string_equal(f.read, "a b after 6");
    sim_fan_followed(&f, "a", 8, 9);
    sim_fan_followed(&f, "b", 9, 9);
    LIVE(&f, {"a", 10, 8});
    PAGE(&f, &sub, 9, false, {"a", 8, 3}, {"b", 9, 6});
    sim_fan_gets(&f, &sub, "8 9 10");
    assert_int_equal(f.n_reads, 2);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* From the earliest event: without a cursor no ring can be compared. */
static void the_earliest_comes_from_the_log(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_EARLIEST, 0);
    sim_fan_followed(&f, "a", 0, 9);
    sim_fan_gets(&f, &sub, "opened");
    assert_string_equal(f.read, "a earliest 0");
    LIVE(&f, {"a", 10, 0});
    sim_fan_gets(&f, &sub, "");
    EMPTY_PAGE(&f, &sub, 9, false);
    sim_fan_gets(&f, &sub, "10");
    assert_false(weft_sub_floats(&sub));
    assert_int_equal(f.n_reads, 1);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* The page stays the next thing to take, though the rings reach meanwhile. */
static void a_page_under_way_is_waited_for(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_CURSOR, 5);
    sim_fan_gets(&f, &sub, "opened@5");
    sim_fan_followed(&f, "a", 5, 5);
    LIVE(&f, {"a", 6, 5});
    sim_fan_gets(&f, &sub, "");
    LIVE(&f, {"a", 7, 6});
    PAGE(&f, &sub, 6, false, {"a", 6, 5});
    sim_fan_gets(&f, &sub, "6 7");
    LIVE(&f, {"a", 8, 7});
    sim_fan_gets(&f, &sub, "8");
    assert_int_equal(f.n_reads, 1);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* At the end of the log there is nothing to ask for until the topics are followed, whatever comes of others. */
static void it_does_not_read_while_topics_are_missing(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_CURSOR, 2);
    sim_fan_followed(&f, "a", 3, 3);
    sim_fan_gets(&f, &sub, "opened@2");
    PAGE(&f, &sub, 3, false, {"a", 3, 2});
    sim_fan_gets(&f, &sub, "3");
    assert_int_equal(f.n_reads, 1);
    for (uint64_t seq = 4; seq < 100; seq++) {
        LIVE(&f, {"a", seq, seq - 1});
        sim_fan_gets(&f, &sub, "");
        tick(&f, 1);
    }
    assert_int_equal(f.n_reads, 1);
    sim_fan_followed(&f, "b", 1, 99);
    assert_true(strncmp(sim_fan_pull(&f, &sub), "4 5 6 ", 6) == 0);
    assert_int_equal(f.n_reads, 1);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* A log that is behind what is known live (a replica, say) is asked at ticks. */
static void a_page_without_news_is_not_asked_for_at_once(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_CURSOR, 2);
    sim_fan_followed(&f, "a", 9, 9);
    sim_fan_gets(&f, &sub, "opened@2");
    for (size_t i = 1; i < 20; i++) {
        assert_int_equal(f.n_reads, i);
        EMPTY_PAGE(&f, &sub, 2, i % 2 == 0);
        sim_fan_gets(&f, &sub, "");
        weft_sub_wake(&sub);
        sim_fan_gets(&f, &sub, "");
        assert_int_equal(f.n_reads, i);
        tick(&f, 1);
        sim_fan_gets(&f, &sub, "");
    }
    PAGE(&f, &sub, 9, false, {"a", 9, 2});
    sim_fan_gets(&f, &sub, "9");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

static void a_refused_read_is_tried_at_the_next_tick(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_CURSOR, 2);
    sim_fan_followed(&f, "a", 9, 9);
    f.refuse = true;
    sim_fan_gets(&f, &sub, "opened@2");
    LIVE(&f, {"a", 10, 9});
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(f.n_reads, 1);
    tick(&f, 1);
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(f.n_reads, 2);
    f.refuse = false;
    tick(&f, 1);
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(f.n_reads, 3);

    weft_sub_page_failed(&sub, false); /* busy */
    sim_fan_gets(&f, &sub, "");
    tick(&f, 1);
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(f.n_reads, 4);
    PAGE(&f, &sub, 9, false, {"a", 9, 2});
    sim_fan_gets(&f, &sub, "9 10");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* However many pages begin before its end, and whatever else is trimmed meanwhile. */
static void a_gap_is_told_once(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a b c", "", WEFT_FROM_CURSOR, 2);
    sim_fan_gets(&f, &sub, "opened@2");
    GAP_PAGE(&f, &sub, 4, true, "trimmed a@8 c@30", {"b", 4, 2});
    sim_fan_gets(&f, &sub, "gap(a) gap(c) 4");
    GAP_PAGE(&f, &sub, 6, true, "trimmed b@5 a@8 c@30", {"b", 6, 5}); /* one more */
    sim_fan_gets(&f, &sub, "gap(b) 6");
    GAP_PAGE(&f, &sub, 9, true, "trimmed a@8 c@30", {"a", 9, 8});
    sim_fan_gets(&f, &sub, "9");
    GAP_PAGE(&f, &sub, 13, true, "trimmed c@30", {"a", 13, 9}); /* one is passed */
    sim_fan_gets(&f, &sub, "13");
    GAP_PAGE(&f, &sub, 20, true, "trimmed a@20 c@31", {"b", 20, 6}); /* and now of these as well */
    sim_fan_gets(&f, &sub, "gap(a) gap(c) 20");
    assert_int_equal(weft_metrics_gauge(f.metrics, WEFT_G_GAPS_TOLD_BYTES), 2 * 16);
    weft_sub_fini(&sub);
    assert_int_equal(weft_metrics_gauge(f.metrics, WEFT_G_GAPS_TOLD_BYTES), 0);
    sim_fan_fini(&f);
}

/* A page that is thrown away in the middle is read again from there. */
static void a_gap_is_told_once_if_its_page_is_read_again(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 3, 3);
    sim_fan_followed(&f, "b", 2, 3);
    sim_fan_gets(&f, &sub, "opened@3");
    LIVE(&f, {"a", 4, 3});
    LIVE(&f, {"b", 7, 2}); /* a's 5 was lost */
    sim_fan_gets(&f, &sub, "4 7");
    LIVE(&f, {"b", 19, 18});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a b after 7");
    GAP_PAGE(&f, &sub, 19, false, "trimmed b@17", {"a", 10, 5}, {"b", 18, 17}, {"b", 19, 18});
    sim_fan_gets(&f, &sub, "gap(b)");
    assert_string_equal(f.read, "a after 4");
    PAGE(&f, &sub, 19, false, {"a", 5, 4}, {"a", 10, 5});
    sim_fan_gets(&f, &sub, "5");
    assert_string_equal(f.read, "a b after 7");
    GAP_PAGE(&f, &sub, 19, false, "trimmed b@17", {"a", 10, 5}, {"b", 18, 17}, {"b", 19, 18});
    sim_fan_gets(&f, &sub, "10 18 19");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* Where there is no room for it, it may be told again: never not at all. */
static void what_was_told_is_bounded(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, other;

    sim_fan_init_held(&f, 2 * 16);
    sim_fan_sub(&f, &sub, "a b c", "", WEFT_FROM_CURSOR, 2);
    sim_fan_sub(&f, &other, "d", "", WEFT_FROM_CURSOR, 2);
    sim_fan_gets(&f, &sub, "opened@2");
    f.refuse = true; /* it does not read on */
    GAP_PAGE(&f, &sub, 4, true, "trimmed a@8 c@30", {"b", 4, 2});
    sim_fan_gets(&f, &sub, "gap(a) gap(c) 4");
    f.refuse = false;
    sim_fan_gets(&f, &other, "opened@2");
    GAP_PAGE(&f, &other, 4, true, "trimmed d@9", {"d", 4, 2});
    sim_fan_gets(&f, &other, "gap(d) 4");
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_GAPS_TOLD_FULL), 1);
    GAP_PAGE(&f, &other, 5, true, "trimmed d@9", {"d", 5, 4});
    sim_fan_gets(&f, &other, "gap(d) 5");

    weft_sub_fini(&sub);
    GAP_PAGE(&f, &other, 6, true, "trimmed d@9", {"d", 6, 5});
    sim_fan_gets(&f, &other, "gap(d) 6");
    GAP_PAGE(&f, &other, 7, true, "trimmed d@9", {"d", 7, 6});
    sim_fan_gets(&f, &other, "7");
    weft_sub_fini(&other);
    sim_fan_fini(&f);
}

/* ---- Redis comes and goes ---- */

static void after_an_outage_the_log_has_what_was_missed(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, idle;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_sub(&f, &idle, "b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 2, 2);
    sim_fan_followed(&f, "b", 1, 2);
    sim_fan_gets(&f, &sub, "opened@2");
    sim_fan_gets(&f, &idle, "opened@2");
    LIVE(&f, {"a", 3, 2});
    weft_fanout_down(f.fo);
    sim_fan_gets(&f, &sub, "");
    sim_fan_up(&f, 7);
    sim_fan_gets(&f, &sub, "");
    LIVE(&f, {"a", 8, 7}); /* it is subscribed, but where it begins is not known */
    sim_fan_gets(&f, &sub, "");
    sim_fan_followed(&f, "a", 8, 8);
    sim_fan_followed(&f, "b", 1, 8);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 2");
    assert_int_equal(f.n_reads, 1);
    PAGE(&f, &sub, 8, false, {"a", 3, 2}, {"a", 7, 3}, {"a", 8, 7});
    sim_fan_gets(&f, &sub, "3 7 8");
    sim_fan_gets(&f, &idle, "");
    assert_int_equal(f.n_reads, 1); /* nothing was missed of b */
    weft_sub_fini(&sub);
    weft_sub_fini(&idle);
    sim_fan_fini(&f);
}

static void a_page_that_fails_as_redis_goes_waits_for_it(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_CURSOR, 2);
    sim_fan_gets(&f, &sub, "opened@2");
    weft_fanout_down(f.fo);
    weft_sub_page_failed(&sub, true);
    for (int i = 0; i < 30; i++) {
        tick(&f, 1);
        sim_fan_gets(&f, &sub, "");
    }
    assert_int_equal(f.n_reads, 1);
    sim_fan_up(&f, 2);
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(f.n_reads, 2);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* The newest event was lost, and no later one shows it: the hub compares now and then. */
static void a_later_base_wakes_those_at_the_tail(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 2, 2);
    sim_fan_gets(&f, &sub, "opened@2");
    sim_fan_gets(&f, &sub, "");
    sim_fan_followed(&f, "a", 3, 3);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 2");
    PAGE(&f, &sub, 3, false, {"a", 3, 2});
    sim_fan_gets(&f, &sub, "3");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* A ring without a batch is not one of which nothing is known. */
static void an_evicted_ring_is_still_complete(void **state)
{
    struct sim_fan f;
    struct weft_sub a, b, late;

    sim_fan_init(&f, 100, 1); /* only the newest batch of all stays */
    sim_fan_sub(&f, &a, "a", "", WEFT_FROM_NOW, 0);
    LIVE(&f, {"a", 9, 8}); /* before where it begins is known */
    sim_fan_sub(&f, &b, "b", "", WEFT_FROM_NOW, 0);
    LIVE(&f, {"b", 10, 0});
    sim_fan_followed(&f, "a", 9, 10);
    sim_fan_followed(&f, "b", 10, 10);
    sim_fan_sub(&f, &late, "a", "", WEFT_FROM_CURSOR, 8);
    sim_fan_gets(&f, &late, "opened@8");
    assert_string_equal(f.read, "a after 8");
    weft_sub_fini(&a);
    weft_sub_fini(&b);
    weft_sub_fini(&late);
    sim_fan_fini(&f);
}

/* Flushed, and empty when Redis came up: cursors of before have numbers that the new history gives again. */
static void the_first_event_of_a_history_parts_it_from_older_cursors(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, old;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 0, 0);
    sim_fan_gets(&f, &sub, "opened@0");
    f.ms = 5000;
    LIVE(&f, {"a", 1, 0}, {"a", 2, 1});
    sim_fan_gets(&f, &sub, "1 2");
    f.ms = 1000;
    sim_fan_sub(&f, &old, "a", "", WEFT_FROM_CURSOR, 1);
    sim_fan_gets(&f, &old, "opened@1");
    assert_string_equal(f.read, "a after 1");
    weft_sub_fini(&old);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* ---- topics and patterns ---- */

static void a_topic_is_followed_for_a_while_longer(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, again;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a b*", "", WEFT_FROM_NOW, 0);
    assert_string_equal(f.follows, "+a +*");
    sim_fan_followed(&f, "a", 1, 1);
    weft_sub_fini(&sub);
    tick(&f, 20);
    LIVE(&f, {"a", 2, 1});
    sim_fan_sub(&f, &again, "a", "", WEFT_FROM_CURSOR, 1);
    sim_fan_gets(&f, &again, "opened@1 2"); /* which a reconnect storm likes */
    assert_int_equal(f.n_reads, 0);
    tick(&f, 20);
    assert_string_equal(f.follows, "+a +* -*");
    weft_sub_fini(&again);
    tick(&f, 20);
    assert_string_equal(f.follows, "+a +* -*");
    tick(&f, 10);
    assert_string_equal(f.follows, "+a +* -* -a");
    assert_int_equal(weft_metrics_gauge(f.metrics, WEFT_G_TOPICS_FOLLOWED), 0);
    assert_int_equal(weft_metrics_gauge(f.metrics, WEFT_G_RING_BYTES), 0);
    sim_fan_fini(&f);
}

static void patterns_take_topics_as_they_come(void **state)
{
    struct sim_fan f;
    struct weft_sub wild, both, named;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &wild, "a*", "", WEFT_FROM_NOW, 0);
    sim_fan_sub(&f, &both, "* ab", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "", 5, 5);
    sim_fan_gets(&f, &wild, "opened@5");
    sim_fan_gets(&f, &both, "");
    sim_fan_followed(&f, "ab", 0, 5);
    sim_fan_gets(&f, &both, "opened@5");
    LIVE(&f, {"aa", 6, 0});
    LIVE(&f, {"b", 7, 0});
    LIVE(&f, {"ab", 8, 0});
    sim_fan_gets(&f, &wild, "6 8");
    sim_fan_gets(&f, &both, "6 7 8");

    /* A topic that somebody names later is also theirs. */
    sim_fan_sub(&f, &named, "ac", "", WEFT_FROM_NOW, 0);
    LIVE(&f, {"ac", 9, 0});
    sim_fan_gets(&f, &wild, "9");
    sim_fan_gets(&f, &both, "9");
    sim_fan_followed(&f, "ac", 9, 9);
    sim_fan_gets(&f, &named, "opened@9");
    LIVE(&f, {"ac", 10, 9});
    sim_fan_gets(&f, &named, "10");
    sim_fan_gets(&f, &wild, "10");
    assert_int_equal(f.n_reads, 0);

    /* The partition's channel left something out. */
    weft_fanout_broken(f.fo, 5, 12);
    sim_fan_gets(&f, &wild, "");
    assert_string_equal(f.read, "a* after 10");
    sim_fan_gets(&f, &named, "");
    assert_int_equal(f.n_reads, 2); /* whoever it may have been of */
    weft_sub_fini(&wild);
    weft_sub_fini(&both);
    weft_sub_fini(&named);
    sim_fan_fini(&f);
}

/* What nobody wanted was not kept. */
static void a_pattern_reads_what_was_not_for_anybody(void **state)
{
    struct sim_fan f;
    struct weft_sub first, second;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &first, "a*", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "", 5, 5);
    sim_fan_gets(&f, &first, "opened@5");
    LIVE(&f, {"b", 6, 0});
    LIVE(&f, {"a", 7, 0});
    sim_fan_gets(&f, &first, "7");
    assert_int_equal(f.n_reads, 0);
    sim_fan_sub(&f, &second, "b*", "", WEFT_FROM_CURSOR, 5);
    sim_fan_gets(&f, &second, "opened@5");
    assert_string_equal(f.read, "b* after 5");
    weft_sub_fini(&second);
    weft_sub_fini(&first);

    LIVE(&f, {"c", 8, 0}); /* the channel is still followed, for nobody */
    sim_fan_sub(&f, &first, "*", "", WEFT_FROM_CURSOR, 7);
    sim_fan_gets(&f, &first, "opened@7");
    assert_string_equal(f.read, "* after 7");
    PAGE(&f, &first, 8, false, {"c", 8, 0});
    sim_fan_gets(&f, &first, "8");
    LIVE(&f, {"c", 9, 8});
    sim_fan_gets(&f, &first, "9");
    assert_int_equal(f.n_reads, 2);
    weft_sub_fini(&first);
    sim_fan_fini(&f);
}

/* Its first event here has no predecessor: the topic is new, or it was removed and is born again. */
static void a_topic_that_is_born_again_is_read_by_who_names_it(void **state)
{
    struct sim_fan f;
    struct weft_sub wild, old, fresh;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &wild, "*", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "", 5, 5);
    sim_fan_gets(&f, &wild, "opened@5");
    LIVE(&f, {"a", 9, 0});
    sim_fan_gets(&f, &wild, "9");
    assert_int_equal(f.n_reads, 0); /* it has seen everything since 5 */

    sim_fan_sub(&f, &fresh, "a", "", WEFT_FROM_CURSOR, 8);
    sim_fan_sub(&f, &old, "a", "", WEFT_FROM_CURSOR, 7);
    sim_fan_followed(&f, "a", 9, 9);
    sim_fan_gets(&f, &fresh, "opened@8 9"); /* nothing can lie between */
    assert_int_equal(f.n_reads, 0);
    sim_fan_gets(&f, &old, "opened@7");
    assert_string_equal(f.read, "a after 7");
    weft_sub_fini(&wild);
    weft_sub_fini(&old);
    weft_sub_fini(&fresh);
    sim_fan_fini(&f);
}

static void a_subscriber_may_end_when_it_is_ready(void **state)
{
    struct sim_fan f;
    struct weft_sub one, two;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &one, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_sub(&f, &two, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 1, 1);
    LIVE(&f, {"a", 2, 1});
    f.end = &one;
    f.n_ready = 0;
    weft_fanout_flush(f.fo);
    assert_int_equal(f.n_ready, 2); /* each once */
    sim_fan_gets(&f, &two, "opened@2");
    weft_sub_fini(&one); /* safe on what was ended */
    weft_sub_fini(&two);
    sim_fan_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_lead_to_the_rings),
        cmocka_unit_test(the_earliest_comes_from_the_log),
        cmocka_unit_test(a_page_under_way_is_waited_for),
        cmocka_unit_test(it_does_not_read_while_topics_are_missing),
        cmocka_unit_test(a_page_without_news_is_not_asked_for_at_once),
        cmocka_unit_test(a_refused_read_is_tried_at_the_next_tick),
        cmocka_unit_test(a_gap_is_told_once),
        cmocka_unit_test(a_gap_is_told_once_if_its_page_is_read_again),
        cmocka_unit_test(what_was_told_is_bounded),
        cmocka_unit_test(after_an_outage_the_log_has_what_was_missed),
        cmocka_unit_test(a_page_that_fails_as_redis_goes_waits_for_it),
        cmocka_unit_test(a_later_base_wakes_those_at_the_tail),
        cmocka_unit_test(an_evicted_ring_is_still_complete),
        cmocka_unit_test(the_first_event_of_a_history_parts_it_from_older_cursors),
        cmocka_unit_test(a_topic_is_followed_for_a_while_longer),
        cmocka_unit_test(patterns_take_topics_as_they_come),
        cmocka_unit_test(a_pattern_reads_what_was_not_for_anybody),
        cmocka_unit_test(a_topic_that_is_born_again_is_read_by_who_names_it),
        cmocka_unit_test(a_subscriber_may_end_when_it_is_ready),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
