#include "delivery.h"

#include <weft/base/clock.h>

#define OPEN_TIMEOUT_NS 60000000000
#define QUIET_NS        10000000000 /* without a delivery: what is missing will not come */
#define TURN_NS         1000000
#define NOTES_MAX       500000000 /* deliveries whose numbers are kept: 4 bytes each */

bool delivery_init(struct delivery *d, const struct bench *bench, uint64_t events, uint64_t batch,
                   uint64_t topics, struct report *report)
{
    d->report = report;
    d->deadline_ns = weft_clock_mono_ns() + bench->timeout_ms * 1000000;
    d->swarm.poller = d->pubs.poller = &d->poller;
    d->swarm.servers = d->pubs.servers = bench->servers;
    d->swarm.n_servers = d->pubs.n_servers = bench->n_servers;
    d->pubs.record = &d->record;
    d->swarm.keep = true;
    if (d->follows == delivery_follows_one) {
        d->ctx = d;
        d->swarm.ctx = d;
        d->swarm.target = delivery_target_one;
    }
    if (d->swarm.n * events / topics > NOTES_MAX) {
        report_fail(report, "more than %u deliveries cannot be checked", NOTES_MAX);
        return false;
    }
    if (!server_need_files(d->swarm.n + d->pubs.connections)) {
        report_fail(report, "too few file descriptors");
        return false;
    }
    poller_init(&d->poller);
    record_init(&d->record, (uint32_t)events, (uint32_t)batch, (uint32_t)topics);
    swarm_init(&d->swarm);
    return true;
}

void delivery_fini(struct delivery *d)
{
    pubs_fini(&d->pubs);
    swarm_fini(&d->swarm);
    record_fini(&d->record);
    poller_fini(&d->poller);
}

bool delivery_open(struct delivery *d)
{
    if (!swarm_open_all(&d->swarm, OPEN_TIMEOUT_NS))
        report_fail(d->report, "only %u of %u streams opened; %s", d->swarm.open, d->swarm.n,
                    d->swarm.trouble);
    else if (!pubs_init(&d->pubs))
        report_fail(d->report, "%s", d->pubs.trouble);
    else
        return true;
    return false;
}

uint64_t delivery_expected(struct delivery *d)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < d->swarm.n; i++)
        sum += record_expected(&d->record, d->follows, d->ctx, i);
    return sum;
}

void delivery_drain(struct delivery *d, void (*turn)(void *ctx, uint64_t now_ns), void *ctx)
{
    uint64_t expected = delivery_expected(d);
    uint64_t quiet_since = weft_clock_mono_ns(), now = quiet_since, last = d->swarm.delivered;

    while (d->swarm.delivered < expected && now < d->deadline_ns && now - quiet_since < QUIET_NS) {
        poller_turn(&d->poller, turn != NULL ? TURN_NS : 10 * TURN_NS);
        now = weft_clock_mono_ns();
        if (d->swarm.delivered > last) {
            last = d->swarm.delivered;
            quiet_since = now;
        }
        if (turn != NULL)
            turn(ctx, now);
    }
}

void delivery_judge(struct delivery *d)
{
    const struct swarm *swarm = &d->swarm;
    struct verdict v = {0};
    uint64_t disorder = 0;

    if (d->pubs.failed)
        report_fail(d->report, "%s", d->pubs.trouble);
    else if (d->pubs.acked < d->record.n)
        report_fail(d->report, "only %u of %u events were acknowledged in time", d->pubs.acked,
                    d->record.n);
    record_close(&d->record);
    for (uint32_t i = 0; i < swarm->n; i++) {
        const struct sub *sub = &swarm->subs[i];

        record_judge(&d->record, d->follows, d->ctx, i, sub->got, sub->got_n, &v);
        disorder += sub->disorder;
    }
    /* A repeated event also goes back, so the two ways of counting do not add up. */
    if (disorder > v.disordered)
        v.disordered = disorder;
    report_add(d->report, "expected", "deliveries expected", (double)v.expected, 0);
    report_add(d->report, "lost", "lost", (double)v.lost, 0);
    report_add(d->report, "repeated", "repeated", (double)v.repeated, 0);
    report_add(d->report, "out_of_order", "out of order", (double)v.disordered, 0);
    report_add(d->report, "alien", "not asked for", (double)(v.alien + swarm->foreign), 0);
    report_add(d->report, "gaps", "gaps told", (double)swarm->gaps, 0);
    if (!verdict_is_good(&v) || swarm->gaps > 0 || swarm->foreign > 0 || v.disordered > 0 ||
        swarm->moved > 0)
        report_fail(d->report, "events were lost, repeated or out of order; %s", swarm->trouble);
}

bool delivery_follows_one(void *ctx, uint32_t sub, uint32_t topic)
{
    const struct delivery *d = ctx;

    return sub % d->record.topics == topic;
}

void delivery_target_one(void *ctx, uint32_t sub, struct weft_buf *out)
{
    const struct delivery *d = ctx;

    weft_buf_puts(out, "/api/events?topic=");
    record_topic(&d->record, sub % d->record.topics, out);
}
