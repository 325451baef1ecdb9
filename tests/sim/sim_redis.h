/*
 * sim_redis - the part of Redis that subscribers see, in memory: a log for each topic with its prev chain,
 * trimming, the newest seq of each topic, the head. Nothing is forgotten: what was trimmed can still be asked
 * for by whoever judges.
 */
#ifndef WEFT_SIM_REDIS_H
#define WEFT_SIM_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/str.h>
#include <weft/wire/frame.h>
#include <weft/wire/id.h>
#include <weft/wire/page.h>

#define SIM_TOPICS 8
#define SIM_TYPES  5

/* One generator for everything random in a round: the seed tells the round. */
struct sim_rng {
    uint64_t state;
};

uint64_t sim_random(struct sim_rng *rng);
uint32_t sim_below(struct sim_rng *rng, uint32_t n); /* 0 .. n-1 */
bool sim_chance(struct sim_rng *rng, uint32_t percent);

/* WEFT_SIM_TRACE=1 tells on standard error what happens. */
void sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

extern const char *const sim_topics[SIM_TOPICS];
extern const char *const sim_types[SIM_TYPES];

struct sim_event {
    struct weft_id id;
    uint32_t topics; /* bits */
    uint32_t type;
    uint32_t lost; /* bits: hubs that lost one of its live lines */
};

struct sim_log {
    size_t *events; /* indexes */
    size_t n, cap;
    size_t held; /* index of the first that was not trimmed */
};

struct sim_redis {
    struct sim_rng *rng;
    struct sim_event *events;
    size_t n, cap;
    struct sim_log logs[SIM_TOPICS];
    struct weft_id head;
};

void sim_redis_init(struct sim_redis *redis, struct sim_rng *rng);
void sim_redis_fini(struct sim_redis *redis);
/* A new event in these topics; its index. */
size_t sim_redis_append(struct sim_redis *redis, uint32_t topics, uint32_t type);
/* The first event with at least this seq; redis->n if there is none. */
size_t sim_redis_find(const struct sim_redis *redis, uint64_t seq);
void sim_redis_trim(struct sim_redis *redis, uint32_t topic, size_t keep);
uint64_t sim_redis_score(const struct sim_redis *redis, uint32_t topic);
/* Seq of the topic's newest event before seq, 0 for none. */
uint64_t sim_redis_prev(const struct sim_redis *redis, uint32_t topic, uint64_t seq);
bool sim_redis_is_trimmed(const struct sim_redis *redis, uint32_t topic, uint64_t seq);
/* Bits of the topics that a name or pattern means. */
uint32_t sim_topics_of(struct weft_str word);
struct weft_str sim_topic(uint32_t topic);

/* Adds an event as it is known in one topic. */
void sim_redis_format(const struct sim_redis *redis, size_t event, uint32_t topic,
                      struct weft_batch_builder *bb);
enum sim_start { SIM_AFTER, SIM_EARLIEST, SIM_TIME };

/*
 * A page of topics (bits): at most count entries of each, in order, each event once, up to where all of them are
 * complete. A gap is told with each page that begins before the end of what is missing. Yours.
 */
struct weft_page *sim_redis_page(const struct sim_redis *redis, uint32_t topics,
                                 enum sim_start from, struct weft_id start, uint32_t count);

#endif
