/*
 * sse_priv - what the files of an event stream share. All of it on the worker's thread.
 *
 *   sse.c        a stream's life: beginning, turns, ticks, end
 *   sse_write.c  events and control events as bytes for the peer (peer_priv.h)
 *   sse_tell.c   control events
 *   sse_asked.c  what is wanted of it by name (streams_priv.h)
 */
#ifndef WEFT_HTTP_SSE_PRIV_H
#define WEFT_HTTP_SSE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "peer_priv.h"
#include "worker_priv.h"

#define WEFT_STREAM_RUNS_MAX WEFT_PEER_PIECES_MAX /* in one write */

struct weft_stream {
    struct weft_receiver rx;
    struct weft_peer peer; /* open once the head is out */
    uint64_t began_ms;
    struct weft_handle handle;
    struct weft_id sent; /* highest id that the client was given, be it without an event */
    uint64_t end_ms;     /* when its life is over; 0: never */
    const char *moving;  /* NULL, or why the client is told to go on elsewhere */
    struct weft_kept kept;
    const char *why;  /* it ends, for the access log; NULL: the client left */
    uint64_t events;  /* that it was given */
    const char *over; /* NULL, or what became of its token: `expired`, `revoked` */
    struct weft_standing standing;
    const char *closing; /* NULL, or the reason of its weft.closed: `closed`, `too_many_topics` */
    uint32_t retry_ms;   /* ... and after how long it may come back; 0: as after any other cut */
    uint32_t client_bytes;
    bool chunked;
    bool named;
    bool ended; /* nothing follows what was written, or is unsent */
    bool told_degraded;
    bool tell_degraded, tell_recovered;
    bool tell_expiring, tell_renewed;
    bool open_told; /* weft.open: what comes again is weft.topics */
    bool floats;    /* the client has no id yet: it began in the past, and had no event */
    bool tell_id;   /* events came late: the client's last id is not the highest */
    size_t head_len;
    char head[160]; /* first bytes of the body, sent with the head */
};

/*
 * ---- sse_write.c ----
 * Everything that returns a bool: false means that the socket is broken, and the stream is to be
 * destroyed. Nothing may be written while the peer is busy.
 */

/* What stands in the worker's scratch buffer, as one chunk where the stream has chunks; and the last one. */
bool weft_stream_write_scratch(struct weft_stream *st) WEFT_ON_WORKER;
bool weft_stream_write_control(struct weft_stream *st, struct weft_str type, struct weft_str id,
                               const struct weft_buf *data) WEFT_ON_WORKER;
/* At most WEFT_STREAM_RUNS_MAX. */
bool weft_stream_write_runs(struct weft_stream *st, const struct weft_run *runs, size_t n)
    WEFT_ON_WORKER;

/* ---- sse_tell.c: the same bools ---- */
bool weft_stream_tell_open(struct weft_stream *st) WEFT_ON_WORKER;
/* The gaps of the page that the subscriber holds. */
bool weft_stream_tell_gaps(struct weft_stream *st) WEFT_ON_WORKER;
/* Redis has gone, or is back. */
bool weft_stream_tell_redis(struct weft_stream *st) WEFT_ON_WORKER;
/*
 * It is slow, and its policy is to end: the client goes on with this event's id; or somebody closes it, or it follows too
 * much. The last thing written.
 */
bool weft_stream_tell_closed(struct weft_stream *st, const char *reason) WEFT_ON_WORKER;
/* It has another token. */
bool weft_stream_tell_renewed(struct weft_stream *st) WEFT_ON_WORKER;
/* Its token ends soon. */
bool weft_stream_tell_expiring(struct weft_stream *st) WEFT_ON_WORKER;
/* Its token is no longer good (st->over). The last thing written. */
bool weft_stream_tell_expired(struct weft_stream *st) WEFT_ON_WORKER;
/* The client is to go on elsewhere (st->moving). The last thing written. */
bool weft_stream_tell_moved(struct weft_stream *st) WEFT_ON_WORKER;
/*
 * After late events (fanout.h), an event of nothing but an id: by the standard it only sets the last
 * event id, with which the client then resumes.
 */
bool weft_stream_tell_id(struct weft_stream *st) WEFT_ON_WORKER;
/* The same with the subscriber's cursor: where it stands is known, or it has passed events that are not for the client. */
bool weft_stream_tell_cursor(struct weft_stream *st) WEFT_ON_WORKER;

/* ---- sse_asked.c ---- */
extern const struct weft_handle_ops weft_stream_handle_ops;

/* ---- sse.c ---- */
/* Its end, from wherever it is seen. */
void weft_stream_destroy(struct weft_stream *st) WEFT_ON_WORKER;

#endif
