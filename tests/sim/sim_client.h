/*
 * sim_client - a subscriber's program, and the judge of what it got: each event of its topics and types
 * after its start once, in order; a gap told only where something was trimmed; nothing passed over in silence.
 *
 * What Redis lost may have come or not. Who was given some of it, or came with its id, is told a reset before anything
 * that was written after the loss, nobody else is told one, and what survived is judged as if there had been no loss.
 *
 * A client goes on at another hub with the id of the last event it got, or with the one that it was opened
 * with. It pulls when it is told that it is ready, unless it is busy.
 *
 * Events whose live line a hub lost alone are judged as fanout.h says: they may come late, but in their topic's
 * order; a client that leaves before never gets them. One that leaves right after one of them gets again what lies
 * between it and what it had got.
 */
#ifndef WEFT_SIM_CLIENT_H
#define WEFT_SIM_CLIENT_H

#include "sim_hub.h"

#define SIM_WORDS 5

/* Events with indexes from .. end (exclusive) of the topic are not there any more. */
struct sim_gap {
    uint32_t topic;
    bool slow; /* of this visit to a hub: none of it may come from rings */
    size_t from, end;
    uint64_t hole;  /* seq of the newest event that is missing */
    uint32_t visit; /* of the client to a hub when it was told; 0: of a reset */
};

/* What one client was given of one event. */
struct sim_given {
    uint8_t times;
    bool excused;    /* it need not come any more, or may come again */
    uint32_t resets; /* that it had been told when this came */
};

struct sim_client {
    struct sim_sub s;
    struct sim_redis *redis;
    struct sim_rng *rng;
    uint32_t number;
    bool busy;      /* does not pull */
    bool was_busy;  /* since it came to this hub */
    bool owes_pull; /* was ready meanwhile, or stopped in the middle */

    struct weft_str words[SIM_WORDS];
    struct weft_str globs[2];
    size_t n_words, n_globs;
    enum weft_slow slow;
    enum weft_sub_from from;
    struct weft_id start_id; /* for from */
    uint32_t topics, types;  /* bits */

    bool opened, started;
    bool has_cursor;
    struct weft_id cursor;     /* with which it would go on elsewhere */
    size_t presented;          /* the event that it has come to this hub with; redis->n: none */
    uint32_t presented_resets; /* ... and how many resets it had been told then */
    size_t start[SIM_TOPICS];  /* index: what comes before this is not its */
    size_t newest;             /* what comes from here on is newer than all it was given */
    size_t newest_of[SIM_TOPICS];
    uint32_t hubs;  /* bits: where it has been */
    uint32_t visit; /* number of its beginnings */
    uint32_t n_resets;
    uint32_t told;        /* losses that the last reset covers */
    uint32_t losses_seen; /* when owed was looked for */
    size_t owed;          /* from this index on nothing may come before a reset is told */
    struct sim_given *given;
    size_t n_given;
    struct sim_gap *gaps;
    size_t n_gaps, gaps_cap;
    size_t n_late, n_again, n_skips, n_closed, n_retopics;
};

void sim_client_init(struct sim_client *c, struct sim_redis *redis, uint32_t number);
void sim_client_fini(struct sim_client *c);

bool sim_client_is_on(const struct sim_client *c);
/* Subscribes, or goes on with its cursor. */
void sim_client_begin(struct sim_client *c, struct sim_hub *hub);
void sim_client_cut(struct sim_client *c);
/* Some topics more, some fewer, unless late events are owed. */
void sim_client_retopic(struct sim_client *c);
/* It was told that it is ready. */
void sim_client_ready(struct sim_client *c);
/* Its writer cannot write for a while, or can again. */
void sim_client_block(struct sim_client *c);
void sim_client_unblock(struct sim_client *c);
/* Pulls some, or all that there is. */
void sim_client_pull(struct sim_client *c, bool all);
/* A page shows where it begins. */
void sim_client_begins(struct sim_client *c, enum sim_start from, struct weft_id start);
/* Everything has come that will come: is everything there? */
void sim_client_judge(struct sim_client *c);

#endif
