/*
 * metrics - counters, gauges and histograms, one shard for each thread.
 *
 * A shard has one writer, the thread it was given to, which only loads, adds and stores
 * (no locked instruction, no shared cache line); any thread may render at any time and
 * sees each value as it was a moment ago. All metrics stand in metrics.def.
 *
 * It does not know labels, except those of weft_build_info, nor HTTP.
 *
 * weft_metrics_create() gives the metrics; shards live inside them and are borrowed until
 * weft_metrics_destroy().
 */
#ifndef WEFT_TELEMETRY_METRICS_H
#define WEFT_TELEMETRY_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <weft/base/err.h>

struct weft_buf;
struct weft_log;

#define WEFT_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum weft_counter {
#define WEFT_COUNTER(id, name, unit, help) WEFT_M_##id,
#include <weft/telemetry/metrics.def>
    WEFT_M_COUNT_,
};

enum weft_gauge {
#define WEFT_GAUGE(id, name, unit, help) WEFT_G_##id,
#include <weft/telemetry/metrics.def>
    WEFT_G_COUNT_,
};

enum weft_histogram {
#define WEFT_HISTOGRAM(id, name, unit, help) WEFT_H_##id,
#include <weft/telemetry/metrics.def>
    WEFT_H_COUNT_,
};

/* Upper bounds 10 us, 25 us, 50 us, 100 us ... 10 s, and one bucket for what is longer. */
#define WEFT_METRICS_BOUNDS  19
#define WEFT_METRICS_BUCKETS (WEFT_METRICS_BOUNDS + 1)

/* Public only for the inline functions below: nobody else touches a member. */
struct weft_shard {
    _Alignas(64) _Atomic uint64_t counters[WEFT_M_COUNT_];
    _Atomic int64_t gauges[WEFT_G_COUNT_];
    struct {
        _Atomic uint64_t buckets[WEFT_METRICS_BUCKETS];
        _Atomic uint64_t sum_ns;
    } histograms[WEFT_H_COUNT_];
};

struct weft_metrics; /* opaque */

/* Makes metrics with 1 to 1024 shards, all zero. Yours; NULL when out of memory. */
struct weft_metrics *weft_metrics_create(size_t shards);

/* Any thread. Shard i (i < shards), for one writing thread to keep. */
struct weft_shard *weft_metrics_shard(struct weft_metrics *metrics, size_t i);

/* Before the first render: also tell how many lines this log has lost. Borrowed. */
void weft_metrics_watch_log(struct weft_metrics *metrics, const struct weft_log *log);

/* The shard's thread. */
static inline void weft_count(struct weft_shard *shard, enum weft_counter counter, uint64_t n)
{
    _Atomic uint64_t *at = &shard->counters[counter];

    atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/*
 * The shard's thread. The gauge that is shown is the sum of all shards (the largest, for a WEFT_GAUGE_MAX), so a thread may
 * take down what another has put up.
 */
static inline void weft_gauge_add(struct weft_shard *shard, enum weft_gauge gauge, int64_t n)
{
    _Atomic int64_t *at = &shard->gauges[gauge];

    atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* The shard's thread: the part of this shard is now n. */
static inline void weft_gauge_set(struct weft_shard *shard, enum weft_gauge gauge, int64_t n)
{
    atomic_store_explicit(&shard->gauges[gauge], n, memory_order_relaxed);
}

/* The shard's thread: one more duration. */
void weft_observe_ns(struct weft_shard *shard, enum weft_histogram histogram, uint64_t ns);

/* Any thread: the sum over all shards, for status pages and tests. */
uint64_t weft_metrics_counter(const struct weft_metrics *metrics, enum weft_counter counter);
int64_t weft_metrics_gauge(const struct weft_metrics *metrics, enum weft_gauge gauge);
uint64_t weft_metrics_observed(const struct weft_metrics *metrics, enum weft_histogram histogram);

/*
 * Any thread. Appends everything in the Prometheus text format 0.0.4, process metrics and
 * weft_build_info included. 0, or WEFT_ETOOBIG if the buffer is too small, which then
 * holds a part.
 */
int weft_metrics_render(const struct weft_metrics *metrics, struct weft_buf *out) WEFT_MUST_CHECK;

/* Any thread: the process's memory as the kernel counts it; 0 if it cannot be read. */
uint64_t weft_process_resident_bytes(void);

/* docs/metrics.md. Errors are left in the stream. */
void weft_metrics_document(FILE *out);

/* After the last user of a shard. Accepts NULL. */
void weft_metrics_destroy(struct weft_metrics *metrics);

#endif
