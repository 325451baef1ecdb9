/* JWK sets: what is a key, what is skipped, what makes all of it wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weft/base/assert.h>

#include "keyring_priv.h"
#include "tokens.h"

/* clang-format off */
#define K31 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define K32 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define OCT "\"kty\":\"oct\",\"k\":\"" K32 "\""
/* RFC 7515, A.3 */
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC  "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""
/* RFC 7515, A.2 */
#define RSA_N "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RSA "\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\""
#define RSA_1024 "4fBWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kk"
#define ONE(key) "{\"keys\":[{" key "}]}"
/* clang-format on */

struct row {
    const char *json;
    size_t count, skipped;
    const char *field; /* NULL: it is a keyring */
    const char *message;
};

/* clang-format off */
static const struct row rows[] = {
    {ONE(OCT), 1, 0, NULL, NULL},
    {ONE(EC), 1, 0, NULL, NULL},
    {ONE(RSA), 1, 0, NULL, NULL},
    {ONE(RSA ",\"alg\":\"PS384\",\"use\":\"sig\",\"key_ops\":[\"verify\"],\"kid\":\"k\",\"x5t\":\"x\""), 1, 0, NULL, NULL},
    {ONE(EC ",\"alg\":\"ES256\",\"key_ops\":[\"sign\",\"verify\"]"), 1, 0, NULL, NULL},
    {ONE(OCT ",\"kid\":\"a\"},{" OCT ",\"kid\":\"b\"},{" RSA), 3, 0, NULL, NULL},
    {ONE(OCT "},{" OCT), 2, 0, NULL, NULL}, /* two without a kid */
    {"{\"issuer\":\"x\",\"keys\":[{" OCT "}]}", 1, 0, NULL, NULL},
    {ONE("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"},{" OCT), 1, 1, NULL, NULL},
    {ONE(RSA ",\"use\":\"enc\"},{" OCT), 1, 1, NULL, NULL},
    {ONE(RSA ",\"alg\":\"RSA-OAEP\"},{" OCT), 1, 1, NULL, NULL},
    {ONE(OCT ",\"key_ops\":[\"sign\"]},{" OCT), 1, 1, NULL, NULL},
    {ONE("\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AAAA\",\"y\":\"AAAA\"},{" OCT), 1, 1, NULL, NULL},
    {ONE(OCT ",\"kid\":\"a\",\"use\":\"enc\"},{" OCT ",\"kid\":\"a\""), 1, 1, NULL, NULL},

    {"", 0, 0, "", "not valid JSON"},
    {"{\"keys\":[{" OCT "}]", 0, 0, "", "not valid JSON"},
    {"[]", 0, 0, "keys", "must be an array"},
    {"{}", 0, 0, "keys", "must be an array"},
    {"{" OCT "}", 0, 0, "keys", "must be an array"},
    {"{\"keys\":{}}", 0, 0, "keys", "must be an array"},
    {"{\"keys\":[]}", 0, 0, "keys", "no key"},
    {"{\"keys\":[],\"keys\":[{" OCT "}]}", 0, 0, "", "not valid JSON"},
    {ONE(OCT ",\"kty\":\"RSA\""), 0, 0, "", "not valid JSON"},
    {"{\"keys\":[7]}", 0, 0, "keys[0]", "must be an object"},
    {ONE(""), 0, 0, "keys[0].kty", "must be a string"},
    {ONE("\"kty\":1"), 0, 0, "keys[0].kty", "must be a string"},
    {ONE("\"kty\":\"OKP\""), 0, 0, "keys", "no key that can check signatures (1 of another kind)"},
    {ONE(OCT ",\"use\":\"enc\""), 0, 0, "keys", "no key"},
    {ONE("\"kty\":\"oct\""), 0, 0, "keys[0].k", "must be base64url"},
    {ONE("\"kty\":\"oct\",\"k\":\"\""), 0, 0, "keys[0].k", "must be base64url"},
    {ONE("\"kty\":\"oct\",\"k\":\"" K32 "=\""), 0, 0, "keys[0].k", "must be base64url"},
    {ONE("\"kty\":\"oct\",\"k\":\"" K31 "+\""), 0, 0, "keys[0].k", "must be base64url"},
    {ONE("\"kty\":\"oct\",\"k\":\"" K31 "B\""), 0, 0, "keys[0].k", "must be base64url"},
    {ONE("\"kty\":\"oct\",\"k\":7"), 0, 0, "keys[0].k", "must be base64url"},
    {ONE("\"kty\":\"oct\",\"k\":\"" K31 "\""), 0, 0, "keys[0].k", "too short"},
    {ONE(OCT ",\"alg\":\"HS384\""), 0, 0, "keys[0].alg", "longer key"},
    {ONE(OCT ",\"alg\":\"RS256\""), 0, 0, "keys[0].alg", "does not go with"},
    {ONE(RSA ",\"alg\":\"HS256\""), 0, 0, "keys[0].alg", "does not go with"},
    {ONE(EC ",\"alg\":\"ES384\""), 0, 0, "keys[0].alg", "does not go with"},
    {ONE(OCT ",\"alg\":7"), 0, 0, "keys[0].alg", "must be a string"},
    {ONE(OCT ",\"use\":[]"), 0, 0, "keys[0].use", "must be a string"},
    {ONE(OCT ",\"key_ops\":\"verify\""), 0, 0, "keys[0].key_ops", "must be an array"},
    {ONE(OCT ",\"kid\":7"), 0, 0, "keys[0].kid", "must be a string"},
    {ONE(OCT ",\"kid\":\"\""), 0, 0, "keys[0].kid", "must be a string"},
    {ONE(OCT ",\"kid\":\"a\\nb\""), 0, 0, "keys[0].kid", "must be a string"},
    {ONE(OCT ",\"kid\":\"a\"},{" RSA ",\"kid\":\"a\""), 0, 0, "keys[1]", "the kid of a key before"},
    {ONE("\"kty\":\"RSA\",\"e\":\"AQAB\""), 0, 0, "keys[0].n", "must be base64url"},
    {ONE("\"kty\":\"RSA\",\"n\":\"" RSA_N "\""), 0, 0, "keys[0].e", "must be base64url"},
    {ONE("\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\""), 0, 0, "keys[0].e", "odd number"},
    {ONE("\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"Ag\""), 0, 0, "keys[0].e", "odd number"},
    {ONE("\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AAAAAAAAAAAB\""), 0, 0, "keys[0].e", "odd number"},
    {ONE("\"kty\":\"RSA\",\"n\":\"" RSA_1024 "\",\"e\":\"AQAB\""), 0, 0, "keys[0].n", "too short"},
    {ONE("\"kty\":\"EC\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""), 0, 0, "keys[0].crv", "P-256"},
    {ONE("\"kty\":\"EC\",\"crv\":\"P-256\",\"y\":\"" EC_Y "\""), 0, 0, "keys[0].x", "must be base64url"},
    {ONE("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\""), 0, 0, "keys[0].y", "must be base64url"},
    {ONE("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X "\""), 0, 0, "keys[0].x", "no point"},
    {ONE("\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""), 0, 0, "keys[0].x", "no point"},
};
/* clang-format on */

static void the_table(void **state)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct weft_keyring *ring = NULL;
        struct weft_err err = {.message = ""};
        int rc = weft_keyring_parse(&ring, weft_str(row->json, strlen(row->json)), &err);

        if (rc != 0 ? row->field == NULL || strcmp(err.field, row->field) != 0 ||
                          strstr(err.message, row->message) == NULL
                    : row->field != NULL || weft_keyring_count(ring) != row->count ||
                          weft_keyring_skipped(ring) != row->skipped) {
            fail_msg("%s: %d %s: %s", row->json, rc, err.field, err.message);
        }
        if (strstr(err.message, "AAAA") != NULL || strstr(err.message, "f83O") != NULL) {
            fail_msg("it quotes a key: %s", err.message);
        }
        weft_keyring_unref(ring);
    }
}

/* What is kept of a private key is its public half; what it may be used for is decided. */
static void only_what_is_needed(void **state)
{
    struct weft_keyring *ring = tokens_ring(tokens_private_set());
    static const unsigned n_algs[] = {1, 3, 1, 1};

    assert_int_equal(weft_keyring_count(ring), 4);
    for (size_t i = 0; i < ring->n; i++) {
        const json_t *jwk = ring->keys[i].jwk;
        const char *name;
        json_t *value;

        json_object_foreach((json_t *)(uintptr_t)jwk, name, value) {
            assert_non_null(strstr(" kty kid k n e crv x y ", name));
        }
        assert_int_equal(__builtin_popcount(ring->keys[i].algs), n_algs[i]);
        assert_int_equal(ring->keys[i].kid.len > 0, true);
    }
    weft_keyring_unref(ring);
}

static void a_hundred_keys(void **state)
{
    for (int n = 100; n <= 101; n++) {
        struct weft_keyring *ring = NULL;
        struct weft_err err;
        struct weft_buf set;
        int rc;

        weft_buf_init(&set, 65536);
        weft_buf_puts(&set, "{\"keys\":[");
        for (int i = 0; i < n; i++) {
            weft_buf_printf(&set, "%s{" OCT ",\"kid\":\"k%d\"}", i > 0 ? "," : "", i);
        }
        weft_buf_puts(&set, "]}");
        rc = weft_keyring_parse(&ring, weft_str(set.data, set.len), &err);
        assert_int_equal(rc, n == 100 ? 0 : WEFT_ETOOBIG);
        assert_int_equal(n == 100 ? weft_keyring_count(ring) : 0, n == 100 ? 100 : 0);
        weft_keyring_unref(ring);
        weft_buf_fini(&set);
    }
}

static void counted(void **state)
{
    struct weft_keyring *ring = tokens_ring(tokens_set());

    assert_ptr_equal(weft_keyring_ref(ring), ring);
    weft_keyring_unref(ring);
    assert_int_equal(weft_keyring_count(ring), 4);
    weft_keyring_unref(ring);
    weft_keyring_unref(NULL);
}

static int set_up(void **state)
{
    tokens_init();
    return 0;
}

static int tear_down(void **state)
{
    tokens_fini();
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table),
        cmocka_unit_test(only_what_is_needed),
        cmocka_unit_test(a_hundred_keys),
        cmocka_unit_test(counted),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
