/*
 * base64url - bytes out of text (RFC 4648, section 5), without padding and in one spelling alone.
 *
 * libjose has one, too, but it searches its alphabet for each character, and this runs over whatever
 * a stranger sends.
 */
#ifndef WEFT_AUTH_BASE64URL_PRIV_H
#define WEFT_AUTH_BASE64URL_PRIV_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/base/str.h>

/* Whether there are no other bytes than A-Z a-z 0-9 - _ in it. */
bool weft_base64url_valid(struct weft_str text);

/*
 * out has room for text.len / 4 * 3 + 2 bytes; how many they are is *ret_len. False: not valid, of a
 * length that no bytes have, or with bits behind the last byte that are not zero.
 */
bool weft_base64url_decode(unsigned char *out, size_t *ret_len, struct weft_str text);

#endif
