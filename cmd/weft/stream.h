/*
 * stream - one SSE connection, from the request to its end.
 *
 * It follows one server until the stream ends in any way and tells how; whether and where to try
 * again is the caller's business. A stream that goes silent for longer than it may is ended from
 * here.
 */
#ifndef WEFT_CMD_STREAM_H
#define WEFT_CMD_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/str.h>
#include <weft/wire/sse.h>

#include "servers.h"

enum stream_end {
    STREAM_UNREACHABLE, /* no connection */
    STREAM_CUT,         /* it was cut, closed or fell silent; or the server said 429 or 5xx */
    STREAM_REFUSED,     /* the server will not serve this request, said on stderr */
    STREAM_SIGNAL,      /* SIGINT or SIGTERM */
    STREAM_DONE         /* the callback asked for the end */
};

struct stream {
    /* Set by the caller. */
    weft_sse_event_arrived
        *event_arrived;              /* sets `done` to end the stream; not called after that */
    weft_sse_id_arrived *id_arrived; /* the same; an id without an event */
    void *ctx;
    const struct servers *servers; /* borrowed: whose certificates are believed */
    int signal_fd;                 /* readable when a signal came */
    bool done;
    uint64_t silence_ms; /* longest time without a byte; the callback may change it */
    /* Told by the last run. */
    int64_t retry_ms;       /* `retry:` of this stream, -1 if none came */
    int64_t retry_after_ms; /* Retry-After of a refusal, -1 if none */
    char reason[256];       /* of the cut, one sentence */
};

/* url: base address and target. last_id: the cursor, or "". */
enum stream_end stream_run(struct stream *stream, const char *url, const char *last_id);

#endif
