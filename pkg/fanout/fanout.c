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
    if (id.seq <= fo->head.seq) {
        return;
    }
    if (fo->head.seq == 0 || id.seq - fo->head.seq >= WEFT_LEAP_MIN) {
        /* Born, or leapt, since Redis came up: not later than by this event. */
        fo->origin_ms = id.ms;
    }
    fo->head = id;
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

/* Subscribers with patterns look again: all of them, or those that wait. */
static void wake_wild(struct weft_fanout *fo, bool all)
{
    struct weft_sub *sub;

    DL_FOREACH(fo->subs, sub) {
        if (sub->patterns_n == 0) {
            break;
        }
        if (all || sub->waiting) {
            weft_sub_mark(sub);
        }
    }
}

static void followed_all(struct weft_fanout *fo, uint64_t base)
{
    bool beyond = base > fo->all_base;

    if (fo->all_followed) {
        fo->all_synced = true;
        fo->all_base = base;
        wake_wild(fo, beyond);
    }
}

void weft_fanout_followed(struct weft_fanout *fo, struct weft_str name, uint64_t base,
                          struct weft_id head)
{
    struct weft_topic *topic;
    struct weft_link *link;

    see_head(fo, head);
    if (name.len == 0) {
        followed_all(fo, base);
        return;
    }
    topic = weft_topic_find(fo, name);
    if (topic == NULL || !topic->followed) {
        return; /* given up meanwhile */
    }
    if (!topic->met || base != topic->last) {
        /* Before what was seen: the topic's log was removed, or is of another history. */
        bool cut = topic->met && base < topic->last;

        if (topic->met && !cut) {
            weft_topic_missed(fo, topic, base);
        }
        /* What comes live and lies at or before base is from now on a duplicate: the log has it. */
        weft_ring_restart(fo, topic, base);
        topic->born = 0;
        if (cut) {
            topic->came = (struct weft_id){0, 0};
        }
        topic->met = true;
        DL_FOREACH(topic->links, link) {
            weft_sub_news(link);
        }
        weft_wild_restart(fo, topic);
    }
    topic->synced = true;
    wake_waiting(topic);
}

void weft_fanout_live(struct weft_fanout *fo, struct weft_batch *batch)
{
    struct weft_str name = weft_frame_topic(batch, &batch->frames[0]);
    struct weft_id newest = batch->frames[batch->n - 1].id;
    struct weft_topic *topic = weft_topic_find(fo, name);
    struct weft_link *link;
    uint64_t first;

    see_head(fo, newest);
    if (topic != NULL) {
        weft_wild_show(fo, topic);
    } else if (fo->n_wild > 0) {
        topic = weft_topic_get(fo, name);
        weft_wild_show(fo, topic);
        if (topic->links == NULL) {
            weft_topic_drop(fo, topic);
            topic = NULL;
        }
    }
    if (topic == NULL) {
        /* Nobody's, so it is not kept: a pattern that comes later has to read up to here. */
        fo->gone = newest.seq > fo->gone ? newest.seq : fo->gone;
        return;
    }
    if (!weft_ring_add(fo, topic, batch)) {
        return;
    }
    first = batch->frames[topic->ring->prev->from].id.seq;
    DL_FOREACH(topic->links, link) {
        if (first < link->sub->cursor.seq) {
            weft_late_check(link);
        }
        weft_sub_news(link);
    }
}

/* Everybody looks again. */
static void wake_all(struct weft_fanout *fo)
{
    struct weft_sub *sub;

    DL_FOREACH(fo->subs, sub) {
        sub->scan_all = true;
        weft_sub_mark(sub);
    }
}

void weft_fanout_broken(struct weft_fanout *fo, uint64_t from, uint64_t base)
{
    struct weft_topic *topic, *next;

    weft_count(fo->o.shard, WEFT_M_CHAIN_BREAKS, 1);
    if (base > fo->all_base) {
        fo->all_base = base;
    }
    fo->heard_from = from;
    HASH_ITER(hh, fo->topics, topic, next) {
        weft_ring_doubt(fo, topic, base);
    }
    wake_all(fo);
}

void weft_fanout_down(struct weft_fanout *fo)
{
    struct weft_topic *topic, *next;

    fo->up = false;
    /* Nothing is known beyond what was handed out. */
    fo->all_synced = false;
    HASH_ITER(hh, fo->topics, topic, next) {
        topic->synced = false;
        weft_ring_restart(fo, topic, topic->last);
    }
    wake_all(fo);
}

/*
 * What was seen is not all in this history, only up to `shared`. Up to there a ring's last event says as before which ones
 * did not come; nothing else that is known of topics holds.
 */
static void forget_history(struct weft_fanout *fo, struct weft_id shared)
{
    struct weft_topic *topic, *next;
    struct weft_sub *sub;

    fo->gone = 0;
    fo->all_base = fo->head.seq;
    HASH_ITER(hh, fo->topics, topic, next) {
        if (topic->last > shared.seq) {
            weft_ring_restart(fo, topic, shared.seq);
            topic->met = shared.seq > 0;
            topic->born = 0;
        }
        if (topic->came.seq > shared.seq) {
            topic->came = shared;
        }
    }
    DL_FOREACH(fo->subs, sub) {
        sub->wild_base = 0;
        weft_slow_forget(sub); /* its marks are numbers, which may come again */
    }
}

/* Nothing after seq is there to be missed: what was known to be missing is lost altogether. */
static void limit_doubt(struct weft_fanout *fo, uint64_t seq)
{
    struct weft_topic *topic, *next;

    if (fo->all_base > fo->head.seq) {
        fo->all_base = fo->head.seq;
    }
    HASH_ITER(hh, fo->topics, topic, next) {
        if (topic->doubt > seq) {
            topic->doubt = seq;
            topic->floor = topic->floor < seq ? topic->floor : seq;
        }
    }
}

static void take_history(struct weft_fanout *fo, const struct weft_history *history)
{
    struct weft_id shared = {0, 0};
    struct weft_sub *sub;
    bool another = !weft_history_holds(history, fo->head, &shared) ||
                   (fo->born_ms != 0 && history->born_ms != fo->born_ms);

    another = another && fo->head.seq > 0;
    fo->head = history->head;
    fo->born_ms = history->born_ms;
    fo->origin_ms = weft_history_origin_ms(history);
    limit_doubt(fo, another ? shared.seq : fo->head.seq);
    if (another) {
        forget_history(fo, shared);
    }
    DL_FOREACH(fo->subs, sub) {
        weft_told_forget(sub, another ? shared.seq : fo->head.seq);
        weft_sub_judge(sub, history);
    }
}

void weft_fanout_up(struct weft_fanout *fo, const struct weft_history *history)
{
    fo->up = true;
    if (history != NULL) {
        take_history(fo, history);
    }
    wake_all(fo);
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
    weft_wild_sweep(fo);
    HASH_ITER(hh, fo->topics, topic, next) {
        if (topic->direct > 0) {
            topic->idle_for = 0;
        } else if (topic->idle_for < fo->o.linger_sweeps) {
            topic->idle_for++;
        } else if (topic->links != NULL) {
            weft_topic_unfollow(fo,
                                topic); /* kept for patterns, which have a channel of their own */
        } else {
            weft_topic_drop(fo, topic);
        }
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

void weft_fanout_loads(struct weft_fanout *fo,
                       void (*fn)(void *arg, const struct weft_topic_load *load), void *arg)
{
    struct weft_topic *topic, *next;

    HASH_ITER(hh, fo->topics, topic, next) {
        if (topic->n_links > 0) {
            const struct weft_topic_load load = {
                .name = weft_str(topic->name, topic->name_len),
                .subscribers = topic->n_links,
                .events = topic->events,
                .deliveries = topic->deliveries,
            };

            fn(arg, &load);
        }
        topic->events = 0;
        topic->deliveries = 0;
    }
}
