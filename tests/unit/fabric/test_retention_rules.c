/* Which rule counts for which topic, and what it leaves to the defaults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../pkg/fabric/retention_rules_priv.h"

static struct weft_retention of(const struct weft_retention_rules *rules, const char *topic)
{
    return weft_retention_of(rules, weft_str(topic, strlen(topic)));
}

static void the_first_match_counts(void **state)
{
    char rows[4][32] = {"repo:42=max_events:7", "repo:*=max_age:1h;idle:2h", "repo:4*=max_events:9",
                        "*=idle:0"};
    char *texts[] = {rows[0], rows[1], rows[2], rows[3]};
    struct weft_config_history history = {
        .max_events = 100, .max_age_s = 50, .idle_s = 60, .rules = {texts, 4}};
    struct weft_retention_rules rules;

    assert_int_equal(weft_retention_rules_init(&rules, &history, NULL), 0);
    assert_int_equal(of(&rules, "repo:42").max_events, 7);
    assert_int_equal(of(&rules, "repo:42").max_age_s, 50);
    assert_int_equal(of(&rules, "repo:43").max_events, 100);
    assert_int_equal(of(&rules, "repo:43").max_age_s, 3600);
    assert_int_equal(of(&rules, "repo:43").idle_s, 7200);
    assert_int_equal(of(&rules, "repo").idle_s, 0);
    assert_int_equal(of(&rules, "repo").max_age_s, 50);
    assert_true(weft_retention_ages(&rules));
    weft_retention_rules_fini(&rules);
}

static void without_rules_the_defaults_count(void **state)
{
    struct weft_config_history history = {.max_events = 100};
    struct weft_retention_rules rules;

    assert_int_equal(weft_retention_rules_init(&rules, &history, NULL), 0);
    assert_int_equal(of(&rules, "a").max_events, 100);
    assert_int_equal(of(&rules, "a").max_age_s, 0);
    assert_false(weft_retention_ages(&rules));
    weft_retention_rules_fini(&rules);
}

static void an_age_in_one_rule_is_an_age(void **state)
{
    char rows[2][32] = {"a=max_events:7", "b=max_age:1"};
    char *texts[] = {rows[0], rows[1]};
    struct weft_config_history history = {.rules = {texts, 2}};
    struct weft_retention_rules rules;

    assert_int_equal(weft_retention_rules_init(&rules, &history, NULL), 0);
    assert_true(weft_retention_ages(&rules));
    weft_retention_rules_fini(&rules);
    history.rules.len = 1;
    assert_int_equal(weft_retention_rules_init(&rules, &history, NULL), 0);
    assert_false(weft_retention_ages(&rules));
    weft_retention_rules_fini(&rules);
}

static void a_bad_rule_is_named(void **state)
{
    char rows[2][32] = {"a=max_events:7", "b=keep:1"};
    char *texts[] = {rows[0], rows[1]};
    struct weft_config_history history = {.rules = {texts, 2}};
    struct weft_retention_rules rules;
    struct weft_err err;

    assert_int_equal(weft_retention_rules_init(&rules, &history, &err), WEFT_EINVAL);
    assert_string_equal(err.field, "history.rules");
    assert_non_null(strstr(err.message, "b=keep:1"));
    weft_retention_rules_fini(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_match_counts),
        cmocka_unit_test(without_rules_the_defaults_count),
        cmocka_unit_test(an_age_in_one_rule_is_an_age),
        cmocka_unit_test(a_bad_rule_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
