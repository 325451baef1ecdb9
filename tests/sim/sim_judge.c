#include "sim_judge.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

/* ---- what is its ---- */

static void start_after(struct sim_client *c, struct weft_id id)
{
    size_t from = sim_redis_upto(c->redis, id);

    for (uint32_t t = 0; t < SIM_TOPICS; t++)
        c->start[t] = from;
    c->newest = from;
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
        c->start[t] = i == 0 ? 0 : log->events[i - 1] + 1;
    }
    c->started = true;
}

/* One of its topics has the event after its start there. */
static bool wants(const struct sim_client *c, size_t event)
{
    const struct sim_event *e = &c->redis->events[event];

    if ((c->types & 1U << e->type) == 0)
        return false;
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if ((e->topics & c->topics & 1U << t) != 0 && event >= c->start[t])
            return true;
    }
    return false;
}

static bool may_be_late(const struct sim_client *c, const struct sim_event *e)
{
    return (e->lost & c->hubs) != 0;
}

/* Each of its topics that has the event told a gap where it was. */
static bool in_gaps(const struct sim_client *c, size_t event)
{
    const struct sim_event *e = &c->redis->events[event];

    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        bool told = false;

        if ((e->topics & c->topics & 1U << t) == 0 || event < c->start[t])
            continue;
        for (size_t i = 0; i < c->n_gaps && !told; i++) {
            const struct sim_gap *g = &c->gaps[i];

            /* Of a lost event that was trimmed as well nobody knows any more where it was. */
            told = g->topic == t && event < g->end && (g->from <= event || may_be_late(c, e));
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

/* ---- losses ---- */

/* It had something to do with the lost event since it was told a reset, or before it was lost. */
static bool is_settled(const struct sim_client *c, size_t event, uint32_t resets)
{
    return c->n_resets > resets && c->told >= c->redis->events[event].loss;
}

static bool is_owed(const struct sim_client *c, size_t event)
{
    const struct sim_given *given = &c->given[event];

    return c->redis->events[event].loss != 0 && given->times > 0 && !given->excused &&
           !is_settled(c, event, given->resets);
}

static void look_for_owed(struct sim_client *c)
{
    size_t n = c->n_given < c->redis->n ? c->n_given : c->redis->n;

    c->owed = SIZE_MAX;
    c->losses_seen = c->redis->n_losses;
    for (size_t i = 0; i < n && c->owed == SIZE_MAX; i++) {
        /* The first of them was lost first. */
        if (is_owed(c, i))
            c->owed = c->redis->losses[c->redis->events[i].loss - 1];
    }
}

/* Whether one of these losses is a reason to tell it a reset. */
static bool has_cause(const struct sim_client *c, uint32_t losses)
{
    size_t n = c->n_given < c->redis->n ? c->n_given : c->redis->n;

    if (c->presented < c->redis->n) {
        uint32_t loss = c->redis->events[c->presented].loss;

        if (loss != 0 && loss <= losses && !is_settled(c, c->presented, c->presented_resets))
            return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (c->redis->events[i].loss <= losses && is_owed(c, i))
            return true;
    }
    return false;
}

/* ---- what it is given ---- */

void sim_judge_opened(struct sim_client *c)
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
        start_after(c, c->cursor);
    }
}

static void add_gap(struct sim_client *c, struct sim_gap gap)
{
    if (c->n_gaps == c->gaps_cap) {
        c->gaps_cap = c->gaps_cap == 0 ? 8 : c->gaps_cap * 2;
        c->gaps = realloc(c->gaps, c->gaps_cap * sizeof(*c->gaps));
        WEFT_ASSERT(c->gaps != NULL);
    }
    c->gaps[c->n_gaps++] = gap;
}

/* Events of the topic with a lower index are not in its log any more. */
static size_t trimmed_to(const struct sim_client *c, uint32_t topic)
{
    const struct sim_log *log = &c->redis->logs[topic];

    return log->held == 0 ? 0 : log->events[log->held - 1] + 1;
}

static void take_gap(struct sim_client *c, const struct weft_page *page, const struct weft_gap *gap)
{
    uint32_t bits = sim_topics_of(weft_str(gap->topic, strlen(gap->topic)));
    struct sim_gap told = {.slow = gap->reason == WEFT_GAP_SLOW,
                           .from = sim_redis_upto(c->redis, gap->after),
                           .hole = gap->at,
                           .visit = c->visit};
    bool any = gap->next.seq == 0 && sim_redis_losses_at(c->redis, page) < c->redis->n_losses;

    sim_trace("client %u: gap of %s after %lu to %lu\n", c->number, gap->topic,
              (unsigned long)gap->after.seq, (unsigned long)gap->next.seq);
    while (told.topic < SIM_TOPICS && bits != 1U << told.topic)
        told.topic++;
    if (told.topic == SIM_TOPICS || (c->topics & bits) == 0)
        BAD(c, "a gap of topic %s\n", gap->topic);
    told.end = gap->next.seq > 0 ? sim_redis_at(c->redis, gap->next) : trimmed_to(c, told.topic);
    for (size_t k = told.from; k < told.end && k < c->redis->n; k++) {
        const struct sim_event *e = &c->redis->events[k];

        if ((e->topics & bits) == 0)
            continue;
        if (!told.slow && !sim_redis_is_trimmed(c->redis, told.topic, k))
            BAD(c, "a gap over %lu, which is held\n", (unsigned long)e->id.seq);
        any = any || given_at(c, k)->times == 0 || given_at(c, k)->excused || may_be_late(c, e);
    }
    if (!any)
        BAD(c, "a gap after %lu without anything that was trimmed\n",
            (unsigned long)gap->after.seq);
    if (told.slow && (c->slow != WEFT_SLOW_LATEST || !c->was_busy))
        BAD(c, "it was not slow\n");
    bool remembers = weft_metrics_counter(c->s.hub->metrics, WEFT_M_GAPS_TOLD_FULL) == 0;

    for (size_t i = 0; !told.slow && i < c->n_gaps; i++) {
        const struct sim_gap *g = &c->gaps[i];

        if (g->hole == gap->at && g->topic == told.topic && g->visit == c->visit && remembers)
            BAD(c, "a gap of %s up to %lu is told twice\n", gap->topic, (unsigned long)gap->at);
    }
    c->n_skips += told.slow ? 1 : 0;
    add_gap(c, told);
}

/* One for each name. What was trimmed after that which survives is not told beside it. */
static void take_reset(struct sim_client *c, const struct weft_page *page)
{
    size_t upto = sim_redis_upto(c->redis, page->upto);
    uint32_t losses = sim_redis_losses_at(c->redis, page);

    sim_trace("client %u: reset after %lu-%lu\n", c->number, (unsigned long)page->gaps[0].after.ms,
              (unsigned long)page->gaps[0].after.seq);
    for (size_t i = 0; i < c->n_words; i++) {
        size_t k = 0;

        while (k < page->n_gaps && !weft_str_eq(c->words[i], weft_str(page->gaps[k].topic,
                                                                      strlen(page->gaps[k].topic))))
            k++;
        if (k == page->n_gaps || page->n_gaps != c->n_words ||
            page->gaps[k].reason != WEFT_GAP_RESET)
            BAD(c, "no reset of %.*s\n", (int)c->words[i].len, c->words[i].p);
    }
    if (!has_cause(c, losses))
        BAD(c, "a reset without a cause\n");
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        size_t end = trimmed_to(c, t);

        if ((c->topics & 1U << t) != 0 && end > 0)
            add_gap(c, (struct sim_gap){.topic = t, .end = end < upto ? end : upto});
    }
    /* What was lost on the way and not found until now is not looked for any more. */
    for (size_t i = 0; i < c->newest; i++) {
        struct sim_given *given = given_at(c, i);

        if (given->times == 0 && may_be_late(c, &c->redis->events[i]))
            given->excused = true;
    }
    c->n_resets++;
    c->told = losses;
    /* It was told that what it has up to there survives. */
    c->presented = sim_redis_at(c->redis, page->resume);
    c->presented_resets = c->n_resets;
    look_for_owed(c);
}

void sim_judge_gaps(struct sim_client *c)
{
    const struct weft_sub *sub = &c->s.sub;
    const struct weft_page *page = sub->skipped != NULL ? sub->skipped : sub->page;
    const struct weft_gap *gap;
    size_t pos = 0;
    size_t n = 0;

    for (; (gap = weft_sub_next_gap(sub, &pos)) != NULL; n++) {
        if (gap->reason != WEFT_GAP_RESET)
            take_gap(c, page, gap);
    }
    if (n == 0)
        BAD(c, "no gap is told\n");
    if (page->gaps[0].reason == WEFT_GAP_RESET && n != page->n_gaps)
        BAD(c, "a part of a reset\n");
    if (page->gaps[0].reason == WEFT_GAP_RESET)
        take_reset(c, page);
}

/*
 * An event of several topics is in a page once, with its place in the chain of one of them: in another one the hole
 * in front of it does not show.
 */
static bool chain_is_hidden(const struct sim_client *c, uint32_t topic, size_t event)
{
    for (size_t i = event + 1; i < c->newest_of[topic]; i++) {
        uint32_t its = c->redis->events[i].topics & c->topics;

        if ((its & 1U << topic) != 0 && (its & (its - 1)) != 0)
            return true;
    }
    return false;
}

/* It was told that it will not get this one. */
static bool was_skipped(const struct sim_client *c, size_t event)
{
    const struct sim_event *e = &c->redis->events[event];

    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        bool skipped = false;

        if ((e->topics & c->topics & 1U << t) == 0)
            continue;
        for (size_t i = 0; i < c->n_gaps && !skipped; i++) {
            const struct sim_gap *g = &c->gaps[i];

            skipped = g->slow && g->topic == t && event >= g->from && event < g->end;
        }
        if (!skipped)
            return false;
    }
    return true;
}

/* topic: by which it came. */
static void judge_order(struct sim_client *c, size_t event, uint32_t topic)
{
    const struct sim_event *e = &c->redis->events[event];

    if (event < c->newest) {
        if (!may_be_late(c, e))
            BAD(c, "%lu after %lu\n", (unsigned long)e->id.seq,
                (unsigned long)c->redis->events[c->newest - 1].id.seq);
        c->n_late++;
    }
    if (event < c->newest_of[topic] && !chain_is_hidden(c, topic, event))
        BAD(c, "%lu after %lu of %s\n", (unsigned long)e->id.seq,
            (unsigned long)c->redis->events[c->newest_of[topic] - 1].id.seq, sim_topics[topic]);
    if (event >= c->newest_of[topic])
        c->newest_of[topic] = event + 1;
    if (event >= c->newest)
        c->newest = event + 1;
}

void sim_judge_event(struct sim_client *c, const struct weft_batch *batch, uint32_t i)
{
    const struct weft_frame *f = &batch->frames[i];
    size_t at = sim_redis_at(c->redis, f->id);
    uint32_t bits = sim_topics_of(weft_frame_topic(batch, f));

    sim_trace("client %u gets %lu\n", c->number, (unsigned long)f->id.seq);
    if (at == c->redis->n)
        BAD(c, "no such event: %lu\n", (unsigned long)f->id.seq);

    const struct sim_event *e = &c->redis->events[at];
    struct sim_given *given = given_at(c, at);

    if ((e->topics & bits & c->topics) == 0 || !(wants(c, at) || may_have(c, e)))
        BAD(c, "%lu is not for it\n", (unsigned long)f->id.seq);
    /* The log may have it after all. */
    if (was_skipped(c, at) && !may_be_late(c, e) && c->s.sub.mode == WEFT_SUB_RING)
        BAD(c, "%lu, which it was not to get\n", (unsigned long)f->id.seq);
    if (c->losses_seen < c->redis->n_losses)
        look_for_owed(c);
    if (at >= c->owed)
        BAD(c, "%lu before a reset is told\n", (unsigned long)f->id.seq);
    if (given->times > 0 && !given->excused) {
        if (!may_be_late(c, e))
            BAD(c, "%lu again\n", (unsigned long)f->id.seq);
        c->n_again++;
    } else {
        judge_order(c, at, (uint32_t)__builtin_ctz(bits));
    }
    given->times++;
    given->excused = false;
    given->resets = c->n_resets;
    c->has_cursor = true;
    c->cursor = f->id;
    if (e->loss != 0)
        look_for_owed(c);
}

/* ---- leaving, and the end ---- */

/* Every event up to the cursor has come, or never will: only lost ones may. */
void sim_judge_left(struct sim_client *c)
{
    size_t upto = sim_redis_upto(c->redis, c->cursor);

    for (size_t i = 0; i < c->redis->n; i++) {
        const struct sim_event *e = &c->redis->events[i];
        struct sim_given *given = given_at(c, i);

        if (!wants(c, i))
            continue;
        if (i >= upto) {
            given->excused = given->times > 0; /* the cursor went back with a late event */
        } else if (given->times == 0 && !given->excused && e->loss == 0 && !in_gaps(c, i)) {
            if (!may_be_late(c, e))
                BAD(c, "left at %lu without %lu\n", (unsigned long)c->cursor.seq,
                    (unsigned long)e->id.seq);
            given->excused = true;
        }
    }
    c->newest = upto;
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if (c->newest_of[t] > upto)
            c->newest_of[t] = upto;
    }
    look_for_owed(c);
}

void sim_client_judge(struct sim_client *c)
{
    if (!c->started || c->s.sub.mode != WEFT_SUB_RING)
        BAD(c, "has not come to the rings\n");
    look_for_owed(c);
    if (c->owed != SIZE_MAX)
        BAD(c, "never was told a reset\n");
    for (size_t i = 0; i < c->redis->n; i++) {
        const struct sim_event *e = &c->redis->events[i];
        const struct sim_given *given = given_at(c, i);

        if (given->times == 0 && !given->excused && e->loss == 0 && wants(c, i) && !in_gaps(c, i))
            BAD(c, "never got %lu\n", (unsigned long)e->id.seq);
    }
}
