#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/buf.h>
#include <weft/wire/ws.h>

#define MAX_MESSAGE 70000

/* ---- what a reader sees, as a text ------------------------------------------------------------ */

static void log_message(struct weft_buf *log, const struct weft_ws_message *m)
{
    switch (m->opcode) {
    case WEFT_WS_TEXT:
        weft_buf_puts(log, "text(");
        break;
    case WEFT_WS_PING:
        weft_buf_puts(log, "ping(");
        break;
    case WEFT_WS_PONG:
        weft_buf_puts(log, "pong(");
        break;
    case WEFT_WS_CLOSE:
        weft_buf_printf(log, "close(%u ", m->code);
        break;
    case WEFT_WS_CONTINUATION:
    case WEFT_WS_BINARY:
        fail_msg("opcode %d", (int)m->opcode);
    }
    if (m->data.len > 200) {
        weft_buf_printf(log, "%zu bytes", m->data.len);
    } else {
        weft_buf_str(log, m->data);
    }
    weft_buf_puts(log, ")");
}

/* Exactly sized blocks, so that a sanitizer sees who reads beyond one. */
static void feed(struct weft_ws_reader *r, const char *p, size_t n, struct weft_buf *log)
{
    char *copy = malloc(n > 0 ? n : 1);
    char *at = copy;
    struct weft_ws_message m;

    assert_non_null(copy);
    if (n > 0) {
        memcpy(copy, p, n);
    }
    for (;;) {
        enum weft_ws_got got = weft_ws_read(r, &at, copy + n, &m);

        if (got == WEFT_WS_GOT_NOTHING) {
            break;
        }
        if (got == WEFT_WS_GOT_BROKEN) {
            assert_non_null(m.why);
            weft_buf_printf(log, "broken(%u)", m.code);
            assert_int_equal(weft_ws_read(r, &at, copy + n, &m), WEFT_WS_GOT_BROKEN);
            break;
        }
        log_message(log, &m);
    }
    assert_ptr_equal(at, copy + n);
    free(copy);
}

/* Whole, cut in two at each place, and byte by byte: always the same. */
static void check(struct weft_str bytes, bool from_client, const char *want)
{
    for (size_t cut = 0; cut <= bytes.len + 1; cut++) {
        struct weft_ws_reader r;
        struct weft_buf log;

        if (bytes.len > 1000 && cut > 20 && cut + 20 < bytes.len && cut % 997 != 0) {
            continue;
        }
        weft_buf_init(&log, 100000);
        weft_buf_puts(&log, "");
        weft_ws_reader_init(&r, MAX_MESSAGE, from_client);
        if (cut <= bytes.len) {
            feed(&r, bytes.p, cut, &log);
            if (r.broken.code == 0) {
                feed(&r, bytes.p + cut, bytes.len - cut, &log);
            }
        } else {
            for (size_t i = 0; i < bytes.len && r.broken.code == 0; i++) {
                feed(&r, bytes.p + i, 1, &log);
            }
        }
        if (log.len != strlen(want) || memcmp(log.data, want, log.len) != 0) {
            fail_msg("cut at %zu: wanted %s, got %.*s", cut, want, (int)log.len, log.data);
        }
        if (r.broken.code == 0 && !r.in_message && !r.in_payload) {
            assert_null(r.message); /* an idle one holds nothing */
        }
        weft_ws_reader_fini(&r);
        weft_buf_fini(&log);
    }
}

/* ---- frames as tests write them --------------------------------------------------------------- */

/*
 * One frame: its first byte and its payload, which is masked.
 */
struct part {
    unsigned first;
    const char *payload;
    size_t len;
};

#define P(first, text)                \
    {                                 \
        first, text, sizeof(text) - 1 \
    }

static void put_part(struct weft_buf *out, const struct part *part)
{
    struct weft_buf one;

    weft_buf_init(&one, 1000000);
    weft_ws_put_masked(&one, WEFT_WS_TEXT, true, 0xa1b2c3d4U + (uint32_t)out->len,
                       weft_str(part->payload, part->len));
    one.data[0] = (char)part->first;
    weft_buf_append(out, one.data, one.len);
    weft_buf_fini(&one);
}

static void frames_of_a_client(void **state)
{
    static const struct {
        struct part parts[6];
        const char *want;
    } cases[] = {
        {{P(0x81, "hello")}, "text(hello)"},
        {{P(0x81, "")}, "text()"},
        {{P(0x81, "a"), P(0x81, "bc")}, "text(a)text(bc)"},
        {{P(0x01, "wor"), P(0x80, "ld")}, "text(world)"},
        {{P(0x01, "h"), P(0x00, "e"), P(0x00, ""), P(0x80, "y")}, "text(hey)"},
        {{P(0x01, ""), P(0x80, "")}, "text()"},
        {{P(0x01, ""), P(0x80, "x"), P(0x81, "y")}, "text(x)text(y)"},
        {{P(0x01, "x"), P(0x80, "")}, "text(x)"},
        /* control frames between fragments */
        {{P(0x01, "a"), P(0x89, "p"), P(0x80, "b")}, "ping(p)text(ab)"},
        {{P(0x01, "a"), P(0x8a, "pong"), P(0x89, ""), P(0x80, "b")}, "pong(pong)ping()text(ab)"},
        {{P(0x89, "12345")}, "ping(12345)"},
        {{P(0x8a, "")}, "pong()"},
        /* UTF-8, across fragments too */
        {{P(0x81, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")},
         "text(\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80)"},
        {{P(0x01, "\xc3"), P(0x80, "\xa4")}, "text(\xc3\xa4)"},
        {{P(0x01, "\xf0\x9f"), P(0x00, "\x98"), P(0x80, "\x80")}, "text(\xf0\x9f\x98\x80)"},
        {{P(0x81, "\xc3")}, "broken(1007)"},
        {{P(0x81, "12345678\xff")}, "broken(1007)"},
        {{P(0x81, "\xed\xa0\x80")}, "broken(1007)"},
        {{P(0x81, "\xc0\xaf")}, "broken(1007)"},
        {{P(0x01, "\xc3"), P(0x80, "x")}, "broken(1007)"},
        {{P(0x89, "\xff")}, "ping(\xff)"},
        /* close */
        {{P(0x88, "")}, "close(1005 )"},
        {{P(0x88, "\x03\xe8")}, "close(1000 )"},
        {{P(0x88, "\x03\xe8"
                  "bye")},
         "close(1000 bye)"},
        {{P(0x88, "\x03\xe9"), P(0x81, "more")}, "close(1001 )"},
        {{P(0x88, "\x03\xeb")}, "close(1003 )"},
        {{P(0x88, "\x03\xef")}, "close(1007 )"},
        {{P(0x88, "\x03\xf6")}, "close(1014 )"},
        {{P(0x88, "\x0b\xb8")}, "close(3000 )"},
        {{P(0x88, "\x13\x87")}, "close(4999 )"},
        {{P(0x88, "\x03")}, "broken(1002)"},
        {{P(0x88, "\x03\xe7")}, "broken(1002)"},
        {{P(0x88, "\x03\xec")}, "broken(1002)"}, /* 1004 */
        {{P(0x88, "\x03\xed")}, "broken(1002)"}, /* 1005 */
        {{P(0x88, "\x03\xee")}, "broken(1002)"}, /* 1006 */
        {{P(0x88, "\x03\xf7")}, "broken(1002)"}, /* 1015 */
        {{P(0x88, "\x07\xd0")}, "broken(1002)"}, /* 2000 */
        {{P(0x88, "\x13\x88")}, "broken(1002)"}, /* 5000 */
        {{P(0x88, "\x00\x00")}, "broken(1002)"},
        {{P(0x88, "\x03\xe8\xff")}, "broken(1007)"},
        {{P(0x01, "open"), P(0x88, "\x03\xe8")}, "close(1000 )"},
        /* opcodes, bits, order */
        {{P(0x82, "bin")}, "broken(1003)"},
        {{P(0x02, "bin")}, "broken(1003)"},
        {{P(0x83, "")}, "broken(1002)"},
        {{P(0x87, "")}, "broken(1002)"},
        {{P(0x8b, "")}, "broken(1002)"},
        {{P(0x8f, "")}, "broken(1002)"},
        {{P(0xc1, "x")}, "broken(1002)"},
        {{P(0xa1, "x")}, "broken(1002)"},
        {{P(0x91, "x")}, "broken(1002)"},
        {{P(0x80, "x")}, "broken(1002)"},
        {{P(0x00, "x")}, "broken(1002)"},
        {{P(0x01, "x"), P(0x81, "y")}, "broken(1002)"},
        {{P(0x01, "x"), P(0x01, "y")}, "broken(1002)"},
        {{P(0x81, "x"), P(0x80, "y")}, "text(x)broken(1002)"},
        {{P(0x09, "x")}, "broken(1002)"},
        {{P(0x08, "")}, "broken(1002)"},
        {{P(0x81, "a"), P(0x82, "b"), P(0x81, "c")}, "text(a)broken(1003)"},
    };

    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_buf bytes;

        weft_buf_init(&bytes, 100000);
        for (size_t k = 0; k < 6 && cases[i].parts[k].payload != NULL; k++) {
            put_part(&bytes, &cases[i].parts[k]);
        }
        check(weft_str(bytes.data, bytes.len), true, cases[i].want);
        weft_buf_fini(&bytes);
    }
}

static void raw_heads(void **state)
{
    const struct {
        struct weft_str bytes;
        bool from_client;
        const char *want;
    } cases[] = {
        {WEFT_STR("\x81\x05hello"), true, "broken(1002)"},                 /* not masked */
        {WEFT_STR("\x81\x05hello"), false, "text(hello)"},                 /* of a server */
        {WEFT_STR("\x81\x85\0\0\0\0hello"), false, "broken(1002)"},        /* masked */
        {WEFT_STR("\x81\x85\0\0\0\0hello"), true, "text(hello)"},          /* by a mask of 0 */
        {WEFT_STR("\x81\xfe\x00\x05\0\0\0\0hello"), true, "broken(1002)"}, /* 126 for 5 */
        {WEFT_STR("\x81\xfe\x00\x7d"), true, ""},                          /* no mask yet */
        {WEFT_STR("\x81\xfe\x00\x7d\0\0\0\0"), true, "broken(1002)"},      /* 126 for 125 */
        {WEFT_STR("\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0"), true,
         "broken(1002)"}, /* 127 for 65535 */
        {WEFT_STR("\x81\xff\x80\0\0\0\0\x01\0\0\0\0\0\0"), true, "broken(1002)"}, /* the top bit */
        {WEFT_STR("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"), true, "broken(1009)"},
        {WEFT_STR("\x81\xff\0\0\0\0\0\x01\x11\x71\0\0\0\0"), true, "broken(1009)"}, /* 70001 */
        {WEFT_STR("\x81\xff\0\0\0\0\0\x01\x11\x70\0\0\0\0"), true, ""},             /* 70000 */
        {WEFT_STR("\x89\xfe"), true, "broken(1002)"}, /* a long ping */
        {WEFT_STR("\x88\xff"), true, "broken(1002)"},
        {WEFT_STR("\x01\xff\0\0\0\0\0\x01\x11\x70\0\0\0\0"
                  "0123"),
         true, ""},
        {WEFT_STR("\x01\x81\0\0\0\0z\x80\xff\0\0\0\0\0\x01\x11\x70\0\0\0\0"), true, "broken(1009)"},
        {WEFT_STR(""), true, ""},
        {WEFT_STR("\x81"), true, ""},
    };

    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        check(cases[i].bytes, cases[i].from_client, cases[i].want);
    }
}

static void lengths(void **state)
{
    static const size_t sizes[] = {0,   1,    7,    8,    9,     125,   126,  127,
                                   128, 1023, 1024, 1025, 65535, 65536, 70000};
    char *text = malloc(MAX_MESSAGE);

    (void)state;
    memset(text, 'x', MAX_MESSAGE);
    for (size_t i = 0; i < WEFT_COUNT_OF(sizes); i++) {
        struct weft_buf bytes;
        char want[300];

        weft_buf_init(&bytes, 1000000);
        weft_ws_put_masked(&bytes, WEFT_WS_TEXT, true, 0x01020304, weft_str(text, sizes[i]));
        weft_ws_put_masked(&bytes, WEFT_WS_PING, true, 0, WEFT_STR("p"));
        if (sizes[i] > 200) {
            (void)snprintf(want, sizeof(want), "text(%zu bytes)ping(p)", sizes[i]);
        } else {
            (void)snprintf(want, sizeof(want), "text(%.*s)ping(p)", (int)sizes[i], text);
        }
        check(weft_str(bytes.data, bytes.len), true, want);

        /* The same of a server, as one is written there. */
        weft_buf_clear(&bytes);
        weft_ws_put(&bytes, WEFT_WS_TEXT, weft_str(text, sizes[i]));
        weft_ws_put(&bytes, WEFT_WS_PING, WEFT_STR("p"));
        assert_int_equal(bytes.len, weft_ws_head_len(sizes[i]) + sizes[i] + 3);
        check(weft_str(bytes.data, bytes.len), false, want);
        weft_buf_fini(&bytes);
    }
    free(text);
}

/* Masked by hand: what is compared with is not our own masking. */
static void masks(void **state)
{
    static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};

    (void)state;
    /* The example of section 5.7. */
    check(WEFT_STR("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), true, "text(Hello)");
    for (size_t len = 0; len < 40; len++) {
        char bytes[64] = "\x81";
        char want[64];
        size_t n = 6;

        bytes[1] = (char)(0x80 | len);
        memcpy(bytes + 2, key, 4);
        for (size_t i = 0; i < len; i++) {
            bytes[n++] = (char)(('A' + i) ^ key[i % 4]);
        }
        n = (size_t)snprintf(want, sizeof(want), "text(");
        for (size_t i = 0; i < len; i++) {
            want[n++] = (char)('A' + i);
        }
        want[n++] = ')';
        want[n] = '\0';
        check(weft_str(bytes, 6 + len), true, want);
    }
}

static void closes(void **state)
{
    struct weft_buf b;

    (void)state;
    weft_buf_init(&b, 1000);
    weft_ws_put_close(&b, WEFT_WS_GOING_AWAY, "draining");
    check(weft_str(b.data, b.len), false, "close(1001 draining)");
    weft_buf_clear(&b);
    weft_ws_put_close(&b, WEFT_WS_LIMITED, "");
    check(weft_str(b.data, b.len), false, "close(4429 )");
    weft_buf_clear(&b);
    weft_ws_put_close(&b, WEFT_WS_NO_CODE, "");
    check(weft_str(b.data, b.len), false, "close(1005 )");
    weft_buf_fini(&b);
}

/* What is promised is not reserved, and what is kept is within the limit. */
static void memory_is_bounded(void **state)
{
    struct weft_ws_reader r;
    struct weft_buf log;
    struct weft_buf bytes;

    (void)state;
    weft_buf_init(&log, 1000);
    weft_buf_init(&bytes, 100000);
    weft_ws_reader_init(&r, 1000000, true);
    feed(&r,
         "\x01\xff\0\0\0\0\0\x0f\x42\x40\0\0\0\0"
         "x",
         15, &log);
    assert_true(r.cap <= 1024);
    weft_ws_reader_fini(&r);

    weft_ws_reader_init(&r, 100, true);
    for (int i = 0; i < 100; i++) {
        weft_ws_put_masked(&bytes, i == 0 ? WEFT_WS_TEXT : WEFT_WS_CONTINUATION, false, 5,
                           WEFT_STR("x"));
    }
    feed(&r, bytes.data, bytes.len, &log);
    assert_int_equal(r.len, 100);
    assert_int_equal(r.cap, 100);
    assert_int_equal(log.len, 0);
    weft_buf_clear(&bytes);
    weft_ws_put_masked(&bytes, WEFT_WS_CONTINUATION, true, 5, WEFT_STR("x"));
    feed(&r, bytes.data, bytes.len, &log);
    assert_memory_equal(log.data, "broken(1009)", log.len);
    assert_null(r.message);
    weft_ws_reader_fini(&r);
    weft_buf_fini(&bytes);
    weft_buf_fini(&log);
    assert_true(sizeof(r) <= 288);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_a_client),
        cmocka_unit_test(raw_heads),
        cmocka_unit_test(lengths),
        cmocka_unit_test(masks),
        cmocka_unit_test(closes),
        cmocka_unit_test(memory_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
