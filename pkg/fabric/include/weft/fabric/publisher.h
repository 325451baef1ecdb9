/*
 * publisher - publishes events from the control thread: through the hub, like everybody.
 *
 * At most WEFT_PUBLISHER_WAITING_MAX wait for their answer. Everything runs on the control thread.
 */
#ifndef WEFT_FABRIC_PUBLISHER_H
#define WEFT_FABRIC_PUBLISHER_H

#include <weft/base/err.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/fabric/msg.h>

#define WEFT_PUBLISHER_WAITING_MAX 1024

struct weft_config;
struct weft_mailbox;
struct weft_publisher; /* opaque */
struct weft_shard;

struct weft_publisher_opts {
    const struct weft_config *cfg; /* borrowed */
    const char *node_id;           /* borrowed */
    struct weft_mailbox *hub;      /* borrowed */
    struct weft_mailbox *control;  /* borrowed: answers come here; its owner has this as a part */
    struct weft_shard *shard;      /* borrowed */
};

/* Called once; m is borrowed. */
typedef void weft_publisher_done(void *ctx, const struct weft_published_msg *m);

/* Yours. WEFT_ENOMEM. Any thread, as destroy. */
int weft_publisher_create(struct weft_publisher **ret_publisher,
                          const struct weft_publisher_opts *opts) WEFT_MUST_CHECK;
/* Who waits is not told. NULL is allowed. */
void weft_publisher_destroy(struct weft_publisher *publisher);

/*
 * Publishes body (application/json, one event or an array) to a topic. done (may be NULL: whoever does not
 * mind) is called if 0 is returned. WEFT_EINVAL, WEFT_ETOOBIG: err names the field; WEFT_EFULL: too many
 * wait, or the hub's mailbox is full; counted.
 */
int weft_publisher_send(struct weft_publisher *publisher, struct weft_str topic,
                        struct weft_str body, weft_publisher_done *done, void *ctx,
                        struct weft_err *err) WEFT_MUST_CHECK WEFT_ON_CONTROL;

#endif
