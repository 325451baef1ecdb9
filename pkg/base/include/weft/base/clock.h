/*
 * clock - the two clocks of a node: one that measures, one that dates.
 *
 * The monotonic clock never goes back and serves timeouts and durations; the
 * wall clock may jump and serves only what people read. Code that has to be
 * simulated takes its time as an argument instead of calling these.
 * All functions: any thread, no failure.
 */
#ifndef WEFT_BASE_CLOCK_H
#define WEFT_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some fixed moment before the process began. */
uint64_t weft_clock_mono_ns(void);

/* The same moment in milliseconds, rounded down. */
uint64_t weft_clock_mono_ms(void);

/* Milliseconds since 1970-01-01T00:00:00Z. */
int64_t weft_clock_wall_ms(void);

#endif
