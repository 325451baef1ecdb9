/*
 * weft-bench roll - a rolling restart: three nodes get SIGTERM in turn and are started again, under
 * publishing.
 *
 * Clients do as they are told: when a stream has ended with weft.moved they come back after its
 * retry, with their last id, to any node that is ready, as behind a balancer. In the end each must
 * have got each event once, in order. Beside that it is counted how many come back in any one second,
 * against the pace that the drain promises.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>

#include "delivery.h"
#include "random.h"
#include "roller.h"

#define SECOND_NS        1000000000
#define SETTLE_NS        SECOND_NS /* between two restarts */
#define TICK_NS          1000000
#define RETRY_DEFAULT_MS 2000 /* of a stream that was cut without a word */
#define STOP_SPARE_MS    10000

enum phase { SETTLED, DRAINS, RETURNS, OVER };

/* Of one restart. */
struct lap {
    uint32_t streams; /* of the node when it was asked to end */
    uint64_t *back;   /* when clients came back, as far as they did while the node was away */
    uint32_t back_n, back_cap;
    uint64_t stop_ms;
};

struct roll {
    struct delivery d;
    const struct roll_plan *plan;
    struct stage stage;
    struct roller roller;
    struct bench bench;
    struct lap laps[STAGE_NODES];
    enum phase phase;
    unsigned node;          /* the one whose turn it is */
    bool away[STAGE_NODES]; /* no client is sent there */
    uint64_t random;
    uint64_t settled_ns; /* SETTLED: since when */
    uint64_t next_tick_ns;
    struct hist absent; /* from the end of a stream to the connect */
};

static void note_return(struct lap *lap, uint64_t now)
{
    if (lap->back_n == lap->back_cap) {
        lap->back_cap = lap->back_cap > 0 ? lap->back_cap * 2 : 1024;
        lap->back = realloc(lap->back, lap->back_cap * sizeof(*lap->back));
        WEFT_ASSERT(lap->back != NULL);
    }
    lap->back[lap->back_n++] = now;
}

/* The most in any one second. */
static uint32_t peak_of(const struct lap *lap)
{
    uint32_t peak = 0, from = 0;

    for (uint32_t i = 0; i < lap->back_n; i++) {
        while (lap->back[i] - lap->back[from] >= SECOND_NS)
            from++;
        if (i - from + 1 > peak)
            peak = i - from + 1;
    }
    return peak;
}

static uint32_t any_ready(struct roll *roll)
{
    uint32_t i;

    do {
        i = (uint32_t)random_below(&roll->random, STAGE_NODES);
    } while (roll->away[i]);
    return i;
}

/* Whose stream has ended comes back when its time has come. */
static void bring_back(struct roll *roll, uint64_t now)
{
    struct swarm *swarm = &roll->d.swarm;
    struct lap *lap = &roll->laps[roll->node < STAGE_NODES ? roll->node : STAGE_NODES - 1];

    for (uint32_t i = 0; i < swarm->n; i++) {
        struct sub *sub = &swarm->subs[i];
        uint64_t wait_ns;

        if (sub->state != SUB_CLOSED)
            continue;
        if (sub->due_ns == 0) {
            wait_ns = (uint64_t)(sub->told ? sub->retry_ms : RETRY_DEFAULT_MS) * 1000000;
            sub->due_ns = now + wait_ns;
            hist_add(&roll->absent, wait_ns);
        } else if (now >= sub->due_ns) {
            sub->due_ns = 0;
            sub->server = any_ready(roll);
            note_return(lap, now);
            swarm_connect(swarm, sub);
        }
    }
}

static void begin_lap(struct roll *roll)
{
    struct swarm *swarm = &roll->d.swarm;

    for (uint32_t i = 0; i < swarm->n; i++)
        roll->laps[roll->node].streams += swarm->subs[i].server == roll->node;
    roll->away[roll->node] = true;
    roll->phase = DRAINS;
    roller_restart(&roll->roller, roll->node);
}

static void end_lap(struct roll *roll)
{
    roll->laps[roll->node].stop_ms = roll->roller.stop_ms;
    roll->bench.servers[roll->node] = roll->roller.server;
    roll->away[roll->node] = false;
    roll->phase = RETURNS;
}

static void step(struct roll *roll, uint64_t now)
{
    const struct swarm *swarm = &roll->d.swarm;

    switch (roll->phase) {
    case SETTLED:
        if (now - roll->settled_ns >= SETTLE_NS)
            begin_lap(roll);
        break;
    case DRAINS:
        switch (roller_look(&roll->roller)) {
        case ROLLER_BACK:
            end_lap(roll);
            break;
        case ROLLER_FAILED:
            report_fail(roll->d.report, "node %c did not end, or did not come back",
                        'a' + (char)roll->node);
            roll->phase = OVER;
            break;
        case ROLLER_IDLE:
        case ROLLER_ASKED:
        case ROLLER_QUIT:
            break;
        }
        break;
    case RETURNS:
        if (swarm->open == swarm->n) {
            roll->settled_ns = now;
            roll->phase = ++roll->node < STAGE_NODES ? SETTLED : OVER;
        }
        break;
    case OVER:
        break;
    }
}

static void turn(void *ctx, uint64_t now)
{
    struct roll *roll = ctx;

    if (now < roll->next_tick_ns)
        return;
    roll->next_tick_ns = now + TICK_NS;
    bring_back(roll, now);
    step(roll, now);
}

static void publish_all(struct roll *roll)
{
    struct delivery *d = &roll->d;
    uint64_t now = roll->settled_ns = weft_clock_mono_ns();
    bool over = false;

    while (!pubs_are_done(&d->pubs) && now < d->deadline_ns) {
        if (!over && roll->phase == OVER) {
            /* What is under way is the last. */
            over = true;
            d->record.n = d->pubs.limit = d->pubs.next;
        }
        pubs_pump(&d->pubs);
        poller_turn(&d->poller, pubs_wait_ns(&d->pubs, TICK_NS));
        now = weft_clock_mono_ns();
        turn(roll, now);
    }
    if (roll->phase != OVER)
        report_fail(d->report, "not all nodes were restarted in time; %s", d->swarm.trouble);
}

static void report_laps(const struct roll *roll, struct report *report)
{
    static const struct {
        const char *streams, *ceiling, *peak, *stop;
        const char *streams_text, *ceiling_text, *peak_text, *stop_text;
    } keys[STAGE_NODES] = {
        {"a_streams", "a_ceiling", "a_peak", "a_stop_s", "node a: streams",
         "  pace of its drain, 1/s", "  most clients back in any second",
         "  from SIGTERM to its end, s"},
        {"b_streams", "b_ceiling", "b_peak", "b_stop_s", "node b: streams",
         "  pace of its drain, 1/s", "  most clients back in any second",
         "  from SIGTERM to its end, s"},
        {"c_streams", "c_ceiling", "c_peak", "c_stop_s", "node c: streams",
         "  pace of its drain, 1/s", "  most clients back in any second",
         "  from SIGTERM to its end, s"},
    };
    const struct roll_plan *plan = roll->plan;
    double worst = 0;

    for (unsigned i = 0; i < STAGE_NODES; i++) {
        const struct lap *lap = &roll->laps[i];
        double ceiling =
            plan->period_ms > 0 ? (double)lap->streams * 1000 / (double)plan->period_ms : 0;
        uint32_t peak = peak_of(lap);

        if (plan->max_per_s > 0 && (ceiling > (double)plan->max_per_s || ceiling == 0))
            ceiling = (double)plan->max_per_s;
        if (ceiling > 0 && peak / ceiling > worst)
            worst = peak / ceiling;
        report_add(report, keys[i].streams, keys[i].streams_text, lap->streams, 0);
        report_add(report, keys[i].ceiling, keys[i].ceiling_text, ceiling, 1);
        report_add(report, keys[i].peak, keys[i].peak_text, peak, 0);
        report_add(report, keys[i].stop, keys[i].stop_text, (double)lap->stop_ms / 1000, 2);
    }
    report_add(report, "worst_ratio", "worst second, of the pace", worst, 2);
}

static void measure(struct roll *roll, struct report *report)
{
    struct delivery *d = &roll->d;
    uint64_t begin = weft_clock_mono_ns();

    publish_all(roll);
    if (!d->pubs.failed)
        delivery_drain(d, turn, roll);
    report_add(report, "events", "events acknowledged", d->pubs.acked, 0);
    report_add(report, "resent", "publishes sent again", (double)d->pubs.resent, 0);
    report_laps(roll, report);
    report_add(report, "moved", "streams that ended with weft.moved", (double)d->swarm.sent_on, 0);
    report_add(report, "cut", "streams that ended otherwise", (double)d->swarm.cuts, 0);
    report_add(report, "refused", "connections refused",
               (double)(d->swarm.refused + d->swarm.failures), 0);
    report_add(report, "absent_p50_ms", "a client waits before it comes back, ms (median)",
               (double)hist_quantile(&roll->absent, 0.5) / 1e6, 0);
    report_add(report, "seconds", "duration, s", (double)(weft_clock_mono_ns() - begin) / 1e9, 1);
    delivery_judge(d);
}

/* The nodes, as if they were given by --url. */
static bool start_nodes(struct roll *roll)
{
    struct bench one;

    for (unsigned i = 0; i < STAGE_NODES; i++) {
        if (!stage_node(&roll->stage, i, &one))
            return false;
        roll->bench.servers[roll->bench.n_servers++] = one.servers[0];
    }
    return true;
}

static void roll_measure(struct roll *roll, struct report *report)
{
    const struct roll_plan *plan = roll->plan;
    struct delivery *d = &roll->d;

    d->follows = delivery_follows_one;
    d->swarm.n = (uint32_t)plan->subscribers;
    d->pubs.connections = (uint32_t)plan->connections;
    d->pubs.payload_bytes = 128;
    d->pubs.rate = plan->rate;
    d->pubs.moves = true;
    /* As many events as there is time for; they end with the last restart. */
    if (!delivery_init(d, &roll->bench, plan->rate * (plan->timeout_ms / 1000 + 1), 1, plan->topics,
                       report))
        return;
    if (delivery_open(d))
        measure(roll, report);
    delivery_fini(d);
}

/* The nodes inherit it. */
static void set_drain(const struct roll_plan *plan)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)plan->period_ms);
    setenv("WEFT_DRAIN_PERIOD_MS", text, 1);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)plan->max_per_s);
    setenv("WEFT_DRAIN_MAX_PER_S", text, 1);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)plan->timeout_ms);
    setenv("WEFT_DRAIN_PERIOD_MAX_MS", text, 1);
}

static void run(const struct roll_plan *plan, const char *bin, struct report *report)
{
    struct roll roll = {.plan = plan, .random = plan->seed};
    bool staged;

    roll.bench.timeout_ms = plan->timeout_ms;
    report_init(report, "roll");
    set_drain(plan);
    /* Before the children are started, which inherit it. */
    server_need_files(plan->subscribers * 2);
    staged = stage_init(&roll.stage, bin, plan->workers) && start_nodes(&roll);
    if (!staged) {
        report_fail(report, "the nodes cannot be started");
        stage_fini(&roll.stage);
        return;
    }
    roller_init(&roll.roller, &roll.stage, plan->timeout_ms + STOP_SPARE_MS);
    roll_measure(&roll, report);
    roller_await(&roll.roller);
    stage_fini(&roll.stage);
    roller_fini(&roll.roller);
    for (unsigned i = 0; i < STAGE_NODES; i++)
        free(roll.laps[i].back);
}

int roll_run(int argc, char **argv)
{
    struct roll_plan plan = ROLL_PLAN;
    struct args_list words;
    struct report report;
    const char *bin = NULL;
    bool json = false;
    const struct arg table[] = {
        ARG_IS_STRING("bin", "DIR", &bin, "where weftd is (default: beside this program)"),
        ARG_IS_NUMBER("subscribers", 3, 100000, &plan.subscribers, "(default: 3000)"),
        ARG_IS_NUMBER("topics", 1, 100000, &plan.topics,
                      "the subscribers are spread over them (default: 30)"),
        ARG_IS_NUMBER("rate", 1, 100000, &plan.rate, "events a second (default: 100)"),
        ARG_IS_NUMBER("connections", 1, 1000, &plan.connections, "that publish (default: 4)"),
        ARG_IS_SECONDS("period", &plan.period_ms, "drain.period_ms of the nodes (default: 10)"),
        ARG_IS_NUMBER("max-per-s", 0, 1000000, &plan.max_per_s,
                      "drain.max_per_s of the nodes (default: 0, none)"),
        ARG_IS_NUMBER("workers", 1, 256, &plan.workers, "of each node (default: its own)"),
        ARG_IS_NUMBER("seed", 0, UINT64_MAX, &plan.seed, "(default: 1)"),
        ARG_IS_SECONDS("timeout", &plan.timeout_ms, "give up after so long (default: 180)"),
        ARG_IS_FLAG("json", &json, "print one JSON object"),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 0, 0, &words)) {
    case ARGS_HELP:
        puts("usage: weft-bench roll [options]\n\n"
             "Starts a private Redis and three nodes, opens streams, and restarts the nodes in\n"
             "turn with SIGTERM while events are published. Clients come back after their\n"
             "retry to a node that is ready. Checks that nobody lost an event, got one twice, or\n"
             "out of order, and counts how many come back in any one second.\n");
        args_print(table);
        puts("\nexit codes: 0 all was delivered, 1 not, 2 usage");
        return BENCH_GOOD;
    case ARGS_BAD:
        return BENCH_USAGE;
    case ARGS_OK:
        break;
    }
    run(&plan, bin, &report);
    return bench_end(&report, json);
}
