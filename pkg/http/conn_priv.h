/*
 * conn_priv - a connection while h2o has it: from accept to its end, or until a stream takes its socket over.
 *
 *   accept.c     its beginning and end
 *   handshake.c  TLS, before h2o reads requests
 *   stall.c      answers that are not taken
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
    h2o_socket_t *sock;
    struct weft_watcher *watcher; /* NULL: nobody minds that the peer leaves */
    struct weft_door door;
    struct ssl_st *ssl;       /* borrowed of sock, once the handshake is over; NULL: in the clear */
    struct weft_tls *tls;     /* a reference, while the handshake is under way */
    h2o_timeout_entry_t late; /* linked meanwhile */
    uint64_t took_bytes;      /* of what was written, when it was last looked at */
    uint64_t took_ms;         /* since when no more was taken; 0: nothing is being written */
    uint32_t rekeys;          /* how often the client has changed its keys */
    uint8_t alert;            /* why TLS refused the client's first words; 0: it did not say */
};

static inline struct weft_conn *weft_conn_of(h2o_socket_t *sock)
{
    return sock->on_close.data;
}

/* ---- handshake.c ---- */
/* The connection goes on to h2o, or is closed. */
void weft_handshake_begin(struct weft_conn *conn) WEFT_ON_WORKER;
/* conn is about to go; it may have had no handshake. */
void weft_handshake_forget(struct weft_conn *conn) WEFT_ON_WORKER;

#endif
