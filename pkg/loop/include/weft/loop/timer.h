/*
 * timer - one moment of a libevent loop at which something is called.
 *
 * For libraries that do not know libevent. One thread: the loop's.
 */
#ifndef WEFT_LOOP_TIMER_H
#define WEFT_LOOP_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/err.h>

struct event_base;
struct weft_timer; /* opaque */

/* Not set yet. WEFT_ENOMEM. */
int weft_timer_create(struct weft_timer **ret_timer, struct event_base *base,
                      void (*due)(void *ctx), void *ctx) WEFT_MUST_CHECK;
/* NULL is allowed; also inside due. */
void weft_timer_destroy(struct weft_timer *timer);

/* due is called once, in ms from now; instead of what was set before. */
void weft_timer_set(struct weft_timer *timer, uint32_t ms);
void weft_timer_cancel(struct weft_timer *timer);
bool weft_timer_is_set(const struct weft_timer *timer);

#endif
