/*
 * A key of each algorithm: made, made public, signed with, checked; and no byte of a token can be
 * another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weft/auth/sign.h>
#include <weft/base/assert.h>

#include "tokens.h"

#define CLAIMS                                                                        \
    "{\"exp\":1800000600,\"sub\":\"s\",\"jti\":\"j\",\"weft\":{\"publish\":[\"a*\"]," \
    "\"subscribe\":[\"b\"],\"roles\":[\"operator\"]}}"
#define GRANTED "sub=s jti=j exp=1800000600000 roles=1 publish=a* subscribe=b unmatched=0"

static struct weft_str str(const struct weft_buf *b)
{
    return weft_str(b->data, b->len);
}

static int check(const struct weft_keyring *ring, struct weft_str token)
{
    struct weft_token_policy policy = tokens_policy();
    struct weft_grant *grant = NULL;
    struct weft_buf text;
    int rc = weft_token_check(ring, token, &policy, &grant, NULL);

    if (rc == 0) {
        weft_buf_init(&text, 4096);
        tokens_describe(&text, grant);
        assert_string_equal(text.data, GRANTED);
        weft_buf_fini(&text);
        weft_grant_unref(grant);
    }
    return rc;
}

/* Every byte as some others, in the alphabet and out of it; and each bit of it flipped. */
static void mutate(const struct weft_keyring *ring, struct weft_buf *token, bool all)
{
    for (size_t at = 0; at < token->len; at++) {
        char was = token->data[at];

        for (int to = 0; to < 256; to++) {
            int bits = to ^ (unsigned char)was;

            if ((!all && (bits & (bits - 1)) != 0) || bits == 0) {
                continue;
            }
            token->data[at] = (char)to;
            if (check(ring, str(token)) == 0) {
                fail_msg("byte %zu as %d", at, to);
            }
        }
        token->data[at] = was;
    }
}

/* A byte left out, a byte twice. */
static void shift(const struct weft_keyring *ring, const struct weft_buf *token)
{
    char *other = malloc(token->len + 1);

    for (size_t at = 0; at < token->len; at++) {
        memcpy(other, token->data, at);
        memcpy(other + at, token->data + at + 1, token->len - at - 1);
        assert_int_not_equal(check(ring, weft_str(other, token->len - 1)), 0);
        memcpy(other, token->data, at + 1);
        memcpy(other + at + 1, token->data + at, token->len - at);
        assert_int_not_equal(check(ring, weft_str(other, token->len + 1)), 0);
    }
    free(other);
}

struct made {
    struct weft_buf set, public_set, token;
    struct weft_keyring *ring;
};

static void make(struct made *m, const char *alg)
{
    size_t secret;

    weft_buf_init(&m->set, 65536);
    weft_buf_init(&m->public_set, 65536);
    weft_buf_init(&m->token, 65536);
    assert_int_equal(weft_sign_make_key(&m->set, weft_str(alg, 5), WEFT_STR("k"), NULL), 0);
    assert_int_equal(weft_sign_public(&m->public_set, str(&m->set), &secret, NULL), 0);
    assert_int_equal(secret, alg[0] == 'H');
    m->ring = tokens_ring(str(&m->public_set));
    assert_int_equal(weft_token_sign(&m->token, str(&m->set), WEFT_STR("k"), WEFT_STR(""),
                                     WEFT_STR(CLAIMS), NULL),
                     0);
}

static void unmake(struct made *m)
{
    weft_keyring_unref(m->ring);
    weft_buf_fini(&m->set);
    weft_buf_fini(&m->public_set);
    weft_buf_fini(&m->token);
}

static void each_algorithm(void **state)
{
    const char *alg = weft_sign_algorithms();
    size_t n = 0;

    for (; *alg != '\0'; alg += alg[5] == ' ' ? 6 : 5) {
        struct made m, other;

        make(&m, alg);
        make(&other, alg);
        if (check(m.ring, str(&m.token)) != 0) {
            fail_msg("%.5s", alg);
        }
        /* The same kid, another key. */
        assert_int_not_equal(check(other.ring, str(&m.token)), 0);
        assert_int_not_equal(check(m.ring, str(&other.token)), 0);
        if (alg[0] != 'H') {
            assert_null(strstr(m.public_set.data, "\"d\""));
            assert_null(strstr(m.public_set.data, "\"p\""));
        }
        mutate(m.ring, &m.token, strncmp(alg, "HS256", 5) == 0);
        unmake(&m);
        unmake(&other);
        n++;
    }
    assert_int_equal(n, 12);
}

static void shifted_bytes(void **state)
{
    static const char *const some[] = {"HS256", "RS256", "ES256"};

    for (size_t i = 0; i < WEFT_COUNT_OF(some); i++) {
        struct made m;

        make(&m, some[i]);
        shift(m.ring, &m.token);
        unmake(&m);
    }
}

static void what_cannot_sign(void **state)
{
    static const struct {
        const char *kid, *alg;
        bool is_public;
        int rc;
        const char *field;
    } cases[] = {
        {"hs", "", false, 0, NULL},
        {"hs", "HS256", false, 0, NULL},
        {"hs", "HS512", false, WEFT_EINVAL, "alg"},
        {"hs512", "HS384", false, 0, NULL},
        {"hs", "none", false, WEFT_EINVAL, "alg"},
        {"rs", "PS256", false, WEFT_EINVAL, "alg"},
        {"rs", "RS256", false, 0, NULL},
        {"es", "", false, 0, NULL},
        {"rs", "", true, WEFT_EINVAL, "key"},
        {"es", "", true, WEFT_EINVAL, "key"},
        {"hs", "", true, 0, NULL}, /* has no public half */
        {"nobody", "", false, WEFT_ENOTFOUND, "kid"},
        {"", "", false, WEFT_EINVAL, "kid"},
    };
    struct weft_buf token;
    struct weft_err err;

    weft_buf_init(&token, 65536);
    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        int rc =
            weft_token_sign(&token, cases[i].is_public ? tokens_set() : tokens_private_set(),
                            weft_str(cases[i].kid, strlen(cases[i].kid)),
                            weft_str(cases[i].alg, strlen(cases[i].alg)), WEFT_STR("{}"), &err);

        if (rc != cases[i].rc || (rc != 0 && strcmp(err.field, cases[i].field) != 0)) {
            fail_msg("%s %s: %d", cases[i].kid, cases[i].alg, rc);
        }
    }
    assert_int_equal(
        weft_token_sign(&token, WEFT_STR("{}"), WEFT_STR(""), WEFT_STR(""), WEFT_STR("{}"), &err),
        WEFT_EINVAL);
    assert_int_equal(weft_token_sign(&token, WEFT_STR("nothing"), WEFT_STR(""), WEFT_STR(""),
                                     WEFT_STR("{}"), &err),
                     WEFT_EINVAL);
    weft_buf_fini(&token);
}

/* A lone JWK instead of a set; a thumbprint for a kid; wrong names. */
static void keys_that_are_made(void **state)
{
    struct weft_buf set, public_set, again;
    struct weft_err err;
    size_t secret;

    weft_buf_init(&set, 65536);
    weft_buf_init(&public_set, 65536);
    weft_buf_init(&again, 65536);
    assert_int_equal(weft_sign_make_key(&set, WEFT_STR("ES256"), WEFT_STR(""), &err), 0);
    assert_non_null(strstr(set.data, "\"kid\":\""));
    assert_int_equal(weft_sign_public(&public_set, str(&set), &secret, &err), 0);
    /* {"keys":[X]} without its first nine bytes and the last two is X. */
    assert_int_equal(weft_sign_public(&again, weft_str(set.data + 9, set.len - 11), &secret, &err),
                     0);
    assert_string_equal(again.data, public_set.data);
    assert_int_equal(weft_sign_make_key(&set, WEFT_STR("none"), WEFT_STR(""), &err), WEFT_EINVAL);
    assert_int_equal(weft_sign_make_key(&set, WEFT_STR("HS256"), WEFT_STR("a\nb"), &err),
                     WEFT_EINVAL);
    weft_buf_clear(&again);
    assert_int_equal(weft_sign_public(&again, WEFT_STR("{\"keys\":{}}"), &secret, &err),
                     WEFT_EINVAL);
    assert_int_equal(weft_sign_public(&again, WEFT_STR("[]"), &secret, &err), WEFT_EINVAL);
    weft_buf_fini(&set);
    weft_buf_fini(&public_set);
    weft_buf_fini(&again);
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
        cmocka_unit_test(each_algorithm),
        cmocka_unit_test(shifted_bytes),
        cmocka_unit_test(what_cannot_sign),
        cmocka_unit_test(keys_that_are_made),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
