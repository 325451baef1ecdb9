/*
 * canary - whether events arrive, seen by sending one.
 *
 * Every canary.interval_ms the hub has a function append an entry to a log and publish it, waits for the message on the
 * live connection, reads the entry back and tells each worker: the way of every event, on the connections of
 * every event. Since when the last one that each worker heard was under way is how old the proof is; /readyz
 * and a gauge say it.
 */
#ifndef WEFT_FABRIC_CANARY_H
#define WEFT_FABRIC_CANARY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_WORKERS_MAX 64

/* Each worker writes its own place, anybody reads. */
struct weft_canaries {
    size_t n;                                   /* workers; const after create */
    _Atomic uint64_t sent_ns[WEFT_WORKERS_MAX]; /* of the last that was heard, monotonic; 0: none */
};

/* Of the worker that is furthest behind, in ms; UINT64_MAX while one has heard none. Any thread. */
uint64_t weft_canaries_age_ms(const struct weft_canaries *canaries, uint64_t now_ns);

#endif
