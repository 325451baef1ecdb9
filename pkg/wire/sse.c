#include <weft/wire/sse.h>

#include <string.h>

#include <weft/base/assert.h>

static bool fits_one_line(struct weft_str s)
{
    return s.len == 0 || (memchr(s.p, '\n', s.len) == NULL && memchr(s.p, '\r', s.len) == NULL &&
                          memchr(s.p, '\0', s.len) == NULL);
}

static void put_line(struct weft_buf *out, struct weft_str name, struct weft_str value)
{
    weft_buf_str(out, name);
    weft_buf_str(out, value);
    weft_buf_append(out, "\n", 1);
}

void weft_sse_write(struct weft_buf *out, struct weft_str type, struct weft_str id,
                    struct weft_str data, bool named)
{
    size_t begin = 0;

    WEFT_ASSERT(fits_one_line(type) && fits_one_line(id));
    if (named && type.len > 0)
        put_line(out, WEFT_STR("event: "), type);
    if (id.len > 0)
        put_line(out, WEFT_STR("id: "), id);

    /* A CR would end the line for the reader as well: it is a line break like LF and CRLF. */
    for (size_t i = 0; i < data.len; i++) {
        if (data.p[i] != '\n' && data.p[i] != '\r')
            continue;
        put_line(out, WEFT_STR("data: "), weft_str(data.p + begin, i - begin));
        if (data.p[i] == '\r' && i + 1 < data.len && data.p[i + 1] == '\n')
            i++;
        begin = i + 1;
    }
    put_line(out, WEFT_STR("data: "),
             data.len == 0 ? data : weft_str(data.p + begin, data.len - begin));
    weft_buf_append(out, "\n", 1);
}

void weft_sse_parser_init(struct weft_sse_parser *p, size_t max_event, weft_sse_event_arrived *cb,
                          void *ctx)
{
    memset(p, 0, sizeof(*p));
    weft_buf_init(&p->line, max_event);
    weft_buf_init(&p->type, max_event);
    weft_buf_init(&p->data, max_event);
    weft_buf_init(&p->last_id, max_event);
    p->retry_ms = -1;
    p->first_line = true;
    p->event_arrived = cb;
    p->ctx = ctx;
}

void weft_sse_parser_fini(struct weft_sse_parser *p)
{
    weft_buf_fini(&p->line);
    weft_buf_fini(&p->type);
    weft_buf_fini(&p->data);
    weft_buf_fini(&p->last_id);
}

static void end_event(struct weft_sse_parser *p)
{
    if (p->data.toobig) {
        p->dropped++;
    } else if (p->has_data) {
        struct weft_str type = {p->type.data, p->type.len};

        if (type.len == 0)
            type = WEFT_STR("message");
        p->event_arrived(p->ctx, type, weft_str(p->last_id.data, p->last_id.len),
                         weft_str(p->data.data, p->data.len));
    } else if (p->has_id && p->id_arrived != NULL) {
        p->id_arrived(p->ctx, weft_str(p->last_id.data, p->last_id.len));
    }
    weft_buf_clear(&p->type);
    weft_buf_clear(&p->data);
    p->has_data = p->has_id = false;
}

static void replace(struct weft_buf *b, struct weft_str value)
{
    weft_buf_clear(b);
    weft_buf_str(b, value);
}

static void apply_field(struct weft_sse_parser *p, struct weft_str name, struct weft_str value)
{
    if (weft_str_eq(name, WEFT_STR("data"))) {
        if (p->has_data)
            weft_buf_append(&p->data, "\n", 1);
        weft_buf_str(&p->data, value);
        p->has_data = true;
    } else if (weft_str_eq(name, WEFT_STR("event"))) {
        replace(&p->type, value);
    } else if (weft_str_eq(name, WEFT_STR("id"))) {
        if (value.len == 0 || memchr(value.p, '\0', value.len) == NULL) {
            replace(&p->last_id, value);
            p->has_id = true;
        }
    } else if (weft_str_eq(name, WEFT_STR("retry"))) {
        uint64_t ms;

        if (weft_str_u64(value, &ms) && ms <= INT64_MAX)
            p->retry_ms = (int64_t)ms;
    }
}

static struct weft_str without_bom(struct weft_str line)
{
    if (line.len >= 3 && memcmp(line.p, "\xef\xbb\xbf", 3) == 0)
        return weft_str(line.p + 3, line.len - 3);
    return line;
}

/* line: without its end; cut_off: only its beginning, the rest was too long to keep. */
static void apply_line(struct weft_sse_parser *p, struct weft_str line, bool cut_off)
{
    struct weft_str name;
    struct weft_str value;
    const char *colon;

    if (p->first_line) {
        p->first_line = false;
        line = without_bom(line);
    }
    if (line.len > 0 && line.p[0] == ':')
        return; /* a comment, of any length */
    if (cut_off) {
        p->data.toobig = true;
        return;
    }
    if (line.len == 0) {
        end_event(p);
        return;
    }

    name = line;
    value = weft_str(line.p + line.len, 0);
    colon = memchr(line.p, ':', line.len);
    if (colon != NULL) {
        name.len = (size_t)(colon - line.p);
        value = weft_str(colon + 1, line.len - name.len - 1);
        if (value.len > 0 && value.p[0] == ' ')
            value = weft_str(value.p + 1, value.len - 1);
    }
    apply_field(p, name, value);
}

/* Keeps as much of a line as the limit allows. */
static void keep_piece(struct weft_sse_parser *p, struct weft_str piece)
{
    size_t room = p->line.max - p->line.len;

    weft_buf_append(&p->line, piece.p, piece.len < room ? piece.len : room);
    if (piece.len > room)
        p->line.toobig = true;
}

/* The line that began in earlier bytes, if any, ends with these. */
static void end_line(struct weft_sse_parser *p, struct weft_str rest)
{
    if (p->line.len == 0 && !p->line.toobig) {
        /* The limit holds for whole lines too: how the bytes were cut must not matter. */
        apply_line(p, rest, rest.len > p->line.max);
        return;
    }
    keep_piece(p, rest);
    apply_line(p, weft_str(p->line.data, p->line.len), p->line.toobig);
    weft_buf_clear(&p->line);
}

void weft_sse_parser_feed(struct weft_sse_parser *p, const char *bytes, size_t len)
{
    const char *at = bytes;
    const char *end = len > 0 ? bytes + len : bytes;
    const char *lf = NULL; /* the first LF at or after `at`; end if there is none */

    while (at < end) {
        const char *stop;
        const char *cr;

        if (p->skip_lf) {
            p->skip_lf = false;
            if (*at == '\n') {
                at++;
                continue;
            }
        }
        if (lf == NULL || lf < at) {
            lf = memchr(at, '\n', (size_t)(end - at));
            if (lf == NULL)
                lf = end;
        }
        cr = memchr(at, '\r', (size_t)(lf - at));
        stop = cr != NULL ? cr : lf;
        if (stop == end) {
            keep_piece(p, weft_str(at, (size_t)(end - at)));
            return;
        }
        end_line(p, weft_str(at, (size_t)(stop - at)));
        p->skip_lf = *stop == '\r';
        at = stop + 1;
    }
}
