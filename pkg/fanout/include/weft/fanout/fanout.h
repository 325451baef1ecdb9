/*
 * fanout - a worker's side of the fabric: topics, rings of recent events, and subscribers that pull.
 *
 * A subscriber has no queue. It has a cursor, the id up to which it has been given everything, and takes
 * what comes next from where it lies:
 *
 *   OPENING  no cursor yet: waits until all its topics are followed, then starts at the partition's newest id
 *   RING     the rings of its topics reach back to its cursor: it takes from them, merged by seq
 *   LOG      they do not: it takes pages of the log, asked for one at a time, until the rings reach again
 *
 * so a slow subscriber, a resume, a missed live message and Redis having been away are one case: the cursor lies
 * before some ring's floor. Memory for each subscriber is bounded by the one page it holds.
 *
 * Rings: for each topic the recent batches, complete over (floor, last]. A live event whose `prev` is not the ring's last
 * seq shows a hole: the ring starts again behind it (floor = prev), which sends exactly the subscribers that
 * have not seen beyond it to the log. All rings together are bounded in bytes, each in events; the oldest go first. So is
 * what ties patterns to topics: a topic that was quiet for a while, or is the quietest, is taken off them, and goes if
 * nobody names it (wild.c).
 *
 * What holds: each event of its topics and types after its start, once, in the order of seq; what was trimmed before
 * it could be read is told as a gap, and so is what a slow subscriber has chosen not to get (enum weft_slow). One
 * exception, as a cursor is one number for several topics: a live message of topic A alone is lost, and a later event
 * of topic B is given before A's next message shows it. The events that
 * were lost are then read again and given late, in A's order, before anything else of the subscriber
 * (their seq is below the cursor, which stays). Who leaves in between resumes with a cursor beyond them, and never gets
 * them; whoever resumes with the id of a late event gets again what it had got after it, so a writer whose
 * reader keeps the last id should tell it the cursor after late events. An event of several topics, lost in one
 * of them, may then come twice, if the ring of the other one does not hold it any more. A reset ends the waiting for late
 * events: whoever is told that Redis has lost something may have lost these as well.
 *
 * It does not know sockets, HTTP, Redis or clocks: what it needs done it asks of weft_fanout_ops. One thread, the worker's.
 */
#ifndef WEFT_FANOUT_FANOUT_H
#define WEFT_FANOUT_FANOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/str.h>
#include <weft/wire/frame.h>
#include <weft/wire/history.h>
#include <weft/wire/id.h>
#include <weft/wire/page.h>

struct weft_shard;
struct weft_fanout; /* opaque */
struct weft_sub;
struct weft_link;
struct weft_topic;

struct weft_fanout_ops {
    /* Begin or end to follow a topic; an empty name: all topics. Answered by weft_fanout_followed(). */
    void (*follow)(void *ctx, struct weft_str topic, bool on);
    /*
     * Asks for the page that weft_sub_read_start() and weft_sub_what() describe; answered by weft_sub_page_arrived()
     * or weft_sub_page_failed(). False: not now (a bound was reached); tried again at the next tick.
     */
    bool (*read)(void *ctx, struct weft_sub *sub);
    /* The subscriber may have something: it should pull. Called from weft_fanout_flush() only; may fini sub. */
    void (*ready)(void *ctx, struct weft_sub *sub);
};

struct weft_fanout_opts {
    const struct weft_fanout_ops *ops;
    void *ctx;
    struct weft_shard *shard;
    size_t ring_events; /* at most in one topic's ring */
    size_t ring_bytes; /* at most in all rings, and as many in what ties patterns to their topics */
    /*
     * About seconds for which a topic that nobody names any more is still followed, and a quiet one tied to the patterns that
     * match.
     */
    uint32_t linger_sweeps;
    uint32_t latest_events; /* WEFT_SLOW_LATEST: more than so many wait ... */
    uint32_t latest_ms;     /* ... and the writer has been behind for so long */
    bool hears_all;         /* topics are only followed when everything is heard (hub.listen) */
    /* Of pages that subscribers hold: beyond it reads wait; and of gaps that they remember: beyond it they do not. */
    size_t held_bytes;
};

int weft_fanout_create(struct weft_fanout **ret_fo, const struct weft_fanout_opts *opts)
    WEFT_MUST_CHECK;
/* After the last subscriber. NULL is allowed. */
void weft_fanout_destroy(struct weft_fanout *fo);

/* What the hub says. Subscribers that this concerns become ready; call weft_fanout_flush() after a burst. */

/*
 * The topic is followed (an empty name: all are): its newest event is base, and what comes after it comes live. base is
 * not before any event that was handed in, unless Redis holds another history than it did. May come again with a
 * later base: there is something in the log that did not come live.
 */
void weft_fanout_followed(struct weft_fanout *fo, struct weft_str topic, uint64_t base,
                          struct weft_id head);
void weft_fanout_live(struct weft_fanout *fo, struct weft_batch *batch); /* borrowed; refs taken */
/* Everything is heard since `from`, but of whatever topic an event up to base may not have come. Before any live event after base. */
void weft_fanout_broken(struct weft_fanout *fo, uint64_t from, uint64_t base);
/*
 * Down: live events may be missed from now on. Up: with what the head says then. A subscriber that was given an event
 * which this history lacks is sent to the log, where it is told so; one that only stood beyond its end stands back.
 * NULL: it is the one that was there before.
 */
void weft_fanout_down(struct weft_fanout *fo);
void weft_fanout_up(struct weft_fanout *fo, const struct weft_history *history);
bool weft_fanout_is_up(const struct weft_fanout *fo);

/* Calls ops.ready for each ready subscriber, once. */
void weft_fanout_flush(struct weft_fanout *fo);
/* About ten times a second: refused reads again, topics that nobody wants any more. */
void weft_fanout_tick(struct weft_fanout *fo);
/* Calls fn for each subscriber, in no order; fn may fini that subscriber. */
void weft_fanout_each(struct weft_fanout *fo, void (*fn)(void *arg, struct weft_sub *sub),
                      void *arg);

/* What ties patterns to their topics now. */
size_t weft_fanout_pattern_bytes(const struct weft_fanout *fo);

/* One topic since it was last asked about. */
struct weft_topic_load {
    struct weft_str name;
    uint32_t subscribers; /* those of patterns too */
    uint64_t events;      /* that came live */
    uint64_t deliveries;  /* of these, by rings */
};
/* Calls fn for each topic with subscribers, in no order, and counts anew from now on. */
void weft_fanout_loads(struct weft_fanout *fo,
                       void (*fn)(void *arg, const struct weft_topic_load *load), void *arg);

/* ---- subscribers ---- */

enum weft_sub_mode { WEFT_SUB_OPENING, WEFT_SUB_RING, WEFT_SUB_LOG };

enum weft_sub_from {
    WEFT_FROM_NOW,
    WEFT_FROM_CURSOR,
    WEFT_FROM_EARLIEST,
    WEFT_FROM_TIME, /* start.ms */
    WEFT_FROM_AGO   /* start.ms before now */
};

/*
 * What becomes of a subscriber that is slow: whose writer could not write all (weft_sub_blocked()) and has not had
 * everything since, while its rings have let go of what it has not had yet. One that resumes, or reads the log since
 * something did not come live, is not slow until it has had what there was then.
 */
enum weft_slow {
    WEFT_SLOW_REPLAY, /* reads the log */
    /*
     * Is told a gap for each topic with events that it will not get, and goes on with the newest one of each. It is slow
     * early: when more than latest_events of them wait after latest_ms. Where the newest of a topic is not known (it has
     * types, and the rings hold none of them), it reads the log.
     */
    WEFT_SLOW_LATEST,
    WEFT_SLOW_CLOSE /* ends */
};

struct weft_sub_opts {
    enum weft_slow slow;
    enum weft_sub_from from;
    struct weft_id start;
    const struct weft_str *topics; /* valid, no duplicates; names and patterns; copied */
    size_t n_topics;
    const struct weft_str *types; /* valid globs; copied; none: all */
    size_t n_types;
};

/* Embedded by its user; the members are fanout's. */
struct weft_sub {
    struct weft_fanout *fo;
    struct weft_sub *prev, *next;             /* all subscribers */
    struct weft_sub *dirty_prev, *dirty_next; /* the ready ones */
    struct weft_link *links;                  /* its topics */
    struct weft_link *news; /* those with something after the cursor, unless scan_all */
    struct weft_page *page;
    struct weft_page *skipped;    /* gaps of what it will not get (WEFT_SLOW_LATEST) */
    struct weft_told *told;       /* gaps that were told, and not passed yet */
    struct weft_late *late;       /* what comes before anything else */
    struct weft_late *late_given; /* ... and what so came */
    struct weft_id cursor;
    struct weft_id given;      /* newest event that it has, as far as is known; seq 0: none */
    struct weft_id sure;       /* all that it was to get up to here came from the log */
    uint64_t log_from, log_to; /* ... and so did this stretch */
    uint64_t behind_ms;        /* since when its writer is behind */
    uint64_t jumped_to;        /* seq of a cursor whose own event was not given */
    uint64_t resume_to;        /* all up to here belongs to its resume; 0: that is over */
    uint64_t wild_base;        /* topics that its patterns match: linked to, or quiet, after this */
    uint64_t
        let_go;  /* up to here it had events in rings of topics that it is not linked to any more */
    char *words; /* topics, then types: u8 length and bytes each */
    uint32_t page_at;
    uint32_t types_off; /* in words */
    uint16_t topics_n, types_n, patterns_n;
    uint8_t mode;      /* enum weft_sub_mode */
    uint8_t from;      /* enum weft_sub_from, of the next read */
    uint8_t slow;      /* enum weft_slow */
    bool behind : 1;   /* its writer could not write all, and has not had everything since */
    bool too_long : 1; /* ... for latest_ms */
    bool scan_all : 1;
    bool dirty : 1;
    bool reading : 1;   /* a page was asked for */
    bool late_read : 1; /* ... of late events */
    bool again : 1;     /* ... and refused: at the next tick */
    bool stuck : 1;     /* the last page had nothing new, and the rings do not reach either */
    bool waiting : 1;   /* for topics to be followed, or for Redis */
    bool opened : 1;    /* WEFT_PULL_OPENED was returned */
    bool gaps_told : 1; /* of the page */
    bool known : 1;     /* the cursor is of this history: a page or the ring has said so */
    bool doubt : 1;     /* perhaps it is not: a page has to say so */
    bool unwanted : 1;  /* the page on its way: the cursor is not any more where it begins */
    bool at_tail : 1;   /* the last page had all there was */
};

/*
 * Begins the subscription: topics are followed, the subscriber is ready at the next flush. WEFT_ENOMEM.
 */
int weft_sub_init(struct weft_sub *sub, struct weft_fanout *fo, const struct weft_sub_opts *opts)
    WEFT_MUST_CHECK;
/* Ends it; a page that arrives later must not be handed in. Safe on a zeroed struct. */
void weft_sub_fini(struct weft_sub *sub);
/*
 * Other topics from now on, by the same rules as a resume at its cursor: what has been given is not given again, and of a
 * topic that is new to it come the events after the cursor. WEFT_PULL_OPENED comes again. A page on its way must not be
 * handed in. Not while weft_sub_may_leave() is false. WEFT_ENOMEM: it is ended, as by fini.
 */
int weft_sub_retopic(struct weft_sub *sub, const struct weft_str *topics, size_t n) WEFT_MUST_CHECK;
/* Makes it ready: after its writer could not write, or to look again. */
void weft_sub_wake(struct weft_sub *sub);

/* Events from..to (exclusive) of a batch, neighbours in its bytes. The batch is borrowed until the fanout is entered again: ref it to keep it. */
struct weft_run {
    struct weft_batch *batch;
    uint32_t from;
    uint32_t to;
};

enum weft_pull {
    WEFT_PULL_NONE, /* nothing now; ready will be called */
    WEFT_PULL_OPENED, /* once, first: where it starts is known (sub->cursor, if weft_sub_has_cursor()) */
    WEFT_PULL_GAPS, /* weft_sub_next_gap(): to be told before what comes next; each one once */
    WEFT_PULL_EVENTS,
    WEFT_PULL_CLOSE /* it is slow, and wants to end then (WEFT_SLOW_CLOSE): tell it, and end it */
};

/*
 * Takes what comes next. Events: at most max_runs runs and about max_bytes bytes (one event at least); the cursor has moved
 * behind them, so they must be sent or the subscriber ended.
 */
enum weft_pull weft_sub_pull(struct weft_sub *sub, struct weft_run *runs, size_t max_runs,
                             size_t max_bytes, size_t *ret_n);

/* After WEFT_PULL_GAPS, until the next pull: steps through them. *pos starts at 0; NULL at the end. */
const struct weft_gap *weft_sub_next_gap(const struct weft_sub *sub, size_t *pos);

/* Its writer could not write all that was pulled. */
void weft_sub_blocked(struct weft_sub *sub, uint64_t now_ms);
/* Now it has. Makes the subscriber ready. */
void weft_sub_unblocked(struct weft_sub *sub, uint64_t now_ms);

/* How far the newest event of its topics that is known here is after the cursor, by seq. */
uint64_t weft_sub_lag(const struct weft_sub *sub);

/* True while the start was given as earliest or a time and no page has told the id yet. */
bool weft_sub_floats(const struct weft_sub *sub);
/* True once the cursor says where it stands: whoever resumes there misses nothing. With a page of which some was taken it does. */
bool weft_sub_has_cursor(const struct weft_sub *sub);

/*
 * False while late events are owed (see above): whoever is ended now resumes behind them. A stream that has to end,
 * but not at once, should wait until this is true.
 */
bool weft_sub_may_leave(const struct weft_sub *sub);

/* For ops.read: where the page begins, and the topics as one text (sorted, parted by a space), appended to out. */
enum weft_sub_from weft_sub_read_start(const struct weft_sub *sub, struct weft_id *ret_start);
void weft_sub_what(const struct weft_sub *sub, struct weft_buf *out);
/* page is borrowed; a ref is taken. The subscriber becomes ready. */
void weft_sub_page_arrived(struct weft_sub *sub, struct weft_page *page);
/* unavailable: waits for Redis to be up; else tried again at the next tick. */
void weft_sub_page_failed(struct weft_sub *sub, bool unavailable);

/* Steps through the subscriber's topics and patterns; *pos starts at 0; false at the end. */
bool weft_sub_next_topic(const struct weft_sub *sub, size_t *pos, struct weft_str *ret_topic);

#endif
