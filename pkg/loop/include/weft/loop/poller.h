/*
 * poller - an edge-triggered epoll set inside an h2o loop.
 *
 * h2o's own sockets carry buffers and states that an event stream has no use for, at kilobytes each. A stream's
 * bare descriptor costs its handle here, and one epoll_ctl in its life. The set's own descriptor is one
 * socket of the h2o loop. One thread: the loop's.
 */
#ifndef WEFT_LOOP_POLLER_H
#define WEFT_LOOP_POLLER_H

#include <stdbool.h>

#include <weft/base/err.h>

struct st_h2o_evloop_t;
struct weft_poller; /* opaque */

/* Embedded by its user. ready is called on edges; the handle may be removed in it, others too. */
struct weft_poll {
    int fd;
    void (*ready)(struct weft_poll *poll, bool readable, bool writable);
};

int weft_poller_create(struct weft_poller **ret_poller, struct st_h2o_evloop_t *loop)
    WEFT_MUST_CHECK;
/* When no handle is left in it. NULL is allowed. */
void weft_poller_destroy(struct weft_poller *poller);

/* Watches poll->fd (borrowed) for reading, writing and hang-up. WEFT_ESYS. */
int weft_poller_add(struct weft_poller *poller, struct weft_poll *poll) WEFT_MUST_CHECK;
/* Before the fd is closed. poll may be freed right after. */
void weft_poller_remove(struct weft_poller *poller, struct weft_poll *poll);

#endif
