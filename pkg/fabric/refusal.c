#include "refusal_priv.h"

#include <string.h>

#include <weft/base/err.h>

#define TELL_AGAIN_NS UINT64_C(30000000000)

const struct weft_refusal *weft_refusal_of(struct weft_str error)
{
    static const struct weft_refusal table[] = {
        {"READONLY", "this Redis is not the master any more (READONLY); nothing was written", true,
         false},
        {"MASTERDOWN", "this Redis is a replica without master (MASTERDOWN); nothing was written",
         true, false},
        {"LOADING", "Redis is still loading its data (LOADING)", false, false},
        {"NOREPLICAS", "too few replicas follow the master (NOREPLICAS)", false, false},
        {"MISCONF", "Redis cannot write to its disk (MISCONF)", false, false},
        {"OOM", "Redis has no memory left (OOM)", false, false},
        {"NOPERM", "the node lacks a right in Redis (NOPERM)", false, true},
        /* How Redis 7.0 says that to a function. */
        {"ERR The user executing the script", "the node lacks a right in Redis (NOPERM)", false,
         true},
        {"BUSY", "a script keeps Redis busy (BUSY)", false, false},
    };
    static const struct weft_refusal other = {"", "Redis refused the call", false, true};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (weft_str_starts(error, table[i].start)) {
            return &table[i];
        }
    }
    return &other;
}

bool weft_refusal_is_news(struct weft_refusal_log *log, struct weft_str error, uint64_t now_ns)
{
    uint64_t hash = weft_hash64(error.p, error.len) | 1;
    size_t oldest = 0;

    for (size_t i = 0; i < sizeof(log->told) / sizeof(log->told[0]); i++) {
        if (log->told[i].hash == hash && now_ns - log->told[i].ns < TELL_AGAIN_NS) {
            return false;
        }
        if (log->told[i].hash == hash || log->told[i].ns < log->told[oldest].ns) {
            oldest = i;
        }
    }
    log->told[oldest].hash = hash;
    log->told[oldest].ns = now_ns;
    return true;
}
