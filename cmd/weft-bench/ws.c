/*
 * weft-bench ws - what a WebSocket costs, beside an event stream: the CPU of a delivery and the memory of one that waits.
 *
 * Both are measured in turn against the same server, several times, so that what else the machine does falls on
 * both.
 */
#include <stdio.h>

#include "bench.h"

struct sums {
    double cpu_us, deliveries_per_s, rss_kib;
    double least_us; /* of all rounds: what the machine did least to */
};

static bool measure_fanout(const struct bench *bench, const struct ws_plan *plan, bool ws,
                           struct sums *sums, struct report *report)
{
    struct fanout_plan fanout = FANOUT_PLAN;
    struct report one;
    double cpu_us;

    fanout.subscribers = plan->subscribers;
    fanout.events = plan->events;
    fanout.rate = plan->rate;
    fanout.batch = plan->batch;
    fanout.size = plan->size;
    fanout.ws = ws;
    fanout_measure(bench, &fanout, &one);
    if (one.failed) {
        report_fail(report, "%s: %.400s", ws ? "ws" : "sse", one.trouble);
        return false;
    }
    cpu_us = report_get(&one, "server_cpu_us");
    sums->cpu_us += cpu_us / (double)plan->rounds;
    sums->deliveries_per_s += report_get(&one, "deliveries_per_s") / (double)plan->rounds;
    if (sums->least_us == 0 || cpu_us < sums->least_us)
        sums->least_us = cpu_us;
    return true;
}

static bool measure_idle(const struct bench *bench, const struct ws_plan *plan, bool ws,
                         struct sums *sums, struct report *report)
{
    struct idle_plan idle = IDLE_PLAN;
    struct report one;

    idle.subscribers = plan->idle;
    idle.ws = ws;
    idle_measure(bench, &idle, &one);
    if (one.failed) {
        report_fail(report, "%s: %.400s", ws ? "ws" : "sse", one.trouble);
        return false;
    }
    sums->rss_kib = report_get(&one, "rss_kib_per_stream");
    return true;
}

static void measure(const struct bench *bench, const struct ws_plan *plan, struct report *report)
{
    struct sums sse = {0}, ws = {0};

    report_init(report, "ws");
    if (bench->server_pid == 0) {
        report_fail(report, "--server-pid is needed");
        return;
    }
    /* WebSockets first: what the server's memory has grown to is then there for the other. */
    if (plan->idle > 0 && (!measure_idle(bench, plan, true, &ws, report) ||
                           !measure_idle(bench, plan, false, &sse, report)))
        return;
    for (uint64_t i = 0; i < plan->rounds; i++) {
        if (!measure_fanout(bench, plan, false, &sse, report) ||
            !measure_fanout(bench, plan, true, &ws, report))
            return;
    }
    report_add(report, "sse_cpu_us", "CPU of the server for a delivery over SSE, us", sse.cpu_us,
               3);
    report_add(report, "ws_cpu_us", "over a WebSocket, us", ws.cpu_us, 3);
    report_add(report, "cpu_ratio", "WebSocket to SSE", ws.cpu_us / sse.cpu_us, 3);
    report_add(report, "cpu_ratio_least", "WebSocket to SSE, the cheapest round of each",
               ws.least_us / sse.least_us, 3);
    report_add(report, "sse_deliveries_per_s", "deliveries a second over SSE", sse.deliveries_per_s,
               0);
    report_add(report, "ws_deliveries_per_s", "over WebSockets", ws.deliveries_per_s, 0);
    report_add(report, "sse_rss_kib", "memory of an idle stream, KiB", sse.rss_kib, 2);
    report_add(report, "ws_rss_kib", "of an idle WebSocket with a subscription, KiB", ws.rss_kib,
               2);
}

int ws_run(int argc, char **argv)
{
    struct bench bench;
    struct bench_options opt = {.json = false};
    struct ws_plan plan = WS_PLAN;
    struct report report;
    int code;
    const struct arg table[] = {
        ARG_IS_NUMBER("subscribers", 1, 100000, &plan.subscribers, "(default: 1000)"),
        ARG_IS_NUMBER("events", 1, 10000000, &plan.events, "in each round (default: 300)"),
        ARG_IS_NUMBER("rate", 0, 10000000, &plan.rate,
                      "events a second; 0 for full speed (default: 50)"),
        ARG_IS_NUMBER("batch", 1, 1000, &plan.batch, "events in a request (default: 1)"),
        ARG_IS_NUMBER("size", 64, 65536, &plan.size, "bytes of a payload (default: 128)"),
        ARG_IS_NUMBER("rounds", 1, 1000, &plan.rounds, "of each (default: 3)"),
        ARG_IS_NUMBER("idle", 0, 1000000, &plan.idle,
                      "sockets that wait; 0 to leave that out (default: 2000)"),
        BENCH_OPTIONS(&opt),
        ARG_END,
    };

    if (!bench_begin(
            &bench, &opt, table,
            "Delivers the same over SSE and over WebSockets in turn, and compares the CPU\n"
            "of the server (--server-pid) and the memory of those that wait.",
            argc, argv, &code))
        return code;
    measure(&bench, &plan, &report);
    return bench_end(&report, opt.json);
}
