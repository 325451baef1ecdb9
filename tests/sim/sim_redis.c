#include "sim_redis.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/name.h>

const char *const sim_topics[SIM_TOPICS] = {"a", "a.1", "a.2", "b", "b.1", "c", "d:x", "e"};
const char *const sim_types[SIM_TYPES] = {"order.new", "order.paid", "user.new", "user.gone",
                                          "tick"};

void sim_trace(const char *fmt, ...)
{
    static int on = -1;
    va_list args;

    if (on < 0)
        on = getenv("WEFT_SIM_TRACE") != NULL;
    if (on == 0)
        return;
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
}

/* splitmix64 */
uint64_t sim_random(struct sim_rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t sim_below(struct sim_rng *rng, uint32_t n)
{
    return (uint32_t)((sim_random(rng) >> 32) * n >> 32);
}

bool sim_chance(struct sim_rng *rng, uint32_t percent)
{
    return sim_below(rng, 100) < percent;
}

struct weft_str sim_topic(uint32_t topic)
{
    return weft_str(sim_topics[topic], strlen(sim_topics[topic]));
}

uint32_t sim_topics_of(struct weft_str word)
{
    uint32_t bits = 0;

    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if (weft_pattern_match(word, sim_topic(t)))
            bits |= 1U << t;
    }
    return bits;
}

void sim_redis_init(struct sim_redis *redis, struct sim_rng *rng)
{
    memset(redis, 0, sizeof(*redis));
    redis->rng = rng;
    redis->clock_ms = 1000000;
}

void sim_redis_fini(struct sim_redis *redis)
{
    for (uint32_t t = 0; t < SIM_TOPICS; t++)
        free(redis->logs[t].events);
    free(redis->all.events);
    free(redis->events);
    free(redis->losses);
    free(redis->readings);
}

static void log_add(struct sim_log *log, size_t event)
{
    if (log->n == log->cap) {
        log->cap = log->cap == 0 ? 64 : log->cap * 2;
        log->events = realloc(log->events, log->cap * sizeof(size_t));
        WEFT_ASSERT(log->events != NULL);
    }
    log->events[log->n++] = event;
}

/* Index of the log's first entry with at least this seq. */
static size_t find_entry(const struct sim_redis *redis, const struct sim_log *log, uint64_t seq)
{
    size_t lo = 0;
    size_t hi = log->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (redis->events[log->events[mid]].id.seq < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* ---- the head, as functions/00_head.lua keeps it ---- */

#define LEAP UINT64_C(1000000000)

static uint64_t leap_from(uint64_t seq)
{
    return ((seq + LEAP / 2) / LEAP + 1) * LEAP;
}

static void next_id(struct sim_redis *redis)
{
    struct weft_history *h = &redis->history;
    struct weft_id last = redis->head;

    redis->clock_ms += sim_below(redis->rng, 3);
    redis->head.ms = redis->clock_ms > last.ms ? redis->clock_ms : last.ms;
    if (last.seq == 0) {
        h->born_ms = redis->head.ms;
    } else if (redis->restarted) {
        uint32_t kept = h->n < WEFT_LEAPS_MAX ? h->n : WEFT_LEAPS_MAX - 1;

        memmove(h->leaps + 1, h->leaps, kept * sizeof(h->leaps[0]));
        h->n = kept + 1;
        redis->head.seq = leap_from(last.seq);
        h->leaps[0] = (struct weft_leap){redis->head.seq, redis->head.ms, last};
    }
    redis->restarted = false;
    redis->head.seq++;
}

struct weft_history sim_redis_history(const struct sim_redis *redis)
{
    struct weft_history h = redis->history;

    h.head = redis->head;
    return h;
}

size_t sim_redis_append(struct sim_redis *redis, uint32_t topics, uint32_t type)
{
    struct sim_event *event;

    if (redis->n == redis->cap) {
        redis->cap = redis->cap == 0 ? 256 : redis->cap * 2;
        redis->events = realloc(redis->events, redis->cap * sizeof(*event));
        WEFT_ASSERT(redis->events != NULL);
    }
    next_id(redis);
    event = &redis->events[redis->n];
    *event = (struct sim_event){.id = redis->head, .topics = topics, .type = type};
    log_add(&redis->all, redis->n);
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if ((topics & 1U << t) == 0)
            continue;
        event->prev[t] = sim_redis_score(redis, t);
        log_add(&redis->logs[t], redis->n);
        sim_trace("publish %lu-%lu to %s\n", (unsigned long)event->id.ms,
                  (unsigned long)event->id.seq, sim_topics[t]);
    }
    return redis->n++;
}

/* Numbers that were given will be given again. */
static bool will_repeat(const struct sim_redis *redis)
{
    uint64_t next = redis->head.seq == 0 ? 0 : leap_from(redis->head.seq);

    for (size_t i = 0; i < redis->n; i++) {
        if (redis->events[i].loss != 0 && redis->events[i].id.seq > next)
            return true;
    }
    return false;
}

static void change_clock(struct sim_redis *redis)
{
    redis->clock_ms = redis->clock_ms + sim_below(redis->rng, 601) - 300;
    for (size_t i = 0; will_repeat(redis) && i < redis->n; i++) {
        if (redis->events[i].id.ms >= redis->clock_ms)
            redis->clock_ms = redis->events[i].id.ms + 1;
    }
}

void sim_redis_lose(struct sim_redis *redis, size_t keep)
{
    struct weft_history *h = &redis->history;

    sim_trace("redis: %zu of %zu survive\n", keep, redis->all.n);
    redis->restarted = true;
    if (keep < redis->all.n) {
        redis->losses = realloc(redis->losses, (redis->n_losses + 1) * sizeof(size_t));
        WEFT_ASSERT(redis->losses != NULL);
        redis->losses[redis->n_losses++] = redis->n;
    }
    while (redis->all.n > keep)
        redis->events[redis->all.events[--redis->all.n]].loss = redis->n_losses;
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        struct sim_log *log = &redis->logs[t];

        while (log->n > 0 && redis->events[log->events[log->n - 1]].loss != 0)
            log->n--;
        log->held = log->held < log->n ? log->held : log->n;
    }
    redis->head = keep > 0 ? redis->events[redis->all.events[keep - 1]].id : (struct weft_id){0, 0};
    while (h->n > 0 && h->leaps[0].first > redis->head.seq) {
        h->n--;
        memmove(h->leaps, h->leaps + 1, h->n * sizeof(h->leaps[0]));
    }
    if (keep == 0)
        memset(h, 0, sizeof(*h));
    change_clock(redis);
}

/* ---- finding ---- */

static bool same_id(struct weft_id a, struct weft_id b)
{
    return a.seq == b.seq && a.ms == b.ms;
}

size_t sim_redis_at(const struct sim_redis *redis, struct weft_id id)
{
    size_t i = find_entry(redis, &redis->all, id.seq);

    if (i < redis->all.n && same_id(redis->events[redis->all.events[i]].id, id))
        return redis->all.events[i];
    for (i = 0; i < redis->n && !same_id(redis->events[i].id, id); i++) {
    }
    return i;
}

size_t sim_redis_upto(const struct sim_redis *redis, struct weft_id id)
{
    size_t at = sim_redis_at(redis, id);

    if (at < redis->n)
        return at + 1;
    at = find_entry(redis, &redis->all, id.seq + 1);
    return at == 0 ? 0 : redis->all.events[at - 1] + 1;
}

void sim_redis_trim(struct sim_redis *redis, uint32_t topic, size_t keep)
{
    struct sim_log *log = &redis->logs[topic];

    if (log->n > keep && log->n - keep > log->held)
        log->held = log->n - keep;
    sim_trace("trim %s: %zu of %zu held\n", sim_topics[topic], log->n - log->held, log->n);
}

static const struct sim_event *entry_at(const struct sim_redis *redis, uint32_t topic, size_t i)
{
    return &redis->events[redis->logs[topic].events[i]];
}

uint64_t sim_redis_score(const struct sim_redis *redis, uint32_t topic)
{
    size_t n = redis->logs[topic].n;

    return n == 0 ? 0 : entry_at(redis, topic, n - 1)->id.seq;
}

bool sim_redis_is_trimmed(const struct sim_redis *redis, uint32_t topic, size_t event)
{
    const struct sim_log *log = &redis->logs[topic];
    const struct sim_event *e = &redis->events[event];

    return e->loss != 0 || find_entry(redis, log, e->id.seq) < log->held;
}

void sim_redis_format(const struct sim_redis *redis, size_t event, uint32_t topic,
                      struct weft_batch_builder *bb)
{
    const struct sim_event *e = &redis->events[event];
    const char *type = sim_types[e->type];

    weft_batch_add(bb, e->id, e->prev[topic], sim_topic(topic), weft_str(type, strlen(type)),
                   WEFT_STR("{\"data\":1}"));
}

/* As stream ids compare. */
static bool is_after(struct weft_id id, enum sim_start from, struct weft_id start)
{
    if (from == SIM_EARLIEST)
        return true;
    if (from == SIM_TIME)
        return id.ms >= start.ms;
    return id.ms != start.ms ? id.ms > start.ms : id.seq > start.seq;
}

/* A topic's part of a page: entries from .. to (exclusive). */
struct part {
    size_t from, to;
    uint64_t gone; /* seq of the newest event that is missing; 0: none is */
};

static void read_part(const struct sim_redis *redis, uint32_t topic, enum sim_start from,
                      struct weft_id start, uint32_t count, struct part *part)
{
    const struct sim_log *log = &redis->logs[topic];

    memset(part, 0, sizeof(*part));
    part->from = log->held;
    while (part->from < log->n && !is_after(entry_at(redis, topic, part->from)->id, from, start))
        part->from++;
    part->to = log->n - part->from > count ? part->from + count : log->n;
    if (from == SIM_AFTER && part->from == log->held && log->held > 0)
        part->gone = entry_at(redis, topic, log->held - 1)->id.seq;
    if (part->gone <= start.seq)
        part->gone = 0;
}

static struct weft_gap *add_gap(struct weft_page *page, struct weft_str topic, struct weft_id after,
                                enum weft_gap_reason reason)
{
    struct weft_gap *gap = &page->gaps[page->n_gaps++];

    gap->after = after;
    gap->reason = reason;
    memcpy(gap->topic, topic.p, topic.len);
    return gap;
}

/* One for each name that was asked for, with the first event that there is of it. */
static void add_resets(struct weft_page *page, const struct sim_redis *redis, struct weft_str what,
                       const struct part *parts, struct weft_id start)
{
    while (what.len > 0) {
        struct weft_str word = weft_str_before(&what, ' ');
        struct weft_gap *gap = add_gap(page, word, start, WEFT_GAP_RESET);
        uint32_t bits = sim_topics_of(word);

        for (uint32_t t = 0; t < SIM_TOPICS; t++) {
            if ((bits & 1U << t) != 0 && parts[t].from < parts[t].to) {
                struct weft_id first = entry_at(redis, t, parts[t].from)->id;

                gap->next = gap->next.seq == 0 || first.seq < gap->next.seq ? first : gap->next;
            }
        }
    }
}

static int by_newest(const void *a, const void *b)
{
    const struct weft_gap *x = a;
    const struct weft_gap *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
}

static void note_reading(struct sim_redis *redis, const struct weft_page *page)
{
    if (redis->n_readings == redis->readings_cap) {
        redis->readings_cap = redis->readings_cap == 0 ? 256 : redis->readings_cap * 2;
        redis->readings =
            realloc(redis->readings, redis->readings_cap * sizeof(redis->readings[0]));
        WEFT_ASSERT(redis->readings != NULL);
    }
    redis->readings[redis->n_readings++] = (struct sim_reading){page, redis->n_losses};
}

uint32_t sim_redis_losses_at(const struct sim_redis *redis, const struct weft_page *page)
{
    size_t i = redis->n_readings;

    while (i > 0 && redis->readings[i - 1].page != page)
        i--;
    WEFT_ASSERT(i > 0);
    return redis->readings[i - 1].losses;
}

static uint32_t topics_of_text(struct weft_str what)
{
    uint32_t topics = 0;

    while (what.len > 0)
        topics |= sim_topics_of(weft_str_before(&what, ' '));
    return topics;
}

static void add_events(const struct sim_redis *redis, uint32_t topics, const struct part *parts,
                       struct weft_page *page)
{
    struct weft_batch_builder bb;

    weft_batch_builder_init(&bb);
    for (size_t i = 0; i < redis->all.n; i++) {
        size_t event = redis->all.events[i];
        const struct sim_event *e = &redis->events[event];

        if (e->id.seq > page->upto.seq)
            break;
        for (uint32_t t = 0; t < SIM_TOPICS; t++) {
            size_t at;

            if ((topics & e->topics & 1U << t) == 0)
                continue;
            at = find_entry(redis, &redis->logs[t], e->id.seq);
            if (at >= parts[t].from && at < parts[t].to) {
                sim_redis_format(redis, event, t, &bb);
                break;
            }
        }
    }
    page->batch = weft_batch_seal(&bb, 0);
    weft_batch_builder_fini(&bb);
}

struct weft_page *sim_redis_page(struct sim_redis *redis, struct weft_str what, enum sim_start from,
                                 struct weft_id start, uint32_t count)
{
    struct weft_history history = sim_redis_history(redis);
    struct part parts[SIM_TOPICS];
    struct weft_page *page = weft_page_create(SIM_TOPICS);
    uint32_t topics = topics_of_text(what);
    struct weft_id after = start;
    bool reset = from == SIM_AFTER && start.seq > 0 && !weft_history_holds(&history, start, &after);

    WEFT_ASSERT(page != NULL);
    page->n_gaps = 0;
    page->upto = redis->head;
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if ((topics & 1U << t) == 0)
            continue;
        read_part(redis, t, from, after, count, &parts[t]);
        if (parts[t].to < redis->logs[t].n &&
            entry_at(redis, t, parts[t].to - 1)->id.seq < page->upto.seq)
            page->upto = entry_at(redis, t, parts[t].to - 1)->id;
    }
    page->more = page->upto.seq < redis->head.seq;
    add_events(redis, topics, parts, page);
    if (reset) {
        add_resets(page, redis, what, parts, start);
        page->resume = after;
    }
    for (uint32_t t = 0; t < SIM_TOPICS && !reset; t++) {
        if ((topics & 1U << t) != 0 && parts[t].gone > 0) {
            struct weft_gap *gap = add_gap(page, sim_topic(t), start, WEFT_GAP_TRIMMED);

            gap->at = parts[t].gone;
            if (parts[t].from < redis->logs[t].n)
                gap->next = entry_at(redis, t, parts[t].from)->id;
        }
    }
    qsort(page->gaps, page->n_gaps, sizeof(page->gaps[0]), by_newest);
    note_reading(redis, page);
    return page;
}
