/*
 * weft-bench fanout - from POST to every subscriber: how many deliveries, how fast, at what cost.
 *
 * With a rate, events go out at that pace whatever the server does, and the latency counts. At full
 * speed a window bounds what is published but not yet delivered: without it the measurement would
 * become one of how a server treats readers that have fallen behind.
 */
#include <weft/base/clock.h>

#include "delivery.h"
#include "meter.h"

/* Moves the publishers' limit behind the deliveries. */
static void apply_window(struct delivery *d, uint64_t window, double subscribers_of_event)
{
    uint64_t done = (uint64_t)((double)d->swarm.delivered / subscribers_of_event);
    uint64_t limit = done + window;

    d->pubs.limit = limit < d->record.n ? (uint32_t)limit : d->record.n;
}

static void publish_all(struct delivery *d, const struct fanout_plan *plan)
{
    double each = (double)plan->subscribers / (double)plan->topics;
    bool windowed = plan->rate == 0 && plan->window > 0;

    while (!pubs_are_done(&d->pubs) && weft_clock_mono_ns() < d->deadline_ns) {
        if (windowed)
            apply_window(d, plan->window, each);
        pubs_pump(&d->pubs);
        poller_turn(&d->poller, pubs_wait_ns(&d->pubs, 10000000));
    }
}

static void report_figures(const struct delivery *d, const struct hist *latency,
                           const struct fanout_plan *plan, struct report *report)
{
    const struct swarm *swarm = &d->swarm;
    double seconds = (double)(swarm->read_ns - d->pubs.begin_ns) / 1e9;

    report_add(report, "deliveries", "deliveries", (double)swarm->delivered, 0);
    if (swarm->delivered == 0)
        return;
    report_add(report, "events_per_s", "events a second, POST to last delivery",
               d->record.n / seconds, 0);
    report_add(report, "deliveries_per_s", "deliveries a second",
               (double)swarm->delivered / seconds, 0);
    report_add(report, "bytes_per_delivery", "bytes of a delivery",
               (double)swarm->bytes / (double)swarm->delivered, 0);
    if (plan->rate == 0)
        return;
    report_add(report, "p50_ms", "time from POST to delivery, median, ms",
               (double)hist_quantile(latency, 0.5) / 1e6, 3);
    report_add(report, "p90_ms", "p90, ms", (double)hist_quantile(latency, 0.9) / 1e6, 3);
    report_add(report, "p99_ms", "p99, ms", (double)hist_quantile(latency, 0.99) / 1e6, 3);
    report_add(report, "p999_ms", "p99.9, ms", (double)hist_quantile(latency, 0.999) / 1e6, 3);
}

void fanout_measure(const struct bench *bench, const struct fanout_plan *plan,
                    struct report *report)
{
    struct hist latency = {.n = 0};
    struct meter meter;
    struct delivery d = {.follows = delivery_follows_one};

    report_init(report, "fanout");
    d.swarm.n = (uint32_t)plan->subscribers;
    d.swarm.ws = plan->ws;
    d.swarm.latency = plan->rate > 0 ? &latency : NULL;
    d.pubs.connections = (uint32_t)plan->connections;
    d.pubs.payload_bytes = (uint32_t)plan->size;
    d.pubs.rate = plan->rate;
    if (!delivery_init(&d, bench, plan->events, plan->batch, plan->topics, report))
        return;
    if (delivery_open(&d)) {
        d.swarm.bytes = 0;
        meter_begin(&meter, bench, false);
        publish_all(&d, plan);
        if (!d.pubs.failed)
            delivery_drain(&d, NULL, NULL);
        meter_end(&meter, bench);
        report_figures(&d, &latency, plan, report);
        meter_report_cpu(&meter, bench, d.swarm.delivered, report);
        delivery_judge(&d);
    }
    delivery_fini(&d);
}

int fanout_run(int argc, char **argv)
{
    struct bench bench;
    struct bench_options opt = {.json = false};
    struct fanout_plan plan = FANOUT_PLAN;
    struct report report;
    int code;
    const struct arg table[] = {
        ARG_IS_NUMBER("subscribers", 1, 100000, &plan.subscribers, "(default: 100)"),
        ARG_IS_NUMBER("topics", 1, 100000, &plan.topics,
                      "the subscribers are spread over them (default: 1)"),
        ARG_IS_NUMBER("events", 1, 10000000, &plan.events, "(default: 1000)"),
        ARG_IS_NUMBER("rate", 0, 10000000, &plan.rate,
                      "events a second; 0 for full speed (default: 100)"),
        ARG_IS_NUMBER("window", 0, 10000000, &plan.window,
                      "at full speed: so many events may be published but not yet\n"
                      "delivered to all; 0 for any number (default: 512)"),
        ARG_IS_NUMBER("connections", 1, 10000, &plan.connections, "that publish (default: 1)"),
        ARG_IS_NUMBER("batch", 1, PUBS_BATCH_MAX, &plan.batch, "events in a request (default: 1)"),
        ARG_IS_NUMBER("size", PUBS_PAYLOAD_MIN, PUBS_PAYLOAD_MAX, &plan.size,
                      "bytes of a payload (default: 128)"),
        ARG_IS_FLAG("ws", &plan.ws, "over WebSockets"),
        BENCH_OPTIONS(&opt),
        ARG_END,
    };

    if (!bench_begin(
            &bench, &opt, table,
            "Opens SSE streams, publishes, and checks that every subscriber gets every event\n"
            "of its topic once and in order.",
            argc, argv, &code))
        return code;
    if (plan.rate == 0 && plan.window > 0 && plan.window < plan.batch)
        plan.window = plan.batch;
    fanout_measure(&bench, &plan, &report);
    return bench_end(&report, opt.json);
}
