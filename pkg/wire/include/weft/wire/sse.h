/*
 * sse - Server-Sent Events (WHATWG HTML, section 9.2): control events of the server, and a
 * parser for clients of ours (CLI, bench, tests).
 */
#ifndef WEFT_WIRE_SSE_H
#define WEFT_WIRE_SSE_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/str.h>

/*
 * Appends one SSE event: `event:` (left out if type is empty or named is false), `id:` (left out if
 * empty), `data:` for each line of data. CR, LF and NUL in type or id are a bug of the caller
 * (asserted); data may have LF.
 */
void weft_sse_write(struct weft_buf *out, struct weft_str type, struct weft_str id,
                    struct weft_str data, bool named);

/* Called for each event. Borrowed until the call returns. type is "message" when none was sent. */
typedef void weft_sse_event_arrived(void *ctx, struct weft_str type, struct weft_str last_id,
                                    struct weft_str data);

/* Called for a block without data that sets the last id: to resume with. Borrowed until the call returns. */
typedef void weft_sse_id_arrived(void *ctx, struct weft_str last_id);

/*
 * Incremental; CR, LF and CRLF; BOM; comments; id with NUL ignored; `retry`. Bounded by max_event
 * bytes: longer events are dropped and counted.
 */
struct weft_sse_parser {
    struct weft_buf line;
    struct weft_buf type;
    struct weft_buf data;
    struct weft_buf last_id;
    int64_t retry_ms; /* -1 until sent */
    uint64_t dropped;
    bool skip_lf;
    bool first_line;
    bool has_data, has_id; /* the block so far */
    weft_sse_event_arrived *event_arrived;
    weft_sse_id_arrived *id_arrived; /* NULL: not told; may be set behind init */
    void *ctx;
};

void weft_sse_parser_init(struct weft_sse_parser *p, size_t max_event, weft_sse_event_arrived *cb,
                          void *ctx);
void weft_sse_parser_fini(struct weft_sse_parser *p);
void weft_sse_parser_feed(struct weft_sse_parser *p, const char *bytes, size_t len);

#endif
