/*
 * breaker_cache - what a worker knows of the breakers: while a state is stable, whether a call may be
 * made costs a look into a table.
 *
 * The control thread tells it every change (breaker_tell.h). It lets calls through while the breaker is
 * closed, refuses them while it is open, and sends the rest (half-open, time to try again, not
 * known) to Redis: the caller asks control. Good results of a closed breaker are counted here and sent in
 * batches; failures go to Redis one by one, since they may open it.
 *
 * Everything runs on the worker's thread, whose part WEFT_PART_BREAKERS this is. Time comes in.
 */
#ifndef WEFT_GUARD_BREAKER_CACHE_H
#define WEFT_GUARD_BREAKER_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/guard/breaker.h>

struct weft_breaker_cache; /* opaque */
struct weft_mailbox;
struct weft_shard;

/* Yours. WEFT_ENOMEM. shard is borrowed. */
int weft_breaker_cache_create(struct weft_breaker_cache **ret_cache, struct weft_shard *shard)
    WEFT_MUST_CHECK;
/* NULL is allowed. */
void weft_breaker_cache_destroy(struct weft_breaker_cache *cache);

enum weft_breaker_verdict {
    WEFT_BREAKER_ALLOW,
    WEFT_BREAKER_DENY,
    WEFT_BREAKER_ASK /* control decides */
};

struct weft_breaker_said {
    enum weft_breaker_state state; /* unless ASK */
    uint64_t wait_ms;              /* DENY: when to ask again */
};

/* May a call be made? now_ms: monotonic. */
enum weft_breaker_verdict weft_breaker_cache_allow(struct weft_breaker_cache *cache,
                                                   struct weft_str name, uint64_t now_ms,
                                                   struct weft_breaker_said *ret_said)
    WEFT_ON_WORKER;

/* A good result, of a call without permit. False: it is to be sent to control. */
bool weft_breaker_cache_succeeded(struct weft_breaker_cache *cache, struct weft_str name,
                                  enum weft_breaker_state *ret_state) WEFT_ON_WORKER;

/* The epoch that a result of now belongs to; 0: not known. */
uint64_t weft_breaker_cache_epoch(struct weft_breaker_cache *cache, struct weft_str name)
    WEFT_ON_WORKER;

/* Some ten times a second: sends what was counted to control. What does not fit waits. */
void weft_breaker_cache_flush(struct weft_breaker_cache *cache, struct weft_mailbox *control)
    WEFT_ON_WORKER;

/* ---- what control tells; for the deliver of its messages, and tests ---- */

void weft_breaker_cache_view(struct weft_breaker_cache *cache, struct weft_str name,
                             const struct weft_breaker_view *view, uint64_t now_ms) WEFT_ON_WORKER;
void weft_breaker_cache_gone(struct weft_breaker_cache *cache, struct weft_str name) WEFT_ON_WORKER;
/*
 * Redis went away: every breaker does what it is configured to do without it. Redis is back: all
 * have to be asked again.
 */
void weft_breaker_cache_redis(struct weft_breaker_cache *cache, bool up) WEFT_ON_WORKER;

#endif
