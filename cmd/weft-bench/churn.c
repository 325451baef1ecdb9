/*
 * weft-bench churn - the exactness of resuming.
 *
 * Every subscriber is cut again and again, at moments that a seed decides: before its stream has
 * opened, in the middle of a replay, while live. It comes back a little later, to any of the
 * servers, with the id of the last whole event it got. Every fourth one follows several topics,
 * some of them or all of them by a wildcard. In the end each must have got each event of its topics
 * once, in order.
 */
#include <stdio.h>
#include <string.h>

#include <weft/base/clock.h>

#include "delivery.h"
#include "meter.h"
#include "random.h"

#define TICK_NS 1000000
#define SEVERAL 3 /* topics of a subscriber that names several */

enum interest {
    FOLLOWS_ONE,
    FOLLOWS_SEVERAL, /* by name: its topic and the next ones */
    FOLLOWS_SOME,    /* bench-<run>-1*: 1, 10 to 19, 100 to 199, ... */
    FOLLOWS_ALL      /* bench-<run>-* */
};

struct churn {
    struct delivery d;
    const struct churn_plan *plan;
    uint64_t random;
    uint64_t next_tick_ns;
    uint64_t cuts;
    bool cutting;
};

static enum interest interest_of(uint32_t sub)
{
    if (sub % 4 != 0)
        return FOLLOWS_ONE;
    return (enum interest)(1 + sub / 4 % 3);
}

static bool begins_with_one(uint32_t topic)
{
    while (topic >= 10)
        topic /= 10;
    return topic == 1;
}

static bool follows(void *ctx, uint32_t sub, uint32_t topic)
{
    const struct churn *churn = ctx;
    uint32_t topics = churn->d.record.topics;

    switch (interest_of(sub)) {
    case FOLLOWS_ONE:
        return sub % topics == topic;
    case FOLLOWS_SEVERAL:
        return (topic + topics - sub % topics) % topics < SEVERAL;
    case FOLLOWS_SOME:
        return begins_with_one(topic);
    case FOLLOWS_ALL:
        return true;
    }
    return false;
}

static void target(void *ctx, uint32_t sub, struct weft_buf *out)
{
    const struct churn *churn = ctx;
    const struct record *record = &churn->d.record;
    uint32_t several = record->topics < SEVERAL ? record->topics : SEVERAL;

    weft_buf_puts(out, "/api/events?topic=");
    switch (interest_of(sub)) {
    case FOLLOWS_ONE:
        record_topic(record, sub % record->topics, out);
        break;
    case FOLLOWS_SEVERAL:
        for (uint32_t i = 0; i < several; i++) {
            if (i > 0)
                weft_buf_puts(out, "&topic=");
            record_topic(record, (sub + i) % record->topics, out);
        }
        break;
    case FOLLOWS_SOME:
        weft_buf_printf(out, "bench-%s-1*", record->run);
        break;
    case FOLLOWS_ALL:
        weft_buf_printf(out, "bench-%s-*", record->run);
        break;
    }
}

/* From 0 to twice the mean. */
static uint64_t some_time_ns(struct churn *churn, uint64_t mean_ms)
{
    return random_below(&churn->random, mean_ms * 2000000 + 1);
}

/* Cuts whose time has come, and brings back the others. */
static void tick(void *ctx, uint64_t now)
{
    struct churn *churn = ctx;
    struct swarm *swarm = &churn->d.swarm;

    if (now < churn->next_tick_ns)
        return;
    churn->next_tick_ns = now + TICK_NS;
    for (uint32_t i = 0; i < swarm->n; i++) {
        struct sub *sub = &swarm->subs[i];

        if (sub->due_ns > now)
            continue;
        if (sub->state == SUB_CLOSED) {
            sub->server = (uint32_t)random_below(&churn->random, swarm->n_servers);
            swarm_connect(swarm, sub);
            sub->due_ns = now + some_time_ns(churn, churn->plan->life_ms);
        } else if (churn->cutting) {
            churn->cuts++;
            swarm_cut(swarm, sub);
            sub->due_ns = now + some_time_ns(churn, churn->plan->away_ms);
        }
    }
}

static void publish_all(struct churn *churn)
{
    struct delivery *d = &churn->d;
    uint64_t now = weft_clock_mono_ns();

    for (uint32_t i = 0; i < d->swarm.n; i++)
        d->swarm.subs[i].due_ns = now + some_time_ns(churn, churn->plan->life_ms);
    churn->cutting = true;
    while (!pubs_are_done(&d->pubs) && now < d->deadline_ns) {
        pubs_pump(&d->pubs);
        poller_turn(&d->poller, pubs_wait_ns(&d->pubs, TICK_NS));
        now = weft_clock_mono_ns();
        tick(churn, now);
    }
    churn->cutting = false;
    /* Whoever is away comes back at once. */
    for (uint32_t i = 0; i < d->swarm.n; i++) {
        if (d->swarm.subs[i].state == SUB_CLOSED)
            d->swarm.subs[i].due_ns = 0;
    }
}

/* The worst ones, by name, so that a failure can be looked into. */
static void name_the_wronged(struct churn *churn)
{
    struct delivery *d = &churn->d;
    unsigned named = 0;

    for (uint32_t i = 0; i < d->swarm.n && named < 5; i++) {
        const struct sub *sub = &d->swarm.subs[i];
        struct verdict v = {0};

        record_judge(&d->record, follows, churn, i, sub->got, sub->got_n, &v);
        if (verdict_is_good(&v) && sub->disorder == 0)
            continue;
        named++;
        fprintf(stderr,
                "subscriber %u (interest %d, %u streams): expected %llu, lost %llu, repeated %llu, "
                "out of order %llu, alien %llu, state %d, stands at %llu-%llu\n",
                i, (int)interest_of(i), sub->opens, (unsigned long long)v.expected,
                (unsigned long long)v.lost, (unsigned long long)v.repeated,
                (unsigned long long)(v.disordered > sub->disorder ? v.disordered : sub->disorder),
                (unsigned long long)v.alien, (int)sub->state, (unsigned long long)sub->cursor.ms,
                (unsigned long long)sub->cursor.seq);
    }
}

void churn_measure(const struct bench *bench, const struct churn_plan *plan, struct report *report)
{
    struct meter meter;
    struct churn churn = {.plan = plan, .random = plan->seed};
    struct delivery *d = &churn.d;
    uint64_t resumes = 0;

    report_init(report, "churn");
    d->follows = follows;
    d->ctx = &churn;
    d->swarm.target = target;
    d->swarm.ctx = &churn;
    d->swarm.n = (uint32_t)plan->subscribers;
    d->pubs.connections = (uint32_t)plan->connections;
    d->pubs.payload_bytes = 128;
    d->pubs.rate = plan->rate;
    if (!delivery_init(d, bench, plan->events, 1, plan->topics, report))
        return;
    if (delivery_open(d)) {
        meter_begin(&meter, bench, true);
        publish_all(&churn);
        if (!d->pubs.failed)
            delivery_drain(d, tick, &churn);
        meter_end(&meter, bench);
        for (uint32_t i = 0; i < d->swarm.n; i++)
            resumes += d->swarm.subs[i].opens - 1;
        report_add(report, "events", "events acknowledged", d->pubs.acked, 0);
        report_add(report, "cuts", "cuts", (double)churn.cuts, 0);
        report_add(report, "resumes", "streams resumed", (double)resumes, 0);
        report_add(report, "server_cuts", "streams that the server ended", (double)d->swarm.cuts,
                   0);
        report_add(report, "refused", "streams refused",
                   (double)(d->swarm.refused + d->swarm.failures), 0);
        report_add(report, "seconds", "duration, s", (double)meter.wall_ns / 1e9, 1);
        meter_report_counters(&meter, report);
        delivery_judge(d);
        if (report->failed)
            name_the_wronged(&churn);
    }
    delivery_fini(d);
}

int churn_run(int argc, char **argv)
{
    struct bench bench;
    struct bench_options opt = {.json = false};
    struct churn_plan plan = CHURN_PLAN;
    struct report report;
    int code;
    const struct arg table[] = {
        ARG_IS_NUMBER("subscribers", 1, 10000, &plan.subscribers, "(default: 200)"),
        ARG_IS_NUMBER("topics", 1, 10000, &plan.topics, "(default: 20)"),
        ARG_IS_NUMBER("events", 1, 10000000, &plan.events, "(default: 20000)"),
        ARG_IS_NUMBER("rate", 0, 1000000, &plan.rate,
                      "events a second; 0 for full speed (default: 2000)"),
        ARG_IS_NUMBER("connections", 1, 1000, &plan.connections, "that publish (default: 4)"),
        ARG_IS_SECONDS("life", &plan.life_ms, "mean time up to a cut (default: 0.5)"),
        ARG_IS_SECONDS("away", &plan.away_ms, "mean time after it (default: 0.05)"),
        ARG_IS_NUMBER("seed", 0, UINT64_MAX, &plan.seed, "(default: 1)"),
        ARG_IS_LIST("urls", "URL,URL", &opt.urls, "the same as --url"),
        BENCH_OPTIONS(&opt),
        ARG_END,
    };

    if (!bench_begin(
            &bench, &opt, table,
            "Cuts every subscriber at random moments and lets it resume on any server with\n"
            "its Last-Event-ID. Every fourth one follows several topics or a wildcard. Checks\n"
            "that nobody lost an event, got one twice, or out of order.",
            argc, argv, &code))
        return code;
    churn_measure(&bench, &plan, &report);
    return bench_end(&report, opt.json);
}
