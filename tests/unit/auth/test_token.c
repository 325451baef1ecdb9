/*
 * Tokens in a table: how each is made, and what becomes of it. The refusals name the reason, so that
 * a row cannot pass for another one than it is there for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weft/base/assert.h>

#include "tokens.h"

/* clang-format off */
#define HS        "{\"alg\":\"HS256\",\"kid\":\"hs\"}"
#define RS        "{\"alg\":\"RS256\",\"kid\":\"rs\"}"
#define CLAIMS    "{\"exp\":1800000600,\"sub\":\"s\"}"
#define GRANTED   "sub=s jti= exp=1800000600000 roles=0 publish= subscribe= unmatched=0"
#define NOTHING   "sub= jti= exp=0 roles=0 publish= subscribe= unmatched=0"
#define MALFORMED "three parts"
#define BYTES     "other bytes than"
#define BASE64    "wrong base64url"
#define SIGNATURE "the signature of the token is wrong"
#define NOT_ALG   "alg must be one of"
#define NOT_ITS   "the key is not one for the alg"
#define NO_KEY    "no key has the kid"
#define BAD_TIME  "must be a number"
#define NO_NUMBER "a number out of range"
#define STRINGS   "must be an array of strings"
#define NAME      "must be a string of 1 to 200 printable bytes"
/* clang-format on */

enum {
    LEEWAY = 1 << 0,   /* 10 s */
    EXPIRY = 1 << 1,   /* needed */
    AUDIENCE = 1 << 2, /* weft or weft2 */
    ISSUER = 1 << 3,   /* https://issuer */
    ONLY_HS = 1 << 4,  /* a keyring of "hs" alone */
    ONLY_RS = 1 << 5,  /* a keyring of "rs" alone, without its kid */
};

typedef void edit(struct weft_buf *token);

struct row {
    const char *what;
    const char *header;
    const char *claims;
    enum signer by;
    unsigned how;
    edit *before;        /* of the text that is signed */
    edit *after;         /* of the token */
    const char *field;   /* NULL: granted */
    const char *outcome; /* what is granted, or a part of the refusal */
};

static size_t dot(const struct weft_buf *token, int nth)
{
    size_t at = 0;

    while (token->data[at] != '.' || --nth > 0) {
        at++;
    }
    return at;
}

static void cut(struct weft_buf *token, size_t len)
{
    token->len = len;
    token->data[len] = '\0';
}

/* n bytes out at a place, others in. */
static void put(struct weft_buf *token, size_t at, size_t n, const char *what)
{
    char *rest = strdup(token->data + at + n);

    WEFT_ASSERT(rest != NULL);
    cut(token, at);
    weft_buf_puts(token, what);
    weft_buf_puts(token, rest);
    free(rest);
}

/* clang-format off */
static void cut_to_nothing(struct weft_buf *t)   { cut(t, 0); }
static void cut_in_header(struct weft_buf *t)    { cut(t, dot(t, 1) - 1); }
static void cut_after_header(struct weft_buf *t) { cut(t, dot(t, 1)); }
static void cut_after_dot(struct weft_buf *t)    { cut(t, dot(t, 1) + 1); }
static void cut_in_claims(struct weft_buf *t)    { cut(t, dot(t, 2) - 1); }
static void cut_after_claims(struct weft_buf *t) { cut(t, dot(t, 2)); }
static void cut_signature(struct weft_buf *t)    { cut(t, dot(t, 2) + 1); }
static void cut_in_signature(struct weft_buf *t) { cut(t, t->len - 1); }
static void no_header(struct weft_buf *t)        { put(t, 0, dot(t, 1), ""); }
static void no_claims(struct weft_buf *t)        { put(t, dot(t, 1) + 1, dot(t, 2) - dot(t, 1) - 1, ""); }
static void short_claims(struct weft_buf *t)     { put(t, dot(t, 2) - 4, 4, ""); }
static void extra_part(struct weft_buf *t)       { weft_buf_puts(t, ".AAAA"); }
static void extra_dot(struct weft_buf *t)        { weft_buf_puts(t, "."); }
static void pad_header(struct weft_buf *t)       { put(t, dot(t, 1), 0, "="); }
static void pad_claims(struct weft_buf *t)       { put(t, dot(t, 2), 0, "="); }
static void pad_signature(struct weft_buf *t)    { weft_buf_puts(t, "="); }
static void plus(struct weft_buf *t)             { put(t, dot(t, 2) + 1, 1, "+"); }
static void slash(struct weft_buf *t)            { put(t, dot(t, 2) + 1, 1, "/"); }
static void space_before(struct weft_buf *t)     { put(t, 0, 0, " "); }
static void space_behind(struct weft_buf *t)     { weft_buf_puts(t, " "); }
static void line_behind(struct weft_buf *t)      { weft_buf_puts(t, "\n"); }
static void line_inside(struct weft_buf *t)      { put(t, dot(t, 1) + 5, 0, "\r\n"); }
static void bearer(struct weft_buf *t)           { put(t, 0, 0, "Bearer "); }
static void latin1(struct weft_buf *t)           { put(t, 3, 1, "\xe9"); }
static void nul(struct weft_buf *t)              { t->data[dot(t, 2) + 3] = '\0'; }
static void two_tokens(struct weft_buf *t)       { char *all = strdup(t->data); weft_buf_puts(t, all); free(all); }
/* clang-format on */

/* The last character of a part has bits that belong to no byte: with one of them set. */
static void spare_bit(struct weft_buf *t, size_t at)
{
    static const char map[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *c = strchr(map, t->data[at]);

    WEFT_ASSERT(c != NULL && (c - map) % 4 == 0);
    t->data[at] = c[1];
}

static void spare_in_header(struct weft_buf *t)
{
    spare_bit(t, dot(t, 1) - 1);
}

static void spare_in_claims(struct weft_buf *t)
{
    spare_bit(t, t->len - 1);
}

static void spare_in_signature(struct weft_buf *t)
{
    spare_bit(t, t->len - 1);
}

/* One character too many for whole bytes. */
static void fifth_in_claims(struct weft_buf *t)
{
    while ((t->len - dot(t, 1) - 1) % 4 != 1) {
        weft_buf_puts(t, "A");
    }
}

static void grow_to(struct weft_buf *t, size_t len)
{
    while (t->len < len) {
        weft_buf_puts(t, "A");
    }
}

static void to_8192(struct weft_buf *t)
{
    grow_to(t, 8192);
}

static void to_8193(struct weft_buf *t)
{
    grow_to(t, 8193);
}

static void to_a_megabyte(struct weft_buf *t)
{
    grow_to(t, 1024 * 1024);
}

/* Swaps the parts of an ES256 signature, or whatever stands there. */
static void swap_signature(struct weft_buf *t)
{
    char first = t->data[dot(t, 2) + 1];

    t->data[dot(t, 2) + 1] = t->data[dot(t, 2) + 2];
    t->data[dot(t, 2) + 2] = first;
    if (first == t->data[dot(t, 2) + 1]) {
        t->data[dot(t, 2) + 1] = first == 'A' ? 'B' : 'A';
    }
}

/* clang-format off */
static const struct row rows[] = {
    /* ---- good ones, each signed by OpenSSL itself */
    {"HS256", HS, CLAIMS, BY_HS256, 0, NULL, NULL, NULL, GRANTED},
    {"RS256", RS, CLAIMS, BY_RS256, 0, NULL, NULL, NULL, GRANTED},
    {"ES256", "{\"alg\":\"ES256\",\"kid\":\"es\"}", CLAIMS, BY_ES256, 0, NULL, NULL, NULL, GRANTED},
    {"HS512", "{\"alg\":\"HS512\",\"kid\":\"hs512\"}", CLAIMS, BY_HS512, 0, NULL, NULL, NULL, GRANTED},
    {"no kid, several keys", "{\"alg\":\"RS256\"}", CLAIMS, BY_RS256, 0, NULL, NULL, NULL, GRANTED},
    {"no kid, the second that fits", "{\"alg\":\"HS512\"}", CLAIMS, BY_HS512, 0, NULL, NULL, NULL, GRANTED},
    {"no kid, one key", "{\"alg\":\"HS256\"}", CLAIMS, BY_HS256, ONLY_HS, NULL, NULL, NULL, GRANTED},
    {"typ", "{\"alg\":\"HS256\",\"typ\":\"jwt\"}", CLAIMS, BY_HS256, 0, NULL, NULL, NULL, GRANTED},
    {"access token", "{\"alg\":\"HS256\",\"typ\":\"at+JWT\"}", CLAIMS, BY_HS256, 0, NULL, NULL, NULL, GRANTED},
    {"white space in JSON", " {\n\"alg\" : \"HS256\" } ", " { \"exp\":1800000600 ,\t\"sub\":\"s\"}\n", BY_HS256, 0, NULL, NULL, NULL, GRANTED},
    {"escapes", "{\"\\u0061lg\":\"\\u0048S256\"}", CLAIMS, BY_HS256, 0, NULL, NULL, NULL, GRANTED},
    {"nothing claimed", HS, "{}", BY_HS256, 0, NULL, NULL, NULL, NOTHING},
    {"claims of others", HS, "{\"name\":\"x\",\"scope\":[1,{\"a\":null}]}", BY_HS256, 0, NULL, NULL, NULL, NOTHING},
    {"keys brought along in vain", "{\"alg\":\"HS256\",\"kid\":\"hs\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"},\"jku\":\"http://127.0.0.1:1/\",\"x5u\":\"http://127.0.0.1:1/\",\"x5c\":[\"AAAA\"]}", CLAIMS, BY_HS256, 0, NULL, NULL, NULL, GRANTED},

    /* ---- form */
    {"nothing", HS, CLAIMS, BY_HS256, 0, NULL, cut_to_nothing, "", MALFORMED},
    {"cut in the header", HS, CLAIMS, BY_HS256, 0, NULL, cut_in_header, "", MALFORMED},
    {"the header alone", HS, CLAIMS, BY_HS256, 0, NULL, cut_after_header, "", MALFORMED},
    {"the header and a dot", HS, CLAIMS, BY_HS256, 0, NULL, cut_after_dot, "", MALFORMED},
    {"cut in the claims", HS, CLAIMS, BY_HS256, 0, NULL, cut_in_claims, "", MALFORMED},
    {"no signature", HS, CLAIMS, BY_HS256, 0, NULL, cut_after_claims, "", MALFORMED},
    {"an empty signature", HS, CLAIMS, BY_HS256, 0, NULL, cut_signature, "", MALFORMED},
    {"cut in the signature", HS, CLAIMS, BY_HS256, 0, NULL, cut_in_signature, "", SIGNATURE},
    {"no header", HS, CLAIMS, BY_HS256, 0, NULL, no_header, "", MALFORMED},
    {"no claims", HS, CLAIMS, BY_HS256, 0, NULL, no_claims, "", MALFORMED},
    {"claims cut after signing", HS, CLAIMS, BY_HS256, 0, NULL, short_claims, "", SIGNATURE},
    {"a fourth part", HS, CLAIMS, BY_HS256, 0, NULL, extra_part, "", BYTES},
    {"a third dot", HS, CLAIMS, BY_HS256, 0, NULL, extra_dot, "", BYTES},
    {"two tokens", HS, CLAIMS, BY_HS256, 0, NULL, two_tokens, "", BYTES},
    {"= in the header", HS, CLAIMS, BY_HS256, 0, NULL, pad_header, "", BYTES},
    {"= in the claims", HS, CLAIMS, BY_HS256, 0, NULL, pad_claims, "", BYTES},
    {"= in the signature", HS, CLAIMS, BY_HS256, 0, NULL, pad_signature, "", BYTES},
    {"= that was signed", HS, CLAIMS, BY_HS256, 0, pad_header, NULL, "", BYTES},
    {"+", HS, CLAIMS, BY_HS256, 0, NULL, plus, "", BYTES},
    {"/", HS, CLAIMS, BY_HS256, 0, NULL, slash, "", BYTES},
    {"a space before", HS, CLAIMS, BY_HS256, 0, NULL, space_before, "", BYTES},
    {"a space behind", HS, CLAIMS, BY_HS256, 0, NULL, space_behind, "", BYTES},
    {"a line break behind", HS, CLAIMS, BY_HS256, 0, NULL, line_behind, "", BYTES},
    {"a line break that was signed", HS, CLAIMS, BY_HS256, 0, line_inside, NULL, "", BYTES},
    {"with its scheme", HS, CLAIMS, BY_HS256, 0, NULL, bearer, "", BYTES},
    {"a byte beyond ASCII", HS, CLAIMS, BY_HS256, 0, NULL, latin1, "", BYTES},
    {"a NUL byte", HS, CLAIMS, BY_HS256, 0, NULL, nul, "", BYTES},
    {"a spare bit in the header, signed", HS, CLAIMS, BY_HS256, 0, spare_in_header, NULL, "", BASE64},
    {"a spare bit in the claims, signed", HS, "{\"sub\":\"sss\"}", BY_HS256, 0, spare_in_claims, NULL, "", BASE64},
    {"a spare bit in the signature", HS, CLAIMS, BY_HS256, 0, NULL, spare_in_signature, "", SIGNATURE},
    {"a lone sixth of a byte, signed", HS, "{}", BY_HS256, 0, fifth_in_claims, NULL, "", BASE64},
    {"8 KiB", HS, CLAIMS, BY_HS256, 0, NULL, to_8192, "", SIGNATURE},
    {"8 KiB and one", HS, CLAIMS, BY_HS256, 0, NULL, to_8193, "", "longer than 8192"},
    {"a megabyte", HS, CLAIMS, BY_HS256, 0, NULL, to_a_megabyte, "", "longer than 8192"},

    /* ---- JSON */
    {"a header that is no JSON", "alg", CLAIMS, BY_HS256, 0, NULL, NULL, "", "the header of the token"},
    {"a header that is an array", "[]", CLAIMS, BY_HS256, 0, NULL, NULL, "", "no JSON object"},
    {"a header that is a string", "\"HS256\"", CLAIMS, BY_HS256, 0, NULL, NULL, "", "no JSON object"},
    {"alg twice", "{\"alg\":\"none\",\"alg\":\"HS256\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "", "the header of the token: duplicate key"},
    {"alg twice, one by an escape", "{\"alg\":\"HS256\",\"\\u0061lg\":\"HS256\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "", "the header of the token: "},
    {"something behind the header", "{\"alg\":\"HS256\"}{}", CLAIMS, BY_HS256, 0, NULL, NULL, "", "the header of the token"},
    {"claims that are no JSON", HS, "exp", BY_HS256, 0, NULL, NULL, "", "the claims of the token"},
    {"claims that are a number", HS, "7", BY_HS256, 0, NULL, NULL, "", "no JSON object"},
    {"claims that are null", HS, "null", BY_HS256, 0, NULL, NULL, "", "no JSON object"},
    {"exp twice", HS, "{\"exp\":1,\"exp\":1800000600}", BY_HS256, 0, NULL, NULL, "", "the claims of the token: duplicate key"},
    {"publish twice inside weft", HS, "{\"weft\":{\"publish\":[],\"publish\":[\"*\"]}}", BY_HS256, 0, NULL, NULL, "", "duplicate key"},
    {"invalid UTF-8", HS, "{\"sub\":\"\xff\"}", BY_HS256, 0, NULL, NULL, "", "invalid UTF-8"},
    {"half of a surrogate pair", HS, "{\"sub\":\"\\ud800\"}", BY_HS256, 0, NULL, NULL, "", "surrogate"},
    {"NUL in a string", HS, "{\"sub\":\"a\\u0000b\"}", BY_HS256, 0, NULL, NULL, "", "NUL in a string"},
    {"a comment", HS, "{/**/}", BY_HS256, 0, NULL, NULL, "", "the claims of the token"},

    /* ---- header */
    {"alg none", "{\"alg\":\"none\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", NOT_ALG},
    {"alg None", "{\"alg\":\"None\",\"kid\":\"hs\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", NOT_ALG},
    {"alg NONE", "{\"alg\":\"NONE\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", NOT_ALG},
    {"alg nOnE", "{\"alg\":\"nOnE\"}", CLAIMS, BY_EMPTY_SECRET, 0, NULL, NULL, "alg", NOT_ALG},
    {"alg none, unsigned", "{\"alg\":\"none\"}", CLAIMS, BY_NOBODY, 0, NULL, NULL, "", MALFORMED},
    {"alg of no bytes", "{\"alg\":\"\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", NOT_ALG},
    {"alg in lower case", "{\"alg\":\"hs256\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", NOT_ALG},
    {"alg with a space", "{\"alg\":\"HS256 \"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", NOT_ALG},
    {"alg that is an encryption", "{\"alg\":\"RSA-OAEP\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", NOT_ALG},
    {"alg that is a hash", "{\"alg\":\"S256\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", NOT_ALG},
    {"alg that is EdDSA", "{\"alg\":\"EdDSA\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", NOT_ALG},
    {"alg that is an array", "{\"alg\":[\"HS256\"]}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", "must be a string"},
    {"alg null", "{\"alg\":null}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", "must be a string"},
    {"no alg", "{\"kid\":\"hs\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", "must be a string"},
    {"an empty header", "{}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", "must be a string"},
    {"the public key as secret, PEM", "{\"alg\":\"HS256\",\"kid\":\"rs\"}", CLAIMS, BY_PUBLIC_PEM, 0, NULL, NULL, "alg", NOT_ITS},
    {"the public key as secret, no kid", "{\"alg\":\"HS256\"}", CLAIMS, BY_PUBLIC_PEM, 0, NULL, NULL, "", SIGNATURE},
    {"the public key as secret, one key", "{\"alg\":\"HS256\"}", CLAIMS, BY_PUBLIC_PEM, ONLY_RS, NULL, NULL, "alg", NOT_ITS},
    {"the modulus as secret", "{\"alg\":\"HS256\",\"kid\":\"rs\"}", CLAIMS, BY_PUBLIC_N, 0, NULL, NULL, "alg", NOT_ITS},
    {"the secret of nobody", HS, CLAIMS, BY_STRANGER, 0, NULL, NULL, "", SIGNATURE},
    {"the secret of no bytes", HS, CLAIMS, BY_EMPTY_SECRET, 0, NULL, NULL, "", SIGNATURE},
    {"unsigned", HS, CLAIMS, BY_NOBODY, 0, NULL, NULL, "", MALFORMED},
    {"the other hash of the family", "{\"alg\":\"HS512\",\"kid\":\"hs\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "alg", NOT_ITS},
    {"the other hash, allowed, not used", "{\"alg\":\"HS256\",\"kid\":\"hs512\"}", CLAIMS, BY_HS512, 0, NULL, NULL, "", SIGNATURE},
    {"the other padding", "{\"alg\":\"PS256\",\"kid\":\"rs\"}", CLAIMS, BY_PS256, 0, NULL, NULL, "alg", NOT_ITS},
    {"the other padding, unsaid", RS, CLAIMS, BY_PS256, 0, NULL, NULL, "", SIGNATURE},
    {"the other hash of RSA", "{\"alg\":\"RS512\",\"kid\":\"rs\"}", CLAIMS, BY_RS256, 0, NULL, NULL, "alg", NOT_ITS},
    {"the other curve", "{\"alg\":\"ES384\",\"kid\":\"es\"}", CLAIMS, BY_ES256, 0, NULL, NULL, "alg", NOT_ITS},
    {"RSA with an EC key", "{\"alg\":\"RS256\",\"kid\":\"es\"}", CLAIMS, BY_ES256, 0, NULL, NULL, "alg", NOT_ITS},
    {"EC with an RSA key", "{\"alg\":\"ES256\",\"kid\":\"rs\"}", CLAIMS, BY_RS256, 0, NULL, NULL, "alg", NOT_ITS},
    {"the kid of another key", "{\"alg\":\"HS256\",\"kid\":\"hs512\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "", SIGNATURE},
    {"an unknown kid", "{\"alg\":\"HS256\",\"kid\":\"nobody\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "kid", NO_KEY},
    {"an unknown kid, one key", "{\"alg\":\"HS256\",\"kid\":\"nobody\"}", CLAIMS, BY_HS256, ONLY_HS, NULL, NULL, "kid", NO_KEY},
    {"a kid, and a key without", RS, CLAIMS, BY_RS256, ONLY_RS, NULL, NULL, "kid", NO_KEY},
    {"a kid that is a path", "{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}", CLAIMS, BY_EMPTY_SECRET, 0, NULL, NULL, "kid", NO_KEY},
    {"a kid in another case", "{\"alg\":\"HS256\",\"kid\":\"HS\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "kid", NO_KEY},
    {"a kid of no bytes", "{\"alg\":\"HS256\",\"kid\":\"\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "kid", "must be a string"},
    {"a kid that is a number", "{\"alg\":\"HS256\",\"kid\":0}", CLAIMS, BY_HS256, 0, NULL, NULL, "kid", "must be a string"},
    {"no kid, no key for it", "{\"alg\":\"ES512\"}", CLAIMS, BY_ES256, 0, NULL, NULL, "alg", NOT_ITS},
    {"no kid, one key, not its alg", "{\"alg\":\"HS384\"}", CLAIMS, BY_HS256, ONLY_HS, NULL, NULL, "alg", NOT_ITS},
    {"crit", "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", CLAIMS, BY_HS256, 0, NULL, NULL, "crit", "not understood"},
    {"an empty crit", "{\"alg\":\"HS256\",\"crit\":[]}", CLAIMS, BY_HS256, 0, NULL, NULL, "crit", "not understood"},
    {"b64 false", "{\"alg\":\"HS256\",\"b64\":false}", CLAIMS, BY_HS256, 0, NULL, NULL, "b64", "not understood"},
    {"b64 true", "{\"alg\":\"HS256\",\"b64\":true}", CLAIMS, BY_HS256, 0, NULL, NULL, "b64", "not understood"},
    {"zip", "{\"alg\":\"HS256\",\"zip\":\"DEF\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "zip", "not understood"},
    {"enc", "{\"alg\":\"HS256\",\"enc\":\"A128GCM\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "enc", "not understood"},
    {"typ of something else", "{\"alg\":\"HS256\",\"typ\":\"JWE\"}", CLAIMS, BY_HS256, 0, NULL, NULL, "typ", "JWT or at+jwt"},
    {"typ that is no string", "{\"alg\":\"HS256\",\"typ\":null}", CLAIMS, BY_HS256, 0, NULL, NULL, "typ", "JWT or at+jwt"},
    {"its own key, embedded", "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg\"}}", CLAIMS, BY_STRANGER, 0, NULL, NULL, "", SIGNATURE},
    {"its own key, embedded, and its kid", "{\"alg\":\"HS256\",\"kid\":\"mine\",\"jwk\":{\"kty\":\"oct\",\"kid\":\"mine\",\"k\":\"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg\"}}", CLAIMS, BY_STRANGER, 0, NULL, NULL, "kid", NO_KEY},
    {"ES256 with another signature", "{\"alg\":\"ES256\",\"kid\":\"es\"}", CLAIMS, BY_ES256, 0, NULL, swap_signature, "", SIGNATURE},
    {"RS256 signed by a secret", RS, CLAIMS, BY_HS256, 0, NULL, NULL, "", SIGNATURE},
    {"ES256 signed by RSA", "{\"alg\":\"ES256\",\"kid\":\"es\"}", CLAIMS, BY_RS256, 0, NULL, NULL, "", SIGNATURE},

    /* ---- times */
    {"expired", HS, "{\"exp\":1799999999}", BY_HS256, 0, NULL, NULL, "exp", "has expired"},
    {"expires now", HS, "{\"exp\":1800000000}", BY_HS256, 0, NULL, NULL, "exp", "has expired"},
    {"expires in a thousandth", HS, "{\"exp\":1800000000.001}", BY_HS256, 0, NULL, NULL, NULL, "sub= jti= exp=1800000000001 roles=0 publish= subscribe= unmatched=0"},
    {"expired in the leeway", HS, "{\"exp\":1799999991}", BY_HS256, LEEWAY, NULL, NULL, NULL, "sub= jti= exp=1800000001000 roles=0 publish= subscribe= unmatched=0"},
    {"expired just at the leeway", HS, "{\"exp\":1799999990}", BY_HS256, LEEWAY, NULL, NULL, "exp", "has expired"},
    {"exp zero", HS, "{\"exp\":0}", BY_HS256, 0, NULL, NULL, "exp", "has expired"},
    {"exp that makes the leeway zero", HS, "{\"exp\":-10}", BY_HS256, LEEWAY, NULL, NULL, "exp", "has expired"},
    {"exp negative", HS, "{\"exp\":-1}", BY_HS256, 0, NULL, NULL, "exp", "has expired"},
    {"exp far below", HS, "{\"exp\":-9007199254740992}", BY_HS256, 0, NULL, NULL, "exp", "has expired"},
    {"exp at the end of the range", HS, "{\"exp\":9007199254740992}", BY_HS256, LEEWAY, NULL, NULL, NULL, "sub= jti= exp=9007199254741002000 roles=0 publish= subscribe= unmatched=0"},
    {"exp beyond the range", HS, "{\"exp\":9007199254740994}", BY_HS256, 0, NULL, NULL, "exp", "out of range"},
    {"exp beyond 64 bits", HS, "{\"exp\":92233720368547758080}", BY_HS256, 0, NULL, NULL, "", NO_NUMBER},
    {"exp as a fraction beyond", HS, "{\"exp\":1e300}", BY_HS256, 0, NULL, NULL, "exp", "out of range"},
    {"exp 1e400", HS, "{\"exp\":1e400}", BY_HS256, 0, NULL, NULL, "", NO_NUMBER},
    {"exp NaN", HS, "{\"exp\":NaN}", BY_HS256, 0, NULL, NULL, "", "the claims of the token"},
    {"exp Infinity", HS, "{\"exp\":Infinity}", BY_HS256, 0, NULL, NULL, "", "the claims of the token"},
    {"exp as a string", HS, "{\"exp\":\"1800000600\"}", BY_HS256, 0, NULL, NULL, "exp", BAD_TIME},
    {"exp null", HS, "{\"exp\":null}", BY_HS256, 0, NULL, NULL, "exp", BAD_TIME},
    {"exp true", HS, "{\"exp\":true}", BY_HS256, 0, NULL, NULL, "exp", BAD_TIME},
    {"exp an object", HS, "{\"exp\":{}}", BY_HS256, 0, NULL, NULL, "exp", BAD_TIME},
    {"no exp, needed", HS, "{\"sub\":\"s\"}", BY_HS256, EXPIRY, NULL, NULL, "exp", "has no exp"},
    {"exp, needed", HS, CLAIMS, BY_HS256, EXPIRY, NULL, NULL, NULL, GRANTED},
    {"not yet good", HS, "{\"nbf\":1800000001}", BY_HS256, 0, NULL, NULL, "nbf", "not good yet"},
    {"good from now", HS, "{\"nbf\":1800000000}", BY_HS256, 0, NULL, NULL, NULL, NOTHING},
    {"not yet good, in the leeway", HS, "{\"nbf\":1800000010}", BY_HS256, LEEWAY, NULL, NULL, NULL, NOTHING},
    {"not yet good, behind the leeway", HS, "{\"nbf\":1800000010.001}", BY_HS256, LEEWAY, NULL, NULL, "nbf", "not good yet"},
    {"nbf as a string", HS, "{\"nbf\":\"0\"}", BY_HS256, 0, NULL, NULL, "nbf", BAD_TIME},
    {"issued in the future", HS, "{\"iat\":1800000011}", BY_HS256, LEEWAY, NULL, NULL, "iat", "in the future"},
    {"issued in the leeway", HS, "{\"iat\":1800000010}", BY_HS256, LEEWAY, NULL, NULL, NULL, NOTHING},
    {"iat as an array", HS, "{\"iat\":[]}", BY_HS256, 0, NULL, NULL, "iat", BAD_TIME},

    /* ---- for whom and by whom */
    {"the audience", HS, "{\"aud\":\"weft\"}", BY_HS256, AUDIENCE, NULL, NULL, NULL, NOTHING},
    {"the audience, one of several", HS, "{\"aud\":[\"other\",\"weft2\"]}", BY_HS256, AUDIENCE, NULL, NULL, NULL, NOTHING},
    {"another audience", HS, "{\"aud\":\"weft3\"}", BY_HS256, AUDIENCE, NULL, NULL, "aud", "another audience"},
    {"other audiences", HS, "{\"aud\":[\"wef\",\"Weft\"]}", BY_HS256, AUDIENCE, NULL, NULL, "aud", "another audience"},
    {"no audience", HS, CLAIMS, BY_HS256, AUDIENCE, NULL, NULL, "aud", "another audience"},
    {"no audience in an array", HS, "{\"aud\":[]}", BY_HS256, AUDIENCE, NULL, NULL, "aud", "another audience"},
    {"an audience that nobody asks for", HS, "{\"aud\":\"x\"}", BY_HS256, 0, NULL, NULL, NULL, NOTHING},
    {"aud a number", HS, "{\"aud\":7}", BY_HS256, 0, NULL, NULL, "aud", "array of strings"},
    {"aud with a number", HS, "{\"aud\":[\"weft\",7]}", BY_HS256, AUDIENCE, NULL, NULL, "aud", "array of strings"},
    {"aud null", HS, "{\"aud\":null}", BY_HS256, 0, NULL, NULL, "aud", "array of strings"},
    {"the issuer", HS, "{\"iss\":\"https://issuer\"}", BY_HS256, ISSUER, NULL, NULL, NULL, NOTHING},
    {"another issuer", HS, "{\"iss\":\"https://issuer/\"}", BY_HS256, ISSUER, NULL, NULL, "iss", "another issuer"},
    {"no issuer", HS, CLAIMS, BY_HS256, ISSUER, NULL, NULL, "iss", "another issuer"},
    {"iss an array", HS, "{\"iss\":[\"https://issuer\"]}", BY_HS256, ISSUER, NULL, NULL, "iss", "must be a string"},
    {"sub a number", HS, "{\"sub\":7}", BY_HS256, 0, NULL, NULL, "sub", NAME},
    {"sub of no bytes", HS, "{\"sub\":\"\"}", BY_HS256, 0, NULL, NULL, "sub", NAME},
    {"sub null", HS, "{\"sub\":null}", BY_HS256, 0, NULL, NULL, "sub", NAME},
    {"sub beyond ASCII", HS, "{\"sub\":\"J\xc3\xbcrgen\"}", BY_HS256, 0, NULL, NULL, NULL, "sub=J\xc3\xbcrgen jti= exp=0 roles=0 publish= subscribe= unmatched=0"},
    {"jti with a line break", HS, "{\"jti\":\"a\\nb\"}", BY_HS256, 0, NULL, NULL, "jti", NAME},
    {"jti with DEL", HS, "{\"jti\":\"a\\u007f\"}", BY_HS256, 0, NULL, NULL, "jti", NAME},
    {"jti", HS, "{\"jti\":\"a-b\"}", BY_HS256, 0, NULL, NULL, NULL, "sub= jti=a-b exp=0 roles=0 publish= subscribe= unmatched=0"},

    /* ---- what is granted */
    {"weft", HS, "{\"weft\":{\"publish\":[\"a\",\"b:*\"],\"subscribe\":[\"*\"],\"roles\":[\"operator\"]}}", BY_HS256, 0, NULL, NULL, NULL, "sub= jti= exp=0 roles=1 publish=a,b:* subscribe=* unmatched=0"},
    {"an empty weft", HS, "{\"weft\":{}}", BY_HS256, 0, NULL, NULL, NULL, NOTHING},
    {"weft with more", HS, "{\"weft\":{\"publish\":[\"a\"],\"later\":{\"x\":1}}}", BY_HS256, 0, NULL, NULL, NULL, "sub= jti= exp=0 roles=0 publish=a subscribe= unmatched=0"},
    {"unknown roles", HS, "{\"weft\":{\"roles\":[\"Operator\",\"root\",\"\"]}}", BY_HS256, 0, NULL, NULL, NULL, NOTHING},
    {"mercure", HS, "{\"mercure\":{\"publish\":[\"*\"],\"subscribe\":[\"a\",\"https://example.com/{id}\",\"\",\"b:*\"],\"payload\":{\"x\":1}}}", BY_HS256, 0, NULL, NULL, NULL, "sub= jti= exp=0 roles=0 publish=* subscribe=a,b:* unmatched=2"},
    {"both", HS, "{\"mercure\":{\"subscribe\":[\"m\"],\"roles\":[\"operator\"]},\"weft\":{\"subscribe\":[\"w\"]}}", BY_HS256, 0, NULL, NULL, NULL, "sub= jti= exp=0 roles=0 publish= subscribe=w,m unmatched=0"},
    {"weft a string", HS, "{\"weft\":\"*\"}", BY_HS256, 0, NULL, NULL, "weft", "must be an object"},
    {"weft an array", HS, "{\"weft\":[]}", BY_HS256, 0, NULL, NULL, "weft", "must be an object"},
    {"weft null", HS, "{\"weft\":null}", BY_HS256, 0, NULL, NULL, "weft", "must be an object"},
    {"mercure a string", HS, "{\"mercure\":\"*\"}", BY_HS256, 0, NULL, NULL, "mercure", "must be an object"},
    {"publish a string", HS, "{\"weft\":{\"publish\":\"*\"}}", BY_HS256, 0, NULL, NULL, "weft.publish", STRINGS},
    {"publish null", HS, "{\"weft\":{\"publish\":null}}", BY_HS256, 0, NULL, NULL, "weft.publish", STRINGS},
    {"publish with a number", HS, "{\"weft\":{\"publish\":[\"a\",1]}}", BY_HS256, 0, NULL, NULL, "weft.publish", STRINGS},
    {"subscribe an object", HS, "{\"weft\":{\"subscribe\":{}}}", BY_HS256, 0, NULL, NULL, "weft.subscribe", STRINGS},
    {"mercure's publish a string", HS, "{\"mercure\":{\"publish\":\"*\"}}", BY_HS256, 0, NULL, NULL, "mercure.publish", STRINGS},
    {"roles a string", HS, "{\"weft\":{\"roles\":\"operator\"}}", BY_HS256, 0, NULL, NULL, "weft.roles", STRINGS},
    {"roles with a number", HS, "{\"weft\":{\"roles\":[1]}}", BY_HS256, 0, NULL, NULL, "weft.roles", STRINGS},
    {"a glob with a slash", HS, "{\"weft\":{\"publish\":[\"a/b\"]}}", BY_HS256, 0, NULL, NULL, "weft.publish", "must have globs"},
    {"a glob with a question mark", HS, "{\"weft\":{\"subscribe\":[\"a?\"]}}", BY_HS256, 0, NULL, NULL, "weft.subscribe", "must have globs"},
    {"a glob of no bytes", HS, "{\"weft\":{\"subscribe\":[\"\"]}}", BY_HS256, 0, NULL, NULL, "weft.subscribe", "must have globs"},
    {"a glob beyond ASCII", HS, "{\"weft\":{\"subscribe\":[\"\xc3\xa9\"]}}", BY_HS256, 0, NULL, NULL, "weft.subscribe", "must have globs"},
};
/* clang-format on */

static struct {
    struct weft_keyring *ring;
    struct weft_keyring *only_hs;
    struct weft_keyring *only_rs;
    struct weft_buf token;
} test;

static int check(const struct weft_buf *token, unsigned how, struct weft_grant **ret,
                 struct weft_err *err)
{
    static const struct weft_str audiences[] = {{"weft", 4}, {"weft2", 5}};
    static const struct weft_str issuers[] = {{"https://issuer", 14}};
    const struct weft_keyring *ring = (how & ONLY_HS) != 0   ? test.only_hs
                                      : (how & ONLY_RS) != 0 ? test.only_rs
                                                             : test.ring;
    struct weft_token_policy policy = tokens_policy();
    /* Of exactly this size, so that a sanitizer sees who reads on. */
    char *exact = malloc(token->len > 0 ? token->len : 1);
    int rc;

    memcpy(exact, token->data, token->len);
    policy.leeway_s = (how & LEEWAY) != 0 ? 10 : 0;
    policy.needs_expiry = (how & EXPIRY) != 0;
    policy.audiences = audiences;
    policy.n_audiences = (how & AUDIENCE) != 0 ? 2 : 0;
    policy.issuers = issuers;
    policy.n_issuers = (how & ISSUER) != 0 ? 1 : 0;
    *err = (struct weft_err){.message = ""};
    rc = weft_token_check(ring, weft_str(exact, token->len), &policy, ret, err);
    free(exact);
    return rc;
}

static void make(const struct row *row)
{
    weft_buf_clear(&test.token);
    tokens_base64url(&test.token, row->header, strlen(row->header));
    weft_buf_puts(&test.token, ".");
    tokens_base64url(&test.token, row->claims, strlen(row->claims));
    if (row->before != NULL) {
        row->before(&test.token);
    }
    tokens_sign_text(&test.token, row->by);
    if (row->after != NULL) {
        row->after(&test.token);
    }
}

static void granted(const struct row *row, struct weft_grant *grant)
{
    struct weft_buf text;

    weft_buf_init(&text, 65536);
    tokens_describe(&text, grant);
    if (row->field != NULL || strcmp(text.data, row->outcome) != 0) {
        fail_msg("%s: granted %s", row->what, text.data);
    }
    weft_buf_fini(&text);
    weft_grant_unref(grant);
}

static void the_table(void **state)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct weft_grant *grant = NULL;
        struct weft_err err;

        make(row);
        if (check(&test.token, row->how, &grant, &err) == 0) {
            granted(row, grant);
        } else if (row->field == NULL || strcmp(err.field, row->field) != 0 ||
                   strstr(err.message, row->outcome) == NULL) {
            fail_msg("%s: refused, %s: %s", row->what, err.field, err.message);
        } else {
            assert_null(grant);
        }
    }
}

static void codes(void **state)
{
    static const struct {
        const char *header, *claims;
        edit *after;
        int code;
    } cases[] = {
        {HS, CLAIMS, to_8193, WEFT_ETOOBIG},
        {HS, "{\"exp\":1}", NULL, WEFT_ETIMEOUT},
        {"{\"alg\":\"HS256\",\"kid\":\"x\"}", CLAIMS, NULL, WEFT_ENOTFOUND},
        {HS, "{\"nbf\":1900000000}", NULL, WEFT_EINVAL},
        {HS, CLAIMS, extra_dot, WEFT_EINVAL},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct row row = {
            "", cases[i].header, cases[i].claims, BY_HS256, 0, NULL, cases[i].after, NULL, NULL};
        struct weft_grant *grant = NULL;
        struct weft_err err;

        make(&row);
        assert_int_equal(check(&test.token, 0, &grant, &err), cases[i].code);
        assert_int_equal(err.code, cases[i].code);
    }
}

/* What of a token gets into a message: nothing, however it is wrong. */
static void messages_quote_nothing(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"SECRET\"}",
        "{\"alg\":\"HS256\",\"kid\":\"SECRET\"}",
        "{\"alg\":\"HS256\",\"SECRET\":1,\"SECRET\":2}",
        "{\"alg\":\"HS256\",SECRET}",
        "{\"alg\":\"HS256\",\"typ\":\"SECRET\"}",
    };
    static const char *const claims[] = {
        "{\"SECRET\":1,\"SECRET\":2}",
        "{\"SECRET\":SECRET}",
        "{\"SECRET\\u0000\":1}",
        "{\"sub\":\"SECRET\\n\"}",
        "{\"exp\":\"SECRET\"}",
        "{\"aud\":\"SECRET\"}",
        "{\"iss\":\"SECRET\"}",
        "{\"weft\":\"SECRET\"}",
        "{\"weft\":{\"publish\":[\"SECRET/\"]}}",
    };
    struct weft_grant *grant = NULL;
    struct weft_err err;

    for (size_t i = 0; i < WEFT_COUNT_OF(headers) + WEFT_COUNT_OF(claims); i++) {
        bool in_header = i < WEFT_COUNT_OF(headers);
        const char *header = in_header ? headers[i] : HS;
        const char *text = in_header ? CLAIMS : claims[i - WEFT_COUNT_OF(headers)];

        tokens_sign(&test.token, weft_str(header, strlen(header)), weft_str(text, strlen(text)),
                    BY_HS256);
        assert_int_not_equal(check(&test.token, AUDIENCE | ISSUER, &grant, &err), 0);
        assert_string_not_equal(err.message, "");
        if (strstr(err.message, "SECRET") != NULL || strstr(err.field, "SECRET") != NULL) {
            fail_msg("%s: %s", err.field, err.message);
        }
    }
}

/* {"weft":{"<member>":["t0","t1",...]}} */
static void claim_of_globs(struct weft_buf *out, const char *claim, const char *member, int n)
{
    weft_buf_printf(out, "\"%s\":{\"%s\":[", claim, member);
    for (int i = 0; i < n; i++) {
        weft_buf_printf(out, "%s\"t%d\"", i > 0 ? "," : "", i);
    }
    weft_buf_puts(out, "]}");
}

static void two_hundred_globs_and_one(void **state)
{
    static const struct {
        int weft, mercure;
        const char *field;
    } cases[] = {
        {200, 0, NULL},
        {201, 0, "weft.publish"},
        {100, 100, NULL},
        {100, 101, "mercure.publish"},
        {0, 201, "mercure.publish"},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_grant *grant = NULL;
        struct weft_err err;
        struct weft_buf claims;

        weft_buf_init(&claims, 65536);
        weft_buf_puts(&claims, "{");
        claim_of_globs(&claims, "weft", "publish", cases[i].weft);
        weft_buf_puts(&claims, ",");
        claim_of_globs(&claims, "mercure", "publish", cases[i].mercure);
        weft_buf_puts(&claims, "}");
        tokens_sign(&test.token, WEFT_STR(HS), weft_str(claims.data, claims.len), BY_HS256);
        assert_int_equal(check(&test.token, 0, &grant, &err) == 0, cases[i].field == NULL);
        if (cases[i].field != NULL) {
            assert_string_equal(err.field, cases[i].field);
            assert_non_null(strstr(err.message, "more than 200"));
        } else {
            assert_int_equal(grant->is.publish.n, 200);
            weft_grant_unref(grant);
        }
        weft_buf_fini(&claims);
    }
}

static void nested_deeply(void **state)
{
    for (int depth = 15; depth <= 1000; depth += depth == 15 ? 1 : 492) {
        struct weft_grant *grant = NULL;
        struct weft_err err;
        struct weft_buf claims;

        weft_buf_init(&claims, 65536);
        weft_buf_puts(&claims, "{\"x\":");
        for (int i = 0; i < depth; i++) {
            weft_buf_puts(&claims, "[");
        }
        for (int i = 0; i < depth; i++) {
            weft_buf_puts(&claims, "]");
        }
        weft_buf_puts(&claims, "}");
        tokens_sign(&test.token, WEFT_STR(HS), weft_str(claims.data, claims.len), BY_HS256);
        if (depth == 15) {
            assert_int_equal(check(&test.token, 0, &grant, &err), 0);
            weft_grant_unref(grant);
        } else {
            assert_int_equal(check(&test.token, 0, &grant, &err), WEFT_EINVAL);
            assert_non_null(strstr(err.message, "nested too deeply"));
        }
        weft_buf_fini(&claims);
    }
}

static void names_of_200_bytes(void **state)
{
    static const char *const names[] = {"sub", "jti"};
    char text[256];

    for (size_t i = 0; i < 4; i++) {
        struct weft_grant *grant = NULL;
        struct weft_err err;
        int len =
            snprintf(text, sizeof(text), "{\"%s\":\"%0*d\"}", names[i / 2], 200 + (int)(i % 2), 0);

        tokens_sign(&test.token, WEFT_STR(HS), weft_str(text, (size_t)len), BY_HS256);
        assert_int_equal(check(&test.token, 0, &grant, &err) == 0, i % 2 == 0);
        weft_grant_unref(grant);
    }
}

/* A good token of exactly the longest length. */
static void as_long_as_can_be(void **state)
{
    struct weft_grant *grant = NULL;
    struct weft_err err;
    struct weft_buf claims;

    weft_buf_init(&claims, 65536);
    for (int pad = 6000; test.token.len != WEFT_TOKEN_BYTES_MAX; pad++) {
        weft_buf_clear(&claims);
        weft_buf_printf(&claims, "{\"x\":\"%0*d\"}", pad, 0);
        tokens_sign(&test.token, WEFT_STR(HS), weft_str(claims.data, claims.len), BY_HS256);
        assert_true(test.token.len <= WEFT_TOKEN_BYTES_MAX);
    }
    assert_int_equal(check(&test.token, 0, &grant, &err), 0);
    weft_grant_unref(grant);
    weft_buf_fini(&claims);
}

/* Eight keys are tried for a token that does not say which; of nine it has to say. */
static void without_kid_some_keys_are_tried(void **state)
{
    for (int n = WEFT_TOKEN_TRIES_MAX; n <= WEFT_TOKEN_TRIES_MAX + 1; n++) {
        char *last = tokens_one("hs", false);
        struct weft_token_policy policy = tokens_policy();
        struct weft_grant *grant = NULL;
        struct weft_keyring *ring;
        struct weft_err err;
        struct weft_buf set;
        int rc;

        weft_buf_init(&set, 65536);
        weft_buf_puts(&set, "{\"keys\":[");
        for (int i = 1; i < n; i++) {
            unsigned char secret[32] = {(unsigned char)i};

            weft_buf_puts(&set, "{\"kty\":\"oct\",\"k\":\"");
            tokens_base64url(&set, secret, sizeof(secret));
            weft_buf_puts(&set, "\"},");
        }
        weft_buf_puts(&set, strchr(last, '[') + 1);
        ring = tokens_ring(weft_str(set.data, set.len));
        assert_int_equal(weft_keyring_count(ring), n);
        tokens_sign(&test.token, WEFT_STR("{\"alg\":\"HS256\"}"), WEFT_STR("{}"), BY_HS256);
        rc = weft_token_check(ring, weft_str(test.token.data, test.token.len), &policy, &grant,
                              &err);
        if (n == WEFT_TOKEN_TRIES_MAX) {
            assert_int_equal(rc, 0);
        } else {
            assert_int_equal(rc, WEFT_EINVAL);
            assert_string_equal(err.field, "kid");
        }
        weft_grant_unref(grant);
        weft_keyring_unref(ring);
        weft_buf_fini(&set);
        free(last);
    }
}

static void read_without_a_key(void **state)
{
    struct weft_buf header, claims;
    struct weft_err err;

    weft_buf_init(&header, 4096);
    weft_buf_init(&claims, 4096);
    tokens_sign(&test.token, WEFT_STR("{ \"alg\":\"none\" }"), WEFT_STR("{\"a\": 1 }"),
                BY_STRANGER);
    assert_int_equal(
        weft_token_read(weft_str(test.token.data, test.token.len), &header, &claims, &err), 0);
    assert_string_equal(header.data, "{\"alg\":\"none\"}");
    assert_string_equal(claims.data, "{\"a\":1}");
    assert_int_equal(weft_token_read(weft_str(test.token.data, test.token.len), NULL, NULL, &err),
                     0);
    assert_int_equal(weft_token_read(WEFT_STR("a.b"), &header, &claims, &err), WEFT_EINVAL);
    weft_buf_fini(&header);
    weft_buf_fini(&claims);
}

static int set_up(void **state)
{
    char *hs, *rs;

    tokens_init();
    hs = tokens_one("hs", true);
    rs = tokens_one("rs", false);
    test.ring = tokens_ring(tokens_set());
    test.only_hs = tokens_ring(weft_str(hs, strlen(hs)));
    test.only_rs = tokens_ring(weft_str(rs, strlen(rs)));
    free(hs);
    free(rs);
    weft_buf_init(&test.token, 4 * 1024 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    weft_keyring_unref(test.ring);
    weft_keyring_unref(test.only_hs);
    weft_keyring_unref(test.only_rs);
    weft_buf_fini(&test.token);
    tokens_fini();
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table),
        cmocka_unit_test(codes),
        cmocka_unit_test(messages_quote_nothing),
        cmocka_unit_test(two_hundred_globs_and_one),
        cmocka_unit_test(nested_deeply),
        cmocka_unit_test(names_of_200_bytes),
        cmocka_unit_test(as_long_as_can_be),
        cmocka_unit_test(without_kid_some_keys_are_tried),
        cmocka_unit_test(read_without_a_key),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
