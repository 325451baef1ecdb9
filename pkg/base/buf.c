#include <weft/base/buf.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/base/assert.h>

#define FIRST_CAP 64

void weft_buf_init(struct weft_buf *b, size_t max)
{
    memset(b, 0, sizeof(*b));
    b->max = max;
}

void weft_buf_fini(struct weft_buf *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}

void weft_buf_clear(struct weft_buf *b)
{
    b->len = 0;
    b->toobig = false;
    if (b->data != NULL)
        b->data[0] = '\0';
}

/* need: bytes with the NUL, which max allows. */
static void grow(struct weft_buf *b, size_t need)
{
    size_t most = b->max < SIZE_MAX ? b->max + 1 : SIZE_MAX;
    size_t cap = b->cap > 0 ? b->cap : FIRST_CAP;
    char *data;

    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
    if (cap > most)
        cap = most;

    data = realloc(b->data, cap);
    WEFT_ASSERT(data != NULL);
    b->data = data;
    b->cap = cap;
}

char *weft_buf_reserve(struct weft_buf *b, size_t n)
{
    if (b->toobig || n > b->max - b->len) {
        b->toobig = true;
        return NULL;
    }
    /* max may be SIZE_MAX, so that n + 1 could wrap: no such block exists anyway. */
    WEFT_ASSERT(n < SIZE_MAX - b->len);
    if (b->len + n + 1 > b->cap)
        grow(b, b->len + n + 1);
    b->data[b->len] = '\0';
    b->data[b->len + n] = '\0';
    return b->data + b->len;
}

void weft_buf_append(struct weft_buf *b, const void *p, size_t n)
{
    char *room = weft_buf_reserve(b, n);

    if (room == NULL || n == 0)
        return;
    memcpy(room, p, n);
    b->len += n;
}

void weft_buf_str(struct weft_buf *b, struct weft_str s)
{
    weft_buf_append(b, s.p, s.len);
}

void weft_buf_puts(struct weft_buf *b, const char *s)
{
    weft_buf_append(b, s, strlen(s));
}

void weft_buf_u64(struct weft_buf *b, uint64_t v)
{
    char digits[20];

    weft_buf_append(b, digits, weft_u64_print(digits, v));
}

void weft_buf_printf(struct weft_buf *b, const char *fmt, ...)
{
    va_list ap;
    char *room;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    WEFT_ASSERT(n >= 0);

    room = weft_buf_reserve(b, (size_t)n);
    if (room == NULL)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(room, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

/* The escape of a byte that may not stand in a JSON string; returns its length. */
static size_t json_escape(char out[6], unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char named[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

    out[0] = '\\';
    if (c >= 0x20 || named[c] != 0) {
        out[1] = c >= 0x20 ? (char)c : named[c];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

void weft_buf_json(struct weft_buf *b, struct weft_str s)
{
    size_t done = 0; /* s is written up to here */
    size_t i = 0;

    weft_buf_append(b, "\"", 1);
    while (i < s.len) {
        unsigned char c = (unsigned char)s.p[i];
        char escape[6];
        size_t n;

        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        if (c >= 0x80) {
            n = weft_utf8_len(s.p + i, s.len - i);
            if (n > 0) {
                i += n;
                continue;
            }
            memcpy(escape, "\xef\xbf\xbd", 3); /* U+FFFD */
            n = 3;
        } else {
            n = json_escape(escape, c);
        }
        weft_buf_append(b, s.p + done, i - done);
        weft_buf_append(b, escape, n);
        done = ++i;
    }
    if (done < s.len)
        weft_buf_append(b, s.p + done, s.len - done);
    weft_buf_append(b, "\"", 1);
}

char *weft_buf_take(struct weft_buf *b, size_t *ret_len)
{
    char *data = b->data;
    size_t max = b->max;

    *ret_len = b->len;
    weft_buf_init(b, max);
    return data;
}
