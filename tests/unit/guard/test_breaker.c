/* The breaker's state machine as a person would tell it, step by step; and its line of text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <weft/base/assert.h>
#include <weft/guard/breaker.h>

#define START UINT64_C(1000000)

static struct weft_breaker_config cfg;
static struct weft_breaker *br;
static uint64_t now;

static int setup(void **state)
{
    now = START;
    weft_breaker_config_init(&cfg);
    br = NULL;
    return 0;
}

static int teardown(void **state)
{
    weft_breaker_destroy(br);
    return 0;
}

static enum weft_breaker_state state_of(void)
{
    struct weft_breaker_view view;

    weft_breaker_view(br, now, &view);
    return view.state;
}

static struct weft_breaker_answer acquire(void)
{
    struct weft_breaker_answer a;

    weft_breaker_acquire(br, now, &a);
    return a;
}

static void failures(uint32_t node, uint64_t n)
{
    (void)weft_breaker_report(br, node, 0, 0, n, now);
}

static void defaults_of_the_product(void **state)
{
    br = weft_breaker_create(&cfg, now);
    failures(0, 4);
    assert_int_equal(state_of(), WEFT_BREAKER_CLOSED);
    now += 59999;
    failures(0, 1);
    assert_int_equal(state_of(), WEFT_BREAKER_OPEN);
    for (int i = 0; i < 40; i++) {
        assert_false(acquire().allowed);
    }
    assert_int_equal(acquire().wait_ms, 30000);
    now += 29999;
    assert_int_equal(acquire().wait_ms, 1);
    now += 1;
    struct weft_breaker_answer first = acquire();
    assert_true(first.allowed);
    assert_true(first.permit.number > 0);
    for (int i = 0; i < 40; i++) {
        assert_false(acquire().allowed);
    }
    assert_true(weft_breaker_settle(br, first.permit, true, now));
    assert_false(weft_breaker_settle(br, first.permit, true, now));
    assert_int_equal(state_of(), WEFT_BREAKER_HALF_OPEN);
    assert_true(weft_breaker_settle(br, acquire().permit, true, now));
    assert_int_equal(state_of(), WEFT_BREAKER_CLOSED);
    assert_int_equal(acquire().permit.number, 0);
}

static void failures_that_are_long_past_do_not_count(void **state)
{
    cfg.failure_threshold = 2;
    cfg.time_window_ms = 5000;
    br = weft_breaker_create(&cfg, now);
    failures(0, 1);
    now += 5000;
    failures(0, 1);
    assert_int_equal(state_of(), WEFT_BREAKER_CLOSED);
    now += 4000;
    failures(0, 1);
    assert_int_equal(state_of(), WEFT_BREAKER_OPEN);
}

static void a_failed_probe_opens_again_and_others_come_too_late(void **state)
{
    cfg.failure_threshold = 1;
    cfg.half_open_permits = 2;
    br = weft_breaker_create(&cfg, now);
    failures(0, 1);
    now += cfg.timeout_ms;
    struct weft_permit a = acquire().permit;
    struct weft_permit b = acquire().permit;
    assert_true(weft_breaker_settle(br, a, false, now));
    assert_int_equal(state_of(), WEFT_BREAKER_OPEN);
    assert_false(weft_breaker_settle(br, b, true, now));
    assert_int_equal(state_of(), WEFT_BREAKER_OPEN);
    now += cfg.timeout_ms;
    assert_true(acquire().allowed);
    assert_false(weft_breaker_settle(br, b, false, now)); /* of an older epoch */
    assert_int_equal(state_of(), WEFT_BREAKER_HALF_OPEN);
}

static void a_permit_of_which_nobody_hears_lapses(void **state)
{
    cfg.failure_threshold = 1;
    br = weft_breaker_create(&cfg, now);
    failures(0, 1);
    now += cfg.timeout_ms;
    struct weft_permit lost = acquire().permit;
    now += cfg.permit_ms - 300;
    assert_int_equal(acquire().wait_ms, 300);
    now += 300;
    assert_false(weft_breaker_settle(br, lost, false, now));
    assert_true(acquire().allowed);
}

static void a_permit_that_was_not_used_is_another_call_s(void **state)
{
    cfg.failure_threshold = 1;
    cfg.success_threshold = 1;
    br = weft_breaker_create(&cfg, now);
    failures(0, 1);
    now += cfg.timeout_ms;
    struct weft_permit unused = acquire().permit;
    assert_false(acquire().allowed);
    assert_true(weft_breaker_give_back(br, unused));
    assert_false(weft_breaker_give_back(br, unused));
    assert_int_equal(state_of(), WEFT_BREAKER_HALF_OPEN); /* it was no success */
    struct weft_permit used = acquire().permit;
    assert_true(used.number > 0);
    assert_false(weft_breaker_settle(br, unused, true, now));
    assert_true(weft_breaker_settle(br, used, true, now));
    assert_int_equal(state_of(), WEFT_BREAKER_CLOSED);
}

/* As a failover may bring it: another server, with another clock. */
static void a_clock_that_goes_back_holds_nothing_up(void **state)
{
    struct weft_breaker_view view;

    cfg.failure_threshold = 1;
    br = weft_breaker_create(&cfg, now);
    failures(0, 1);
    now -= 600000;
    weft_breaker_view(br, now, &view);
    assert_int_equal(view.since_ms, now);
    assert_int_equal(view.wait_ms, cfg.timeout_ms);
    assert_int_equal(acquire().wait_ms, cfg.timeout_ms);
    now += cfg.timeout_ms;
    struct weft_permit lost = acquire().permit;
    assert_true(lost.number > 0);
    now -= 200000;
    assert_false(acquire().allowed); /* whoever has it may be using it */
    now += cfg.permit_ms;
    assert_false(weft_breaker_settle(br, lost, true, now));
    assert_true(acquire().allowed);
}

static struct weft_permit half_open(void)
{
    cfg.failure_threshold = 1;
    br = weft_breaker_create(&cfg, now);
    failures(0, 1);
    now += cfg.timeout_ms;
    return acquire().permit;
}

static void permits_of_a_breaker_that_was_removed_are_nobody_s(void **state)
{
    struct weft_permit old = half_open();

    weft_breaker_destroy(br);
    now++;
    struct weft_permit new = half_open();
    assert_int_equal(old.number, new.number);
    assert_true(old.epoch < new.epoch);
    assert_false(weft_breaker_settle(br, old, false, now));
    assert_int_equal(state_of(), WEFT_BREAKER_HALF_OPEN);
}

static void a_rate_needs_calls(void **state)
{
    cfg.mode = WEFT_BREAKER_RATE;
    cfg.min_calls = 10;
    br = weft_breaker_create(&cfg, now);
    failures(0, 9);
    assert_int_equal(state_of(), WEFT_BREAKER_CLOSED);
    (void)weft_breaker_report(br, 0, 0, 10, 0, now); /* 9 of 19 */
    assert_int_equal(state_of(), WEFT_BREAKER_CLOSED);
    failures(0, 1);
    assert_int_equal(state_of(), WEFT_BREAKER_OPEN);
}

static void one_node_alone_is_no_quorum(void **state)
{
    cfg.quorum = 2;
    br = weft_breaker_create(&cfg, now);
    failures(1, 100);
    assert_int_equal(state_of(), WEFT_BREAKER_CLOSED);
    now += 60000;
    failures(2, 100);
    assert_int_equal(state_of(), WEFT_BREAKER_CLOSED); /* the other's are past */
    failures(1, 1);
    assert_int_equal(state_of(), WEFT_BREAKER_OPEN);
}

static void what_an_operator_says(void **state)
{
    br = weft_breaker_create(&cfg, now);
    assert_false(weft_breaker_force(br, WEFT_BREAKER_FORCE_AUTO, now));
    assert_true(weft_breaker_force(br, WEFT_BREAKER_FORCE_OPEN, now));
    assert_false(weft_breaker_force(br, WEFT_BREAKER_FORCE_OPEN, now));
    now += 1000000;
    assert_false(acquire().allowed);
    assert_true(weft_breaker_force(br, WEFT_BREAKER_FORCE_CLOSED, now));
    assert_true(weft_breaker_report(br, 0, 0, 0, 100, now));
    assert_true(acquire().allowed);
    assert_true(weft_breaker_force(br, WEFT_BREAKER_FORCE_DISABLED, now));
    assert_false(weft_breaker_report(br, 0, 0, 0, 100, now));
    assert_true(acquire().allowed);
    assert_true(weft_breaker_force(br, WEFT_BREAKER_FORCE_AUTO, now));
    failures(0, 4); /* it begins anew */
    assert_int_equal(state_of(), WEFT_BREAKER_CLOSED);
}

static void goes_on_from_what_was_told(void **state)
{
    struct weft_breaker_view view = {
        .version = 5, .epoch = 4, .state = WEFT_BREAKER_OPEN, .wait_ms = 100, .cfg = cfg};

    struct weft_breaker_answer answer;

    br = weft_breaker_resume(&view, now);
    assert_int_equal(acquire().wait_ms, 100);
    now += 100;
    answer = acquire();
    assert_true(answer.allowed);
    assert_true(answer.permit.epoch > 4);
    assert_true(answer.permit.number > UINT32_MAX); /* none that Redis may give with this epoch */
}

static void lines(void **state)
{
    static const char line[] =
        "17 3 half_open 1795314948063 0 rate 5 50 20 2 30000 60000 1 10000 1 local";
    static const char *const wrong[] = {
        "",
        "17",
        "17 3 gone",
        "x 3 open 1 0 rate 5 50 20 2 30000 60000 1 10000 1 local",
        "17 3 half_open 1 0 rate 5 50 20 2 30000 60000 1 10000 1 maybe",
        "17 3 half_open 1 0 rate 5 50 20 2 30000 60000 1 10000 1",
    };
    struct weft_breaker_view view;
    struct weft_permit permit;
    char text[WEFT_PERMIT_MAX_LEN];
    struct weft_buf b;

    assert_true(weft_breaker_view_parse(&view, weft_str(line, sizeof(line) - 1)));
    weft_buf_init(&b, 300);
    weft_breaker_view_print(&b, &view);
    assert_string_equal(b.data, line);
    weft_buf_fini(&b);
    for (size_t i = 0; i < WEFT_COUNT_OF(wrong); i++) {
        assert_false(weft_breaker_view_parse(&view, weft_str(wrong[i], strlen(wrong[i]))));
    }
    assert_true(weft_permit_parse(&permit, WEFT_STR("12-34")));
    (void)weft_permit_print(text, permit);
    assert_string_equal(text, "12-34");
    assert_false(weft_permit_parse(&permit, WEFT_STR("12-0")));
    assert_false(weft_permit_parse(&permit, WEFT_STR("12")));
    assert_false(weft_permit_parse(&permit, WEFT_STR("12-3x")));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_of_the_product),
        TEST(failures_that_are_long_past_do_not_count),
        TEST(a_failed_probe_opens_again_and_others_come_too_late),
        TEST(a_permit_of_which_nobody_hears_lapses),
        TEST(a_permit_that_was_not_used_is_another_call_s),
        TEST(a_clock_that_goes_back_holds_nothing_up),
        TEST(permits_of_a_breaker_that_was_removed_are_nobody_s),
        TEST(a_rate_needs_calls),
        TEST(one_node_alone_is_no_quorum),
        TEST(what_an_operator_says),
        TEST(goes_on_from_what_was_told),
        TEST(lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
