#include "tls_priv.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <weft/tls/openssl.h>

struct weft_redis_tls {
    SSL_CTX *ctx;
};

static int believe(SSL_CTX *ctx, const char *ca, struct weft_err *err)
{
    if (ca[0] == '\0') {
        if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
            return weft_err_set(err, WEFT_EINVAL, "redis.tls_ca",
                                "the system's certificates cannot be read: %s", weft_openssl_why());
        }
        return 0;
    }
    if (SSL_CTX_load_verify_file(ctx, ca) != 1) {
        return weft_err_set(err, WEFT_EINVAL, "redis.tls_ca", "%s: no certificates: %s", ca,
                            weft_openssl_why());
    }
    return 0;
}

static int introduce(SSL_CTX *ctx, const char *cert, const char *key, struct weft_err *err)
{
    if (cert[0] == '\0') {
        return key[0] == '\0' ? 0
                              : weft_err_set(err, WEFT_EINVAL, "redis.tls_cert",
                                             "redis.tls_key needs a certificate");
    }
    SSL_CTX_set_default_passwd_cb(ctx, weft_openssl_no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
        return weft_err_set(err, WEFT_EINVAL, "redis.tls_cert", "%s: no certificate: %s", cert,
                            weft_openssl_why());
    }
    key = key[0] == '\0' ? cert : key;
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        return weft_err_set(err, WEFT_EINVAL, "redis.tls_key",
                            "%s: no key of the certificate (it must not have a passphrase): %s",
                            key, weft_openssl_why());
    }
    return 0;
}

int weft_redis_tls_create(struct weft_redis_tls **ret_tls, const struct weft_redis_tls_opts *opts,
                          struct weft_err *err)
{
    struct weft_redis_tls *tls = calloc(1, sizeof(*tls));
    int rc;

    if (tls == NULL || (tls->ctx = SSL_CTX_new(TLS_client_method())) == NULL ||
        SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION) != 1) {
        weft_redis_tls_destroy(tls);
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    /* Redis closes without TLS's goodbye; a reply that is cut off shows by itself. */
    (void)SSL_CTX_set_options(tls->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
    rc = believe(tls->ctx, opts->ca, err);
    if (rc == 0) {
        rc = introduce(tls->ctx, opts->cert, opts->key, err);
    }
    if (rc != 0) {
        weft_redis_tls_destroy(tls);
        return rc;
    }
    *ret_tls = tls;
    return 0;
}

void weft_redis_tls_destroy(struct weft_redis_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->ctx);
        free(tls);
    }
}

/* The certificate must be for this name or address. */
static bool expect(SSL *ssl, const char *host)
{
    unsigned char address[16];

    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* What SSL_set_tlsext_host_name() does; the macro casts the const away. */
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    (void *)(uintptr_t)host) == 1;
}

struct bufferevent *weft_redis_tls_open(struct weft_redis_tls *tls, struct event_base *base,
                                        const char *host)
{
    SSL *ssl = SSL_new(tls->ctx);

    if (ssl == NULL || !expect(ssl, host)) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    /* If this fails, it has freed ssl. */
    return bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
                                          BEV_OPT_CLOSE_ON_FREE);
}

bool weft_redis_tls_why(struct bufferevent *bev, char *out, size_t size)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    const char *reason = NULL;
    unsigned long code;
    long verdict;

    if (ssl == NULL) {
        return false;
    }
    verdict = SSL_get_verify_result(ssl);
    /* Among them are errors of the system, which come as errno too, and codes of libevent. */
    while ((code = bufferevent_get_openssl_error(bev)) != 0) {
        const char *text = ERR_SYSTEM_ERROR(code) ? NULL : ERR_reason_error_string(code);

        reason = text == NULL ? reason : text;
    }
    ERR_clear_error();
    if (verdict != X509_V_OK) {
        (void)snprintf(out, size, "TLS: its certificate is not believed: %s",
                       X509_verify_cert_error_string(verdict));
        return true;
    }
    if (reason == NULL) {
        return false; /* what is below it failed */
    }
    (void)snprintf(out, size, "TLS: %s", reason);
    return true;
}
