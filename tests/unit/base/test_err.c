#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/err.h>

static void set_fills_all_parts(void **state)
{
    struct weft_err err;

    assert_int_equal(weft_err_set(&err, WEFT_ETOOBIG, "body", "more than %d bytes in %s", 7, "it"),
                     WEFT_ETOOBIG);
    assert_int_equal(err.code, WEFT_ETOOBIG);
    assert_string_equal(err.field, "body");
    assert_string_equal(err.message, "more than 7 bytes in it");
}

static void set_without_err_only_returns(void **state)
{
    assert_int_equal(weft_err_set(NULL, WEFT_EINVAL, "x", "y"), WEFT_EINVAL);
}

static void set_makes_text_printable(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } cases[] = {
        {"plain", "plain"},           {"a\r\nb", "a??b"},
        {"a\x1b[31m\x7f", "a?[31m?"}, {"\xe4\xbb\x93\xe5\xba\x93", "\xe4\xbb\x93\xe5\xba\x93"},
        {"a\xff\xfe", "a??"},         {"cut \xe4\xbb", "cut ??"},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_err err;

        (void)weft_err_set(&err, WEFT_EINVAL, cases[i].in, "%s", cases[i].in);
        assert_string_equal(err.field, cases[i].out);
        assert_string_equal(err.message, cases[i].out);
    }
}

/* A character that does not fit whole does not appear at all. */
static void set_cuts_between_characters(void **state)
{
    for (size_t lead = 0; lead < 4; lead++) {
        struct weft_err err;
        char text[400] = "aaa";
        size_t len = lead;

        while (len + 3 < sizeof(text)) {
            memcpy(text + len, "\xe4\xbb\x93", 4);
            len += 3;
        }
        (void)weft_err_set(&err, WEFT_EINVAL, text, "%s", text);
        assert_null(strchr(err.field, '?'));
        assert_null(strchr(err.message, '?'));
        assert_int_equal((strlen(err.field) - lead) % 3, 0);
        assert_true(strlen(err.field) >= sizeof(err.field) - 3);
        assert_int_equal((strlen(err.message) - lead) % 3, 0);
    }
}

static void every_code_has_a_text(void **state)
{
    static const int codes[] = {WEFT_OK,
#define X(name, value, text) WEFT_##name,
                                WEFT_ERR_TABLE(X)
#undef X
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(codes); i++) {
        assert_string_not_equal(weft_err_text(codes[i]), weft_err_text(-1000));
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(codes[i], codes[j]);
    }
    assert_string_equal(weft_err_text(WEFT_ETOOBIG), "larger than the limit");
    assert_non_null(weft_err_text(42));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_all_parts),      cmocka_unit_test(set_without_err_only_returns),
        cmocka_unit_test(set_makes_text_printable), cmocka_unit_test(set_cuts_between_characters),
        cmocka_unit_test(every_code_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
