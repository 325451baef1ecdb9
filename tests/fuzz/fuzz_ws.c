/*
 * The WebSocket reader, fed whole and in pieces whose size the second byte says, must see the same messages, none longer
 * than the limit, and all of them UTF-8. And what the writer writes, the reader reads.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/buf.h>
#include <weft/wire/ws.h>

#define MAX_MESSAGE 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_utf8(struct weft_str s)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = weft_utf8_len(s.p + i, s.len - i);

        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

/* False: it is broken. */
static bool feed(struct weft_ws_reader *r, const char *p, size_t n, struct weft_buf *log)
{
    char *copy = malloc(n);
    char *at = copy;
    struct weft_ws_message m;
    enum weft_ws_got got;

    memcpy(copy, p, n);
    while ((got = weft_ws_read(r, &at, copy + n, &m)) == WEFT_WS_GOT_MESSAGE) {
        bool control = m.opcode != WEFT_WS_TEXT;

        WEFT_ASSERT(m.data.len <= (control ? WEFT_WS_CONTROL_MAX : MAX_MESSAGE));
        WEFT_ASSERT(m.opcode == WEFT_WS_PING || m.opcode == WEFT_WS_PONG || is_utf8(m.data));
        WEFT_ASSERT(m.opcode != WEFT_WS_CONTINUATION && m.opcode != WEFT_WS_BINARY);
        weft_buf_printf(log, "%d %u %zu:", (int)m.opcode, m.code, m.data.len);
        weft_buf_str(log, m.data);
    }
    WEFT_ASSERT(at == copy + n && r->cap <= MAX_MESSAGE);
    if (got == WEFT_WS_GOT_BROKEN) {
        WEFT_ASSERT(m.code >= 1002 && m.code <= 1009 && m.why != NULL);
        weft_buf_printf(log, "broken %u %s", m.code, m.why);
    }
    free(copy);
    return got != WEFT_WS_GOT_BROKEN;
}

static void read_all(struct weft_str bytes, bool from_client, size_t piece, struct weft_buf *log)
{
    struct weft_ws_reader r;

    weft_ws_reader_init(&r, MAX_MESSAGE, from_client);
    for (size_t at = 0; at < bytes.len; at += piece) {
        if (!feed(&r, bytes.p + at, bytes.len - at < piece ? bytes.len - at : piece, log)) {
            break;
        }
    }
    weft_ws_reader_fini(&r);
}

static void write_and_read(struct weft_str data, uint32_t mask)
{
    struct weft_buf out;
    struct weft_ws_reader r;
    struct weft_ws_message m;
    char *at;

    if (data.len > MAX_MESSAGE || !is_utf8(data)) {
        return;
    }
    for (int from_client = 0; from_client < 2; from_client++) {
        weft_buf_init(&out, 1000);
        if (from_client != 0) {
            weft_ws_put_masked(&out, WEFT_WS_TEXT, true, mask, data);
        } else {
            weft_ws_put(&out, WEFT_WS_TEXT, data);
        }
        weft_ws_reader_init(&r, MAX_MESSAGE, from_client != 0);
        at = out.data;
        WEFT_ASSERT(weft_ws_read(&r, &at, out.data + out.len, &m) == WEFT_WS_GOT_MESSAGE);
        WEFT_ASSERT(m.opcode == WEFT_WS_TEXT && weft_str_eq(m.data, data));
        WEFT_ASSERT(at == out.data + out.len);
        weft_ws_reader_fini(&r);
        weft_buf_fini(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_buf whole;
    struct weft_buf pieces;
    struct weft_str bytes;
    bool from_client;

    if (size < 2) {
        return 0;
    }
    from_client = (data[0] & 1) == 0;
    bytes = weft_str((const char *)data + 2, size - 2);
    weft_buf_init(&whole, SIZE_MAX);
    weft_buf_init(&pieces, SIZE_MAX);
    read_all(bytes, from_client, bytes.len > 0 ? bytes.len : 1, &whole);
    read_all(bytes, from_client, 1U + data[1] % 16U, &pieces);
    WEFT_ASSERT(weft_str_eq(weft_str(whole.data, whole.len), weft_str(pieces.data, pieces.len)));
    write_and_read(bytes, data[0] * 0x01010101U);
    weft_buf_fini(&whole);
    weft_buf_fini(&pieces);
    return 0;
}
