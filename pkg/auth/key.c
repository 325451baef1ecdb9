/* One JWK: what it is, what it may verify, and only what is needed of it. */
#include <stdio.h>
#include <string.h>

#include <jose/b64.h>
#include <jose/openssl.h>
#include <openssl/err.h>

#include <weft/base/assert.h>

#include "keyring_priv.h"

#define OCT_MAX_BYTES 1024 /* libjose's own limit */
#define RSA_MIN_BITS  2048
#define RSA_MAX_BITS  8192
#define RSA_E_BYTES   8

struct reading {
    const json_t *jwk;
    const char *where;
    struct weft_err *err;
};

static enum weft_key_result bad(const struct reading *rd, const char *member, const char *what)
{
    char field[sizeof(rd->err->field)];

    (void)snprintf(field, sizeof(field), "%s.%s", rd->where, member);
    (void)weft_err_set(rd->err, WEFT_EINVAL, field, "%s", what);
    return WEFT_KEY_BAD;
}

/* NULL: not there. */
static const char *text_of(const struct reading *rd, const char *member)
{
    return json_string_value(json_object_get(rd->jwk, member));
}

/* Bytes of a base64url member, at most max of them; 0: missing, malformed, too long or empty. */
static size_t decode(const struct reading *rd, const char *member, unsigned char *out, size_t max)
{
    const json_t *value = json_object_get(rd->jwk, member);
    size_t n = json_is_string(value) ? jose_b64_dec(value, NULL, 0) : 0;

    if (n == 0 || n > max || jose_b64_dec(value, out, max) != n) {
        return 0;
    }
    return n;
}

static bool keep(const struct reading *rd, json_t *to, const char *member)
{
    return json_object_set_new(to, member, json_string(text_of(rd, member))) == 0;
}

static enum weft_key_result read_oct(const struct reading *rd, struct weft_key *key)
{
    unsigned char bytes[OCT_MAX_BYTES];
    size_t n = decode(rd, "k", bytes, sizeof(bytes));

    OPENSSL_cleanse(bytes, sizeof(bytes));
    if (n == 0) {
        return bad(rd, "k", "must be base64url of 32 to 1024 bytes");
    }
    key->algs = weft_alg_of_oct(n);
    if (key->algs == 0) {
        return bad(rd, "k", "is too short: HS256 needs 256 bits, HS384 384, HS512 512");
    }
    WEFT_ASSERT(keep(rd, key->jwk, "kty") && keep(rd, key->jwk, "k"));
    return WEFT_KEY_GOOD;
}

static size_t bits_of(const unsigned char *bytes, size_t n)
{
    size_t bits;

    for (; n > 0 && *bytes == 0; n--) {
        bytes++;
    }
    if (n == 0) {
        return 0;
    }
    bits = n * 8;
    for (unsigned char first = *bytes; (first & 0x80) == 0; first = (unsigned char)(first << 1)) {
        bits--;
    }
    return bits;
}

/* Whether OpenSSL takes it: that a point is on its curve, for one. */
static bool is_public_key(const json_t *jwk)
{
    jose_cfg_t *cfg = weft_alg_quiet();
    EVP_PKEY *made = jose_openssl_jwk_to_EVP_PKEY(cfg, jwk);
    bool good = made != NULL;

    EVP_PKEY_free(made);
    jose_cfg_decref(cfg);
    ERR_clear_error();
    return good;
}

static enum weft_key_result read_rsa(const struct reading *rd, struct weft_key *key)
{
    unsigned char n[RSA_MAX_BITS / 8 + 1]; /* some write a zero in front */
    unsigned char e[RSA_E_BYTES];
    size_t n_len = decode(rd, "n", n, sizeof(n));
    size_t e_len = decode(rd, "e", e, sizeof(e));
    size_t bits = bits_of(n, n_len);

    if (n_len == 0 || bits > RSA_MAX_BITS) {
        return bad(rd, "n", "must be base64url of a modulus of 2048 to 8192 bits");
    }
    if (bits < RSA_MIN_BITS) {
        return bad(rd, "n", "is too short: an RSA key needs 2048 bits");
    }
    if ((n[n_len - 1] & 1) == 0) {
        return bad(rd, "n", "is even, which no modulus is");
    }
    if (e_len == 0 || bits_of(e, e_len) < 2 || (e[e_len - 1] & 1) == 0) {
        return bad(rd, "e", "must be base64url of an odd number from 3 on, of at most 8 bytes");
    }
    key->algs = weft_alg_of_rsa();
    WEFT_ASSERT(keep(rd, key->jwk, "kty") && keep(rd, key->jwk, "n") && keep(rd, key->jwk, "e"));
    return is_public_key(key->jwk) ? WEFT_KEY_GOOD : bad(rd, "n", "is no RSA key");
}

static enum weft_key_result read_ec(const struct reading *rd, struct weft_key *key)
{
    const char *curve = text_of(rd, "crv");

    if (curve == NULL) {
        return bad(rd, "crv", "must be P-256, P-384 or P-521");
    }
    key->algs = weft_alg_of_ec(curve);
    if (key->algs == 0) {
        return WEFT_KEY_SKIP;
    }
    if (text_of(rd, "x") == NULL || text_of(rd, "y") == NULL) {
        return bad(rd, text_of(rd, "x") == NULL ? "x" : "y", "must be base64url");
    }
    WEFT_ASSERT(keep(rd, key->jwk, "kty") && keep(rd, key->jwk, "crv") && keep(rd, key->jwk, "x") &&
                keep(rd, key->jwk, "y"));
    return is_public_key(key->jwk) ? WEFT_KEY_GOOD : bad(rd, "x", "is no point of the curve");
}

static bool has(const json_t *array, const char *wanted)
{
    const json_t *one;
    size_t i;

    json_array_foreach(array, i, one) {
        if (json_is_string(one) && strcmp(json_string_value(one), wanted) == 0) {
            return true;
        }
    }
    return false;
}

/* use and key_ops: a key for something else is not wrong, but not for us. */
static enum weft_key_result read_purpose(const struct reading *rd)
{
    const json_t *use = json_object_get(rd->jwk, "use");
    const json_t *ops = json_object_get(rd->jwk, "key_ops");

    if (use != NULL && !json_is_string(use)) {
        return bad(rd, "use", "must be a string");
    }
    if (ops != NULL && !json_is_array(ops)) {
        return bad(rd, "key_ops", "must be an array of strings");
    }
    if (use != NULL && strcmp(json_string_value(use), "sig") != 0) {
        return WEFT_KEY_SKIP;
    }
    return ops != NULL && !has(ops, "verify") ? WEFT_KEY_SKIP : WEFT_KEY_GOOD;
}

static enum weft_key_result read_kid(const struct reading *rd, struct weft_key *key)
{
    const json_t *kid = json_object_get(rd->jwk, "kid");
    struct weft_str text = weft_str(json_string_value(kid), json_string_length(kid));

    if (kid == NULL) {
        key->kid = WEFT_STR("");
        return WEFT_KEY_GOOD;
    }
    if (!json_is_string(kid) || text.len == 0 || text.len > WEFT_KID_MAX ||
        !weft_str_printable(text)) {
        return bad(rd, "kid", "must be a string of 1 to 200 printable bytes");
    }
    WEFT_ASSERT(keep(rd, key->jwk, "kid"));
    key->kid = weft_str(json_string_value(json_object_get(key->jwk, "kid")), text.len);
    return WEFT_KEY_GOOD;
}

/* An algorithm that is named leaves only itself. */
static enum weft_key_result read_alg(const struct reading *rd, struct weft_key *key)
{
    const json_t *alg = json_object_get(rd->jwk, "alg");
    const struct weft_alg *known;

    if (alg == NULL) {
        return WEFT_KEY_GOOD;
    }
    if (!json_is_string(alg)) {
        return bad(rd, "alg", "must be a string");
    }
    known = weft_alg_find(weft_str(json_string_value(alg), json_string_length(alg)));
    if (known == NULL) {
        return WEFT_KEY_SKIP;
    }
    if ((key->algs & known->bit) == 0) {
        return bad(rd, "alg",
                   known->kind == WEFT_KEY_OCT && text_of(rd, "k") != NULL
                       ? "needs a longer key than k is"
                       : "does not go with this kind of key");
    }
    key->algs = known->bit;
    return WEFT_KEY_GOOD;
}

static enum weft_key_result read_members(const struct reading *rd, struct weft_key *key)
{
    const char *kty = text_of(rd, "kty");
    enum weft_key_result result;

    if (kty == NULL) {
        return bad(rd, "kty", "must be a string: oct, RSA or EC");
    }
    result = read_purpose(rd);
    if (result != WEFT_KEY_GOOD) {
        return result;
    }
    if (strcmp(kty, "oct") == 0) {
        result = read_oct(rd, key);
    } else if (strcmp(kty, "RSA") == 0) {
        result = read_rsa(rd, key);
    } else if (strcmp(kty, "EC") == 0) {
        result = read_ec(rd, key);
    } else {
        result = WEFT_KEY_SKIP;
    }
    if (result == WEFT_KEY_GOOD) {
        result = read_kid(rd, key);
    }
    return result == WEFT_KEY_GOOD ? read_alg(rd, key) : result;
}

enum weft_key_result weft_key_read(struct weft_key *ret, const json_t *jwk, const char *where,
                                   struct weft_err *err)
{
    struct reading rd = {jwk, where, err};
    enum weft_key_result result;

    if (!json_is_object(jwk)) {
        (void)weft_err_set(err, WEFT_EINVAL, where, "must be an object");
        return WEFT_KEY_BAD;
    }
    *ret = (struct weft_key){.jwk = json_object()};
    WEFT_ASSERT(ret->jwk != NULL);
    result = read_members(&rd, ret);
    if (result != WEFT_KEY_GOOD) {
        json_decref(ret->jwk);
        ret->jwk = NULL;
    }
    return result;
}
