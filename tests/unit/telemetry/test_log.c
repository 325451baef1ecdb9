/* The log: one line is one line, whatever is put into it and wherever it goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <weft/base/assert.h>
#include <weft/telemetry/log.h>

struct tap {
    struct weft_log *log;
    int in, out;
    char text[65536];
};

static void tap_open(struct tap *tap, enum weft_log_level level, enum weft_log_format format,
                     const char *node)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    tap->in = fds[0];
    tap->out = fds[1];
    assert_int_equal(fcntl(tap->in, F_SETFL, O_NONBLOCK), 0);
    tap->log = weft_log_create(tap->out, level, format, node);
    assert_non_null(tap->log);
}

/* What has been written since the last call. */
static const char *tap_read(struct tap *tap)
{
    size_t len = 0;
    ssize_t n;

    while (len < sizeof(tap->text) - 1 &&
           (n = read(tap->in, tap->text + len, sizeof(tap->text) - 1 - len)) > 0)
        len += (size_t)n;
    tap->text[len] = '\0';
    return tap->text;
}

/* The line without its time, which is checked for its form. */
static const char *tap_line(struct tap *tap)
{
    static const char form[] = "{\"time\":\"####-##-##T##:##:##.###Z\",";
    const char *text = tap_read(tap);

    for (size_t i = 0; form[i]; i++) {
        if (form[i] == '#')
            assert_in_range(text[i], '0', '9');
        else
            assert_int_equal(text[i], form[i]);
    }
    return text + strlen(form);
}

static void tap_close(struct tap *tap)
{
    weft_log_destroy(tap->log);
    close(tap->in);
    if (tap->out >= 0)
        close(tap->out);
}

static void writes_every_kind_of_field(void **state)
{
    static struct tap tap;

    tap_open(&tap, WEFT_LOG_DEBUG, WEFT_LOG_JSON, "a");
    weft_log(tap.log, WEFT_LOG_INFO, "redis.connected", WEFT_S("address", "127.0.0.1:6379"),
             WEFT_U("ms", UINT64_MAX), WEFT_I("delta", INT64_MIN), WEFT_F("rate", 0.25),
             WEFT_F("nan", NAN), WEFT_B("ok", true), WEFT_S("none", NULL),
             WEFT_SN("part", "abcdef", 3), WEFT_SN("empty", "x", 0));
    assert_string_equal(tap_line(&tap),
                        "\"level\":\"info\",\"event\":\"redis.connected\",\"node\":\"a\","
                        "\"address\":\"127.0.0.1:6379\",\"ms\":18446744073709551615,"
                        "\"delta\":-9223372036854775808,\"rate\":0.25,\"nan\":null,\"ok\":true,"
                        "\"none\":null,\"part\":\"abc\",\"empty\":\"\"}\n");
    weft_log(tap.log, WEFT_LOG_ERROR, "bare");
    assert_string_equal(tap_line(&tap), "\"level\":\"error\",\"event\":\"bare\",\"node\":\"a\"}\n");
    tap_close(&tap);
}

static void writes_text(void **state)
{
    static struct tap tap;
    const char *text;

    tap_open(&tap, WEFT_LOG_DEBUG, WEFT_LOG_TEXT, NULL);
    weft_log(tap.log, WEFT_LOG_WARN, "a.b", WEFT_S("plain", "x-1/y:2"), WEFT_S("quoted", "a b"),
             WEFT_S("forged", "x\n2026-01-01 info fake=1"), WEFT_S("empty", ""),
             WEFT_S("eq", "a=b"), WEFT_U("n", 3), WEFT_S("esc", "\x1b[2J"));
    text = tap_read(&tap);
    assert_string_equal(strchr(text, ' '),
                        " warn a.b plain=x-1/y:2 quoted=\"a b\" "
                        "forged=\"x\\n2026-01-01 info fake=1\" empty=\"\" eq=\"a=b\" n=3 "
                        "esc=\"\\u001b[2J\"\n");
    tap_close(&tap);
}

static void levels_hold_back(void **state)
{
    static struct tap tap;
    int evaluated = 0;

    tap_open(&tap, WEFT_LOG_WARN, WEFT_LOG_JSON, NULL);
    weft_log(tap.log, WEFT_LOG_INFO, "no", WEFT_I("n", ++evaluated));
    assert_string_equal(tap_read(&tap), "");
    assert_int_equal(evaluated, 0);
    assert_false(weft_log_wants(tap.log, WEFT_LOG_INFO));
    assert_true(weft_log_wants(tap.log, WEFT_LOG_WARN));
    weft_log_set_level(tap.log, WEFT_LOG_DEBUG);
    weft_log(tap.log, WEFT_LOG_DEBUG, "yes", WEFT_I("n", ++evaluated));
    assert_string_equal(tap_line(&tap), "\"level\":\"debug\",\"event\":\"yes\",\"n\":1}\n");
    tap_close(&tap);

    weft_log((struct weft_log *)NULL, WEFT_LOG_ERROR, "nowhere", WEFT_I("n", ++evaluated));
    assert_int_equal(evaluated, 1);
    weft_log_destroy(NULL);
}

static void nothing_forges_a_line(void **state)
{
    static const struct {
        const char *bytes;
        const char *shown;
    } rows[] = {
        {"a\nb\rc\td", "a\\nb\\rc\\td"},
        {"\x01\x1f\x7f", "\\u0001\\u001f\\u007f"},
        {"\"\\/", "\\\"\\\\/"},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x85\xc2\x9b", "\\u0085\\u009b"},               /* C1: next line, CSI */
        {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"},       /* Unicode line ends */
        {"\xff\x80", "\\ufffd\\ufffd"},                       /* no UTF-8 */
        {"\xc0\x8a", "\\ufffd\\ufffd"},                       /* overlong newline */
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},            /* a surrogate */
        {"\xf0\x9f\x98", "\\ufffd\\ufffd\\ufffd"},            /* cut short */
        {"\xf5\x80\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* above U+10FFFF */
    };
    static struct tap tap;

    tap_open(&tap, WEFT_LOG_DEBUG, WEFT_LOG_JSON, NULL);
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        char want[256];

        snprintf(want, sizeof(want), "\"level\":\"info\",\"event\":\"e\",\"v\":\"%s\"}\n",
                 rows[i].shown);
        weft_log(tap.log, WEFT_LOG_INFO, "e", WEFT_S("v", rows[i].bytes));
        assert_string_equal(tap_line(&tap), want);
    }
    weft_log(tap.log, WEFT_LOG_INFO, "e", WEFT_SN("v", "a\0b", 3));
    assert_string_equal(tap_line(&tap),
                        "\"level\":\"info\",\"event\":\"e\",\"v\":\"a\\u0000b\"}\n");
    tap_close(&tap);
}

/* Every length around the limit, with one byte, three bytes and an escape at the seam. */
static void long_lines_are_cut_and_say_so(void **state)
{
    static const char *const fillers[] = {"a", "\xe2\x82\xac", "\n"};
    static char value[3 * 5000 + 1];
    static struct tap tap;

    for (int format = WEFT_LOG_JSON; format <= (int)WEFT_LOG_TEXT; format++) {
        const char *mark = format == WEFT_LOG_JSON ? "\",\"cut\":true}\n" : "\" cut=true\n";

        tap_open(&tap, WEFT_LOG_DEBUG, (enum weft_log_format)format, "node");
        for (size_t f = 0; f < WEFT_COUNT_OF(fillers); f++) {
            size_t unit = strlen(fillers[f]);
            size_t shown = fillers[f][0] == '\n' ? 2 : unit;

            for (size_t n = 3900 / shown; n <= 4200 / shown; n++) {
                const char *text;
                size_t len;

                value[0] = ' '; /* so that the text format quotes */
                for (size_t i = 0; i < n; i++)
                    memcpy(value + 1 + i * unit, fillers[f], unit);
                value[1 + n * unit] = '\0';
                weft_log(tap.log, WEFT_LOG_INFO, "e", WEFT_S("v", value), WEFT_U("last", 77));
                text = tap_read(&tap);
                len = strlen(text);
                assert_true(len <= WEFT_LOG_LINE_MAX);
                assert_ptr_equal(strchr(text, '\n'), text + len - 1);
                if (strstr(text, "cut")) {
                    assert_null(strstr(text, "last"));
                    /* Either the value was cut, or it just fitted and the next field did not. */
                    assert_string_equal(text + len - strlen(mark), mark);
                    assert_true(len > WEFT_LOG_LINE_MAX - 32);
                } else {
                    assert_non_null(strstr(text, "last"));
                }
            }
        }
        assert_int_equal(weft_log_lost(tap.log), 0);
        tap_close(&tap);
    }
}

static void a_stalled_reader_costs_lines_not_time(void **state)
{
    static struct tap tap;
    char value[1001];
    const char *text;
    uint64_t lost;

    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    tap_open(&tap, WEFT_LOG_DEBUG, WEFT_LOG_JSON, NULL);
    for (int i = 0; i < 1000; i++)
        weft_log(tap.log, WEFT_LOG_INFO, "e", WEFT_S("v", value));
    lost = weft_log_lost(tap.log);
    assert_in_range(lost, 900, 980); /* a pipe holds 64 KiB */

    tap_read(&tap);
    weft_log(tap.log, WEFT_LOG_INFO, "after");
    text = tap_line(&tap);
    snprintf(value, sizeof(value), "\"level\":\"warn\",\"event\":\"log.lost\",\"lines\":%d}\n",
             (int)lost);
    assert_memory_equal(text, value, strlen(value));
    assert_non_null(strstr(text, "\"event\":\"after\"}\n"));
    weft_log(tap.log, WEFT_LOG_INFO, "later");
    assert_string_equal(tap_line(&tap), "\"level\":\"info\",\"event\":\"later\"}\n");
    assert_int_equal(weft_log_lost(tap.log), lost);
    tap_close(&tap);
}

static void lines_that_cannot_be_written_are_counted(void **state)
{
    static struct tap tap;
    struct weft_log *log;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    /* nobody reads */
    tap_open(&tap, WEFT_LOG_DEBUG, WEFT_LOG_JSON, NULL);
    close(tap.in);
    tap.in = -1;
    weft_log(tap.log, WEFT_LOG_INFO, "e");
    assert_int_equal(weft_log_lost(tap.log), 1);
    weft_log_destroy(tap.log);
    close(tap.out);

    /* no such descriptor */
    log = weft_log_create(-1, WEFT_LOG_INFO, WEFT_LOG_JSON, NULL);
    weft_log(log, WEFT_LOG_INFO, "e");
    weft_log(log, WEFT_LOG_INFO, "e");
    assert_int_equal(weft_log_lost(log), 2);
    weft_log_destroy(log);

    /* disk full */
    if (fd >= 0) {
        log = weft_log_create(fd, WEFT_LOG_INFO, WEFT_LOG_JSON, NULL);
        weft_log(log, WEFT_LOG_INFO, "e");
        assert_int_equal(weft_log_lost(log), 1);
        weft_log_destroy(log);
        close(fd);
    }
}

static void a_socket_that_is_full_or_gone_is_not_waited_for(void **state)
{
    struct weft_log *log;
    char value[2001], text[4096];
    int fds[2];
    ssize_t n;

    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    log = weft_log_create(fds[1], WEFT_LOG_INFO, WEFT_LOG_JSON, NULL);
    for (int i = 0; i < 1000; i++)
        weft_log(log, WEFT_LOG_INFO, "e", WEFT_S("v", value));
    assert_true(weft_log_lost(log) > 0);
    n = recv(fds[0], text, sizeof(text), 0);
    assert_true(n > 0);
    close(fds[0]);
    weft_log(log, WEFT_LOG_INFO, "e"); /* SIGPIPE would end this program */
    weft_log_destroy(log);
    close(fds[1]);
}

#define THREADS 4
#define LINES   2000

static void *chatter(void *arg)
{
    for (int i = 0; i < LINES; i++)
        weft_log((struct weft_log *)arg, WEFT_LOG_INFO, "line", WEFT_I("i", i),
                 WEFT_S("v", "0123456789abcdefghijklmnopqrstuvwxyz"));
    return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
    char path[] = "/tmp/weft-test-log-XXXXXX";
    int fd = mkstemp(path);
    struct weft_log *log = weft_log_create(fd, WEFT_LOG_INFO, WEFT_LOG_JSON, "n");
    pthread_t threads[THREADS];
    char *line = NULL;
    size_t size = 0;
    int count = 0;
    FILE *in;

    assert_true(fd >= 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, chatter, log), 0);
    weft_log_set_level(log, WEFT_LOG_DEBUG);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(weft_log_lost(log), 0);
    in = fopen(path, "r");
    while (getline(&line, &size, in) > 0) {
        assert_memory_equal(line, "{\"time\":", 8);
        assert_non_null(strstr(line, "xyz\"}\n"));
        count++;
    }
    assert_int_equal(count, THREADS * LINES);
    free(line);
    fclose(in);
    weft_log_destroy(log);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_every_kind_of_field),
        cmocka_unit_test(writes_text),
        cmocka_unit_test(levels_hold_back),
        cmocka_unit_test(nothing_forges_a_line),
        cmocka_unit_test(long_lines_are_cut_and_say_so),
        cmocka_unit_test(a_stalled_reader_costs_lines_not_time),
        cmocka_unit_test(lines_that_cannot_be_written_are_counted),
        cmocka_unit_test(a_socket_that_is_full_or_gone_is_not_waited_for),
        cmocka_unit_test(threads_do_not_mix_their_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
