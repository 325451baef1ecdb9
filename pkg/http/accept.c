#include "conn_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <utlist.h>

#include <weft/tls/server.h>

/*
 * The listener. Over the node's cap a connection gets a 503 and is closed; when descriptors run
 * out, accepting pauses for a while, since an epoll that reports a connection nobody can take would
 * spin. (Over the cap, with TLS, there are no words that it would understand: it is only closed.)
 */

#define ACCEPTS_PER_TURN 16
#define PAUSE_MS         100

static void closed(void *ctx)
{
    struct weft_conn *conn = ctx;
    struct weft_worker *worker = conn->worker;

    weft_role_assert_worker(worker->owner);
    DL_DELETE(worker->conns, conn);
    weft_handshake_forget(conn);
    free(conn);
    weft_connection_gone(worker);
}

void weft_connections_shut(struct weft_worker *worker)
{
    struct weft_conn *conn;

    DL_FOREACH(worker->conns, conn) {
        (void)shutdown(h2o_socket_get_fd(conn->sock), SHUT_RDWR);
    }
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
    h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
    struct weft_conn *conn = weft_conn_of(sock);

    conn->watcher = NULL;
    h2o_socket_dont_read(sock, 0);
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

static void refuse(struct weft_worker *worker, h2o_socket_t *sock) WEFT_ON_WORKER
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
                                 "Connection: close\r\nContent-Length: 0\r\n\r\n";

    weft_count(worker->o.shard, WEFT_M_CONNECTIONS_REFUSED, 1);
    if (worker->tls == NULL) {
        (void)send(h2o_socket_get_fd(sock), answer, sizeof(answer) - 1,
                   MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    h2o_socket_close(sock);
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
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        h2o_socket_t *sock = h2o_evloop_socket_accept(listener);

        if (sock == NULL) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                weft_count(worker->o.shard, WEFT_M_ACCEPT_PAUSES, 1);
                h2o_socket_read_stop(listener);
                worker->accept_paused = true;
                worker->accept_resume_ms = worker->now_ms + PAUSE_MS;
            }
            return;
        }
        weft_count(worker->o.shard, WEFT_M_CONNECTIONS_ACCEPTED, 1);
        if (atomic_load_explicit(worker->o.connections, memory_order_relaxed) >=
            worker->o.cfg->http.max_connections) {
            refuse(worker, sock);
            continue;
        }
        struct weft_conn *conn = calloc(1, sizeof(*conn));
        WEFT_ASSERT(conn != NULL);
        conn->worker = worker;
        conn->sock = sock;
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
