#include "hub_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>
#include <weft/wire/live.h>

/*
 * Neighbouring lines of one topic for the same workers become one batch, whatever number of
 * messages they came in: what a worker writes to a subscriber in one turn then lies in one piece of
 * memory.
 *
 * One publish comes first on the partition's channel with all its lines, then on each topic's
 * (publish.lua). A line that came by the first is known when it comes again. Usually the hub listens to the first
 * alone (hub.listen).
 */

#define BATCH_EVENTS_MAX 4096
#define BATCH_BYTES_MAX  ((size_t)1024 * 1024)

static void outbox_add(struct weft_outbox *out, struct weft_batch *batch)
{
    if (out->behind) {
        out->lost = true;
        return;
    }
    if (out->n_live == out->live_cap) {
        out->live_cap = out->live_cap == 0 ? 64 : out->live_cap * 2;
        out->live = realloc(out->live, out->live_cap * sizeof(struct weft_batch *));
        WEFT_ASSERT(out->live != NULL);
    }
    out->live[out->n_live++] = weft_batch_ref(batch);
}

void weft_live_seal(struct weft_hub *hub)
{
    struct weft_batch *batch;

    if (hub->bb.n == 0) {
        return;
    }
    batch = weft_batch_seal(&hub->bb, hub->turn_ns);
    WEFT_ASSERT(batch != NULL);
    for (uint32_t w = 0; w < hub->o.n_workers; w++) {
        if ((hub->bb_targets & UINT64_C(1) << w) != 0) {
            outbox_add(&hub->out[w], batch);
        }
    }
    weft_batch_unref(batch);
}

void weft_live_broken(struct weft_hub *hub, uint64_t base)
{
    weft_live_seal(hub);
    for (uint32_t w = 0; w < hub->o.n_workers; w++) {
        struct weft_broken_msg *m = calloc(1, sizeof(*m));

        WEFT_ASSERT(m != NULL);
        m->msg.ops = &hub->o.ops->broken;
        m->from = hub->all->from;
        m->base = base;
        weft_hub_send(hub, w, &m->msg);
    }
}

/*
 * Who of the workers has to get this line.
 *
 * On the partition's channel every seq comes, so a number left out is a message that was lost (or an incarnation's
 * leap). While it is heard, topics' channels have nothing to say: what they brought before what was lost would
 * hide that.
 */
static uint64_t targets_of(struct weft_hub *hub, const struct weft_live_line *line, bool partition)
    WEFT_ON_HUB
{
    struct weft_follow *f = weft_follow_find(hub, line->topic);
    struct weft_follow *all = hub->all;
    uint64_t seq = line->id.seq;
    uint64_t targets = 0;

    /* An old one of the partition's channel was told to be lost, and the log has been asked for it. */
    if (weft_follow_hears_all(hub) && seq > all->from && (!partition || seq < all->last)) {
        return 0;
    }
    if (partition && all != NULL) {
        if (all->synced && seq > all->last + 1) {
            weft_live_broken(hub, seq - 1);
        }
        if (!all->synced || seq >= all->last) { /* an event of several topics has several lines */
            targets = all->workers;
        }
        if (seq > all->last) {
            all->last = seq;
        }
    }
    if (f != NULL && seq > f->last) {
        f->last = seq;
        targets |= f->workers;
    }
    return targets;
}

static void add_line(struct weft_hub *hub, const struct weft_live_line *line, bool partition)
    WEFT_ON_HUB
{
    uint64_t targets = targets_of(hub, line, partition);

    if (targets == 0) {
        weft_count(hub->o.shard, WEFT_M_LIVE_DUPLICATES, 1);
        return;
    }
    if (hub->bb.n > 0 && (targets != hub->bb_targets || line->topic.len != hub->bb_topic_len ||
                          memcmp(line->topic.p, hub->bb_topic, line->topic.len) != 0 ||
                          hub->bb.n >= BATCH_EVENTS_MAX || hub->bb.len >= BATCH_BYTES_MAX)) {
        weft_live_seal(hub);
    }
    if (hub->bb.n == 0) {
        hub->bb_targets = targets;
        hub->bb_topic_len = line->topic.len;
        memcpy(hub->bb_topic, line->topic.p, line->topic.len);
    }
    weft_batch_add(&hub->bb, line->id, line->prev, line->topic, line->type, line->envelope);
}

void weft_live_arrived(struct weft_hub *hub, struct weft_str channel, struct weft_str text)
{
    bool partition = channel.len == hub->channel.len;
    struct weft_live_line line;
    int rc;

    if (hub->turn_ns == 0) {
        hub->turn_ns = weft_clock_mono_ns();
    }
    weft_count(hub->o.shard, WEFT_M_LIVE_MESSAGES, 1);
    while ((rc = weft_live_next(&text, &line)) != 0) {
        if (rc < 0 || !weft_frame_fits(line.topic, line.type, line.envelope)) {
            weft_count(hub->o.shard, WEFT_M_LIVE_MALFORMED, 1);
            continue;
        }
        weft_count(hub->o.shard, WEFT_M_LIVE_EVENTS, 1);
        if (line.id.seq < hub->head.seq && line.id.ms > hub->head.ms) {
            /* Time went on and the count did not: another history (the partition was flushed). */
            weft_live_seal(hub);
            weft_hub_history_changed(hub, "the sequence went back");
        }
        add_line(hub, &line, partition);
        weft_hub_see_head(hub, line.id);
    }
}
