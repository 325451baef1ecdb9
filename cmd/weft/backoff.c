#include "backoff.h"

uint64_t backoff_ms(unsigned failures, int64_t retry_ms, uint64_t cap_ms, uint64_t random)
{
    uint64_t wait = failures < 16 ? (uint64_t)BACKOFF_FIRST_MS << failures : cap_ms;
    uint64_t asked = retry_ms < 0 ? 0 : (uint64_t)retry_ms;

    if (asked > cap_ms)
        asked = cap_ms;
    if (failures == 0 && retry_ms >= 0)
        return asked;
    if (wait > cap_ms)
        wait = cap_ms;
    wait -= random % (wait / 2 + 1);
    return wait > asked ? wait : asked;
}
