/*
 * mailbox - hand a message to the thread that owns it next.
 *
 * Any thread posts; one thread, the owner, drains. A mailbox is bounded: when it is full it refuses, and the
 * poster (who knows what may be lost) decides. Order is kept for each poster. The owner is
 * woken once for each empty -> non-empty, through an eventfd that its loop watches.
 * It knows nothing of Redis, HTTP or what is in a message.
 */
#ifndef WEFT_LOOP_MAILBOX_H
#define WEFT_LOOP_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/base/err.h>

struct weft_mailbox; /* opaque */
struct weft_msg;

/* One static table for each type of message: dispatch is a pointer, not a name. */
struct weft_msg_ops {
    const char *name;                                   /* for traces, never compared */
    void (*deliver)(struct weft_msg *msg, void *owner); /* owner's thread; takes msg */
    void (*drop)(struct weft_msg *msg);                 /* any thread; frees it undelivered */
};

/* Embed in your own message; get back to it with WEFT_CONTAINER_OF. */
struct weft_msg {
    struct weft_msg *next; /* the mailbox's, while posted */
    const struct weft_msg_ops *ops;
};

/* owner is what deliver gets. WEFT_ENOMEM, WEFT_ESYS. */
int weft_mailbox_create(struct weft_mailbox **ret_mb, size_t capacity, void *owner) WEFT_MUST_CHECK;
/* When nobody posts any more. Undelivered messages are dropped. NULL is allowed. */
void weft_mailbox_destroy(struct weft_mailbox *mb);

/* Any thread. 0: taken, *msg is now NULL. WEFT_EFULL: *msg is still yours. */
int weft_mailbox_post(struct weft_mailbox *mb, struct weft_msg **msg) WEFT_MUST_CHECK;
/*
 * A chain first..last of n messages linked by next, in order, whatever the capacity: for messages that must not be
 * refused, because their number is bounded by something else (answers to requests that were accepted,
 * changes of state). One lock and at most one wake-up for all of them.
 */
void weft_mailbox_post_chain(struct weft_mailbox *mb, struct weft_msg *first, struct weft_msg *last,
                             size_t n);
/* Any thread: how many wait now. */
size_t weft_mailbox_len(struct weft_mailbox *mb);

/* The eventfd to watch for reading; borrowed. */
int weft_mailbox_fd(const struct weft_mailbox *mb);
/* Owner's thread, when the fd is readable: delivers all that was there at the call. Returns how many. */
size_t weft_mailbox_drain(struct weft_mailbox *mb);

#endif
