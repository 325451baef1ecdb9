/*
 * pubs - publishers: keep-alive connections that POST the events of a record.
 *
 * Each connection has one request under way; the answer has to be 201 with as many ids as events
 * were sent. Anything else ends the run, but, with `moves`, the loss of the connection: the request is
 * sent again, to the next server, with its idempotency key. Each event carries its number and the time
 * at which it was sent; with a rate, at which it was to be sent, so that a server that stands still is in every
 * figure that it has delayed.
 */
#ifndef WEFT_BENCH_PUBS_H
#define WEFT_BENCH_PUBS_H

#include <stdbool.h>
#include <stdint.h>

#include "hist.h"
#include "poller.h"
#include "record.h"
#include "server.h"

struct pubs;

struct pub {
    struct io io;
    struct pubs *pubs;
    uint32_t server;
    bool busy; /* a request is under way */
    char *out; /* head and body */
    size_t out_len, out_sent;
    char *in;
    size_t in_len;
    uint32_t first, n; /* the events of the request; n is 0 when it is answered */
    uint64_t sent_ns;  /* as its events say */
    struct pub *next_idle;
};

struct pubs {
    /* Set before pubs_init. */
    struct poller *poller;
    const struct server *servers; /* connection i goes to server i % n_servers at first */
    uint32_t n_servers;
    struct record *record;
    uint32_t connections;
    uint32_t payload_bytes; /* of one event's payload, at least PUBS_PAYLOAD_MIN */
    uint64_t rate;          /* events per second in all; 0: as fast as answers come */
    struct hist *latency;   /* from that time to the answer; NULL: not measured */
    bool moves;             /* servers may go away, though never all */

    struct pub *pubs;
    struct pub *idle;
    char *event; /* the body of one event, to be copied and filled in */
    size_t event_len;
    uint32_t next;   /* number of the next event */
    uint32_t acked;  /* events */
    uint32_t limit;  /* events from this number on have to wait: the scenario moves it */
    uint64_t resent; /* requests */
    uint64_t begin_ns;
    uint64_t end_ns; /* when the last answer came */
    bool failed;
    char trouble[512];
};

#define PUBS_PAYLOAD_MIN 64
#define PUBS_PAYLOAD_MAX 65536
#define PUBS_BATCH_MAX   1000

/* Connects. False: see trouble. */
bool pubs_init(struct pubs *pubs);
void pubs_fini(struct pubs *pubs);

/* Sends what rate and limit allow. Call it every turn of the loop. */
void pubs_pump(struct pubs *pubs);

/* How long a turn may wait before the rate allows the next request, at most most_ns. */
uint64_t pubs_wait_ns(const struct pubs *pubs, uint64_t most_ns);

static inline bool pubs_are_done(const struct pubs *pubs)
{
    return pubs->failed || pubs->acked == pubs->record->n;
}

/* Publishes all that is left, turning the loop. False: not in time, or failed. */
bool pubs_run(struct pubs *pubs, uint64_t until_ns);

#endif
