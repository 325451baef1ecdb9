#include <weft/http/pace.h>

uint32_t weft_pace_period_ms(uint64_t n, uint32_t period_ms, uint32_t max_per_s,
                             uint32_t period_max_ms)
{
    uint64_t wanted_ms = max_per_s == 0 ? 0 : (n * 1000 + max_per_s - 1) / max_per_s;

    if (wanted_ms > period_max_ms) {
        wanted_ms = period_max_ms;
    }
    return wanted_ms > period_ms ? (uint32_t)wanted_ms : period_ms;
}

/*
 * Stream k (from 0) of worker i of w is ended after period * (k + (2i + 1) / 2w) / n: in the middle of
 * its step if there is one worker, and the workers' moments interleave if there are more.
 */
uint32_t weft_pace_left(const struct weft_pace *pace, uint64_t now_ms)
{
    uint64_t past_ms = now_ms - pace->began_ms;
    uint64_t first = (uint64_t)2 * pace->index + 1;
    uint64_t step = (uint64_t)2 * pace->parts;
    uint64_t at; /* in parts of a step */

    if (past_ms >= pace->period_ms) {
        return 0;
    }
    at = step * pace->n * past_ms / pace->period_ms;
    return at < first ? pace->n : pace->n - (uint32_t)((at - first) / step) - 1;
}

uint32_t weft_pace_life_ms(uint32_t max_ms, uint64_t random)
{
    return max_ms - (uint32_t)(random % (max_ms / 5 + 1));
}
