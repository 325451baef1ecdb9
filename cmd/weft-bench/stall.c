/*
 * weft-bench stall - what readers that stop reading cost the others.
 *
 * One run in three parts of as many events each, at one pace: all read; some of the subscribers
 * have stopped, and what is on the way to them fills the buffers; they still do not read. The time
 * to the others is measured in the first part and in the last, and the memory of the node before
 * and after. Then they read again: each must get what it is short of, or be told that it will not.
 */
#include <stdio.h>
#include <string.h>

#include <weft/base/clock.h>

#include "delivery.h"
#include "meter.h"
#include "proc.h"

#define TURN_NS 1000000

struct stall {
    struct delivery d;
    const struct stall_plan *plan;
};

static bool stalls(const struct stall *stall, uint32_t sub)
{
    return (uint64_t)sub * stall->plan->stalled / stall->plan->subscribers !=
           ((uint64_t)sub + 1) * stall->plan->stalled / stall->plan->subscribers;
}

static bool follows(void *ctx, uint32_t sub, uint32_t topic)
{
    const struct stall *stall = ctx;

    return sub % stall->d.record.topics == topic;
}

static void target(void *ctx, uint32_t sub, struct weft_buf *out)
{
    const struct stall *stall = ctx;

    weft_buf_puts(out, "/api/events?topic=");
    record_topic(&stall->d.record, sub % stall->d.record.topics, out);
    if (stalls(stall, sub))
        weft_buf_printf(out, "&slow=%s", stall->plan->slow);
}

/* Publishes up to this number. */
static void publish_to(struct stall *stall, uint64_t upto)
{
    struct delivery *d = &stall->d;

    d->pubs.limit = (uint32_t)upto;
    while (!d->pubs.failed && d->pubs.acked < upto && weft_clock_mono_ns() < d->deadline_ns) {
        pubs_pump(&d->pubs);
        poller_turn(&d->poller, pubs_wait_ns(&d->pubs, TURN_NS));
    }
}

/* Those that were ended come back, as an EventSource would. */
static void come_back(void *ctx, uint64_t now_ns)
{
    struct swarm *swarm = &((struct stall *)ctx)->d.swarm;

    (void)now_ns;
    for (uint32_t i = 0; i < swarm->n; i++) {
        if (swarm->subs[i].state == SUB_CLOSED)
            swarm_connect(swarm, &swarm->subs[i]);
    }
}

static double ms_of(const struct hist *hist, double q)
{
    return (double)hist_quantile(hist, q) / 1e6;
}

static void report_latency(const struct hist *calm, const struct hist *stalled,
                           struct report *report)
{
    double before = ms_of(calm, 0.99), after = ms_of(stalled, 0.99);

    report_add(report, "calm_p50_ms", "to the others, all reading: median, ms", ms_of(calm, 0.5),
               3);
    report_add(report, "calm_p99_ms", "  p99, ms", before, 3);
    report_add(report, "stalled_p50_ms", "to the others, some stalled: median, ms",
               ms_of(stalled, 0.5), 3);
    report_add(report, "stalled_p99_ms", "  p99, ms", after, 3);
    report_add(report, "p99_ratio", "  p99 to p99", before > 0 ? after / before : 0, 2);
}

/* What latest leaves out has to be told; for everybody else nothing may be missing. */
static void judge(struct stall *stall)
{
    struct delivery *d = &stall->d;
    struct verdict others = {0}, stalled = {0};
    uint64_t disorder = 0, gaps = 0, silent = 0;
    bool latest = strcmp(stall->plan->slow, "latest") == 0;

    if (d->pubs.failed || d->pubs.acked < d->record.n)
        report_fail(d->report, "not all was published; %s", d->pubs.trouble);
    record_close(&d->record);
    for (uint32_t i = 0; i < d->swarm.n; i++) {
        const struct sub *sub = &d->swarm.subs[i];
        struct verdict *all = stalls(stall, i) ? &stalled : &others;
        uint64_t lost = all->lost;

        record_judge(&d->record, d->follows, d->ctx, i, sub->got, sub->got_n, all);
        disorder += sub->disorder;
        gaps += sub->gaps;
        if (all->lost > lost && sub->gaps == 0)
            silent++;
    }
    report_add(d->report, "lost", "lost to the others", (double)others.lost, 0);
    report_add(d->report, "left_out", "left out for those that stalled", (double)stalled.lost, 0);
    report_add(d->report, "gaps", "gaps told", (double)gaps, 0);
    report_add(d->report, "untold", "subscribers with a loss that was not told", (double)silent, 0);
    report_add(d->report, "repeated", "repeated", (double)(others.repeated + stalled.repeated), 0);
    report_add(d->report, "out_of_order", "out of order", (double)disorder, 0);
    if (!verdict_is_good(&others) || silent > 0 || (stalled.lost > 0 && !latest) ||
        stalled.repeated + stalled.disordered + stalled.alien + disorder > 0)
        report_fail(d->report, "events were lost, repeated or out of order; %s", d->swarm.trouble);
}

static void run(struct stall *stall, const struct bench *bench, struct hist *calm,
                struct hist *stalled)
{
    const struct stall_plan *plan = stall->plan;
    struct delivery *d = &stall->d;
    uint64_t before, after, begin;

    d->swarm.latency = calm;
    publish_to(stall, plan->events);
    before = proc_rss_kib(bench->server_pid);
    d->swarm.latency = NULL;
    for (uint32_t i = 0; i < d->swarm.n; i++) {
        if (stalls(stall, i))
            swarm_pause(&d->swarm, &d->swarm.subs[i], true);
    }
    publish_to(stall, 2 * plan->events);
    d->swarm.latency = stalled;
    publish_to(stall, 3 * plan->events);
    d->swarm.latency = NULL;
    after = proc_rss_kib(bench->server_pid);

    begin = weft_clock_mono_ns();
    for (uint32_t i = 0; i < d->swarm.n; i++)
        swarm_pause(&d->swarm, &d->swarm.subs[i], false);
    delivery_drain(d, come_back, stall);
    report_latency(calm, stalled, d->report);
    report_add(d->report, "rss_before_kib", "memory of the node before, KiB", (double)before, 0);
    report_add(d->report, "rss_growth_kib", "  more with the stalled ones, KiB",
               (double)after - (double)before, 0);
    report_add(d->report, "rss_kib_per_stalled", "  for each of them, KiB",
               ((double)after - (double)before) / (double)plan->stalled, 1);
    report_add(d->report, "catch_up_ms", "time until all had caught up, ms",
               (double)(d->swarm.read_ns - begin) / 1e6, 0);
    report_add(d->report, "server_cuts", "streams that the server ended", (double)d->swarm.cuts, 0);
}

void stall_measure(const struct bench *bench, const struct stall_plan *plan, struct report *report)
{
    static struct hist calm, stalled;
    struct stall stall = {.plan = plan};
    struct delivery *d = &stall.d;

    memset(&calm, 0, sizeof(calm));
    memset(&stalled, 0, sizeof(stalled));
    report_init(report, "stall");
    d->follows = follows;
    d->ctx = &stall;
    d->swarm.target = target;
    d->swarm.ctx = &stall;
    d->swarm.n = (uint32_t)plan->subscribers;
    d->pubs.connections = 4;
    d->pubs.payload_bytes = (uint32_t)plan->size;
    d->pubs.rate = plan->rate;
    if (!delivery_init(d, bench, 3 * plan->events, 1, plan->topics, report))
        return;
    for (uint32_t i = 0; i < d->swarm.n; i++)
        d->swarm.subs[i].unmeasured = stalls(&stall, i);
    if (delivery_open(d)) {
        run(&stall, bench, &calm, &stalled);
        judge(&stall);
    }
    delivery_fini(d);
}

int stall_run(int argc, char **argv)
{
    struct bench bench;
    struct bench_options opt = {.json = false};
    struct stall_plan plan = STALL_PLAN;
    struct report report;
    int code;
    const struct arg table[] = {
        ARG_IS_NUMBER("subscribers", 2, 20000, &plan.subscribers, "(default: 1000)"),
        ARG_IS_NUMBER("stalled", 1, 20000, &plan.stalled, "of them (default: 500)"),
        ARG_IS_NUMBER("topics", 1, 10000, &plan.topics, "(default: 1)"),
        ARG_IS_NUMBER("events", 1, 1000000, &plan.events, "in each third of it (default: 500)"),
        ARG_IS_NUMBER("rate", 1, 1000000, &plan.rate, "events a second (default: 100)"),
        ARG_IS_NUMBER("size", PUBS_PAYLOAD_MIN, PUBS_PAYLOAD_MAX, &plan.size,
                      "bytes of a payload (default: 1024)"),
        ARG_IS_STRING("slow", "POLICY", &plan.slow,
                      "what the stalled ones ask for: replay, latest or close (default: replay)"),
        BENCH_OPTIONS(&opt),
        ARG_END,
    };

    if (!bench_begin(
            &bench, &opt, table,
            "Lets some subscribers stop reading, and measures the time to the others with\n"
            "and without. Then they read again, and must get what they are short of, or be\n"
            "told.",
            argc, argv, &code))
        return code;
    if (plan.stalled >= plan.subscribers) {
        args_complain("some have to go on reading");
        return BENCH_USAGE;
    }
    stall_measure(&bench, &plan, &report);
    return bench_end(&report, opt.json);
}
