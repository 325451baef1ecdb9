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

/* Minifies a heap copy of exactly this length, so that reading past its end is seen. */
static int minify(struct weft_buf *out, struct weft_str text, unsigned depth, struct weft_err *err)
{
    char *copy = malloc(text.len + 1);
    char *tight = realloc(copy, text.len > 0 ? text.len : 1);
    int rc;

    memcpy(tight, text.p, text.len);
    rc = weft_json_minify(out, weft_str(tight, text.len), depth, err);
    free(tight);
    return rc;
}

#define T(literal)                   \
    {                                \
        literal, sizeof(literal) - 1 \
    }

/* What is accepted, and what becomes of it. */
static void accepted(void **state)
{
    static const struct {
        struct weft_str text;
        const char *want; /* NULL: the same */
    } cases[] = {
        {T("{}"), NULL},
        {T("[]"), NULL},
        {T("\"\""), NULL},
        {T("\"\\u0000\""), NULL},
        {T("null"), NULL},
        {T("true"), NULL},
        {T("false"), NULL},
        {T("0"), NULL},
        {T("-0"), NULL},
        {T("-1"), NULL},
        {T("10"), NULL},
        {T("0.5"), NULL},
        {T("-0.0"), NULL},
        {T("1e5"), NULL},
        {T("1E+5"), NULL},
        {T("0e-0"), NULL},
        {T("123.456e78"), NULL},
        {T("1e9999"), NULL}, /* the grammar allows what no double can hold */
        {T("1234567890123456789012345678901234567890123456789012345678901234"), NULL},
        {T(" \t\r\n{ \"a\" : [ 1 , 2 , { } , [ ] ] , \"b\" : null } \r\n"),
         "{\"a\":[1,2,{},[]],\"b\":null}"},
        {T("[ \" a b \" ]"), "[\" a b \"]"},
        {T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uFFFF\""), NULL},
        {T("\"\\ud83d\\ude00\""), NULL},
        {T("\"\\uD83D\\uDE00\\uD83D\\uDE00\""), NULL},
        {T("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\""), NULL},
        {T("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""), NULL},
        {T("\"\xe4\xbb\x93\xe5\xba\x93\xe7\x8a\xb6\xe6\x80\x81 done\""), NULL},
        {T("\"\x7f\""), NULL},
        {T("{\"\":1,\"a\":{\"\":1,\"a\":2}}"), NULL},
        {T("[{\"a\":1},{\"a\":1}]"), NULL},
        {T("{\"a\":1,\"A\":2,\"aa\":3}"), NULL},
        {T("{\"\\u0061b\":1,\"a\":2}"), NULL},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        const char *want = cases[i].want != NULL ? cases[i].want : cases[i].text.p;
        struct weft_err err = {0, "", ""};
        struct weft_buf out;

        weft_buf_init(&out, 1000);
        weft_buf_puts(&out, "kept");
        if (minify(&out, cases[i].text, 64, &err) != 0)
            fail_msg("%s: %s", cases[i].text.p, err.message);
        assert_memory_equal(out.data, "kept", 4);
        assert_string_equal(out.data + 4, want);
        assert_int_equal(out.len, 4 + strlen(want));
        weft_buf_fini(&out);
    }
}

static void refused(void **state)
{
    static const struct {
        struct weft_str text;
        const char *message;
    } cases[] = {
        {T(""), "the text ends too early at byte 0"},
        {T(" "), "the text ends too early at byte 1"},
        {T("{"), "the text ends too early at byte 1"},
        {T("["), "the text ends too early at byte 1"},
        {T("[1"), "the text ends too early at byte 2"},
        {T("[1,"), "the text ends too early at byte 3"},
        {T("{\"a\""), "the text ends too early at byte 4"},
        {T("{\"a\":"), "the text ends too early at byte 5"},
        {T("{\"a\":1"), "the text ends too early at byte 6"},
        {T("{\"a\":1,"), "the text ends too early at byte 7"},
        {T("\"abc"), "the text ends too early at byte 4"},
        {T("\"abc\\"), "the text ends too early at byte 5"},
        {T("-"), "the text ends too early at byte 1"},
        {T("1."), "the text ends too early at byte 2"},
        {T("1e"), "the text ends too early at byte 2"},
        {T("1e+"), "the text ends too early at byte 3"},
        {T("tru"), "unexpected text at byte 0"},
        {T("truE"), "unexpected text at byte 0"},
        {T("True"), "unexpected text at byte 0"},
        {T("nul"), "unexpected text at byte 0"},
        {T("truex"), "more text after the value at byte 4"},
        {T("1 2"), "more text after the value at byte 2"},
        {T("{}{}"), "more text after the value at byte 2"},
        {T("[]]"), "more text after the value at byte 2"},
        {T("{}\0"), "more text after the value at byte 2"},
        {T("[1,]"), "unexpected text at byte 3"},
        {T("[,1]"), "unexpected text at byte 1"},
        {T("[1 2]"), "expected \",\" or \"]\" at byte 3"},
        {T("[1}"), "expected \",\" or \"]\" at byte 2"},
        {T("{\"a\":1]"), "expected \",\" or \"}\" at byte 6"},
        {T("{\"a\":1,}"), "expected a key in quotes at byte 7"},
        {T("{a:1}"), "expected a key in quotes at byte 1"},
        {T("{1:1}"), "expected a key in quotes at byte 1"},
        {T("{\"a\" 1}"), "expected \":\" at byte 5"},
        {T("{\"a\"::1}"), "unexpected text at byte 5"},
        {T("'a'"), "unexpected text at byte 0"},
        {T("/**/1"), "unexpected text at byte 0"},
        {T("[1]//"), "more text after the value at byte 3"},
        {T("NaN"), "unexpected text at byte 0"},
        {T("-Infinity"), "expected a digit at byte 1"},
        {T("+1"), "unexpected text at byte 0"},
        {T(".5"), "unexpected text at byte 0"},
        {T("01"), "a number with a leading zero at byte 0"},
        {T("-01"), "a number with a leading zero at byte 1"},
        {T("00"), "a number with a leading zero at byte 0"},
        {T("0x1"), "more text after the value at byte 1"},
        {T("1.e1"), "expected a digit at byte 2"},
        {T("1.x"), "expected a digit at byte 2"},
        {T("1ex"), "expected a digit at byte 2"},
        {T("1e1.5"), "more text after the value at byte 3"},
        {T("12345678901234567890123456789012345678901234567890123456789012345"),
         "a number of more than 64 characters at byte 0"},
        {T("\xef\xbb\xbf{}"), "a byte order mark at byte 0"},
        {T("\xff\xfe{\0}\0"), "unexpected text at byte 0"},
        {T("\v1"), "unexpected text at byte 0"},
        {T("\xc2\xa0"
           "1"),
         "unexpected text at byte 0"},
        {T("\"a\nb\""), "a control character inside a string at byte 2"},
        {T("\"a\0b\""), "a control character inside a string at byte 2"},
        {T("\"aaaaaaaaaaaaaaaa\x1f\""), "a control character inside a string at byte 17"},
        {T("\"\\x\""), "an unknown escape at byte 1"},
        {T("\"\\U0041\""), "an unknown escape at byte 1"},
        {T("\"\\\xc3\xa9\""), "an unknown escape at byte 1"},
        {T("\"\\u12\""), "\\u without four hexadecimal digits at byte 1"},
        {T("\"\\u12g4\""), "\\u without four hexadecimal digits at byte 1"},
        {T("\"\\u-123\""), "\\u without four hexadecimal digits at byte 1"},
        {T("{\"\\u0000\":1}"), "\\u0000 in a key at byte 1"},
        {T("{\"a\\\\\\u0000\":1}"), "\\u0000 in a key at byte 1"},
        {T("\"\\ud800\""), "half of a surrogate pair at byte 1"},
        {T("\"\\udc00\""), "half of a surrogate pair at byte 1"},
        {T("\"\\ud800\\ud800\""), "half of a surrogate pair at byte 1"},
        {T("\"\\ud800\\u0041\""), "half of a surrogate pair at byte 1"},
        {T("\"\\ud800x\\udc00\""), "half of a surrogate pair at byte 1"},
        {T("\"\\ud800\\udc0\""), "half of a surrogate pair at byte 1"},
        {T("\"\\ud83d\\ude00\\ude00\""), "half of a surrogate pair at byte 13"},
        {T("\"\x80\""), "invalid UTF-8 at byte 1"},
        {T("\"\xc0\xaf\""), "invalid UTF-8 at byte 1"},
        {T("\"\xe0\x80\xaf\""), "invalid UTF-8 at byte 1"},
        {T("\"\xed\xa0\x80\""), "invalid UTF-8 at byte 1"},
        {T("\"\xf4\x90\x80\x80\""), "invalid UTF-8 at byte 1"},
        {T("\"\xf8\x88\x80\x80\x80\""), "invalid UTF-8 at byte 1"},
        {T("\"\xc3\""), "invalid UTF-8 at byte 1"},
        {T("\"\xe4\xbb\x93\xe4\xbb\""), "invalid UTF-8 at byte 4"},
        {T("\"\xe4\xbb\x93\xed\xa0\x80\xe4\xbb\x93\""), "invalid UTF-8 at byte 4"},
        {T("\"\xe4\xbb\x93\xe0\x80\xaf\xe4\xbb\x93\""), "invalid UTF-8 at byte 4"},
        {T("\"\xe4\xbb\x93\xe4(\x93\xe4\xbb\x93\""), "invalid UTF-8 at byte 4"},
        {T("\"\xe4\xbb\x93\xe4\xbb(\xe4\xbb\x93\""), "invalid UTF-8 at byte 4"},
        {T("\"abcdefghijkl\xe4\""), "invalid UTF-8 at byte 13"},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_err err = {0, "", ""};
        struct weft_buf out;

        weft_buf_init(&out, 1000);
        weft_buf_puts(&out, "kept");
        assert_int_equal(minify(&out, cases[i].text, 64, &err), WEFT_EINVAL);
        assert_string_equal(err.message, cases[i].message);
        assert_string_equal(out.data, "kept");
        assert_int_equal(out.len, 4);
        weft_buf_fini(&out);
    }
}

static void refused_without_a_place_for_the_error(void **state)
{
    struct weft_buf out;

    weft_buf_init(&out, 10);
    assert_int_equal(weft_json_minify(&out, WEFT_STR("{"), 64, NULL), WEFT_EINVAL);
    assert_int_equal(weft_json_minify(&out, weft_str(NULL, 0), 64, NULL), WEFT_EINVAL);
    weft_buf_fini(&out);
}

static void larger_than_the_buffer(void **state)
{
    struct weft_err err;
    struct weft_buf out;

    weft_buf_init(&out, 4);
    assert_int_equal(weft_json_minify(&out, WEFT_STR("[1,2]"), 64, &err), WEFT_ETOOBIG);
    weft_buf_clear(&out);
    assert_int_equal(weft_json_minify(&out, WEFT_STR("[ 1]"), 64, &err), 0);
    assert_string_equal(out.data, "[1]");
    weft_buf_fini(&out);
}

static void depth(void **state)
{
    char text[2 * WEFT_JSON_MAX_DEPTH + 2];
    struct weft_err err;
    struct weft_buf out;

    weft_buf_init(&out, 1 << 16);
    for (unsigned limit = 0; limit <= WEFT_JSON_MAX_DEPTH; limit++) {
        memset(text, '[', limit);
        memset(text + limit, ']', limit);
        if (limit > 0)
            assert_int_equal(minify(&out, weft_str(text, 2 * limit), limit, &err), 0);
        memset(text, '[', limit + 1);
        memset(text + limit + 1, ']', limit + 1);
        assert_int_equal(minify(&out, weft_str(text, 2 * limit + 2), limit, &err), WEFT_EINVAL);
        assert_non_null(strstr(err.message, "nested too deeply at byte"));
    }
    assert_int_equal(minify(&out, WEFT_STR("1"), 0, &err), 0);
    assert_int_equal(minify(&out, WEFT_STR("[[],[],{\"a\":{}}]"), 3, &err), 0);
    assert_int_equal(minify(&out, WEFT_STR("[[],[],{\"a\":[{}]}]"), 3, &err), WEFT_EINVAL);
    weft_buf_fini(&out);
}

/* ---- duplicate keys --------------------------------------------------------------------------- */

static void duplicate_keys(void **state)
{
    static const char *const texts[] = {
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"b\":2,\"a\":3}",
        "{\"\":1,\"\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"\\u0061\":1,\"a\":2}",
        "{\"\\u0061b\":1,\"a\\u0062\":2}",
        "{\"/\":1,\"\\/\":2}",
        "{\"\xe4\xbb\x93\":1,\"\\u4ed3\":2}",
        "{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}",
        "{\"12345678\":1,\"1234567\\u0038\":2}",
        "{\"123456789\":1,\"\\u0031\\u0032\\u0033456789\":2}",
        "[{\"b\":{\"a\":1,\"a\":2}}]",
        "{\"a\":{\"a\":1,\"b\":2},\"a\":3}",
    };
    struct weft_err err;
    struct weft_buf out;

    weft_buf_init(&out, 1000);
    for (size_t i = 0; i < WEFT_COUNT_OF(texts); i++) {
        if (minify(&out, weft_str(texts[i], strlen(texts[i])), 64, &err) != WEFT_EINVAL)
            fail_msg("%s", texts[i]);
        assert_non_null(strstr(err.message, "duplicate key"));
    }
    assert_int_equal(minify(&out, WEFT_STR("{\"a\":1,\"b\":{\"a\":1},\"b\":3}"), 64, &err),
                     WEFT_EINVAL);
    assert_string_equal(err.message, "duplicate key \"b\" at byte 19");
    weft_buf_fini(&out);
}

/* n keys k0 …, of which number "again" appears once more in the end, escaped or not. */
static struct weft_str many_keys(struct weft_buf *text, unsigned n, int again, bool escaped)
{
    weft_buf_clear(text);
    weft_buf_puts(text, "{");
    for (unsigned i = 0; i < n; i++)
        weft_buf_printf(text, "%s\"k%u\":%u", i == 0 ? "" : ",", i, i);
    if (again >= 0)
        weft_buf_printf(text, ",\"%s%d\":0", escaped ? "\\u006b" : "k", again);
    weft_buf_puts(text, "}");
    return weft_str(text->data, text->len);
}

static void duplicate_keys_in_objects_of_all_sizes(void **state)
{
    static const unsigned sizes[] = {1, 2, 15, 16, 17, 18, 33, 100, 1000, WEFT_JSON_MAX_KEYS - 1};
    struct weft_buf text;
    struct weft_buf out;
    struct weft_err err;

    weft_buf_init(&text, 1 << 20);
    weft_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < WEFT_COUNT_OF(sizes); i++) {
        unsigned n = sizes[i];

        weft_buf_clear(&out);
        assert_int_equal(minify(&out, many_keys(&text, n, -1, false), 64, &err), 0);
        for (unsigned again = 0; again<n; again += n> 100 ? 97 : 1) {
            char want[64];

            for (int escaped = 0; escaped < 2; escaped++) {
                struct weft_str s = many_keys(&text, n, (int)again, escaped != 0);
                size_t at = (size_t)((char *)memrchr(s.p, ',', s.len) - s.p) + 1;

                assert_int_equal(minify(&out, s, 64, &err), WEFT_EINVAL);
                (void)snprintf(want, sizeof(want), "duplicate key \"%s%u\" at byte %zu",
                               escaped != 0 ? "\\u006b" : "k", again, at);
                assert_string_equal(err.message, want);
            }
        }
    }
    weft_buf_fini(&text);
    weft_buf_fini(&out);
}

/* Keys of which one is the beginning of the other, or that differ in one byte, are different. */
static void near_duplicates(void **state)
{
    struct weft_buf text;
    struct weft_buf out;
    struct weft_err err;

    weft_buf_init(&text, 1 << 20);
    weft_buf_init(&out, 1 << 20);
    weft_buf_puts(&text, "{\"\":0");
    for (size_t i = 1; i <= 60; i++) {
        weft_buf_puts(&text, ",\"");
        for (size_t j = 0; j < i; j++)
            weft_buf_puts(&text, "x");
        weft_buf_puts(&text, "\":0,\"");
        for (size_t j = 0; j < i; j++)
            weft_buf_puts(&text, j + 1 == i ? "\\u0079" : "x");
        weft_buf_puts(&text, "\":0");
    }
    weft_buf_puts(&text, "}");
    assert_int_equal(minify(&out, weft_str(text.data, text.len), 64, &err), 0);
    weft_buf_fini(&text);
    weft_buf_fini(&out);
}

static void open_keys_are_counted(void **state)
{
    struct weft_buf text;
    struct weft_buf out;
    struct weft_err err;

    weft_buf_init(&text, 1 << 20);
    weft_buf_init(&out, 1 << 20);
    assert_int_equal(minify(&out, many_keys(&text, WEFT_JSON_MAX_KEYS, -1, false), 64, &err), 0);
    assert_int_equal(minify(&out, many_keys(&text, WEFT_JSON_MAX_KEYS + 1, -1, false), 64, &err),
                     WEFT_EINVAL);
    assert_non_null(strstr(err.message, "too many keys"));

    /* Closed objects do not count: three thousand keys, twice, in an array. */
    weft_buf_clear(&out);
    weft_buf_puts(&out, "[");
    weft_buf_str(&out, many_keys(&text, 3000, -1, false));
    weft_buf_puts(&out, ",");
    weft_buf_str(&out, many_keys(&text, 3000, -1, false));
    weft_buf_puts(&out, "]");
    weft_buf_clear(&text);
    assert_int_equal(minify(&text, weft_str(out.data, out.len), 64, &err), 0);
    assert_int_equal(text.len, out.len);
    weft_buf_fini(&text);
    weft_buf_fini(&out);
}

/* An event at both limits is read where a node has put it into a page; one that is over them is not. */
static void what_a_node_sends_may_be_larger(void **state)
{
    struct weft_buf text, out, event;
    struct weft_err err;

    weft_buf_init(&text, 1 << 20);
    weft_buf_init(&out, 1 << 20);
    weft_buf_init(&event, 1 << 20);
    weft_buf_puts(&text, "{\"events\":[{\"id\":\"1-2\",\"topic\":\"t\",\"payload\":");
    for (int i = 0; i < WEFT_JSON_MAX_DEPTH - 1; i++)
        weft_buf_puts(&text, "[");
    for (int i = 0; i < WEFT_JSON_MAX_DEPTH - 1; i++)
        weft_buf_puts(&text, "]");
    weft_buf_puts(&text, "}]}");
    assert_int_equal(minify(&out, weft_str(text.data, text.len), 64, &err), WEFT_EINVAL);
    assert_int_equal(weft_json_minify_sent(&out, weft_str(text.data, text.len), &err), 0);
    assert_int_equal(out.len, text.len);

    weft_buf_clear(&out);
    weft_buf_puts(&out, "{\"events\":[{\"id\":\"1-2\",\"topic\":\"t\",\"payload\":");
    weft_buf_str(&out, many_keys(&event, WEFT_JSON_MAX_KEYS, -1, false));
    weft_buf_puts(&out, "}]}");
    weft_buf_clear(&text);
    assert_int_equal(weft_json_minify_sent(&text, weft_str(out.data, out.len), &err), 0);
    weft_buf_clear(&text);
    assert_int_equal(
        weft_json_minify_sent(&text, many_keys(&event, 2 * WEFT_JSON_MAX_KEYS, -1, false), &err),
        WEFT_EINVAL);
    weft_buf_fini(&text);
    weft_buf_fini(&out);
    weft_buf_fini(&event);
}

/* ---- every length ----------------------------------------------------------------------------- */

/* Strings are looked at eight bytes at a time: each kind of byte, at each place. */
static void special_bytes_anywhere(void **state)
{
    static const struct {
        const char *bytes;
        bool ok;
    } specials[] = {
        {"\\\"", true},
        {"\\\\", true},
        {"\xe4\xbb\x93", true},
        {"\xc3\xa9", true},
        {"\xf0\x9f\x98\x80", true},
        {"\\u00e9", true},
        {"\\ud83d\\ude00", true},
        {"~", true},
        {"\x01", false},
        {"\x1f", false},
        {"\xff", false},
        {"\\q", false},
        {"\xe4\xbb", false},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(specials); i++) {
        for (size_t before = 0; before < 20; before++) {
            for (size_t after = 0; after < 20; after++) {
                struct weft_str s = {specials[i].bytes, strlen(specials[i].bytes)};
                char text[64] = "\"";
                size_t n = 1;
                struct weft_buf out;

                memset(text + n, 'a', before);
                n += before;
                memcpy(text + n, s.p, s.len);
                n += s.len;
                memset(text + n, 'b', after);
                n += after;
                text[n++] = '"';
                weft_buf_init(&out, 100);
                assert_int_equal(minify(&out, weft_str(text, n), 64, NULL) == 0, specials[i].ok);
                if (specials[i].ok) {
                    assert_int_equal(out.len, n);
                    assert_memory_equal(out.data, text, n);
                }
                assert_int_not_equal(minify(&out, weft_str(text, n - 1), 64, NULL), 0);
                weft_buf_fini(&out);
            }
        }
    }
}

/* No beginning of a text is a text, and none makes us read past its end. */
static void every_prefix_is_refused(void **state)
{
    static const struct weft_str text =
        T("{\"a\":[1,-2.5e+3,true,false,null,\"\\u00e9\\ud83d\\ude00\xe4\xbb\x93\xe4\xbb\x93\"],"
          " \"b\" : { \"c\" : \"d\" } }");
    struct weft_buf out;

    weft_buf_init(&out, 1000);
    assert_int_equal(minify(&out, text, 64, NULL), 0);
    for (size_t len = 0; len < text.len; len++) {
        weft_buf_clear(&out);
        assert_int_equal(minify(&out, weft_str(text.p, len), 64, NULL), WEFT_EINVAL);
    }
    weft_buf_fini(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),
        cmocka_unit_test(refused),
        cmocka_unit_test(refused_without_a_place_for_the_error),
        cmocka_unit_test(larger_than_the_buffer),
        cmocka_unit_test(depth),
        cmocka_unit_test(duplicate_keys),
        cmocka_unit_test(duplicate_keys_in_objects_of_all_sizes),
        cmocka_unit_test(near_duplicates),
        cmocka_unit_test(open_keys_are_counted),
        cmocka_unit_test(what_a_node_sends_may_be_larger),
        cmocka_unit_test(special_bytes_anywhere),
        cmocka_unit_test(every_prefix_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
