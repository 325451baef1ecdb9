/*
 * msg - what workers and the hub say to each other.
 *
 * Worker -> hub:  PUBLISH, FOLLOW, UNFOLLOW, READ (a page for streams), ASK (history and topics as
 *                 JSON).
 * Hub -> worker:  PUBLISHED, FOLLOWED, LIVE, BROKEN, PAGE, ANSWER, REDIS (up or down), CANARY.
 *
 * A message carries values, ids and references to immutable things, never a pointer into the other
 * side's objects. A worker names what waits for an answer by a weft_ticket (slot and generation):
 * an answer for a slot that was freed or reused meanwhile is dropped.
 *
 * Overload: PUBLISH, READ and ASK are refused when the hub's mailbox or queue is full (the worker
 * answers 503); FOLLOW and UNFOLLOW and all answers are never refused, their number is bounded by
 * the topics and requests of the node. LIVE is bounded by what the worker reads: a worker that is
 * more than hub.mailbox messages behind is sent a REDIS down/up instead, and goes on from the log.
 */
#ifndef WEFT_FABRIC_MSG_H
#define WEFT_FABRIC_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/str.h>
#include <weft/loop/mailbox.h>
#include <weft/wire/event.h>
#include <weft/wire/frame.h>
#include <weft/wire/history.h>
#include <weft/wire/id.h>
#include <weft/wire/name.h>
#include <weft/wire/page.h>

struct weft_ticket {
    uint32_t slot;
    uint32_t generation;
};

/* ---- worker -> hub ---- */

/*
 * At most so many appends (events times the topics of each) in one request: they are one atomic
 * step in Redis.
 */
#define WEFT_PUBLISH_APPENDS_MAX 4096

/* Most replicas that a publish may wait for. */
#define WEFT_PUBLISH_REPLICAS_MAX 16

/* Epochs and numbers of producers: what every JSON reader holds exactly, and Lua. */
#define WEFT_PRODUCER_NUMBER_MAX ((UINT64_C(1) << 53) - 1)

/* How a request that comes again is known. */
enum weft_publish_key {
    WEFT_PUBLISH_KEY_NONE,
    WEFT_PUBLISH_KEY_ONCE,    /* key: its Idempotency-Key */
    WEFT_PUBLISH_KEY_PRODUCER /* key: its Producer-Id; with epoch and first */
};

/* One HTTP publish request: taken whole or not at all. */
struct weft_publish_msg {
    struct weft_msg msg;
    struct weft_publish_msg *next; /* the hub's queue */
    uint32_t worker;
    struct weft_ticket ticket;
    /* Where PUBLISHED goes instead of to the worker, and what it does there; NULL: to the worker. */
    struct weft_mailbox *answer_to;
    const struct weft_msg_ops *answer_ops;
    struct weft_events events; /* moved in */
    uint32_t topic_refs;       /* sum of topics_n over the events */
    uint64_t origin;       /* those of one stay in the order in which they are posted; 0: of none */
    uint32_t replicas;     /* answered when so many have it; 0: when the master has */
    uint64_t epoch, first; /* of the producer, of its first event */
    enum weft_publish_key key_kind;
    uint16_t key_len;
    char topic[WEFT_NAME_MAX + 1]; /* of the URL: the key's scope */
    char key[WEFT_NAME_MAX + 1];
    uint64_t received_ns;
};

/* topic "" stands for the partition's channel: every topic (wildcards). */
struct weft_follow_msg {
    struct weft_msg msg;
    uint32_t worker;
    bool on;
    char topic[WEFT_NAME_MAX + 1];
};

enum weft_read_start {
    WEFT_READ_AFTER,    /* after the event `start`, gaps told */
    WEFT_READ_EARLIEST, /* from the first event held */
    WEFT_READ_TIME,     /* from start.ms on */
    WEFT_READ_AGO       /* from start.ms milliseconds before Redis's now */
};

/*
 * A page of the topics in `what`: names and patterns, sorted, parted by one space; the same text
 * for equal reads.
 */
struct weft_read_msg {
    struct weft_msg msg;
    uint32_t worker;
    struct weft_ticket ticket;
    enum weft_read_start from;
    struct weft_id start;
    size_t what_len;
    char what[];
};

enum weft_ask_kind {
    WEFT_ASK_TOPICS, /* name: prefix; after: name to start behind; limit */
    WEFT_ASK_TOPIC,  /* name */
    WEFT_ASK_HISTORY /* name; after/before ids; limit; descending */
};

struct weft_ask_msg {
    struct weft_msg msg;
    uint32_t worker;
    struct weft_ticket ticket;
    enum weft_ask_kind kind;
    char name[WEFT_NAME_MAX + 1];
    char after_name[WEFT_NAME_MAX + 1];
    bool has_after, has_before, descending;
    struct weft_id after, before;
    uint32_t limit;
};

/* ---- hub -> worker ---- */

enum weft_published_rc {
    WEFT_PUBLISHED_OK,
    WEFT_PUBLISHED_REPLAYED,     /* the ids of the first time */
    WEFT_PUBLISHED_DUPLICATE,    /* taken before, by the numbers of its producer; no ids */
    WEFT_PUBLISHED_FENCED,       /* the producer has come with a newer epoch: `number` */
    WEFT_PUBLISHED_OUT_OF_ORDER, /* the producer's next event is `number` */
    WEFT_PUBLISHED_REFUSED,      /* Redis holds something else under that key, …: `why` */
    WEFT_PUBLISHED_REPLICAS,     /* only `replicas` have it; the master does */
    WEFT_PUBLISHED_UNAVAILABLE,  /* Redis is away, or refuses: nothing was written */
    WEFT_PUBLISHED_UNSURE,       /* Redis went away before it answered: they may be in the log */
    WEFT_PUBLISHED_BUSY          /* the publish queue is full */
};

struct weft_id_run {
    struct weft_id first; /* n events with consecutive seq */
    uint32_t n;
};

struct weft_published_msg {
    struct weft_msg msg;
    struct weft_ticket ticket;
    enum weft_published_rc rc;
    char why[120];
    uint64_t number;
    uint32_t wanted, replicas; /* that the request asked for; that have it. 0: did not ask */
    uint32_t n_runs;
    struct weft_id_run runs[];
};

/* The topic is followed: live events after `base` will come. head: the partition's newest id. */
struct weft_followed_msg {
    struct weft_msg msg;
    uint64_t base;
    struct weft_id head;
    char topic[WEFT_NAME_MAX + 1]; /* "": the partition's channel */
};

/* Batches of one topic each, in the order of the partition. */
struct weft_live_msg {
    struct weft_msg msg;
    uint32_t n;
    struct weft_batch *batches[]; /* references moved */
};

/*
 * Something was lost on the partition's channel, which is heard since `from`: what lies at or before `base` may not have come,
 * of any topic.
 */
struct weft_broken_msg {
    struct weft_msg msg;
    uint64_t from, base;
};

enum weft_read_rc { WEFT_READ_OK, WEFT_READ_UNAVAILABLE, WEFT_READ_BUSY, WEFT_READ_TOO_MANY };

struct weft_page_msg {
    struct weft_msg msg;
    struct weft_ticket ticket;
    enum weft_read_rc rc;
    struct weft_page *page; /* a reference, moved; NULL unless OK */
};

#define WEFT_ANSWER_HEADERS_MAX 4

struct weft_answer_header {
    const char *name; /* static text, lower case */
    char value[100];
};

/* The hub answers ASK with status and body alone; control uses the rest (feature.h). */
struct weft_answer_msg {
    struct weft_msg msg;
    struct weft_ticket ticket;
    uint16_t status;
    uint16_t n_headers;
    char *body; /* JSON, malloc'd, moved; or NULL */
    size_t body_len;
    /* Not NULL: a problem, and then there is no body. Static texts. */
    const char *code;
    const char *field;
    char detail[200];
    struct weft_answer_header headers[WEFT_ANSWER_HEADERS_MAX];
};

/*
 * Down: live events have stopped, rings are worth nothing. Up: publishes are taken, FOLLOWED will
 * come again for each topic; history is what Redis holds now.
 */
struct weft_redis_msg {
    struct weft_msg msg;
    bool up;
    bool same; /* it was this worker that had missed something: history is the one it knows */
    struct weft_history history;
};

/* A canary (canary.h) has come back; it was sent at sent_ns, monotonic. */
struct weft_canary_msg {
    struct weft_msg msg;
    uint64_t sent_ns;
};

/*
 * What a worker does with each: one table handed to the hub at creation, since the hub must not
 * know fanout or HTTP. deliver runs on the worker's thread with the worker as owner.
 */
struct weft_worker_ops {
    struct weft_msg_ops published, followed, live, broken, page, answer, redis, canary;
};

/* New messages to the hub, zeroed, with their ops; yours until posted. NULL when out of memory. */
struct weft_publish_msg *weft_publish_msg_create(void);
struct weft_follow_msg *weft_follow_msg_create(void);
struct weft_read_msg *weft_read_msg_create(struct weft_str what);
struct weft_ask_msg *weft_ask_msg_create(void);

/* Frees of messages that own something, for the drop functions of both sides. */
void weft_publish_msg_free(struct weft_publish_msg *m);
void weft_live_msg_free(struct weft_live_msg *m);
void weft_page_msg_free(struct weft_page_msg *m);
void weft_answer_msg_free(struct weft_answer_msg *m);

#endif
