/*
 * delivery - a publisher side and a subscriber side around one record: what the scenarios that
 * check deliveries have in common.
 */
#ifndef WEFT_BENCH_DELIVERY_H
#define WEFT_BENCH_DELIVERY_H

#include "bench.h"
#include "pubs.h"
#include "swarm.h"

struct delivery {
    struct poller poller;
    struct record record;
    struct swarm swarm;
    struct pubs pubs;
    struct report *report;
    record_follows *follows;
    void *ctx;
    uint64_t deadline_ns; /* of the whole scenario */
};

/*
 * Fill in swarm.{n, target, ctx, latency}, pubs.{connections, payload_bytes, rate} and follows,
 * then: prepares all, connects nothing. False: in the report.
 */
bool delivery_init(struct delivery *d, const struct bench *bench, uint64_t events, uint64_t batch,
                   uint64_t topics, struct report *report);
void delivery_fini(struct delivery *d);

/* Opens all subscribers, then the publishers. False: in the report. */
bool delivery_open(struct delivery *d);

/* Deliveries that there should be in all. */
uint64_t delivery_expected(struct delivery *d);

/*
 * Waits until all are delivered, or nothing came for some seconds; turn, if any, is called every
 * millisecond or so.
 */
void delivery_drain(struct delivery *d, void (*turn)(void *ctx, uint64_t now_ns), void *ctx);

/* After the drain: lost, repeated, out of order; a failure if there are any. */
void delivery_judge(struct delivery *d);

/*
 * follows of scenarios in which subscriber i has the one topic i % topics; ctx is the struct
 * delivery.
 */
bool delivery_follows_one(void *ctx, uint32_t sub, uint32_t topic);
/* The target that goes with it: ctx is the struct delivery. */
void delivery_target_one(void *ctx, uint32_t sub, struct weft_buf *out);

#endif
