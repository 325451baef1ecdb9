/* One rule of history.rules: what it says, and what it must not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weft/config/config.h>
#include <weft/config/retention.h>

static void a_rule_with_all_keys(void **state)
{
    struct weft_retention_rule rule;
    const char *why = NULL;

    assert_int_equal(
        weft_retention_rule_parse(&rule, "repo:*=idle:90d;max_events:1000;max_age:7d", &why), 0);
    assert_true(weft_str_eq(rule.pattern, WEFT_STR("repo:*")));
    assert_int_equal(rule.keep.max_events, 1000);
    assert_int_equal(rule.keep.max_age_s, 7 * 86400);
    assert_int_equal(rule.keep.idle_s, 90 * 86400);
    assert_true(rule.has_max_events && rule.has_max_age && rule.has_idle);
}

/* "No limit" is said by 0, which is not the same as saying nothing. */
static void a_key_that_is_not_there_is_left_to_the_default(void **state)
{
    struct weft_retention_rule rule;
    const char *why = NULL;

    assert_int_equal(weft_retention_rule_parse(&rule, "orders=max_events:0", &why), 0);
    assert_true(rule.has_max_events && !rule.has_max_age && !rule.has_idle);
    assert_int_equal(rule.keep.max_events, 0);
}

static void takes_units(void **state)
{
    static const struct {
        const char *text;
        uint32_t seconds;
    } rows[] = {{"*=idle:0", 0},     {"*=idle:45", 45},    {"*=idle:45s", 45},   {"*=idle:2m", 120},
                {"*=idle:1h", 3600}, {"*=idle:1d", 86400}, {"*=idle:1d;", 86400}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct weft_retention_rule rule;
        const char *why = NULL;

        assert_int_equal(weft_retention_rule_parse(&rule, rows[i].text, &why), 0);
        assert_int_equal(rule.keep.idle_s, rows[i].seconds);
    }
}

static void refuses_and_says_why(void **state)
{
    static char longest[256];
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"", "PATTERN=KEY:VALUE"},
        {"a", "PATTERN=KEY:VALUE"},
        {"a=", "PATTERN=KEY:VALUE"},
        {"a=idle", "PATTERN=KEY:VALUE"},
        {"a=;idle:1d", "PATTERN=KEY:VALUE"},
        {"=idle:1d", "must begin with a topic"},
        {"a b=idle:1d", "must begin with a topic"},
        {"*a=idle:1d", "must begin with a topic"},
        {"a**=idle:1d", "must begin with a topic"},
        {longest, "must begin with a topic"},
        {"a=max_events:", "number of events"},
        {"a=max_events:1d", "number of events"},
        {"a=max_events:-1", "number of events"},
        {"a=max_events:1000000001", "number of events"},
        {"a=max_events:99999999999999999999", "number of events"},
        {"a=max_age:", "a time"},
        {"a=max_age:d", "a time"},
        {"a=max_age:1.5d", "a time"},
        {"a=max_age:1d ", "a time"},
        {"a=max_age:36501d", "a time"},
        {"a=max_age:99999999999999999999d", "a time"},
        {"a=idle:1d;idle:2d", "twice"},
        {"a=keep:1", "no other keys"},
        {"a=IDLE:1d", "no other keys"},
    };

    memset(longest, 'a', 200);
    memcpy(longest + 200, "*=idle:1", 9);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct weft_retention_rule rule = {.keep = {1, 2, 3}};
        const char *why = NULL;

        assert_int_equal(weft_retention_rule_parse(&rule, rows[i].text, &why), WEFT_EINVAL);
        if (why == NULL || strstr(why, rows[i].why) == NULL) {
            fail_msg("%s: %s", rows[i].text, why);
        }
        assert_int_equal(rule.keep.max_events, 1);
    }
    memmove(longest, longest + 1, 255); /* 200 of them are a topic */
    struct weft_retention_rule rule;
    const char *why = NULL;
    assert_int_equal(weft_retention_rule_parse(&rule, longest, &why), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_with_all_keys),
        cmocka_unit_test(a_key_that_is_not_there_is_left_to_the_default),
        cmocka_unit_test(takes_units),
        cmocka_unit_test(refuses_and_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
