/*
 * retry_priv - when to try again, and how often to say why: a backoff with jitter, and a log without storms.
 *
 * Pure: time comes in. Zeroed but for the first three fields it is ready.
 */
#ifndef WEFT_REDIS_RETRY_PRIV_H
#define WEFT_REDIS_RETRY_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft_retry {
    uint64_t min_ms;
    uint64_t max_ms;
    uint64_t rng;        /* state of the jitter, not 0 */
    unsigned failures;   /* in a row */
    uint64_t refused_ns; /* 0: never */
    uint64_t told[8];    /* hashes of the reasons told since it last worked */
    size_t n_told;
};

/* One more failure: how long to wait. Half of the backoff for certain, the other half by chance. */
uint64_t weft_retry_failed(struct weft_retry *r);

/* Whether this reason is worth a line: each is told once until it works again, and not more than a few. */
bool weft_retry_is_news(struct weft_retry *r, const char *why);

/*
 * It was connected, and refused what we cannot do without (a right is missing). For a while being
 * connected again is no success then, so that it is not tried, and told, again and again.
 */
void weft_retry_refused(struct weft_retry *r, uint64_t now_ns);
bool weft_retry_is_suspect(const struct weft_retry *r, uint64_t now_ns);

/* It works: the next failure is the first. Not while suspect. */
void weft_retry_worked(struct weft_retry *r, uint64_t now_ns);

#endif
