#include "conn_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

/*
 * A request that libh2o refuses before it has read it to its end is answered, and the connection closed. What is still
 * coming then would have the kernel reset the connection, and a reset may overtake the answer (RFC 9112, section
 * 9.6). So the descriptor outlives h2o's socket: nothing more is sent on it, and what comes is thrown away, until
 * the client has closed its side too, for a while at most. It counts as a connection until then.
 */

#define LINGER_MS      2000
#define LINGER_BYTES   ((uint64_t)64 * 1024 * 1024)
#define READ_BYTES     16384
#define READS_PER_TICK 64

void weft_linger_ask(h2o_req_t *req)
{
    struct weft_conn *conn = weft_conn_of(req->conn->callbacks->get_socket(req->conn));

    if (conn->linger_fd < 0) {
        /* Without a descriptor it is closed as ever. */
        conn->linger_fd = fcntl(h2o_socket_get_fd(conn->sock), F_DUPFD_CLOEXEC, 0);
    }
}

bool weft_linger_begin(struct weft_conn *conn)
{
    if (conn->linger_fd < 0 || shutdown(conn->linger_fd, SHUT_WR) != 0) {
        return false;
    }
    conn->sock = NULL;
    conn->linger_until_ms = conn->worker->now_ms + LINGER_MS;
    DL_APPEND(conn->worker->lingering, conn);
    return true;
}

/* False: it is over. */
static bool goes_on(struct weft_conn *conn) WEFT_ON_WORKER
{
    char bytes[READ_BYTES];
    ssize_t n = 1;

    for (int i = 0; i < READS_PER_TICK && n > 0; i++) {
        n = recv(conn->linger_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        conn->lingered_bytes += n > 0 ? (uint64_t)n : 0;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        return false;
    }
    return conn->worker->now_ms < conn->linger_until_ms && conn->lingered_bytes < LINGER_BYTES;
}

void weft_linger_tick(struct weft_worker *worker)
{
    struct weft_conn *conn, *next;

    DL_FOREACH_SAFE(worker->lingering, conn, next) {
        if (!goes_on(conn)) {
            DL_DELETE(worker->lingering, conn);
            weft_conn_free(conn);
        }
    }
}

void weft_linger_shut(struct weft_worker *worker)
{
    struct weft_conn *conn;

    DL_FOREACH(worker->lingering, conn) {
        conn->linger_until_ms = 0;
    }
}
