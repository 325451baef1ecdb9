#include "fanout_priv.h"

#include <stdlib.h>

#include <utlist.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

#define TICKS_PER_SWEEP 10 /* about a second */

int weft_fanout_create(struct weft_fanout **ret_fo, const struct weft_fanout_opts *opts)
{
    struct weft_fanout *fo = calloc(1, sizeof(*fo));

    if (fo == NULL) {
        return WEFT_ENOMEM;
    }
    fo->o = *opts;
    *ret_fo = fo;
    return 0;
}

void weft_fanout_destroy(struct weft_fanout *fo)
{
    struct weft_topic *topic, *next;

    if (fo == NULL) {
        return;
    }
    WEFT_ASSERT(fo->subs == NULL);
    HASH_ITER(hh, fo->topics, topic, next) {
        weft_ring_restart(fo, topic, 0);
        HASH_DEL(fo->topics, topic);
        free(topic);
    }
    free(fo);
}

static void see_head(struct weft_fanout *fo, struct weft_id id)
{
    if (id.seq > fo->head.seq) {
        fo->head = id;
    }
}

/* Those who wait for topics to be followed look again. */
static void wake_waiting(struct weft_topic *topic)
{
    struct weft_link *link;

    DL_FOREACH(topic->links, link) {
        if (link->sub->waiting) {
            weft_sub_mark(link->sub);
        }
    }
}

void weft_fanout_followed(struct weft_fanout *fo, struct weft_str name, uint64_t base,
                          struct weft_id head)
{
    struct weft_sub *sub;

    see_head(fo, head);
    if (name.len == 0) {
        if (fo->all_followed) {
            fo->all_synced = true;
            fo->all_base = base;
            DL_FOREACH(fo->subs, sub) {
                if (sub->patterns_n > 0 && sub->waiting) {
                    weft_sub_mark(sub);
                }
            }
        }
        return;
    }
    struct weft_topic *topic = weft_topic_get(fo, name, false);
    if (topic == NULL || !topic->followed) {
        return; /* given up meanwhile */
    }
    /*
     * What the ring holds joins what will come only if nothing lies between: else it restarts at base. A live
     * message that overtook this one and lies at or before base is then a duplicate, and the log has it.
     */
    if (topic->ring == NULL || topic->last < base) {
        weft_ring_restart(fo, topic, base);
    }
    topic->synced = true;
    wake_waiting(topic);
}

void weft_fanout_live(struct weft_fanout *fo, struct weft_batch *batch)
{
    struct weft_str name = weft_frame_topic(batch, &batch->frames[0]);
    struct weft_topic *topic = weft_topic_get(fo, name, false);
    struct weft_sub *sub;
    struct weft_link *link;

    see_head(fo, batch->frames[batch->n - 1].id);
    if (topic == NULL) {
        if (fo->n_wild == 0) {
            return; /* unfollowed meanwhile */
        }
        topic = weft_topic_get(fo, name, true);
        DL_FOREACH(fo->subs, sub) {
            weft_sub_offer(sub, topic);
        }
        if (topic->links == NULL) {
            weft_topic_drop(fo, topic);
            return;
        }
    }
    if (!weft_ring_add(fo, topic, batch)) {
        return;
    }
    DL_FOREACH(topic->links, link) {
        weft_sub_news(link->sub, topic);
    }
}

void weft_fanout_broken(struct weft_fanout *fo, uint64_t base)
{
    struct weft_sub *sub;

    weft_count(fo->o.shard, WEFT_M_CHAIN_BREAKS, 1);
    fo->all_base = base;
    DL_FOREACH(fo->subs, sub) {
        if (sub->patterns_n > 0) {
            sub->scan_all = true;
            weft_sub_mark(sub);
        }
    }
}

void weft_fanout_redis(struct weft_fanout *fo, bool up)
{
    struct weft_topic *topic, *next;
    struct weft_sub *sub;

    fo->up = up;
    if (!up) {
        /* Live events may be missed from now on: nothing is known beyond what was handed out. */
        fo->all_synced = false;
        HASH_ITER(hh, fo->topics, topic, next) {
            topic->synced = false;
            weft_ring_restart(fo, topic, topic->last);
        }
    }
    DL_FOREACH(fo->subs, sub) {
        sub->scan_all = true;
        weft_sub_mark(sub);
    }
}

bool weft_fanout_is_up(const struct weft_fanout *fo)
{
    return fo->up;
}

void weft_fanout_flush(struct weft_fanout *fo)
{
    /* Whoever becomes ready meanwhile is appended and gets its turn in this flush too. */
    while (fo->dirty != NULL) {
        struct weft_sub *sub = fo->dirty;

        DL_DELETE2(fo->dirty, sub, dirty_prev, dirty_next);
        sub->dirty = false;
        fo->o.ops->ready(fo->o.ctx, sub);
    }
}

void weft_fanout_tick(struct weft_fanout *fo)
{
    struct weft_topic *topic, *next;
    struct weft_sub *sub;

    if (fo->n_again > 0) {
        fo->n_again = 0;
        DL_FOREACH(fo->subs, sub) {
            if (sub->again) {
                sub->again = false;
                weft_sub_mark(sub);
            }
        }
    }
    if (++fo->ticks % TICKS_PER_SWEEP != 0) {
        return;
    }
    HASH_ITER(hh, fo->topics, topic, next) {
        if (topic->direct > 0 || (topic->links != NULL && topic->ring != NULL)) {
            topic->idle_for = 0;
        } else if (++topic->idle_for > fo->o.linger_sweeps) {
            weft_topic_drop(fo, topic);
        }
    }
    if (fo->n_wild > 0) {
        fo->wild_idle_for = 0;
    } else if (fo->all_followed && ++fo->wild_idle_for > fo->o.linger_sweeps) {
        fo->all_followed = false;
        fo->all_synced = false;
        fo->o.ops->follow(fo->o.ctx, weft_str("", 0), false);
        weft_gauge_add(fo->o.shard, WEFT_G_TOPICS_FOLLOWED, -1);
    }
}

void weft_fanout_each(struct weft_fanout *fo, void (*fn)(void *arg, struct weft_sub *sub),
                      void *arg)
{
    struct weft_sub *sub, *next;

    DL_FOREACH_SAFE(fo->subs, sub, next) {
        fn(arg, sub);
    }
}

struct weft_id weft_fanout_head(const struct weft_fanout *fo)
{
    return fo->head;
}
