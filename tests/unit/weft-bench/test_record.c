#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "record.h"

/* Ten events, two a batch, on three topics: numbers 0 1 6 7 | 2 3 8 9 | 4 5. */
static void make(struct record *record)
{
    /* Acknowledged in another order than numbered. */
    static const uint64_t seqs[] = {11, 12, 15, 16, 13, 14, 17, 18, 20, 21};

    record_init(record, 10, 2, 3);
    for (uint32_t i = 0; i < 10; i++)
        record->seqs[i] = seqs[i];
    record_close(record);
}

static bool follows_all(void *ctx, uint32_t sub, uint32_t topic)
{
    return true;
}

static bool follows_its_own(void *ctx, uint32_t sub, uint32_t topic)
{
    return sub == topic;
}

static struct verdict judge(record_follows *follows, uint32_t sub, const uint32_t *got, uint32_t n)
{
    struct verdict v = {0};
    struct record record;

    make(&record);
    record_judge(&record, follows, NULL, sub, got, n, &v);
    record_fini(&record);
    return v;
}

static void right_is_right(void **state)
{
    static const uint32_t all[] = {0, 1, 4, 5, 2, 3, 6, 7, 8, 9}, first[] = {0, 1, 6, 7};
    struct verdict v = judge(follows_all, 0, all, 10);

    assert_true(verdict_is_good(&v));
    assert_int_equal(v.expected, 10);
    v = judge(follows_its_own, 0, first, 4);
    assert_true(verdict_is_good(&v));
    assert_int_equal(v.expected, 4);
}

static void each_wrong_is_told(void **state)
{
    static const uint32_t hole[] = {0, 1, 7}, twice[] = {0, 1, 1, 6, 7}, swapped[] = {0, 6, 1, 7},
                          alien[] = {0, 1, 2, 6, 7}, beyond[] = {0, 1, 6, 7, 4000000000};
    struct verdict v = judge(follows_its_own, 0, hole, 3);

    assert_int_equal(v.lost, 1);
    assert_int_equal(v.repeated + v.disordered + v.alien, 0);
    v = judge(follows_its_own, 0, twice, 5);
    assert_int_equal(v.repeated, 1);
    assert_int_equal(v.lost + v.disordered + v.alien, 0);
    v = judge(follows_its_own, 0, swapped, 4);
    assert_int_equal(v.disordered, 1);
    assert_int_equal(v.lost + v.repeated + v.alien, 0);
    v = judge(follows_its_own, 0, alien, 5);
    assert_int_equal(v.alien, 1);
    assert_int_equal(v.lost + v.repeated + v.disordered, 0);
    v = judge(follows_its_own, 0, beyond, 5);
    assert_int_equal(v.alien, 1);
    v = judge(follows_its_own, 0, NULL, 0);
    assert_int_equal(v.lost, 4);
}

static void names_and_topics(void **state)
{
    struct record record;
    struct weft_buf name;

    make(&record);
    weft_buf_init(&name, 256);
    record_topic(&record, 2, &name);
    assert_memory_equal(name.data, "bench-", 6);
    assert_int_equal(record_topic_of(&record, 5), 2);
    assert_int_equal(record_topic_of(&record, 6), 0);
    assert_int_equal(record_expected(&record, follows_its_own, NULL, 2), 2);
    weft_buf_fini(&name);
    record_fini(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_is_right),
        cmocka_unit_test(each_wrong_is_told),
        cmocka_unit_test(names_and_topics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
