/*
 * outbox - events of this node's services on their way into the log: in order, again and again until Redis has taken
 * them.
 *
 * Each event goes to `service:<id>`, and to `services` unless it is a line of output. It may be published twice when
 * Redis went away before it answered. The outbox is bounded: beyond it lines are dropped first, and counted. What is
 * refused for good is counted as well, and keeps nothing else away. Control thread.
 */
#ifndef WEFT_SERVICE_OUTBOX_PRIV_H
#define WEFT_SERVICE_OUTBOX_PRIV_H

#include <stdbool.h>

#include <weft/base/buf.h>
#include <weft/fabric/feature.h>

struct weft_outbox; /* opaque */

int weft_outbox_create(struct weft_outbox **ret_outbox, const struct weft_feature_env *env)
    WEFT_MUST_CHECK WEFT_ON_CONTROL;
/* What waits is lost. NULL is allowed. */
void weft_outbox_destroy(struct weft_outbox *outbox) WEFT_ON_CONTROL;

/* Bytes that the payload of an event of that service may have. */
size_t weft_outbox_room(const struct weft_outbox *outbox, const char *id) WEFT_ON_CONTROL;
/* An event of that service; payload is its JSON object, copied. False: there was no room, or it has too many bytes. */
bool weft_outbox_put(struct weft_outbox *outbox, const char *id, const char *type,
                     const struct weft_buf *payload) WEFT_ON_CONTROL;
/* Of one of its lines of output: goes only if it does not keep anything else away. */
bool weft_outbox_put_line(struct weft_outbox *outbox, const char *id,
                          const struct weft_buf *payload) WEFT_ON_CONTROL;

/* Redis is there: goes on at once. */
void weft_outbox_up(struct weft_outbox *outbox) WEFT_ON_CONTROL;
bool weft_outbox_is_empty(const struct weft_outbox *outbox) WEFT_ON_CONTROL;

#endif
