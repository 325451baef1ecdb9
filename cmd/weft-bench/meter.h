/*
 * meter - CPU, time and counters between two moments of a run.
 */
#ifndef WEFT_BENCH_METER_H
#define WEFT_BENCH_METER_H

#include "bench.h"

enum meter_counter {
    METER_REPLAY_READS,
    METER_REPLAY_MERGED,
    METER_REPLAY_CACHE_HITS,
    METER_REPLAY_EVENTS,
    METER_RING_HITS,
    METER_RING_MISSES,
    METER_COUNTERS
};

struct meter {
    uint64_t wall_ns, server_ns, redis_ns, own_ns;
    double counters[METER_COUNTERS]; /* of all servers */
    bool has_counters;
};

/* counters: also ask the servers for their /metrics. */
void meter_begin(struct meter *meter, const struct bench *bench, bool counters);
/* *meter becomes the difference. */
void meter_end(struct meter *meter, const struct bench *bench);

/* cpu_us_per_<what> of server, Redis and this client, n times what. */
void meter_report_cpu(const struct meter *meter, const struct bench *bench, uint64_t n,
                      struct report *report);
void meter_report_counters(const struct meter *meter, struct report *report);

#endif
