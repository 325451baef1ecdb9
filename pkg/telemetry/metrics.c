#include <weft/telemetry/metrics.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

#include "metrics_priv.h"

const uint64_t weft_metrics_bounds_ns[WEFT_METRICS_BOUNDS] = {
    10000,     25000,      50000,      100000,     250000,     500000,    1000000,
    2500000,   5000000,    10000000,   25000000,   50000000,   100000000, 250000000,
    500000000, 1000000000, 2500000000, 5000000000, 10000000000};

struct weft_metrics *weft_metrics_create(size_t shards)
{
    struct weft_metrics *metrics;

    WEFT_ASSERT(shards >= 1 && shards <= WEFT_METRICS_SHARDS_MAX);
    metrics = calloc(1, sizeof(*metrics));
    if (!metrics)
        return NULL;
    metrics->shards =
        aligned_alloc(_Alignof(struct weft_shard), shards * sizeof(struct weft_shard));
    if (!metrics->shards) {
        free(metrics);
        return NULL;
    }
    memset(metrics->shards, 0, shards * sizeof(struct weft_shard));
    metrics->shards_len = shards;
    metrics->start_seconds = weft_process_start_seconds();
    return metrics;
}

struct weft_shard *weft_metrics_shard(struct weft_metrics *metrics, size_t i)
{
    WEFT_ASSERT(i < metrics->shards_len);
    return &metrics->shards[i];
}

void weft_metrics_watch_log(struct weft_metrics *metrics, const struct weft_log *log)
{
    metrics->log = log;
}

void weft_observe_ns(struct weft_shard *shard, enum weft_histogram histogram, uint64_t ns)
{
    _Atomic uint64_t *sum = &shard->histograms[histogram].sum_ns;
    _Atomic uint64_t *bucket;
    size_t i = 0; /* so many bounds are known to lie below */

    for (size_t step = 16; step > 0; step /= 2) {
        if (i + step <= WEFT_METRICS_BOUNDS && ns > weft_metrics_bounds_ns[i + step - 1])
            i += step;
    }
    bucket = &shard->histograms[histogram].buckets[i];

    atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + ns,
                          memory_order_relaxed);
}

uint64_t weft_metrics_counter(const struct weft_metrics *metrics, enum weft_counter counter)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < metrics->shards_len; i++)
        sum += atomic_load_explicit(&metrics->shards[i].counters[counter], memory_order_relaxed);
    return sum;
}

int64_t weft_metrics_gauge(const struct weft_metrics *metrics, enum weft_gauge gauge)
{
    static const bool by_max[] = {
#define WEFT_GAUGE(id, name, unit, help)     false,
#define WEFT_GAUGE_MAX(id, name, unit, help) true,
#include <weft/telemetry/metrics.def>
    };
    int64_t sum = 0;

    for (size_t i = 0; i < metrics->shards_len; i++) {
        int64_t n = atomic_load_explicit(&metrics->shards[i].gauges[gauge], memory_order_relaxed);

        sum = !by_max[gauge] ? sum + n : n > sum ? n : sum;
    }
    return sum;
}

void weft_metrics_sum(const struct weft_metrics *metrics, enum weft_histogram histogram,
                      struct weft_histogram_sum *ret_sum)
{
    memset(ret_sum, 0, sizeof(*ret_sum));
    for (size_t i = 0; i < metrics->shards_len; i++) {
        const struct weft_shard *shard = &metrics->shards[i];

        for (size_t k = 0; k < WEFT_METRICS_BUCKETS; k++)
            ret_sum->buckets[k] += atomic_load_explicit(&shard->histograms[histogram].buckets[k],
                                                        memory_order_relaxed);
        ret_sum->sum_ns +=
            atomic_load_explicit(&shard->histograms[histogram].sum_ns, memory_order_relaxed);
    }
    for (size_t k = 0; k < WEFT_METRICS_BUCKETS; k++)
        ret_sum->count += ret_sum->buckets[k];
}

uint64_t weft_metrics_observed(const struct weft_metrics *metrics, enum weft_histogram histogram)
{
    struct weft_histogram_sum sum;

    weft_metrics_sum(metrics, histogram, &sum);
    return sum.count;
}

void weft_metrics_destroy(struct weft_metrics *metrics)
{
    if (!metrics)
        return;
    free(metrics->shards);
    free(metrics);
}
