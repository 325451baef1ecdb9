#include <weft/fabric/publisher.h>

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/fabric/feature.h>
#include <weft/loop/mailbox.h>
#include <weft/telemetry/metrics.h>

struct waiting {
    weft_publisher_done *done;
    void *ctx;
    uint32_t generation;
    uint32_t next_free;
};

#define NO_SLOT UINT32_MAX

struct weft_publisher {
    struct weft_publisher_opts o;
    uint32_t free_slot;
    struct waiting slots[WEFT_PUBLISHER_WAITING_MAX];
};

static void drop_published(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_published_msg, msg));
}

static void deliver_published(struct weft_msg *msg, void *owner)
{
    struct weft_published_msg *m = WEFT_CONTAINER_OF(msg, struct weft_published_msg, msg);
    struct weft_publisher *publisher = weft_part(owner, WEFT_PART_PUBLISHER);

    if (publisher != NULL && m->ticket.slot < WEFT_PUBLISHER_WAITING_MAX) {
        struct waiting *w = &publisher->slots[m->ticket.slot];

        if (w->generation == m->ticket.generation) {
            weft_publisher_done *done = w->done;
            void *ctx = w->ctx;

            w->generation++;
            w->next_free = publisher->free_slot;
            publisher->free_slot = m->ticket.slot;
            if (done != NULL) {
                done(ctx, m);
            }
        }
    }
    free(m);
}

static const struct weft_msg_ops published_ops = {"published", deliver_published, drop_published};

int weft_publisher_create(struct weft_publisher **ret_publisher,
                          const struct weft_publisher_opts *opts)
{
    struct weft_publisher *publisher = calloc(1, sizeof(*publisher));

    if (publisher == NULL) {
        return WEFT_ENOMEM;
    }
    publisher->o = *opts;
    publisher->free_slot = NO_SLOT;
    for (uint32_t i = WEFT_PUBLISHER_WAITING_MAX; i-- > 0;) {
        publisher->slots[i].next_free = publisher->free_slot;
        publisher->free_slot = i;
    }
    *ret_publisher = publisher;
    return 0;
}

void weft_publisher_destroy(struct weft_publisher *publisher)
{
    free(publisher);
}

static int parse(const struct weft_publisher *publisher, struct weft_publish_msg *m,
                 struct weft_str topic, struct weft_str body, struct weft_err *err)
{
    const struct weft_config *cfg = publisher->o.cfg;
    struct weft_event_ctx ctx = {
        .limits = {.max_events = cfg->publish.max_batch,
                   .max_event_bytes = (uint32_t)cfg->publish.max_event_bytes,
                   .max_topics = cfg->http.max_topics},
        .topic = topic,
        .node = weft_str(publisher->o.node_id, strlen(publisher->o.node_id)),
        .now_ms = weft_clock_wall_ms(),
    };
    int rc = weft_events_parse(&m->events, WEFT_BODY_JSON, body, NULL, 0, &ctx, err);

    for (size_t i = 0; rc == 0 && i < m->events.n; i++) {
        m->topic_refs += m->events.list[i].topics_n;
    }
    if (rc == 0 && m->topic_refs > WEFT_PUBLISH_APPENDS_MAX) {
        rc = weft_err_set(err, WEFT_ETOOBIG, "body", "more than %d appends in one request",
                          WEFT_PUBLISH_APPENDS_MAX);
    }
    return rc;
}

int weft_publisher_send(struct weft_publisher *publisher, struct weft_str topic,
                        struct weft_str body, weft_publisher_done *done, void *ctx,
                        struct weft_err *err)
{
    struct weft_publish_msg *m;
    struct weft_msg *msg;
    uint32_t slot = publisher->free_slot;
    int rc;

    if (!weft_topic_valid(topic)) {
        return weft_err_set(err, WEFT_EINVAL, "topic", "it is no topic");
    }
    if (slot == NO_SLOT) {
        weft_count(publisher->o.shard, WEFT_M_PUBLISH_QUEUE_FULL, 1);
        return weft_err_set(err, WEFT_EFULL, "", "too many publishes wait for their answer");
    }
    m = weft_publish_msg_create();
    if (m == NULL) {
        return weft_err_set(err, WEFT_EFULL, "", "out of memory");
    }
    rc = parse(publisher, m, topic, body, err);
    if (rc != 0) {
        weft_publish_msg_free(m);
        return rc;
    }
    memcpy(m->topic, topic.p, topic.len);
    m->received_ns = weft_clock_mono_ns();
    m->answer_to = publisher->o.control;
    m->answer_ops = &published_ops;
    m->ticket = (struct weft_ticket){slot, publisher->slots[slot].generation};
    msg = &m->msg;
    if (weft_mailbox_post(publisher->o.hub, &msg) != 0) {
        weft_count(publisher->o.shard, WEFT_M_MAILBOX_FULL, 1);
        weft_publish_msg_free(m);
        return weft_err_set(err, WEFT_EFULL, "", "the publish queue is full");
    }
    publisher->free_slot = publisher->slots[slot].next_free;
    publisher->slots[slot].done = done;
    publisher->slots[slot].ctx = ctx;
    return 0;
}
