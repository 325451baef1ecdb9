#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "scan.h"

struct seen {
    struct scan_event events[16];
    size_t n;
    size_t stop_at; /* the callback says stop at this one; 0: never */
};

static bool note(void *ctx, const struct scan_event *event)
{
    struct seen *seen = ctx;

    assert_true(seen->n < 16);
    seen->events[seen->n++] = *event;
    return seen->n != seen->stop_at;
}

/* data as one chunk, appended to out. */
static void chunk(char *out, const char *data)
{
    size_t len = strlen(out);

    snprintf(out + len, 4096 - len, "%06zx\r\n%s\r\n", strlen(data), data);
}

static const char OPEN[] = "retry: 1200\n\nevent: weft.open\nid: 5-7\ndata: {\"node\":\"a\"}\n\n";
static const char EVENT[] =
    "event: bench.event\nid: 1795314948063-41\ndata: {\"id\":\"1795314948063-41\",\"topic\":\"t\","
    "\"type\":\"bench.event\",\"ts\":1,\"payload\":{\"n\":\"0000000123\",\"t\":"
    "\"0000000000000004567\",\"pad\":\"\"},\"node\":\"a\"}\n\n";
static const char GAP[] = "event: weft.gap\ndata: {\"topic\":\"t\"}\n\n";
static const char FOREIGN[] = "event: x\nid: 9-9\ndata: {\"payload\":{\"n\":1}}\n\n";

static void finds_what_it_needs(void **state)
{
    char text[4096] = "";
    struct seen seen = {.n = 0};

    chunk(text, OPEN);
    chunk(text, ":\n\n");
    chunk(text, EVENT);
    chunk(text, GAP);
    chunk(text, "event: weft.degraded\ndata: {}\n\n");
    chunk(text, FOREIGN);
    chunk(text, "retry: 321\nevent: weft.moved\ndata: {}\n\n");
    assert_int_equal(scan_chunks(text, strlen(text), note, &seen), strlen(text));
    assert_int_equal(seen.n, 6);
    assert_int_equal(seen.events[0].retry_ms, 0); /* that of the block before */
    assert_int_equal(seen.events[5].kind, SCAN_MOVED);
    assert_int_equal(seen.events[5].retry_ms, 321);
    assert_int_equal(seen.events[0].kind, SCAN_OPEN);
    assert_int_equal(seen.events[0].id.seq, 7);
    assert_int_equal(seen.events[1].kind, SCAN_EVENT);
    assert_int_equal(seen.events[1].id.ms, 1795314948063);
    assert_int_equal(seen.events[1].id.seq, 41);
    assert_int_equal(seen.events[1].n, 123);
    assert_int_equal(seen.events[1].sent_ns, 4567);
    assert_int_equal(seen.events[2].kind, SCAN_GAP);
    assert_int_equal(seen.events[2].id.seq, 0);
    assert_int_equal(seen.events[3].kind, SCAN_CONTROL);
    assert_int_equal(seen.events[4].kind, SCAN_FOREIGN);
    assert_int_equal(seen.events[4].id.seq, 9);
}

static void waits_for_whole_chunks(void **state)
{
    char text[4096] = "";
    size_t first, len;

    chunk(text, EVENT);
    first = strlen(text);
    chunk(text, EVENT);
    len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++) {
        struct seen seen = {.n = 0};
        char copy[4096];
        long used;

        /* A copy of just that size, so that a sanitizer sees a read beyond it. */
        memcpy(copy, text, cut);
        used = scan_chunks(copy, cut, note, &seen);
        assert_int_equal(used, cut == len ? len : cut >= first ? first : 0);
        assert_int_equal(seen.n, (cut >= first) + (cut == len));
    }
}

static void several_events_in_a_chunk(void **state)
{
    char data[2048], text[4096] = "";
    struct seen seen = {.n = 0};

    snprintf(data, sizeof(data), "%s%s%s", EVENT, ":\n\n", EVENT);
    chunk(text, data);
    assert_int_equal(scan_chunks(text, strlen(text), note, &seen), strlen(text));
    assert_int_equal(seen.n, 2);

    seen = (struct seen){.stop_at = 1};
    assert_int_equal(scan_chunks(text, strlen(text), note, &seen), SCAN_ENDED);
    assert_int_equal(seen.n, 1);
}

static void broken_streams(void **state)
{
    static const char *const texts[] = {
        "x\r\n",
        "\r\n\r\n",
        "3\r\nabc\r\n",
        "3\nabc",
        "000000001\r\na\r\n",
        "2\r\n\n\nXY",
        "9\r\ndata: x\n\r\n\r\n",
    };
    struct seen seen = {.n = 0};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(scan_chunks(texts[i], strlen(texts[i]), note, &seen), SCAN_BROKEN);
    assert_int_equal(scan_chunks("0\r\n\r\n", 5, note, &seen), SCAN_ENDED);
    assert_int_equal(scan_chunks("", 0, note, &seen), 0);
    assert_int_equal(seen.n, 0);
}

static void put_frame(char *out, size_t *len, unsigned first, const char *text)
{
    size_t n = strlen(text);

    out[(*len)++] = (char)first;
    if (n < 126) {
        out[(*len)++] = (char)n;
    } else {
        out[(*len)++] = 126;
        out[(*len)++] = (char)(n >> 8);
        out[(*len)++] = (char)n;
    }
    memcpy(out + *len, text, n);
    *len += n;
}

static void frames(void **state)
{
    static const char event[] =
        "{\"id\":\"1795314948063-41\",\"topic\":\"t\",\"type\":\"bench.event\",\"ts\":1,"
        "\"payload\":{\"n\":\"0000000123\",\"t\":\"0000000000000004567\",\"pad\":\"\"},"
        "\"node\":\"a\"}";
    char bytes[4096];
    size_t len = 0;

    put_frame(bytes, &len, 0x81, "{\"type\":\"weft.ok\",\"subscription\":\"\"}");
    put_frame(bytes, &len, 0x81,
              "{\"type\":\"weft.open\",\"subscription\":\"\",\"cursor\":\"5-7\"}");
    put_frame(bytes, &len, 0x81, event);
    put_frame(bytes, &len, 0x89, "");
    put_frame(bytes, &len, 0x81, "{\"type\":\"weft.gap\",\"topic\":\"t\"}");
    put_frame(bytes, &len, 0x81, "{\"type\":\"weft.moved\",\"retry_ms\":321}");
    put_frame(bytes, &len, 0x81, "{\"id\":\"9-9\",\"payload\":{\"n\":1}}");
    for (size_t cut = 0; cut <= len; cut++) {
        struct seen seen = {.n = 0};
        long used = scan_frames(bytes, cut, note, &seen);

        assert_true(used >= 0 && (size_t)used <= cut);
        assert_int_equal(scan_frames(bytes + used, len - (size_t)used, note, &seen),
                         (long)len - used);
        assert_int_equal(seen.n, 7);
        assert_int_equal(seen.events[0].kind, SCAN_CONTROL);
        assert_int_equal(seen.events[1].kind, SCAN_OPEN);
        assert_int_equal(seen.events[1].id.seq, 7);
        assert_int_equal(seen.events[2].kind, SCAN_EVENT);
        assert_int_equal(seen.events[2].id.seq, 41);
        assert_int_equal(seen.events[2].n, 123);
        assert_int_equal(seen.events[2].sent_ns, 4567);
        assert_int_equal(seen.events[3].kind, SCAN_PING);
        assert_int_equal(seen.events[4].kind, SCAN_GAP);
        assert_int_equal(seen.events[5].kind, SCAN_MOVED);
        assert_int_equal(seen.events[5].retry_ms, 321);
        assert_int_equal(seen.events[6].kind, SCAN_FOREIGN);
    }
    struct seen seen = {.n = 0};

    assert_int_equal(scan_frames("\x88\x00", 2, note, &seen), SCAN_ENDED);
    assert_int_equal(scan_frames("\x82\x00", 2, note, &seen), SCAN_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames),
        cmocka_unit_test(finds_what_it_needs),
        cmocka_unit_test(waits_for_whole_chunks),
        cmocka_unit_test(several_events_in_a_chunk),
        cmocka_unit_test(broken_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
