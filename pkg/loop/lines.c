#include <weft/loop/lines.h>

#include <string.h>

void weft_lines_init(struct weft_lines *lines, size_t max)
{
    weft_buf_init(&lines->part, max + 1);
    lines->max = max;
    lines->cut = false;
}

void weft_lines_fini(struct weft_lines *lines)
{
    weft_buf_fini(&lines->part);
}

static void tell(struct weft_lines *lines, weft_line_came *came, void *ctx)
{
    struct weft_str line = weft_str(lines->part.data, lines->part.len);

    if (!lines->cut && line.len > 0 && line.p[line.len - 1] == '\r') {
        line.len--;
    }
    if (line.len > lines->max) { /* with a CR that was not one of a line end */
        line.len = lines->max;
        lines->cut = true;
    }
    came(ctx, line, lines->cut);
    weft_buf_clear(&lines->part);
    lines->cut = false;
}

void weft_lines_feed(struct weft_lines *lines, struct weft_str bytes, weft_line_came *came,
                     void *ctx)
{
    while (bytes.len > 0) {
        const char *nl = memchr(bytes.p, '\n', bytes.len);
        size_t n = nl == NULL ? bytes.len : (size_t)(nl - bytes.p);
        size_t room = lines->max + 1 - lines->part.len; /* one more, for the CR */
        size_t take = n < room ? n : room;

        weft_buf_append(&lines->part, bytes.p, take);
        lines->cut = lines->cut || take < n;
        if (nl != NULL) {
            tell(lines, came, ctx);
            n++;
        }
        bytes = weft_str(bytes.p + n, bytes.len - n);
    }
}

void weft_lines_end(struct weft_lines *lines, weft_line_came *came, void *ctx)
{
    if (lines->part.len > 0) {
        tell(lines, came, ctx);
    }
}
