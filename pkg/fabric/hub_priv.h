/*
 * hub_priv - the hub's parts, each in its file, all on the hub's thread (base/role.h):
 *
 *   hub.c     life, connections, up and down, what goes out to workers
 *   head.c    the partition's head: which history Redis holds
 *   reconcile.c  live messages that were lost, found by comparing
 *   canary.c  whether events arrive
 *   master.c  leaving a server that is not the master any more, and what is worth a line of the log
 *   follow.c  topics that somebody follows: SUBSCRIBE, and from where on
 *   live.c    messages of the live channels -> batches
 *   commit.c  publishes -> FCALL weft1_publish, with commit_args.c and commit_answer.c
 *   read.c    pages of the log: equal reads merged, recent pages kept (shelf.c); fill.c reads the
 *             entries, sizes.c says how many to ask for, page.c makes the page
 *   ask.c     history and topics as JSON
 */
#ifndef WEFT_FABRIC_HUB_PRIV_H
#define WEFT_FABRIC_HUB_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include <uthash.h>

#include <weft/base/buf.h>
#include <weft/base/role.h>
#include <weft/config/config.h>
#include <weft/fabric/hub.h>
#include <weft/redis/conn.h>
#include <weft/redis/keys.h>
#include <weft/redis/source.h>

#include "retention_rules_priv.h"
#include "refusal_priv.h"

struct event;
struct event_base;
struct weft_wake;
struct weft_canary;
struct weft_committer;
struct weft_reader;
struct weft_reconciler;

enum weft_subscription {
    WEFT_SUBSCRIPTION_OFF,
    WEFT_SUBSCRIPTION_ASKED, /* SUBSCRIBE was sent */
    WEFT_SUBSCRIPTION_ON     /* ... and confirmed */
};

/*
 * A topic, or (name "") the partition's channel, that workers follow. With hub.listen=partition the partition's is
 * always there, and topics have no channels of their own.
 */
struct weft_follow {
    UT_hash_handle hh;
    uint64_t workers; /* bits */
    uint64_t last;    /* seq of its newest event known here; partition: of any */
    uint64_t
        from; /* partition: last when it was synced; after it nothing is taken from topics' channels */
    enum weft_subscription state;
    bool listed; /* in hub->to_subscribe */
    bool synced; /* last was read from Redis after the subscription was confirmed */
    bool
        compared; /* ... and compared once more since the partition's channel is heard (reconcile.c) */
    uint16_t name_len;
    char name[];
};

struct weft_names {
    struct weft_follow **list;
    size_t n, cap;
};

/* What goes to one worker at the end of the turn. */
struct weft_outbox {
    struct weft_msg *first, *last;
    size_t n;
    struct weft_batch **live; /* run of batches not yet a message */
    size_t n_live, live_cap;
    bool behind; /* its mailbox was over the bound at the last flush: live events are withheld */
    bool lost;   /* ... and some were: it must be started again */
};

struct weft_hub {
    /* Const after create. */
    struct weft_hub_opts o;
    struct weft_keys keys;
    struct weft_retention_rules retention;
    char name[64];           /* first part of the connections' names */
    struct weft_buf channel; /* the partition channel's name */
    struct weft_redis_source *source;
    struct event_base *base;
    struct weft_mailbox *mb;
    struct weft_wake *wake;
    struct weft_committer *committer;
    struct weft_committer *acker; /* of publishes that wait for replicas */
    struct weft_reader *reader;
    struct weft_reconciler *reconciler;
    struct weft_canary *canary;

    /* The creator's thread. */
    pthread_t thread;
    bool started;

    pthread_t owner;       /* who has the rest: the creator, then run(), then who stops the hub */
    bool stop WEFT_OF_HUB; /* set by a message */
    struct weft_redis_conn *cmd WEFT_OF_HUB; /* publishes */
    struct weft_redis_conn *sub WEFT_OF_HUB; /* channels */
    struct weft_redis_conn *rd WEFT_OF_HUB;  /* reads */
    struct weft_redis_conn *ack WEFT_OF_HUB; /* publishes that wait for replicas */
    char names[4][80] WEFT_OF_HUB;           /* of the connections */
    struct weft_refusal_log refusals WEFT_OF_HUB;
    bool up WEFT_OF_HUB;        /* all were, the first three still are, and the history is known */
    bool asking WEFT_OF_HUB;    /* for the history */
    uint64_t epoch WEFT_OF_HUB; /* counts up; answers of an older one are void */
    struct weft_history history WEFT_OF_HUB; /* as it was when Redis came up */
    struct weft_id head WEFT_OF_HUB;         /* newest id seen */
    uint64_t stale_ns WEFT_OF_HUB; /* since when a cursor says that there is more; 0: none */
    struct weft_outbox out[WEFT_WORKERS_MAX] WEFT_OF_HUB;

    struct weft_follow *follows WEFT_OF_HUB; /* uthash by name */
    struct weft_follow *all WEFT_OF_HUB;     /* the one with name "", or NULL */
    struct weft_names to_subscribe WEFT_OF_HUB;
    struct weft_names to_sync WEFT_OF_HUB;

    struct weft_batch_builder bb WEFT_OF_HUB; /* of the current run of live lines */
    uint64_t bb_targets WEFT_OF_HUB;
    char bb_topic[WEFT_NAME_MAX + 1] WEFT_OF_HUB;
    size_t bb_topic_len WEFT_OF_HUB;
    uint64_t turn_ns WEFT_OF_HUB; /* when this turn's messages arrived */
};

/* ---- hub.c ---- */
void weft_hub_send(struct weft_hub *hub, uint32_t worker, struct weft_msg *msg) WEFT_ON_HUB;
/* Posts what was sent in this turn. */
void weft_hub_flush(struct weft_hub *hub) WEFT_ON_HUB;
/* The history in Redis is another one than before: everything starts again. */
void weft_hub_history_changed(struct weft_hub *hub, const char *why) WEFT_ON_HUB;
void weft_hub_see_head(struct weft_hub *hub, struct weft_id id) WEFT_ON_HUB;
/* All connections are up: asks for the history, and is up when it is known. */
void weft_hub_come_up(struct weft_hub *hub) WEFT_ON_HUB;

/* ---- head.c ---- */
/* Asks on the read connection; replied hands what comes to weft_head_take(). WEFT_EUNAVAILABLE. */
int weft_head_ask(struct weft_hub *hub, weft_redis_replied *replied, void *ctx)
    WEFT_ON_HUB WEFT_MUST_CHECK;
/*
 * seen: seq of the hub's head when this was asked for; if it is beyond what Redis answers, or the birth is another one,
 * the history has changed. False: no answer, or an error, which was logged; what is set is empty then. ret_floor may be NULL.
 */
bool weft_head_take(struct weft_hub *hub, const struct weft_reply *reply, uint64_t seen,
                    struct weft_history *ret_history, uint64_t *ret_floor) WEFT_ON_HUB;

/* ---- reconcile.c ---- */
int weft_reconciler_create(struct weft_reconciler **ret_rc, struct weft_hub *hub)
    WEFT_ON_HUB WEFT_MUST_CHECK;
void weft_reconciler_destroy(struct weft_reconciler *rc) WEFT_ON_HUB;
void weft_reconcile_pong(struct weft_reconciler *rc, struct weft_str token) WEFT_ON_HUB;

/* ---- canary.c ---- */
int weft_canary_create(struct weft_canary **ret_canary, struct weft_hub *hub)
    WEFT_ON_HUB WEFT_MUST_CHECK;
void weft_canary_destroy(struct weft_canary *canary) WEFT_ON_HUB;
/* Redis is up: listens, and sends one as soon as it does. */
void weft_canary_connected(struct weft_canary *canary) WEFT_ON_HUB;
/* True: the confirmation was for the canary's channel. */
bool weft_canary_subscribed(struct weft_canary *canary, struct weft_str channel) WEFT_ON_HUB;
/* True: the message was a canary. */
bool weft_canary_arrived(struct weft_canary *canary, struct weft_str channel, struct weft_str text)
    WEFT_ON_HUB;

/* ---- master.c ---- */
/*
 * The cursor is of a later incarnation than this server has: another one may be the master by now. True until
 * redis.stale_ms have gone by without us finding it; Sentinels are asked at once.
 */
bool weft_hub_may_be_stale(struct weft_hub *hub, const struct weft_history *history,
                           struct weft_id cursor) WEFT_ON_HUB;
/* Sentinels name another server; ctx is the hub. */
void weft_hub_master_moved(void *ctx);
/* All connections end and are made anew; the reply being handled is void after this. */
void weft_hub_leave_master(struct weft_hub *hub, const char *why) WEFT_ON_HUB;
/* Whether this error is worth a line in the log. */
bool weft_hub_is_news(struct weft_hub *hub, const struct weft_reply *error) WEFT_ON_HUB;

/* ---- follow.c ---- */
/* With hub.listen=partition: from the beginning. */
void weft_follow_init(struct weft_hub *hub) WEFT_ON_HUB;
/* Every event of the partition is heard, from a point that is known. */
bool weft_follow_hears_all(const struct weft_hub *hub) WEFT_ON_HUB;
void weft_follow_ask(struct weft_hub *hub, const struct weft_follow_msg *m) WEFT_ON_HUB;
/* SUBSCRIBE and sync what was asked in this turn. */
void weft_follow_flush(struct weft_hub *hub) WEFT_ON_HUB;
/* Redis is back: subscribe, and sync anew. */
void weft_follow_connected(struct weft_hub *hub) WEFT_ON_HUB;
/* The subscriber connection is gone. */
void weft_follow_disconnected(struct weft_hub *hub) WEFT_ON_HUB;
void weft_follow_confirmed(struct weft_hub *hub, struct weft_str channel, bool on) WEFT_ON_HUB;
/* Tells the worker about all its topics once more. */
void weft_follow_again(struct weft_hub *hub, uint32_t worker) WEFT_ON_HUB;
struct weft_follow *weft_follow_find(struct weft_hub *hub, struct weft_str name) WEFT_ON_HUB;
/* An event up to last did not come live: who follows goes to the log for it. */
void weft_follow_repair(struct weft_hub *hub, struct weft_follow *f, uint64_t last) WEFT_ON_HUB;
void weft_follow_fini(struct weft_hub *hub) WEFT_ON_HUB;

/* ---- live.c ---- */
void weft_live_arrived(struct weft_hub *hub, struct weft_str channel, struct weft_str text)
    WEFT_ON_HUB;
void weft_live_seal(struct weft_hub *hub) WEFT_ON_HUB;
/* Of the partition's channel: an event up to base did not come. Everybody goes to the log for it. */
void weft_live_broken(struct weft_hub *hub, uint64_t base) WEFT_ON_HUB;

/* ---- commit.c ---- */
/* waits: its requests ask for replicas (m->replicas > 0), those of others do not. */
int weft_committer_create(struct weft_committer **ret_c, struct weft_hub *hub, bool waits)
    WEFT_ON_HUB WEFT_MUST_CHECK;
void weft_committer_destroy(struct weft_committer *c) WEFT_ON_HUB;
/* The connection that it works on, borrowed; NULL: it is gone, and has answered everything. */
void weft_commit_connect(struct weft_committer *c, struct weft_redis_conn *conn) WEFT_ON_HUB;
/* Takes m. */
void weft_commit_take(struct weft_committer *c, struct weft_publish_msg *m) WEFT_ON_HUB;
void weft_commit_flush(struct weft_committer *c) WEFT_ON_HUB;
/* Events in the queue. */
size_t weft_commit_waiting(const struct weft_committer *c) WEFT_ON_HUB;

/* ---- read.c ---- */
int weft_reader_create(struct weft_reader **ret_r, struct weft_hub *hub)
    WEFT_ON_HUB WEFT_MUST_CHECK;
void weft_reader_destroy(struct weft_reader *r) WEFT_ON_HUB;
void weft_reader_take(struct weft_reader *r, const struct weft_read_msg *m) WEFT_ON_HUB;
/* Drops the pages kept: the history may be another now. */
void weft_reader_forget(struct weft_reader *r) WEFT_ON_HUB;
void weft_reader_resume(struct weft_reader *r) WEFT_ON_HUB;

/* ---- ask.c ---- */
void weft_ask_take(struct weft_hub *hub, const struct weft_ask_msg *m) WEFT_ON_HUB;

#endif
