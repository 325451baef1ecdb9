/*
 * alg - the algorithms of JWS (RFC 7518, section 3) that are understood, and what key each needs.
 */
#ifndef WEFT_AUTH_ALG_PRIV_H
#define WEFT_AUTH_ALG_PRIV_H

#include <stddef.h>

#include <jose/cfg.h>

#include <weft/base/str.h>

enum weft_key_kind {
    WEFT_KEY_OCT,
    WEFT_KEY_RSA,
    WEFT_KEY_EC,
};

struct weft_alg {
    const char *name;
    enum weft_key_kind kind;
    size_t hash_bytes; /* of an oct key: it must be as long at least */
    const char *curve; /* of an EC key */
    unsigned bit;      /* in a set of algorithms */
};

/* NULL: not one of them. Names are compared with case, as the RFC wants. */
const struct weft_alg *weft_alg_find(struct weft_str name);

/* The lowest of a set; NULL if it is empty. */
const struct weft_alg *weft_alg_first(unsigned set);

/* All of a kind: of oct those up to the key's length, of EC the one of the curve (0: none). */
unsigned weft_alg_of_oct(size_t key_bytes);
unsigned weft_alg_of_rsa(void);
unsigned weft_alg_of_ec(const char *curve);

/* With spaces between. */
extern const char weft_alg_names[];

/* For calls of libjose, which would tell errors on stderr. Yours, jose_cfg_decref. */
jose_cfg_t *weft_alg_quiet(void);

#endif
