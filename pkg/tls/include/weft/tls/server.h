/*
 * server - what a listener needs to speak TLS: certificate, key, and how tickets are encrypted.
 *
 * TLS 1.2 and 1.3, forward-secret AEAD suites only, no renegotiation, no compression, no early data; HTTP/1.1 is all
 * that is offered by ALPN. It is immutable and counted: a renewed certificate is a new one, and connections keep what they
 * began with. It knows no files but those of its options, and no HTTP server.
 */
#ifndef WEFT_TLS_SERVER_H
#define WEFT_TLS_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/err.h>

struct ssl_ctx_st;
struct ssl_st;
struct weft_tls; /* opaque */
struct weft_tls_keys;

struct weft_tls_opts {
    const char *cert; /* PEM: the server's own first, then those between it and the authority */
    const char *key;  /* PEM, without a passphrase; "": it is in cert */
    bool only_13;
    const struct weft_tls_keys *keys; /* copied */
    /* As SSL_CTX_set_info_callback(); called on the connection's thread. */
    void (*told)(const struct ssl_st *ssl, int where, int ret);
};

/*
 * Reads the files; blocks. WEFT_EINVAL: err->field is tls.cert or tls.key. WEFT_ENOMEM. The result has one
 * reference, yours.
 */
int weft_tls_create(struct weft_tls **ret_tls, const struct weft_tls_opts *opts,
                    struct weft_err *err) WEFT_MUST_CHECK;
/* Any thread. Whoever has a handshake under way has a reference. NULL is allowed. */
struct weft_tls *weft_tls_ref(struct weft_tls *tls);
void weft_tls_unref(struct weft_tls *tls);

/* Any thread; borrowed. */
struct ssl_ctx_st *weft_tls_context(const struct weft_tls *tls);
/* Unix time in seconds at which the server's certificate begins, and ends, to be valid. */
int64_t weft_tls_begins_s(const struct weft_tls *tls);
int64_t weft_tls_expires_s(const struct weft_tls *tls);

#endif
