#include <weft/auth/sign.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jose/b64.h>
#include <jose/jwk.h>
#include <jose/jws.h>
#include <openssl/err.h>

#include <weft/base/assert.h>

#include "keyring_priv.h"

/* Members that are a key's secret, of any kind that is understood. */
static const char *const secret_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth"};

const char *weft_sign_algorithms(void)
{
    return weft_alg_names;
}

static bool is_oct(const json_t *jwk)
{
    const char *kty = json_string_value(json_object_get(jwk, "kty"));

    return kty != NULL && strcmp(kty, "oct") == 0;
}

/* As one line. jansson frees what it printed, which has secrets in it, without wiping it. */
static int print(struct weft_buf *out, const json_t *value, struct weft_err *err)
{
    char *text = json_dumps(value, JSON_COMPACT);

    WEFT_ASSERT(text != NULL);
    weft_buf_puts(out, text);
    explicit_bzero(text, strlen(text));
    free(text);
    if (out->toobig) {
        return weft_err_set(err, WEFT_ETOOBIG, "", "is longer than %zu bytes", out->max);
    }
    return 0;
}

int weft_sign_make_key(struct weft_buf *out, struct weft_str alg, struct weft_str kid,
                       struct weft_err *err)
{
    const struct weft_alg *known = weft_alg_find(alg);
    jose_cfg_t *cfg;
    json_t *jwk;
    json_t *set;
    int rc = 0;

    if (known == NULL) {
        return weft_err_set(err, WEFT_EINVAL, "alg", "must be one of %s", weft_alg_names);
    }
    if (kid.len > WEFT_KID_MAX || !weft_str_printable(kid)) {
        return weft_err_set(err, WEFT_EINVAL, "kid", "must be 1 to %d printable bytes",
                            WEFT_KID_MAX);
    }
    cfg = weft_alg_quiet();
    jwk = json_pack("{s:s}", "alg", known->name);
    if (!jose_jwk_gen(cfg, jwk)) {
        rc = weft_err_set(err, WEFT_ESYS, "", "no key could be made");
    } else {
        json_t *name = kid.len > 0 ? json_stringn(kid.p, kid.len) : jose_jwk_thp(cfg, jwk, "S256");

        WEFT_ASSERT(name != NULL && json_object_set_new(jwk, "kid", name) == 0);
        set = json_pack("{s:[O]}", "keys", jwk);
        WEFT_ASSERT(set != NULL);
        rc = print(out, set, err);
        json_decref(set);
    }
    json_decref(jwk);
    jose_cfg_decref(cfg);
    ERR_clear_error();
    return rc;
}

/* A set, also of a lone JWK. Yours; NULL, and err says why. */
static json_t *read_set(struct weft_str keys, struct weft_err *err)
{
    json_t *root = weft_keyring_json(keys, err);
    json_t *set;

    if (root == NULL) {
        return NULL;
    }
    set = json_object_get(root, "kty") != NULL ? json_pack("{s:[O]}", "keys", root)
                                               : json_incref(root);
    json_decref(root);
    if (!json_is_array(json_object_get(set, "keys"))) {
        (void)weft_err_set(err, WEFT_EINVAL, "keys", "must be an array: a JWK set");
        json_decref(set);
        return NULL;
    }
    return set;
}

int weft_sign_public(struct weft_buf *out, struct weft_str keys, size_t *ret_secret,
                     struct weft_err *err)
{
    json_t *set = read_set(keys, err);
    jose_cfg_t *cfg;
    json_t *jwk;
    size_t i;
    int rc;

    *ret_secret = 0;
    if (set == NULL) {
        return WEFT_EINVAL;
    }
    cfg = weft_alg_quiet();
    json_array_foreach(json_object_get(set, "keys"), i, jwk) {
        if (is_oct(jwk)) {
            (*ret_secret)++;
            continue;
        }
        /* Takes "sign" out of key_ops; what it does not know it leaves as it is. */
        (void)jose_jwk_pub(cfg, jwk);
        for (size_t k = 0; k < WEFT_COUNT_OF(secret_members); k++) {
            (void)json_object_del(jwk, secret_members[k]);
        }
    }
    rc = print(out, set, err);
    jose_cfg_decref(cfg);
    json_decref(set);
    return rc;
}

/* *ret is borrowed from the set. */
static int choose(const json_t **ret, const json_t *set, struct weft_str kid, struct weft_err *err)
{
    const json_t *list = json_object_get(set, "keys");
    const json_t *jwk;
    size_t i;

    if (kid.len == 0) {
        *ret = json_array_get(list, 0);
        return json_array_size(list) == 1
                   ? 0
                   : weft_err_set(err, WEFT_EINVAL, "kid", "must say which of the %zu keys",
                                  json_array_size(list));
    }
    json_array_foreach(list, i, jwk) {
        const json_t *name = json_object_get(jwk, "kid");

        if (weft_str_eq(weft_str(json_string_value(name), json_string_length(name)), kid)) {
            *ret = jwk;
            return 0;
        }
    }
    return weft_err_set(err, WEFT_ENOTFOUND, "kid", "no key has this kid");
}

/* NULL, and err says why. */
static const struct weft_alg *choose_alg(const struct weft_key *key, struct weft_str wanted,
                                         struct weft_err *err)
{
    const struct weft_alg *alg;

    if (wanted.len == 0) {
        return weft_alg_first(key->algs);
    }
    alg = weft_alg_find(wanted);
    if (alg == NULL) {
        (void)weft_err_set(err, WEFT_EINVAL, "alg", "must be one of %s", weft_alg_names);
    } else if ((key->algs & alg->bit) == 0) {
        (void)weft_err_set(err, WEFT_EINVAL, "alg", "does not go with the key");
        alg = NULL;
    }
    return alg;
}

static json_t *sign(const json_t *jwk, const struct weft_key *key, const struct weft_alg *alg,
                    struct weft_str claims)
{
    json_t *jws = json_pack("{s:o}", "payload", jose_b64_enc(claims.p, claims.len));
    json_t *header = json_pack("{s:s,s:s}", "alg", alg->name, "typ", "JWT");
    json_t *plain = json_deep_copy(jwk);
    jose_cfg_t *cfg = weft_alg_quiet();
    json_t *template;

    WEFT_ASSERT(jws != NULL && header != NULL && plain != NULL);
    if (key->kid.len > 0) {
        WEFT_ASSERT(json_object_set_new(header, "kid", json_stringn(key->kid.p, key->kid.len)) ==
                    0);
    }
    /* Which operations and algorithms are allowed was decided already, and by weft_key_read. */
    (void)json_object_del(plain, "alg");
    (void)json_object_del(plain, "use");
    (void)json_object_del(plain, "key_ops");
    template = json_pack("{s:o}", "protected", header);
    WEFT_ASSERT(template != NULL);
    if (!jose_jws_sig(cfg, jws, template, plain)) {
        json_decref(jws);
        jws = NULL;
    }
    json_decref(template);
    json_decref(plain);
    jose_cfg_decref(cfg);
    ERR_clear_error();
    return jws;
}

static int sign_with(struct weft_buf *out, const json_t *jwk, struct weft_str alg_name,
                     struct weft_str claims, struct weft_err *err)
{
    const struct weft_alg *alg;
    struct weft_key key;
    json_t *jws = NULL;
    int rc = 0;

    switch (weft_key_read(&key, jwk, "key", err)) {
    case WEFT_KEY_BAD:
        return WEFT_EINVAL;
    case WEFT_KEY_SKIP:
        return weft_err_set(err, WEFT_EINVAL, "key", "is none for signatures that are understood");
    case WEFT_KEY_GOOD:
        break;
    }
    alg = choose_alg(&key, alg_name, err);
    if (alg == NULL) {
        rc = WEFT_EINVAL;
    } else if (alg->kind != WEFT_KEY_OCT && json_object_get(jwk, "d") == NULL) {
        rc = weft_err_set(err, WEFT_EINVAL, "key", "is a public key, which cannot sign");
    } else if ((jws = sign(jwk, &key, alg, claims)) == NULL) {
        rc = weft_err_set(err, WEFT_EINVAL, "key", "cannot sign");
    } else {
        weft_buf_printf(out, "%s.%s.%s", json_string_value(json_object_get(jws, "protected")),
                        json_string_value(json_object_get(jws, "payload")),
                        json_string_value(json_object_get(jws, "signature")));
        rc = out->toobig ? weft_err_set(err, WEFT_ETOOBIG, "", "the token is too long") : 0;
    }
    json_decref(jws);
    json_decref(key.jwk);
    return rc;
}

int weft_token_sign(struct weft_buf *out, struct weft_str keys, struct weft_str kid,
                    struct weft_str alg, struct weft_str claims, struct weft_err *err)
{
    json_t *set = read_set(keys, err);
    const json_t *jwk = NULL;
    int rc;

    if (set == NULL) {
        return WEFT_EINVAL;
    }
    rc = choose(&jwk, set, kid, err);
    if (rc == 0) {
        rc = sign_with(out, jwk, alg, claims, err);
    }
    json_decref(set);
    return rc;
}
