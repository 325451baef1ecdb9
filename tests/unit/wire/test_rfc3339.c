#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weft/base/assert.h>

#include "rfc3339.h"

static void parse(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } cases[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"2018-04-05T17:31:00Z", true, 1522949460000},
        {"2018-04-05t17:31:00z", true, 1522949460000},
        {"2026-11-22T12:47:33.061Z", true, 1795351653061},
        {"2026-11-22T12:47:33.0619999999999Z", true, 1795351653061},
        {"2026-11-22T12:47:33.5Z", true, 1795351653500},
        {"2026-11-22T12:47:33.05+00:00", true, 1795351653050},
        {"2026-11-22T14:47:33+02:00", true, 1795351653000},
        {"2026-11-22T07:17:33-05:30", true, 1795351653000},
        {"2026-11-22T12:47:33-00:00", true, 1795351653000},
        {"1969-12-31T23:59:59.999Z", true, -1},
        {"1970-01-01T00:30:00+01:00", true, -1800000},
        {"2000-02-29T00:00:00Z", true, 951782400000},
        {"2024-02-29T23:59:59Z", true, 1709251199000},
        {"2016-12-31T23:59:60Z", true, 1483228800000}, /* a leap second */
        {"9999-12-31T23:59:59.999Z", true, 253402300799999},
        {"0000-01-01T00:00:00Z", true, -62167219200000},
        {"", false, 0},
        {"2023-02-29T00:00:00Z", false, 0},
        {"1900-02-29T00:00:00Z", false, 0},
        {"2026-04-31T00:00:00Z", false, 0},
        {"2026-00-01T00:00:00Z", false, 0},
        {"2026-13-01T00:00:00Z", false, 0},
        {"2026-01-00T00:00:00Z", false, 0},
        {"2026-01-32T00:00:00Z", false, 0},
        {"2026-01-01T24:00:00Z", false, 0},
        {"2026-01-01T00:60:00Z", false, 0},
        {"2026-01-01T00:00:61Z", false, 0},
        {"2026-01-01T00:00:00", false, 0},
        {"2026-01-01T00:00Z", false, 0},
        {"2026-01-01", false, 0},
        {"2026-01-01 00:00:00Z", false, 0},
        {"2026-01-01T00:00:00.Z", false, 0},
        {"2026-01-01T00:00:00,5Z", false, 0},
        {"2026-01-01T00:00:00ZZ", false, 0},
        {"2026-01-01T00:00:00+24:00", false, 0},
        {"2026-01-01T00:00:00+01:60", false, 0},
        {"2026-01-01T00:00:00+0100", false, 0},
        {"2026-01-01T00:00:00+01", false, 0},
        {"2026-01-01T00:00:00+01:00x", false, 0},
        {"2026-1-1T00:00:00Z", false, 0},
        {"26-01-01T00:00:00Z", false, 0},
        {"+2026-01-01T00:00:00Z", false, 0},
        {"2026/01/01T00:00:00Z", false, 0},
        {" 2026-01-01T00:00:00Z", false, 0},
        {"2026-01-01T00:00:00Z ", false, 0},
        {"2026-01-01T-1:00:00Z", false, 0},
        {"1795351653061", false, 0},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        int64_t got = 7;

        if (weft_rfc3339_parse(weft_str(cases[i].text, strlen(cases[i].text)), &got) != cases[i].ok)
            fail_msg("%s", cases[i].text);
        if (got != (cases[i].ok ? cases[i].want : 7))
            fail_msg("%s: %lld", cases[i].text, (long long)got);
    }
}

/* Every day of the 400 years after which the calendar repeats, and some more. */
static void every_day_follows_the_one_before(void **state)
{
    int64_t expected = -11644473600000; /* 1601-01-01 */

    for (int year = 1601; year <= 2101; year++) {
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; day <= 31; day++) {
                char text[64];
                int64_t got;

                (void)snprintf(text, sizeof(text), "%04d-%02d-%02dT00:00:00Z", year, month, day);
                if (!weft_rfc3339_parse(weft_str(text, strlen(text)), &got)) {
                    assert_true(day > 28);
                    continue;
                }
                if (got != expected)
                    fail_msg("%s", text);
                expected += 86400000;
            }
        }
    }
}

static void agrees_with_the_c_library(void **state)
{
    for (int64_t seconds = -2000000000; seconds < 100000000000; seconds += 987654321) {
        time_t t = (time_t)seconds;
        char text[64];
        struct tm tm;
        int64_t got;

        assert_non_null(gmtime_r(&t, &tm));
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
        assert_true(weft_rfc3339_parse(weft_str(text, strlen(text)), &got));
        assert_true(got == seconds * 1000);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse),
        cmocka_unit_test(every_day_follows_the_one_before),
        cmocka_unit_test(agrees_with_the_c_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
