#include "conn_priv.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <utlist.h>

/*
 * Answers that nobody takes. h2o limits the time in which a request comes, but not that in which its answer goes: a client that
 * asks for a long history and does not read it would keep the answer, and its connection, for ever. (Streams see to
 * themselves, in their ticks.)
 */

#define LOOK_MS 1000

/* What the peer has acknowledged so far: with TLS as well, and in whatever pieces. */
static uint64_t acked(const struct weft_conn *conn)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    (void)getsockopt(h2o_socket_get_fd(conn->sock), IPPROTO_TCP, TCP_INFO, &info, &len);
    return info.tcpi_bytes_acked;
}

static void look(struct weft_conn *conn) WEFT_ON_WORKER
{
    struct weft_worker *worker = conn->worker;
    uint64_t bytes;

    if (!h2o_socket_is_writing(conn->sock)) {
        conn->took_ms = 0;
        return;
    }
    bytes = acked(conn);
    if (conn->took_ms == 0 || bytes != conn->took_bytes) {
        conn->took_ms = worker->now_ms;
        conn->took_bytes = bytes;
    } else if (worker->now_ms - conn->took_ms > worker->o.cfg->http.write_stall_ms) {
        conn->took_ms = worker->now_ms;
        weft_count(worker->o.shard, WEFT_M_CONNECTIONS_STALLED, 1);
        /* The write fails, and h2o ends it. */
        (void)shutdown(h2o_socket_get_fd(conn->sock), SHUT_RDWR);
    }
}

void weft_connections_look(struct weft_worker *worker)
{
    struct weft_conn *conn;

    if (worker->now_ms - worker->looked_ms < LOOK_MS) {
        return;
    }
    worker->looked_ms = worker->now_ms;
    DL_FOREACH(worker->conns, conn) {
        look(conn);
    }
}
