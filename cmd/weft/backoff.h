/*
 * backoff - how long to wait before the next try to connect.
 *
 * min(cap, 2^n × 0.5 s) with the lower half of it random, but never less than the server asked
 * for with `retry:`. Pure: the random number comes in.
 */
#ifndef WEFT_CMD_BACKOFF_H
#define WEFT_CMD_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_MS 500
#define BACKOFF_CAP_MS   30000

/*
 * failures: tries that failed since the last stream that opened. retry_ms: what the server asked
 * for, -1 if nothing. cap_ms also bounds retry_ms. After a stream that had opened (failures 0) the
 * server's wish is taken as it is: it has put its own jitter into it.
 */
uint64_t backoff_ms(unsigned failures, int64_t retry_ms, uint64_t cap_ms, uint64_t random);

#endif
