/* The bucket in memory against a model that fills it millisecond by millisecond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weft/base/random.h>
#include <weft/guard/bucket.h>

#define BUCKETS 4

struct model {
    int64_t capacity, rate, tokens, at_ms; /* millionths */
    bool there, dry;
    uint64_t would;
};

static void model_fill(struct model *m, int64_t now_ms)
{
    for (int64_t t = m->at_ms; t < now_ms && m->tokens < m->capacity; t++) {
        m->tokens = m->tokens + m->rate > m->capacity ? m->capacity : m->tokens + m->rate;
    }
    m->at_ms = now_ms;
}

static enum weft_stands model_stands(const struct model *m, int64_t tokens)
{
    if (!m->there) {
        return WEFT_STANDS_MISSING;
    }
    if (m->tokens >= tokens * 1000000) {
        return WEFT_STANDS_ENOUGH;
    }
    if (m->dry) {
        return WEFT_STANDS_DRY;
    }
    return m->capacity < tokens * 1000000 ? WEFT_STANDS_NEVER : WEFT_STANDS_SHORT;
}

static uint64_t below(uint64_t *rng, uint64_t n)
{
    return (weft_random_next(rng) >> 11) % n;
}

static void random_conf(uint64_t *rng, struct weft_bucket_conf *conf)
{
    static const int64_t capacities[] = {1, 2, 7, 100, 1000000000};
    static const int64_t rates[] = {1, 333, 1000, 1234567, 1000000000000};

    *conf = (struct weft_bucket_conf){.capacity = capacities[below(rng, 5)],
                                      .rate = rates[below(rng, 5)],
                                      .dry_run = below(rng, 3) == 0};
}

static void set(uint64_t *rng, struct weft_bucket *b, struct model *m, int64_t now_ms)
{
    struct weft_bucket_conf conf;

    random_conf(rng, &conf);
    if (m->there) {
        weft_bucket_change(b, &conf, now_ms);
        model_fill(m, now_ms);
    } else {
        weft_bucket_init(b, &conf, now_ms);
        *m = (struct model){.there = true, .tokens = INT64_MAX, .at_ms = now_ms};
    }
    m->capacity = conf.capacity * 1000000;
    m->rate = conf.rate;
    m->dry = conf.dry_run;
    m->tokens = m->tokens > m->capacity ? m->capacity : m->tokens;
}

static void take(uint64_t *rng, struct weft_bucket *b, struct model *m, int64_t now_ms)
{
    struct weft_bucket_item items[BUCKETS];
    enum weft_stands want[BUCKETS];
    size_t at[BUCKETS];
    size_t n = 0;
    bool all = true;

    for (size_t i = 0; i < BUCKETS; i++) {
        if (below(rng, 2) == 0) {
            int64_t cap = m[i].there ? m[i].capacity / 1000000 : 1;
            int64_t tokens = below(rng, 3) == 0 ? cap / 2 + 1 : 1 + (int64_t)below(rng, 3);

            at[n] = i;
            items[n++] = (struct weft_bucket_item){m[i].there ? &b[i] : NULL, tokens, 0};
        }
    }
    for (size_t i = 0; i < n; i++) {
        model_fill(&m[at[i]], now_ms);
        want[i] = model_stands(&m[at[i]], items[i].tokens);
        all = all && (want[i] == WEFT_STANDS_ENOUGH || want[i] == WEFT_STANDS_DRY);
    }
    assert_int_equal(weft_bucket_take(items, n, now_ms), all);
    for (size_t i = 0; i < n; i++) {
        struct model *x = &m[at[i]];
        struct weft_bucket_told told;

        assert_int_equal(items[i].stands, want[i]);
        if (all) {
            x->tokens -= want[i] == WEFT_STANDS_ENOUGH ? items[i].tokens * 1000000 : 0;
            x->would += want[i] == WEFT_STANDS_DRY ? 1 : 0;
        }
        if (!x->there) {
            continue;
        }
        weft_bucket_tell(&told, &items[i]);
        assert_int_equal(told.remaining, x->tokens / 1000000);
        assert_true(x->tokens + told.reset_ms * x->rate >= x->capacity);
        assert_true(told.reset_ms == 0 || x->tokens + (told.reset_ms - 1) * x->rate < x->capacity);
        if (want[i] == WEFT_STANDS_SHORT) {
            assert_true(x->tokens + told.retry_ms * x->rate >= items[i].tokens * 1000000);
            assert_true(x->tokens + (told.retry_ms - 1) * x->rate < items[i].tokens * 1000000);
        }
    }
}

static void test_random_schedules(void **state)
{
    static const int64_t steps[] = {0, 1, 1, 2, 50, 999, -3, -500};
    uint64_t rng = 20260;

    for (int schedule = 0; schedule < 10000; schedule++) {
        struct weft_bucket buckets[BUCKETS];
        struct model models[BUCKETS] = {{0}};
        int64_t now_ms = 1795314948063;

        for (int i = 0; i < 20; i++) {
            size_t k = below(&rng, BUCKETS);

            now_ms += steps[below(&rng, 8)];
            if (below(&rng, 4) == 0) {
                set(&rng, &buckets[k], &models[k], now_ms);
            } else {
                take(&rng, buckets, models, now_ms);
            }
        }
        for (size_t i = 0; i < BUCKETS; i++) {
            assert_true(!models[i].there || buckets[i].would_refuse == models[i].would);
        }
    }
}

static void test_far_apart(void **state)
{
    struct weft_bucket_conf conf = {.capacity = WEFT_BUCKET_CAPACITY_MAX,
                                    .rate = WEFT_BUCKET_RATE_MAX};
    struct weft_bucket b;
    struct weft_bucket_item item = {&b, WEFT_BUCKET_CAPACITY_MAX, 0};

    weft_bucket_init(&b, &conf, 0);
    assert_true(weft_bucket_take(&item, 1, 0));
    assert_false(weft_bucket_take(&item, 1, 0));
    assert_true(weft_bucket_take(&item, 1, INT64_C(4102444800000)));
    b.conf.rate = 1;
    assert_true(weft_bucket_take(&item, 1, INT64_MAX / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_schedules),
        cmocka_unit_test(test_far_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
