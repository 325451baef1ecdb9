/* Revoked tokens: bounded, over when their token is, seen by a number that changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weft/auth/revoked.h>
#include <weft/base/assert.h>

#define A WEFT_STR("a")
#define B WEFT_STR("b")
#define C WEFT_STR("c")

static void added_over_and_removed(void **state)
{
    struct weft_revoked *rv = weft_revoked_create(10);
    uint64_t version = weft_revoked_version(rv);

    assert_false(weft_revoked_has(rv, A, 0));
    assert_int_equal(weft_revoked_add(rv, A, 1000, 0), 0);
    assert_true(weft_revoked_version(rv) != version);
    assert_true(weft_revoked_has(rv, A, 0));
    assert_true(weft_revoked_has(rv, A, 999));
    assert_false(weft_revoked_has(rv, A, 1000));
    assert_false(weft_revoked_has(rv, WEFT_STR("A"), 0));
    assert_false(weft_revoked_has(rv, WEFT_STR(""), 0));
    assert_false(weft_revoked_has(rv, WEFT_STR("aa"), 0));

    version = weft_revoked_version(rv);
    assert_false(weft_revoked_remove(rv, B));
    assert_int_equal(weft_revoked_version(rv), version);
    assert_true(weft_revoked_remove(rv, A));
    assert_true(weft_revoked_version(rv) != version);
    assert_false(weft_revoked_has(rv, A, 0));
    weft_revoked_destroy(rv);
    weft_revoked_destroy(NULL);
}

static void the_later_end_counts(void **state)
{
    struct weft_revoked *rv = weft_revoked_create(10);
    uint64_t version;

    assert_int_equal(weft_revoked_add(rv, A, 1000, 0), 0);
    version = weft_revoked_version(rv);
    assert_int_equal(weft_revoked_add(rv, A, 500, 0), 0);
    assert_true(weft_revoked_has(rv, A, 999));
    assert_int_equal(weft_revoked_add(rv, A, 2000, 0), 0);
    assert_true(weft_revoked_has(rv, A, 1999));
    assert_int_equal(weft_revoked_count(rv), 1);
    /* Nobody who was good before is bad now. */
    assert_int_equal(weft_revoked_version(rv), version);
    /* One that is over was good again. */
    assert_int_equal(weft_revoked_add(rv, A, 9000, 2000), 0);
    assert_true(weft_revoked_version(rv) != version);
    weft_revoked_destroy(rv);
}

static void full_until_some_are_over(void **state)
{
    struct weft_revoked *rv = weft_revoked_create(2);
    uint64_t version;

    assert_int_equal(weft_revoked_add(rv, A, 5000, 0), 0);
    assert_int_equal(weft_revoked_add(rv, B, 9000, 0), 0);
    version = weft_revoked_version(rv);
    assert_int_equal(weft_revoked_add(rv, C, 9000, 2000), WEFT_EFULL);
    assert_false(weft_revoked_has(rv, C, 2000));
    assert_int_equal(weft_revoked_add(rv, B, 9999, 2000), 0); /* is in it */
    assert_int_equal(weft_revoked_version(rv), version);
    assert_int_equal(weft_revoked_count(rv), 2);
    assert_int_equal(weft_revoked_add(rv, C, 9000, 5000), 0); /* A is over */
    assert_int_equal(weft_revoked_count(rv), 2);
    assert_false(weft_revoked_has(rv, A, 5000));
    assert_true(weft_revoked_has(rv, B, 5000));
    assert_true(weft_revoked_has(rv, C, 5000));
    /* One that is over before it is added needs no room. */
    assert_int_equal(weft_revoked_add(rv, A, 5000, 5000), 0);
    assert_int_equal(weft_revoked_count(rv), 2);
    weft_revoked_destroy(rv);
}

/* A full table looks for what is over even if it has just looked. */
static void full_looks_again(void **state)
{
    struct weft_revoked *rv = weft_revoked_create(1);

    assert_int_equal(weft_revoked_add(rv, A, 10, 0), 0);
    assert_int_equal(weft_revoked_add(rv, B, 5000, 10), 0);
    assert_true(weft_revoked_has(rv, B, 10));
    weft_revoked_destroy(rv);
}

static void wrong_names(void **state)
{
    struct weft_revoked *rv = weft_revoked_create(10);
    char name[WEFT_REVOKED_JTI_MAX + 1];

    memset(name, 'n', sizeof(name));
    assert_int_equal(weft_revoked_add(rv, WEFT_STR(""), 10, 0), WEFT_EINVAL);
    assert_int_equal(weft_revoked_add(rv, weft_str(name, sizeof(name)), 10, 0), WEFT_EINVAL);
    assert_int_equal(weft_revoked_add(rv, weft_str(name, WEFT_REVOKED_JTI_MAX), 10, 0), 0);
    assert_int_equal(weft_revoked_count(rv), 1);
    weft_revoked_destroy(rv);
}

static void replaced(void **state)
{
    const struct weft_revoked_entry good[] = {{B, 100}, {C, 200}, {B, 300}, {A, 5}};
    const struct weft_revoked_entry many[] = {{A, 100}, {WEFT_STR(""), 100}, {B, 100}, {C, 100}};
    struct weft_revoked *rv = weft_revoked_create(2);
    uint64_t version;

    assert_int_equal(weft_revoked_add(rv, A, 1000, 0), 0);
    version = weft_revoked_version(rv);
    assert_int_equal(weft_revoked_replace(rv, good, 4, 10), 0);
    assert_true(weft_revoked_version(rv) != version);
    assert_false(weft_revoked_has(rv, A, 10));
    assert_true(weft_revoked_has(rv, B, 299));
    assert_true(weft_revoked_has(rv, C, 199));
    assert_int_equal(weft_revoked_replace(rv, many, 2, 0), WEFT_EINVAL);
    assert_int_equal(weft_revoked_count(rv), 1);
    assert_int_equal(weft_revoked_replace(rv, many, 4, 0), WEFT_EFULL);
    assert_int_equal(weft_revoked_count(rv), 2);
    assert_true(weft_revoked_has(rv, A, 0));
    assert_int_equal(weft_revoked_replace(rv, NULL, 0, 0), 0);
    assert_int_equal(weft_revoked_count(rv), 0);
    weft_revoked_destroy(rv);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(added_over_and_removed),
        cmocka_unit_test(the_later_end_counts),
        cmocka_unit_test(full_until_some_are_over),
        cmocka_unit_test(full_looks_again),
        cmocka_unit_test(wrong_names),
        cmocka_unit_test(replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
