/* Pages put together from what Redis answered: order, what is complete, and gaps told exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../pkg/fabric/page_priv.h"

#define TYPE     WEFT_STR("a.b")
#define ENVELOPE WEFT_STR("{\"type\":\"a.b\"}")

struct maker {
    struct weft_page_maker pm;
    struct weft_batch_builder bb;
};

static void begin(struct maker *m, uint64_t start, uint64_t head)
{
    weft_page_maker_init(&m->pm);
    weft_batch_builder_init(&m->bb);
    m->pm.from = WEFT_READ_AFTER;
    m->pm.start = (struct weft_id){start, start};
    const struct weft_history history = {.head = {head, head}};

    weft_page_maker_head(&m->pm, &history);
}

static void end(struct maker *m, struct weft_page *page)
{
    weft_page_unref(page);
    weft_page_maker_fini(&m->pm);
    weft_batch_builder_fini(&m->bb);
}

static uint32_t topic(struct maker *m, const char *name, uint64_t score)
{
    uint32_t t = weft_page_maker_add(&m->pm, weft_str(name, strlen(name)));

    m->pm.topics[t].known = true;
    m->pm.topics[t].asked = true;
    m->pm.topics[t].score = score;
    return t;
}

static void entry(struct maker *m, uint32_t t, uint64_t seq, uint64_t prev)
{
    weft_page_maker_entry(&m->pm, t, (struct weft_id){seq, seq}, prev, TYPE, ENVELOPE);
}

static void merged_by_seq_each_once(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 0, 9);
    uint32_t a = topic(&m, "a", 7);
    uint32_t b = topic(&m, "b", 5);
    entry(&m, a, 1, 0);
    entry(&m, a, 5, 1);
    entry(&m, a, 7, 5);
    entry(&m, b, 2, 0);
    entry(&m, b, 5, 2); /* the same event in both */
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a b"), &m.bb);
    static const uint64_t expected[] = {1, 2, 5, 7};

    assert_int_equal(page->batch->n, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(page->batch->frames[i].id.seq, expected[i]);
    }
    assert_int_equal(page->upto.seq, 9);
    assert_false(page->more);
    assert_int_equal(page->n_gaps, 0);
    end(&m, page);
}

static void complete_only_up_to_the_shortest(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 0, 9);
    uint32_t a = topic(&m, "a", 9);
    uint32_t b = topic(&m, "b", 8);
    entry(&m, a, 1, 0);
    entry(&m, a, 3, 1);
    m.pm.topics[a].full = true;
    entry(&m, b, 2, 0);
    entry(&m, b, 8, 2);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a b"), &m.bb);

    assert_int_equal(page->batch->n, 3);
    assert_int_equal(page->upto.seq, 3);
    assert_true(page->more);
    end(&m, page);
}

/* What is ready is complete; what lies beyond a cut is not kept, but where the topic begins is known. */
static void a_cut_keeps_the_oldest(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 1, 99);
    uint32_t a = topic(&m, "a", 50);
    uint32_t b = topic(&m, "b", 60);
    uint32_t c = topic(&m, "c", 98);
    entry(&m, b, 20, 0);
    entry(&m, b, 40, 20);
    entry(&m, b, 60, 40);
    size_t each = weft_page_maker_bytes(&m.pm) / 3;
    entry(&m, a, 10, 0);
    entry(&m, a, 20, 10); /* also in b */
    m.pm.topics[a].full = true;
    assert_int_equal(weft_page_maker_bytes(&m.pm), 5 * each);
    assert_int_equal(weft_page_maker_ready(&m.pm), 3 * each);
    assert_int_equal(weft_page_maker_end(&m.pm).seq, 99);

    weft_page_maker_cut(&m.pm, 5 * each); /* all fits */
    assert_int_equal(weft_page_maker_end(&m.pm).seq, 99);
    weft_page_maker_cut(&m.pm, 2 * each); /* one event in two topics is not torn */
    assert_int_equal(weft_page_maker_end(&m.pm).seq, 20);
    assert_int_equal(weft_page_maker_bytes(&m.pm), 3 * each);
    entry(&m, c, 70, 65);
    assert_int_equal(weft_page_maker_bytes(&m.pm), 3 * each);
    entry(&m, a, 30, 20);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a b c"), &m.bb);

    assert_int_equal(page->batch->n, 2);
    assert_int_equal(page->batch->frames[0].id.seq, 10);
    assert_int_equal(page->batch->frames[1].id.seq, 20);
    assert_int_equal(page->upto.seq, 20);
    assert_true(page->more);
    assert_int_equal(page->n_gaps, 1); /* c was trimmed within the page */
    assert_int_equal(page->gaps[0].next.seq, 70);
    end(&m, page);
}

static void a_cut_leaves_one_event_however_large(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 0, 9);
    uint32_t a = topic(&m, "a", 5);
    entry(&m, a, 4, 0);
    entry(&m, a, 5, 4);
    weft_page_maker_cut(&m.pm, 0);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a"), &m.bb);

    assert_int_equal(page->batch->n, 1);
    assert_int_equal(page->upto.seq, 4);
    assert_true(page->more);
    end(&m, page);
}

/* Published after the head was read: for the next page. */
static void what_is_newer_than_the_head_waits(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 3, 9);
    uint32_t a = topic(&m, "a", 9);
    entry(&m, a, 9, 3);
    entry(&m, a, 10, 9);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a"), &m.bb);

    assert_int_equal(page->batch->n, 1);
    assert_int_equal(page->upto.seq, 9);
    assert_true(page->more);
    end(&m, page);
}

/* Begun at 10; a was trimmed up to 60, its first event is 90; b caps the page. */
static struct weft_page *capped(struct maker *m, uint64_t start, uint64_t cap)
{
    begin(m, start, 100);
    uint32_t a = topic(m, "a", 90);
    uint32_t b = topic(m, "b", 95);
    entry(m, a, 90, 60);
    entry(m, b, cap, 0);
    m->pm.topics[b].full = true;
    return weft_page_make(&m->pm, WEFT_STR("a b"), &m->bb);
}

static void a_gap_is_told_by_each_page_before_its_end(void **state)
{
    struct maker m;
    struct weft_page *page;

    (void)state;
    page = capped(&m, 10, 50); /* ends inside what is missing: who gets it may get no other one */
    assert_int_equal(page->n_gaps, 1);
    assert_int_equal(page->gaps[0].after.seq, 10);
    assert_int_equal(page->gaps[0].next.seq, 90);
    assert_int_equal(page->gaps[0].at, 60);
    end(&m, page);
    page = capped(&m, 50, 70);
    assert_int_equal(page->n_gaps, 1);
    assert_string_equal(page->gaps[0].topic, "a");
    assert_int_equal(page->gaps[0].after.seq, 50);
    assert_int_equal(page->gaps[0].next.seq, 90);
    assert_int_equal(page->gaps[0].at, 60); /* by which it is known as the same */
    assert_int_equal(page->gaps[0].reason, WEFT_GAP_TRIMMED);
    end(&m, page);
    page = capped(&m, 70, 80); /* begins behind it */
    assert_int_equal(page->n_gaps, 0);
    end(&m, page);
}

static void gaps_come_by_the_newest_that_is_missing(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 10, 100);
    uint32_t a = topic(&m, "a", 90);
    uint32_t b = topic(&m, "b", 70);
    uint32_t c = topic(&m, "c", 40);
    entry(&m, a, 90, 60);
    entry(&m, b, 70, 50);
    m.pm.topics[c].known = false;
    weft_page_maker_removed(&m.pm, WEFT_STR("c"), 40);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a b c d"), &m.bb);
    static const char *const topics[] = {"c", "b", "a"};
    static const uint64_t at[] = {40, 50, 60};

    assert_int_equal(page->n_gaps, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(page->gaps[i].topic, topics[i]);
        assert_int_equal(page->gaps[i].at, at[i]);
    }
    end(&m, page);
}

static void a_page_ends_before_a_hole_and_the_next_tells_it(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 0, 9);
    uint32_t a = topic(&m, "a", 9);
    entry(&m, a, 1, 0);
    entry(&m, a, 2, 1);
    entry(&m, a, 8, 7); /* 3 to 7 were deleted */
    entry(&m, a, 9, 8);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a"), &m.bb);
    assert_int_equal(page->batch->n, 2);
    assert_int_equal(page->upto.seq, 2);
    assert_true(page->more);
    assert_int_equal(page->n_gaps, 0);
    end(&m, page);

    begin(&m, 2, 9);
    a = topic(&m, "a", 9);
    entry(&m, a, 8, 7);
    entry(&m, a, 9, 8);
    page = weft_page_make(&m.pm, WEFT_STR("a"), &m.bb);
    assert_int_equal(page->n_gaps, 1);
    assert_int_equal(page->gaps[0].after.seq, 2);
    assert_int_equal(page->gaps[0].next.seq, 8);
    end(&m, page);
}

static void a_log_that_is_gone_is_a_gap_without_next(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 3, 9);
    (void)topic(&m, "a", 7);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a"), &m.bb);

    assert_null(page->batch);
    assert_int_equal(page->n_gaps, 1);
    assert_int_equal(page->gaps[0].next.seq, 0);
    end(&m, page);
}

/* Nothing but `removed` knows what a topic had before it was removed. */
static void a_removed_topic_is_a_gap(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 3, 9);
    uint32_t a = topic(&m, "a", 0);
    m.pm.topics[a].known = false;
    assert_true(weft_page_maker_unsure(&m.pm, &m.pm.topics[a]));
    weft_page_maker_removed(&m.pm, WEFT_STR("a"), 7);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a"), &m.bb);

    assert_int_equal(page->n_gaps, 1);
    assert_string_equal(page->gaps[0].topic, "a");
    assert_int_equal(page->gaps[0].after.seq, 3);
    assert_int_equal(page->gaps[0].next.seq, 0);
    end(&m, page);

    begin(&m, 7, 9); /* it had seen all */
    weft_page_maker_removed(&m.pm, WEFT_STR("a"), 7);
    page = weft_page_make(&m.pm, WEFT_STR("a"), &m.bb);
    assert_int_equal(page->n_gaps, 0);
    end(&m, page);
}

static void a_topic_born_again_tells_what_went_before(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 3, 20);
    uint32_t a = topic(&m, "a", 12);
    entry(&m, a, 11, 0);
    entry(&m, a, 12, 11);
    assert_true(weft_page_maker_unsure(&m.pm, &m.pm.topics[a]));
    weft_page_maker_removed(&m.pm, WEFT_STR("a"), 7);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a"), &m.bb);

    assert_int_equal(page->n_gaps, 1);
    assert_int_equal(page->gaps[0].next.seq, 11);
    assert_int_equal(page->batch->n, 2);
    end(&m, page);

    begin(&m, 11, 20); /* within its second life: no doubt */
    a = topic(&m, "a", 12);
    entry(&m, a, 12, 11);
    assert_false(weft_page_maker_unsure(&m.pm, &m.pm.topics[a]));
    end(&m, NULL);
}

/* Its log was trimmed after it was born again: one gap, not two. */
static void a_chain_that_shows_it_tells_it(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 3, 20);
    uint32_t a = topic(&m, "a", 15);
    entry(&m, a, 15, 12);
    weft_page_maker_removed(&m.pm, WEFT_STR("a"), 7);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a"), &m.bb);

    assert_int_equal(page->n_gaps, 1);
    end(&m, page);
}

static void a_pattern_is_told_once_in_a_page(void **state)
{
    struct maker m;
    struct weft_page *page;

    (void)state;
    for (uint64_t cap = 6; cap <= 12; cap += 3) {
        begin(&m, 3, 20);
        uint32_t b = topic(&m, "a.b", 20);
        entry(&m, b, cap, 2);
        m.pm.topics[b].full = true;
        weft_page_maker_removed(&m.pm, WEFT_STR("a*"), 9);
        weft_page_maker_removed(&m.pm, WEFT_STR("a*"), 8);
        page = weft_page_make(&m.pm, WEFT_STR("a*"), &m.bb);
        assert_int_equal(page->n_gaps, 1);
        assert_string_equal(page->gaps[0].topic, "a*");
        assert_int_equal(page->gaps[0].next.seq, cap);
        end(&m, page);
    }
}

static void a_start_of_another_history_is_reset(void **state)
{
    struct maker m;

    (void)state;
    begin(&m, 50, 9);
    assert_true(m.pm.reset);
    assert_int_equal(weft_page_maker_after(&m.pm).seq, 9);
    uint32_t a = topic(&m, "a1", 9);
    entry(&m, a, 4, 0);
    struct weft_page *page = weft_page_make(&m.pm, WEFT_STR("a* b"), &m.bb);

    assert_int_equal(page->n_gaps, 2);
    assert_string_equal(page->gaps[0].topic, "a*");
    assert_int_equal(page->gaps[0].next.seq, 4);
    assert_string_equal(page->gaps[1].topic, "b");
    assert_int_equal(page->gaps[1].next.seq, 0);
    assert_int_equal(page->gaps[1].reason, WEFT_GAP_RESET);
    assert_int_equal(page->batch->n, 1);
    end(&m, page);

    const struct weft_history younger = {.head = {9, 9}, .born_ms = 6};

    begin(&m, 5, 9);
    assert_false(m.pm.reset);
    weft_page_maker_head(&m.pm, &younger); /* the start is from before */
    assert_true(m.pm.reset);
    assert_int_equal(weft_page_maker_after(&m.pm).seq, 0);
    end(&m, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_by_seq_each_once),
        cmocka_unit_test(complete_only_up_to_the_shortest),
        cmocka_unit_test(a_cut_keeps_the_oldest),
        cmocka_unit_test(a_cut_leaves_one_event_however_large),
        cmocka_unit_test(what_is_newer_than_the_head_waits),
        cmocka_unit_test(a_gap_is_told_by_each_page_before_its_end),
        cmocka_unit_test(gaps_come_by_the_newest_that_is_missing),
        cmocka_unit_test(a_page_ends_before_a_hole_and_the_next_tells_it),
        cmocka_unit_test(a_log_that_is_gone_is_a_gap_without_next),
        cmocka_unit_test(a_removed_topic_is_a_gap),
        cmocka_unit_test(a_topic_born_again_tells_what_went_before),
        cmocka_unit_test(a_chain_that_shows_it_tells_it),
        cmocka_unit_test(a_pattern_is_told_once_in_a_page),
        cmocka_unit_test(a_start_of_another_history_is_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
