/* What Sentinels say, and whom of them to believe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include <reply_priv.h>
#include <sentinel_priv.h>

#define SECOND UINT64_C(1000000000)

static struct weft_arena arena;
static redisReader *reader;

static int setup(void **state)
{
    reader = weft_reply_reader(&arena);
    return reader == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    redisReaderFree(reader);
    weft_arena_fini(&arena);
    return 0;
}

static const struct weft_reply *reply(const char *text)
{
    void *r = NULL;

    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &r), REDIS_OK);
    assert_non_null(r);
    return r;
}

static void reads_addresses(void **state)
{
    struct weft_redis_host host;

    assert_true(weft_sentinel_read_address(reply("*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6379\r\n"), &host));
    assert_string_equal(host.name, "10.0.0.1");
    assert_int_equal(host.port, 6379);
    assert_true(weft_sentinel_read_address(reply("*2\r\n$7\r\nr.local\r\n:7000\r\n"), &host));
    assert_string_equal(host.name, "r.local");
    assert_int_equal(host.port, 7000);
}

static void refuses_what_is_no_address(void **state)
{
    static const char *const cases[] = {
        "*-1\r\n",
        "$-1\r\n",
        "*0\r\n",
        "+OK\r\n",
        "-ERR No such master with that name\r\n",
        "-IDONTKNOW\r\n",
        "*1\r\n$1\r\nh\r\n",
        "*2\r\n$0\r\n\r\n$4\r\n6379\r\n",
        "*2\r\n$1\r\nh\r\n$1\r\n0\r\n",
        "*2\r\n$1\r\nh\r\n$5\r\n65536\r\n",
        "*2\r\n$1\r\nh\r\n$2\r\n-1\r\n",
        "*2\r\n$1\r\nh\r\n*0\r\n",
        "*2\r\n$2\r\nh\n\r\n$4\r\n6379\r\n",
    };
    struct weft_redis_host host = {"before", 1};
    char text[400];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_false(weft_sentinel_read_address(reply(cases[i]), &host));
    assert_false(weft_sentinel_read_address(NULL, &host));

    (void)snprintf(text, sizeof(text), "*2\r\n$256\r\n%0256d\r\n$1\r\n1\r\n", 0);
    assert_false(weft_sentinel_read_address(reply(text), &host));
    assert_string_equal(host.name, "before");
    (void)snprintf(text, sizeof(text), "*2\r\n$255\r\n%0255d\r\n$1\r\n1\r\n", 0);
    assert_true(weft_sentinel_read_address(reply(text), &host));
}

static void reads_epochs(void **state)
{
    uint64_t epoch = 0;

    assert_true(weft_sentinel_read_epoch(
        reply("*4\r\n$4\r\nname\r\n$1\r\nm\r\n$12\r\nconfig-epoch\r\n$2\r\n17\r\n"), &epoch));
    assert_int_equal(epoch, 17);
    /* A value that looks like the name, a name without value, a value that is no number, an error. */
    assert_false(weft_sentinel_read_epoch(
        reply("*4\r\n$4\r\nname\r\n$12\r\nconfig-epoch\r\n$1\r\n5\r\n$1\r\n6\r\n"), &epoch));
    assert_false(weft_sentinel_read_epoch(reply("*1\r\n$12\r\nconfig-epoch\r\n"), &epoch));
    assert_false(
        weft_sentinel_read_epoch(reply("*2\r\n$12\r\nconfig-epoch\r\n$1\r\nx\r\n"), &epoch));
    assert_false(weft_sentinel_read_epoch(reply("-ERR No such master with that name\r\n"), &epoch));
    assert_false(weft_sentinel_read_epoch(NULL, &epoch));
    assert_int_equal(epoch, 17);
}

static void reads_switches(void **state)
{
    assert_true(weft_sentinel_read_switch(WEFT_STR("m 10.0.0.1 6379 10.0.0.2 6379"), "m"));
    assert_false(weft_sentinel_read_switch(WEFT_STR("mm 10.0.0.1 6379 10.0.0.2 6379"), "m"));
    assert_false(weft_sentinel_read_switch(WEFT_STR("m"), "m"));
    assert_false(weft_sentinel_read_switch(weft_str(NULL, 0), "m"));
}

/* ---- whom to believe ---- */

static bool hear(struct weft_sentinel_view *v, size_t by, const char *name, uint64_t epoch,
                 uint64_t second)
{
    struct weft_redis_host host = {.port = 6379};

    memcpy(host.name, name, strlen(name) + 1);
    return weft_sentinel_view_hear(v, by, &host, epoch, second * SECOND);
}

static void the_highest_epoch_counts(void **state)
{
    struct weft_sentinel_view v = {.n = 3};

    assert_true(hear(&v, 0, "old", 1, 0));
    assert_false(hear(&v, 1, "old", 1, 0));
    assert_true(hear(&v, 2, "new", 2, 1));
    assert_string_equal(v.host.name, "new");
    /* The two that were cut off go on naming the old one, for as long as the third is heard. */
    for (uint64_t s = 1; s < 1000; s++) {
        assert_false(hear(&v, 0, "old", 1, s));
        assert_false(hear(&v, 1, "old", 1, s));
        assert_false(hear(&v, 2, "new", 2, s));
    }
    assert_string_equal(v.host.name, "new");
    /* A later failover may go back to the first server. */
    assert_true(hear(&v, 1, "old", 3, 1000));
}

static void less_than_half_that_are_behind_never_lead_back(void **state)
{
    struct weft_sentinel_view v = {.n = 3};

    assert_true(hear(&v, 2, "new", 2, 0));
    for (uint64_t s = 1; s < 10000; s++)
        assert_false(hear(&v, 0, "old", 1, s));
    assert_string_equal(v.host.name, "new");
}

static void sentinels_that_were_set_up_anew_are_believed_in_the_end(void **state)
{
    struct weft_sentinel_view v = {.n = 3};
    uint64_t s = 1;

    assert_true(hear(&v, 2, "a", 9, 0));
    while (!hear(&v, 0, "b", 0, s) && !hear(&v, 1, "b", 0, s))
        s++;
    assert_in_range(s, 30, 32);
    assert_string_equal(v.host.name, "b");
    assert_int_equal(v.epoch, 0);
    /* Somebody who says what is believed begins the count anew. */
    assert_true(hear(&v, 2, "a", 9, 100));
    for (s = 100; s < 1000; s++) {
        assert_false(hear(&v, 0, "b", 0, s));
        assert_false(hear(&v, 1, "b", 0, s));
        if (s % 20 == 0)
            assert_false(hear(&v, 2, "a", 9, s));
    }
}

static void two_names_of_one_epoch_do_not_make_it_swing(void **state)
{
    struct weft_sentinel_view v = {.n = 3};
    uint64_t s;

    assert_true(hear(&v, 0, "redis-1.local", 4, 0));
    for (s = 0; s < 100; s++) {
        assert_false(hear(&v, 1, "10.0.0.1", 4, s));
        assert_false(hear(&v, 2, "redis-1.local", 4, s));
        assert_false(hear(&v, 0, "redis-1.local", 4, s));
    }
    /* The one that said it may change its mind; if it is gone, another one is believed. */
    assert_true(hear(&v, 0, "redis-2.local", 4, 100));
    assert_false(hear(&v, 1, "10.0.0.1", 4, 109));
    assert_true(hear(&v, 1, "10.0.0.1", 4, 110));
    assert_false(hear(&v, 2, "redis-2.local", 4, 111));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_addresses),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(reads_epochs),
        cmocka_unit_test(reads_switches),
        cmocka_unit_test(the_highest_epoch_counts),
        cmocka_unit_test(less_than_half_that_are_behind_never_lead_back),
        cmocka_unit_test(sentinels_that_were_set_up_anew_are_believed_in_the_end),
        cmocka_unit_test(two_names_of_one_epoch_do_not_make_it_swing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
