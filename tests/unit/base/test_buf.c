#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/buf.h>

static void append_all_kinds(void **state)
{
    struct weft_buf b;

    weft_buf_init(&b, 1000);
    assert_null(b.data);
    weft_buf_append(&b, "a\0b", 3);
    weft_buf_str(&b, WEFT_STR("-str-"));
    weft_buf_puts(&b, "puts ");
    weft_buf_u64(&b, UINT64_MAX);
    weft_buf_printf(&b, " %d%s", 7, "!");
    assert_false(b.toobig);
    assert_int_equal(b.len, 3 + 5 + 5 + 20 + 3);
    assert_memory_equal(b.data, "a\0b-str-puts 18446744073709551615 7!", b.len + 1);

    weft_buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    weft_buf_fini(&b);
    assert_null(b.data);
}

static void grows_to_the_maximum_and_not_beyond(void **state)
{
    struct weft_buf b;

    weft_buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        weft_buf_append(&b, "x", 1);
    assert_false(b.toobig);
    assert_int_equal(b.len, 1000);
    assert_int_equal(b.data[1000], '\0');
    weft_buf_append(&b, "", 0);
    assert_false(b.toobig);
    weft_buf_append(&b, "y", 1);
    assert_true(b.toobig);
    assert_int_equal(b.len, 1000);
    assert_null(strchr(b.data, 'y'));

    weft_buf_clear(&b);
    assert_false(b.toobig);
    weft_buf_puts(&b, "again");
    assert_string_equal(b.data, "again");
    weft_buf_fini(&b);
}

static void toobig_keeps_a_prefix(void **state)
{
    struct weft_buf b;

    weft_buf_init(&b, 4);
    weft_buf_puts(&b, "ab");
    weft_buf_puts(&b, "cde"); /* too long */
    weft_buf_puts(&b, "f");   /* would fit, but is not what comes next */
    weft_buf_printf(&b, "%d", 1);
    weft_buf_u64(&b, 1);
    weft_buf_json(&b, WEFT_STR(""));
    assert_true(b.toobig);
    assert_string_equal(b.data, "ab");
    assert_null(weft_buf_reserve(&b, 0));
    weft_buf_fini(&b);
}

static void a_maximum_of_zero_and_of_everything(void **state)
{
    struct weft_buf b;

    weft_buf_init(&b, 0);
    weft_buf_append(&b, "", 0);
    assert_false(b.toobig);
    weft_buf_append(&b, "x", 1);
    assert_true(b.toobig);
    weft_buf_fini(&b);

    weft_buf_init(&b, SIZE_MAX);
    weft_buf_puts(&b, "x");
    assert_string_equal(b.data, "x");
    weft_buf_fini(&b);
}

static void reserve_gives_room(void **state)
{
    struct weft_buf b;
    char *room;

    weft_buf_init(&b, 300);
    weft_buf_puts(&b, "ab");
    room = weft_buf_reserve(&b, 200);
    assert_ptr_equal(room, b.data + 2);
    assert_int_equal(b.len, 2);
    memset(room, 'z', 200);
    b.len += 200;
    assert_int_equal(b.data[b.len], '\0');
    assert_null(weft_buf_reserve(&b, 99));
    assert_true(b.toobig);
    weft_buf_fini(&b);
}

static void take_hands_over(void **state)
{
    struct weft_buf b;
    size_t len = 7;
    char *bytes;

    weft_buf_init(&b, 10);
    assert_null(weft_buf_take(&b, &len));
    assert_int_equal(len, 0);
    weft_buf_puts(&b, "mine");
    bytes = weft_buf_take(&b, &len);
    assert_int_equal(len, 4);
    assert_string_equal(bytes, "mine");
    assert_null(b.data);
    weft_buf_puts(&b, "0123456789"); /* the maximum is still known */
    assert_false(b.toobig);
    weft_buf_puts(&b, "0");
    assert_true(b.toobig);
    free(bytes);
    weft_buf_fini(&b);
}

static void json(void **state)
{
    static const struct {
        struct weft_str in;
        const char *out;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"say \"hi\"\\", 9}, "\"say \\\"hi\\\"\\\\\""},
        {{"\b\t\n\f\r", 5}, "\"\\b\\t\\n\\f\\r\""},
        {{"\0\x01\x1f", 3}, "\"\\u0000\\u0001\\u001f\""},
        {{"a/\x7f", 3}, "\"a/\x7f\""},
        {{"\xe4\xbb\x93\xf0\x9f\x98\x80", 7}, "\"\xe4\xbb\x93\xf0\x9f\x98\x80\""},
        {{"a\xff"
          "b\xc3",
          4},
         "\"a\xef\xbf\xbd"
         "b\xef\xbf\xbd\""},
        {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_buf b;

        weft_buf_init(&b, 100);
        weft_buf_json(&b, cases[i].in);
        assert_string_equal(b.data, cases[i].out);
        weft_buf_fini(&b);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_all_kinds),
        cmocka_unit_test(grows_to_the_maximum_and_not_beyond),
        cmocka_unit_test(toobig_keeps_a_prefix),
        cmocka_unit_test(a_maximum_of_zero_and_of_everything),
        cmocka_unit_test(reserve_gives_room),
        cmocka_unit_test(take_hands_over),
        cmocka_unit_test(json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
