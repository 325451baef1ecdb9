/*
 * sim_hub - a model of a node for fanout: the hub's side of topics, live lines and pages, with a mailbox to
 * the one worker. Nothing happens by itself: each delay is a step that somebody chooses to make.
 *
 *   publish -> lines (the socket) -> mailbox -> fanout
 *   fanout asks to follow -> asked -> subscribed -> synced -> mailbox
 *   fanout asks to read   -> reads -> mailbox
 *
 * What it promises to fanout is what the hub promises (fabric's msg.h, follow.c, live.c).
 */
#ifndef WEFT_SIM_HUB_H
#define WEFT_SIM_HUB_H

#include <weft/base/buf.h>
#include <weft/fanout/fanout.h>

#include "sim_redis.h"

struct weft_metrics;
struct sim_msg;
struct sim_line;
struct sim_read;

#define SIM_ALL SIM_TOPICS /* the follow that stands for all topics */

struct sim_hub;

/* A subscriber with a name for its reads that is not used again. */
struct sim_sub {
    struct weft_sub sub;
    struct sim_hub *hub;
    uint64_t ticket; /* changes with each beginning and end */
};

struct sim_follow {
    bool wanted, subscribed, asked_base, synced;
    uint64_t last; /* seq of its newest event known here */
    uint64_t base; /* what Redis answered */
    uint64_t from; /* last when it was synced */
    struct weft_id head;
};

struct sim_hub_opts {
    uint32_t index;
    bool partition; /* hub.listen=partition: topics have no channels */
    size_t ring_events, ring_bytes;
    uint32_t linger_sweeps;
    uint32_t lose;   /* percent of live lines that are lost alone */
    uint32_t refuse; /* percent of reads that fail, in one way or another */
    uint32_t latest_events, latest_ms;
    size_t held_bytes;
    void (*ready)(void *ctx, struct sim_sub *sub);
    /* A page is about to be sent that tells where the subscriber begins. */
    void (*begins)(void *ctx, struct sim_sub *sub, enum sim_start from, struct weft_id start);
    void *ctx;
};

struct sim_hub {
    struct sim_hub_opts o;
    struct sim_rng *rng;
    struct sim_redis *redis;
    struct weft_metrics *metrics;
    struct weft_fanout *fo;
    struct weft_batch_builder bb;
    uint32_t bb_topic;
    struct sim_follow follows[SIM_TOPICS + 1];
    struct sim_line *lines, *lines_tail;
    struct sim_msg *mail, *mail_tail;
    struct sim_read *reads, *kept;
    struct weft_history history; /* as it was when Redis came up */
    struct weft_id head;
    bool up;
    bool asking;       /* the connections are there, but the history was another one: up is next */
    bool behind, lost; /* the mailbox is full: live events are dropped; some were */
    size_t n_reads;    /* that fanout asked for */
    size_t n_follows;  /* changes of what it follows */
};

void sim_hub_init(struct sim_hub *hub, struct sim_redis *redis, const struct sim_hub_opts *opts);
/* After its last subscriber. */
void sim_hub_fini(struct sim_hub *hub);

/* ---- the outside ---- */
void sim_hub_up(struct sim_hub *hub);
void sim_hub_down(struct sim_hub *hub);
/* A publish of these events (indexes first .. first + n - 1) has happened. */
void sim_hub_published(struct sim_hub *hub, size_t first, size_t n);
/* The mailbox is full, or not any more. */
void sim_hub_behind(struct sim_hub *hub, bool behind);
/* Compares what Redis has with what was seen: topics, and whether it is the history that was there. */
void sim_hub_audit(struct sim_hub *hub);

/* ---- steps: each takes at most n of what waits and returns whether there was any ---- */
bool sim_hub_receive(struct sim_hub *hub, uint32_t n); /* lines */
bool sim_hub_follow(struct sim_hub *hub);              /* one step of one topic */
bool sim_hub_read(struct sim_hub *hub, uint32_t page_events);
bool sim_hub_deliver(struct sim_hub *hub, uint32_t n); /* mail, then flush */

/* ---- subscribers ---- */
int sim_sub_begin(struct sim_sub *sub, struct sim_hub *hub, const struct weft_sub_opts *opts);
/* As a worker does it (streams_act.c): what was asked for before does not arrive any more. */
int sim_sub_retopic(struct sim_sub *sub, const struct weft_str *topics, size_t n, uint64_t now_ms);
void sim_sub_end(struct sim_sub *sub);

#endif
