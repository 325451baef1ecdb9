/*
 * A token, or a header and claims that are signed here: the checker holds to its bounds, and nothing is
 * granted that was not signed. With one keyring that has a key of each kind.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jose/b64.h>
#include <openssl/hmac.h>

#include <weft/auth/token.h>
#include <weft/base/assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 7515, A.1 to A.3; the secret of A.1 is what is signed with. */
static const char set[] =
    "{\"keys\":["
    "{\"kty\":\"oct\",\"kid\":\"hs\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75"
    "aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"},"
    "{\"kty\":\"RSA\",\"kid\":\"rs\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26m"
    "PddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9"
    "wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxv"
    "b3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuX"
    "poQ\",\"e\":\"AQAB\"},"
    "{\"kty\":\"EC\",\"kid\":\"es\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPH"
    "vRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static const unsigned char secret[] = {
    3,   35,  53, 75,  43,  15, 165, 188, 131, 126, 6,   101, 119, 123, 166, 143,
    90,  179, 40, 230, 240, 84, 201, 40,  169, 15,  132, 178, 210, 80,  46,  191,
    211, 251, 90, 146, 210, 6,  71,  239, 150, 138, 180, 195, 119, 98,  61,  34,
    61,  46,  33, 114, 5,   46, 79,  8,   192, 205, 154, 245, 103, 208, 128, 163,
};

static struct weft_keyring *ring(void)
{
    static struct weft_keyring *made;

    if (made == NULL)
        WEFT_ASSERT(weft_keyring_parse(&made, weft_str(set, sizeof(set) - 1), NULL) == 0);
    return made;
}

static bool is_signed(struct weft_str token)
{
    unsigned char sig[64], given[64];
    unsigned int len = 0;
    const char *dot = memrchr(token.p, '.', token.len);
    size_t text = (size_t)(dot - token.p);

    WEFT_ASSERT(jose_b64_dec_buf(dot + 1, token.len - text - 1, given, sizeof(given)) <= 64);
    for (int bits = 256; bits <= 512; bits += 128) {
        const EVP_MD *md = bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384() : EVP_sha512();

        HMAC(md, secret, sizeof(secret), (const unsigned char *)token.p, text, sig, &len);
        if (memcmp(sig, given, len) == 0)
            return true;
    }
    return false;
}

static void check(struct weft_str token)
{
    static const struct weft_str audience = {"weft", 4};
    struct weft_token_policy policy = {.now_ms = INT64_C(1800000000000), .leeway_s = 10};
    struct weft_err err = {.message = ""};
    struct weft_grant *grant = NULL;
    char *exact = malloc(token.len > 0 ? token.len : 1);

    WEFT_ASSERT(exact != NULL);
    memcpy(exact, token.p, token.len);
    policy.audiences = &audience;
    policy.n_audiences = token.len % 2;
    policy.needs_expiry = token.len % 3 == 0;
    if (weft_token_check(ring(), weft_str(exact, token.len), &policy, &grant, &err) != 0) {
        WEFT_ASSERT(grant == NULL && err.message[0] != '\0' && err.code < 0);
        free(exact);
        return;
    }
    WEFT_ASSERT(is_signed(token) && token.len <= WEFT_TOKEN_BYTES_MAX);
    free(exact);
    WEFT_ASSERT(grant->is.expires_ms == 0 || grant->is.expires_ms > policy.now_ms);
    WEFT_ASSERT(grant->is.publish.n <= WEFT_GRANT_GLOBS_MAX);
    WEFT_ASSERT(grant->is.jti.len <= WEFT_GRANT_NAME_MAX);
    /* Who may subscribe to a prefix may subscribe to each topic that begins with it. */
    for (size_t i = 0; i < grant->is.subscribe.n; i++) {
        struct weft_str glob = grant->is.subscribe.items[i];

        WEFT_ASSERT(weft_grant_glob_valid(glob));
        if (memchr(glob.p, '*', glob.len) == NULL)
            WEFT_ASSERT(weft_grant_may_subscribe(grant, glob));
        else if (memchr(glob.p, '*', glob.len) == glob.p + glob.len - 1)
            WEFT_ASSERT(weft_grant_may_subscribe(grant, glob));
    }
    weft_grant_unref(grant);
}

static void append(struct weft_buf *token, const uint8_t *bytes, size_t len)
{
    char *room = weft_buf_reserve(token, len * 2 + 4);
    size_t n = jose_b64_enc_buf(bytes, len, NULL, 0);

    WEFT_ASSERT(room != NULL && jose_b64_enc_buf(bytes, len, room, len * 2 + 4) == n);
    token->len += n;
}

/* `header LF claims`, signed. */
static void sign(const uint8_t *data, size_t size, const uint8_t *lf)
{
    size_t header = (size_t)(lf - data);
    unsigned char sig[64];
    unsigned int len = 0;
    struct weft_buf token;

    weft_buf_init(&token, 1 << 24);
    append(&token, data, header);
    weft_buf_puts(&token, ".");
    append(&token, lf + 1, size - header - 1);
    HMAC(size % 2 == 0 ? EVP_sha256() : EVP_sha512(), secret, sizeof(secret),
         (const unsigned char *)token.data, token.len, sig, &len);
    weft_buf_puts(&token, ".");
    append(&token, sig, len);
    check(weft_str(token.data, token.len));
    weft_buf_fini(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *lf = size > 0 ? memchr(data, '\n', size) : NULL;

    check(weft_str((const char *)data, size));
    if (lf != NULL)
        sign(data, size, lf);
    return 0;
}
