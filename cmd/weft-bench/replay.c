/* weft-bench replay - many subscribers at once want everything that a topic holds. */
#include <weft/base/clock.h>

#include "delivery.h"
#include "meter.h"

#define FILL_BATCH       100
#define FILL_CONNECTIONS 2

static void target(void *ctx, uint32_t sub, struct weft_buf *out)
{
    delivery_target_one(ctx, sub, out);
    weft_buf_puts(out, "&since=earliest");
}

static void replay(struct delivery *d, const struct bench *bench, struct report *report)
{
    struct meter meter;
    uint64_t begin;

    meter_begin(&meter, bench, true);
    begin = weft_clock_mono_ns();
    if (!swarm_open_all(&d->swarm, bench->timeout_ms * 1000000))
        report_fail(report, "only %u of %u streams opened; %s", d->swarm.open, d->swarm.n,
                    d->swarm.trouble);
    delivery_drain(d, NULL, NULL);
    meter_end(&meter, bench);

    if (d->swarm.delivered > 0) {
        double seconds = (double)(d->swarm.read_ns - begin) / 1e9;

        report_add(report, "seconds", "until all had all, s", seconds, 3);
        report_add(report, "events_per_s", "events a second", (double)d->swarm.delivered / seconds,
                   0);
    }
    meter_report_cpu(&meter, bench, d->swarm.delivered, report);
    meter_report_counters(&meter, report);
}

void replay_measure(const struct bench *bench, const struct replay_plan *plan,
                    struct report *report)
{
    struct delivery d = {.follows = delivery_follows_one};

    report_init(report, "replay");
    d.swarm.n = (uint32_t)plan->subscribers;
    d.pubs.connections = FILL_CONNECTIONS;
    d.pubs.payload_bytes = (uint32_t)plan->size;
    if (!delivery_init(&d, bench, plan->events, FILL_BATCH, 1, report))
        return;
    d.swarm.target = target;
    if (pubs_init(&d.pubs) && pubs_run(&d.pubs, d.deadline_ns))
        replay(&d, bench, report);
    delivery_judge(&d);
    delivery_fini(&d);
}

int replay_run(int argc, char **argv)
{
    struct bench bench;
    struct bench_options opt = {.json = false};
    struct replay_plan plan = REPLAY_PLAN;
    struct report report;
    int code;
    const struct arg table[] = {
        ARG_IS_NUMBER("subscribers", 1, 100000, &plan.subscribers, "(default: 200)"),
        ARG_IS_NUMBER("events", 1, 1000000, &plan.events,
                      "not more than a topic may hold (default: 1000)"),
        ARG_IS_NUMBER("size", PUBS_PAYLOAD_MIN, PUBS_PAYLOAD_MAX, &plan.size,
                      "bytes of a payload (default: 128)"),
        BENCH_OPTIONS(&opt),
        ARG_END,
    };

    if (!bench_begin(
            &bench, &opt, table,
            "Fills a fresh topic, then opens all streams at once with since=earliest, and\n"
            "measures how long it takes until all have all, what it costs the server, and\n"
            "how often it read Redis.",
            argc, argv, &code))
        return code;
    replay_measure(&bench, &plan, &report);
    return bench_end(&report, opt.json);
}
