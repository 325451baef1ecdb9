/*
 * swarm - many subscribers in one loop, over SSE or over WebSockets.
 *
 * A subscriber opens a stream, takes its events, and may be cut and come back with its last id,
 * here or on another server. For each event the swarm notes the number that the publisher put into
 * it, so that the record can say afterwards what was lost, repeated or out of order. It does not
 * judge itself.
 */
#ifndef WEFT_BENCH_SWARM_H
#define WEFT_BENCH_SWARM_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/wire/id.h>

#include "hist.h"
#include "poller.h"
#include "server.h"

struct swarm;

enum sub_state {
    SUB_CLOSED,
    SUB_CONNECTING, /* up to the first byte of the answer */
    SUB_HEAD,       /* up to weft.open */
    SUB_OPEN
};

struct sub {
    struct io io;
    struct swarm *swarm;
    enum sub_state state;
    uint32_t index;
    uint32_t server;       /* index of the one that it is, or will be, connected to */
    struct weft_id cursor; /* last event, or weft.open; none before the first stream */
    uint32_t opens;        /* streams that began */
    uint32_t gaps;         /* that it was told */
    bool unmeasured;       /* not part of the latency */
    uint32_t disorder;     /* ids that were not greater than the one before */
    uint32_t retry_ms;     /* of its last weft.moved; 0: none came */
    bool told;             /* weft.moved: this stream will end */
    char *carry;           /* the beginning of a chunk whose end has not come */
    uint32_t carry_len, carry_cap;
    uint32_t *got; /* numbers of the events in the order in which they came */
    uint32_t got_n, got_cap;
    uint64_t due_ns; /* the scenario's: when to cut it or to bring it back */
};

struct swarm {
    /* Set before swarm_init. */
    struct poller *poller;
    const struct server *servers;
    uint32_t n_servers;
    uint32_t n;
    /* Writes path and query of a subscriber's stream. */
    void (*target)(void *ctx, uint32_t index, struct weft_buf *out);
    void *ctx;
    bool ws;              /* over WebSockets: the topics of the target, subscribed to */
    bool keep;            /* note the numbers of the events */
    struct hist *latency; /* NULL: not measured */

    struct sub *subs;
    char *buffer;
    uint64_t read_ns; /* when the bytes in the buffer were read */
    uint32_t opening; /* subscribers that are CONNECTING or in HEAD */
    uint32_t open;
    uint64_t delivered; /* events of ours */
    uint64_t bytes;
    uint64_t gaps, foreign, controls;
    uint64_t moved;    /* weft.open of a resumed stream with another id than its cursor */
    uint64_t sent_on;  /* streams that ended with weft.moved */
    uint64_t cuts;     /* streams that ended without being asked to, and without that */
    uint64_t refused;  /* answers that were no stream */
    uint64_t failures; /* connections that were not had */
    char trouble[512]; /* the first of these, in words */
};

void swarm_init(struct swarm *swarm);
/* Closes all and frees. */
void swarm_fini(struct swarm *swarm);

/* Connects a closed subscriber to its server, with its cursor if it has one. */
void swarm_connect(struct swarm *swarm, struct sub *sub);
/* Closes it at once, whatever is under way; the cursor and what it got stay. */
void swarm_cut(struct swarm *swarm, struct sub *sub);

/* It stops reading, or reads again. */
void swarm_pause(struct swarm *swarm, struct sub *sub, bool on);

/*
 * Opens all closed subscribers, some hundred at a time. False: not all opened in time; see trouble.
 */
bool swarm_open_all(struct swarm *swarm, uint64_t timeout_ns);

/* Turns the loop until so many events were delivered in all, or until. True: delivered. */
bool swarm_await(struct swarm *swarm, uint64_t delivered, uint64_t until_ns);

#endif
