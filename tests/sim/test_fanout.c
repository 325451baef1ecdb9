/*
 * Random publishes, lost live messages, cuts, stops and resumes, and failovers, restarts, flushes and restored backups, on
 * a model of Redis and of the hub; each subscriber is judged (sim_client.h).
 *
 *   WEFT_SIM_SEED=n    only this round
 *   WEFT_SIM_ROUNDS=n  more rounds, or fewer
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

#include "sim_client.h"

#define HUBS    2
#define CLIENTS 7

struct world {
    struct sim_rng rng;
    struct sim_redis redis;
    struct sim_hub hubs[HUBS];
    struct sim_client clients[CLIENTS];
    uint32_t keep;      /* events in a trimmed log */
    uint32_t publishes; /* percent of steps */
    uint32_t trouble;   /* in a thousand things that hubs do */
    uint32_t failovers; /* in a hundred things that Redis does without being asked */
    uint32_t retopics;  /* percent of the things that a client does */
    uint32_t ticks; /* at most at once: quiet topics are taken off patterns, wherever they stand */
    bool trims, cuts_in_ready;
};

struct tally {
    size_t events, lost, given, late, again, gaps, skips, resets, closed, retopics, reads, follows,
        taken_off;
};

/* What may happen in a round besides cuts and outages. */
enum { LOST_MESSAGES = 1, FAILOVERS = 2, RETOPICS = 4 };

static void on_ready(void *ctx, struct sim_sub *sub)
{
    struct world *w = ctx;
    struct sim_client *c = WEFT_CONTAINER_OF(sub, struct sim_client, s);

    sim_client_ready(c);
    if (w->cuts_in_ready && sim_client_is_on(c) && sim_chance(&w->rng, 1))
        sim_client_cut(c);
}

static void on_begins(void *ctx, struct sim_sub *sub, enum sim_start from, struct weft_id start)
{
    (void)ctx;
    sim_client_begins(WEFT_CONTAINER_OF(sub, struct sim_client, s), from, start);
}

/* For when a round fails: cmocka leaves it by longjmp. */
static struct world world;
static uint64_t seed_now;

static void setup(struct world *w, uint64_t seed, unsigned what)
{
    memset(w, 0, sizeof(*w));
    w->rng.state = seed;
    sim_redis_init(&w->redis, &w->rng);
    w->keep = 1 + sim_below(&w->rng, 30);
    w->publishes = 1 + sim_below(&w->rng, 12);
    w->trouble = sim_below(&w->rng, 30);
    w->trims = sim_chance(&w->rng, 60);
    w->cuts_in_ready = sim_chance(&w->rng, 50);
    w->ticks = sim_chance(&w->rng, 50) ? 1 : 30;
    w->failovers = (what & FAILOVERS) != 0 ? 1 + sim_below(&w->rng, 15) : 0;
    w->retopics = (what & RETOPICS) != 0 ? 1 + sim_below(&w->rng, 30) : 0;
    for (uint32_t i = 0; i < HUBS; i++) {
        const struct sim_hub_opts opts = {
            .index = i,
            .partition = sim_chance(&w->rng, 50),
            .ring_events = 1 + sim_below(&w->rng, sim_chance(&w->rng, 25) ? 4 : 100),
            .ring_bytes = 300 + sim_below(&w->rng, sim_chance(&w->rng, 25) ? 1000 : 100000),
            .linger_sweeps = sim_below(&w->rng, 3),
            .lose = (what & LOST_MESSAGES) != 0 ? 1 + sim_below(&w->rng, 20) : 0,
            .refuse = sim_chance(&w->rng, 50) ? 0 : sim_below(&w->rng, 40),
            .latest_events = sim_below(&w->rng, 10),
            .latest_ms = sim_below(&w->rng, 60),
            .held_bytes = sim_chance(&w->rng, 50) ? SIZE_MAX / 2 : 1 + sim_below(&w->rng, 3000),
            .ready = on_ready,
            .begins = on_begins,
            .ctx = w,
        };
        sim_hub_init(&w->hubs[i], &w->redis, &opts);
        sim_hub_up(&w->hubs[i]);
    }
    for (uint32_t i = 0; i < CLIENTS; i++)
        sim_client_init(&w->clients[i], &w->redis, i);
}

static void teardown(struct world *w)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        sim_client_fini(&w->clients[i]);
    for (uint32_t i = 0; i < HUBS; i++)
        sim_hub_fini(&w->hubs[i]);
    sim_redis_fini(&w->redis);
}

/*
 * After a flush under living connections: that the sequence went back is noticed before it has caught up, as hubs compare
 * several times a second.
 */
static void notice_flush(struct world *w, size_t n)
{
    for (uint32_t i = 0; i < HUBS; i++) {
        struct sim_hub *hub = &w->hubs[i];

        if (hub->up && w->redis.head.seq < hub->head.seq && w->redis.head.seq + n >= hub->head.seq)
            sim_hub_audit(hub);
    }
}

static void publish(struct world *w)
{
    size_t first = w->redis.n;
    size_t n = 1 + sim_below(&w->rng, sim_chance(&w->rng, 80) ? 2 : 8);

    notice_flush(w, n);

    for (size_t i = 0; i < n; i++) {
        /* Some topics are busier than others, and some events are in two. */
        uint32_t topics = 1U << sim_below(&w->rng, 1 + sim_below(&w->rng, SIM_TOPICS));

        if (sim_chance(&w->rng, 15))
            topics |= 1U << sim_below(&w->rng, SIM_TOPICS);
        (void)sim_redis_append(&w->redis, topics, sim_below(&w->rng, SIM_TYPES));
    }
    for (uint32_t i = 0; i < HUBS; i++)
        sim_hub_published(&w->hubs[i], first, n);
}

/* What hubs do by themselves, some of it. */
static bool turn(struct world *w, struct sim_hub *hub, uint32_t n)
{
    bool any = sim_hub_receive(hub, n);

    any = sim_hub_follow(hub) || any;
    any = sim_hub_read(hub, 1 + sim_below(&w->rng, 20)) || any;
    return sim_hub_deliver(hub, n) || any;
}

static void step_client(struct world *w, struct sim_client *c)
{
    if (!sim_client_is_on(c)) {
        sim_client_begin(c, &w->hubs[sim_below(&w->rng, HUBS)]);
    } else if (sim_chance(&w->rng, 6)) {
        sim_client_cut(c);
    } else if (w->retopics > 0 && sim_chance(&w->rng, w->retopics)) {
        sim_client_retopic(c);
    } else if (sim_chance(&w->rng, 10)) {
        sim_client_block(c);
    } else if (sim_chance(&w->rng, 50)) {
        sim_client_unblock(c);
    } else if (c->owes_pull && !c->busy) {
        sim_client_pull(c, sim_chance(&w->rng, 50));
    }
}

/*
 * What hubs have not received by then is lost with their connections; what is in their mailboxes arrives. Connections that
 * live on bring it before they bring anything that is read later.
 */
static void failover(struct world *w)
{
    size_t n = w->redis.all.n;
    uint32_t what = sim_below(&w->rng, 100);
    bool connected = false;

    if (what < 45) {
        size_t tail = 1 + sim_below(&w->rng, 10);

        n = n > tail ? n - tail : 0;
    } else if (what < 60) { /* a backup */
        n = sim_below(&w->rng, (uint32_t)n + 1);
    } else if (what < 75) { /* a flush */
        n = 0;
        connected = sim_chance(&w->rng, 50);
    }
    for (uint32_t i = 0; i < HUBS; i++) {
        (void)sim_hub_receive(&w->hubs[i], connected ? UINT32_MAX : sim_below(&w->rng, 20));
        if (!connected)
            sim_hub_down(&w->hubs[i]);
    }
    sim_redis_lose(&w->redis, n);
}

static void trouble(struct world *w, struct sim_hub *hub)
{
    uint32_t what = sim_below(&w->rng, 4);

    if (!hub->up) {
        if (what > 0)
            sim_hub_up(hub);
    } else if (what == 0) {
        sim_hub_down(hub);
    } else if (hub->behind || what == 1) {
        sim_hub_behind(hub, !hub->behind);
    } else {
        sim_hub_audit(hub);
    }
}

static void step_hub(struct world *w, struct sim_hub *hub)
{
    uint32_t what = sim_below(&w->rng, 100);

    if (sim_below(&w->rng, 1000) < w->trouble) {
        trouble(w, hub);
    } else if (!hub->up && sim_chance(&w->rng, 5)) {
        sim_hub_up(hub);
    } else if (what < 30) {
        (void)sim_hub_receive(hub, 1 + sim_below(&w->rng, 20));
    } else if (what < 45) {
        for (uint32_t n = sim_below(&w->rng, 12); n > 0; n--)
            (void)sim_hub_follow(hub);
    } else if (what < 60) {
        (void)sim_hub_read(hub, 1 + sim_below(&w->rng, 20));
    } else if (what < 90) {
        (void)sim_hub_deliver(hub, 1 + sim_below(&w->rng, 20));
    } else {
        for (uint32_t n = 1 + sim_below(&w->rng, w->ticks); n > 0; n--)
            weft_fanout_tick(hub->fo);
        weft_fanout_flush(hub->fo);
    }
}

static void step(struct world *w)
{
    uint32_t what = sim_below(&w->rng, 100);

    if (what < w->publishes) {
        publish(w);
    } else if (what < 14) {
        if (w->trims && sim_chance(&w->rng, 15))
            sim_redis_trim(&w->redis, sim_below(&w->rng, SIM_TOPICS), w->keep);
        else if (sim_chance(&w->rng, w->failovers))
            failover(w);
    } else if (what < 30) {
        step_client(w, &w->clients[sim_below(&w->rng, CLIENTS)]);
    } else {
        step_hub(w, &w->hubs[sim_below(&w->rng, HUBS)]);
    }
}

/* No more trouble: everything that is under way arrives. It has to come to an end. */
static void settle(struct world *w)
{
    uint32_t quiet = 0;

    w->cuts_in_ready = false;
    for (uint32_t i = 0; i < HUBS; i++) {
        w->hubs[i].o.lose = w->hubs[i].o.refuse = 0;
        sim_hub_behind(&w->hubs[i], false);
        if (!w->hubs[i].up)
            sim_hub_up(&w->hubs[i]);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (!sim_client_is_on(&w->clients[i]))
            sim_client_begin(&w->clients[i], &w->hubs[i % HUBS]);
    }
    for (uint32_t round = 0; quiet < 3; round++) {
        bool any = false;

        if (round > 2000) {
            print_error("it does not come to an end\n");
            fail();
        }
        for (uint32_t i = 0; i < CLIENTS; i++) {
            if (!sim_client_is_on(&w->clients[i])) /* closed, as it was slow */
                sim_client_begin(&w->clients[i], &w->hubs[i % HUBS]);
            sim_client_unblock(&w->clients[i]);
            sim_client_pull(&w->clients[i], true);
        }
        for (uint32_t i = 0; i < HUBS; i++) {
            any = turn(w, &w->hubs[i], UINT32_MAX) || any;
            sim_hub_audit(&w->hubs[i]);
            if (!w->hubs[i].up)
                sim_hub_up(&w->hubs[i]);
            weft_fanout_tick(w->hubs[i].fo);
            weft_fanout_flush(w->hubs[i].fo);
        }
        quiet = any ? 0 : quiet + 1;
    }
}

static void count(struct tally *tally, const struct world *w)
{
    tally->events += w->redis.n;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        const struct sim_client *c = &w->clients[i];

        for (size_t k = 0; k < c->n_given; k++)
            tally->given += c->given[k].times;
        tally->late += c->n_late;
        tally->again += c->n_again;
        tally->gaps += c->n_gaps;
        tally->skips += c->n_skips;
        tally->closed += c->n_closed;
        tally->resets += c->n_resets;
        tally->retopics += c->n_retopics;
    }
    for (size_t i = 0; i < w->redis.n; i++)
        tally->lost += w->redis.events[i].loss != 0 ? 1 : 0;
    for (uint32_t i = 0; i < HUBS; i++) {
        tally->reads += w->hubs[i].n_reads;
        tally->follows += w->hubs[i].n_follows;
        tally->taken_off += weft_metrics_counter(w->hubs[i].metrics, WEFT_M_PATTERN_OFF);
    }
}

static void play(uint64_t seed, unsigned what, struct tally *tally)
{
    struct world *w = &world;
    uint32_t steps;

    setup(w, seed, what);
    steps = 100 + sim_below(&w->rng, 1400);
    for (uint32_t i = 0; i < steps; i++)
        step(w);
    settle(w);
    for (uint32_t i = 0; i < CLIENTS; i++)
        sim_client_judge(&w->clients[i]);
    count(tally, w);
    teardown(w);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 10);
}

static int tell_seed(void **state)
{
    if (seed_now != 0) {
        print_error("again: WEFT_SIM_SEED=%lu\n", (unsigned long)seed_now);
        seed_now = 0;
        teardown(&world);
    }
    return 0;
}

static void rounds(unsigned what, uint64_t n)
{
    uint64_t only = number_of("WEFT_SIM_SEED", 0);
    struct tally tally = {0};

    n = number_of("WEFT_SIM_ROUNDS", n);
    for (seed_now = only > 0 ? only : 1; seed_now <= (only > 0 ? only : n); seed_now++)
        play(seed_now, what, &tally);
    seed_now = 0;
    print_message("%zu events, %zu of them lost, %zu given, %zu late, %zu of them again, %zu gaps, "
                  "%zu of them skips, %zu resets, %zu closed, %zu reads, %zu retopics, "
                  "%zu topics taken off patterns\n",
                  tally.events, tally.lost, tally.given, tally.late, tally.again, tally.gaps,
                  tally.skips, tally.resets, tally.closed, tally.reads, tally.retopics,
                  tally.taken_off);
}

static void everything_comes_once_and_in_order(void **state)
{
    rounds(0, 1500);
}

static void what_a_lost_message_hides_comes_late(void **state)
{
    rounds(LOST_MESSAGES, 1500);
}

static void what_redis_lost_is_told_to_those_who_had_it(void **state)
{
    rounds(FAILOVERS, 1500);
}

static void lost_messages_and_lost_events_do_not_hide_each_other(void **state)
{
    rounds(LOST_MESSAGES | FAILOVERS, 1500);
}

static void topics_change_and_nothing_is_lost(void **state)
{
    rounds(RETOPICS, 1500);
}

static void topics_change_while_messages_are_lost(void **state)
{
    rounds(RETOPICS | LOST_MESSAGES, 1500);
}

static void topics_change_while_events_are_lost(void **state)
{
    rounds(RETOPICS | LOST_MESSAGES | FAILOVERS, 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(everything_comes_once_and_in_order, tell_seed),
        cmocka_unit_test_teardown(what_a_lost_message_hides_comes_late, tell_seed),
        cmocka_unit_test_teardown(what_redis_lost_is_told_to_those_who_had_it, tell_seed),
        cmocka_unit_test_teardown(lost_messages_and_lost_events_do_not_hide_each_other, tell_seed),
        cmocka_unit_test_teardown(topics_change_and_nothing_is_lost, tell_seed),
        cmocka_unit_test_teardown(topics_change_while_messages_are_lost, tell_seed),
        cmocka_unit_test_teardown(topics_change_while_events_are_lost, tell_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
