/* What nodes write each other about streams: there and back, and what somebody else may have written. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "streams_priv.h"

static h2o_mem_pool_t pool;

static int setup(void **state)
{
    h2o_mem_init_pool(&pool);
    return 0;
}

static int teardown(void **state)
{
    h2o_mem_clear_pool(&pool);
    return 0;
}

static struct weft_grant *grant_of(void)
{
    struct weft_str globs[] = {WEFT_STR("a*"), WEFT_STR("b")};
    const struct weft_grant_spec spec = {.subject = WEFT_STR("anna \"x\""),
                                         .jti = WEFT_STR("j"),
                                         .expires_ms = INT64_C(1800000000000),
                                         .subscribe = {globs, 2}};
    struct weft_grant *grant;
    struct weft_err err;

    assert_int_equal(weft_grant_create(&grant, &spec, &err), 0);
    return grant;
}

static struct weft_stream_ask back(const struct weft_stream_ask *ask)
{
    struct weft_stream_ask read;
    struct weft_buf b;

    weft_buf_init(&b, 100000);
    weft_stream_ask_print(&b, ask);
    assert_true(weft_stream_ask_parse(&read, weft_str(b.data, b.len), &pool));
    weft_buf_fini(&b);
    return read;
}

static void a_request_comes_as_it_was_sent(void **state)
{
    struct weft_str add[] = {WEFT_STR("a"), WEFT_STR("b*")};
    const struct weft_stream_ask ask = {.op = WEFT_STREAM_TOPICS,
                                        .slot = UINT32_MAX,
                                        .secret = UINT64_C(0xfedcba9876543210),
                                        .operates = true,
                                        .caller = grant_of(),
                                        .add = add,
                                        .n_add = 2};
    struct weft_stream_ask read = back(&ask);

    assert_int_equal(read.op, ask.op);
    assert_int_equal(read.slot, ask.slot);
    assert_true(read.secret == ask.secret && read.operates);
    assert_int_equal(read.n_add, 2);
    assert_true(weft_str_eq(read.add[1], add[1]));
    assert_int_equal(read.n_remove, 0);
    assert_true(weft_str_eq(read.caller->is.subject, ask.caller->is.subject));
    assert_int_equal(read.caller->is.subscribe.n, 0); /* only who asks */
    weft_grant_unref(read.caller);
    weft_grant_unref(ask.caller);
}

static void a_token_comes_whole(void **state)
{
    const struct weft_stream_ask ask = {.op = WEFT_STREAM_TOKEN, .caller = grant_of()};
    struct weft_stream_ask read = back(&ask);

    assert_true(weft_str_eq(read.caller->is.jti, ask.caller->is.jti));
    assert_true(read.caller->is.expires_ms == ask.caller->is.expires_ms);
    assert_int_equal(read.caller->is.subscribe.n, 2);
    assert_true(weft_grant_may_subscribe(read.caller, WEFT_STR("ab*")));
    weft_grant_unref(read.caller);
    weft_grant_unref(ask.caller);
}

static void nonsense_is_no_request(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"op\":\"look\"}",
        "{\"op\":\"look\",\"slot\":-1,\"secret\":\"0123456789abcdef\"}",
        "{\"op\":\"look\",\"slot\":4294967296,\"secret\":\"0123456789abcdef\"}",
        "{\"op\":\"look\",\"slot\":1,\"secret\":\"0123456789abcde\"}",
        "{\"op\":\"look\",\"slot\":1,\"secret\":\"0123456789ABCDEF\"}",
        "{\"op\":\"none\",\"slot\":1,\"secret\":\"0123456789abcdef\"}",
        "{\"op\":\"topics\",\"slot\":1,\"secret\":\"0123456789abcdef\",\"add\":[1]}",
        "{\"op\":\"topics\",\"slot\":1,\"secret\":\"0123456789abcdef\",\"add\":[\"x y\"]}",
        "{\"op\":\"topics\",\"slot\":1,\"secret\":\"0123456789abcdef\",\"remove\":[\"\"]}",
        /* A stream would lose its token, and with it its end. */
        "{\"op\":\"token\",\"slot\":1,\"secret\":\"0123456789abcdef\"}",
        "{\"op\":\"token\",\"slot\":1,\"secret\":\"0123456789abcdef\",\"caller\":{\"subscribe\":[\"a b\"]}}",
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(texts); i++) {
        struct weft_stream_ask ask;

        if (weft_stream_ask_parse(&ask, weft_str(texts[i], strlen(texts[i])), &pool))
            fail_msg("taken: %s", texts[i]);
    }
}

static void nonsense_is_no_answer(void **state)
{
    static const char *const texts[] = {"", "[]", "{}", "{\"status\":199}", "{\"status\":\"200\"}"};
    struct weft_stream_result result;

    for (size_t i = 0; i < WEFT_COUNT_OF(texts); i++)
        assert_false(
            weft_stream_result_parse(&result, weft_str(texts[i], strlen(texts[i])), &pool));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_comes_as_it_was_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(a_token_comes_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_no_request, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_no_answer, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
