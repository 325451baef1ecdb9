/*
 * stock - the tokens of a leased bucket that one thread has at hand.
 *
 * Up to `most` tokens are taken from the bucket in Redis before they are needed, and given out from here
 * without a round trip; what lies idle goes back. In no window of w seconds do n stocks together give out
 * more than
 *     capacity + refill_per_s * w + n * most
 * tokens (docs/guards.md derives it). An ask that is not answered costs what it wanted and gave back.
 *
 * Pure: time comes in, what to send goes out. One owner.
 */
#ifndef WEFT_GUARD_STOCK_H
#define WEFT_GUARD_STOCK_H

#include <stdbool.h>
#include <stdint.h>

struct weft_stock {
    int64_t most; /* const */
    int64_t held;
    bool asking;
    uint64_t again_ms;  /* the bucket was short and is not asked before */
    uint64_t filled_ms; /* ... and will have a token by itself: at again_ms or later */
    uint64_t used_ms;   /* of the last take */
    uint64_t would;     /* takes that dry_run let pass, not told yet: the owner counts them */
};

/* The arguments of weft1_bucket_lease. */
struct weft_stock_ask {
    int64_t back, wanted;
    uint64_t would;
};

enum weft_stock_take {
    WEFT_STOCK_TAKEN,
    WEFT_STOCK_SHORT, /* the bucket has none: come again later */
    WEFT_STOCK_EMPTY  /* the bucket has to be asked */
};

void weft_stock_init(struct weft_stock *st, int64_t most, uint64_t now_ms);

/* ret_retry_ms is set if SHORT. */
enum weft_stock_take weft_stock_take(struct weft_stock *st, int64_t tokens, uint64_t now_ms,
                                     uint64_t *ret_retry_ms);

/*
 * Is there something to ask for? Then *ret_ask has to be sent, and answered or failed later. To be called
 * after takes, and now and then: what was idle for idle_ms goes back.
 */
bool weft_stock_ask(struct weft_stock *st, uint64_t now_ms, uint64_t idle_ms,
                    struct weft_stock_ask *ret_ask);
/* retry_ms: until the bucket has one more token; 0: it has. */
void weft_stock_answered(struct weft_stock *st, int64_t got, uint64_t retry_ms, uint64_t now_ms);
/* It did not leave the node. */
void weft_stock_unsent(struct weft_stock *st, const struct weft_stock_ask *ask);
/* It was not answered. */
void weft_stock_failed(struct weft_stock *st);

/* Holds nothing and waits for nothing. */
bool weft_stock_is_idle(const struct weft_stock *st, uint64_t now_ms);

#endif
