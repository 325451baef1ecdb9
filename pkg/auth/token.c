/*
 * The order matters: form, then header, then key, then signature, and only then is anything believed
 * that the claims say.
 */
#include <weft/auth/token.h>

#include <string.h>

#include <jose/jws.h>
#include <openssl/err.h>

#include <weft/base/assert.h>

#include "claims_priv.h"
#include "jwt_priv.h"
#include "keyring_priv.h"

/* In base64url: of an RSA key of 8192 bits. */
#define SIGNATURE_MAX 1366

struct header {
    const struct weft_alg *alg;
    struct weft_str kid; /* in the header's JSON; "" if there is none */
};

/* Each asks for something that is not done here, and to go on without it would be wrong. */
static const char *const refused[] = {"crit", "b64", "zip", "enc"};

static struct weft_str text_of(const json_t *string)
{
    return weft_str(json_string_value(string), json_string_length(string));
}

static int check_typ(const json_t *header, struct weft_err *err)
{
    const json_t *typ = json_object_get(header, "typ");

    if (typ == NULL || (json_is_string(typ) && (weft_str_ieq(text_of(typ), WEFT_STR("JWT")) ||
                                                weft_str_ieq(text_of(typ), WEFT_STR("at+jwt"))))) {
        return 0;
    }
    return weft_err_set(err, WEFT_EINVAL, "typ", "typ must be JWT or at+jwt, or left out");
}

static int read_header(struct header *ret, const json_t *header, struct weft_err *err)
{
    const json_t *alg = json_object_get(header, "alg");
    const json_t *kid = json_object_get(header, "kid");

    for (size_t i = 0; i < WEFT_COUNT_OF(refused); i++) {
        if (json_object_get(header, refused[i]) != NULL) {
            return weft_err_set(err, WEFT_EINVAL, refused[i], "%s is not understood", refused[i]);
        }
    }
    if (!json_is_string(alg)) {
        return weft_err_set(err, WEFT_EINVAL, "alg", "alg must be a string");
    }
    ret->alg = weft_alg_find(text_of(alg));
    if (ret->alg == NULL) {
        return weft_err_set(err, WEFT_EINVAL, "alg", "alg must be one of %s", weft_alg_names);
    }
    if (kid != NULL && (!json_is_string(kid) || json_string_length(kid) == 0)) {
        return weft_err_set(err, WEFT_EINVAL, "kid", "kid must be a string that is not empty");
    }
    ret->kid = kid == NULL ? WEFT_STR("") : text_of(kid);
    return check_typ(header, err);
}

static json_t *jws_of(const struct weft_jwt_parts *parts)
{
    json_t *jws = json_object();

    WEFT_ASSERT(jws != NULL);
    WEFT_ASSERT(json_object_set_new(jws, "protected",
                                    json_stringn(parts->header.p, parts->header.len)) == 0);
    WEFT_ASSERT(
        json_object_set_new(jws, "payload", json_stringn(parts->claims.p, parts->claims.len)) == 0);
    WEFT_ASSERT(json_object_set_new(jws, "signature",
                                    json_stringn(parts->signature.p, parts->signature.len)) == 0);
    return jws;
}

static bool is_signed_by(const struct weft_key *key, json_t *jws)
{
    jose_cfg_t *cfg = weft_alg_quiet();
    bool good = jose_jws_ver(cfg, jws, NULL, key->jwk, false);

    jose_cfg_decref(cfg);
    /* What went wrong stays in a queue of the thread, where its TLS connections would find it. */
    ERR_clear_error();
    return good;
}

/* The keys that may have signed it: one by its kid, or those that the algorithm fits. */
static int find_keys(const struct weft_key *ret[WEFT_TOKEN_TRIES_MAX], size_t *ret_n,
                     const struct weft_keyring *keys, const struct header *header,
                     struct weft_err *err)
{
    bool any = false;

    *ret_n = 0;
    for (size_t i = 0; i < keys->n; i++) {
        const struct weft_key *key = &keys->keys[i];

        if (header->kid.len > 0 && !weft_str_eq(key->kid, header->kid)) {
            continue;
        }
        any = true;
        if ((key->algs & header->alg->bit) == 0) {
            continue;
        }
        if (*ret_n == WEFT_TOKEN_TRIES_MAX) {
            return weft_err_set(err, WEFT_EINVAL, "kid",
                                "the token needs a kid, too many keys come into question");
        }
        ret[(*ret_n)++] = key;
    }
    if (!any) {
        return weft_err_set(err, WEFT_ENOTFOUND, "kid", "no key has the kid of the token");
    }
    if (*ret_n == 0) {
        return weft_err_set(err, WEFT_EINVAL, "alg", "the key is not one for the alg of the token");
    }
    return 0;
}

static int check_signature(const struct weft_keyring *keys, const struct header *header,
                           const struct weft_jwt_parts *parts, struct weft_err *err)
{
    const struct weft_key *tries[WEFT_TOKEN_TRIES_MAX];
    bool good = false;
    json_t *jws;
    size_t n;
    int rc = find_keys(tries, &n, keys, header, err);

    if (rc != 0) {
        return rc;
    }
    if (parts->signature.len <= SIGNATURE_MAX) {
        jws = jws_of(parts);
        for (size_t i = 0; i < n && !good; i++) {
            good = is_signed_by(tries[i], jws);
        }
        json_decref(jws);
    }
    if (!good) {
        return weft_err_set(err, WEFT_EINVAL, "", "the signature of the token is wrong");
    }
    return 0;
}

static int check_head(const struct weft_keyring *keys, const struct weft_jwt_parts *parts,
                      struct weft_err *err)
{
    json_t *object = weft_jwt_json(parts->header, "header", err);
    struct header header = {.alg = NULL};
    int rc;

    if (object == NULL) {
        return WEFT_EINVAL;
    }
    rc = read_header(&header, object, err);
    if (rc == 0) {
        WEFT_ASSERT(header.alg != NULL);
        rc = check_signature(keys, &header, parts, err);
    }
    json_decref(object);
    return rc;
}

int weft_token_check(const struct weft_keyring *keys, struct weft_str token,
                     const struct weft_token_policy *policy, struct weft_grant **ret,
                     struct weft_err *err)
{
    struct weft_jwt_parts parts = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    json_t *claims;
    int rc = weft_jwt_split(&parts, token, err);

    if (rc == 0) {
        rc = check_head(keys, &parts, err);
    }
    if (rc != 0) {
        return rc;
    }
    claims = weft_jwt_json(parts.claims, "claims", err);
    if (claims == NULL) {
        return WEFT_EINVAL;
    }
    rc = weft_claims_grant(ret, claims, policy, err);
    json_decref(claims);
    return rc;
}
