#include "meter.h"

#include <weft/base/clock.h>

#include "proc.h"
#include "scrape.h"

static const struct {
    const char *metric, *key, *label;
} counters[METER_COUNTERS] = {
    [METER_REPLAY_READS] = {"weft_replay_reads_total", "replay_reads", "reads of the log in Redis"},
    [METER_REPLAY_MERGED] = {"weft_replay_merged_total", "replay_merged",
                             "reads that joined another"},
    [METER_REPLAY_CACHE_HITS] = {"weft_replay_cache_hits_total", "replay_cache_hits",
                                 "reads answered from the cache"},
    [METER_REPLAY_EVENTS] = {"weft_replay_events_total", "replay_events", "events read from Redis"},
    [METER_RING_HITS] = {"weft_ring_hits_total", "ring_hits", "resumes served from a ring"},
    [METER_RING_MISSES] = {"weft_ring_misses_total", "ring_misses",
                           "resumes that had to read Redis"},
};

static void read_counters(struct meter *meter, const struct bench *bench)
{
    for (uint32_t i = 0; i < bench->n_servers; i++) {
        struct scrape scrape;

        if (scrape_read(&scrape, &bench->servers[i])) {
            meter->has_counters = true;
            for (int c = 0; c < METER_COUNTERS; c++)
                meter->counters[c] += scrape_value(&scrape, counters[c].metric);
        }
        scrape_fini(&scrape);
    }
}

void meter_begin(struct meter *meter, const struct bench *bench, bool with_counters)
{
    *meter = (struct meter){.has_counters = false};
    if (with_counters)
        read_counters(meter, bench);
    meter->server_ns = proc_cpu_ns(bench->server_pid);
    meter->redis_ns = proc_cpu_ns(bench->redis_pid);
    meter->own_ns = proc_own_cpu_ns();
    meter->wall_ns = weft_clock_mono_ns();
}

void meter_end(struct meter *meter, const struct bench *bench)
{
    struct meter now = {.has_counters = false};

    meter->wall_ns = weft_clock_mono_ns() - meter->wall_ns;
    meter->own_ns = proc_own_cpu_ns() - meter->own_ns;
    meter->server_ns = proc_cpu_ns(bench->server_pid) - meter->server_ns;
    meter->redis_ns = proc_cpu_ns(bench->redis_pid) - meter->redis_ns;
    if (meter->has_counters)
        read_counters(&now, bench);
    for (int c = 0; c < METER_COUNTERS; c++)
        meter->counters[c] = now.counters[c] - meter->counters[c];
}

void meter_report_cpu(const struct meter *meter, const struct bench *bench, uint64_t n,
                      struct report *report)
{
    double per = n > 0 ? 1 / (1000 * (double)n) : 0;

    if (bench->server_pid != 0)
        report_add(report, "server_cpu_us", "CPU of the server for each, us",
                   (double)meter->server_ns * per, 3);
    if (bench->redis_pid != 0)
        report_add(report, "redis_cpu_us", "CPU of Redis for each, us",
                   (double)meter->redis_ns * per, 3);
    report_add(report, "client_cpu_us", "CPU of this client for each, us",
               (double)meter->own_ns * per, 3);
}

void meter_report_counters(const struct meter *meter, struct report *report)
{
    for (int c = 0; meter->has_counters && c < METER_COUNTERS; c++)
        report_add(report, counters[c].key, counters[c].label, meter->counters[c], 0);
}
