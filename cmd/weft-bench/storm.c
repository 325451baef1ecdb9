/*
 * weft-bench storm - all subscribers are cut at once and come back within a short time, each with
 * its last id, while publishing goes on. Nobody may lose, repeat or reorder an event, and Redis
 * must not be asked by each.
 */
#include <weft/base/clock.h>

#include "delivery.h"
#include "meter.h"
#include "random.h"

struct storm {
    struct delivery d;
    const struct storm_plan *plan;
    uint64_t random;
    uint64_t cut_ns;  /* 0: not yet */
    uint64_t back_ns; /* when the last one was back */
    uint32_t returned;
};

static void cut_all(struct storm *storm, uint64_t now)
{
    struct swarm *swarm = &storm->d.swarm;

    storm->cut_ns = now;
    for (uint32_t i = 0; i < swarm->n; i++) {
        struct sub *sub = &swarm->subs[i];

        swarm_cut(swarm, sub);
        sub->due_ns = now + random_below(&storm->random, storm->plan->spread_ms * 1000000 + 1);
        /* The next server, if there are several. */
        sub->server = (sub->server + 1) % swarm->n_servers;
    }
}

/* After the cut: brings back whose time has come, and who was refused. */
static void bring_back(void *ctx, uint64_t now)
{
    struct storm *storm = ctx;
    struct swarm *swarm = &storm->d.swarm;

    if (storm->cut_ns == 0 || (swarm->open == swarm->n && storm->back_ns != 0))
        return;
    if (swarm->open == swarm->n)
        storm->back_ns = now;
    for (uint32_t i = 0; i < swarm->n; i++) {
        struct sub *sub = &swarm->subs[i];

        if (sub->state == SUB_CLOSED && sub->due_ns <= now) {
            swarm_connect(swarm, sub);
            sub->due_ns = now + 200000000;
        }
    }
}

static void publish_all(struct storm *storm)
{
    struct delivery *d = &storm->d;
    uint64_t now;

    while (!pubs_are_done(&d->pubs) && (now = weft_clock_mono_ns()) < d->deadline_ns) {
        if (storm->cut_ns == 0 && d->pubs.acked >= d->record.n / 4)
            cut_all(storm, now);
        bring_back(storm, now);
        pubs_pump(&d->pubs);
        poller_turn(&d->poller, pubs_wait_ns(&d->pubs, 1000000));
    }
}

void storm_measure(const struct bench *bench, const struct storm_plan *plan, struct report *report)
{
    struct meter meter;
    struct storm storm = {.plan = plan, .random = plan->seed};
    struct delivery *d = &storm.d;
    bool several_servers;

    report_init(report, "storm");
    d->follows = delivery_follows_one;
    d->swarm.n = (uint32_t)plan->subscribers;
    d->pubs.connections = 2;
    d->pubs.payload_bytes = 128;
    d->pubs.rate = plan->rate;
    if (!delivery_init(d, bench, plan->events, 1, plan->topics, report))
        return;
    /* At first all are on one server, so that the others are cold. */
    several_servers = bench->n_servers > 1;
    for (uint32_t i = 0; several_servers && i < d->swarm.n; i++)
        d->swarm.subs[i].server = 0;
    if (delivery_open(d)) {
        meter_begin(&meter, bench, true);
        publish_all(&storm);
        delivery_drain(d, bring_back, &storm);
        meter_end(&meter, bench);
        if (storm.back_ns > storm.cut_ns)
            report_add(report, "back_s", "until all streams were open again, s",
                       (double)(storm.back_ns - storm.cut_ns) / 1e9, 3);
        report_add(report, "caught_up_s", "from the cut to the last delivery, s",
                   (double)(d->swarm.read_ns - storm.cut_ns) / 1e9, 3);
        meter_report_cpu(&meter, bench, d->swarm.delivered, report);
        meter_report_counters(&meter, report);
        delivery_judge(d);
    }
    delivery_fini(d);
}

int storm_run(int argc, char **argv)
{
    struct bench bench;
    struct bench_options opt = {.json = false};
    struct storm_plan plan = STORM_PLAN;
    struct report report;
    int code;
    const struct arg table[] = {
        ARG_IS_NUMBER("subscribers", 1, 100000, &plan.subscribers, "(default: 1000)"),
        ARG_IS_NUMBER("topics", 1, 100000, &plan.topics,
                      "the subscribers are spread over them (default: 10)"),
        ARG_IS_NUMBER("events", 4, 1000000, &plan.events,
                      "published; the cut comes after a quarter of them (default: 2000)"),
        ARG_IS_NUMBER("rate", 1, 1000000, &plan.rate, "events a second (default: 500)"),
        ARG_IS_SECONDS("spread", &plan.spread_ms, "all come back within this time (default: 1)"),
        ARG_IS_NUMBER("seed", 0, UINT64_MAX, &plan.seed, "(default: 1)"),
        BENCH_OPTIONS(&opt),
        ARG_END,
    };

    if (!bench_begin(
            &bench, &opt, table,
            "Opens streams, cuts all of them at once while events are published, lets all come\n"
            "back with their Last-Event-ID, and checks that nothing was lost, repeated or out\n"
            "of order. With several servers they come back to another one.",
            argc, argv, &code))
        return code;
    storm_measure(&bench, &plan, &report);
    return bench_end(&report, opt.json);
}
