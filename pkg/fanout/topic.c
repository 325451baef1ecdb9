#include "fanout_priv.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

struct weft_topic *weft_topic_find(struct weft_fanout *fo, struct weft_str name)
{
    struct weft_topic *topic = NULL;

    HASH_FIND(hh, fo->topics, name.p, name.len, topic);
    return topic;
}

struct weft_topic *weft_topic_get(struct weft_fanout *fo, struct weft_str name)
{
    struct weft_topic *topic = weft_topic_find(fo, name);

    if (topic != NULL) {
        return topic;
    }
    topic = calloc(1, sizeof(*topic) + name.len + 1);
    WEFT_ASSERT(topic != NULL);
    memcpy(topic->name, name.p, name.len);
    topic->name_len = (uint16_t)name.len;
    HASH_ADD_KEYPTR(hh, fo->topics, topic->name, name.len, topic);
    return topic;
}

bool weft_topic_link(struct weft_topic *topic, struct weft_sub *sub, bool direct)
{
    struct weft_link *link = calloc(1, sizeof(*link));

    if (link == NULL) {
        return false;
    }
    link->topic = topic;
    link->sub = sub;
    link->direct = direct;
    topic->direct += direct ? 1 : 0;
    topic->n_links++;
    if (!direct) {
        weft_wild_charge(sub->fo, topic, true);
    }
    DL_PREPEND2(sub->links, link, sub_prev, sub_next);
    DL_APPEND(topic->links, link);
    return true;
}

void weft_topic_unlink(struct weft_link *link)
{
    struct weft_topic *topic = link->topic;

    if (link->direct) {
        topic->direct--;
        topic->idle_for = 0;
    } else {
        weft_wild_charge(link->sub->fo, topic, false);
    }
    topic->n_links--;
    DL_DELETE(topic->links, link);
    free(link);
}

void weft_topic_follow(struct weft_fanout *fo, struct weft_topic *topic)
{
    if (!topic->followed) {
        topic->followed = true;
        weft_gauge_add(fo->o.shard, WEFT_G_TOPICS_FOLLOWED, 1);
        fo->o.ops->follow(fo->o.ctx, weft_str(topic->name, topic->name_len), true);
    }
}

void weft_topic_unfollow(struct weft_fanout *fo, struct weft_topic *topic)
{
    if (topic->followed) {
        topic->followed = false;
        topic->synced = false;
        weft_gauge_add(fo->o.shard, WEFT_G_TOPICS_FOLLOWED, -1);
        fo->o.ops->follow(fo->o.ctx, weft_str(topic->name, topic->name_len), false);
    }
}

void weft_topic_missed(struct weft_fanout *fo, struct weft_topic *topic, uint64_t seq)
{
    struct weft_link *link;

    if (weft_topic_was_broken(fo, topic, seq)) {
        return;
    }
    DL_FOREACH(topic->links, link) {
        /*
         * Who named the topic looks whenever something may have passed its cursor. A pattern may have thousands of
         * topics with news after Redis was away, but all_base sent it to the log for these, and as the
         * partition's channel shows at once what is missing, hardly anything is left.
         */
        if (link->direct ? weft_late_unsure(link->sub, topic)
                         : seq > fo->all_base && weft_late_missing(link->sub, seq)) {
            weft_late_after(link->sub, topic, seq);
        }
    }
}

static void entry_drop(struct weft_fanout *fo, struct weft_ring_entry *entry)
{
    struct weft_topic *topic = entry->topic;

    DL_DELETE(topic->ring, entry);
    if (entry->older != NULL) {
        entry->older->newer = entry->newer;
    } else {
        fo->oldest = entry->newer;
    }
    if (entry->newer != NULL) {
        entry->newer->older = entry->older;
    } else {
        fo->newest = entry->older;
    }
    topic->ring_events -= entry->batch->n - entry->from;
    fo->ring_bytes -= entry->batch->size;
    weft_gauge_set(fo->o.shard, WEFT_G_RING_BYTES, (int64_t)fo->ring_bytes);
    weft_batch_unref(entry->batch);
    free(entry);
}

void weft_ring_restart(struct weft_fanout *fo, struct weft_topic *topic, uint64_t floor)
{
    while (topic->ring != NULL) {
        entry_drop(fo, topic->ring);
    }
    topic->floor = floor > topic->doubt ? floor : topic->doubt;
    topic->last = floor;
    if (floor < topic->evicted) {
        topic->evicted = 0; /* of another history */
    }
}

void weft_ring_doubt(struct weft_fanout *fo, struct weft_topic *topic, uint64_t base)
{
    while (topic->ring != NULL) {
        entry_drop(fo, topic->ring);
    }
    topic->floor = base > topic->last ? base : topic->last;
    topic->doubt = base > topic->doubt ? base : topic->doubt;
}

/* Takes the oldest batch off a ring: from now on it is complete only after that batch. */
static void evict(struct weft_fanout *fo, struct weft_ring_entry *entry)
{
    entry->topic->floor = entry->last_seq;
    entry->topic->evicted = entry->last_seq;
    entry->topic->evicted_prev = entry->batch->frames[entry->batch->n - 1].prev;
    entry_drop(fo, entry);
}

/* The next event is not the one after the last: those between did not come. */
static void restart_behind_hole(struct weft_fanout *fo, struct weft_topic *topic, uint64_t prev)
{
    weft_count(fo->o.shard, WEFT_M_CHAIN_BREAKS, 1);
    if (prev > topic->last) {
        weft_topic_missed(fo, topic, prev);
    } else {
        prev = topic->last; /* its log was removed and begins anew */
    }
    weft_ring_restart(fo, topic, prev);
}

bool weft_ring_add(struct weft_fanout *fo, struct weft_topic *topic, struct weft_batch *batch)
{
    const struct weft_frame *frames = batch->frames;
    uint32_t from = 0;

    while (topic->met && from < batch->n && frames[from].id.seq <= topic->last) {
        from++; /* seen: the partition's channel and the topic's carry the same */
    }
    if (from == batch->n) {
        weft_count(fo->o.shard, WEFT_M_LIVE_DUPLICATES, batch->n);
        return false;
    }
    if (!topic->met) {
        topic->met = true;
        weft_ring_restart(fo, topic, frames[from].prev);
        topic->born = frames[from].prev == 0 ? frames[from].id.seq : 0;
    }
    for (uint32_t i = from; i < batch->n; i++) {
        if (frames[i].prev != topic->last) {
            from = i;
            restart_behind_hole(fo, topic, frames[i].prev);
        }
        topic->last = frames[i].id.seq;
        topic->came = frames[i].id;
    }

    struct weft_ring_entry *entry = calloc(1, sizeof(*entry));
    WEFT_ASSERT(entry != NULL);
    entry->topic = topic;
    entry->batch = weft_batch_ref(batch);
    entry->from = from;
    entry->last_seq = topic->last;
    DL_APPEND(topic->ring, entry);
    entry->older = fo->newest;
    if (fo->newest != NULL) {
        fo->newest->newer = entry;
    } else {
        fo->oldest = entry;
    }
    fo->newest = entry;
    topic->ring_events += batch->n - from;
    topic->events += batch->n - from;
    fo->ring_bytes += batch->size;

    /* Bounds; the batch that just came stays in any case, its subscribers are about to take it. */
    while (topic->ring_events > fo->o.ring_events && topic->ring != entry) {
        evict(fo, topic->ring);
    }
    while (fo->ring_bytes > fo->o.ring_bytes && fo->oldest != entry) {
        evict(fo, fo->oldest);
    }
    weft_gauge_set(fo->o.shard, WEFT_G_RING_BYTES, (int64_t)fo->ring_bytes);
    return true;
}

bool weft_ring_find(const struct weft_topic *topic, uint64_t seq,
                    struct weft_ring_entry **ret_entry, uint32_t *ret_at)
{
    struct weft_ring_entry *entry;
    uint32_t lo, hi;

    if (topic->ring == NULL || topic->ring->prev->last_seq <= seq) {
        return false;
    }
    entry = topic->ring->prev; /* the newest: what is wanted is nearly always there */
    while (entry != topic->ring && entry->prev->last_seq > seq) {
        entry = entry->prev;
    }
    lo = entry->from;
    hi = entry->batch->n - 1; /* is after seq, by the loop above */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (entry->batch->frames[mid].id.seq > seq) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    *ret_entry = entry;
    *ret_at = lo;
    return true;
}

void weft_topic_drop(struct weft_fanout *fo, struct weft_topic *topic)
{
    weft_wild_hide(fo, topic);
    WEFT_ASSERT(topic->links == NULL);
    if (topic->last > fo->gone) {
        fo->gone = topic->last;
    }
    weft_ring_restart(fo, topic, topic->last);
    weft_topic_unfollow(fo, topic);
    HASH_DEL(fo->topics, topic);
    free(topic);
}
