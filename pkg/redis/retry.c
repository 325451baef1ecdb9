#include "retry_priv.h"

#include <stdio.h>
#include <string.h>

#include <weft/base/random.h>

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

bool weft_retry_is_news(struct weft_retry *r, const char *why, uint64_t now_ns)
{
    if (r->told[0] != '\0' &&
        (strncmp(r->told, why, sizeof(r->told) - 1) == 0 || now_ns - r->told_ns < SETTLED_NS)) {
        return false;
    }
    (void)snprintf(r->told, sizeof(r->told), "%s", why);
    r->told_ns = now_ns;
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
        r->told[0] = '\0';
    }
}
