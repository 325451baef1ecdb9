/*
 * scan - finds the events in the bytes of a stream, as cheaply as the checks allow.
 *
 * It reads what weftd and the bare writer send: HTTP/1.1 chunks that each hold whole SSE events, or the frames of a
 * WebSocket. Of an event it takes the id, and two numbers that weft-bench has put into the payload. Pure.
 */
#ifndef WEFT_BENCH_SCAN_H
#define WEFT_BENCH_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/wire/id.h>

/* Digits of the numbers in a payload: {"n":"0000000123","t":"0000000000000000123", ...} */
#define SCAN_N_DIGITS 10
#define SCAN_T_DIGITS 19

enum scan_kind {
    SCAN_EVENT,
    SCAN_OPEN,    /* weft.open */
    SCAN_GAP,     /* weft.gap */
    SCAN_MOVED,   /* weft.moved */
    SCAN_CONTROL, /* another weft.* */
    SCAN_PING,    /* of a WebSocket */
    SCAN_FOREIGN  /* an event whose payload is not ours */
};

struct scan_event {
    enum scan_kind kind;
    struct weft_id id; /* 0-0: it had none */
    uint32_t n;        /* which event of the run */
    uint64_t sent_ns;  /* monotonic */
    uint64_t retry_ms; /* `retry:` among its lines; 0: none */
};

/* Borrowed until the call returns. False: stop here. */
typedef bool scan_event_found(void *ctx, const struct scan_event *event);

#define SCAN_BROKEN (-1) /* not what a stream may look like */
#define SCAN_ENDED  (-2) /* the last chunk came, or the callback said stop */

/*
 * Walks the whole chunks at the beginning of p[0..len). Returns how many bytes they are; what
 * follows is the beginning of a chunk, to be given again with more. Or one of the codes above.
 */
long scan_chunks(const char *p, size_t len, scan_event_found *found, void *ctx);

/* The same for a server's frames. SCAN_ENDED: a close frame. */
long scan_frames(const char *p, size_t len, scan_event_found *found, void *ctx);

#endif
