#include "tokens.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <jose/b64.h>
#include <jose/jwk.h>
#include <jose/openssl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <weft/base/assert.h>

#define SET_MAX 65536

static struct {
    json_t *set;
    json_t *public_set;
    char *text;
    char *public_text;
    EVP_PKEY *rsa;
    EVP_PKEY *ec;
} all;

static json_t *add_key(json_t *keys, const char *kid, json_t *template, bool with_alg)
{
    WEFT_ASSERT(json_object_set_new(template, "kid", json_string(kid)) == 0);
    WEFT_ASSERT(jose_jwk_gen(NULL, template));
    if (!with_alg) {
        (void)json_object_del(template, "alg");
    }
    WEFT_ASSERT(json_array_append_new(keys, template) == 0);
    return template;
}

void tokens_init(void)
{
    json_t *keys = json_array();
    json_t *jwk;
    size_t i;

    add_key(keys, "hs", json_pack("{s:s}", "alg", "HS256"), true);
    add_key(keys, "hs512", json_pack("{s:s}", "alg", "HS512"), false);
    all.rsa = jose_openssl_jwk_to_EVP_PKEY(
        NULL, add_key(keys, "rs", json_pack("{s:s}", "alg", "RS256"), true));
    all.ec = jose_openssl_jwk_to_EVP_PKEY(
        NULL, add_key(keys, "es", json_pack("{s:s}", "alg", "ES256"), false));
    WEFT_ASSERT(all.rsa != NULL && all.ec != NULL);
    all.set = json_pack("{s:o}", "keys", keys);
    all.public_set = json_deep_copy(all.set);
    json_array_foreach(json_object_get(all.public_set, "keys"), i, jwk) {
        if (i >= 2) {
            WEFT_ASSERT(jose_jwk_pub(NULL, jwk));
        }
    }
    all.text = json_dumps(all.set, 0);
    all.public_text = json_dumps(all.public_set, 0);
}

void tokens_fini(void)
{
    json_decref(all.set);
    json_decref(all.public_set);
    free(all.text);
    free(all.public_text);
    EVP_PKEY_free(all.rsa);
    EVP_PKEY_free(all.ec);
}

struct weft_str tokens_set(void)
{
    return weft_str(all.public_text, strlen(all.public_text));
}

struct weft_str tokens_private_set(void)
{
    return weft_str(all.text, strlen(all.text));
}

static json_t *find(const json_t *set, const char *kid)
{
    json_t *jwk;
    size_t i;

    json_array_foreach(json_object_get(set, "keys"), i, jwk) {
        if (strcmp(json_string_value(json_object_get(jwk, "kid")), kid) == 0) {
            return jwk;
        }
    }
    abort();
}

char *tokens_one(const char *kid, bool with_kid)
{
    json_t *set = json_pack("{s:[o]}", "keys", json_deep_copy(find(all.public_set, kid)));
    char *text;

    if (!with_kid) {
        (void)json_object_del(json_array_get(json_object_get(set, "keys"), 0), "kid");
    }
    text = json_dumps(set, 0);
    json_decref(set);
    return text;
}

struct weft_keyring *tokens_ring(struct weft_str set)
{
    struct weft_keyring *ring = NULL;

    WEFT_ASSERT(weft_keyring_parse(&ring, set, NULL) == 0);
    return ring;
}

void tokens_base64url(struct weft_buf *out, const void *bytes, size_t len)
{
    json_t *text = jose_b64_enc(bytes, len);

    weft_buf_puts(out, json_string_value(text));
    json_decref(text);
}

static size_t secret_of(unsigned char *out, size_t max, enum signer by)
{
    BIO *bio;
    size_t len = 0;

    switch (by) {
    case BY_HS256:
    case BY_HS512:
        len = jose_b64_dec(json_object_get(find(all.set, by == BY_HS256 ? "hs" : "hs512"), "k"),
                           out, max);
        break;
    case BY_PUBLIC_PEM:
        bio = BIO_new(BIO_s_mem());
        WEFT_ASSERT(PEM_write_bio_PUBKEY(bio, all.rsa) == 1);
        WEFT_ASSERT(BIO_read_ex(bio, out, max, &len) == 1);
        BIO_free(bio);
        break;
    case BY_PUBLIC_N:
        len = json_string_length(json_object_get(find(all.set, "rs"), "n"));
        memcpy(out, json_string_value(json_object_get(find(all.set, "rs"), "n")), len);
        break;
    case BY_STRANGER:
        memset(out, 'x', 32);
        len = 32;
        break;
    case BY_EMPTY_SECRET:
    case BY_NOBODY:
    case BY_RS256:
    case BY_PS256:
    case BY_ES256:
        break;
    }
    return len;
}

/* r and s side by side (RFC 7518, 3.4) out of DER. */
static size_t flatten(unsigned char *sig, size_t len)
{
    const unsigned char *at = sig;
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)len);

    WEFT_ASSERT(parts != NULL);
    WEFT_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_r(parts), sig, 32) == 32);
    WEFT_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_s(parts), sig + 32, 32) == 32);
    ECDSA_SIG_free(parts);
    return 64;
}

static size_t sign_with(unsigned char *sig, size_t max, EVP_PKEY *key, bool pss,
                        const struct weft_buf *text)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx;
    size_t len = max;

    WEFT_ASSERT(EVP_DigestSignInit(md, &ctx, EVP_sha256(), NULL, key) == 1);
    if (pss) {
        WEFT_ASSERT(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1);
        WEFT_ASSERT(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
    }
    WEFT_ASSERT(EVP_DigestSign(md, sig, &len, (const unsigned char *)text->data, text->len) == 1);
    EVP_MD_CTX_free(md);
    return len;
}

void tokens_sign_text(struct weft_buf *out, enum signer by)
{
    unsigned char secret[2048];
    unsigned char sig[1024];
    unsigned int hmac_len = 0;
    size_t len = 0;

    switch (by) {
    case BY_RS256:
    case BY_PS256:
        len = sign_with(sig, sizeof(sig), all.rsa, by == BY_PS256, out);
        break;
    case BY_ES256:
        len = flatten(sig, sign_with(sig, sizeof(sig), all.ec, false, out));
        break;
    case BY_NOBODY:
        break;
    case BY_HS256:
    case BY_HS512:
    case BY_PUBLIC_PEM:
    case BY_PUBLIC_N:
    case BY_STRANGER:
    case BY_EMPTY_SECRET:
        len = secret_of(secret, sizeof(secret), by);
        WEFT_ASSERT(HMAC(by == BY_HS512 ? EVP_sha512() : EVP_sha256(), secret, (int)len,
                         (const unsigned char *)out->data, out->len, sig, &hmac_len) != NULL);
        len = hmac_len;
        break;
    }
    weft_buf_puts(out, ".");
    tokens_base64url(out, sig, len);
    WEFT_ASSERT(!out->toobig);
}

void tokens_sign(struct weft_buf *out, struct weft_str header, struct weft_str claims,
                 enum signer by)
{
    weft_buf_clear(out);
    tokens_base64url(out, header.p, header.len);
    weft_buf_puts(out, ".");
    tokens_base64url(out, claims.p, claims.len);
    tokens_sign_text(out, by);
}

struct weft_token_policy tokens_policy(void)
{
    return (struct weft_token_policy){.now_ms = TOKENS_NOW_S * 1000};
}

static void describe_list(struct weft_buf *out, const char *name, const struct weft_globs *list)
{
    weft_buf_printf(out, " %s=", name);
    for (size_t i = 0; i < list->n; i++) {
        weft_buf_puts(out, i > 0 ? "," : "");
        weft_buf_str(out, list->items[i]);
    }
}

void tokens_describe(struct weft_buf *out, const struct weft_grant *grant)
{
    weft_buf_puts(out, "sub=");
    weft_buf_str(out, grant->is.subject);
    weft_buf_puts(out, " jti=");
    weft_buf_str(out, grant->is.jti);
    weft_buf_printf(out, " exp=%lld roles=%u", (long long)grant->is.expires_ms, grant->is.roles);
    describe_list(out, "publish", &grant->is.publish);
    describe_list(out, "subscribe", &grant->is.subscribe);
    weft_buf_printf(out, " unmatched=%zu", grant->is.unmatched);
}
