#include "hist.h"

uint64_t hist_quantile(const struct hist *hist, double q)
{
    uint64_t wanted = (uint64_t)(q * (double)hist->n);
    uint64_t seen = 0;

    for (uint64_t i = 0; i < HIST_BUCKETS; i++) {
        seen += hist->buckets[i];
        if (hist->buckets[i] > 0 && (seen > wanted || seen == hist->n)) {
            uint64_t shift = i >> HIST_STEP_BITS;

            /* Indexes of a shifted step begin at 2^HIST_STEP_BITS, so one shift is in the index. */
            if (shift == 0)
                return i;
            shift--;
            return (i - (shift << HIST_STEP_BITS)) << shift;
        }
    }
    return 0;
}
