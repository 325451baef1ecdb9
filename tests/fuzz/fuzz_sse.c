/*
 * The SSE parser, fed whole and in pieces whose size the first byte says, must see the same events.
 * And what the writer writes, the parser reads.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/sse.h>

#define MAX_EVENT 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct weft_buf *log, struct weft_str s)
{
    weft_buf_u64(log, s.len);
    weft_buf_puts(log, ":");
    weft_buf_str(log, s);
}

static void arrived(void *ctx, struct weft_str type, struct weft_str last_id, struct weft_str data)
{
    struct weft_buf *log = ctx;

    WEFT_ASSERT(type.len > 0 && type.len <= MAX_EVENT && last_id.len <= MAX_EVENT);
    WEFT_ASSERT(data.len <= MAX_EVENT);
    WEFT_ASSERT(last_id.len == 0 || memchr(last_id.p, '\0', last_id.len) == NULL);
    put(log, type);
    put(log, last_id);
    put(log, data);
}

static void parse(struct weft_str text, size_t piece, struct weft_buf *log)
{
    struct weft_sse_parser p;

    weft_sse_parser_init(&p, MAX_EVENT, arrived, log);
    for (size_t at = 0; at < text.len; at += piece) {
        size_t n = text.len - at < piece ? text.len - at : piece;
        char *copy = malloc(n);

        memcpy(copy, text.p + at, n);
        weft_sse_parser_feed(&p, copy, n);
        free(copy);
    }
    weft_buf_printf(log, "retry %lld dropped %llu", (long long)p.retry_ms,
                    (unsigned long long)p.dropped);
    weft_sse_parser_fini(&p);
}

struct expected {
    struct weft_str type, id, data;
    size_t n;
};

/* Line breaks of any sort arrive as LF. */
static void check_written(void *ctx, struct weft_str type, struct weft_str last_id,
                          struct weft_str data)
{
    struct expected *e = ctx;
    size_t j = 0;

    WEFT_ASSERT(weft_str_eq(type, e->type) && weft_str_eq(last_id, e->id));
    for (size_t i = 0; i < e->data.len; i++, j++) {
        char c = e->data.p[i];

        if (c == '\r') {
            c = '\n';
            if (i + 1 < e->data.len && e->data.p[i + 1] == '\n')
                i++;
        }
        WEFT_ASSERT(j < data.len && data.p[j] == c);
    }
    WEFT_ASSERT(j == data.len);
    e->n++;
}

static void write_and_read(struct weft_str data)
{
    struct expected e = {WEFT_STR("task.progress"), WEFT_STR("1-2"), data, 0};
    struct weft_sse_parser p;
    struct weft_buf out;

    weft_buf_init(&out, 10 * data.len + 100);
    weft_sse_write(&out, e.type, e.id, data, true);
    weft_sse_parser_init(&p, data.len + 32, check_written, &e);
    weft_sse_parser_feed(&p, out.data, out.len);
    weft_sse_parser_feed(&p, out.data, out.len);
    WEFT_ASSERT(e.n == 2 && p.dropped == 0 && !out.toobig);
    weft_sse_parser_fini(&p);
    weft_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_buf whole;
    struct weft_buf pieces;
    struct weft_str text;

    if (size == 0)
        return 0;
    text = weft_str((const char *)data + 1, size - 1);
    weft_buf_init(&whole, SIZE_MAX);
    weft_buf_init(&pieces, SIZE_MAX);
    parse(text, text.len > 0 ? text.len : 1, &whole);
    parse(text, 1U + data[0] % 16U, &pieces);
    WEFT_ASSERT(weft_str_eq(weft_str(whole.data, whole.len), weft_str(pieces.data, pieces.len)));
    write_and_read(text);
    weft_buf_fini(&whole);
    weft_buf_fini(&pieces);
    return 0;
}
