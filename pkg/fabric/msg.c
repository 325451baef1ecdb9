#include <weft/fabric/msg.h>

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

#include "hub_priv.h"

static void deliver_publish(struct weft_msg *msg, void *owner)
{
    struct weft_publish_msg *m = WEFT_CONTAINER_OF(msg, struct weft_publish_msg, msg);
    struct weft_hub *hub = owner;

    weft_role_assert_hub(hub->owner);
    weft_commit_take(m->replicas > 0 ? hub->acker : hub->committer, m);
}

static void drop_publish(struct weft_msg *msg)
{
    weft_publish_msg_free(WEFT_CONTAINER_OF(msg, struct weft_publish_msg, msg));
}

static void deliver_follow(struct weft_msg *msg, void *owner)
{
    struct weft_follow_msg *m = WEFT_CONTAINER_OF(msg, struct weft_follow_msg, msg);
    struct weft_hub *hub = owner;

    weft_role_assert_hub(hub->owner);
    weft_follow_ask(hub, m);
    free(m);
}

static void drop_follow(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_follow_msg, msg));
}

static void deliver_read(struct weft_msg *msg, void *owner)
{
    struct weft_read_msg *m = WEFT_CONTAINER_OF(msg, struct weft_read_msg, msg);
    struct weft_hub *hub = owner;

    weft_role_assert_hub(hub->owner);
    weft_reader_take(hub->reader, m);
    free(m);
}

static void drop_read(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_read_msg, msg));
}

static void deliver_ask(struct weft_msg *msg, void *owner)
{
    struct weft_ask_msg *m = WEFT_CONTAINER_OF(msg, struct weft_ask_msg, msg);
    struct weft_hub *hub = owner;

    weft_role_assert_hub(hub->owner);
    weft_ask_take(hub, m);
    free(m);
}

static void drop_ask(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_ask_msg, msg));
}

static const struct weft_msg_ops publish_ops = {"publish", deliver_publish, drop_publish};
static const struct weft_msg_ops follow_ops = {"follow", deliver_follow, drop_follow};
static const struct weft_msg_ops read_ops = {"read", deliver_read, drop_read};
static const struct weft_msg_ops ask_ops = {"ask", deliver_ask, drop_ask};

struct weft_publish_msg *weft_publish_msg_create(void)
{
    struct weft_publish_msg *m = calloc(1, sizeof(*m));

    if (m != NULL) {
        m->msg.ops = &publish_ops;
        weft_events_init(&m->events);
    }
    return m;
}

struct weft_follow_msg *weft_follow_msg_create(void)
{
    struct weft_follow_msg *m = calloc(1, sizeof(*m));

    if (m != NULL) {
        m->msg.ops = &follow_ops;
    }
    return m;
}

struct weft_read_msg *weft_read_msg_create(struct weft_str what)
{
    struct weft_read_msg *m = calloc(1, sizeof(*m) + what.len + 1);

    if (m != NULL) {
        m->msg.ops = &read_ops;
        m->what_len = what.len;
        memcpy(m->what, what.p, what.len);
    }
    return m;
}

struct weft_ask_msg *weft_ask_msg_create(void)
{
    struct weft_ask_msg *m = calloc(1, sizeof(*m));

    if (m != NULL) {
        m->msg.ops = &ask_ops;
    }
    return m;
}

void weft_publish_msg_free(struct weft_publish_msg *m)
{
    if (m != NULL) {
        weft_events_fini(&m->events);
        free(m);
    }
}

void weft_live_msg_free(struct weft_live_msg *m)
{
    if (m != NULL) {
        for (uint32_t i = 0; i < m->n; i++) {
            weft_batch_unref(m->batches[i]);
        }
        free(m);
    }
}

void weft_page_msg_free(struct weft_page_msg *m)
{
    if (m != NULL) {
        weft_page_unref(m->page);
        free(m);
    }
}

void weft_answer_msg_free(struct weft_answer_msg *m)
{
    if (m != NULL) {
        free(m->body);
        free(m);
    }
}
