/*
 * Redis loses what was given: who had some of it is told, nobody else is, and what survived comes once.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "sim_fan.h"

#define ALL SIZE_MAX
#define G   UINT64_C(1000000000)

/* Another server takes over what there was up to this event, and its first one is G + 1. */
static void fail_over(struct sim_fan *f, uint64_t survives, uint64_t head)
{
    weft_fanout_down(f->fo);
    f->n_leaps = head > G ? 1 : 0; /* it is noted with the first event */
    f->leap = (struct weft_leap){G, f->ms + G, {f->ms + survives, survives}};
    sim_fan_up(f, head);
}

static void another_history_is_told(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, old;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 40, 50);
    LIVE(&f, {"a", 51, 40});
    sim_fan_gets(&f, &sub, "opened@51");
    LIVE(&f, {"a", 52, 51});
    sim_fan_gets(&f, &sub, "52");

    weft_fanout_down(f.fo);
    f.ms = f.born_ms = 5000;
    sim_fan_up(&f, 1);
    LIVE(&f, {"a", 2, 1});
    sim_fan_followed(&f, "a", 2, 2);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 52");
    GAP_PAGE(&f, &sub, 2, false, "reset a", {"a", 1, 0}, {"a", 2, 1});
    sim_fan_gets(&f, &sub, "gap(a) 1 2");
    LIVE(&f, {"a", 3, 2});
    sim_fan_gets(&f, &sub, "3");

    /* A cursor of the old one is not compared with rings of the new. */
    f.ms = 1000;
    sim_fan_sub(&f, &old, "a", "", WEFT_FROM_CURSOR, 2);
    f.ms = 5000;
    sim_fan_gets(&f, &old, "opened@2");
    assert_string_equal(f.read, "a after 2");
    GAP_PAGE(&f, &old, 3, false, "reset a", {"a", 1, 0}, {"a", 2, 1}, {"a", 3, 2});
    sim_fan_gets(&f, &old, "gap(a) 1 2 3");
    LIVE(&f, {"a", 4, 3});
    sim_fan_gets(&f, &old, "4");
    sim_fan_gets(&f, &sub, "4");
    assert_int_equal(f.n_reads, 2);
    weft_sub_fini(&sub);
    weft_sub_fini(&old);
    sim_fan_fini(&f);
}

/* A replica was promoted that lacked the last events: who was given one of them is told, nobody else. */
static void a_lost_tail_is_told_to_those_who_had_it(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, other, idle;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_sub(&f, &other, "b", "", WEFT_FROM_NOW, 0);
    sim_fan_sub(&f, &idle, "c", "", WEFT_FROM_CURSOR, 3);
    sim_fan_followed(&f, "a", 9, 10);
    sim_fan_followed(&f, "b", 10, 10);
    sim_fan_followed(&f, "c", 3, 10);
    sim_fan_gets(&f, &sub, "opened@10");
    sim_fan_gets(&f, &other, "opened@10");
    sim_fan_gets(&f, &idle, "opened@3");
    LIVE(&f, {"b", 11, 10});
    LIVE(&f, {"a", 12, 9});
    sim_fan_gets(&f, &sub, "12");
    sim_fan_gets(&f, &other, "11");
    sim_fan_gets(&f, &idle, "");
    size_t before = f.n_reads;

    weft_fanout_down(f.fo);
    f.n_leaps = 1;
    f.leap = (struct weft_leap){.first = 1000000000, .began_ms = 2000, .after = {1011, 11}};
    f.ms = 2000;
    sim_fan_up(&f, 1000000002);
    sim_fan_followed(&f, "a", 1000000001, 1000000002);
    sim_fan_followed(&f, "b", 11, 1000000002);
    sim_fan_followed(&f, "c", 3, 1000000002);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 12");
    sim_fan_gets(&f, &other, "");
    sim_fan_gets(&f, &idle, "");
    assert_int_equal(f.n_reads, before + 1);
    GAP_PAGE(&f, &sub, 1000000002, false, "reset a", {"a", 1000000001, 9});
    sim_fan_gets(&f, &sub, "gap(a) 1000000001");
    LIVE(&f, {"b", 1000000003, 11});
    sim_fan_gets(&f, &other, "1000000003");
    assert_int_equal(f.n_reads, before + 1);

    /* Who comes with a lost event's id is not served from a ring, though it reaches back that far. */
    struct weft_sub late;
    f.ms = 1000;
    sim_fan_sub(&f, &late, "b", "", WEFT_FROM_CURSOR, 12);
    sim_fan_gets(&f, &late, "opened@12");
    assert_string_equal(f.read, "b after 12");
    weft_sub_fini(&late);
    weft_sub_fini(&sub);
    weft_sub_fini(&other);
    weft_sub_fini(&idle);
    sim_fan_fini(&f);
}

/* What it stood beyond were other topics' events: nothing of its own is lost, and nothing is told. */
static void who_lost_nothing_stands_back(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 5, 12);
    sim_fan_gets(&f, &sub, "opened@12");
    weft_fanout_down(f.fo);
    sim_fan_up(&f, 8); /* nobody has written yet: no leap */
    sim_fan_followed(&f, "a", 5, 8);
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(sub.cursor.seq, 8);
    LIVE(&f, {"a", 1000000001, 5});
    sim_fan_gets(&f, &sub, "1000000001");
    assert_int_equal(f.n_reads, 0);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* Its log was removed by retention: it had seen all of it. */
static void a_topic_that_was_removed_tells_nothing(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 9, 10);
    sim_fan_gets(&f, &sub, "opened@10");
    weft_fanout_down(f.fo);
    sim_fan_up(&f, 20);
    sim_fan_followed(&f, "a", 0, 20);
    sim_fan_gets(&f, &sub, "");
    LIVE(&f, {"a", 21, 0});
    sim_fan_gets(&f, &sub, "21");
    assert_int_equal(f.n_reads, 0);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* A number of the lost history is beyond all of this one: nothing is late because of it. */
static void who_is_in_doubt_waits_for_nothing_late(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 5, 10);
    sim_fan_followed(&f, "b", 10, 10);
    sim_fan_gets(&f, &sub, "opened@10");
    LIVE(&f, {"b", 30, 10});
    sim_fan_gets(&f, &sub, "30");

    weft_fanout_down(f.fo);
    sim_fan_up(&f, 20); /* and nobody has written since */
    sim_fan_followed(&f, "a", 18, 20);
    sim_fan_followed(&f, "a", 19, 20);
    sim_fan_followed(&f, "b", 10, 20);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a b after 30");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* What a page has in front of its lost end was given: the log is not read from its beginning again. */
static void what_was_taken_of_a_lost_page_is_not_read_again(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_EARLIEST, 0);
    sim_fan_followed(&f, "a", 9, 9);
    sim_fan_gets(&f, &sub, "opened");
    PAGE(&f, &sub, 9, false, {"a", 7, 0}, {"a", 8, 7}, {"a", 9, 8});
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, 1), "7");
    fail_over(&f, 8, 8);
    sim_fan_followed(&f, "a", 8, 8);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 7");
    PAGE(&f, &sub, 8, false, {"a", 8, 7});
    sim_fan_gets(&f, &sub, "8");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* It begins at an id that is lost, which only other topics had: what it tells is not for this subscriber. */
static void a_page_under_way_is_not_for_who_stood_back(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_CURSOR, 5);
    sim_fan_gets(&f, &sub, "opened@5");
    EMPTY_PAGE(&f, &sub, 12, true);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 12");
    fail_over(&f, 10, 10);
    GAP_PAGE(&f, &sub, 10, false, "reset a", {"a", 8, 5});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 10");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* After a reset it has what survived; if that is lost as well, it is told again, though the next event has the same number. */
static void a_second_loss_is_told_again(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 9, 9);
    sim_fan_gets(&f, &sub, "opened@9");
    LIVE(&f, {"a", 10, 9}, {"a", 11, 10}, {"a", 12, 11});
    sim_fan_gets(&f, &sub, "10 11 12");
    fail_over(&f, 11, 11);
    sim_fan_gets(&f, &sub, "");
    f.resume = 11;
    sim_fan_page(&f, &sub, 11, false, "reset a", NULL, 0);
    sim_fan_gets(&f, &sub, "gap(a)");
    fail_over(&f, 10, 10);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 11");
    f.resume = 10;
    sim_fan_page(&f, &sub, 10, true, "reset a", NULL, 0);
    sim_fan_gets(&f, &sub, "gap(a)");
    assert_string_equal(f.read, "a after 10");
    sim_fan_page(&f, &sub, G + 5, false, "trimmed a", NULL,
                 0); /* another one, though next is none again */
    sim_fan_gets(&f, &sub, "gap(a)");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* A lost message that nobody knew of when Redis failed over: its event survived, and comes. */
static void what_was_lost_on_the_way_before_is_found_after(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, other;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_sub(&f, &other, "c", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 5, 10);
    sim_fan_followed(&f, "b", 10, 10);
    sim_fan_followed(&f, "c", 10, 10);
    sim_fan_gets(&f, &sub, "opened@10");
    LIVE(&f, {"b", 12, 10}); /* a's 11 did not come */
    LIVE(&f, {"c", 13, 10});
    sim_fan_gets(&f, &sub, "12");
    fail_over(&f, 12, 12);
    sim_fan_followed(&f, "a", 11, 12);
    sim_fan_followed(&f, "b", 12, 12);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 10");
    PAGE(&f, &sub, 12, false, {"a", 11, 5});
    sim_fan_gets(&f, &sub, "11");
    weft_sub_fini(&sub);
    weft_sub_fini(&other);
    sim_fan_fini(&f);
}

/* The one that showed it is lost, too: who was sent to the log for it does not wait there for ever. */
static void what_was_in_doubt_may_be_lost(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, wild;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_sub(&f, &wild, "b*", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 9, 9);
    sim_fan_followed(&f, "", 9, 9);
    sim_fan_gets(&f, &sub, "opened@9");
    sim_fan_gets(&f, &wild, "opened@9");
    weft_fanout_broken(f.fo, 9, G);
    weft_fanout_down(f.fo);
    sim_fan_up(&f, 9);
    sim_fan_followed(&f, "a", 9, 9);
    sim_fan_followed(&f, "", 9, 9);
    sim_fan_gets(&f, &sub, "");
    sim_fan_gets(&f, &wild, "");
    assert_int_equal(f.n_reads, 0);
    weft_sub_fini(&sub);
    weft_sub_fini(&wild);
    sim_fan_fini(&f);
}

/* Redis comes back without having been away for others: what is in doubt remains so. */
static void what_is_in_doubt_remains_so(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 9, 9);
    sim_fan_gets(&f, &sub, "opened@9");
    weft_fanout_broken(f.fo, 9, 12);
    weft_fanout_down(f.fo);
    weft_fanout_up(f.fo, NULL);
    sim_fan_followed(&f, "a", 9, 13); /* what came, not what the log has */
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 9");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* What everybody was sent to the log for came from there; that the ring never had it says nothing. */
static void what_came_by_the_log_is_not_late(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 5, 10);
    sim_fan_followed(&f, "b", 9, 10);
    sim_fan_gets(&f, &sub, "opened@10");
    LIVE(&f, {"a", 11, 5}, {"a", 12, 11});
    sim_fan_gets(&f, &sub, "11 12");
    weft_fanout_broken(f.fo, 9, 13);
    sim_fan_gets(&f, &sub, "");
    PAGE(&f, &sub, 14, false, {"b", 13, 9}, {"a", 14, 12});
    LIVE(&f, {"a", 14, 12});
    sim_fan_gets(&f, &sub, "13 14");
    LIVE(&f, {"a", 15, 14});
    sim_fan_gets(&f, &sub, "15");
    weft_fanout_broken(f.fo, 9, 16);
    weft_fanout_down(f.fo);
    weft_fanout_up(f.fo, NULL);
    sim_fan_followed(&f, "a", 15, 18);
    sim_fan_followed(&f, "b", 18, 18);
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a b after 15");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* The last event that survives is its own, and did not come. */
static void where_it_stands_back_to_was_not_given(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 5, 10);
    sim_fan_followed(&f, "b", 10, 10);
    sim_fan_gets(&f, &sub, "opened@10");
    LIVE(&f, {"b", 11, 10});
    sim_fan_gets(&f, &sub, "11");
    f.type = "u";
    weft_sub_fini(&sub);
    sim_fan_sub(&f, &sub, "a b", "t", WEFT_FROM_CURSOR, 11);
    sim_fan_gets(&f, &sub, "opened@11");
    LIVE(&f, {"b", 13, 11}); /* not of its types; a's 12 did not come */
    sim_fan_gets(&f, &sub, "");
    fail_over(&f, 12, 12);
    assert_int_equal(sub.cursor.seq, 12);
    sim_fan_followed(&f, "a", 12, 12);
    sim_fan_followed(&f, "b", 11, 12);
    sim_fan_gets(&f, &sub, "");
    f.type = "t";
    PAGE(&f, &sub, 12, false, {"a", 12, 5});
    sim_fan_gets(&f, &sub, "12");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* The history begins, or leaps, after Redis came up: a cursor from before may be of another one with these numbers. */
static void a_cursor_from_before_a_birth_or_a_leap_is_not_trusted(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, old;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 0, 0);
    f.ms = 5000;
    LIVE(&f, {"a", 1, 0}, {"a", 2, 1}, {"a", 3, 2});
    f.ms = 1000;
    sim_fan_sub(&f, &old, "a", "", WEFT_FROM_CURSOR, 2);
    sim_fan_gets(&f, &old, "opened@2");
    assert_string_equal(f.read, "a after 2");
    weft_sub_fini(&old);

    f.ms = 7000;
    LIVE(&f, {"a", G + 1, 3}, {"a", G + 2, G + 1});
    f.ms = 5500;
    sim_fan_sub(&f, &old, "a", "", WEFT_FROM_CURSOR, G + 1);
    sim_fan_gets(&f, &old, "opened@1000000001");
    assert_string_equal(f.read, "a after 1000000001");
    weft_sub_fini(&old);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* It is of a history that this worker does not know of yet: flushed, and on another node it is seen already. */
static void a_cursor_from_after_the_head_is_not_trusted(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, next;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 9, 9);
    LIVE(&f, {"a", 10, 9}, {"a", 11, 10});
    f.ms = 5000;
    sim_fan_sub(&f, &next, "a", "", WEFT_FROM_CURSOR, 10);
    sim_fan_gets(&f, &next, "opened@10");
    assert_string_equal(f.read, "a after 10");
    weft_sub_fini(&next);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* A worker that had missed something starts again with the history that it knows: nobody is judged by it. */
static void the_same_history_judges_nobody(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 9, 9);
    sim_fan_gets(&f, &sub, "opened@9");
    LIVE(&f, {"a", G + 1, 9}); /* a leap that is not noted in what was there when Redis came up */
    sim_fan_gets(&f, &sub, "1000000001");
    weft_fanout_down(f.fo);
    weft_fanout_up(f.fo, NULL);
    sim_fan_followed(&f, "a", G + 1, G + 1);
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(f.n_reads, 0);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* A ring knows its topic's last event by number only: the log is asked after an id that was given. */
static void a_late_read_begins_at_an_id_that_was_given(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.born_ms = f.ms;
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 9, 9);
    sim_fan_followed(&f, "b", 9, 9);
    sim_fan_gets(&f, &sub, "opened@9");
    LIVE(&f, {"a", 10, 9});
    sim_fan_gets(&f, &sub, "10");
    sim_fan_followed(&f, "a", G + 1, G + 1); /* it leapt, and the message of G + 1 was lost */
    LIVE(&f, {"b", G + 3, 9});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a b after 10");
    PAGE(&f, &sub, G + 1, false, {"a", G + 1, 10});
    sim_fan_gets(&f, &sub, "1000000001 1000000003");
    sim_fan_followed(&f, "a", G + 2, G + 3); /* and so was that of G + 2 */
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 10");
    PAGE(&f, &sub, G + 3, false, {"a", G + 1, 10}, {"a", G + 2, G + 1});
    sim_fan_gets(&f, &sub, "1000000002");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_history_is_told),
        cmocka_unit_test(a_lost_tail_is_told_to_those_who_had_it),
        cmocka_unit_test(who_lost_nothing_stands_back),
        cmocka_unit_test(a_topic_that_was_removed_tells_nothing),
        cmocka_unit_test(who_is_in_doubt_waits_for_nothing_late),
        cmocka_unit_test(what_was_taken_of_a_lost_page_is_not_read_again),
        cmocka_unit_test(a_page_under_way_is_not_for_who_stood_back),
        cmocka_unit_test(a_second_loss_is_told_again),
        cmocka_unit_test(what_was_lost_on_the_way_before_is_found_after),
        cmocka_unit_test(what_was_in_doubt_may_be_lost),
        cmocka_unit_test(what_is_in_doubt_remains_so),
        cmocka_unit_test(what_came_by_the_log_is_not_late),
        cmocka_unit_test(where_it_stands_back_to_was_not_given),
        cmocka_unit_test(a_cursor_from_before_a_birth_or_a_leap_is_not_trusted),
        cmocka_unit_test(a_cursor_from_after_the_head_is_not_trusted),
        cmocka_unit_test(the_same_history_judges_nobody),
        cmocka_unit_test(a_late_read_begins_at_an_id_that_was_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
