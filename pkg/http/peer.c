#include "peer_priv.h"

#include "conn_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/tls/session.h>
#include <weft/wire/frame.h>

/* Records of TLS's own, each of them some 10 us, that a peer may have one turn of the worker read. */
#define RECORDS_PER_TURN 64
#define EARLY_MAX        ((size_t)64 * 1024) /* that may come behind a request, before its answer */

/* The rest of a write that the socket did not take. */
struct weft_unsent {
    size_t n, at;
    char *own;                  /* bytes that no batch holds; malloc'd or NULL */
    struct weft_piece pieces[]; /* with a reference, or inside own */
};

/* ---- life ---- */

static void tune(const struct weft_worker *worker, int fd)
{
    int lowat = (int)worker->o.cfg->http.sndbuf_lowat_bytes;
    /* Only for peers that are gone without a word; one that stalls is ours to cut, and to count. */
    unsigned timeout = worker->o.cfg->http.write_stall_ms + 5000;
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

/* False: too much. h2o reads whatever there is, and it might lie here for as long as the stream lives. */
static bool keep_early(struct weft_peer *peer, const h2o_buffer_t *input, size_t reqsize)
{
    if (input->size <= reqsize) {
        return true;
    }
    if (input->size - reqsize > EARLY_MAX) {
        return false;
    }
    peer->early_len = input->size - reqsize;
    peer->early = malloc(peer->early_len);
    WEFT_ASSERT(peer->early != NULL);
    memcpy(peer->early, input->bytes + reqsize, peer->early_len);
    return true;
}

static void free_early(struct weft_peer *peer)
{
    free(peer->early);
    peer->early = NULL;
    peer->early_len = peer->early_at = 0;
}

static void socket_ready(struct weft_poll *poll, bool readable, bool writable)
{
    struct weft_peer *peer = WEFT_CONTAINER_OF(poll, struct weft_peer, poll);

    peer->ready(peer, readable, writable);
}

/*
 * Of h2o's socket only the descriptor is kept, and the session on it. h2o gives its own things back together with the
 * descriptor, hence the second one.
 */
static bool take_session(struct weft_peer *peer, h2o_socket_export_t *bare, struct ssl_st *ssl)
{
    int fd = fcntl(bare->fd, F_DUPFD_CLOEXEC, 0);
    bool ok = fd >= 0 && weft_tls_session_begin(ssl, fd);

    if (ok) {
        peer->ssl = ssl;
        peer->poll.fd = fd;
    } else if (fd >= 0) {
        (void)close(fd);
    }
    h2o_socket_dispose_export(bare);
    return ok;
}

bool weft_peer_open(struct weft_peer *peer, struct weft_worker *worker, h2o_socket_t *sock,
                    size_t reqsize)
{
    struct ssl_st *ssl = weft_conn_of(sock)->ssl;
    h2o_socket_export_t bare;

    peer->worker = worker;
    if (h2o_socket_export(sock, &bare) != 0) {
        return false;
    }
    if (!keep_early(peer, bare.input, reqsize)) {
        h2o_socket_dispose_export(&bare);
        return false;
    }
    if (ssl == NULL) {
        h2o_buffer_dispose(&bare.input);
        peer->poll.fd = bare.fd;
    } else if (!take_session(peer, &bare, ssl)) {
        free_early(peer);
        return false;
    }
    peer->poll.ready = socket_ready;
    peer->progress_ms = worker->now_ms;
    peer->open = true;
    weft_connection_kept(worker);
    tune(worker, peer->poll.fd);
    if (weft_poller_add(worker->poller, &peer->poll) != 0) {
        weft_peer_close(peer);
        return false;
    }
    return true;
}

static void free_unsent(struct weft_peer *peer)
{
    struct weft_unsent *u = peer->unsent;

    if (u == NULL) {
        return;
    }
    for (size_t i = u->at; i < u->n; i++) {
        weft_batch_unref(u->pieces[i].batch);
    }
    free(u->own);
    free(u);
    peer->unsent = NULL;
}

void weft_peer_close(struct weft_peer *peer)
{
    if (!peer->open) {
        return;
    }
    peer->open = false;
    weft_poller_remove(peer->worker->poller, &peer->poll);
    if (peer->ssl != NULL) {
        weft_tls_session_end(peer->ssl, peer->broken);
        peer->ssl = NULL;
    }
    (void)close(peer->poll.fd);
    weft_connection_gone(peer->worker);
    free_unsent(peer);
    free_early(peer);
}

/* ---- writing ---- */

/* -1: broken. *ret_moved: something went to the socket, if only a part of a record of which nothing counts as taken yet. */
static ssize_t push_records(struct weft_peer *peer, const struct iovec *iov, size_t n,
                            bool *ret_moved)
{
    size_t wire;
    ssize_t sent = weft_tls_session_write(peer->ssl, iov, n, &wire);

    peer->broken = peer->broken || sent < 0;
    *ret_moved = wire > 0;
    return sent;
}

/* The same, in the clear. */
static ssize_t push_bytes(struct weft_peer *peer, struct iovec *iov, size_t n, bool *ret_moved)
{
    struct msghdr mh = {.msg_iov = iov, .msg_iovlen = n};
    ssize_t sent =
        n == 1 ? send(peer->poll.fd, iov[0].iov_base, iov[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL)
               : sendmsg(peer->poll.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        sent = 0;
    }
    *ret_moved = sent > 0;
    return sent;
}

/* Bytes taken by the socket, 0 if none now, or -1: it is broken. */
static ssize_t push(struct weft_peer *peer, struct iovec *iov, size_t n) WEFT_ON_WORKER
{
    bool moved;
    ssize_t sent =
        peer->ssl != NULL ? push_records(peer, iov, n, &moved) : push_bytes(peer, iov, n, &moved);

    if (moved) {
        peer->progress_ms = peer->worker->now_ms;
    }
    if (sent > 0) {
        peer->sent_bytes += (uint64_t)sent;
        weft_count(peer->worker->o.shard, WEFT_M_DELIVERY_BYTES, (uint64_t)sent);
    }
    return sent < 0 ? -1 : sent;
}

static void point(struct iovec *iov, const struct weft_piece *pieces, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        iov[i].iov_base = (void *)(uintptr_t)pieces[i].p;
        iov[i].iov_len = pieces[i].len;
    }
}

/* What is left of the pieces after `sent` bytes. */
static void keep(struct weft_peer *peer, const struct weft_piece *pieces, size_t n, size_t sent)
{
    size_t own = 0;
    size_t i = 0;

    for (; i < n && sent >= pieces[i].len; i++) {
        sent -= pieces[i].len;
    }
    WEFT_ASSERT(i < n);
    struct weft_unsent *u = calloc(1, sizeof(*u) + (n - i) * sizeof(u->pieces[0]));
    WEFT_ASSERT(u != NULL);
    for (size_t k = i; k < n; k++) {
        struct weft_piece *rest = &u->pieces[u->n++];
        size_t skip = k == i ? sent : 0;

        rest->p = pieces[k].p + skip;
        rest->len = pieces[k].len - skip;
        if (pieces[k].batch != NULL) {
            rest->batch = weft_batch_ref(pieces[k].batch);
        } else {
            own += rest->len;
        }
    }
    if (own > 0) { /* bytes of the caller's */
        char *at = u->own = malloc(own);

        WEFT_ASSERT(at != NULL);
        for (size_t k = 0; k < u->n; k++) {
            if (u->pieces[k].batch == NULL) {
                memcpy(at, u->pieces[k].p, u->pieces[k].len);
                u->pieces[k].p = at;
                at += u->pieces[k].len;
            }
        }
    }
    peer->unsent = u;
}

bool weft_peer_write(struct weft_peer *peer, const struct weft_piece *pieces, size_t n)
{
    struct iovec iov[WEFT_PEER_PIECES_MAX];
    size_t total = 0;
    ssize_t sent;

    WEFT_ASSERT(n <= WEFT_PEER_PIECES_MAX && !weft_peer_busy(peer));
    for (size_t i = 0; i < n; i++) {
        total += pieces[i].len;
    }
    point(iov, pieces, n);
    sent = push(peer, iov, n);
    if (sent < 0) {
        return false;
    }
    if ((size_t)sent < total) {
        keep(peer, pieces, n, (size_t)sent);
    }
    return true;
}

bool weft_peer_write_on(struct weft_peer *peer)
{
    struct weft_unsent *u = peer->unsent;

    while (u != NULL) {
        struct iovec iov[WEFT_PEER_PIECES_MAX];
        ssize_t sent;

        point(iov, u->pieces + u->at, u->n - u->at);
        sent = push(peer, iov, u->n - u->at);
        if (sent <= 0) {
            return sent == 0;
        }
        while (u->at < u->n && (size_t)sent >= u->pieces[u->at].len) {
            sent -= (ssize_t)u->pieces[u->at].len;
            weft_batch_unref(u->pieces[u->at].batch);
            u->at++;
        }
        if (u->at == u->n) {
            free_unsent(peer);
            return true;
        }
        u->pieces[u->at].p += sent;
        u->pieces[u->at].len -= (size_t)sent;
    }
    return true;
}

void weft_peer_finish(struct weft_peer *peer)
{
    WEFT_ASSERT(!weft_peer_busy(peer));
    if (peer->ssl != NULL && !peer->broken) {
        weft_tls_session_finish(peer->ssl);
    }
    (void)shutdown(peer->poll.fd, SHUT_WR);
}

/* ---- reading ---- */

static ssize_t read_records(struct weft_peer *peer, char *out, size_t size) WEFT_ON_WORKER
{
    ssize_t got;

    if (peer->turn_ms != peer->worker->now_ms) {
        peer->turn_ms = peer->worker->now_ms;
        peer->records = RECORDS_PER_TURN;
    }
    got = weft_tls_session_read(peer->ssl, out, size, &peer->records);
    peer->broken = peer->broken || got < 0;
    return got;
}

ssize_t weft_peer_read(struct weft_peer *peer, char *out, size_t size)
{
    size_t n = peer->early_len - peer->early_at;

    if (n > 0) {
        n = n < size ? n : size;
        memcpy(out, peer->early + peer->early_at, n);
        peer->early_at += n;
        if (peer->early_at == peer->early_len) {
            free_early(peer);
        }
        return (ssize_t)n;
    }
    if (peer->ssl != NULL) {
        return read_records(peer, out, size);
    }
    ssize_t got = recv(peer->poll.fd, out, size, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    return got > 0 ? got : -1;
}

/* ---- looking ---- */

size_t weft_peer_unsent_bytes(const struct weft_peer *peer)
{
    const struct weft_unsent *u = peer->unsent;
    size_t bytes = 0;

    for (size_t i = u == NULL ? 0 : u->at; u != NULL && i < u->n; i++) {
        bytes += u->pieces[i].len;
    }
    return bytes;
}

int weft_peer_kernel_bytes(const struct weft_peer *peer)
{
    int bytes = 0;

    (void)ioctl(peer->poll.fd, SIOCOUTQ, &bytes);
    return bytes;
}

void weft_peer_name(const struct weft_peer *peer, char *out, size_t size)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa = {.v6 = {0}};
    socklen_t len = sizeof(sa);
    char host[INET6_ADDRSTRLEN] = "";

    out[0] = '\0';
    if (getpeername(peer->poll.fd, &sa.any, &len) != 0) {
        return;
    }
    if (sa.any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &sa.v4.sin_addr, host, sizeof(host));
        (void)snprintf(out, size, "%s:%u", host, (unsigned)ntohs(sa.v4.sin_port));
    } else if (sa.any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &sa.v6.sin6_addr, host, sizeof(host));
        (void)snprintf(out, size, "[%s]:%u", host, (unsigned)ntohs(sa.v6.sin6_port));
    }
}
