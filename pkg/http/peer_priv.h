/*
 * peer - the client's end of a connection that h2o has handed over: an event stream's, or a WebSocket's.
 *
 * h2o's connection and request are gone then (h2o_http1_upgrade frees them); what is left is a descriptor in the
 * worker's poller and this struct. Nothing is queued: a write that the socket does not take whole leaves its rest
 * (`unsent`: references into shared batches, and a copy of what was the caller's), and nothing may be written until that is
 * gone. Bounded by one write. With TLS the descriptor takes records: what OpenSSL keeps of a write is one of them at most.
 *
 * All of it on the worker's thread; embedded by its user, who owns it.
 */
#ifndef WEFT_HTTP_PEER_PRIV_H
#define WEFT_HTTP_PEER_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker_priv.h"

#define WEFT_PEER_PIECES_MAX 64 /* in one write */

struct weft_unsent;
struct ssl_st;

/* Bytes to write. batch: they lie in it, and a reference is taken if they have to wait; NULL: they are copied then. */
struct weft_piece {
    const char *p;
    size_t len;
    struct weft_batch *batch;
};

struct weft_peer {
    struct weft_worker *worker;
    struct weft_poll poll;
    struct weft_unsent *unsent;
    char *early; /* what it sent behind its request; malloc'd or NULL */
    size_t early_len, early_at;
    uint64_t progress_ms; /* when the socket last took a byte */
    struct ssl_st *ssl;   /* NULL: in the clear */
    bool broken;          /* with TLS: nothing more can be said */
    unsigned records; /* with TLS: that may yet come in the turn of turn_ms without bytes in them */
    uint64_t turn_ms;
    uint64_t sent_bytes;
    bool open;
    /* The socket can be read, or written again after weft_peer_busy(). The peer may be closed in it. */
    void (*ready)(struct weft_peer *peer, bool readable, bool writable);
};

/*
 * Takes sock over, in h2o_http1_upgrade's callback; reqsize as there. The connection counts on until weft_peer_close().
 * peer is zeroed before, but for ready. False: it cannot be, and sock is closed.
 */
bool weft_peer_open(struct weft_peer *peer, struct weft_worker *worker, h2o_socket_t *sock,
                    size_t reqsize) WEFT_ON_WORKER;
/* Safe on one that is not open. */
void weft_peer_close(struct weft_peer *peer) WEFT_ON_WORKER;

/* Is there something that the socket has not taken yet? Then nothing may be written. */
static inline bool weft_peer_busy(const struct weft_peer *peer)
{
    return peer->unsent != NULL;
}

/* At most WEFT_PEER_PIECES_MAX. False: the connection is broken. */
bool weft_peer_write(struct weft_peer *peer, const struct weft_piece *pieces, size_t n)
    WEFT_ON_WORKER;
/* Writes on where the last write stopped; when ready says writable. False: broken. */
bool weft_peer_write_on(struct weft_peer *peer) WEFT_ON_WORKER;
/* Nothing more will be written; reading goes on. The peer must not be busy. */
void weft_peer_finish(struct weft_peer *peer) WEFT_ON_WORKER;
/*
 * Bytes of what the peer has sent; 0: none now; -1: it has gone. To be asked until it says 0: ready is not called again for
 * what was there already.
 */
ssize_t weft_peer_read(struct weft_peer *peer, char *out, size_t size) WEFT_ON_WORKER;

size_t weft_peer_unsent_bytes(const struct weft_peer *peer);
/* Bytes that the kernel holds unacknowledged. */
int weft_peer_kernel_bytes(const struct weft_peer *peer);
/* address:port, or "". */
void weft_peer_name(const struct weft_peer *peer, char *out, size_t size);

#endif
