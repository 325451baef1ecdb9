/*
 * fetch - GET over HTTP on a libevent loop, for what only wants to know whether and how fast somebody answers.
 *
 * http and https alone, no redirects, no proxy, no cookies, every request on a connection of its own; names are
 * resolved without blocking. A body is read up to a bound and thrown away, so that a
 * server that sends without end does not hold anything up. The number at once is bounded; more are refused.
 * One thread, the loop's. curl_global_init() has been called before.
 */
#ifndef WEFT_LOOP_FETCH_H
#define WEFT_LOOP_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>

struct event_base;
struct weft_fetch;   /* opaque: one that is under way */
struct weft_fetcher; /* opaque */

/* Yours. WEFT_ENOMEM. */
int weft_fetcher_create(struct weft_fetcher **ret_fetcher, struct event_base *base, size_t parallel,
                        const char *user_agent) WEFT_MUST_CHECK;
/* What is under way is given up, without `done`. NULL is allowed. */
void weft_fetcher_destroy(struct weft_fetcher *fetcher);

struct weft_fetched {
    int status;          /* of HTTP; 0: there was none, see why */
    const char *why;     /* borrowed: what went wrong, in words; NULL: a whole answer came */
    uint64_t latency_ns; /* from the beginning to the end of the head, or to what went wrong */
};

struct weft_fetch_opts {
    const char *url;             /* copied */
    uint32_t connect_timeout_ms; /* name, TCP and TLS */
    uint32_t timeout_ms;         /* all of it */
    size_t body_bytes;           /* read at most; an answer with more is as good */

    void *ctx;
    /* Once. Others may be started, but none given up in it. */
    void (*done)(void *ctx, const struct weft_fetched *fetched);
};

/* *ret_fetch is valid until done. WEFT_EFULL: too many at once; WEFT_ENOMEM; WEFT_EINVAL: no such URL. */
int weft_fetch_start(struct weft_fetch **ret_fetch, struct weft_fetcher *fetcher,
                     const struct weft_fetch_opts *opts) WEFT_MUST_CHECK;
/* Gives it up; done is not called. */
void weft_fetch_cancel(struct weft_fetch *fetch);

#endif
