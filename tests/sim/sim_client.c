#include "sim_client.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/name.h>

static const char *const words[] = {
    "a", "a.1", "a.2", "b", "b.1", "c", "d:x", "e", "a*", "a.*", "b*", "*", "d:*", "z*",
};
#define N_NAMES 8
static const char *const globs[] = {"order.*", "*.new", "user.*", "tick", "*", "none"};

#define BAD(c, ...)                              \
    do {                                         \
        print_error("client %u: ", (c)->number); \
        print_error(__VA_ARGS__);                \
        fail();                                  \
    } while (0)

void sim_client_init(struct sim_client *c, struct sim_redis *redis, uint32_t number)
{
    memset(c, 0, sizeof(*c));
    c->redis = redis;
    c->rng = redis->rng;
    c->number = number;
}

void sim_client_fini(struct sim_client *c)
{
    if (sim_client_is_on(c))
        sim_sub_end(&c->s);
    free(c->given);
    free(c->gaps);
}

bool sim_client_is_on(const struct sim_client *c)
{
    return c->s.hub != NULL;
}

/* ---- what it wants ---- */

static void choose(struct sim_client *c)
{
    static const enum weft_sub_from starts[] = {WEFT_FROM_NOW, WEFT_FROM_CURSOR, WEFT_FROM_EARLIEST,
                                                WEFT_FROM_TIME};
    bool patterns = sim_chance(c->rng, 30);
    uint32_t used = 0;

    c->n_words = 1 + sim_below(c->rng, SIM_WORDS);
    for (size_t i = 0; i < c->n_words; i++) {
        uint32_t w;

        do
            w = sim_below(c->rng, patterns ? WEFT_COUNT_OF(words) : N_NAMES);
        while ((used & 1U << w) != 0);
        used |= 1U << w;
        c->words[i] = weft_str(words[w], strlen(words[w]));
        c->topics |= sim_topics_of(c->words[i]);
    }
    c->n_globs = sim_chance(c->rng, 60) ? 0 : 1 + sim_below(c->rng, 2);
    for (size_t i = 0; i < c->n_globs; i++) {
        const char *glob = globs[sim_below(c->rng, WEFT_COUNT_OF(globs))];

        c->globs[i] = weft_str(glob, strlen(glob));
    }
    for (uint32_t t = 0; t < SIM_TYPES; t++) {
        bool wanted = c->n_globs == 0;

        for (size_t i = 0; i < c->n_globs; i++)
            wanted = wanted || weft_type_glob_match(c->globs[i],
                                                    weft_str(sim_types[t], strlen(sim_types[t])));
        c->types |= wanted ? 1U << t : 0;
    }
    c->slow = (enum weft_slow)sim_below(c->rng, 3);
    c->from = starts[sim_below(c->rng, WEFT_COUNT_OF(starts))];
    if (c->redis->n == 0 && c->from != WEFT_FROM_EARLIEST)
        c->from = WEFT_FROM_NOW;
    if (c->redis->n > 0)
        c->start_id = c->redis->events[sim_below(c->rng, (uint32_t)c->redis->n)].id;
    if (c->from == WEFT_FROM_CURSOR) {
        c->has_cursor = true;
        c->cursor = c->start_id;
    }
}

static void start_after(struct sim_client *c, uint64_t seq)
{
    for (uint32_t t = 0; t < SIM_TOPICS; t++)
        c->start[t] = seq;
    c->newest = seq;
    c->started = true;
}

void sim_client_begins(struct sim_client *c, enum sim_start from, struct weft_id start)
{
    const struct sim_redis *r = c->redis;

    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        const struct sim_log *log = &r->logs[t];
        size_t i = log->held;

        while (from == SIM_TIME && i < log->n && r->events[log->events[i]].id.ms < start.ms)
            i++;
        c->start[t] = i == 0 ? 0 : r->events[log->events[i - 1]].id.seq;
    }
    c->started = true;
}

/* One of its topics has the event after its start there. */
static bool wants(const struct sim_client *c, const struct sim_event *e)
{
    if ((c->types & 1U << e->type) == 0)
        return false;
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if ((e->topics & c->topics & 1U << t) != 0 && e->id.seq > c->start[t])
            return true;
    }
    return false;
}

static bool may_be_late(const struct sim_client *c, const struct sim_event *e)
{
    return (e->lost & c->hubs) != 0;
}

/* Each of its topics that has the event told a gap where it was. */
static bool in_gaps(const struct sim_client *c, const struct sim_event *e)
{
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        bool told = false;

        if ((e->topics & c->topics & 1U << t) == 0 || e->id.seq <= c->start[t])
            continue;
        for (size_t i = 0; i < c->n_gaps && !told; i++) {
            const struct sim_gap *g = &c->gaps[i];

            /* Of a lost event that was trimmed as well nobody knows any more where it was. */
            told =
                g->topic == t && e->id.seq <= g->end && (g->after < e->id.seq || may_be_late(c, e));
        }
        if (!told)
            return false;
    }
    return true;
}

static struct sim_given *given_at(struct sim_client *c, size_t event)
{
    if (event >= c->n_given) {
        c->given = realloc(c->given, (event + 64) * sizeof(*c->given));
        WEFT_ASSERT(c->given != NULL);
        memset(c->given + c->n_given, 0, (event + 64 - c->n_given) * sizeof(*c->given));
        c->n_given = event + 64;
    }
    return &c->given[event];
}

/* From the earliest event held, rings may have more than the log. */
static bool may_have(const struct sim_client *c, const struct sim_event *e)
{
    return (c->types & 1U << e->type) != 0 &&
           (c->from == WEFT_FROM_EARLIEST ||
            (c->from == WEFT_FROM_TIME && e->id.ms >= c->start_id.ms));
}

/* ---- coming and going ---- */

void sim_client_begin(struct sim_client *c, struct sim_hub *hub)
{
    if (c->topics == 0 && c->n_words == 0)
        choose(c);
    const struct weft_sub_opts opts = {
        .slow = c->slow,
        .from = c->has_cursor ? WEFT_FROM_CURSOR : c->from,
        .start = c->has_cursor ? c->cursor : c->start_id,
        .topics = c->words,
        .n_topics = c->n_words,
        .types = c->globs,
        .n_types = c->n_globs,
    };
    c->hubs |= 1U << hub->o.index;
    c->opened = c->was_busy = false;
    sim_trace("client %u begins at hub %u, from %d after %lu:", c->number, hub->o.index,
              (int)opts.from, (unsigned long)opts.start.seq);
    for (size_t i = 0; i < c->n_words; i++)
        sim_trace(" %.*s", (int)c->words[i].len, c->words[i].p);
    sim_trace(" types %x, ticket %lu\n", c->types, (unsigned long)c->s.ticket + 2);
    assert_int_equal(sim_sub_begin(&c->s, hub, &opts), 0);
}

/* Every event up to the cursor has come, or never will: only lost ones may. */
static void judge_cursor(struct sim_client *c)
{
    for (size_t i = 0; i < c->redis->n; i++) {
        const struct sim_event *e = &c->redis->events[i];
        struct sim_given *given = given_at(c, i);

        if (!wants(c, e))
            continue;
        if (e->id.seq > c->cursor.seq) {
            given->excused = given->times > 0; /* the cursor went back with a late event */
        } else if (given->times == 0 && !given->excused && !in_gaps(c, e)) {
            if (!may_be_late(c, e))
                BAD(c, "left at %lu without %lu\n", (unsigned long)c->cursor.seq,
                    (unsigned long)e->id.seq);
            given->excused = true;
        }
    }
}

void sim_client_cut(struct sim_client *c)
{
    sim_trace("client %u is cut\n", c->number);
    sim_sub_end(&c->s);
    c->busy = c->owes_pull = false;
    for (size_t i = 0; i < c->n_gaps; i++)
        c->gaps[i].slow = false;
    if (!c->has_cursor || !c->started)
        return;
    judge_cursor(c);
    c->newest = c->cursor.seq;
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if (c->newest_of[t] > c->newest)
            c->newest_of[t] = c->newest;
    }
}

/* ---- what it is given ---- */

static void take_opened(struct sim_client *c)
{
    if (c->opened)
        BAD(c, "opened twice\n");
    c->opened = true;
    sim_trace("client %u opened at %lu\n", c->number, (unsigned long)c->s.sub.cursor.seq);
    if (c->has_cursor && c->started)
        return;
    if (!weft_sub_floats(&c->s.sub)) {
        c->has_cursor = true;
        c->cursor = c->s.sub.cursor;
        start_after(c, c->cursor.seq);
    }
}

static void take_gaps(struct sim_client *c)
{
    const struct weft_page *page = weft_sub_gaps(&c->s.sub);

    for (size_t i = 0; i < page->n_gaps; i++) {
        const struct weft_gap *gap = &page->gaps[i];
        uint32_t bits = sim_topics_of(weft_str(gap->topic, strlen(gap->topic)));
        struct sim_gap told = {0, gap->reason == WEFT_GAP_SLOW, gap->after.seq,
                               gap->next.seq > 0 ? gap->next.seq - 1 : page->upto.seq};
        bool any = false;

        sim_trace("client %u: gap of %s after %lu to %lu\n", c->number, gap->topic,
                  (unsigned long)told.after, (unsigned long)told.end);
        while (told.topic < SIM_TOPICS && bits != 1U << told.topic)
            told.topic++;
        if (told.topic == SIM_TOPICS || (c->topics & bits) == 0)
            BAD(c, "a gap of topic %s\n", gap->topic);
        for (size_t k = 0; k < c->redis->n; k++) {
            const struct sim_event *e = &c->redis->events[k];

            if ((e->topics & bits) == 0 || e->id.seq <= told.after || e->id.seq > told.end)
                continue;
            if (!told.slow && !sim_redis_is_trimmed(c->redis, told.topic, e->id.seq))
                BAD(c, "a gap over %lu, which is held\n", (unsigned long)e->id.seq);
            any = any || given_at(c, k)->times == 0 || given_at(c, k)->excused || may_be_late(c, e);
        }
        if (!any)
            BAD(c, "a gap after %lu without anything that was trimmed\n",
                (unsigned long)told.after);
        if (told.slow && (c->slow != WEFT_SLOW_LATEST || !c->was_busy))
            BAD(c, "it was not slow\n");
        c->n_skips += told.slow ? 1 : 0;
        if (c->n_gaps == c->gaps_cap) {
            c->gaps_cap = c->gaps_cap == 0 ? 8 : c->gaps_cap * 2;
            c->gaps = realloc(c->gaps, c->gaps_cap * sizeof(*c->gaps));
            WEFT_ASSERT(c->gaps != NULL);
        }
        c->gaps[c->n_gaps++] = told;
    }
}

/*
 * An event of several topics is in a page once, with its place in the chain of one of them: in another one the hole
 * in front of it does not show.
 */
static bool chain_is_hidden(const struct sim_client *c, uint32_t topic, uint64_t seq)
{
    for (size_t i = sim_redis_find(c->redis, seq + 1); i < c->redis->n; i++) {
        uint32_t its = c->redis->events[i].topics & c->topics;

        if (c->redis->events[i].id.seq > c->newest_of[topic])
            break;
        if ((its & 1U << topic) != 0 && (its & (its - 1)) != 0)
            return true;
    }
    return false;
}

/* It was told that it will not get this one. */
static bool was_skipped(const struct sim_client *c, const struct sim_event *e)
{
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        bool skipped = false;

        if ((e->topics & c->topics & 1U << t) == 0)
            continue;
        for (size_t i = 0; i < c->n_gaps && !skipped; i++) {
            const struct sim_gap *g = &c->gaps[i];

            skipped = g->slow && g->topic == t && e->id.seq > g->after && e->id.seq <= g->end;
        }
        if (!skipped)
            return false;
    }
    return true;
}

/* topic: by which it came. */
static void judge_order(struct sim_client *c, const struct sim_event *e, uint32_t topic)
{
    if (e->id.seq <= c->newest) {
        if (!may_be_late(c, e))
            BAD(c, "%lu after %lu\n", (unsigned long)e->id.seq, (unsigned long)c->newest);
        c->n_late++;
    }
    if (e->id.seq <= c->newest_of[topic] && !chain_is_hidden(c, topic, e->id.seq))
        BAD(c, "%lu after %lu of %s\n", (unsigned long)e->id.seq,
            (unsigned long)c->newest_of[topic], sim_topics[topic]);
    if (e->id.seq > c->newest_of[topic])
        c->newest_of[topic] = e->id.seq;
    if (e->id.seq > c->newest)
        c->newest = e->id.seq;
}

static void take_event(struct sim_client *c, const struct weft_batch *batch, uint32_t i)
{
    const struct weft_frame *f = &batch->frames[i];
    size_t at = sim_redis_find(c->redis, f->id.seq);
    const struct sim_event *e = &c->redis->events[at];
    uint32_t bits = sim_topics_of(weft_frame_topic(batch, f));
    struct sim_given *given = given_at(c, at);

    sim_trace("client %u gets %lu\n", c->number, (unsigned long)f->id.seq);
    if (at == c->redis->n || e->id.seq != f->id.seq || e->id.ms != f->id.ms)
        BAD(c, "no such event: %lu\n", (unsigned long)f->id.seq);
    if ((e->topics & bits & c->topics) == 0 || !(wants(c, e) || may_have(c, e)))
        BAD(c, "%lu is not for it\n", (unsigned long)f->id.seq);
    /* The log may have it after all. */
    if (was_skipped(c, e) && !may_be_late(c, e) && c->s.sub.mode == WEFT_SUB_RING)
        BAD(c, "%lu, which it was not to get\n", (unsigned long)f->id.seq);
    if (given->times > 0 && !given->excused) {
        if (!may_be_late(c, e))
            BAD(c, "%lu again\n", (unsigned long)f->id.seq);
        c->n_again++;
    } else {
        judge_order(c, e, (uint32_t)__builtin_ctz(bits));
    }
    given->times++;
    given->excused = false;
    c->has_cursor = true;
    c->cursor = f->id;
}

static void take_runs(struct sim_client *c, const struct weft_run *runs, size_t n, size_t max_bytes)
{
    size_t bytes = 0;
    size_t events = 0;

    for (size_t r = 0; r < n; r++) {
        if (runs[r].from >= runs[r].to || runs[r].to > runs[r].batch->n)
            BAD(c, "an empty run\n");
        for (uint32_t i = runs[r].from; i < runs[r].to; i++) {
            bytes += runs[r].batch->frames[i].len;
            events++;
            take_event(c, runs[r].batch, i);
        }
    }
    if (events > 1 && bytes > max_bytes)
        BAD(c, "%zu bytes of %zu\n", bytes, max_bytes);
}

/* It goes on elsewhere, from where it was told. */
static void take_close(struct sim_client *c)
{
    sim_trace("client %u is closed at %lu\n", c->number, (unsigned long)c->s.sub.cursor.seq);
    if (c->slow != WEFT_SLOW_CLOSE || !c->was_busy)
        BAD(c, "it was not slow\n");
    c->cursor = c->s.sub.cursor;
    c->n_closed++;
    sim_client_cut(c);
}

void sim_client_block(struct sim_client *c)
{
    c->busy = c->was_busy = true;
    weft_sub_blocked(&c->s.sub, c->redis->head.ms);
}

void sim_client_unblock(struct sim_client *c)
{
    c->busy = false;
    weft_sub_unblocked(&c->s.sub, c->redis->head.ms);
}

void sim_client_pull(struct sim_client *c, bool all)
{
    uint32_t times = all ? UINT32_MAX : 1 + sim_below(c->rng, 4);

    c->owes_pull = false;
    while (times-- > 0) {
        struct weft_run runs[8];
        size_t max_runs = 1 + sim_below(c->rng, WEFT_COUNT_OF(runs));
        size_t max_bytes = 1 + sim_below(c->rng, 1500);
        size_t n = 0;

        switch (weft_sub_pull(&c->s.sub, runs, max_runs, max_bytes, &n)) {
        case WEFT_PULL_NONE:
            return;
        case WEFT_PULL_OPENED:
            take_opened(c);
            break;
        case WEFT_PULL_GAPS:
            take_gaps(c);
            break;
        case WEFT_PULL_EVENTS:
            if (n == 0 || n > max_runs)
                BAD(c, "%zu runs of %zu\n", n, max_runs);
            take_runs(c, runs, n, max_bytes);
            break;
        case WEFT_PULL_CLOSE:
            take_close(c);
            return;
        }
    }
    c->owes_pull = true;
}

void sim_client_ready(struct sim_client *c)
{
    if (c->busy)
        c->owes_pull = true;
    else
        sim_client_pull(c, false);
}

/* ---- the end ---- */

void sim_client_judge(struct sim_client *c)
{
    if (!c->started || c->s.sub.mode != WEFT_SUB_RING)
        BAD(c, "has not come to the rings\n");
    for (size_t i = 0; i < c->redis->n; i++) {
        const struct sim_event *e = &c->redis->events[i];
        const struct sim_given *given = given_at(c, i);

        if (given->times == 0 && !given->excused && wants(c, e) && !in_gaps(c, e))
            BAD(c, "never got %lu\n", (unsigned long)e->id.seq);
    }
}
