/*
 * tokens - keys and tokens for the tests, right ones and wrong ones.
 *
 * What weft would never sign is signed here with OpenSSL itself, whatever the header says.
 */
#ifndef WEFT_TEST_AUTH_TOKENS_H
#define WEFT_TEST_AUTH_TOKENS_H

#include <weft/auth/keyring.h>
#include <weft/auth/token.h>
#include <weft/base/buf.h>

#define TOKENS_NOW_S INT64_C(1800000000)

/* What is signed with. */
enum signer {
    BY_HS256,        /* the secret of kid "hs" */
    BY_HS512,        /* of "hs512" */
    BY_RS256,        /* the private key of "rs" */
    BY_PS256,        /* the same key with the other padding */
    BY_ES256,        /* "es" */
    BY_PUBLIC_PEM,   /* HMAC with the public key of "rs" as PEM for a secret */
    BY_PUBLIC_N,     /* HMAC with its modulus in base64url for a secret */
    BY_STRANGER,     /* HMAC with a secret that nobody has */
    BY_EMPTY_SECRET, /* HMAC with a secret of no bytes */
    BY_NOBODY,       /* an empty signature */
};

/* Made once for a program; freed by tokens_fini. */
void tokens_init(void);
void tokens_fini(void);

/*
 * {"keys":[...]} of the public halves: "hs" (HS256), "hs512" (no alg), "rs" (RS256), "es" (no alg), so
 * that the test knows them. Borrowed.
 */
struct weft_str tokens_set(void);
/* The same with private members. */
struct weft_str tokens_private_set(void);
/* One of its keys as a set of its own, without a kid if so wanted. Yours, to free(). */
char *tokens_one(const char *kid, bool with_kid);

/* Yours. */
struct weft_keyring *tokens_ring(struct weft_str set);

/* base64url of bytes, appended. */
void tokens_base64url(struct weft_buf *out, const void *bytes, size_t len);

/* header.claims.signature of these bytes, in place of what out held. */
void tokens_sign(struct weft_buf *out, struct weft_str header, struct weft_str claims,
                 enum signer by);

/* Signs what out holds, "header.claims", and appends the signature. */
void tokens_sign_text(struct weft_buf *out, enum signer by);

/* A policy that asks for nothing but what a token itself says, at TOKENS_NOW_S. */
struct weft_token_policy tokens_policy(void);

/* What a grant says in one line: "sub=a jti= exp=0 roles=0 publish=x,y subscribe= unmatched=0". */
void tokens_describe(struct weft_buf *out, const struct weft_grant *grant);

#endif
