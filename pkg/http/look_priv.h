/*
 * look - what a receiver with a socket shows of itself to those who look for slow ones (slowest.c): an event stream, or a
 * subscription of a WebSocket.
 */
#ifndef WEFT_HTTP_LOOK_PRIV_H
#define WEFT_HTTP_LOOK_PRIV_H

#include "peer_priv.h"
#include "worker_priv.h"

/* Once a second. */
void weft_look_show(struct weft_receiver *rx, const struct weft_peer *peer) WEFT_ON_WORKER;
/*
 * Whether the client's last id, `sent`, is not where it stands, and nothing is going to tell it: its cursor has passed events
 * of other types, or stands back since Redis has lost what was not for it.
 */
bool weft_look_passed(const struct weft_receiver *rx, struct weft_id sent) WEFT_ON_WORKER;
/* request_id: of the request that it began with; may be NULL. */
void weft_look_name(const struct weft_receiver *rx, const struct weft_peer *peer,
                    const char *request_id, struct weft_stream_name *ret_name) WEFT_ON_WORKER;
/* Appends a JSON object. */
void weft_look_describe(struct weft_receiver *rx, const struct weft_peer *peer, uint64_t began_ms,
                        const struct weft_seen *seen, struct weft_buf *out) WEFT_ON_WORKER;

#endif
