/*
 * lines - parts a stream of bytes into lines of bounded length. Pure.
 */
#ifndef WEFT_LOOP_LINES_H
#define WEFT_LOOP_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/base/buf.h>
#include <weft/base/str.h>

struct weft_lines {
    struct weft_buf part; /* of a line whose end has not come */
    size_t max;
    bool cut; /* it was longer than max: the rest is left out */
};

/* Without the line end (LF or CR LF); empty lines too. line is borrowed until the call returns. */
typedef void weft_line_came(void *ctx, struct weft_str line, bool cut);

void weft_lines_init(struct weft_lines *lines, size_t max);
void weft_lines_fini(struct weft_lines *lines);
void weft_lines_feed(struct weft_lines *lines, struct weft_str bytes, weft_line_came *came,
                     void *ctx);
/* The stream has ended: what has no line end is a line, too. */
void weft_lines_end(struct weft_lines *lines, weft_line_came *came, void *ctx);

#endif
