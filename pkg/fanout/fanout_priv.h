/*
 * fanout_priv - what topic.c (rings), sub.c (pulling) and fanout.c (the hub's news) share.
 */
#ifndef WEFT_FANOUT_PRIV_H
#define WEFT_FANOUT_PRIV_H

#include <weft/fanout/fanout.h>

#include <uthash.h>

#include <weft/wire/name.h>

/* One batch in one topic's ring. In two lists: the topic's, oldest first, and that of all rings by age. */
struct weft_ring_entry {
    struct weft_ring_entry *prev, *next;
    struct weft_ring_entry *older, *newer;
    struct weft_topic *topic;
    struct weft_batch *batch;
    uint32_t from; /* first frame that counts */
    uint64_t last_seq;
};

/* One subscriber at one topic. */
struct weft_link {
    struct weft_link *prev, *next; /* of the topic */
    struct weft_link *sub_next;    /* of the subscriber */
    struct weft_topic *topic;
    struct weft_sub *sub;
};

struct weft_topic {
    UT_hash_handle hh;
    struct weft_link *links;
    struct weft_ring_entry *ring; /* utlist DL: ring->prev is the newest */
    size_t ring_events;
    uint64_t floor; /* the ring is complete over (floor, last] */
    uint64_t last;
    uint32_t direct;   /* subscribers that named it */
    uint32_t idle_for; /* sweeps without any */
    bool followed;     /* the hub was asked to */
    bool synced;       /* ... and told from where */
    uint16_t name_len;
    char name[];
};

struct weft_fanout {
    struct weft_fanout_opts o;
    struct weft_topic *topics; /* uthash by name */
    struct weft_sub *subs;     /* utlist DL */
    struct weft_sub *dirty;    /* utlist DL */
    struct weft_ring_entry *oldest, *newest;
    size_t ring_bytes;
    struct weft_id head; /* newest id seen */
    size_t n_again;      /* subscribers whose read was refused */
    uint32_t ticks;
    bool up;
    size_t n_wild;          /* subscribers with a pattern */
    uint32_t wild_idle_for; /* sweeps without any */
    bool all_followed, all_synced;
    uint64_t all_base;     /* wildcards: complete over (all_base, head] ... */
    uint64_t evicted_last; /* ... except what topics had that were dropped here */
};

/* ---- topic.c ---- */
struct weft_topic *weft_topic_get(struct weft_fanout *fo, struct weft_str name, bool create);
void weft_topic_link(struct weft_topic *topic, struct weft_sub *sub, struct weft_link *link);
void weft_topic_unlink(struct weft_link *link);
/* Removes it; its links must be gone or belong to patterns (they are taken off their subscribers). */
void weft_topic_drop(struct weft_fanout *fo, struct weft_topic *topic);
void weft_topic_follow(struct weft_fanout *fo, struct weft_topic *topic);
/* Empties the ring: what is known begins after floor. */
void weft_ring_restart(struct weft_fanout *fo, struct weft_topic *topic, uint64_t floor);
/* Adds the new part of batch. True: there was one. */
bool weft_ring_add(struct weft_fanout *fo, struct weft_topic *topic, struct weft_batch *batch);
/* First frame after seq; false if there is none. */
bool weft_ring_find(const struct weft_topic *topic, uint64_t seq,
                    struct weft_ring_entry **ret_entry, uint32_t *ret_at);

/* ---- sub.c ---- */
void weft_sub_mark(struct weft_sub *sub);
void weft_sub_news(struct weft_sub *sub, struct weft_topic *topic);
/* Links sub to topic if one of its patterns matches. */
void weft_sub_offer(struct weft_sub *sub, struct weft_topic *topic);

#endif
