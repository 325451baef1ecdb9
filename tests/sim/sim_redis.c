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
    redis->head.ms = 1000;
}

void sim_redis_fini(struct sim_redis *redis)
{
    for (uint32_t t = 0; t < SIM_TOPICS; t++)
        free(redis->logs[t].events);
    free(redis->events);
}

size_t sim_redis_append(struct sim_redis *redis, uint32_t topics, uint32_t type)
{
    struct sim_event *event;

    if (redis->n == redis->cap) {
        redis->cap = redis->cap == 0 ? 256 : redis->cap * 2;
        redis->events = realloc(redis->events, redis->cap * sizeof(*event));
        WEFT_ASSERT(redis->events != NULL);
    }
    /* Now and then a leap, as after a failover. */
    redis->head.seq += sim_chance(redis->rng, 1) ? 1000 : 1;
    redis->head.ms += sim_below(redis->rng, 3);
    event = &redis->events[redis->n];
    *event = (struct sim_event){redis->head, topics, type, 0};
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        struct sim_log *log = &redis->logs[t];

        if ((topics & 1U << t) == 0)
            continue;
        if (log->n == log->cap) {
            log->cap = log->cap == 0 ? 64 : log->cap * 2;
            log->events = realloc(log->events, log->cap * sizeof(size_t));
            WEFT_ASSERT(log->events != NULL);
        }
        log->events[log->n++] = redis->n;
        sim_trace("publish %lu to %s\n", (unsigned long)event->id.seq, sim_topics[t]);
    }
    return redis->n++;
}

size_t sim_redis_find(const struct sim_redis *redis, uint64_t seq)
{
    size_t lo = 0;
    size_t hi = redis->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (redis->events[mid].id.seq < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
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

/* Index of the topic's first entry with at least this seq. */
static size_t find_entry(const struct sim_redis *redis, uint32_t topic, uint64_t seq)
{
    size_t lo = 0;
    size_t hi = redis->logs[topic].n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (entry_at(redis, topic, mid)->id.seq < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint64_t sim_redis_prev(const struct sim_redis *redis, uint32_t topic, uint64_t seq)
{
    size_t i = find_entry(redis, topic, seq);

    return i == 0 ? 0 : entry_at(redis, topic, i - 1)->id.seq;
}

bool sim_redis_is_trimmed(const struct sim_redis *redis, uint32_t topic, uint64_t seq)
{
    return find_entry(redis, topic, seq) < redis->logs[topic].held;
}

void sim_redis_format(const struct sim_redis *redis, size_t event, uint32_t topic,
                      struct weft_batch_builder *bb)
{
    const struct sim_event *e = &redis->events[event];
    const char *type = sim_types[e->type];

    weft_batch_add(bb, e->id, sim_redis_prev(redis, topic, e->id.seq), sim_topic(topic),
                   weft_str(type, strlen(type)), WEFT_STR("{\"data\":1}"));
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

static void add_gap(struct weft_page *page, const struct sim_redis *redis, uint32_t topic,
                    const struct part *part, struct weft_id after)
{
    struct weft_gap *gap = &page->gaps[page->n_gaps++];

    gap->after = after;
    if (part->from < redis->logs[topic].n)
        gap->next = entry_at(redis, topic, part->from)->id;
    gap->reason = WEFT_GAP_TRIMMED;
    memcpy(gap->topic, sim_topics[topic], strlen(sim_topics[topic]));
}

struct weft_page *sim_redis_page(const struct sim_redis *redis, uint32_t topics,
                                 enum sim_start from, struct weft_id start, uint32_t count)
{
    struct weft_batch_builder bb;
    struct part parts[SIM_TOPICS];
    struct weft_page *page = weft_page_create(SIM_TOPICS);

    WEFT_ASSERT(page != NULL);
    page->n_gaps = 0;
    page->upto = redis->head;
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if ((topics & 1U << t) == 0)
            continue;
        read_part(redis, t, from, start, count, &parts[t]);
        if (parts[t].to < redis->logs[t].n &&
            entry_at(redis, t, parts[t].to - 1)->id.seq < page->upto.seq)
            page->upto = entry_at(redis, t, parts[t].to - 1)->id;
    }
    page->more = page->upto.seq < redis->head.seq;
    weft_batch_builder_init(&bb);
    for (size_t i = 0; i < redis->n && redis->events[i].id.seq <= page->upto.seq; i++) {
        const struct sim_event *e = &redis->events[i];

        for (uint32_t t = 0; t < SIM_TOPICS; t++) {
            size_t at;

            if ((topics & e->topics & 1U << t) == 0)
                continue;
            at = find_entry(redis, t, e->id.seq);
            if (at >= parts[t].from && at < parts[t].to) {
                sim_redis_format(redis, i, t, &bb);
                break;
            }
        }
    }
    page->batch = weft_batch_seal(&bb, 0);
    weft_batch_builder_fini(&bb);
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        if ((topics & 1U << t) != 0 && parts[t].gone > 0)
            add_gap(page, redis, t, &parts[t], start);
    }
    return page;
}
