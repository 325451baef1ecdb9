/*
 * metrics_priv - the sums over all shards, and what the kernel knows of the process, for
 * those who render them. Any thread.
 */
#ifndef WEFT_METRICS_PRIV_H
#define WEFT_METRICS_PRIV_H

#include <weft/telemetry/metrics.h>

#define WEFT_METRICS_SHARDS_MAX 1024

struct weft_metrics {
    struct weft_shard *shards;  /* const after create; each shard is its thread's */
    size_t shards_len;          /* const after create */
    double start_seconds;       /* const after create: of the process, since 1970 */
    const struct weft_log *log; /* const after the first render; NULL: none */
};

extern const uint64_t weft_metrics_bounds_ns[WEFT_METRICS_BOUNDS];

struct weft_histogram_sum {
    uint64_t buckets[WEFT_METRICS_BUCKETS]; /* not cumulative */
    uint64_t count;                         /* of all buckets */
    uint64_t sum_ns;
};

void weft_metrics_sum(const struct weft_metrics *metrics, enum weft_histogram histogram,
                      struct weft_histogram_sum *ret_sum);

/* The process as the kernel sees it; what cannot be read is 0. */
struct weft_process {
    uint64_t resident_bytes;
    uint64_t open_fds;
    uint64_t max_fds;
    double cpu_seconds;
};

void weft_process_read(struct weft_process *ret_process);

/* When the process began, in seconds since 1970; 0 if it cannot be read. */
double weft_process_start_seconds(void);

#endif
