/* Replies of hiredis's reader as trees in an arena. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "../../../pkg/redis/reply_priv.h"

/* Feeds text in pieces of n bytes, which must complete exactly one reply. */
static const struct weft_reply *read_one(redisReader *reader, const char *text, size_t n)
{
    size_t len = strlen(text);
    void *reply = NULL;

    for (size_t at = 0; at < len; at += n) {
        assert_null(reply);
        assert_int_equal(redisReaderFeed(reader, text + at, at + n > len ? len - at : n), REDIS_OK);
        assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    }
    assert_non_null(reply);
    return reply;
}

static const struct weft_reply *at(const struct weft_reply *r, size_t i)
{
    const struct weft_reply *item = weft_reply_at(r, i);

    if (item == NULL) {
        fail();
        abort(); /* not reached: says so to the compiler */
    }
    return item;
}

static void every_kind_at_every_cut(void **state)
{
    static const char text[] = "*7\r\n$5\r\nhello\r\n:42\r\n$-1\r\n+OK\r\n-ERR no\r\n*0\r\n"
                               "*2\r\n$2\r\n17\r\n*1\r\n:-3\r\n";
    struct weft_arena arena = {NULL, NULL, false};
    redisReader *reader = weft_reply_reader(&arena);

    (void)state;
    for (size_t n = 1; n < sizeof(text); n++) {
        const struct weft_reply *r = read_one(reader, text, n);
        uint64_t v = 0;

        assert_int_equal(r->kind, WEFT_REPLY_ARRAY);
        assert_int_equal(r->n, 7);
        assert_true(weft_str_eq(weft_reply_str(at(r, 0)), WEFT_STR("hello")));
        assert_true(weft_reply_u64(at(r, 1), &v));
        assert_int_equal(v, 42);
        assert_int_equal(at(r, 2)->kind, WEFT_REPLY_NIL);
        assert_false(weft_reply_u64(at(r, 2), &v));
        assert_true(weft_str_eq(weft_reply_str(at(r, 3)), WEFT_STR("OK")));
        assert_true(weft_reply_is_error(at(r, 4)));
        assert_null(weft_reply_str(at(r, 4)).p);
        assert_int_equal(at(r, 5)->n, 0);
        assert_null(weft_reply_at(at(r, 5), 0));
        assert_true(weft_reply_u64(at(at(r, 6), 0), &v));
        assert_int_equal(v, 17);
        assert_int_equal(at(at(at(r, 6), 1), 0)->integer, -3);
        assert_null(weft_reply_at(r, 7));
        weft_arena_reset(&arena);
    }
    redisReaderFree(reader);
    weft_arena_fini(&arena);
}

static void arena_gives_back_what_it_grew(void **state)
{
    struct weft_arena arena = {NULL, NULL, false};

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 1; i < 200; i++) {
            memset(weft_arena_alloc(&arena, i * 997), 7, i * 997);
        }
        weft_arena_reset(&arena);
        assert_ptr_equal(arena.first, arena.at);
    }
    weft_arena_fini(&arena);
    assert_null(arena.first);
}

static void an_array_without_end_is_refused(void **state)
{
    struct weft_arena arena = {NULL, NULL, false};
    redisReader *reader = weft_reply_reader(&arena);
    static const char text[] = "*2147483647\r\n";
    void *reply = NULL;

    (void)state;
    assert_int_equal(redisReaderFeed(reader, text, sizeof(text) - 1), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_ERR);
    assert_false(arena.failed);
    redisReaderFree(reader);
    weft_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_at_every_cut),
        cmocka_unit_test(arena_gives_back_what_it_grew),
        cmocka_unit_test(an_array_without_end_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
