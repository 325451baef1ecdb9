#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/since.h>

static void parse(void **state)
{
    static const struct {
        const char *text;
        int rc;
        struct weft_since since;
    } cases[] = {
        {"earliest", 0, {WEFT_SINCE_EARLIEST, {0, 0}}},
        {"1795314948063-41", 0, {WEFT_SINCE_ID, {1795314948063, 41}}},
        {"0-0", 0, {WEFT_SINCE_ID, {0, 0}}},
        {"1795314948063", 0, {WEFT_SINCE_TIME, {1795314948063, 0}}},
        {"0", 0, {WEFT_SINCE_TIME, {0, 0}}},
        {"9007199254740991", 0, {WEFT_SINCE_TIME, {9007199254740991, 0}}},
        {"9007199254740992", WEFT_EINVAL, {0, {0, 0}}},
        {"18446744073709551616", WEFT_EINVAL, {0, {0, 0}}},
        {"-250ms", 0, {WEFT_SINCE_AGO, {250, 0}}},
        {"-30s", 0, {WEFT_SINCE_AGO, {30000, 0}}},
        {"-5m", 0, {WEFT_SINCE_AGO, {300000, 0}}},
        {"-2h", 0, {WEFT_SINCE_AGO, {7200000, 0}}},
        {"-1d", 0, {WEFT_SINCE_AGO, {86400000, 0}}},
        {"-0s", 0, {WEFT_SINCE_AGO, {0, 0}}},
        {"-9007199254740991ms", 0, {WEFT_SINCE_AGO, {9007199254740991, 0}}},
        {"-9007199254740992ms", WEFT_EINVAL, {0, {0, 0}}},
        {"-9007199254741s", WEFT_EINVAL, {0, {0, 0}}},
        {"-18446744073709551615d", WEFT_EINVAL, {0, {0, 0}}},
        {"-99999999999999999999d", WEFT_EINVAL, {0, {0, 0}}},
        {"", WEFT_EINVAL, {0, {0, 0}}},
        {"-", WEFT_EINVAL, {0, {0, 0}}},
        {"-5", WEFT_EINVAL, {0, {0, 0}}},
        {"-m", WEFT_EINVAL, {0, {0, 0}}},
        {"-ms", WEFT_EINVAL, {0, {0, 0}}},
        {"-5w", WEFT_EINVAL, {0, {0, 0}}},
        {"-5M", WEFT_EINVAL, {0, {0, 0}}},
        {"-5 m", WEFT_EINVAL, {0, {0, 0}}},
        {"-1.5h", WEFT_EINVAL, {0, {0, 0}}},
        {"--5m", WEFT_EINVAL, {0, {0, 0}}},
        {"-5mm", WEFT_EINVAL, {0, {0, 0}}},
        {"5m", WEFT_EINVAL, {0, {0, 0}}},
        {"+5", WEFT_EINVAL, {0, {0, 0}}},
        {"Earliest", WEFT_EINVAL, {0, {0, 0}}},
        {"earliest ", WEFT_EINVAL, {0, {0, 0}}},
        {"latest", WEFT_EINVAL, {0, {0, 0}}},
        {"1-", WEFT_EINVAL, {0, {0, 0}}},
        {"01-1", WEFT_EINVAL, {0, {0, 0}}},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_since since = {WEFT_SINCE_ID, {7, 8}};
        int rc = weft_since_parse(weft_str(cases[i].text, strlen(cases[i].text)), &since);

        if (rc != cases[i].rc)
            fail_msg("%s", cases[i].text);
        if (rc != 0) {
            assert_int_equal(since.id.ms, 7);
            continue;
        }
        assert_int_equal(since.kind, cases[i].since.kind);
        assert_int_equal(since.id.ms, cases[i].since.id.ms);
        assert_int_equal(since.id.seq, cases[i].since.id.seq);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
