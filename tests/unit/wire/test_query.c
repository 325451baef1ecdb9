#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/query.h>

static void parse(void **state)
{
    /* want: "key=value" of each parameter after decoding, parted by LF; NULL: refused. */
    static const struct {
        const char *text, *want, *field;
    } cases[] = {
        {"", "", ""},
        {"topic=a&topic=b", "topic=a\ntopic=b\n", ""},
        {"a=1&&b=2&", "a=1\nb=2\n", ""},
        {"&", "", ""},
        {"flag", "flag=\n", ""},
        {"flag=", "flag=\n", ""},
        {"a=b=c", "a=b=c\n", ""},
        {"types=task.*%2Clog.append", "types=task.*,log.append\n", ""},
        {"a%20b=c+d%2B", "a b=c d+\n", ""},
        {"x=%e4%BB%93", "x=\xe4\xbb\x93\n", ""},
        {"x=\xe4\xbb\x93", "x=\xe4\xbb\x93\n", ""},
        {"x=%26%3D", "x=&=\n", ""},
        {"a=1&=2", NULL, "query"},
        {"=", NULL, "query"},
        {"a=%", NULL, "a"},
        {"a=%2", NULL, "a"},
        {"a=%2g", NULL, "a"},
        {"a=1&since=%zz", NULL, "since"},
        {"b%zz=1", NULL, "b%zz"},
        {"a=%00", NULL, "a"},
        {"a=%0a", NULL, "a"},
        {"a=%7f", NULL, "a"},
        {"a=\x01", NULL, "a"},
        {"a=%ff", NULL, "a"},
        {"a=%c3", NULL, "a"},
        {"a%0a=1", NULL, "a%0a"},
        {"%c3=%a9", NULL, "%c3"},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        size_t len = strlen(cases[i].text);
        char *scratch = malloc(len + 1);
        struct weft_err err = {0, "", ""};
        struct weft_query q;
        char got[200] = "";
        int rc = weft_query_parse(&q, weft_str(cases[i].text, len), scratch, &err);

        assert_string_equal(err.field, cases[i].field);
        if (cases[i].want == NULL) {
            assert_int_equal(rc, WEFT_EINVAL);
            assert_string_not_equal(err.message, "");
        } else {
            assert_int_equal(rc, 0);
            for (size_t p = 0; p < q.n; p++)
                (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s=%.*s\n",
                               (int)q.params[p].key.len, q.params[p].key.p,
                               (int)q.params[p].value.len, q.params[p].value.p);
            assert_string_equal(got, cases[i].want);
        }
        free(scratch);
    }
}

/* A name that is not text at all still makes a field that can be shown. */
static void a_nul_in_a_name(void **state)
{
    struct weft_err err;
    struct weft_query q;
    char scratch[8];

    assert_int_equal(weft_query_parse(&q, WEFT_STR("a\0b=1"), scratch, &err), WEFT_EINVAL);
    assert_string_equal(err.field, "a?b");
}

static void get_finds_the_first(void **state)
{
    struct weft_query q;
    char scratch[32];
    struct weft_str value;

    assert_int_equal(weft_query_parse(&q, WEFT_STR("a=1&b=&a=2"), scratch, NULL), 0);
    assert_true(weft_str_eq(weft_query_get(&q, "a"), WEFT_STR("1")));
    value = weft_query_get(&q, "b");
    assert_non_null(value.p);
    assert_int_equal(value.len, 0);
    assert_null(weft_query_get(&q, "c").p);
    assert_null(weft_query_get(&q, "A").p);
}

static void parameters_are_counted(void **state)
{
    char text[2 * WEFT_QUERY_MAX_PARAMS + 2];
    char scratch[sizeof(text)];
    struct weft_query q;
    struct weft_err err;

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 == 0 ? 'a' : '&';
    assert_int_equal(weft_query_parse(&q, weft_str(text, 2 * WEFT_QUERY_MAX_PARAMS), scratch, &err),
                     0);
    assert_int_equal(q.n, WEFT_QUERY_MAX_PARAMS);
    assert_int_equal(weft_query_parse(&q, weft_str(text, sizeof(text)), scratch, &err),
                     WEFT_EINVAL);
    assert_string_equal(err.field, "query");
}

static void segments(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"repo:42", "repo:42"},
        {"repo%3A42", "repo:42"},
        {"a+b", "a+b"},
        {"", ""},
        {"a%2fb", "a/b"},
        {"%E4%BB%93", "\xe4\xbb\x93"},
        {"%", NULL},
        {"%4", NULL},
        {"%4x", NULL},
        {"%00", NULL},
        {"%0d", NULL},
        {"%fe", NULL},
        {"a\tb", NULL},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_str decoded = {NULL, 99};
        char out[32];
        bool ok =
            weft_segment_decode(weft_str(cases[i].text, strlen(cases[i].text)), out, &decoded);

        assert_int_equal(ok, cases[i].want != NULL);
        if (ok)
            assert_true(weft_str_eq(decoded, weft_str(cases[i].want, strlen(cases[i].want))));
        else
            assert_int_equal(decoded.len, 99);
    }
}

static void encode(void **state)
{
    char out[20];

    assert_int_equal(weft_percent_encode(out, sizeof(out), WEFT_STR("aZ09-._~")), 8);
    assert_memory_equal(out, "aZ09-._~", 8);
    assert_int_equal(weft_percent_encode(out, sizeof(out), WEFT_STR("repo:4 +\xe4")), 17);
    assert_memory_equal(out, "repo%3A4%20%2B%E4", 17);
    assert_int_equal(weft_percent_encode(out, 2, WEFT_STR("abc")), 0);
    assert_int_equal(weft_percent_encode(out, 2, WEFT_STR("/")), 0);
    assert_int_equal(weft_percent_encode(out, 3, WEFT_STR("/")), 3);
    assert_int_equal(weft_percent_encode(out, 0, WEFT_STR("")), 0);
}

static void encode_is_undone_by_decode(void **state)
{
    char all[0x80 - 0x20 - 1];
    char encoded[3 * sizeof(all)];
    char decoded[sizeof(encoded)];
    struct weft_str back;
    size_t len;

    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)(0x20 + i);
    len = weft_percent_encode(encoded, sizeof(encoded), weft_str(all, sizeof(all)));
    assert_true(weft_segment_decode(weft_str(encoded, len), decoded, &back));
    assert_true(weft_str_eq(back, weft_str(all, sizeof(all))));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse),
        cmocka_unit_test(a_nul_in_a_name),
        cmocka_unit_test(get_finds_the_first),
        cmocka_unit_test(parameters_are_counted),
        cmocka_unit_test(segments),
        cmocka_unit_test(encode),
        cmocka_unit_test(encode_is_undone_by_decode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
