/*
 * sign - the other side of token: makes keys and signs with them. For tools and tests; a node never
 * does.
 */
#ifndef WEFT_AUTH_SIGN_H
#define WEFT_AUTH_SIGN_H

#include <stddef.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/str.h>

/* "HS256 HS384 ... ES512": the algorithms there are. */
const char *weft_sign_algorithms(void);

/*
 * Appends a JWK set with one new private key for alg to out. kid: "" for the key's thumbprint
 * (RFC 7638). Takes its randomness from OpenSSL; an RSA key takes a while.
 */
int weft_sign_make_key(struct weft_buf *out, struct weft_str alg, struct weft_str kid,
                       struct weft_err *err) WEFT_MUST_CHECK;

/*
 * Appends the set of keys (a JWK set, or a JWK) without private members to out. A symmetric key has
 * nothing public and stays as it is: *ret_secret says how many did.
 */
int weft_sign_public(struct weft_buf *out, struct weft_str keys, size_t *ret_secret,
                     struct weft_err *err) WEFT_MUST_CHECK;

/*
 * Appends the token of claims (a JSON object, signed as it stands) to out. keys: a JWK set or a JWK.
 * kid: "" for the only key; alg: "" for the key's own, else the first that fits it.
 */
int weft_token_sign(struct weft_buf *out, struct weft_str keys, struct weft_str kid,
                    struct weft_str alg, struct weft_str claims, struct weft_err *err)
    WEFT_MUST_CHECK;

#endif
