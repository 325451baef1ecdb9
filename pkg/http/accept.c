#include "conn_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include <weft/base/clock.h>
#include <weft/loop/tally.h>
#include <weft/tls/server.h>

/*
 * The listener. Over the node's cap a connection gets a 503 and is closed, over its address's a 429 (with TLS there are no
 * words that it would understand: it is only closed).
 * When descriptors run out, accepting pauses for a while, since an epoll that reports a connection nobody
 * can take would spin; and when too many come in a second, who then wait in the kernel's backlog.
 */

#define ACCEPTS_PER_TURN 16
#define PAUSE_MS         100

void weft_conn_free(struct weft_conn *conn)
{
    struct weft_worker *worker = conn->worker;

    if (conn->linger_fd >= 0) {
        (void)close(conn->linger_fd);
    }
    weft_tally_leave(worker->o.edge->tally, conn->door.address);
    free(conn);
    weft_connection_gone(worker);
}

static void closed(void *ctx)
{
    struct weft_conn *conn = ctx;
    struct weft_worker *worker = conn->worker;

    weft_role_assert_worker(worker->owner);
    DL_DELETE(worker->conns, conn);
    weft_handshake_forget(conn);
    if (!weft_linger_begin(conn)) {
        weft_conn_free(conn);
    }
}

struct weft_door *weft_door_of(h2o_req_t *req)
{
    return &weft_conn_of(req->conn->callbacks->get_socket(req->conn))->door;
}

void weft_connections_shut(struct weft_worker *worker)
{
    struct weft_conn *conn;

    DL_FOREACH(worker->conns, conn) {
        (void)shutdown(h2o_socket_get_fd(conn->sock), SHUT_RDWR);
    }
    weft_linger_shut(worker);
}

/* With TLS there may be its goodbye before it. */
static bool has_left(const struct weft_conn *conn)
{
    struct pollfd fd = {.fd = h2o_socket_get_fd(conn->sock), .events = POLLRDHUP};
    char byte;

    if (conn->ssl == NULL) {
        return recv(fd.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    }
    return poll(&fd, 1, 0) == 1;
}

/* Bytes behind the request, which h2o looks at when it is answered, or the end of the connection. */
static void peer_talks(h2o_socket_t *sock, const char *err)
{
    struct weft_conn *conn = weft_conn_of(sock);

    weft_role_assert_worker(conn->worker->owner);
    h2o_socket_read_stop(sock);
    if (conn->watcher != NULL && (err != NULL || has_left(conn))) {
        conn->watcher->gone(conn->watcher);
    }
}

void weft_watch(h2o_req_t *req, struct weft_watcher *watcher)
{
    h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
    struct weft_conn *conn = weft_conn_of(sock);

    conn->watcher = watcher;
    h2o_socket_dont_read(sock, 1);
    h2o_socket_read_start(sock, peer_talks);
}

bool weft_watch_again(h2o_req_t *req)
{
    const struct weft_conn *conn = weft_conn_of(req->conn->callbacks->get_socket(req->conn));

    return conn->ssl != NULL && has_left(conn);
}

void weft_unwatch(h2o_req_t *req)
{
    weft_conn_of(req->conn->callbacks->get_socket(req->conn))->watcher = NULL;
}

void weft_watch_over(h2o_req_t *req)
{
    h2o_socket_dont_read(req->conn->callbacks->get_socket(req->conn), 0);
}

void weft_connection_kept(struct weft_worker *worker)
{
    (void)atomic_fetch_add_explicit(worker->o.connections, 1, memory_order_relaxed);
    worker->connections++;
    weft_gauge_add(worker->o.shard, WEFT_G_CONNECTIONS, 1);
}

void weft_connection_gone(struct weft_worker *worker)
{
    (void)atomic_fetch_sub_explicit(worker->o.connections, 1, memory_order_relaxed);
    worker->connections--;
    weft_gauge_add(worker->o.shard, WEFT_G_CONNECTIONS, -1);
}

static void refuse(const struct weft_worker *worker, h2o_socket_t *sock, const char *status)
    WEFT_ON_WORKER
{
    char answer[160];
    int n = snprintf(answer, sizeof(answer),
                     "HTTP/1.1 %s\r\nRetry-After: 5\r\nConnection: close\r\n"
                     "Content-Length: 0\r\n\r\n",
                     status);

    if (worker->tls == NULL) {
        (void)send(h2o_socket_get_fd(sock), answer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    h2o_socket_close(sock);
}

/* False: it was refused. *ret_address: where it is counted, or NULL. */
static bool let_in(struct weft_worker *worker, h2o_socket_t *sock,
                   struct weft_tally_name **ret_address) WEFT_ON_WORKER
{
    const struct weft_config *cfg = worker->o.cfg;
    struct weft_edge *edge = worker->o.edge;
    uint32_t max = cfg->limits.api_proxies == 0 ? cfg->limits.connections_per_address : 0;
    char address[WEFT_ADDRESS_MAX + 8];
    bool shared = false;

    *ret_address = NULL;
    if (atomic_load_explicit(worker->o.connections, memory_order_relaxed) >=
        edge->max_connections) {
        weft_count(worker->o.shard, WEFT_M_CONNECTIONS_REFUSED, 1);
        weft_count(worker->o.shard, WEFT_M_REFUSED_CONNECTIONS, 1);
        refuse(worker, sock, "503 Service Unavailable");
        return false;
    }
    if (max > 0) {
        memcpy(address, "address ", 8);
        if (weft_address_of_peer(sock, address + 8)) {
            *ret_address =
                weft_tally_enter(edge->tally, weft_str(address, strlen(address)), max, &shared);
            if (shared) {
                weft_count(worker->o.shard, WEFT_M_TALLY_FULL, 1);
            }
            if (*ret_address == NULL) {
                weft_count(worker->o.shard, WEFT_M_REFUSED_ADDRESS, 1);
                refuse(worker, sock, "429 Too Many Requests");
                return false;
            }
        }
    } else if (edge->access != NULL) {
        char name[WEFT_PEER_NAME_MAX];

        weft_address_name_peer(
            sock, name); /* the socket remembers it: later it may not be told any more */
    }
    return true;
}

static void pause_for(struct weft_worker *worker, uint64_t ms) WEFT_ON_WORKER
{
    h2o_socket_read_stop(worker->listener);
    worker->accept_paused = true;
    worker->accept_resume_ms = worker->now_ms + ms;
}

/* May one more be taken now? At the end whoever waits is: there is no later. */
static bool may_take(struct weft_worker *worker) WEFT_ON_WORKER
{
    uint32_t per_s = worker->o.cfg->limits.accepts_per_s;
    uint64_t wait_ns;

    if (per_s == 0 || worker->stopping ||
        weft_gate_pass(&worker->o.edge->accepts, per_s, weft_clock_mono_ns(), &wait_ns)) {
        return true;
    }
    weft_count(worker->o.shard, WEFT_M_ACCEPT_SLOWED, 1);
    pause_for(worker, wait_ns / 1000000);
    return false;
}

/* Nobody came. */
static void not_taken(struct weft_worker *worker) WEFT_ON_WORKER
{
    if (worker->o.cfg->limits.accepts_per_s > 0 && !worker->stopping) {
        weft_gate_return(&worker->o.edge->accepts, worker->o.cfg->limits.accepts_per_s);
    }
}

/* A renewed certificate is there for who comes from now on. */
static void take_tls(struct weft_worker *worker) WEFT_ON_WORKER
{
    struct weft_tls *tls;

    if (atomic_load_explicit(&worker->next_tls, memory_order_relaxed) != NULL) {
        tls = atomic_exchange_explicit(&worker->next_tls, NULL, memory_order_acquire);
        if (tls != NULL) {
            weft_tls_unref(worker->tls);
            worker->tls = tls;
        }
    }
}

static void arrived(h2o_socket_t *listener, const char *err)
{
    struct weft_worker *worker = listener->data;

    weft_role_assert_worker(worker->owner);
    if (err != NULL) {
        return;
    }
    take_tls(worker);
    for (int i = 0; i < ACCEPTS_PER_TURN && may_take(worker); i++) {
        h2o_socket_t *sock = h2o_evloop_socket_accept(listener);
        struct weft_tally_name *address;

        if (sock == NULL) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                weft_count(worker->o.shard, WEFT_M_ACCEPT_PAUSES, 1);
                pause_for(worker, PAUSE_MS);
            }
            not_taken(worker);
            return;
        }
        weft_count(worker->o.shard, WEFT_M_CONNECTIONS_ACCEPTED, 1);
        if (!let_in(worker, sock, &address)) {
            continue;
        }
        struct weft_conn *conn = calloc(1, sizeof(*conn));
        WEFT_ASSERT(conn != NULL);
        conn->door.address = address;
        conn->worker = worker;
        conn->sock = sock;
        conn->linger_fd = -1;
        DL_APPEND(worker->conns, conn);
        weft_connection_kept(worker);
        sock->on_close.cb = closed;
        sock->on_close.data = conn;
        if (worker->tls != NULL) {
            weft_handshake_begin(conn);
        } else {
            h2o_accept(&worker->accept_ctx, sock);
        }
    }
}

void weft_accept_start(struct weft_worker *worker)
{
    worker->listener = h2o_evloop_socket_create(worker->ctx.h2o.loop, worker->o.listen_fd,
                                                H2O_SOCKET_FLAG_DONT_READ);
    worker->listener->data = worker;
    h2o_socket_read_start(worker->listener, arrived);
}

void weft_accept_tick(struct weft_worker *worker)
{
    take_tls(worker);
    if (worker->accept_paused && worker->now_ms >= worker->accept_resume_ms &&
        worker->listener != NULL) {
        worker->accept_paused = false;
        h2o_socket_read_start(worker->listener, arrived);
    }
}

void weft_accept_stop(struct weft_worker *worker)
{
    if (worker->listener != NULL) {
        /* Whom the kernel has connected already would get a reset, and not know what became of his request. */
        arrived(worker->listener, NULL);
        h2o_socket_read_stop(worker->listener);
        h2o_socket_close(worker->listener);
        worker->listener = NULL;
    }
}
