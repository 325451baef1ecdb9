#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/wire/sse.h>

/* ---- writer ----------------------------------------------------------------------------------- */

static void write_events(void **state)
{
    static const struct {
        const char *type, *id, *data;
        bool named;
        const char *want;
    } cases[] = {
        {"weft.gap", "", "{}", true, "event: weft.gap\ndata: {}\n\n"},
        {"weft.open", "1-2", "{}", true, "event: weft.open\nid: 1-2\ndata: {}\n\n"},
        {"weft.open", "1-2", "{}", false, "id: 1-2\ndata: {}\n\n"},
        {"", "", "x", true, "data: x\n\n"},
        {"a", "", "", true, "event: a\ndata: \n\n"},
        {"a", "", "x\ny", true, "event: a\ndata: x\ndata: y\n\n"},
        {"a", "", "x\ry", true, "event: a\ndata: x\ndata: y\n\n"},
        {"a", "", "x\r\ny", true, "event: a\ndata: x\ndata: y\n\n"},
        {"a", "", "x\n\ry", true, "event: a\ndata: x\ndata: \ndata: y\n\n"},
        {"a", "", "x\n", true, "event: a\ndata: x\ndata: \n\n"},
        {"a", "", "x\r", true, "event: a\ndata: x\ndata: \n\n"},
        {"a", "", "\r\n", true, "event: a\ndata: \ndata: \n\n"},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_buf out;

        weft_buf_init(&out, 1000);
        weft_sse_write(&out, weft_str(cases[i].type, strlen(cases[i].type)),
                       weft_str(cases[i].id, strlen(cases[i].id)),
                       weft_str(cases[i].data, strlen(cases[i].data)), cases[i].named);
        assert_string_equal(out.data, cases[i].want);
        weft_buf_fini(&out);
    }
}

static bool write_aborts(struct weft_str type, struct weft_str id)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit none = {0, 0};
        struct weft_buf out;

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        weft_buf_init(&out, 1000);
        weft_sse_write(&out, type, id, WEFT_STR("x"), true);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void a_line_break_in_type_or_id_is_our_bug(void **state)
{
    assert_false(write_aborts(WEFT_STR("a"), WEFT_STR("b")));
    assert_true(write_aborts(WEFT_STR("a\n"), WEFT_STR("b")));
    assert_true(write_aborts(WEFT_STR("a"), WEFT_STR("b\r")));
    assert_true(write_aborts(WEFT_STR("a\0"), WEFT_STR("b")));
}

/* ---- parser ----------------------------------------------------------------------------------- */

struct log {
    char text[1000]; /* "type|id|data;" for each event, NUL bytes as '0' */
    size_t len;
};

static void put(struct log *log, struct weft_str s, char end)
{
    for (size_t i = 0; i < s.len; i++)
        log->text[log->len++] = s.p[i] == '\0' ? '0' : s.p[i];
    log->text[log->len++] = end;
    log->text[log->len] = '\0';
    assert_true(log->len < sizeof(log->text) - 100);
}

static void arrived(void *ctx, struct weft_str type, struct weft_str last_id, struct weft_str data)
{
    put(ctx, type, '|');
    put(ctx, last_id, '|');
    put(ctx, data, ';');
}

#define MAX_EVENT 24

/* clang-format off */
#define STREAM(text, want, retry_ms, dropped) {{text, sizeof(text) - 1}, want, retry_ms, dropped}
#define PLAIN(text, want)                     STREAM(text, want, -1, 0)
/* clang-format on */

static const struct {
    struct weft_str text;
    const char *want;
    int64_t retry_ms;
    uint64_t dropped;
} streams[] = {
    PLAIN("", ""),
    PLAIN("data: a\n\n", "message||a;"),
    PLAIN("data: a\n", ""), /* an event that was not finished is none */
    PLAIN("data:a\ndata: b\ndata:  c\n\n", "message||a\nb\n c;"),
    PLAIN("event: t\nid: 1\ndata: a\n\ndata: b\n\n", "t|1|a;message|1|b;"),
    PLAIN("data: a\r\n\r\ndata: b\r\rdata: c\n\n", "message||a;message||b;message||c;"),
    PLAIN("data: a\r\ndata: b\r\n\r\n", "message||a\nb;"),
    PLAIN("\r\n\r\n\n\n", ""),
    PLAIN(":comment\n\n: \ndata: a\n:\n\n", "message||a;"),
    PLAIN("data\n\ndata\ndata\n\ndata:\n\n", "message||;message||\n;message||;"),
    PLAIN("data:test\n\ndata: test\n\n", "message||test;message||test;"),
    PLAIN("\xef\xbb\xbf"
          "data: a\n\n",
          "message||a;"),
    PLAIN("\xef\xbb\xbf:x\ndata: a\n\n", "message||a;"),
    PLAIN("\xef\xbb\xbf\xef\xbb\xbf"
          "data: a\n\n",
          ""),
    PLAIN("\n\xef\xbb\xbf"
          "data: a\n\n",
          ""),
    PLAIN("id: 1\n\ndata: a\n\n", "message|1|a;"),
    PLAIN("id: 1\ndata: a\n\nid\ndata: b\n\n", "message|1|a;message||b;"),
    PLAIN("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", "message|1|a;message|1|b;"),
    PLAIN("event: x\n\ndata: a\n\n", "message||a;"),
    PLAIN("event: x\nevent: y\ndata: a\n\n", "y||a;"),
    PLAIN("event: x\nevent\ndata: a\n\n", "message||a;"),
    PLAIN("data: a\0b\n\n", "message||a0b;"),
    PLAIN("Data: a\ndata : b\n data: c\nfoo: d\nfoo\n\n", ""),
    PLAIN("data: a:b: c\n\n", "message||a:b: c;"),
    STREAM("retry: 3000\nretry: x\nretry:\nretry: 1.5\nretry: -1\n\n", "", 3000, 0),
    STREAM("retry:99999999999999999999\nretry: 9223372036854775808\n", "", -1, 0),
    STREAM("retry:7\r\n", "", 7, 0),
    /* At the limit, and over it: a line, the sum of lines; the next event is whole. */
    PLAIN("data:0123456789012345678\n\n", "message||0123456789012345678;"),
    STREAM("data:01234567890123456789\n\ndata: b\n\n", "message||b;", -1, 1),
    STREAM("data:0123456789\ndata:0123456789\ndata:01\n\n", "message||0123456789\n0123456789\n01;",
           -1, 0),
    STREAM("data:0123456789\ndata:0123456789\ndata:012\n\ndata:b\n\n", "message||b;", -1, 1),
    STREAM("id: 1\ndata: a\n\nid: 012345678901234567890\ndata: b\n\ndata: c\n\n",
           "message|1|a;message|1|c;", -1, 1),
    STREAM("event: 012345678901234567890\ndata: b\n\ndata: c\n\n", "message||c;", -1, 1),
    STREAM(": 01234567890123456789012345678901234567890\ndata: c\n\n", "message||c;", -1, 0),
    STREAM("\xef\xbb\xbf: 01234567890123456789012345678901234567890\ndata: c\n\n", "message||c;",
           -1, 0),
};

static void check(size_t i, const size_t *cuts, size_t n_cuts)
{
    struct weft_str text = streams[i].text;
    struct log log = {"", 0};
    struct weft_sse_parser p;
    size_t at = 0;

    weft_sse_parser_init(&p, MAX_EVENT, arrived, &log);
    for (size_t c = 0; c <= n_cuts; c++) {
        size_t end = c < n_cuts ? cuts[c] : text.len;
        /* A copy of its own, so that reading past a piece's end is seen. */
        char *piece = malloc(end - at + 1);

        memcpy(piece, text.p + at, end - at);
        weft_sse_parser_feed(&p, piece, end - at);
        free(piece);
        at = end;
    }
    if (strcmp(log.text, streams[i].want) != 0)
        fail_msg("stream %zu, %zu cuts: got %s", i, n_cuts, log.text);
    assert_int_equal(p.retry_ms, streams[i].retry_ms);
    assert_int_equal(p.dropped, streams[i].dropped);
    weft_sse_parser_fini(&p);
}

static void id_arrived(void *ctx, struct weft_str last_id)
{
    arrived(ctx, WEFT_STR("(id)"), last_id, WEFT_STR(""));
}

/* An id without data sets the last id, as in a browser. */
static void an_id_alone_is_told(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"id: 1-2\n\n", "(id)|1-2|;"},
        {"id: 1-2\n", ""},
        {"event: x\nid: 1\nid: 2\n\ndata: a\n\n", "(id)|2|;message|2|a;"},
        {"id: 1\ndata: a\n\n\n:\n\nretry: 5\n\n", "message|1|a;"},
        {"id\n\n", "(id)||;"},
        {"id: 1\ndata: 01234567890123456789\n\n", ""}, /* too long: dropped */
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct log log = {"", 0};
        struct weft_sse_parser p;

        weft_sse_parser_init(&p, MAX_EVENT, arrived, &log);
        p.id_arrived = id_arrived;
        weft_sse_parser_feed(&p, cases[i].text, strlen(cases[i].text));
        assert_string_equal(log.text, cases[i].want);
        weft_sse_parser_fini(&p);
    }
}

static void parse_whole(void **state)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(streams); i++)
        check(i, NULL, 0);
}

static void parse_cut_anywhere(void **state)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(streams); i++) {
        for (size_t a = 0; a <= streams[i].text.len; a++) {
            for (size_t b = a; b <= streams[i].text.len; b++)
                check(i, (const size_t[]){a, b}, 2);
        }
    }
}

static void parse_byte_by_byte(void **state)
{
    size_t cuts[200];

    for (size_t i = 0; i < WEFT_COUNT_OF(cuts); i++)
        cuts[i] = i;
    for (size_t i = 0; i < WEFT_COUNT_OF(streams); i++)
        check(i, cuts, streams[i].text.len);
}

static void what_is_written_is_read(void **state)
{
    struct log log = {"", 0};
    struct weft_sse_parser p;
    struct weft_buf out;

    weft_buf_init(&out, 1000);
    weft_sse_write(&out, WEFT_STR("weft.gap"), WEFT_STR("1-2"), WEFT_STR(" {}\r\nx\n"), true);
    weft_sse_write(&out, WEFT_STR("weft.open"), WEFT_STR(""), WEFT_STR(""), false);
    weft_sse_parser_init(&p, 100, arrived, &log);
    weft_sse_parser_feed(&p, out.data, out.len);
    assert_string_equal(log.text, "weft.gap|1-2| {}\nx\n;message|1-2|;");
    weft_sse_parser_fini(&p);
    weft_buf_fini(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_events),
        cmocka_unit_test(a_line_break_in_type_or_id_is_our_bug),
        cmocka_unit_test(an_id_alone_is_told),
        cmocka_unit_test(parse_whole),
        cmocka_unit_test(parse_cut_anywhere),
        cmocka_unit_test(parse_byte_by_byte),
        cmocka_unit_test(what_is_written_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
