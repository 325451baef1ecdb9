/* What a worker decides by itself, what it leaves to Redis, and what it does without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include <weft/base/assert.h>
#include <weft/guard/breaker_cache.h>
#include <weft/guard/breakers.h>
#include <weft/loop/mailbox.h>
#include <weft/telemetry/metrics.h>

#define PAY   WEFT_STR("payments")
#define ALLOW WEFT_BREAKER_ALLOW
#define DENY  WEFT_BREAKER_DENY
#define ASK   WEFT_BREAKER_ASK

static struct weft_metrics *metrics;
static struct weft_breaker_cache *cache;
static struct weft_breaker_said said;

static int setup(void **state)
{
    weft_role_assert_worker(pthread_self());
    metrics = weft_metrics_create(1);
    if (metrics == NULL || weft_breaker_cache_create(&cache, weft_metrics_shard(metrics, 0)) != 0) {
        return -1;
    }
    weft_breaker_cache_redis(cache, true);
    return 0;
}

static int teardown(void **state)
{
    weft_breaker_cache_destroy(cache);
    weft_metrics_destroy(metrics);
    return 0;
}

static void tell(enum weft_breaker_state state, uint64_t epoch, uint64_t wait_ms,
                 enum weft_without without, uint64_t now_ms) WEFT_ON_WORKER
{
    struct weft_breaker_view view = {
        .version = epoch, .epoch = epoch, .state = state, .wait_ms = wait_ms};

    weft_breaker_config_init(&view.cfg);
    view.cfg.without_redis = without;
    weft_breaker_cache_view(cache, PAY, &view, now_ms);
}

static enum weft_breaker_verdict ask(uint64_t now_ms) WEFT_ON_WORKER
{
    return weft_breaker_cache_allow(cache, PAY, now_ms, &said);
}

static void while_the_state_is_stable(void **state)
{
    weft_role_assert_worker(pthread_self());
    assert_int_equal(ask(0), ASK);
    tell(WEFT_BREAKER_CLOSED, 1, 0, WEFT_WITHOUT_LOCAL, 0);
    assert_int_equal(ask(0), ALLOW);
    tell(WEFT_BREAKER_OPEN, 2, 500, WEFT_WITHOUT_LOCAL, 1000);
    assert_int_equal(ask(1000), DENY);
    assert_int_equal(said.wait_ms, 500);
    assert_int_equal(ask(1499), DENY);
    assert_int_equal(said.wait_ms, 1);
    assert_int_equal(ask(1500), ASK);
    tell(WEFT_BREAKER_HALF_OPEN, 3, 0, WEFT_WITHOUT_LOCAL, 1500);
    assert_int_equal(ask(1500), ASK);
    tell(WEFT_BREAKER_FORCED_OPEN, 4, 0, WEFT_WITHOUT_LOCAL, 1500);
    assert_int_equal(ask(UINT64_C(1) << 40), DENY);
    tell(WEFT_BREAKER_FORCED_CLOSED, 5, 0, WEFT_WITHOUT_LOCAL, 1500);
    assert_int_equal(ask(1500), ALLOW);
    tell(WEFT_BREAKER_DISABLED, 6, 0, WEFT_WITHOUT_LOCAL, 1500);
    assert_int_equal(ask(1500), ALLOW);
    weft_breaker_cache_gone(cache, PAY);
    assert_int_equal(ask(1500), ASK);
}

static void without_redis(void **state)
{
    static const struct {
        enum weft_breaker_state state;
        enum weft_without without;
        enum weft_breaker_verdict verdict;
    } rows[] = {
        {WEFT_BREAKER_CLOSED, WEFT_WITHOUT_OPEN, ALLOW},
        {WEFT_BREAKER_CLOSED, WEFT_WITHOUT_CLOSED, DENY},
        {WEFT_BREAKER_CLOSED, WEFT_WITHOUT_LOCAL, ASK},
        {WEFT_BREAKER_OPEN, WEFT_WITHOUT_OPEN, ALLOW},
        {WEFT_BREAKER_OPEN, WEFT_WITHOUT_CLOSED, DENY},
        {WEFT_BREAKER_OPEN, WEFT_WITHOUT_LOCAL, ASK},
        {WEFT_BREAKER_HALF_OPEN, WEFT_WITHOUT_OPEN, ALLOW},
        {WEFT_BREAKER_HALF_OPEN, WEFT_WITHOUT_CLOSED, DENY},
        {WEFT_BREAKER_FORCED_OPEN, WEFT_WITHOUT_OPEN, DENY},
        {WEFT_BREAKER_FORCED_CLOSED, WEFT_WITHOUT_CLOSED, ALLOW},
        {WEFT_BREAKER_DISABLED, WEFT_WITHOUT_CLOSED, ALLOW},
    };

    weft_role_assert_worker(pthread_self());
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        weft_breaker_cache_redis(cache, true);
        tell(rows[i].state, i + 1, 60000, rows[i].without, 0);
        weft_breaker_cache_redis(cache, false);
        assert_int_equal(ask(1), rows[i].verdict);
        weft_breaker_cache_redis(cache, true);
        assert_int_equal(ask(1), ASK); /* until Redis has said what is so now */
    }
}

/* ---- results ---- */

static void flush(struct weft_mailbox *mb) WEFT_ON_WORKER
{
    weft_breaker_cache_flush(cache, mb);
}

static void good_results_wait_and_go_together(void **state)
{
    enum weft_breaker_state now;
    struct weft_mailbox *mb = NULL;

    weft_role_assert_worker(pthread_self());
    assert_int_equal(weft_mailbox_create(&mb, 1, NULL), 0);
    assert_false(weft_breaker_cache_succeeded(cache, PAY, &now)); /* not known */
    tell(WEFT_BREAKER_CLOSED, 7, 0, WEFT_WITHOUT_LOCAL, 0);
    assert_int_equal(weft_breaker_cache_epoch(cache, PAY), 7);
    for (int i = 0; i < 1000; i++) {
        assert_true(weft_breaker_cache_succeeded(cache, PAY, &now));
    }
    flush(mb);
    assert_int_equal(weft_mailbox_len(mb), 1);
    flush(mb);
    assert_int_equal(weft_mailbox_len(mb), 1);
    assert_true(weft_breaker_cache_succeeded(cache, PAY, &now));
    flush(mb); /* it is full: they wait */
    assert_int_equal(weft_mailbox_len(mb), 1);
    weft_mailbox_destroy(mb);
    assert_int_equal(weft_mailbox_create(&mb, 1, NULL), 0);
    flush(mb);
    assert_int_equal(weft_mailbox_len(mb), 1);
    weft_mailbox_destroy(mb);

    /* Of a state that is over, and of one that does not count. */
    assert_int_equal(weft_mailbox_create(&mb, 1, NULL), 0);
    assert_true(weft_breaker_cache_succeeded(cache, PAY, &now));
    tell(WEFT_BREAKER_OPEN, 8, 1000, WEFT_WITHOUT_LOCAL, 0);
    assert_false(weft_breaker_cache_succeeded(cache, PAY, &now));
    flush(mb);
    assert_int_equal(weft_mailbox_len(mb), 0);
    weft_mailbox_destroy(mb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(while_the_state_is_stable, setup, teardown),
        cmocka_unit_test_setup_teardown(without_redis, setup, teardown),
        cmocka_unit_test_setup_teardown(good_results_wait_and_go_together, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
