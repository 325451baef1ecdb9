/*
 * conn_priv - a connection while h2o has it: from accept to its end, or until a stream takes its socket over.
 *
 *   accept.c     its beginning and end
 *   handshake.c  TLS, before h2o reads requests
 *   stall.c      answers that are not taken
 *   linger.c     requests that are answered before they have come
 */
#ifndef WEFT_HTTP_CONN_PRIV_H
#define WEFT_HTTP_CONN_PRIV_H

#include "edge_priv.h"
#include "worker_priv.h"

struct ssl_st;
struct weft_tls;

/* sock->on_close.data. */
struct weft_conn {
    struct weft_conn *prev, *next;
    struct weft_worker *worker;
    h2o_socket_t *sock;           /* NULL: it lingers */
    struct weft_watcher *watcher; /* NULL: nobody minds that the peer leaves */
    struct weft_door door;
    struct ssl_st *ssl;       /* borrowed of sock, once the handshake is over; NULL: in the clear */
    struct weft_tls *tls;     /* a reference, while the handshake is under way */
    h2o_timeout_entry_t late; /* linked meanwhile */
    uint64_t took_bytes;      /* of what was written, when it was last looked at */
    uint64_t took_ms;         /* since when no more was taken; 0: nothing is being written */
    uint32_t rekeys;          /* how often the client has changed its keys */
    int linger_fd;            /* of the same socket, for after h2o; -1: it is not to linger */
    uint64_t linger_until_ms, lingered_bytes;
    uint8_t alert; /* why TLS refused the client's first words; 0: it did not say */
};

static inline struct weft_conn *weft_conn_of(h2o_socket_t *sock)
{
    return sock->on_close.data;
}

/* ---- accept.c ---- */
/* It is in no list any more. */
void weft_conn_free(struct weft_conn *conn) WEFT_ON_WORKER;

/* ---- linger.c ---- */
/* h2o has closed its socket. False: it does not linger. */
bool weft_linger_begin(struct weft_conn *conn) WEFT_ON_WORKER;
/* They end at the next tick. */
void weft_linger_shut(struct weft_worker *worker) WEFT_ON_WORKER;

/* ---- handshake.c ---- */
/* The connection goes on to h2o, or is closed. */
void weft_handshake_begin(struct weft_conn *conn) WEFT_ON_WORKER;
/* conn is about to go; it may have had no handshake. */
void weft_handshake_forget(struct weft_conn *conn) WEFT_ON_WORKER;

#endif
