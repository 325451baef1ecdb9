/* How many entries a read asks for: bounded in bytes also by a topic that nothing is known of. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "sizes_priv.h"

#define KIB ((size_t)1024)

static struct weft_sizes sizes;

static int forget(void **state)
{
    memset(&sizes, 0, sizeof(sizes));
    return 0;
}

static uint32_t ask(const char *topic, size_t bytes)
{
    return weft_sizes_ask(&sizes, weft_str(topic, strlen(topic)), 0, bytes, 1000);
}

static void saw(const char *topic, size_t n, size_t each)
{
    weft_sizes_saw(&sizes, weft_str(topic, strlen(topic)), n, n * each);
}

static void an_unknown_topic_is_asked_for_little(void **state)
{
    assert_int_equal(ask("a", 256 * KIB), 16);
    assert_int_equal(ask("a", 1), 1);
}

static void it_is_taken_to_be_as_the_others(void **state)
{
    assert_int_equal(weft_sizes_ask(&sizes, WEFT_STR("a"), 156, KIB, 1000), 4);
    assert_int_equal(weft_sizes_ask(&sizes, WEFT_STR("a"), 156, 256 * KIB, 1000), 16);
    assert_int_equal(weft_sizes_ask(&sizes, WEFT_STR("a"), 156, 256 * KIB, 10), 10);
    assert_int_equal(weft_sizes_ask(&sizes, WEFT_STR("a"), 200 * KIB, 256 * KIB, 1000), 1);
    saw("a", 16, 1000);
    assert_int_equal(weft_sizes_ask(&sizes, WEFT_STR("a"), 156, 22 * 1000, 1000), 20);
}

static void it_is_asked_for_what_fits(void **state)
{
    saw("a", 16, 156);
    assert_int_equal(ask("a", 256 * KIB), 1000);
    assert_int_equal(ask("a", 64 * KIB), 256);
    assert_int_equal(ask("b", 256 * KIB), 16);
}

static void large_events_count_at_once(void **state)
{
    saw("a", 1000, 100);
    saw("a", 10, 200 * KIB);
    assert_int_equal(ask("a", 256 * KIB), 1);
}

static void small_ones_count_slowly(void **state)
{
    saw("a", 1, 100 * KIB);
    saw("a", 1000, 100);
    assert_in_range(ask("a", 256 * KIB), 2, 4);
    for (int i = 0; i < 40; i++)
        saw("a", 1000, 100);
    assert_int_equal(ask("a", 256 * KIB), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_unknown_topic_is_asked_for_little, forget),
        cmocka_unit_test_setup(it_is_taken_to_be_as_the_others, forget),
        cmocka_unit_test_setup(it_is_asked_for_what_fits, forget),
        cmocka_unit_test_setup(large_events_count_at_once, forget),
        cmocka_unit_test_setup(small_ones_count_slowly, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
