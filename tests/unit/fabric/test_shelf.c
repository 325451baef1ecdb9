/* Pages of a while ago: found by their key, bounded in bytes, the least recently used go first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../../pkg/fabric/shelf_priv.h"

/* What the shelf counts for a page without events and gaps, beside its key. */
static size_t size_of_empty(void)
{
    struct weft_shelf shelf;
    struct weft_page *page = weft_page_create(0);

    assert_non_null(page);
    weft_shelf_init(&shelf, 1 << 20);
    weft_shelf_add(&shelf, WEFT_STR("k"), page);
    size_t size = shelf.bytes - 1;
    weft_shelf_clear(&shelf);
    weft_page_unref(page);
    assert_true(size > sizeof(struct weft_page));
    return size;
}

static struct weft_str key_of(char *out, int n)
{
    return weft_str(out, (size_t)snprintf(out, 16, "key %d", n));
}

static void add(struct weft_shelf *shelf, int n)
{
    struct weft_page *page = weft_page_create(0);
    char key[16];

    assert_non_null(page);
    page->upto.seq = (uint64_t)n;
    weft_shelf_add(shelf, key_of(key, n), page);
    weft_page_unref(page);
}

static bool holds(struct weft_shelf *shelf, int n)
{
    char key[16];
    const struct weft_page *page = weft_shelf_find(shelf, key_of(key, n));

    if (page != NULL) {
        assert_int_equal(page->upto.seq, n);
    }
    return page != NULL;
}

static void least_recently_used_goes_first(void **state)
{
    struct weft_shelf shelf;

    (void)state;
    weft_shelf_init(&shelf, 3 * (size_of_empty() + strlen("key 1")));
    for (int n = 1; n <= 3; n++) {
        add(&shelf, n);
    }
    assert_true(holds(&shelf, 1)); /* used: 2 is the oldest now */
    add(&shelf, 4);
    assert_false(holds(&shelf, 2));
    assert_true(holds(&shelf, 1) && holds(&shelf, 3) && holds(&shelf, 4));
    assert_int_equal(shelf.bytes, shelf.max_bytes);
    weft_shelf_clear(&shelf);
    assert_int_equal(shelf.bytes, 0);
    assert_false(holds(&shelf, 1));
    add(&shelf, 5);
    assert_true(holds(&shelf, 5));
    weft_shelf_clear(&shelf);
}

static void too_large_is_not_kept(void **state)
{
    struct weft_shelf shelf;

    (void)state;
    weft_shelf_init(&shelf, 2 * (size_of_empty() + strlen("key 1")) - 1);
    add(&shelf, 1);
    assert_false(holds(&shelf, 1));
    weft_shelf_init(&shelf, 0);
    add(&shelf, 1);
    assert_false(holds(&shelf, 1));
}

/* The names of a subscription and the gaps of a page may be much more than its events. */
static void key_and_gaps_count(void **state)
{
    enum { N_GAPS = 100 };
    static const size_t gaps_size = N_GAPS * sizeof(struct weft_gap);
    struct weft_shelf shelf;
    char name[20000];

    (void)state;
    memset(name, 'n', sizeof(name));
    struct weft_str key = weft_str(name, sizeof(name));
    struct weft_page *page = weft_page_create(N_GAPS);
    struct weft_page *empty = weft_page_create(0);
    assert_true(page != NULL && empty != NULL);

    size_t size = size_of_empty() + sizeof(name) + gaps_size;
    weft_shelf_init(&shelf, 2 * size);
    weft_shelf_add(&shelf, key, page);
    assert_int_equal(shelf.bytes, size);
    key.len--; /* another key */
    weft_shelf_add(&shelf, key, empty);
    assert_int_equal(shelf.bytes, size + size_of_empty() + key.len);
    weft_shelf_clear(&shelf);
    assert_int_equal(shelf.bytes, 0);

    weft_shelf_init(&shelf, 2 * size - 1); /* more than half: by its gaps, by its key */
    weft_shelf_add(&shelf, weft_str(name, sizeof(name)), page);
    assert_int_equal(shelf.bytes, 0);
    weft_shelf_init(&shelf, 2 * sizeof(name));
    weft_shelf_add(&shelf, key, empty);
    assert_int_equal(shelf.bytes, 0);
    weft_page_unref(page);
    weft_page_unref(empty);
}

static void who_asks_again_is_known(void **state)
{
    static struct weft_shelf shelf;
    char key[16];

    (void)state;
    weft_shelf_init(&shelf, 1000);
    assert_false(weft_shelf_was_wanted(&shelf, key_of(key, 1)));
    assert_false(weft_shelf_was_wanted(&shelf, key_of(key, 2)));
    assert_true(weft_shelf_was_wanted(&shelf, key_of(key, 1)));
    assert_true(weft_shelf_was_wanted(&shelf, key_of(key, 2)));
    weft_shelf_clear(&shelf);
    assert_false(weft_shelf_was_wanted(&shelf, key_of(key, 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_recently_used_goes_first),
        cmocka_unit_test(who_asks_again_is_known),
        cmocka_unit_test(too_large_is_not_kept),
        cmocka_unit_test(key_and_gaps_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
