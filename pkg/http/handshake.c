#include "conn_priv.h"

#include <string.h>
#include <sys/socket.h>

#include <h2o/http1.h>
#include <openssl/ssl.h>

#include <weft/base/assert.h>
#include <weft/tls/server.h>

/*
 * TLS of one connection, before h2o's HTTP/1 has it. h2o_accept() would do the same, but does not tell how it
 * ended, and would go on with HTTP/2 if that were chosen.
 *
 * h2o makes the SSL object and keeps it to itself; a stream needs it (peer.c). It shows itself to the context's callback,
 * and h2o's socket is what its BIO carries.
 */

/* Times that a client may change its keys while h2o has the connection: each costs some 30 us, and few do it at all. */
#define REKEYS_MAX 200

/* NULL: it is not h2o's any more. */
static struct weft_conn *conn_of(const SSL *ssl)
{
    BIO *bio = SSL_get_rbio(ssl);

    if (bio == NULL || strcmp(BIO_method_name(bio), "h2o_socket") != 0) {
        return NULL;
    }
    return weft_conn_of(BIO_get_data(bio));
}

/*
 * h2o reads all that the socket has and then decrypts it, in one turn: a client that sends nothing but new keys would have the
 * worker for itself. For OpenSSL it has said goodbye then, so that it reads no more of it, and for h2o it is gone.
 */
static void rekeyed(struct weft_conn *conn, const SSL *ssl) WEFT_ON_WORKER
{
    if (++conn->rekeys == REKEYS_MAX) {
        SSL_set_shutdown((SSL *)(uintptr_t)ssl, SSL_RECEIVED_SHUTDOWN);
        (void)shutdown(h2o_socket_get_fd(conn->sock), SHUT_RDWR);
    }
}

void weft_worker_tls_told(const struct ssl_st *ssl, int where, int ret)
{
    OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);
    bool alert = (where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT;
    bool done = (where & SSL_CB_HANDSHAKE_DONE) != 0;
    bool rekey = where == SSL_CB_ACCEPT_LOOP && state == TLS_ST_SR_KEY_UPDATE;
    struct weft_conn *conn = alert || done || rekey ? conn_of(ssl) : NULL;

    if (alert && (uint8_t)ret == SSL_AD_NO_RENEGOTIATION) {
        /* Also of a stream: OpenSSL would go on reading requests for one, as long as they come. */
        SSL_set_shutdown((SSL *)(uintptr_t)ssl, SSL_RECEIVED_SHUTDOWN);
    }
    if (conn == NULL) {
        return;
    }
    weft_role_assert_worker(conn->worker->owner);
    if (done) {
        conn->ssl = (SSL *)(uintptr_t)ssl;
    } else if (rekey) {
        rekeyed(conn, ssl);
    } else if (state == TLS_ST_BEFORE || state == TLS_ST_SR_CLNT_HELLO) {
        conn->alert = (uint8_t)ret;
    }
}

void weft_handshake_forget(struct weft_conn *conn)
{
    h2o_timeout_unlink(&conn->late);
    weft_tls_unref(conn->tls);
    conn->tls = NULL;
}

/* h2o drops OpenSSL's last words; before there are keys they are easily said. */
static void say_why(const struct weft_conn *conn) WEFT_ON_WORKER
{
    const uint8_t alert[] = {SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, conn->alert};

    if (conn->alert != 0) {
        (void)send(h2o_socket_get_fd(conn->sock), alert, sizeof(alert),
                   MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void shaken(h2o_socket_t *sock, const char *err)
{
    struct weft_conn *conn = weft_conn_of(sock);
    struct weft_worker *worker = conn->worker;

    weft_role_assert_worker(worker->owner);
    weft_handshake_forget(conn);
    if (err != NULL) {
        weft_count(worker->o.shard, WEFT_M_TLS_HANDSHAKES_FAILED, 1);
        say_why(conn);
        h2o_socket_close(sock);
        return;
    }
    WEFT_ASSERT(conn->ssl != NULL);
    weft_count(worker->o.shard, WEFT_M_TLS_HANDSHAKES, 1);
    if (h2o_socket_get_ssl_session_reused(sock) == 1) {
        weft_count(worker->o.shard, WEFT_M_TLS_SESSIONS_RESUMED, 1);
    }
    h2o_http1_accept(&worker->accept_ctx, sock, *h2o_get_timestamp(&worker->ctx.h2o, NULL, NULL));
}

static void late(h2o_timeout_entry_t *entry)
{
    struct weft_conn *conn = WEFT_CONTAINER_OF(entry, struct weft_conn, late);
    struct weft_worker *worker = conn->worker;

    weft_role_assert_worker(worker->owner);
    weft_count(worker->o.shard, WEFT_M_TLS_HANDSHAKES_FAILED, 1);
    h2o_socket_close(conn->sock); /* which forgets the handshake */
}

void weft_handshake_begin(struct weft_conn *conn)
{
    struct weft_worker *worker = conn->worker;

    conn->tls = weft_tls_ref(worker->tls);
    conn->late.cb = late;
    h2o_timeout_link(worker->ctx.h2o.loop, &worker->ctx.h2o.handshake_timeout, &conn->late);
    h2o_socket_ssl_handshake(conn->sock, weft_tls_context(conn->tls), NULL, shaken);
}
