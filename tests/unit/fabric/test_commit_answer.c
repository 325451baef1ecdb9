/* What weft1_publish says about a request, read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../pkg/fabric/commit_priv.h"

static struct weft_verdict read_well(const char *text)
{
    struct weft_verdict v;

    assert_true(weft_verdict_parse(&v, weft_str(text, strlen(text))));
    return v;
}

static void taken_now_or_before(void **state)
{
    struct weft_verdict v = read_well("1795314948063-9007199254740991 4096");

    (void)state;
    assert_int_equal(v.rc, WEFT_PUBLISHED_OK);
    assert_int_equal(v.run.first.ms, 1795314948063);
    assert_int_equal(v.run.first.seq, 9007199254740991);
    assert_int_equal(v.run.n, 4096);

    v = read_well("=7-8 9");
    assert_int_equal(v.rc, WEFT_PUBLISHED_REPLAYED);
    assert_int_equal(v.run.first.ms, 7);
    assert_int_equal(v.run.first.seq, 8);
    assert_int_equal(v.run.n, 9);

    v = read_well("=");
    assert_int_equal(v.rc, WEFT_PUBLISHED_DUPLICATE);
    assert_int_equal(v.run.n, 0);
}

static void refused(void **state)
{
    struct weft_verdict v = read_well("!fenced 9007199254740991");

    (void)state;
    assert_int_equal(v.rc, WEFT_PUBLISHED_FENCED);
    assert_int_equal(v.number, 9007199254740991);

    v = read_well("!expected 0");
    assert_int_equal(v.rc, WEFT_PUBLISHED_OUT_OF_ORDER);
    assert_int_equal(v.number, 0);

    v = read_well("!fencedness");
    assert_int_equal(v.rc, WEFT_PUBLISHED_REFUSED);
    assert_true(weft_str_eq(v.why, WEFT_STR("fencedness")));
    assert_int_equal(read_well("!expected").rc, WEFT_PUBLISHED_REFUSED); /* words */
    assert_int_equal(read_well("!").why.len, 0);
}

static void nonsense(void **state)
{
    static const char *const bad[] = {
        "",         "1-2",       "1-2 ",       "1-2 0",      "1-2 x",   "1-2 3 ",
        "1-2  3",   "x 3",       "1 3",        "=1-2",       "= 1-2 3", "==1-2 3",
        "!fenced ", "!fenced x", "!fenced -1", "!expected ", "1-2 1.0", "1-2 4294967296"};
    struct weft_verdict v;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (weft_verdict_parse(&v, weft_str(bad[i], strlen(bad[i])))) {
            fail_msg("'%s' makes sense", bad[i]);
        }
    }
    assert_false(weft_verdict_parse(&v, weft_str(NULL, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken_now_or_before),
        cmocka_unit_test(refused),
        cmocka_unit_test(nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
