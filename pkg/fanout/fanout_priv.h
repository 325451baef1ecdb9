/*
 * fanout_priv - what the parts share:
 *
 *   fanout.c  the hub's news, topics that nobody wants any more
 *   topic.c   topics and their rings
 *   sub.c     subscribers: beginning, ending, pulling, pages
 *   judge.c   subscribers after Redis has lost something
 *   words.c   what a subscriber asked for
 *   wild.c    subscribers with patterns, and their topics
 *   take.c    taking from rings, merged by seq
 *   slow.c    subscribers whose writer is behind
 *   held.c    how much of the log subscribers hold
 *   told.c    gaps that a subscriber was told, so that it is told them once
 *   late.c    events whose live message was lost, found when the cursor had passed them
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
    struct weft_link *prev, *next;         /* of the topic */
    struct weft_link *sub_prev, *sub_next; /* of the subscriber */
    struct weft_link *news_next;           /* of the subscriber's news */
    struct weft_topic *topic;
    struct weft_sub *sub;
    uint64_t skip_to; /* seq: nothing of the ring before this one is given (slow.c) */
    bool news;        /* in that list */
    bool direct;      /* named; else one of its patterns matches */
};

struct weft_topic {
    UT_hash_handle hh;
    struct weft_topic *shown_prev, *shown_next;
    struct weft_link *links;
    struct weft_ring_entry *ring; /* utlist DL: ring->prev is the newest */
    size_t ring_events;
    uint64_t floor;        /* the ring is complete over (floor, last] */
    uint64_t evicted;      /* the ring had events up to here, and let them go for want of room */
    uint64_t evicted_prev; /* the topic's event before that one */
    uint64_t
        doubt;     /* of its events up to here some may not have come: the log was asked for them */
    uint64_t last; /* its newest event that is known, also while the ring is empty */
    uint64_t born; /* it began here with this event, maybe not for the first time; 0: long ago */
    struct weft_id came; /* the newest of its events that came live, of this history */
    uint32_t direct;     /* subscribers that named it */
    uint32_t n_links;
    uint64_t events, deliveries; /* since weft_fanout_loads() */
    uint32_t idle_for;           /* sweeps without any */
    bool followed;               /* the hub was asked to */
    bool synced;                 /* ... and told from where */
    bool met;                    /* last is true */
    bool shown;           /* all subscribers with a pattern that matches are linked; else none is */
    uint32_t quiet_since; /* fo->sweeps at its last live event */
    uint16_t name_len;
    char name[];
};

struct weft_fanout {
    struct weft_fanout_opts o;
    struct weft_topic *topics; /* uthash by name */
    struct weft_sub *subs;     /* utlist DL; those with patterns first */
    struct weft_sub *dirty;    /* utlist DL */
    struct weft_topic *shown;  /* utlist DL, the quietest first */
    uint32_t sweeps;
    size_t wild_bytes; /* of links of patterns, and of the topics that have one */
    struct weft_ring_entry *oldest, *newest;
    size_t ring_bytes;
    struct weft_id head; /* newest id seen */
    uint64_t origin_ms;  /* cursors from before it may be of a history that is gone; 0: none is */
    uint64_t born_ms;    /* of the history; 0: not known */
    struct weft_held *held; /* pages that subscribers hold: uthash by page */
    size_t held_bytes;      /* of these, each once */
    size_t held_mean;       /* of one page, about */
    size_t told_bytes;      /* of what subscribers were told */
    size_t n_reading;       /* subscribers whose page is on its way */
    size_t n_again;         /* subscribers whose read was refused */
    uint32_t ticks;
    bool up;
    size_t n_wild;          /* subscribers with a pattern */
    uint32_t wild_idle_for; /* sweeps without any */
    bool all_followed, all_synced;
    uint64_t heard_from; /* what was lost after this was told as broken, at once */
    uint64_t all_base;   /* wildcards: complete over (all_base, head] ... */
    uint64_t gone; /* ... except up to here, for those that come now: not all of it was kept */
};

/* ---- topic.c ---- */
struct weft_topic *weft_topic_find(struct weft_fanout *fo, struct weft_str name);
/* Makes it if there is none. */
struct weft_topic *weft_topic_get(struct weft_fanout *fo, struct weft_str name);
bool weft_topic_link(struct weft_topic *topic, struct weft_sub *sub, bool direct);
void weft_topic_unlink(struct weft_link *link);
/* Removes it. Nobody may name it. */
void weft_topic_drop(struct weft_fanout *fo, struct weft_topic *topic);
void weft_topic_follow(struct weft_fanout *fo, struct weft_topic *topic);
void weft_topic_unfollow(struct weft_fanout *fo, struct weft_topic *topic);
/*
 * All of its events after its last one, up to seq, were lost since everything is heard: everybody was sent to the log for
 * them when that happened.
 */
static inline bool weft_topic_was_broken(const struct weft_fanout *fo,
                                         const struct weft_topic *topic, uint64_t seq)
{
    return (fo->o.hears_all || topic->last >= fo->heard_from) && seq <= topic->doubt;
}
/* Events after `last` up to seq did not come: for those subscribers whose cursor has passed them. */
void weft_topic_missed(struct weft_fanout *fo, struct weft_topic *topic, uint64_t seq);
/* Empties the ring: what is known begins after floor, or where it is in doubt later than that. */
void weft_ring_restart(struct weft_fanout *fo, struct weft_topic *topic, uint64_t floor);
/* Empties the ring: it is complete after base only. What its newest event is remains known. */
void weft_ring_doubt(struct weft_fanout *fo, struct weft_topic *topic, uint64_t base);
/* Adds the new part of batch. True: there was one. */
bool weft_ring_add(struct weft_fanout *fo, struct weft_topic *topic, struct weft_batch *batch);
/* First frame after seq; false if there is none. */
bool weft_ring_find(const struct weft_topic *topic, uint64_t seq,
                    struct weft_ring_entry **ret_entry, uint32_t *ret_at);

/* ---- take.c ---- */

/* Collects runs; merges neighbours; counts what is in them. */
struct weft_taker {
    struct weft_sub *sub;
    struct weft_run *runs;
    size_t n, max_runs;
    size_t bytes, max_bytes;
    size_t events;
};

/* One frame: taken, or skipped by its type. False: no room. The cursor is the caller's. */
bool weft_take(struct weft_taker *tk, struct weft_batch *batch, uint32_t i);
/* What its rings hold after the cursor. True: all of it was taken. */
bool weft_take_rings(struct weft_taker *tk);

/* ---- words.c ---- */
/* Copies topics and types, counts patterns. False: out of memory. */
bool weft_sub_keep_words(struct weft_sub *sub, const struct weft_sub_opts *opts);
/* ret_types has room for types_n. */
void weft_sub_types(const struct weft_sub *sub, struct weft_str *ret_types);
bool weft_sub_type_wanted(const struct weft_sub *sub, const struct weft_batch *batch, uint32_t i);
/* One of its topics is this one by name. */
bool weft_sub_names(const struct weft_sub *sub, const struct weft_topic *topic);

/* ---- sub.c ---- */
void weft_sub_mark(struct weft_sub *sub);
void weft_sub_news(struct weft_link *link);
/* Events before this may have been passed. What the cursor names was given, unless it jumped there. */
static inline uint64_t weft_sub_passed(const struct weft_sub *sub)
{
    return sub->cursor.seq + (sub->jumped_to != 0 && sub->cursor.seq == sub->jumped_to ? 1 : 0);
}
/* It looks at all of its links. */
void weft_sub_scan(struct weft_sub *sub);
/* Asks for a page, unless one is on its way or Redis is away. */
void weft_sub_read(struct weft_sub *sub, bool late);
/* Its rings do not reach back to the cursor: it lives from pages now. */
void weft_sub_enter_log(struct weft_sub *sub);

/* ---- wild.c ---- */
/* The subscriber has patterns: everything is followed, and it is linked to what goes on. */
void weft_wild_join(struct weft_sub *sub);
/* An event of the topic comes. Others may go to make room. */
void weft_wild_show(struct weft_fanout *fo, struct weft_topic *topic);
/* The ring begins behind its last event, which is newer than what came live: for those who are not linked. */
void weft_wild_restart(struct weft_fanout *fo, const struct weft_topic *topic);
/* Takes the topic off them. */
void weft_wild_hide(struct weft_fanout *fo, struct weft_topic *topic);
/* A link of a pattern is there, or about to go. */
void weft_wild_charge(struct weft_fanout *fo, const struct weft_topic *topic, bool more);
/* About once a second. */
void weft_wild_sweep(struct weft_fanout *fo);

/* ---- judge.c ---- */
/* Its cursor may be of a history that is gone: the log is asked before it goes on. */
void weft_sub_doubt(struct weft_sub *sub);
/* Redis is back with this history: is what the subscriber was given in it? */
void weft_sub_judge(struct weft_sub *sub, const struct weft_history *history);
/* The cursor's number says nothing in this history: up to where it will be everything comes from the log, nothing late. */
void weft_sub_all_from_log(struct weft_sub *sub);

/* ---- slow.c ---- */
/* The topic's events after this are what the subscriber is to get. */
static inline uint64_t weft_link_after(const struct weft_link *link)
{
    uint64_t seq = link->sub->cursor.seq;

    return link->skip_to > seq + 1 ? link->skip_to - 1 : seq;
}

/* Its rings have let go of events that it has not had. Needs news or scan_all to be right. */
bool weft_slow_passed(const struct weft_sub *sub);
/* It lives from rings and its writer is behind. True: *ret_pull comes first. */
bool weft_slow_pull(struct weft_sub *sub, enum weft_pull *ret_pull);
/* It has had everything. */
void weft_slow_done(struct weft_sub *sub);
/* Another history: nothing is skipped. */
void weft_slow_forget(struct weft_sub *sub);

/* ---- held.c ---- */
/* The subscriber holds this page from now on; a reference is taken. */
void weft_sub_hold(struct weft_sub *sub, struct weft_page *page);
/* Lets go of its page, if it has one. */
void weft_sub_let_go(struct weft_sub *sub);
/* Another page may be asked for. */
bool weft_held_has_room(const struct weft_fanout *fo);

/* ---- told.c ---- */
/* The gaps of its page are told now: those that were not told before are, and remembered. False: there are none. */
bool weft_told_news(struct weft_sub *sub);
/* It has everything up to here: what ends there does not come again. */
void weft_told_passed(struct weft_sub *sub, uint64_t seq);
/* NULL is allowed. */
void weft_told_free(struct weft_fanout *fo, struct weft_told *told);
/* What comes after this is of another history, and its numbers may come again. */
void weft_told_forget(struct weft_sub *sub, uint64_t seq);

/* ---- late.c ---- */

/* To be read again: the topic's events after `after`, up to upto and before the cursor. */
struct weft_late {
    struct weft_late *next;
    struct weft_id from; /* where the next page begins: its ms may be older than that of `after` */
    uint64_t after;
    uint64_t upto;
    uint64_t lost; /* one of them that is known; 0: there may be none */
    uint16_t name_len;
    char name[];
};

/* The topic's events after those that its ring had, and before the cursor: may some of them not have been given? */
bool weft_late_unsure(const struct weft_sub *sub, const struct weft_topic *topic);
/* An event of one of its topics: before the cursor, and not given for all that is known. */
bool weft_late_missing(const struct weft_sub *sub, uint64_t seq);
/* The topic's events after the last one that its ring knows, seq among them. */
void weft_late_after(struct weft_sub *sub, const struct weft_topic *topic, uint64_t seq);
/* The event of a page shows by its prev that one from before the page was not given: its topic, else NULL. */
struct weft_topic *weft_late_shows(const struct weft_sub *sub, const struct weft_batch *batch,
                                   uint32_t i);
/* The newest entry of the topic's ring has just come: is any of it before the cursor? */
void weft_late_check(struct weft_link *link);
/* True: what is late comes first; *ret_pull says what there is of it now. */
bool weft_late_pull(struct weft_taker *tk, enum weft_pull *ret_pull);
void weft_late_drop(struct weft_sub *sub);
/* The cursor goes back to there; nothing after it is in the log any more. */
void weft_late_stand_back(struct weft_sub *sub, uint64_t to);

#endif
