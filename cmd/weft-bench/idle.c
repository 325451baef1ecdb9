/* weft-bench idle - what a stream that waits costs in memory, and whether it is given back. */
#include <weft/base/clock.h>

#include "bench.h"
#include "proc.h"
#include "record.h"
#include "swarm.h"

#define OPEN_TIMEOUT_NS 60000000000
#define SETTLE_NS       1000000000
#define AFTER_NS        5000000000

struct idle {
    struct record record; /* for its names only */
};

static void target(void *ctx, uint32_t sub, struct weft_buf *out)
{
    const struct idle *idle = ctx;

    weft_buf_puts(out, "/api/events?topic=");
    record_topic(&idle->record, sub % idle->record.topics, out);
}

/* Turns the loop: heartbeats have to be read. */
static void let_pass(struct poller *poller, uint64_t ns)
{
    uint64_t until = weft_clock_mono_ns() + ns;

    while (weft_clock_mono_ns() < until)
        poller_turn(poller, 10000000);
}

void idle_measure(const struct bench *bench, const struct idle_plan *plan, struct report *report)
{
    struct poller poller;
    struct idle idle;
    uint64_t before, with, after, begin;
    struct swarm swarm = {.poller = &poller,
                          .servers = bench->servers,
                          .n_servers = bench->n_servers,
                          .n = (uint32_t)plan->subscribers,
                          .ws = plan->ws,
                          .target = target,
                          .ctx = &idle};

    report_init(report, "idle");
    if (bench->server_pid == 0) {
        report_fail(report, "--server-pid is needed");
        return;
    }
    if (!server_need_files(plan->subscribers)) {
        report_fail(report, "too few file descriptors");
        return;
    }
    poller_init(&poller);
    record_init(&idle.record, 0, 1, (uint32_t)plan->topics);
    swarm_init(&swarm);

    before = proc_rss_kib(bench->server_pid);
    begin = weft_clock_mono_ns();
    if (swarm_open_all(&swarm, OPEN_TIMEOUT_NS)) {
        report_add(report, "subscribers", "streams open", swarm.open, 0);
        report_add(report, "opens_per_s", "streams opened a second",
                   swarm.open / ((double)(weft_clock_mono_ns() - begin) / 1e9), 0);
        let_pass(&poller, SETTLE_NS);
        with = proc_rss_kib(bench->server_pid);
        report_add(report, "rss_before_kib", "memory of the server before, KiB", (double)before, 0);
        report_add(report, "rss_with_kib", "with the streams, KiB", (double)with, 0);
        report_add(report, "rss_kib_per_stream", "for each stream, KiB",
                   ((double)with - (double)before) / swarm.n, 2);
        for (uint32_t i = 0; i < swarm.n; i++)
            swarm_cut(&swarm, &swarm.subs[i]);
        let_pass(&poller, AFTER_NS);
        after = proc_rss_kib(bench->server_pid);
        report_add(report, "rss_after_kib", "5 s after they were closed, KiB", (double)after, 0);
    } else {
        report_fail(report, "only %u of %u streams opened; %s", swarm.open, swarm.n, swarm.trouble);
    }
    swarm_fini(&swarm);
    record_fini(&idle.record);
    poller_fini(&poller);
}

int idle_run(int argc, char **argv)
{
    struct bench bench;
    struct bench_options opt = {.json = false};
    struct idle_plan plan = IDLE_PLAN;
    struct report report;
    int code;
    const struct arg table[] = {
        ARG_IS_NUMBER("subscribers", 1, 1000000, &plan.subscribers, "(default: 1000)"),
        ARG_IS_NUMBER("topics", 1, 100000, &plan.topics,
                      "the subscribers are spread over them (default: 100)"),
        ARG_IS_FLAG("ws", &plan.ws, "WebSockets"),
        BENCH_OPTIONS(&opt),
        ARG_END,
    };

    if (!bench_begin(
            &bench, &opt, table,
            "Opens SSE streams on which nothing happens, and measures the server's memory\n"
            "(--server-pid) before, with them, and 5 s after they are closed.",
            argc, argv, &code))
        return code;
    idle_measure(&bench, &plan, &report);
    return bench_end(&report, opt.json);
}
