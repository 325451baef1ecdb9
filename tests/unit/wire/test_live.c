#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/err.h>
#include <weft/wire/live.h>

static void good_lines(void **state)
{
    struct weft_str text = WEFT_STR("1795314948063-41 40 repo:42 task.progress {\"a\":\"b c\"}\n"
                                    "0-1 0 a b {}\n"
                                    "18446744073709551615-18446744073709551615 "
                                    "18446744073709551615 a b {\"\xe4\xbb\x93\x7f\":1}");
    struct weft_live_line line;

    assert_int_equal(weft_live_next(&text, &line), 1);
    assert_int_equal(line.id.ms, 1795314948063);
    assert_int_equal(line.id.seq, 41);
    assert_int_equal(line.prev, 40);
    assert_true(weft_str_eq(line.topic, WEFT_STR("repo:42")));
    assert_true(weft_str_eq(line.type, WEFT_STR("task.progress")));
    assert_true(weft_str_eq(line.envelope, WEFT_STR("{\"a\":\"b c\"}")));
    assert_int_equal(weft_live_next(&text, &line), 1);
    assert_int_equal(line.prev, 0);
    assert_true(weft_str_eq(line.envelope, WEFT_STR("{}")));
    assert_int_equal(weft_live_next(&text, &line), 1);
    assert_int_equal(line.id.seq, UINT64_MAX);
    assert_int_equal(line.prev, UINT64_MAX);
    assert_int_equal(weft_live_next(&text, &line), 0);
    assert_int_equal(weft_live_next(&text, &line), 0);
}

static void bad_lines_are_skipped(void **state)
{
    static const char *const lines[] = {
        "",
        " ",
        "garbage",
        "1-1 0 a b",
        "1-1 0 a b ",
        "1-1 0 a b {",
        "1-1 0 a b }",
        "1-1 0 a b []",
        "1-1 0 a b {} ",
        "1-1 0 a b {}\r",
        "1-1 0 a b x{}",
        "1-1 0 a b  {}",
        "1-1 0 a  {}",
        "1-1 0  b {}",
        "1-1  a b {}",
        " 1-1 0 a b {}",
        "1 0 a b {}",
        "01-1 0 a b {}",
        "1-1 00 a b {}",
        "1-1 01 a b {}",
        "1-1 -1 a b {}",
        "1-1 x a b {}",
        "1-1 18446744073709551616 a b {}",
        "18446744073709551616-1 0 a b {}",
        "1-1 0 a* b {}",
        "1-1 0 a/b b {}",
        "1-1 0 a b:c {}",
        "1-1 0 a .b {}",
        "1-1 0 a b {\t}",
        "1-1 0 a b {\"1234567\r\":1}",
        "1-1 0 a b {\"12345678901234567890\x1f\":1}",
        "1-1\t0\ta\tb\t{}",
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(lines); i++) {
        struct weft_live_line line;
        char text[200];
        struct weft_str rest = {text, 0};

        rest.len = (size_t)snprintf(text, sizeof(text), "%s\n2-2 1 a b {}", lines[i]);
        if (weft_live_next(&rest, &line) != WEFT_EPROTO)
            fail_msg("%s", lines[i]);
        assert_int_equal(weft_live_next(&rest, &line), 1);
        assert_int_equal(line.id.seq, 2);
        assert_int_equal(rest.len, 0);
    }
}

static void a_malformed_line_leaves_the_result_alone(void **state)
{
    struct weft_str text = WEFT_STR("1-1 0 a b {]");
    struct weft_live_line line;

    memset(&line, 0x55, sizeof(line));
    assert_int_equal(weft_live_next(&text, &line), WEFT_EPROTO);
    assert_int_equal(line.prev, 0x5555555555555555);
}

/* Eight bytes are looked at together: a control byte must be found in every place. */
static void control_bytes_anywhere(void **state)
{
    for (size_t len = 2; len < 40; len++) {
        for (size_t at = 1; at + 1 < len; at++) {
            for (int c = 0; c < 256; c++) {
                char text[64] = "1-1 0 a b ";
                size_t head = strlen(text);
                struct weft_str rest = {text, head + len};
                struct weft_live_line line;

                if (c == '\n')
                    continue;
                memset(text + head, '\x80', len); /* bytes that could hide a borrow */
                text[head] = '{';
                text[head + at] = (char)c;
                text[head + len - 1] = '}';
                if (weft_live_next(&rest, &line) != (c < 0x20 ? WEFT_EPROTO : 1))
                    fail_msg("byte %d at %zu of %zu", c, at, len);
            }
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines),
        cmocka_unit_test(bad_lines_are_skipped),
        cmocka_unit_test(a_malformed_line_leaves_the_result_alone),
        cmocka_unit_test(control_bytes_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
