/* weft-bench publish - how many events a second are acknowledged, and how fast. */
#include <weft/base/clock.h>

#include "bench.h"
#include "hist.h"
#include "meter.h"
#include "pubs.h"

void publish_measure(const struct bench *bench, const struct publish_plan *plan,
                     struct report *report)
{
    struct hist latency = {.n = 0};
    struct poller poller;
    struct record record;
    struct meter meter;
    struct pubs pubs = {.poller = &poller,
                        .servers = bench->servers,
                        .n_servers = bench->n_servers,
                        .record = &record,
                        .connections = (uint32_t)plan->connections,
                        .payload_bytes = (uint32_t)plan->size,
                        .latency = &latency};

    report_init(report, "publish");
    if (!server_need_files(plan->connections)) {
        report_fail(report, "too few file descriptors");
        return;
    }
    poller_init(&poller);
    record_init(&record, (uint32_t)plan->count, (uint32_t)plan->batch, (uint32_t)plan->topics);
    if (pubs_init(&pubs)) {
        meter_begin(&meter, bench, false);
        pubs_run(&pubs, weft_clock_mono_ns() + bench->timeout_ms * 1000000);
        meter_end(&meter, bench);

        report_add(report, "events", "events acknowledged", pubs.acked, 0);
        if (pubs.acked > 0)
            report_add(report, "events_per_s", "acknowledged events a second",
                       pubs.acked / ((double)(pubs.end_ns - pubs.begin_ns) / 1e9), 0);
        report_add(report, "p50_ms", "time to the answer, median, ms",
                   (double)hist_quantile(&latency, 0.5) / 1e6, 3);
        report_add(report, "p99_ms", "time to the answer, p99, ms",
                   (double)hist_quantile(&latency, 0.99) / 1e6, 3);
        meter_report_cpu(&meter, bench, pubs.acked, report);
    }
    if (pubs.failed)
        report_fail(report, "%s", pubs.trouble);
    else if (pubs.acked < record.n)
        report_fail(report, "only %u of %u events were acknowledged in time", pubs.acked, record.n);
    pubs_fini(&pubs);
    record_fini(&record);
    poller_fini(&poller);
}

int publish_run(int argc, char **argv)
{
    struct bench bench;
    struct bench_options opt = {.json = false};
    struct publish_plan plan = PUBLISH_PLAN;
    struct report report;
    int code;
    const struct arg table[] = {
        ARG_IS_NUMBER("connections", 1, 10000, &plan.connections, "(default: 1)"),
        ARG_IS_NUMBER("count", 1, 100000000, &plan.count, "events (default: 20000)"),
        ARG_IS_NUMBER("batch", 1, PUBS_BATCH_MAX, &plan.batch,
                      "events in a request: 1 for an object, more for an array (default: 1)"),
        ARG_IS_NUMBER("size", PUBS_PAYLOAD_MIN, PUBS_PAYLOAD_MAX, &plan.size,
                      "bytes of a payload (default: 128)"),
        ARG_IS_NUMBER("topics", 1, 100000, &plan.topics, "(default: 1)"),
        BENCH_OPTIONS(&opt),
        ARG_END,
    };

    if (!bench_begin(&bench, &opt, table,
                     "Publishes over keep-alive connections, one request at a time on each. Every\n"
                     "answer has to be 201 with an id for each event.",
                     argc, argv, &code))
        return code;
    publish_measure(&bench, &plan, &report);
    return bench_end(&report, opt.json);
}
