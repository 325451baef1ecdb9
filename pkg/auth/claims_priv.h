/*
 * claims - from the claims of a token whose signature is good to a grant.
 */
#ifndef WEFT_AUTH_CLAIMS_PRIV_H
#define WEFT_AUTH_CLAIMS_PRIV_H

#include <jansson.h>

#include <weft/auth/token.h>

/* As weft_token_check. */
int weft_claims_grant(struct weft_grant **ret, const json_t *claims,
                      const struct weft_token_policy *policy, struct weft_err *err);

#endif
