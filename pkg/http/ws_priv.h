/*
 * ws_priv - what the files of a WebSocket share. All of it on the worker's thread.
 *
 *   ws.c          a socket's life: turns, ticks, moves, end
 *   ws_open.c     the handshake
 *   ws_read.c     bytes of the client, as messages; the limits on them
 *   ws_ops.c      what the client asks for
 *   ws_publish.c  ... of it publishing
 *   ws_sub.c      one subscription of it
 *   ws_write.c    events to the socket
 *   ws_tell.c     control messages and answers
 *   ws_auth.c     who it is, and what that may do
 *   ws_asked.c    what is wanted of a subscription by its name (streams_priv.h)
 *
 * Nothing is done to a socket where it is called from, be it a page that arrives, a tick, or the fanout walking its
 * subscribers: they only note what has become of it and queue it (weft_ws_queue), and at the end of the worker's turn
 * it has its own, in which it may also end. So a socket of several subscriptions can be walked over while it ends.
 */
#ifndef WEFT_HTTP_WS_PRIV_H
#define WEFT_HTTP_WS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/wire/ws.h>

#include "edge_priv.h"
#include "peer_priv.h"
#include "worker_priv.h"

#define WEFT_WS_NAME_MAX    64 /* of a subscription, of a request */
#define WEFT_WS_PROTOCOL_V1 "weft.v1"

struct weft_ws_publish;
struct weft_ws_sub;

enum weft_ws_state {
    WEFT_WS_OPENING, /* h2o writes the head */
    WEFT_WS_OPEN,
    WEFT_WS_CLOSING, /* the close frame is written, or waits for the socket; nothing follows it */
    WEFT_WS_LINGERS  /* it is out; the client closes, or is cut */
};

struct weft_ws {
    struct weft_peer peer;
    struct weft_worker *worker;
    struct weft_waiting waiting;           /* for ticks */
    struct weft_ws *prev, *next;           /* all of the worker */
    struct weft_ws *turn_prev, *turn_next; /* those that have something to do */

    /* ws_sub.c */
    struct weft_ws_sub *subs; /* utlist DL */
    struct weft_ws_sub
        *ready; /* utlist DL: they may have something; the next one to be served first */
    uint32_t n_subs;

    /* ws_read.c */
    struct weft_ws_reader in;
    char *rest; /* read, and not looked at yet; malloc'd or NULL */
    size_t rest_at, rest_len;
    char *held; /* a message that waits for `asking`; malloc'd or NULL */
    size_t held_len;
    char *bucket;               /* whose tokens its messages take; NULL: there is no limit */
    struct weft_waiting asking; /* ... while control is asked for one */
    char *asked_of;   /* ... of this bucket, whatever token comes meanwhile; malloc'd or NULL */
    uint32_t limited; /* messages refused for want of one, in a row */

    /* ws_publish.c */
    struct weft_ws_publish *publishes; /* utlist DL */
    uint32_t n_publishes;
    size_t promised; /* bytes that their answers may have, at most */

    struct weft_buf out; /* frames that wait: answers, control messages; freed when they are out */

    uint64_t began_ms;
    uint64_t heard_ms;     /* when the client last sent a byte */
    uint64_t pinged_ms;    /* when it was asked whether it is there; 0: it has been heard since */
    uint64_t partial_ms;   /* since when a message has been coming; 0: none is */
    uint64_t end_ms;       /* when its life is over; 0: never */
    uint64_t cut_ms;       /* LINGERS: when it is cut */
    struct weft_kept kept; /* where it is counted, its lines of the access log */
    struct weft_standing standing; /* its token */
    uint64_t events;               /* that it was given */
    const char *why;               /* NULL, or why it is closed */
    uint64_t auth_until_ms;        /* by when it has to say who it is; 0: it need not */
    const char *moving;            /* NULL, or why the client is told to go on elsewhere */
    uint8_t state;                 /* enum weft_ws_state */
    bool queued : 1;
    bool readable : 1; /* the socket, since it was last read empty */
    bool writable : 1; /* ... or has said so since it was last written to */
    bool is_asking : 1;
    bool said_close : 1; /* the client did, first or in answer */
    bool told_moved : 1;
    bool tell_renewed : 1; /* it has another token */
    bool tell_expiring : 1;
    bool told_degraded : 1;
    bool was_busy : 1; /* its subscriptions know that it could not write */
};

struct weft_ws_sub {
    struct weft_receiver rx;
    struct weft_ws *ws;
    struct weft_ws_sub *prev, *next;
    struct weft_ws_sub *ready_prev, *ready_next;
    struct weft_handle handle;
    uint64_t began_ms;
    uint64_t given_ms;   /* when it last got an event or a cursor */
    struct weft_id sent; /* highest id that the client was given, be it without an event */
    bool is_ready : 1;
    bool floats : 1;      /* the client has no id yet: it began in the past, and had no event */
    bool open_told : 1;   /* weft.open: what comes again is weft.topics */
    bool is_closed : 1;   /* somebody wants its end */
    bool tell_cursor : 1; /* the client's last id is not where it stands: weft.cursor says that */
    bool too_many : 1;    /* a pattern matches more topics than one read may have: it ends */
    uint8_t name_len;     /* 0: the default one */
    char name[WEFT_WS_NAME_MAX];
};

static inline struct weft_str weft_ws_sub_name(const struct weft_ws_sub *sub)
{
    return weft_str(sub->name, sub->name_len);
}

/* ---- ws.c ---- */
/* A new one, OPENING, with nothing but memory. NULL: there is none. */
struct weft_ws *weft_ws_create(struct weft_worker *worker) WEFT_ON_WORKER;
/* h2o has written the head. sock NULL: it could not. */
void weft_ws_head_sent(void *ctx, h2o_socket_t *sock, size_t reqsize);
/* Frees what was never opened. */
void weft_ws_discard(struct weft_ws *ws) WEFT_ON_WORKER;
/* It has its turn at the end of the worker's. */
void weft_ws_queue(struct weft_ws *ws) WEFT_ON_WORKER;
/* Subscriptions and requests end, what is in `out` and then the close frame are written. why: static. */
void weft_ws_close(struct weft_ws *ws, unsigned code, const char *why) WEFT_ON_WORKER;
/* Its token is no longer good: weft.expired, and the end. */
void weft_ws_end_expired(struct weft_ws *ws, const char *reason) WEFT_ON_WORKER;
/* The client is to go on elsewhere, as soon as it has got what was begun. */
void weft_ws_move(struct weft_ws *ws, const char *reason) WEFT_ON_WORKER;

/* ---- ws_read.c ---- */
/* Reads once, and does what it says. False: the client has gone. */
bool weft_ws_read_once(struct weft_ws *ws) WEFT_ON_WORKER;
/* There may be something to read, and nothing against it. */
bool weft_ws_wants_input(const struct weft_ws *ws);
void weft_ws_read_fini(struct weft_ws *ws) WEFT_ON_WORKER;

/* ---- ws_ops.c ---- */
/* What is known of an operation while it is done. Texts live until its end. */
struct weft_ws_op {
    struct weft_ws *ws;
    struct weft_json object;
    struct weft_str request; /* p NULL: it has none */
};
void weft_ws_do(struct weft_ws *ws, struct weft_str message) WEFT_ON_WORKER;

/* ---- ws_publish.c ---- */
void weft_ws_publish(struct weft_ws_op *op) WEFT_ON_WORKER;
/* Nobody waits for the answers any more. */
void weft_ws_publishes_drop(struct weft_ws *ws) WEFT_ON_WORKER;

/* ---- ws_sub.c ---- */
struct weft_ws_sub *weft_ws_sub_find(const struct weft_ws *ws, struct weft_str name);
/* WEFT_ENOMEM. name: at most WEFT_WS_NAME_MAX. */
int weft_ws_sub_begin(struct weft_ws *ws, struct weft_str name, const struct weft_sub_opts *opts)
    WEFT_ON_WORKER WEFT_MUST_CHECK;
void weft_ws_sub_end(struct weft_ws_sub *sub) WEFT_ON_WORKER;
/* Writes a part of what it has, if it has anything. False: broken. */
bool weft_ws_sub_serve(struct weft_ws_sub *sub) WEFT_ON_WORKER;

/* ---- ws_write.c: false means broken; nothing may be written while the peer is busy ---- */
bool weft_ws_write_runs(struct weft_ws_sub *sub, const struct weft_run *runs, size_t n)
    WEFT_ON_WORKER;
/* What is in `out`. */
bool weft_ws_write_out(struct weft_ws *ws) WEFT_ON_WORKER;

/* ---- ws_tell.c: all into `out` ---- */
/* Or weft.topics, when it has others. */
void weft_ws_tell_open(struct weft_ws_sub *sub) WEFT_ON_WORKER;
void weft_ws_tell_renewed(struct weft_ws *ws) WEFT_ON_WORKER;
void weft_ws_tell_expiring(struct weft_ws *ws) WEFT_ON_WORKER;
void weft_ws_tell_expired(struct weft_ws *ws, const char *reason) WEFT_ON_WORKER;
void weft_ws_tell_gaps(struct weft_ws_sub *sub) WEFT_ON_WORKER;
void weft_ws_tell_cursor(struct weft_ws_sub *sub) WEFT_ON_WORKER;
void weft_ws_tell_closed(struct weft_ws_sub *sub, const char *reason) WEFT_ON_WORKER;
void weft_ws_tell_redis(struct weft_ws *ws, bool up) WEFT_ON_WORKER;
void weft_ws_tell_moved(struct weft_ws *ws) WEFT_ON_WORKER;

/*
 * An answer: begin gives the buffer with `{"type":…,"request":…` in it, to be added to; end closes and sends it.
 */
struct weft_buf *weft_ws_answer(struct weft_ws *ws, const char *type, struct weft_str request)
    WEFT_ON_WORKER;
void weft_ws_answer_end(struct weft_ws *ws) WEFT_ON_WORKER;
/* weft.error. field may be "". */
void weft_ws_refuse(struct weft_ws_op *op, const char *code, const char *field, const char *fmt,
                    ...) WEFT_ON_WORKER __attribute__((format(printf, 4, 5)));
/* The same, to be added to before weft_ws_answer_end(). */
struct weft_buf *weft_ws_error(struct weft_ws *ws, struct weft_str request, const char *code,
                               const char *field, const char *message) WEFT_ON_WORKER;

/* ---- ws_asked.c ---- */
extern const struct weft_handle_ops weft_ws_handle_ops;

/* ---- ws_auth.c ---- */
/*
 * Takes the caller at the upgrade: by the call, or by the token of an offered subprotocol (p NULL: there was none). False:
 * it was answered.
 */
bool weft_ws_caller_take(struct weft_ws *ws, struct weft_call *call, struct weft_str token)
    WEFT_ON_WORKER;
void weft_ws_caller_fini(struct weft_ws *ws) WEFT_ON_WORKER;
/* If not, answers and returns false. */
bool weft_ws_may_subscribe(struct weft_ws_op *op, struct weft_str pattern) WEFT_ON_WORKER;
bool weft_ws_may_publish(struct weft_ws_op *op, const struct weft_publish_msg *m, bool is_list)
    WEFT_ON_WORKER;
/* Another token with this grant, unless it does not allow a topic that is followed: result says so, false. */
bool weft_ws_take_grant(struct weft_ws *ws, struct weft_grant *grant,
                        struct weft_stream_result *result) WEFT_ON_WORKER;
/* At each tick and recheck: tells that it ends soon, or ends the socket. */
void weft_ws_look_at_token(struct weft_ws *ws) WEFT_ON_WORKER;
/* Another token, from now on. */
void weft_ws_auth(struct weft_ws_op *op, struct weft_str token) WEFT_ON_WORKER;

#endif
