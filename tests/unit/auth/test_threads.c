/*
 * Four threads check tokens with one keyring while a fifth changes the keyring and revokes: what a
 * node does. For ThreadSanitizer, and for counts that would go wrong without it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weft/auth/keychain.h>
#include <weft/auth/revoked.h>
#include <weft/auth/sign.h>
#include <weft/base/assert.h>

#include "tokens.h"

#define THREADS 4
#define ROUNDS  300
#define KINDS   3

static struct {
    struct weft_keychain *chain;
    struct weft_revoked *revoked;
    struct weft_buf tokens[KINDS];
    struct weft_grant *shared;
    atomic_uint working;
    atomic_uint refused;
} all;

static void check_one(const struct weft_keyring *ring, size_t kind)
{
    struct weft_token_policy policy = tokens_policy();
    struct weft_str token = weft_str(all.tokens[kind].data, all.tokens[kind].len);
    struct weft_grant *grant = NULL;
    struct weft_err err;

    WEFT_ASSERT(weft_token_check(ring, token, &policy, &grant, &err) == 0);
    WEFT_ASSERT(weft_grant_may_publish(grant, WEFT_STR("abc")));
    if (weft_revoked_has(all.revoked, grant->is.jti, policy.now_ms)) {
        atomic_fetch_add(&all.refused, 1);
    }
    weft_grant_unref(grant);
    /* And one that is wrong: its last bytes are another's. */
    WEFT_ASSERT(weft_token_check(ring, weft_str(token.p, token.len - 1), &policy, &grant, &err) !=
                0);
}

static void *work(void *arg)
{
    for (size_t i = 0; i < ROUNDS; i++) {
        struct weft_keyring *ring = weft_keychain_get(all.chain);
        struct weft_grant *grant = weft_grant_ref(all.shared);

        check_one(ring, i % KINDS);
        WEFT_ASSERT(weft_grant_may_subscribe(grant, WEFT_STR("x*")));
        weft_grant_unref(grant);
        weft_keyring_unref(ring);
        (void)weft_revoked_version(all.revoked);
    }
    atomic_fetch_sub(&all.working, 1);
    return arg;
}

static void one_keyring_for_all(void **state)
{
    static const char *const kids[KINDS] = {"hs", "rs", "es"};
    struct weft_str star = WEFT_STR("*");
    struct weft_grant_spec spec = {.subscribe = {&star, 1}};
    pthread_t threads[THREADS];
    uint64_t version;

    all.chain = weft_keychain_create();
    all.revoked = weft_revoked_create(100);
    weft_keychain_set(all.chain, tokens_ring(tokens_set()));
    assert_int_equal(weft_grant_create(&all.shared, &spec, NULL), 0);
    for (size_t i = 0; i < KINDS; i++) {
        weft_buf_init(&all.tokens[i], 65536);
        assert_int_equal(
            weft_token_sign(&all.tokens[i], tokens_private_set(),
                            weft_str(kids[i], strlen(kids[i])), WEFT_STR(""),
                            WEFT_STR("{\"jti\":\"j\",\"weft\":{\"publish\":[\"a*\"]}}"), NULL),
            0);
    }
    atomic_store(&all.working, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    }
    version = weft_revoked_version(all.revoked);
    for (unsigned i = 0; atomic_load(&all.working) > 0; i++) {
        const struct weft_revoked_entry entry = {WEFT_STR("j"), INT64_MAX};

        weft_keychain_set(all.chain, tokens_ring(tokens_set()));
        assert_int_equal(weft_revoked_add(all.revoked, WEFT_STR("j"), INT64_MAX, 0), 0);
        (void)weft_revoked_remove(all.revoked, WEFT_STR("j"));
        assert_int_equal(weft_revoked_replace(all.revoked, &entry, i % 2, 0), 0);
    }
    assert_true(weft_revoked_version(all.revoked) != version);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (size_t i = 0; i < KINDS; i++) {
        weft_buf_fini(&all.tokens[i]);
    }
    assert_int_equal(atomic_load(&all.shared->refs), 1);
    weft_grant_unref(all.shared);
    weft_revoked_destroy(all.revoked);
    weft_keychain_destroy(all.chain);
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
        cmocka_unit_test(one_keyring_for_all),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
