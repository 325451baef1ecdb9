/*
 * wake - lets each of the two loops drain a mailbox: libevent's (hub) and h2o's (workers).
 *
 * The one place that knows both loops. Create and destroy on the loop's thread, or before it runs.
 */
#ifndef WEFT_LOOP_WAKE_H
#define WEFT_LOOP_WAKE_H

#include <weft/base/err.h>

struct event_base;
struct st_h2o_evloop_t;
struct weft_mailbox;
struct weft_wake; /* opaque */

/* after (may be NULL) is called with owner each time the mailbox was drained: what piled up can go out together. */
int weft_wake_on_event(struct weft_wake **ret_wake, struct event_base *base,
                       struct weft_mailbox *mb, void (*after)(void *owner), void *owner)
    WEFT_MUST_CHECK;
int weft_wake_on_h2o(struct weft_wake **ret_wake, struct st_h2o_evloop_t *loop,
                     struct weft_mailbox *mb, void (*after)(void *owner), void *owner)
    WEFT_MUST_CHECK;
/* NULL is allowed. The mailbox stays. */
void weft_wake_destroy(struct weft_wake *wake);

#endif
