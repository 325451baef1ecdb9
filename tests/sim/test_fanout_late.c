/*
 * A live message is lost and a later one of another topic is given before anybody knows: what was lost comes late.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim_fan.h"

#define ALL SIZE_MAX

/* Follows a and b, and has got b's 7 when a's 5 and 6 were lost. */
static void lose(struct sim_fan *f, struct weft_sub *sub)
{
    sim_fan_init(f, 100, ALL);
    sim_fan_sub(f, sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(f, "a", 3, 3);
    sim_fan_followed(f, "b", 2, 3);
    sim_fan_gets(f, sub, "opened@3");
    LIVE(f, {"a", 4, 3});
    LIVE(f, {"b", 7, 2});
    sim_fan_gets(f, sub, "4 7");
}

static void end(struct sim_fan *f, struct weft_sub *sub)
{
    weft_sub_fini(sub);
    sim_fan_fini(f);
}

static void lost_events_come_late(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    lose(&f, &sub);
    assert_true(weft_sub_may_leave(&sub)); /* as far as anybody knows */
    LIVE(&f, {"a", 8, 6});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 4");
    assert_false(weft_sub_may_leave(&sub));
    PAGE(&f, &sub, 8, false, {"a", 5, 4}, {"a", 6, 5}, {"a", 8, 6});
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, 1), "5");
    assert_false(weft_sub_may_leave(&sub)); /* it would never get 6 */
    sim_fan_gets(&f, &sub, "6 8");
    assert_true(weft_sub_may_leave(&sub));
    assert_int_equal(sub.cursor.seq, 8);
    LIVE(&f, {"b", 9, 7});
    LIVE(&f, {"a", 10, 8});
    sim_fan_gets(&f, &sub, "9 10");
    assert_int_equal(f.n_reads, 1);
    end(&f, &sub);
}

static void in_several_pages_and_pulls(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    lose(&f, &sub);
    LIVE(&f, {"a", 8, 6});
    sim_fan_gets(&f, &sub, "");
    f.refuse = true;
    PAGE(&f, &sub, 5, true, {"a", 5, 4});
    sim_fan_gets(&f, &sub, "5");
    assert_int_equal(sub.cursor.seq, 7); /* it stays */
    f.refuse = false;
    weft_fanout_tick(f.fo);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 5");
    weft_sub_page_failed(&sub, true);
    weft_fanout_tick(f.fo);
    sim_fan_gets(&f, &sub, "");
    LIVE(&f, {"b", 9, 7});
    PAGE(&f, &sub, 8, true, {"a", 6, 5}, {"a", 8, 6});
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, 1), "6");
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, 1), "8");
    sim_fan_gets(&f, &sub, "9");
    end(&f, &sub);
}

static void of_two_topics_one_after_the_other(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a b c", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 1, 3);
    sim_fan_followed(&f, "b", 2, 3);
    sim_fan_followed(&f, "c", 3, 3);
    LIVE(&f, {"c", 9, 3});
    sim_fan_gets(&f, &sub, "opened@9");
    LIVE(&f, {"c", 19, 9}); /* a's 10 and 12 and b's 11 were lost */
    sim_fan_gets(&f, &sub, "19");
    LIVE(&f, {"a", 20, 12});
    LIVE(&f, {"b", 21, 11});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 9"); /* all before was not asked for */
    PAGE(&f, &sub, 21, false, {"a", 10, 1}, {"a", 12, 10}, {"a", 20, 12});
    sim_fan_gets(&f, &sub, "10 12");
    assert_string_equal(f.read, "b after 9");
    PAGE(&f, &sub, 21, false, {"b", 11, 2}, {"b", 21, 11});
    sim_fan_gets(&f, &sub, "11 20 21");
    assert_int_equal(f.n_reads, 2);
    end(&f, &sub);
}

/* A page of later events would break a's order: it is read again. */
static void a_page_that_is_here_has_to_wait(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    lose(&f, &sub);
    LIVE(&f, {"b", 12, 11}); /* 9 and 11 were lost as well */
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a b after 7");
    LIVE(&f, {"a", 13, 10});
    PAGE(&f, &sub, 13, false, {"b", 9, 7}, {"a", 10, 6}, {"b", 11, 9}, {"b", 12, 11},
         {"a", 13, 10});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 4");
    PAGE(&f, &sub, 13, false, {"a", 5, 4}, {"a", 6, 5}, {"a", 10, 6}, {"a", 13, 10});
    sim_fan_gets(&f, &sub, "5 6");
    assert_string_equal(f.read, "a b after 7");
    PAGE(&f, &sub, 13, false, {"b", 9, 7}, {"a", 10, 6}, {"b", 11, 9}, {"b", 12, 11},
         {"a", 13, 10});
    sim_fan_gets(&f, &sub, "9 10 11 12 13");
    assert_int_equal(f.n_reads, 3);
    end(&f, &sub);
}

/* a's next event comes by a page, before any live one. */
static void a_page_shows_it_too(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    lose(&f, &sub);
    LIVE(&f, {"b", 12, 11});
    sim_fan_gets(&f, &sub, "");
    PAGE(&f, &sub, 12, false, {"b", 9, 7}, {"a", 10, 6}, {"b", 11, 9}, {"b", 12, 11});
    sim_fan_gets(&f, &sub, "9");
    assert_string_equal(f.read, "a after 4");
    PAGE(&f, &sub, 12, false, {"a", 5, 4}, {"a", 6, 5}, {"a", 10, 6});
    sim_fan_gets(&f, &sub, "5 6");
    assert_string_equal(f.read, "a b after 9");
    PAGE(&f, &sub, 12, false, {"a", 10, 6}, {"b", 11, 9}, {"b", 12, 11});
    sim_fan_gets(&f, &sub, "10 11 12");
    LIVE(&f, {"a", 13, 10}); /* the live chain breaks only now */
    sim_fan_gets(&f, &sub, "13");
    assert_int_equal(f.n_reads, 3);
    end(&f, &sub);
}

static void where_the_hub_finds_it(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    lose(&f, &sub);
    sim_fan_followed(&f, "a", 6, 7);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 4");
    PAGE(&f, &sub, 7, false, {"a", 5, 4}, {"a", 6, 5});
    sim_fan_gets(&f, &sub, "5 6");
    end(&f, &sub);
}

/* What the log gave is not late when it comes live. */
static void not_what_came_by_the_log(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    lose(&f, &sub);
    LIVE(&f, {"b", 10, 9});
    sim_fan_gets(&f, &sub, "");
    PAGE(&f, &sub, 14, false, {"b", 9, 7}, {"b", 10, 9}, {"b", 12, 10}, {"b", 14, 12});
    sim_fan_gets(&f, &sub, "9 10 12 14");
    LIVE(&f, {"b", 12, 10});
    LIVE(&f, {"b", 14, 12});
    LIVE(&f, {"b", 15, 14});
    sim_fan_gets(&f, &sub, "15");
    assert_int_equal(f.n_reads, 1);
    end(&f, &sub);
}

/* An event of both: b gave it. */
static void not_what_another_topic_gave(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    lose(&f, &sub);
    LIVE(&f, {"b", 8, 7});
    LIVE(&f, {"b", 9, 8});
    sim_fan_gets(&f, &sub, "8 9");
    LIVE(&f, {"a", 10, 8});
    sim_fan_gets(&f, &sub, "");
    PAGE(&f, &sub, 10, false, {"a", 6, 4}, {"a", 8, 6}, {"a", 10, 8});
    sim_fan_gets(&f, &sub, "6 10");
    end(&f, &sub);
}

static void only_its_types(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a b", "t", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 3, 3);
    sim_fan_followed(&f, "b", 2, 3);
    sim_fan_gets(&f, &sub, "opened@3");
    LIVE(&f, {"b", 7, 2});
    sim_fan_gets(&f, &sub, "7");
    f.type = "other";
    LIVE(&f, {"a", 8, 6});
    sim_fan_gets(&f, &sub, "");
    PAGE(&f, &sub, 8, false, {"a", 6, 3}, {"a", 8, 6});
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(sub.cursor.seq, 8);
    end(&f, &sub);
}

static void a_gap_where_they_were_trimmed(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    lose(&f, &sub);
    LIVE(&f, {"a", 8, 6});
    sim_fan_gets(&f, &sub, "");
    GAP_PAGE(&f, &sub, 8, false, "trimmed a", {"a", 8, 6});
    sim_fan_gets(&f, &sub, "gap(a) 8");
    end(&f, &sub);
}

/* Lines of two topics that do not come in the order of the partition. */
static void events_that_come_out_of_order(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 3, 3);
    sim_fan_followed(&f, "b", 2, 3);
    sim_fan_gets(&f, &sub, "opened@3");
    LIVE(&f, {"b", 7, 2});
    sim_fan_gets(&f, &sub, "7");
    LIVE(&f, {"a", 4, 3}, {"a", 6, 4}, {"a", 8, 6});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 3");
    PAGE(&f, &sub, 8, false, {"a", 4, 3}, {"a", 6, 4}, {"a", 8, 6});
    sim_fan_gets(&f, &sub, "4 6 8");
    end(&f, &sub);
}

static void a_single_topic_has_nothing_late(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    lose(&f, &sub);
    weft_sub_fini(&sub);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_CURSOR, 4);
    sim_fan_gets(&f, &sub, "opened@4");
    LIVE(&f, {"a", 8, 6});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 4");
    PAGE(&f, &sub, 6, true, {"a", 5, 4}, {"a", 6, 5});
    sim_fan_gets(&f, &sub, "5 6 8");
    assert_int_equal(f.n_reads, 1);
    end(&f, &sub);
}

static void it_may_end_in_between(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    lose(&f, &sub);
    LIVE(&f, {"a", 8, 6});
    sim_fan_gets(&f, &sub, "");
    PAGE(&f, &sub, 5, true, {"a", 5, 4});
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, 1), "5");
    end(&f, &sub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_events_come_late),
        cmocka_unit_test(in_several_pages_and_pulls),
        cmocka_unit_test(of_two_topics_one_after_the_other),
        cmocka_unit_test(a_page_that_is_here_has_to_wait),
        cmocka_unit_test(a_page_shows_it_too),
        cmocka_unit_test(where_the_hub_finds_it),
        cmocka_unit_test(not_what_came_by_the_log),
        cmocka_unit_test(not_what_another_topic_gave),
        cmocka_unit_test(only_its_types),
        cmocka_unit_test(a_gap_where_they_were_trimmed),
        cmocka_unit_test(events_that_come_out_of_order),
        cmocka_unit_test(a_single_topic_has_nothing_late),
        cmocka_unit_test(it_may_end_in_between),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
