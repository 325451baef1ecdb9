#include <weft/tls/server.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <weft/tls/keys.h>
#include <weft/tls/openssl.h>

/* Ephemeral keys and authenticated encryption only; what is cheap first, among equals. */
static const char suites_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char suites_13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
/* As ALPN has them. */
static const unsigned char protocols[] = "\x08http/1.1\x08http/1.0";
static const unsigned char session_context[] = "weft";

#define TICKET_LIFE_S (12 * 3600L)

struct weft_tls {
    atomic_uint refs;
    SSL_CTX *ctx;
    struct weft_tls_keys keys;
    int64_t begins_s, expires_s;
};

/* RFC 7301: who names protocols, and none of ours, is refused; HTTP/2 is not spoken. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *ctx)
{
    unsigned char *chosen;

    (void)ssl;
    (void)ctx;
    if (SSL_select_next_proto(&chosen, out_len, protocols, sizeof(protocols) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- tickets ---- */

static bool start_mac(EVP_MAC_CTX *mac, const struct weft_tls_key *key)
{
    char digest[] = "SHA256";
    uint8_t hmac[sizeof(key->hmac)];
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, hmac, sizeof(hmac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    bool ok;

    memcpy(hmac, key->hmac, sizeof(hmac)); /* its parameters are not const */
    ok = EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(hmac, sizeof(hmac));
    return ok;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3). -1: error, 0: no such key, 1: fine, 2: fine, but give it a new one. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int encrypt)
{
    const struct weft_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct weft_tls_key *key = &tls->keys.key[0];
    size_t i = 0;

    if (encrypt) {
        memcpy(name, key->name, sizeof(key->name));
        if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1 ||
            EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key->aes, iv, NULL) != 1 ||
            !start_mac(mac, key)) {
            return -1;
        }
        return 1;
    }
    while (i < tls->keys.n && memcmp(name, tls->keys.key[i].name, sizeof(key->name)) != 0) {
        i++;
    }
    if (i == tls->keys.n) {
        return 0;
    }
    key = &tls->keys.key[i];
    if (EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key->aes, iv, NULL) != 1 ||
        !start_mac(mac, key)) {
        return -1;
    }
    return i == 0 ? 1 : 2;
}

/* ---- making one ---- */

static bool set_rules(struct weft_tls *tls, const struct weft_tls_opts *opts)
{
    char groups[] = "X25519:P-256:P-384"; /* the macro below casts const away */
    SSL_CTX *ctx = tls->ctx;

    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    (void)SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
    /* Buffers only while there is something in them; and a write may be repeated from elsewhere. */
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_info_callback(ctx, opts->told);
    SSL_CTX_set_default_passwd_cb(ctx, weft_openssl_no_passphrase);
    (void)SSL_CTX_set_app_data(ctx, tls);
    return SSL_CTX_set_min_proto_version(ctx, opts->only_13 ? TLS1_3_VERSION : TLS1_2_VERSION) ==
               1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, suites_12) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, suites_13) == 1 &&
           SSL_CTX_set1_groups_list(ctx, groups) == 1 &&
           SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1) == 1 &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key) == 1;
}

static int64_t unix_time(const ASN1_TIME *at)
{
    struct tm tm = {0};

    return ASN1_TIME_to_tm(at, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static int show(struct weft_tls *tls, const struct weft_tls_opts *opts, struct weft_err *err)
{
    const char *key = opts->key[0] == '\0' ? opts->cert : opts->key;
    const X509 *x509;

    if (SSL_CTX_use_certificate_chain_file(tls->ctx, opts->cert) != 1) {
        return weft_err_set(err, WEFT_EINVAL, "tls.cert", "%s: no certificate: %s", opts->cert,
                            weft_openssl_why());
    }
    if (SSL_CTX_use_PrivateKey_file(tls->ctx, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(tls->ctx) != 1) {
        return weft_err_set(err, WEFT_EINVAL, "tls.key",
                            "%s: no key of the certificate (it must not have a passphrase): %s",
                            key, weft_openssl_why());
    }
    x509 = SSL_CTX_get0_certificate(tls->ctx);
    tls->begins_s = unix_time(X509_get0_notBefore(x509));
    tls->expires_s = unix_time(X509_get0_notAfter(x509));
    return 0;
}

int weft_tls_create(struct weft_tls **ret_tls, const struct weft_tls_opts *opts,
                    struct weft_err *err)
{
    struct weft_tls *tls = calloc(1, sizeof(*tls));
    int rc;

    if (tls == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    atomic_init(&tls->refs, 1);
    tls->keys = *opts->keys;
    tls->ctx = SSL_CTX_new(TLS_server_method());
    if (tls->ctx == NULL || !set_rules(tls, opts)) {
        rc = weft_err_set(err, WEFT_ENOMEM, "", "TLS cannot be set up: %s", weft_openssl_why());
    } else {
        rc = show(tls, opts, err);
    }
    if (rc != 0) {
        weft_tls_unref(tls);
        return rc;
    }
    *ret_tls = tls;
    return 0;
}

struct weft_tls *weft_tls_ref(struct weft_tls *tls)
{
    if (tls != NULL) {
        (void)atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
    }
    return tls;
}

void weft_tls_unref(struct weft_tls *tls)
{
    if (tls == NULL || atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    /* Connections after their handshake may still hold the context, but ask for no keys. */
    SSL_CTX_free(tls->ctx);
    weft_tls_keys_wipe(&tls->keys);
    free(tls);
}

struct ssl_ctx_st *weft_tls_context(const struct weft_tls *tls)
{
    return tls->ctx;
}

int64_t weft_tls_begins_s(const struct weft_tls *tls)
{
    return tls->begins_s;
}

int64_t weft_tls_expires_s(const struct weft_tls *tls)
{
    return tls->expires_s;
}
