/*
 * Leased buckets in virtual time: stocks that ask one bucket over a slow way which loses asks and answers,
 * some of them dying; in no window do they give out more than they say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weft/base/random.h>
#include <weft/guard/bucket.h>
#include <weft/guard/stock.h>

#define STOCKS_MAX 6
#define IDLE_MS    100
#define TIMEOUT_MS 60

struct asker {
    struct weft_stock stock;
    struct weft_stock_ask ask;
    bool on_the_way, answered, lost_ask, lost_answer;
    uint64_t arrives_ms, returns_ms, fails_ms;
    int64_t got;
    uint64_t retry_ms;
    unsigned busy; /* takes per ms, in hundredths */
};

struct sim {
    uint64_t rng;
    uint64_t now_ms;
    struct weft_bucket bucket;
    struct asker askers[STOCKS_MAX];
    size_t n;
    unsigned loss; /* of 100 */
    bool deaths;
    /* Given out beyond the rate, since the moment where that is most: the worst window that ends now. */
    int64_t above;
    int64_t worst;
    int64_t given, refused;
};

static uint64_t below(uint64_t *rng, uint64_t n)
{
    return (weft_random_next(rng) >> 11) % n;
}

/* weft1_bucket_lease. */
static void redis(struct sim *s, struct asker *a)
{
    struct weft_bucket *b = &s->bucket;
    int64_t cap = b->conf.capacity * WEFT_TOKEN;
    int64_t there;

    (void)weft_bucket_take(&(struct weft_bucket_item){b, INT64_MAX, 0}, 1, (int64_t)s->now_ms);
    b->tokens += a->ask.back * WEFT_TOKEN;
    b->tokens = b->tokens > cap ? cap : b->tokens;
    there = b->tokens / WEFT_TOKEN;
    a->got = a->ask.wanted < there ? a->ask.wanted : there;
    b->tokens -= a->got * WEFT_TOKEN;
    a->retry_ms = b->tokens >= WEFT_TOKEN
                      ? 0
                      : (uint64_t)((WEFT_TOKEN - b->tokens + b->conf.rate - 1) / b->conf.rate);
    a->answered = true;
    a->returns_ms = s->now_ms + below(&s->rng, 20);
}

static void way(struct sim *s, struct asker *a)
{
    if (!a->on_the_way) {
        if (weft_stock_ask(&a->stock, s->now_ms, IDLE_MS, &a->ask)) {
            assert_true(a->stock.held + a->ask.wanted <= a->stock.most);
            a->on_the_way = true;
            a->answered = false;
            a->lost_ask = below(&s->rng, 100) < s->loss;
            a->lost_answer = below(&s->rng, 100) < s->loss;
            a->arrives_ms = s->now_ms + below(&s->rng, 20);
            a->fails_ms = s->now_ms + TIMEOUT_MS;
        }
        return;
    }
    if (!a->answered && !a->lost_ask && s->now_ms >= a->arrives_ms) {
        redis(s, a);
    }
    if (a->answered && !a->lost_answer && s->now_ms >= a->returns_ms) {
        a->on_the_way = false;
        weft_stock_answered(&a->stock, a->got, a->retry_ms, s->now_ms);
    } else if (s->now_ms >= a->fails_ms) {
        a->on_the_way = false;
        weft_stock_failed(&a->stock);
    }
}

static void takes(struct sim *s, struct asker *a)
{
    for (unsigned left = a->busy + (unsigned)below(&s->rng, 100); left >= 100; left -= 100) {
        int64_t tokens = below(&s->rng, 8) == 0 ? 2 : 1;
        uint64_t retry_ms = 0;

        if (weft_stock_take(&a->stock, tokens, s->now_ms, &retry_ms) == WEFT_STOCK_TAKEN) {
            s->above += tokens * WEFT_TOKEN;
            s->given += tokens;
        } else {
            s->refused++;
        }
        way(s, a);
    }
}

static void run(struct sim *s, uint64_t ms)
{
    for (uint64_t end = s->now_ms + ms; s->now_ms < end; s->now_ms++) {
        size_t first = below(&s->rng, s->n);

        s->above -= s->bucket.conf.rate;
        s->above = s->above < 0 ? 0 : s->above;
        for (size_t i = 0; i < s->n; i++) {
            struct asker *a = &s->askers[(first + i) % s->n];

            takes(s, a);
            way(s, a);
            if (below(&s->rng, 400) == 0) {
                a->busy = (unsigned)below(&s->rng, 3) * (unsigned)below(&s->rng, 400);
            }
            if (s->deaths && below(&s->rng, 1000) == 0) {
                weft_stock_init(&a->stock, a->stock.most, s->now_ms);
                a->on_the_way = false;
            }
        }
        s->worst = s->above > s->worst ? s->above : s->worst;
    }
}

static void begin(struct sim *s, uint64_t seed)
{
    static const int64_t rates[] = {500, 20000, 333333, 1000000, 3000000};
    struct weft_bucket_conf conf;
    uint64_t rng = seed;
    int64_t most;

    memset(s, 0, sizeof(*s));
    conf = (struct weft_bucket_conf){.capacity = 20 + (int64_t)below(&rng, 500),
                                     .rate = rates[below(&rng, 5)]};
    s->n = 1 + below(&rng, STOCKS_MAX);
    s->loss = below(&rng, 3) == 0 ? 20 : 0;
    most = 1 + (int64_t)below(&rng, (uint64_t)conf.capacity / 5);
    s->deaths = below(&rng, 3) == 0;
    s->rng = rng;
    s->now_ms = 1000;
    weft_bucket_init(&s->bucket, &conf, 1000);
    for (size_t i = 0; i < s->n; i++) {
        weft_stock_init(&s->askers[i].stock, most, 1000);
        s->askers[i].busy = (unsigned)below(&rng, 400);
    }
}

static void test_the_bound(void **state)
{
    double closest = 0;

    for (uint64_t seed = 1; seed <= 1500; seed++) {
        struct sim s;
        int64_t most;
        int64_t bound;

        begin(&s, seed * 7919);
        most = s.askers[0].stock.most;
        bound = (s.bucket.conf.capacity + (int64_t)s.n * most) * WEFT_TOKEN;
        run(&s, 2000);
        if (s.worst > bound) {
            fail_msg("seed %llu (%zu stocks of %lld): %lld above the rate, %lld are allowed",
                     (unsigned long long)seed, s.n, (long long)s.askers[0].stock.most,
                     (long long)s.worst, (long long)bound);
        }
        if ((double)s.worst / (double)bound > closest) {
            closest = (double)s.worst / (double)bound;
        }
    }
    print_message("closest to the bound: %.1f %%\n", closest * 100);
    assert_true(closest > 0.8); /* else the schedules ask nothing of it */
}

/* All that come in go out, when somebody asks for more than that: what lies elsewhere comes back. */
static void test_nothing_is_kept_back(void **state)
{
    struct sim s;
    int64_t before;

    memset(&s, 0, sizeof(s));
    s.rng = 5;
    s.n = 3;
    s.now_ms = 1000;
    weft_bucket_init(&s.bucket, &(struct weft_bucket_conf){.capacity = 100, .rate = 1000000}, 1000);
    for (size_t i = 0; i < s.n; i++) {
        weft_stock_init(&s.askers[i].stock, 10, 1000);
        s.askers[i].busy = 100;
    }
    run(&s, 1000);
    s.askers[1].busy = s.askers[2].busy = 0; /* they run dry, or give back */
    for (int i = 0; i < 10; i++) {
        before = s.given;
        s.askers[0].busy = 500;
        s.askers[1].busy = s.askers[2].busy = 0;
        run(&s, 100);
        if (i >= 2) {
            assert_true(s.given - before > 0);
        }
    }
    run(&s, 1000);
    assert_true(s.refused > 0);
}

static void test_one_stock(void **state)
{
    struct weft_stock st;
    struct weft_stock_ask ask;
    uint64_t retry_ms = 0;

    weft_stock_init(&st, 10, 0);
    assert_int_equal(weft_stock_take(&st, 1, 0, &retry_ms), WEFT_STOCK_EMPTY);
    assert_true(weft_stock_ask(&st, 0, IDLE_MS, &ask));
    assert_int_equal(ask.wanted, 10);
    assert_false(weft_stock_ask(&st, 0, IDLE_MS, &ask)); /* one at a time */
    weft_stock_answered(&st, 4, 30, 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(weft_stock_take(&st, 1, 2, &retry_ms), WEFT_STOCK_TAKEN);
    }
    assert_int_equal(weft_stock_take(&st, 1, 2, &retry_ms), WEFT_STOCK_SHORT);
    assert_int_equal(retry_ms, 29);
    assert_false(weft_stock_ask(&st, 2, IDLE_MS, &ask)); /* it has none before 31 */
    assert_int_equal(weft_stock_take(&st, 1, 31, &retry_ms), WEFT_STOCK_EMPTY);
    assert_true(weft_stock_ask(&st, 31, IDLE_MS, &ask));
    weft_stock_answered(&st, 10, 0, 32);
    assert_false(weft_stock_ask(&st, 100, IDLE_MS, &ask));
    assert_true(weft_stock_ask(&st, 131, IDLE_MS, &ask));
    assert_int_equal(ask.back, 10);
    assert_int_equal(ask.wanted, 0);
    weft_stock_answered(&st, 0, 0, 132);
    assert_true(weft_stock_is_idle(&st, 132));
}

/* What others give back is not waited for until the bucket fills by itself; what was not sent is not lost. */
static void test_short_for_long(void **state)
{
    struct weft_stock st;
    struct weft_stock_ask ask;
    uint64_t retry_ms = 0;

    weft_stock_init(&st, 10, 0);
    assert_true(weft_stock_ask(&st, 0, IDLE_MS, &ask));
    weft_stock_answered(&st, 0, 36000, 1);
    assert_int_equal(weft_stock_take(&st, 1, 2, &retry_ms), WEFT_STOCK_SHORT);
    assert_int_equal(retry_ms, 35999);
    assert_int_equal(weft_stock_take(&st, 1, 1001, &retry_ms), WEFT_STOCK_EMPTY);
    assert_true(weft_stock_ask(&st, 1001, IDLE_MS, &ask));
    weft_stock_answered(&st, 10, 0, 1002);
    st.would = 3;
    assert_true(weft_stock_ask(&st, 1001 + IDLE_MS, IDLE_MS, &ask));
    assert_int_equal(ask.back, 10);
    weft_stock_unsent(&st, &ask);
    assert_int_equal(st.would, 3);
    assert_int_equal(weft_stock_take(&st, 10, 1001 + IDLE_MS, &retry_ms), WEFT_STOCK_TAKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bound),
        cmocka_unit_test(test_nothing_is_kept_back),
        cmocka_unit_test(test_one_stock),
        cmocka_unit_test(test_short_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
