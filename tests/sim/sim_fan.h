/*
 * sim_fan - one fanout by hand: a test says what the hub tells it, and reads what a subscriber gets as one line of
 * text. The event with seq n has the id <ms+n>-<n>.
 */
#ifndef WEFT_SIM_FAN_H
#define WEFT_SIM_FAN_H

#include <weft/fanout/fanout.h>

struct weft_metrics;

struct sim_fan {
    struct weft_fanout *fo;
    struct weft_metrics *metrics;
    const char *type; /* of the events that come */
    uint64_t ms;      /* when their history began */
    uint64_t born_ms; /* ... as the head says it */
    uint32_t n_leaps; /* 0 or 1 */
    struct weft_leap leap;
    uint64_t resume;     /* of a reset: the last event that survives */
    bool refuse;         /* reads */
    enum weft_slow slow; /* of the subscribers that come */
    size_t n_reads;
    char read[200];    /* the last one: "a b after 5" */
    char follows[400]; /* "+a -a +*" */
    size_t n_ready;
    struct weft_sub *end; /* on ready, this one ends */
};

struct sim_entry {
    const char *topic;
    uint64_t seq, prev;
};

/* Redis is up. */
void sim_fan_init(struct sim_fan *f, size_t ring_events, size_t ring_bytes);
/* Subscribers may hold so much of the log. */
void sim_fan_init_held(struct sim_fan *f, size_t held_bytes);
void sim_fan_fini(struct sim_fan *f);
/* Redis is back, and its newest event is head. */
void sim_fan_up(struct sim_fan *f, uint64_t head);

/* topics: "a b*", types: "" or globs. */
void sim_fan_sub(struct sim_fan *f, struct weft_sub *sub, const char *topics, const char *types,
                 enum weft_sub_from from, uint64_t start);

void sim_fan_followed(struct sim_fan *f, const char *topic, uint64_t base, uint64_t head);
struct weft_batch *sim_fan_batch(const struct sim_fan *f, const struct sim_entry *entries,
                                 size_t n);
void sim_fan_live(struct sim_fan *f, const struct sim_entry *entries, size_t n);
void sim_fan_page(struct sim_fan *f, struct weft_sub *sub, uint64_t upto, bool more,
                  const char *gaps, const struct sim_entry *entries, size_t n);

#define ENTRIES(...)                           \
    ((const struct sim_entry[]){__VA_ARGS__}), \
        sizeof((const struct sim_entry[]){__VA_ARGS__}) / sizeof(struct sim_entry)

/* A live batch of one topic, each {topic, seq, prev}. */
#define LIVE(f, ...)                  sim_fan_live(f, ENTRIES(__VA_ARGS__))
#define PAGE(f, sub, upto, more, ...) sim_fan_page(f, sub, upto, more, NULL, ENTRIES(__VA_ARGS__))
/* "trimmed a@7 b@9" in front: 7 and 9 are the newest that are missing; or "reset a". */
#define GAP_PAGE(f, sub, upto, more, gap, ...) \
    sim_fan_page(f, sub, upto, more, gap, ENTRIES(__VA_ARGS__))
#define EMPTY_PAGE(f, sub, upto, more) sim_fan_page(f, sub, upto, more, NULL, NULL, 0)

/* Flushes, pulls until there is nothing, and tells what came: "opened@5 6 7 gap(a) 9". Valid until the next call. */
const char *sim_fan_pull(struct sim_fan *f, struct weft_sub *sub);
/* One pull, "" for nothing. */
const char *sim_fan_pull_once(struct sim_fan *f, struct weft_sub *sub, size_t max_runs,
                              size_t max_bytes);
/* Pulls, and compares. */
void sim_fan_gets(struct sim_fan *f, struct weft_sub *sub, const char *expected);

#endif
