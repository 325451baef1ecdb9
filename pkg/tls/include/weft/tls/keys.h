/*
 * keys - what session tickets are encrypted with.
 *
 * A ticket is the session, encrypted, in the client's hands: any node that has the key resumes it. The first key
 * encrypts; all of them decrypt. Plain values, secret: weft_tls_keys_wipe() when they are not needed any more.
 */
#ifndef WEFT_TLS_KEYS_H
#define WEFT_TLS_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/str.h>

#define WEFT_TLS_KEYS_MAX  16
#define WEFT_TLS_KEY_BYTES 80

struct weft_tls_key {
    uint8_t name[16]; /* not secret: stands at the beginning of the ticket */
    uint8_t hmac[32];
    uint8_t aes[32];
};

struct weft_tls_keys {
    size_t n;
    struct weft_tls_key key[WEFT_TLS_KEYS_MAX];
};

/*
 * 1 to WEFT_TLS_KEYS_MAX blocks of 80 bytes (name, HMAC, AES: as nginx has them in ssl_session_ticket_key), one behind another; or
 * lines, each such a block in base64. WEFT_EINVAL with a sentence in err (without a field, and without
 * the keys); *ret_keys is then empty.
 */
int weft_tls_keys_parse(struct weft_tls_keys *ret_keys, struct weft_str bytes, struct weft_err *err)
    WEFT_MUST_CHECK;
/* The same, of a file. Also WEFT_ESYS. Blocks. */
int weft_tls_keys_read(struct weft_tls_keys *ret_keys, const char *path, struct weft_err *err)
    WEFT_MUST_CHECK;
/* A new first key, made by chance; of the others only the one that was first stays. */
void weft_tls_keys_renew(struct weft_tls_keys *keys);
void weft_tls_keys_wipe(struct weft_tls_keys *keys);

#endif
