#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/str.h>

static struct weft_str from(const char *s)
{
    return weft_str(s, strlen(s));
}

static void equality(void **state)
{
    assert_true(weft_str_eq(WEFT_STR("abc"), from("abc")));
    assert_false(weft_str_eq(WEFT_STR("abc"), from("abd")));
    assert_false(weft_str_eq(WEFT_STR("abc"), from("ab")));
    assert_true(weft_str_eq(weft_str(NULL, 0), from("")));

    assert_true(weft_str_ieq(WEFT_STR("Content-TYPE"), from("cONTENT-type")));
    assert_false(weft_str_ieq(WEFT_STR("a"), from("aa")));
    assert_false(weft_str_ieq(WEFT_STR("["), from("{"))); /* 0x20 apart, but no letters */
    assert_false(weft_str_ieq(WEFT_STR("@"), from("`")));
}

static void u64(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"42", true, 42},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"184467440737095516150", false, 0},
        {"", false, 0},
        {"+1", false, 0},
        {"-1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1a", false, 0},
        {"0x1", false, 0},
        {"/", false, 0},
        {":", false, 0},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        uint64_t value = 77;

        if (weft_str_u64(from(cases[i].text), &value) != cases[i].ok)
            fail_msg("%s", cases[i].text);
        assert_int_equal(value, cases[i].ok ? cases[i].value : 77);
    }
}

static void check_print(uint64_t value)
{
    char expected[32];
    char out[20];
    size_t len = weft_u64_print(out, value);

    (void)snprintf(expected, sizeof(expected), "%" PRIu64, value);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(out, expected, len);
}

static void print(void **state)
{
    uint64_t power = 1;

    for (uint64_t v = 0; v < 2000; v++)
        check_print(v);
    for (int i = 0; i < 20; i++, power *= 10) {
        check_print(power - 1);
        check_print(power);
        check_print(power + 1);
    }
    check_print(UINT64_MAX);
}

static void utf8(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {"a", 1},
        {"\x7f", 1},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xe0\xa0\x80", 3},
        {"\xe4\xbb\x93", 3},
        {"\xed\x9f\xbf", 3},
        {"\xee\x80\x80", 3},
        {"\xef\xbf\xbf", 3},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0}, /* a tail alone */
        {"\xbf", 0},
        {"\xc0\x80", 0}, /* overlong */
        {"\xc1\xbf", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xed\xa0\x80", 0}, /* surrogates */
        {"\xed\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"\xc3", 0}, /* cut off */
        {"\xe4\xbb", 0},
        {"\xf0\x90\x80", 0},
        {"\xc3(", 0}, /* not a tail */
        {"\xe4(\x93", 0},
        {"\xe4\xbb(", 0},
        {"\xf0\x90(\x80", 0},
        {"\xf0\x90\x80(", 0},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        if (weft_utf8_len(cases[i].text, strlen(cases[i].text)) != cases[i].len)
            fail_msg("case %zu", i);
    }
}

/* Every code point, encoded by the book, is one sequence; no surrogate is. */
static void utf8_all_code_points(void **state)
{
    for (uint32_t c = 0x80; c <= 0x10ffff; c++) {
        char s[4];
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        uint32_t rest = c;

        for (size_t i = n - 1; i > 0; i--, rest >>= 6)
            s[i] = (char)(0x80 | (rest & 0x3f));
        s[0] = (char)((0xf00U >> n & 0xf0U) | rest);
        if (weft_utf8_len(s, n) != (c >= 0xd800 && c <= 0xdfff ? 0 : n))
            fail_msg("U+%04X", c);
    }
}

static void printable(void **state)
{
    assert_true(weft_str_printable(from("")));
    assert_true(weft_str_printable(from("a b ~ \xe4\xbb\x93")));
    assert_false(weft_str_printable(from("a\n")));
    assert_false(weft_str_printable(from("\x7f")));
    assert_false(weft_str_printable(from("\x1f")));
    assert_false(weft_str_printable(from("a\xff")));
    assert_false(weft_str_printable(weft_str("a\0b", 3)));
}

static void hash(void **state)
{
    /* From the FNV test vectors. */
    assert_int_equal(weft_hash64("", 0), 0xcbf29ce484222325U);
    assert_int_equal(weft_hash64("a", 1), 0xaf63dc4c8601ec8cU);
    assert_int_equal(weft_hash64("foobar", 6), 0x85944171f73967e8U);
}

static void prefixes(void **state)
{
    struct weft_str rest = WEFT_STR("=5");

    (void)state;
    assert_true(weft_str_starts(rest, "="));
    assert_true(weft_str_starts(rest, "=5"));
    assert_false(weft_str_starts(rest, "=5 "));
    assert_false(weft_str_take(&rest, "!"));
    assert_int_equal(rest.len, 2);
    assert_true(weft_str_take(&rest, "="));
    assert_true(weft_str_eq(rest, WEFT_STR("5")));
    assert_true(weft_str_take(&rest, "5"));
    assert_int_equal(rest.len, 0);
    assert_true(weft_str_starts(weft_str(NULL, 0), ""));
    assert_false(weft_str_starts(weft_str(NULL, 0), "a"));
}

static void before_and_trim(void **state)
{
    struct weft_str rest = WEFT_STR("a,,bc");

    (void)state;
    assert_true(weft_str_eq(weft_str_before(&rest, ','), WEFT_STR("a")));
    assert_true(weft_str_eq(weft_str_before(&rest, ','), WEFT_STR("")));
    assert_true(weft_str_eq(weft_str_before(&rest, ','), WEFT_STR("bc")));
    assert_int_equal(rest.len, 0);
    rest = WEFT_STR("a,"); /* nothing behind the last one */
    assert_true(weft_str_eq(weft_str_before(&rest, ','), WEFT_STR("a")));
    assert_int_equal(rest.len, 0);
    rest = weft_str(NULL, 0);
    assert_int_equal(weft_str_before(&rest, ',').len, 0);
    assert_true(weft_str_eq(weft_str_trim(WEFT_STR(" \ta b\t ")), WEFT_STR("a b")));
    assert_int_equal(weft_str_trim(WEFT_STR(" \t ")).len, 0);
    assert_int_equal(weft_str_trim(weft_str(NULL, 0)).len, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality),  cmocka_unit_test(u64),
        cmocka_unit_test(print),     cmocka_unit_test(utf8),
        cmocka_unit_test(printable), cmocka_unit_test(utf8_all_code_points),
        cmocka_unit_test(hash),      cmocka_unit_test(before_and_trim),
        cmocka_unit_test(prefixes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
