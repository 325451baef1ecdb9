#include "sim_judge.h"

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

void sim_client_init(struct sim_client *c, struct sim_redis *redis, uint32_t number)
{
    memset(c, 0, sizeof(*c));
    c->redis = redis;
    c->rng = redis->rng;
    c->number = number;
    c->owed = SIZE_MAX;
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
    c->visit++;
    c->hubs |= 1U << hub->o.index;
    c->opened = c->was_busy = false;
    c->presented = c->has_cursor ? sim_redis_at(c->redis, c->cursor) : SIZE_MAX;
    c->presented_resets = c->n_resets;
    sim_trace("client %u begins at hub %u, from %d after %lu:", c->number, hub->o.index,
              (int)opts.from, (unsigned long)opts.start.seq);
    for (size_t i = 0; i < c->n_words; i++)
        sim_trace(" %.*s", (int)c->words[i].len, c->words[i].p);
    sim_trace(" types %x, ticket %lu\n", c->types, (unsigned long)c->s.ticket + 2);
    assert_int_equal(sim_sub_begin(&c->s, hub, &opts), 0);
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
    sim_judge_left(c);
}

/* Each is thrown out or stays, and others come in; one at least. */
static void choose_others(struct sim_client *c)
{
    struct weft_str old[SIM_WORDS];
    size_t n_old = c->n_words;
    size_t want = 1 + sim_below(c->rng, SIM_WORDS);

    memcpy(old, c->words, sizeof(old));
    c->n_words = 0;
    for (size_t i = 0; i < n_old; i++) {
        if (sim_chance(c->rng, 60))
            c->words[c->n_words++] = old[i];
    }
    while (c->n_words < want) {
        const char *word = words[sim_below(
            c->rng, sim_chance(c->rng, 25) ? (uint32_t)WEFT_COUNT_OF(words) : N_NAMES)];
        bool there = false;

        for (size_t i = 0; i < c->n_words; i++)
            there = there || weft_str_eq(c->words[i], weft_str(word, strlen(word)));
        if (!there)
            c->words[c->n_words++] = weft_str(word, strlen(word));
    }
    c->topics = 0;
    for (size_t i = 0; i < c->n_words; i++)
        c->topics |= sim_topics_of(c->words[i]);
}

void sim_client_retopic(struct sim_client *c)
{
    const struct weft_sub *sub = &c->s.sub;
    bool begun =
        c->started && sub->mode != WEFT_SUB_OPENING && !(weft_sub_floats(sub) && sub->page_at == 0);
    struct weft_id at = sub->cursor;
    uint32_t before = c->topics;

    if (!weft_sub_may_leave(sub))
        return;
    if (begun) {
        for (size_t i = 0; i < c->n_gaps; i++)
            c->gaps[i].slow = false;
        c->has_cursor = true;
        c->cursor = at;
        sim_judge_left(c);
        c->presented = sim_redis_at(c->redis, at);
        c->presented_resets = c->n_resets;
    } else if (!c->has_cursor) {
        c->started = false;
    }
    choose_others(c);
    for (uint32_t t = 0; begun && t < SIM_TOPICS; t++) {
        if ((before & 1U << t) == 0)
            c->start[t] = sim_redis_upto(c->redis, at);
    }
    c->opened = false;
    c->n_retopics++;
    sim_trace("client %u has other topics, at %lu:", c->number, (unsigned long)at.seq);
    for (size_t i = 0; i < c->n_words; i++)
        sim_trace(" %.*s", (int)c->words[i].len, c->words[i].p);
    sim_trace(", ticket %lu\n", (unsigned long)c->s.ticket + 2);
    assert_int_equal(sim_sub_retopic(&c->s, c->words, c->n_words, c->redis->head.ms), 0);
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
            sim_judge_event(c, runs[r].batch, i);
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
            sim_judge_opened(c);
            break;
        case WEFT_PULL_GAPS:
            sim_judge_gaps(c);
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
