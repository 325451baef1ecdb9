/*
 * token - from the text of a JSON Web Token (RFC 7519, compact and signed) to a grant.
 *
 * The key decides which algorithms are good, never the token; a header that asks for anything beyond
 * a plain signature (crit, b64, zip, enc) is refused, and one that brings keys along (jwk, jku, x5u,
 * x5c) does so in vain. No time, no randomness of its own: the policy carries the time.
 */
#ifndef WEFT_AUTH_TOKEN_H
#define WEFT_AUTH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/auth/grant.h>
#include <weft/auth/keyring.h>
#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/str.h>

#define WEFT_TOKEN_BYTES_MAX 8192
#define WEFT_TOKEN_TRIES_MAX 8 /* keys that are tried for a token without kid */

/* All borrowed. */
struct weft_token_policy {
    const struct weft_str
        *audiences; /* `aud` must have one of them; none: any aud, or none, is good */
    size_t n_audiences;
    const struct weft_str *issuers; /* `iss` must be one of them; none: as above */
    size_t n_issuers;
    int64_t now_ms;    /* wall clock */
    uint32_t leeway_s; /* how wrong the issuer's clock may be */
    bool needs_expiry; /* `exp` must be there */
};

/*
 * Any thread; at most one signature is checked, WEFT_TOKEN_TRIES_MAX for a token without kid. *ret
 * is yours; it expires leeway_s after `exp`, when this call would refuse the token, too.
 *
 * WEFT_EINVAL, WEFT_ETOOBIG (longer than WEFT_TOKEN_BYTES_MAX), WEFT_ENOTFOUND (no such key) or
 * WEFT_ETIMEOUT (expired): err->message is a sentence for the log and for the client, err->field the
 * member of header or claims that is wrong, "" if none is to blame. Neither has text of the token.
 */
int weft_token_check(const struct weft_keyring *keys, struct weft_str token,
                     const struct weft_token_policy *policy, struct weft_grant **ret,
                     struct weft_err *err) WEFT_MUST_CHECK;

/*
 * What a token says, believed by nobody: header and claims as minified JSON, appended to buffers.
 * Either may be NULL.
 */
int weft_token_read(struct weft_str token, struct weft_buf *ret_header, struct weft_buf *ret_claims,
                    struct weft_err *err) WEFT_MUST_CHECK;

#endif
