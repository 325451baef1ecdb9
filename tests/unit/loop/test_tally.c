/* Counts are exact over threads, names are bounded, and the rest counts as one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weft/base/assert.h>
#include <weft/loop/tally.h>

static struct weft_str str(const char *s)
{
    return weft_str(s, strlen(s));
}

static void up_to_the_limit(void **state)
{
    struct weft_tally *tally;
    struct weft_tally_name *a[3], *b;
    bool shared;

    (void)state;
    assert_int_equal(weft_tally_create(&tally, 10), 0);
    for (size_t i = 0; i < 3; i++) {
        a[i] = weft_tally_enter(tally, str("a"), 3, &shared);
        assert_non_null(a[i]);
        assert_false(shared);
    }
    assert_null(weft_tally_enter(tally, str("a"), 3, &shared));
    b = weft_tally_enter(tally, str("b"), 3, &shared);
    assert_non_null(b);
    assert_int_equal(weft_tally_names(tally), 2);
    weft_tally_leave(tally, a[1]);
    a[1] = weft_tally_enter(tally, str("a"), 3, &shared);
    assert_non_null(a[1]);
    assert_null(weft_tally_enter(tally, str("a"), 3, &shared));
    assert_null(weft_tally_enter(tally, str("c"), 0, &shared));
    for (size_t i = 0; i < 3; i++) {
        weft_tally_leave(tally, a[i]);
    }
    weft_tally_leave(tally, b);
    weft_tally_leave(tally, NULL);
    assert_int_equal(weft_tally_names(tally), 0);
    weft_tally_destroy(tally);
    weft_tally_destroy(NULL);
}

static void a_full_table_counts_the_rest_as_one(void **state)
{
    struct weft_tally *tally;
    struct weft_tally_name *own[2], *rest[2], *again;
    bool shared;

    (void)state;
    assert_int_equal(weft_tally_create(&tally, 2), 0);
    own[0] = weft_tally_enter(tally, str("a"), 2, &shared);
    own[1] = weft_tally_enter(tally, str("b"), 2, &shared);
    rest[0] = weft_tally_enter(tally, str("c"), 2, &shared);
    assert_true(shared && rest[0] != NULL);
    rest[1] = weft_tally_enter(tally, str("d"), 2, &shared);
    assert_true(shared && rest[1] != NULL);
    assert_null(weft_tally_enter(tally, str("e"), 2, &shared));
    assert_true(shared);
    again = weft_tally_enter(tally, str("a"), 2, &shared); /* who has a place keeps it */
    assert_true(!shared && again != NULL);
    weft_tally_leave(tally, again);
    weft_tally_leave(tally, own[0]);
    weft_tally_leave(tally, rest[0]); /* where it was counted, though there is room for it now */
    own[0] = weft_tally_enter(tally, str("c"), 2, &shared);
    assert_true(!shared && own[0] != NULL);
    weft_tally_leave(tally, own[0]);
    weft_tally_leave(tally, own[1]);
    weft_tally_leave(tally, rest[1]);
    assert_int_equal(weft_tally_names(tally), 0);
    weft_tally_destroy(tally);
}

static void a_long_name_counts_by_its_beginning(void **state)
{
    char a[WEFT_TALLY_NAME_MAX + 2];
    char b[WEFT_TALLY_NAME_MAX + 2];
    struct weft_tally_name *first;
    struct weft_tally *tally;
    bool shared;

    (void)state;
    memset(a, 'x', sizeof(a));
    memset(b, 'x', sizeof(b));
    b[sizeof(b) - 1] = 'y';
    assert_int_equal(weft_tally_create(&tally, 10), 0);
    first = weft_tally_enter(tally, weft_str(a, sizeof(a)), 1, &shared);
    assert_non_null(first);
    assert_null(weft_tally_enter(tally, weft_str(b, sizeof(b)), 1, &shared));
    weft_tally_leave(tally, first);
    weft_tally_destroy(tally);
}

enum { THREADS = 4, ROUNDS = 20000, MOST = 3 };

static atomic_int inside[8];
static atomic_int most_seen, refused;

static void *come_and_go(void *arg)
{
    struct weft_tally *tally = arg;
    bool shared;

    for (unsigned i = 0; i < ROUNDS; i++) {
        char name[8];
        struct weft_tally_name *place;

        (void)snprintf(name, sizeof(name), "n%u", i % 8);
        place = weft_tally_enter(tally, str(name), MOST, &shared);
        if (place == NULL) {
            (void)atomic_fetch_add(&refused, 1);
            continue;
        }
        int n = atomic_fetch_add(&inside[i % 8], 1) + 1;
        int most = atomic_load(&most_seen);
        while (n > most && !atomic_compare_exchange_weak(&most_seen, &most, n)) {
        }
        (void)atomic_fetch_sub(&inside[i % 8], 1);
        weft_tally_leave(tally, place);
    }
    return NULL;
}

static void exact_over_threads(void **state)
{
    struct weft_tally *tally;
    pthread_t threads[THREADS];

    (void)state;
    assert_int_equal(weft_tally_create(&tally, 8), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, tally), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(atomic_load(&most_seen) <= MOST);
    assert_int_equal(weft_tally_names(tally), 0);
    weft_tally_destroy(tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_to_the_limit),
        cmocka_unit_test(a_full_table_counts_the_rest_as_one),
        cmocka_unit_test(a_long_name_counts_by_its_beginning),
        cmocka_unit_test(exact_over_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
