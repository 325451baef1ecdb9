#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/id.h>

static void parse(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        struct weft_id id;
    } cases[] = {
        {"1795314948063-41", true, {1795314948063, 41}},
        {"0-0", true, {0, 0}},
        {"0-1", true, {0, 1}},
        {"18446744073709551615-18446744073709551615", true, {UINT64_MAX, UINT64_MAX}},
        {"18446744073709551616-1", false, {0, 0}},
        {"1-18446744073709551616", false, {0, 0}},
        {"99999999999999999999-1", false, {0, 0}},
        {"", false, {0, 0}},
        {"-", false, {0, 0}},
        {"1", false, {0, 0}},
        {"1-", false, {0, 0}},
        {"-1", false, {0, 0}},
        {"01-1", false, {0, 0}},
        {"1-01", false, {0, 0}},
        {"00-0", false, {0, 0}},
        {"1-1 ", false, {0, 0}},
        {" 1-1", false, {0, 0}},
        {"1--1", false, {0, 0}},
        {"1-+1", false, {0, 0}},
        {"1-1-1", false, {0, 0}},
        {"1_1", false, {0, 0}},
        {"a-b", false, {0, 0}},
        {"1-1a", false, {0, 0}},
        {"1-*", false, {0, 0}},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_id id = {7, 8};
        struct weft_str text = {cases[i].text, strlen(cases[i].text)};

        if (weft_id_parse(text, &id) != cases[i].ok)
            fail_msg("%s", cases[i].text);
        assert_int_equal(id.ms, cases[i].ok ? cases[i].id.ms : 7);
        assert_int_equal(id.seq, cases[i].ok ? cases[i].id.seq : 8);
    }
}

static void nothing_after_the_run_is_read(void **state)
{
    struct weft_id id;

    assert_true(weft_id_parse(weft_str("12-345", 5), &id));
    assert_int_equal(id.seq, 34);
    assert_false(weft_id_parse(weft_str("12-3", 3), &id));
    assert_false(weft_id_parse(weft_str(NULL, 0), &id));
}

static void print_is_the_inverse(void **state)
{
    static const struct weft_id ids[] = {
        {0, 0}, {1795314948063, 41}, {UINT64_MAX, UINT64_MAX}, {10, 9}};

    for (size_t i = 0; i < WEFT_COUNT_OF(ids); i++) {
        char out[WEFT_ID_MAX_LEN];
        size_t len = weft_id_print(out, ids[i]);
        struct weft_id id;

        assert_true(len <= sizeof(out));
        assert_true(weft_id_parse(weft_str(out, len), &id));
        assert_int_equal(id.ms, ids[i].ms);
        assert_int_equal(id.seq, ids[i].seq);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse),
        cmocka_unit_test(nothing_after_the_run_is_read),
        cmocka_unit_test(print_is_the_inverse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
