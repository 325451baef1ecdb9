/*
 * Topics that patterns match: what ties subscribers to them is there while something goes on, and is bounded; nobody notices.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include <weft/telemetry/metrics.h>

#include "sim_fan.h"

#define ALL   SIZE_MAX
#define QUIET 40 /* ticks after which a topic is quiet: linger_sweeps is 2, and some */

static void tick(struct sim_fan *f, size_t times)
{
    for (size_t i = 0; i < times; i++)
        weft_fanout_tick(f->fo);
}

static int64_t gauge(const struct sim_fan *f, enum weft_gauge which)
{
    return weft_metrics_gauge(f->metrics, which);
}

/* Follows "a*", and stands at 5. */
static void begin(struct sim_fan *f, struct weft_sub *sub, size_t ring_bytes)
{
    sim_fan_init(f, 100, ring_bytes);
    sim_fan_sub(f, sub, "a*", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(f, "", 5, 5);
    sim_fan_gets(f, sub, "opened@5");
}

static void end(struct sim_fan *f, struct weft_sub *sub)
{
    weft_sub_fini(sub);
    assert_int_equal(gauge(f, WEFT_G_PATTERN_BYTES), 0);
    sim_fan_fini(f);
}

static void a_quiet_topic_goes_with_its_ring(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, late;

    begin(&f, &sub, ALL);
    LIVE(&f, {"a1", 6, 0});
    LIVE(&f, {"a2", 7, 0});
    sim_fan_gets(&f, &sub, "6 7");
    assert_true(gauge(&f, WEFT_G_RING_BYTES) > 0);
    assert_true(gauge(&f, WEFT_G_PATTERN_BYTES) > 0);
    tick(&f, 20);
    LIVE(&f, {"a2", 8, 7}); /* it goes on */
    sim_fan_gets(&f, &sub, "8");
    sim_fan_sub(&f, &late, "a*", "", WEFT_FROM_CURSOR, 5);
    sim_fan_gets(&f, &late, "opened@5 6 7 8"); /* as warm as any ring */
    weft_sub_fini(&late);

    int64_t both = gauge(&f, WEFT_G_PATTERN_BYTES);
    tick(&f, 20);
    assert_int_equal(2 * gauge(&f, WEFT_G_PATTERN_BYTES), both);
    assert_int_equal(weft_metrics_counter(f.metrics, WEFT_M_PATTERN_OFF), 1);
    tick(&f, QUIET);
    assert_int_equal(gauge(&f, WEFT_G_PATTERN_BYTES), 0);
    assert_int_equal(gauge(&f, WEFT_G_RING_BYTES), 0);

    LIVE(&f, {"a1", 9, 6});
    LIVE(&f, {"a2", 10, 8});
    sim_fan_gets(&f, &sub, "9 10");
    assert_int_equal(f.n_reads, 0);
    sim_fan_sub(&f, &late, "a*", "", WEFT_FROM_CURSOR, 8);
    sim_fan_gets(&f, &late, "opened@8 9 10"); /* it has seen all of what went */
    assert_int_equal(f.n_reads, 0);
    weft_sub_fini(&late);
    sim_fan_sub(&f, &late, "a*", "", WEFT_FROM_CURSOR, 7);
    sim_fan_gets(&f, &late, "opened@7");
    assert_string_equal(f.read, "a* after 7");
    weft_sub_fini(&late);
    end(&f, &sub);
}

/* Wherever a subscriber stands: what it has not had it reads. */
static void who_has_not_had_it_reads_the_log(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    begin(&f, &sub, ALL);
    LIVE(&f, {"a1", 6, 0}, {"a1", 7, 6});
    LIVE(&f, {"a2", 8, 0});
    weft_fanout_flush(f.fo);
    assert_string_equal(sim_fan_pull_once(&f, &sub, 1, 1), "6");
    tick(&f, QUIET);
    LIVE(&f, {"a3", 9, 0});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a* after 6");
    PAGE(&f, &sub, 8, true, {"a1", 7, 6}, {"a2", 8, 0});
    sim_fan_gets(&f, &sub, "7 8 9");
    LIVE(&f, {"a1", 10, 7});
    sim_fan_gets(&f, &sub, "10");
    assert_int_equal(f.n_reads, 1);
    end(&f, &sub);
}

/* Who names it keeps its ring. */
static void a_quiet_topic_that_is_named_keeps_its_ring(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, named, late;

    begin(&f, &sub, ALL);
    sim_fan_sub(&f, &named, "a1", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "a1", 0, 5);
    sim_fan_gets(&f, &named, "opened@5");
    LIVE(&f, {"a1", 6, 0});
    sim_fan_gets(&f, &sub, "6");
    sim_fan_gets(&f, &named, "6");
    tick(&f, QUIET);
    assert_int_equal(gauge(&f, WEFT_G_PATTERN_BYTES), 0);
    sim_fan_sub(&f, &late, "a1", "", WEFT_FROM_CURSOR, 5);
    sim_fan_gets(&f, &late, "opened@5 6");
    weft_sub_fini(&late);
    sim_fan_sub(&f, &late, "a*", "", WEFT_FROM_CURSOR, 5);
    sim_fan_gets(&f, &late, "opened@5");
    assert_string_equal(f.read, "a* after 5");
    weft_sub_fini(&late);
    LIVE(&f, {"a1", 7, 6});
    sim_fan_gets(&f, &sub, "7");
    sim_fan_gets(&f, &named, "7");
    assert_int_equal(f.n_reads, 1);
    weft_sub_fini(&named);
    end(&f, &sub);
}

/* The hub says first that the log has more; the same then comes live, and is a duplicate. */
static void what_a_named_topic_passed_over_is_read(void **state)
{
    struct sim_fan f;
    struct weft_sub sub, named;

    begin(&f, &sub, ALL);
    sim_fan_sub(&f, &named, "a1", "", WEFT_FROM_CURSOR, 5);
    sim_fan_followed(&f, "a1", 6, 6);
    LIVE(&f, {"a1", 6, 0});
    sim_fan_gets(&f, &sub, "");
    assert_string_equal(f.read, "a* after 5");
    PAGE(&f, &sub, 6, false, {"a1", 6, 0});
    sim_fan_gets(&f, &sub, "6");
    LIVE(&f, {"a1", 7, 6});
    sim_fan_gets(&f, &sub, "7");
    weft_sub_fini(&named);
    end(&f, &sub);
}

/* However many topics there are: the quietest goes. */
static void what_ties_them_is_bounded(void **state)
{
    const size_t bound = 10000;
    struct sim_fan f;
    struct weft_sub sub, others[20];
    char name[8];

    begin(&f, &sub, bound);
    for (size_t i = 0; i < 20; i++)
        sim_fan_sub(&f, &others[i], "*", "", WEFT_FROM_NOW, 0);
    for (uint64_t seq = 6; seq < 206; seq++) {
        char seen[8];

        (void)snprintf(name, sizeof(name), "a%lu", (unsigned long)seq);
        (void)snprintf(seen, sizeof(seen), "%lu", (unsigned long)seq);
        LIVE(&f, {name, seq, 0});
        assert_in_range(gauge(&f, WEFT_G_PATTERN_BYTES), 1, (int64_t)bound);
        sim_fan_gets(&f, &sub, seen);
    }
    assert_true(weft_metrics_counter(f.metrics, WEFT_M_PATTERN_FULL) > 100);
    assert_int_equal(f.n_reads, 0); /* all of them keep up */
    sim_fan_gets(&f, &others[0], "opened@205");

    /* Who comes is tied to all that goes on, and others go for that too. */
    for (size_t i = 1; i < 20; i++)
        sim_fan_gets(&f, &others[i], "opened@205");
    LIVE(&f, {"a1", 206, 0});
    sim_fan_gets(&f, &sub, "206");
    weft_sub_fini(&sub);
    sim_fan_sub(&f, &sub, "*", "", WEFT_FROM_CURSOR, 206);
    assert_in_range(gauge(&f, WEFT_G_PATTERN_BYTES), 0, (int64_t)bound);
    for (size_t i = 0; i < 20; i++)
        weft_sub_fini(&others[i]);
    end(&f, &sub);
}

/* A topic that it has not read was taken off it: that it is slow is known nevertheless. */
static void one_that_wants_to_be_closed_is(void **state)
{
    struct sim_fan f;
    struct weft_sub sub;

    sim_fan_init(&f, 100, ALL);
    f.slow = WEFT_SLOW_CLOSE;
    sim_fan_sub(&f, &sub, "a*", "", WEFT_FROM_NOW, 0);
    sim_fan_followed(&f, "", 5, 5);
    sim_fan_gets(&f, &sub, "opened@5");
    weft_sub_blocked(&sub, 0);
    LIVE(&f, {"a1", 6, 0});
    tick(&f, QUIET);
    weft_sub_unblocked(&sub, 5000);
    sim_fan_gets(&f, &sub, "close@5");
    end(&f, &sub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_topic_goes_with_its_ring),
        cmocka_unit_test(who_has_not_had_it_reads_the_log),
        cmocka_unit_test(a_quiet_topic_that_is_named_keeps_its_ring),
        cmocka_unit_test(what_a_named_topic_passed_over_is_read),
        cmocka_unit_test(what_ties_them_is_bounded),
        cmocka_unit_test(one_that_wants_to_be_closed_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
