/*
 * sim_redis - the part of Redis that subscribers see, in memory: a log for each topic with its prev chain,
 * trimming, the newest seq of each topic, the head with its leaps. Nothing is forgotten: what was trimmed, and what was
 * lost by a failover or a flush, can still be asked for by whoever judges.
 *
 * Events are told by their index: it counts on whatever happens to the sequence, so what comes after is after.
 */
#ifndef WEFT_SIM_REDIS_H
#define WEFT_SIM_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/str.h>
#include <weft/wire/frame.h>
#include <weft/wire/history.h>
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
    uint32_t lost;             /* bits: hubs that lost one of its live lines */
    uint32_t loss;             /* by which loss Redis lost it; 0: it survives */
    uint64_t prev[SIM_TOPICS]; /* seq of the one before it in each of its topics */
};

struct sim_log {
    size_t *events; /* indexes */
    size_t n, cap;
    size_t held; /* index of the first that was not trimmed */
};

/* With which losses behind it a page was read. */
struct sim_reading {
    const struct weft_page *page;
    uint32_t losses;
};

struct sim_redis {
    struct sim_rng *rng;
    struct sim_event *events; /* all that ever were, as they came */
    size_t n, cap;
    struct sim_log all; /* those that survive */
    struct sim_log logs[SIM_TOPICS];
    struct weft_id head;
    struct weft_history history; /* but for its head */
    uint64_t clock_ms;
    bool restarted; /* the next event leaps */
    size_t *losses; /* events there had been at each loss; the first is number 1 */
    uint32_t n_losses;
    struct sim_reading *readings;
    size_t n_readings, readings_cap;
};

void sim_redis_init(struct sim_redis *redis, struct sim_rng *rng);
void sim_redis_fini(struct sim_redis *redis);
/* A new event in these topics; its index. */
size_t sim_redis_append(struct sim_redis *redis, uint32_t topics, uint32_t type);
/* The event with this id, of whatever history; redis->n if there is none. */
size_t sim_redis_at(const struct sim_redis *redis, struct weft_id id);
/* Events with a lower index than this are not after the id; it may be of no event. */
size_t sim_redis_upto(const struct sim_redis *redis, struct weft_id id);
/*
 * The server starts again, or another takes over, with no more than the first `keep` of the events that survived so
 * far. Its clock differs by up to 300 ms, but if numbers will come again it is beyond all of theirs.
 */
void sim_redis_lose(struct sim_redis *redis, size_t keep);
/* What the head says. */
struct weft_history sim_redis_history(const struct sim_redis *redis);
void sim_redis_trim(struct sim_redis *redis, uint32_t topic, size_t keep);
uint64_t sim_redis_score(const struct sim_redis *redis, uint32_t topic);
/* The event is not in the topic's log any more. */
bool sim_redis_is_trimmed(const struct sim_redis *redis, uint32_t topic, size_t event);
/* Bits of the topics that a name or pattern means. */
uint32_t sim_topics_of(struct weft_str word);
struct weft_str sim_topic(uint32_t topic);

/* Adds an event as it is known in one topic. */
void sim_redis_format(const struct sim_redis *redis, size_t event, uint32_t topic,
                      struct weft_batch_builder *bb);
enum sim_start { SIM_AFTER, SIM_EARLIEST, SIM_TIME };

/*
 * A page of topics (names and patterns, parted by spaces): at most count entries of each, in order, each event once, up
 * to where all of them are complete. A gap is told with each page that begins before the end of what is missing; a start
 * that does not survive is told as a reset, and read on after what does. Yours.
 */
struct weft_page *sim_redis_page(struct sim_redis *redis, struct weft_str what, enum sim_start from,
                                 struct weft_id start, uint32_t count);
/* How many losses there had been when the page was read. */
uint32_t sim_redis_losses_at(const struct sim_redis *redis, const struct weft_page *page);

#endif
