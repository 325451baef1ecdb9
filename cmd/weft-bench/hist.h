/*
 * hist - a histogram of durations: 64 steps in each power of two, so within 1.6 %.
 */
#ifndef WEFT_BENCH_HIST_H
#define WEFT_BENCH_HIST_H

#include <stdint.h>

#define HIST_STEP_BITS 6
#define HIST_BUCKETS   ((64 - HIST_STEP_BITS + 1) << HIST_STEP_BITS)

struct hist {
    uint64_t n;
    uint32_t buckets[HIST_BUCKETS];
};

static inline void hist_add(struct hist *hist, uint64_t ns)
{
    unsigned shift = ns >> HIST_STEP_BITS == 0
                         ? 0
                         : 63 - HIST_STEP_BITS - (unsigned)__builtin_clzll((unsigned long long)ns);

    hist->n++;
    hist->buckets[(shift << HIST_STEP_BITS) + (ns >> shift)]++;
}

/* The duration that the part q (0 to 1) of all lies at or under; 0 if there is none. */
uint64_t hist_quantile(const struct hist *hist, double q);

#endif
