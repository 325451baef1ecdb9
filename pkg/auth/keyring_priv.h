/*
 * keyring_priv - what token.c and sign.c see of a keyring.
 *
 * The JWKs are shared by all threads. That is safe: checking a token only reads them (libjose's
 * jose_jws_ver takes no reference of the key), and jansson's counts are atomic where the compiler
 * has atomics, which the assertion below asks for.
 */
#ifndef WEFT_AUTH_KEYRING_PRIV_H
#define WEFT_AUTH_KEYRING_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>

#include <jansson.h>

#include <weft/auth/keyring.h>

#include "alg_priv.h"

_Static_assert(JSON_HAVE_ATOMIC_BUILTINS == 1,
               "jansson without atomic counts: keys could not be shared by threads");

#define WEFT_KID_MAX 200

struct weft_key {
    struct weft_str kid; /* in jwk; "" if it has none */
    unsigned algs;       /* what it may verify */
    json_t *jwk;         /* kty, kid and the public members, or k; no alg, use or key_ops */
};

/* Const after it is made, but for the count. */
struct weft_keyring {
    atomic_uint refs;
    size_t n;
    size_t skipped;
    struct weft_key keys[];
};

enum weft_key_result {
    WEFT_KEY_GOOD,
    WEFT_KEY_SKIP,
    WEFT_KEY_BAD, /* err says why */
};

/* Reads one JWK; where: what err->field begins with. ret->jwk is the caller's if it is good. */
enum weft_key_result weft_key_read(struct weft_key *ret, const json_t *jwk, const char *where,
                                   struct weft_err *err);

/*
 * A file of at most WEFT_KEYRING_BYTES_MAX. fd is read to its end; name for messages.
 */
int weft_keyring_load_fd(struct weft_keyring **ret, int fd, const char *name, struct weft_err *err);
/* -1: err says why. */
int weft_keyring_open(const char *path, struct weft_err *err);

/* A JSON text without its duplicates; NULL, and err says why without quoting from it. */
json_t *weft_keyring_json(struct weft_str text, struct weft_err *err);

#endif
