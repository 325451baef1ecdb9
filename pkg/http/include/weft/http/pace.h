/*
 * pace - when streams are ended, so that their clients come back one after another.
 *
 * A drain ends the streams of a node evenly over a period. The node chooses one period for all its workers;
 * each worker spreads its own streams over it, out of step with the others, so that the node as a
 * whole keeps the pace without the workers talking to each other.
 *
 * Pure: time and randomness come in.
 */
#ifndef WEFT_HTTP_PACE_H
#define WEFT_HTTP_PACE_H

#include <stdint.h>

/*
 * The period for n streams: period_ms, or longer where that would be more than max_per_s of them a
 * second (0: no ceiling), but never longer than period_max_ms (which counts only where it is more
 * than period_ms). So the end is certain, and the ceiling is kept where that leaves room for it.
 */
uint32_t weft_pace_period_ms(uint64_t n, uint32_t period_ms, uint32_t max_per_s,
                             uint32_t period_max_ms);

/* One worker's part of a drain. */
struct weft_pace {
    uint64_t began_ms;
    uint32_t period_ms;
    uint32_t n;            /* streams of this worker at the beginning */
    uint32_t index, parts; /* this is worker number index of so many */
};

/*
 * How many of the n may be left now. Falls from n to 0 in even steps, which lie inside the period:
 * also one stream alone is ended within it, not at its edge. Who leaves by himself is counted as
 * ended.
 */
uint32_t weft_pace_left(const struct weft_pace *pace, uint64_t now_ms);

/* How long a stream may live: 80 to 100 % of max_ms, as random (any number) says. */
uint32_t weft_pace_life_ms(uint32_t max_ms, uint64_t random);

#endif
