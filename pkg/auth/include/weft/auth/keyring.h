/*
 * keyring - the keys that tokens are checked with: a JWK set (RFC 7517), read once.
 *
 * Immutable from then on and counted: any number of threads may check tokens with one at once. What
 * a key may verify is decided here, when it is read, by its kind, its size and its `alg`; a token
 * only chooses among that. Of RSA and EC keys only the public members are kept.
 */
#ifndef WEFT_AUTH_KEYRING_H
#define WEFT_AUTH_KEYRING_H

#include <stddef.h>

#include <weft/base/err.h>
#include <weft/base/str.h>

#define WEFT_KEYRING_KEYS_MAX  100
#define WEFT_KEYRING_BYTES_MAX (1024 * 1024)

struct weft_keyring;

/*
 * json: {"keys": [...]}, of kty oct (at least 256 bits), RSA (2048 to 8192) or EC (P-256, P-384,
 * P-521). Keys that are not for checking signatures, or of another kind, are skipped and counted. A
 * wrong key, a `kid` twice or no usable key at all is WEFT_EINVAL, with the member in err->field
 * ("keys[2].n"); no message repeats a part of a key. *ret is yours, with one reference.
 */
int weft_keyring_parse(struct weft_keyring **ret, struct weft_str json, struct weft_err *err)
    WEFT_MUST_CHECK;

/* The same, of a regular file of at most WEFT_KEYRING_BYTES_MAX. Blocks as reading a file does. */
int weft_keyring_load(struct weft_keyring **ret, const char *path, struct weft_err *err)
    WEFT_MUST_CHECK;

/* Shared: one more owner. */
struct weft_keyring *weft_keyring_ref(struct weft_keyring *keys);
/* NULL is allowed. The last owner frees; any thread. */
void weft_keyring_unref(struct weft_keyring *keys);

/* At least 1. */
size_t weft_keyring_count(const struct weft_keyring *keys);
/* Keys of the set that are of no use here. */
size_t weft_keyring_skipped(const struct weft_keyring *keys);

#endif
