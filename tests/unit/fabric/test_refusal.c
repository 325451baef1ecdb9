/* Error answers of Redis: what they mean, and how often they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <refusal_priv.h>

#define SECOND UINT64_C(1000000000)

static struct weft_str text(const char *s)
{
    return weft_str(s, strlen(s));
}

static void meanings(void **state)
{
    static const struct {
        const char *error, *names;
        bool leave, unsure;
    } cases[] = {
        {"READONLY Can not run script with write flag on readonly replica.", "READONLY", true,
         false},
        {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
         "MASTERDOWN", true, false},
        {"LOADING Redis is loading the dataset in memory", "LOADING", false, false},
        {"NOREPLICAS Not enough good replicas to write.", "NOREPLICAS", false, false},
        {"MISCONF Redis is configured to save RDB snapshots", "MISCONF", false, false},
        {"OOM command not allowed when used memory > 'maxmemory'.", "OOM", false, false},
        {"NOPERM this user has no permissions to run the 'fcall' command", "NOPERM", false, true},
        {"ERR The user executing the script can't run this command or subcommand", "NOPERM", false,
         true},
        {"BUSY Redis is busy running a script.", "BUSY", false, false},
        {"ERR something else", "refused", false, true},
        {"READ", "refused", false, true},
        {"", "refused", false, true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct weft_refusal *r = weft_refusal_of(text(cases[i].error));

        assert_non_null(strstr(r->why, cases[i].names));
        assert_true(r->leave == cases[i].leave);
        assert_true(r->unsure == cases[i].unsure);
        assert_true(strlen(r->why) < 120); /* weft_published_msg.why */
    }
}

static void each_is_told_once_in_a_while(void **state)
{
    struct weft_refusal_log log = {{{0, 0}}};
    char other[32];

    assert_true(weft_refusal_is_news(&log, text("OOM"), SECOND));
    for (uint64_t s = 1; s < 31; s++) {
        assert_false(weft_refusal_is_news(&log, text("OOM"), s * SECOND));
    }
    assert_true(weft_refusal_is_news(&log, text("OOM"), 31 * SECOND));
    assert_false(weft_refusal_is_news(&log, text("OOM"), 32 * SECOND));
    assert_true(weft_refusal_is_news(&log, text(""), 32 * SECOND));
    assert_false(weft_refusal_is_news(&log, text(""), 32 * SECOND));
    /* The oldest is forgotten first. */
    for (int i = 0; i < 7; i++) {
        (void)snprintf(other, sizeof(other), "error %d", i);
        assert_true(weft_refusal_is_news(&log, text(other), 33 * SECOND));
    }
    assert_false(weft_refusal_is_news(&log, text(""), 34 * SECOND));
    assert_true(weft_refusal_is_news(&log, text("OOM"), 34 * SECOND));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meanings),
        cmocka_unit_test(each_is_told_once_in_a_while),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
