#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <weft/telemetry/metrics.h>

#include "sim_fan.h"

#define ALL SIZE_MAX

static void an_open_subscriber_gets_what_comes(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_gets(&f, &sub, ""); /* not before the topic is followed */
    sim_fan_followed(&f, "a", 4, 7);
    sim_fan_gets(&f, &sub, "opened@7");
    LIVE(&f, {"a", 8, 4}, {"a", 9, 8});
    LIVE(&f, {"a", 12, 9});
    sim_fan_gets(&f, &sub, "8 9 12");
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(f.n_reads, 0);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* What came before the topic was followed lies before the start. */
static void an_opening_subscriber_starts_at_the_head(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 4, 7);
    LIVE(&f, {"a", 8, 4});
    sim_fan_gets(&f, &sub, "");
    sim_fan_followed(&f, "b", 0, 7);
    sim_fan_gets(&f, &sub, "opened@8");
    LIVE(&f, {"b", 9, 0});
    sim_fan_gets(&f, &sub, "9");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

static void duplicates_are_dropped(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 3, 3);
    LIVE(&f, {"a", 2, 1}, {"a", 3, 2}, {"a", 4, 3});
    LIVE(&f, {"a", 4, 3});
    sim_fan_gets(&f, &sub, "opened@4");
    LIVE(&f, {"a", 5, 4}, {"a", 6, 5});
    LIVE(&f, {"a", 5, 4}, {"a", 6, 5}, {"a", 7, 6});
    sim_fan_gets(&f, &sub, "5 6 7");
    LIVE(&f, {"a", 7, 6});
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_CHAIN_BREAKS), 0);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

static void topics_are_merged_by_seq(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "c b a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 0, 0);
    sim_fan_followed(&f, "b", 0, 0);
    sim_fan_followed(&f, "c", 0, 0);
    sim_fan_gets(&f, &sub, "opened@0");
    LIVE(&f, {"a", 1, 0}, {"a", 4, 1}, {"a", 5, 4});
    LIVE(&f, {"b", 2, 0}, {"b", 6, 2});
    LIVE(&f, {"c", 3, 0}, {"c", 7, 3});
    sim_fan_gets(&f, &sub, "1 2 3 4 5 6 7");
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

static void an_event_in_two_topics_comes_once(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 0, 0);
    sim_fan_followed(&f, "b", 0, 0);
    sim_fan_gets(&f, &sub, "opened@0");
    LIVE(&f, {"a", 1, 0}, {"a", 2, 1});
    LIVE(&f, {"b", 2, 0}, {"b", 3, 2});
    sim_fan_gets(&f, &sub, "1 2 3");
    LIVE(&f, {"a", 4, 2});
    sim_fan_gets(&f, &sub, "4");
    LIVE(&f, {"b", 4, 3}); /* in the next turn */
    sim_fan_gets(&f, &sub, "");
    assert_int_equal(f.n_reads, 0);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

/* More rings than fit on the stack, by a pattern. */
static void many_topics_are_merged(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;
    char expected[1200] = "";
    char names[100][8];

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "t*", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "", 0, 0);
    sim_fan_gets(&f, &sub, "opened@0");
    for (size_t i = 0; i < 100; i++)
        (void)snprintf(names[i], sizeof(names[i]), "t%zu", i);
    for (uint64_t seq = 1; seq <= 300; seq++) {
        size_t n = strlen(expected);

        /* The next seq is always in another topic. */
        LIVE(&f, {names[seq * 37 % 100], seq, seq > 100 ? seq - 100 : 0});
        (void)snprintf(expected + n, sizeof(expected) - n, "%s%lu", n > 0 ? " " : "",
                       (unsigned long)seq);
    }
    sim_fan_gets(&f, &sub, expected);
    assert_int_equal(f.n_reads, 0);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

static void a_ring_keeps_so_many_events(void **state)
{
    struct sim_fan f;
    struct weft_sub first, at_edge, beyond;

    sim_fan_init(&f, 3, ALL);
    sim_fan_sub(&f, &first, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 0, 0);
    sim_fan_gets(&f, &first, "opened@0");
    LIVE(&f, {"a", 1, 0});
    LIVE(&f, {"a", 2, 1}, {"a", 3, 2});
    LIVE(&f, {"a", 4, 3});
    LIVE(&f, {"a", 5, 4}); /* 1 goes, and then 2 with 3: a batch goes as a whole */

    sim_fan_sub(&f, &at_edge, "a", "", WEFT_FROM_CURSOR, 3);
    sim_fan_sub(&f, &beyond, "a", "", WEFT_FROM_CURSOR, 2);
    sim_fan_gets(&f, &at_edge, "opened@3 4 5");
    assert_int_equal(f.n_reads, 0);
    sim_fan_gets(&f, &beyond, "opened@2");
    assert_string_equal(f.read, "a after 2");
    PAGE(&f, &beyond, 5, false, {"a", 3, 2}, {"a", 4, 3}, {"a", 5, 4});
    sim_fan_gets(&f, &beyond, "3 4 5");

    /* Who was slow reads the log as well. */
    sim_fan_gets(&f, &first, "");
    assert_string_equal(f.read, "a after 0");
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_SUBSCRIBER_LAGGED), 1);
    PAGE(&f, &first, 3, true, {"a", 1, 0}, {"a", 2, 1}, {"a", 3, 2});
    sim_fan_gets(&f, &first, "1 2 3 4 5"); /* the rest from the ring */
    assert_int_equal(f.n_reads, 2);

    /* A batch that is larger than the ring stays until the next. */
    LIVE(&f, {"a", 6, 5}, {"a", 7, 6}, {"a", 8, 7}, {"a", 9, 8});
    sim_fan_gets(&f, &first, "6 7 8 9");
    assert_int_equal(f.n_reads, 2);
    weft_sub_fini(&first);
    weft_sub_fini(&at_edge);
    weft_sub_fini(&beyond);
    sim_fan_fini(&f);
}

/* The oldest batch goes, whichever ring it is in. */
static void all_rings_keep_so_many_bytes(void **state)
{
    const struct sim_entry entry = {"a", 1, 0};
    struct sim_fan f;
    struct weft_sub a, b, c;
    struct weft_batch *held;
    size_t size;

    sim_fan_init(&f, 100, ALL);
    held = sim_fan_batch(&f, &entry, 1);
    size = held->size;
    sim_fan_fini(&f);

    sim_fan_init(&f, 100, 3 * size + size / 2);
    sim_fan_sub(&f, &a, "a", "", WEFT_FROM_NOW, 0);
    sim_fan_sub(&f, &b, "b", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 0, 0);
    sim_fan_followed(&f, "b", 0, 0);
    weft_fanout_live(f.fo, held);
    assert_int_equal(atomic_load(&held->refs), 2);
    LIVE(&f, {"b", 2, 0});
    LIVE(&f, {"b", 3, 2});
    assert_int_equal(weft_metrics_gauge(f.metrics, WEFT_G_RING_BYTES), 3 * size);
    LIVE(&f, {"b", 4, 3});
    assert_int_equal(weft_metrics_gauge(f.metrics, WEFT_G_RING_BYTES), 3 * size);
    assert_int_equal(atomic_load(&held->refs), 1);

    /* a's ring is empty, and complete after 1; b's has all. */
    sim_fan_sub(&f, &c, "a b", "", WEFT_FROM_CURSOR, 1);
    sim_fan_gets(&f, &c, "opened@1 2 3 4");
    assert_int_equal(f.n_reads, 0);
    weft_sub_fini(&c);
    sim_fan_sub(&f, &c, "a", "", WEFT_FROM_CURSOR, 0);
    sim_fan_gets(&f, &c, "opened@0");
    assert_string_equal(f.read, "a after 0");
    weft_sub_fini(&a);
    weft_sub_fini(&b);
    weft_sub_fini(&c);
    weft_batch_unref(held);
    sim_fan_fini(&f);
}

static void a_hole_sends_those_before_it_to_the_log(void **state)
{
    struct sim_fan f;
    struct weft_sub behind, beyond;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &behind, "a", "", WEFT_FROM_CURSOR, 3);
    sim_fan_followed(&f, "a", 3, 3);
    LIVE(&f, {"a", 5, 3});
    sim_fan_gets(&f, &behind, "opened@3 5");
    LIVE(&f, {"a", 8, 7}); /* 7 was lost */
    sim_fan_sub(&f, &beyond, "a", "", WEFT_FROM_CURSOR, 7);
    sim_fan_gets(&f, &beyond, "opened@7 8");
    assert_int_equal(f.n_reads, 0);
    sim_fan_gets(&f, &behind, "");
    assert_string_equal(f.read, "a after 5");
    PAGE(&f, &behind, 8, false, {"a", 7, 5}, {"a", 8, 7});
    sim_fan_gets(&f, &behind, "7 8");
    LIVE(&f, {"a", 9, 8});
    sim_fan_gets(&f, &behind, "9");
    sim_fan_gets(&f, &beyond, "9");
    assert_int_equal(f.n_reads, 1);
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_CHAIN_BREAKS), 1);
    weft_sub_fini(&behind);
    weft_sub_fini(&beyond);
    sim_fan_fini(&f);
}

/* Lines are joined to batches before anybody looks at their chain. */
static void a_hole_inside_a_batch_is_seen(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_CURSOR, 3);
    sim_fan_followed(&f, "a", 3, 3);
    sim_fan_gets(&f, &sub, "opened@3");
    LIVE(&f, {"a", 5, 3}, {"a", 8, 7}, {"a", 9, 8});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a after 3");
    PAGE(&f, &sub, 7, true, {"a", 5, 3}, {"a", 7, 5});
    sim_fan_gets(&f, &sub, "5 7 8 9");
    assert_int_equal(f.n_reads, 1);
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

static void a_log_that_begins_anew_does_not_make_the_ring_older(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, old;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "", WEFT_FROM_CURSOR, 9);
    sim_fan_followed(&f, "a", 9, 9);
    LIVE(&f, {"a", 12, 0}); /* the log was removed after 9 */
    sim_fan_gets(&f, &sub, "opened@9 12");
    sim_fan_sub(&f, &old, "a", "", WEFT_FROM_CURSOR, 5);
    sim_fan_gets(&f, &old, "opened@5");
    assert_string_equal(f.read, "a after 5"); /* which tells the gap */
    weft_sub_fini(&sub);
    weft_sub_fini(&old);
    sim_fan_fini(&f);
}

static void a_pull_is_bounded(void **state)
{
    struct sim_fan f;
    struct weft_sub keeper, sub;
    struct weft_batch *batch;
    const struct sim_entry entry = {"a", 1, 0};
    size_t len;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &keeper, "a b*", "", WEFT_FROM_NOW, 0);
    batch = sim_fan_batch(&f, &entry, 1);
    len = batch->frames[0].len;
    weft_batch_unref(batch);
    sim_fan_followed(&f, "", 0, 0);
    sim_fan_followed(&f, "a", 0, 0);
    LIVE(&f, {"a", 1, 0}, {"a", 2, 1}, {"a", 3, 2});
    LIVE(&f, {"a", 4, 3});
    LIVE(&f, {"b", 5, 0});
    LIVE(&f, {"a", 6, 4});

    sim_fan_sub(&f, &sub, "a b*", "", WEFT_FROM_CURSOR, 0);
    assert_string_equal(sim_fan_pull_once(&f, &sub, 8, 1), "opened@0");
    assert_string_equal(sim_fan_pull_once(&f, &sub, 8, 1), "1"); /* one in any case */
    assert_string_equal(sim_fan_pull_once(&f, &sub, 8, 2 * len), "2 3");
    assert_string_equal(sim_fan_pull_once(&f, &sub, 2, SIZE_MAX), "4 5");
    assert_int_equal(sub.cursor.seq, 5);
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, SIZE_MAX), "6");
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, SIZE_MAX), "");
    weft_sub_fini(&sub);
    weft_sub_fini(&keeper);
    sim_fan_fini(&f);
}

static void other_types_are_skipped(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    sim_fan_sub(&f, &sub, "a", "order.* *.new", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a", 0, 0);
    sim_fan_gets(&f, &sub, "opened@0");
    f.type = "order.paid";
    LIVE(&f, {"a", 1, 0});
    f.type = "user.gone";
    LIVE(&f, {"a", 2, 1});
    f.type = "user.new";
    LIVE(&f, {"a", 3, 2});
    f.type = "tick";
    LIVE(&f, {"a", 4, 3});
    sim_fan_gets(&f, &sub, "1 3");
    assert_int_equal(sub.cursor.seq, 4); /* it has seen that one too */
    weft_sub_fini(&sub);
    sim_fan_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_subscriber_gets_what_comes),
        cmocka_unit_test(an_opening_subscriber_starts_at_the_head),
        cmocka_unit_test(duplicates_are_dropped),
        cmocka_unit_test(topics_are_merged_by_seq),
        cmocka_unit_test(an_event_in_two_topics_comes_once),
        cmocka_unit_test(many_topics_are_merged),
        cmocka_unit_test(a_ring_keeps_so_many_events),
        cmocka_unit_test(all_rings_keep_so_many_bytes),
        cmocka_unit_test(a_hole_sends_those_before_it_to_the_log),
        cmocka_unit_test(a_hole_inside_a_batch_is_seen),
        cmocka_unit_test(a_log_that_begins_anew_does_not_make_the_ring_older),
        cmocka_unit_test(a_pull_is_bounded),
        cmocka_unit_test(other_types_are_skipped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
