#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/json.h>

#include "json_priv.h"

static struct weft_json value(const char *s)
{
    return weft_json_value(weft_str(s, strlen(s)));
}

static void kinds(void **state)
{
    static const struct {
        const char *text;
        enum weft_json_kind kind;
    } cases[] = {
        {"{}", WEFT_JSON_OBJECT},  {"[]", WEFT_JSON_ARRAY},  {"\"\"", WEFT_JSON_STRING},
        {"0", WEFT_JSON_NUMBER},   {"-1", WEFT_JSON_NUMBER}, {"true", WEFT_JSON_BOOL},
        {"false", WEFT_JSON_BOOL}, {"null", WEFT_JSON_NULL},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++)
        assert_int_equal(value(cases[i].text).kind, cases[i].kind);
}

/* Members as "key=value;", elements as "=value;". */
static void walk(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"{}", ""},
        {"[]", ""},
        {"{\"a\":1}", "a=1;"},
        {"[1,2,3]", "=1;=2;=3;"},
        {"{\"a\":{\"b\":[1,{\"c\":\"}\"}]},\"d\":[],\"e\":{}}",
         "a={\"b\":[1,{\"c\":\"}\"}]};d=[];e={};"},
        {"[\"]\",\"\\\"\",\"\\\\\",[[],[]],true,null,-1.5e3]",
         "=\"]\";=\"\\\"\";=\"\\\\\";=[[],[]];=true;=null;=-1.5e3;"},
        {"{\"\":\"\",\"k\\\"}\":\"v\"}", "=\"\";k\\\"}=\"v\";"},
        {"{\"a longer key than eight\":\"a longer value than eight\",\"b\":\"\\\\\\\\\\\\\\\"x\"}",
         "a longer key than eight=\"a longer value than eight\";b=\"\\\\\\\\\\\\\\\"x\";"},
        {"[{\"a\":\"[\"},\"{\"]", "={\"a\":\"[\"};=\"{\";"},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_json_iter it;
        struct weft_json v;
        struct weft_str key = {"", 0};
        char got[300] = "";

        weft_json_begin(&it, value(cases[i].text));
        while (weft_json_next(&it, &key, &v)) {
            assert_int_equal(v.kind, weft_json_value(v.raw).kind);
            (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s=%.*s;", (int)key.len,
                           key.p, (int)v.raw.len, v.raw.p);
        }
        assert_string_equal(got, cases[i].want);
        assert_false(weft_json_next(&it, &key, &v));
    }
}

static void get(void **state)
{
    struct weft_json object =
        value("{\"a\":1,\"ab\":{\"x\":2},\"\\u0063\":3,\"d\\\"\":4,\"\\ud83d\\ude00\":5}");
    struct weft_json v;

    assert_true(weft_json_get(object, "a", &v));
    assert_true(weft_str_eq(v.raw, WEFT_STR("1")));
    assert_true(weft_json_get(object, "ab", &v));
    assert_int_equal(v.kind, WEFT_JSON_OBJECT);
    assert_true(weft_json_get(object, "c", &v));
    assert_true(weft_str_eq(v.raw, WEFT_STR("3")));
    assert_true(weft_json_get(object, "d\"", &v));
    assert_true(weft_json_get(object, "\xf0\x9f\x98\x80", &v));
    assert_false(weft_json_get(object, "x", &v));
    assert_false(weft_json_get(object, "", &v));
    assert_false(weft_json_get(object, "abc", &v));
    assert_false(weft_json_get(value("{}"), "a", &v));
}

static void raw_eq(void **state)
{
    assert_true(weft_json_raw_eq(WEFT_STR("\\u0061b"), WEFT_STR("ab")));
    assert_false(weft_json_raw_eq(WEFT_STR("\\u0061b"), WEFT_STR("a")));
    assert_false(weft_json_raw_eq(WEFT_STR("\\u0061"), WEFT_STR("ab")));
    assert_false(weft_json_raw_eq(WEFT_STR("\\u4ed3"), WEFT_STR("\xe4\xbb")));
    assert_true(weft_json_raw_eq(WEFT_STR(""), WEFT_STR("")));
    assert_false(weft_json_raw_eq(WEFT_STR("\\n"), WEFT_STR("\\n"))); /* the latter is decoded */
}

static void text(void **state)
{
    static const struct {
        const char *raw, *want;
    } cases[] = {
        {"\"\"", ""},
        {"\"plain \xe4\xbb\x93\"", "plain \xe4\xbb\x93"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u007f\\u0080\\u07ff\\u0800\\uffff\\uFFFD\"",
         "A\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xef\xbf\xbd"},
        {"\"\\ud800\\udc00\\uDBFF\\uDFFF\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
        {"\"\\u4ed3x\\u5E93\"", "\xe4\xbb\x93x\xe5\xba\x93"},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        char *out = malloc(strlen(cases[i].raw)); /* as much as is promised to be enough */
        struct weft_str got = weft_json_text(value(cases[i].raw), out);

        assert_int_equal(got.len, strlen(cases[i].want));
        assert_memory_equal(got.p, cases[i].want, got.len);
        free(out);
    }
}

static void integers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"42", true, 42},
        {"-42", true, -42},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775807", true, -INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551616", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"-1E0", false, 0},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        int64_t got = 7;

        if (weft_json_int(value(cases[i].text), &got) != cases[i].ok)
            fail_msg("%s", cases[i].text);
        assert_true(got == (cases[i].ok ? cases[i].want : 7));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),  cmocka_unit_test(walk), cmocka_unit_test(get),
        cmocka_unit_test(raw_eq), cmocka_unit_test(text), cmocka_unit_test(integers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
