#include "retry_priv.h"

#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/random.h>
#include <weft/base/str.h>

#define SETTLED_NS   UINT64_C(10000000000)
#define FAILURES_MAX 16

uint64_t weft_retry_failed(struct weft_retry *r)
{
    uint64_t wait_ms = r->min_ms;

    for (unsigned i = 0; i < r->failures && wait_ms < r->max_ms; i++) {
        wait_ms *= 2;
    }
    if (wait_ms > r->max_ms) {
        wait_ms = r->max_ms;
    }
    if (r->failures < FAILURES_MAX) {
        r->failures++;
    }
    return wait_ms / 2 + weft_random_next(&r->rng) % (wait_ms / 2 + 1);
}

bool weft_retry_is_news(struct weft_retry *r, const char *why)
{
    uint64_t hash = weft_hash64(why, strlen(why));

    for (size_t i = 0; i < r->n_told; i++) {
        if (r->told[i] == hash) {
            return false;
        }
    }
    if (r->n_told == WEFT_COUNT_OF(r->told)) {
        return false;
    }
    r->told[r->n_told++] = hash;
    return true;
}

void weft_retry_refused(struct weft_retry *r, uint64_t now_ns)
{
    r->refused_ns = now_ns;
}

bool weft_retry_is_suspect(const struct weft_retry *r, uint64_t now_ns)
{
    return r->refused_ns != 0 && now_ns - r->refused_ns < SETTLED_NS;
}

void weft_retry_worked(struct weft_retry *r, uint64_t now_ns)
{
    if (!weft_retry_is_suspect(r, now_ns)) {
        r->failures = 0;
        r->n_told = 0;
    }
}
