/*
 * Subscribers with patterns, and the topics that these match.
 *
 * Such a subscriber is linked to the topics that had an event lately only. With an event a topic is shown to all of them that
 * match; when it has been quiet for linger_sweeps, or when their links take more than ring_bytes, it is taken off them again,
 * the quietest first, and if nobody else wants it, it goes with its ring. What they had not had of it then they read in the
 * log (wild_base). So the memory of patterns is that of what goes on, not of all topics that ever were.
 */
#include "fanout_priv.h"

#include <stdlib.h>

#include <utlist.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

#define LINKS_PER_SWEEP 100000 /* that a sweep takes off: some 10 ms */

/* By a pattern alone: of what it names it has a link of another kind. */
static bool wants(const struct weft_sub *sub, const struct weft_topic *topic)
{
    struct weft_str word;
    size_t pos = 0;

    while (weft_sub_next_topic(sub, &pos, &word)) {
        if (weft_pattern_is_wildcard(word) &&
            weft_pattern_match(word, weft_str(topic->name, topic->name_len))) {
            return !weft_sub_names(sub, topic);
        }
    }
    return false;
}

static void link_to(struct weft_sub *sub, struct weft_topic *topic)
{
    WEFT_ASSERT(weft_topic_link(topic, sub, false)); /* 80 bytes */
}

void weft_wild_charge(struct weft_fanout *fo, const struct weft_topic *topic, bool more)
{
    size_t bytes = sizeof(struct weft_link);

    if (topic->n_links - topic->direct == 1) { /* the first one, or the last */
        bytes += sizeof(*topic) + topic->name_len;
    }
    fo->wild_bytes = more ? fo->wild_bytes + bytes : fo->wild_bytes - bytes;
    weft_gauge_set(fo->o.shard, WEFT_G_PATTERN_BYTES, (int64_t)fo->wild_bytes);
}

/* The subscriber has to read in the log what it has not had of the topic. */
static void lose(struct weft_link *link)
{
    const struct weft_topic *topic = link->topic;
    struct weft_sub *sub = link->sub;
    uint64_t had = topic->ring != NULL ? topic->last : topic->evicted;

    if (had > weft_link_after(link) && had > sub->let_go) {
        sub->let_go = had;
    }
    if (link->news) {
        weft_sub_scan(sub);
    }
    DL_DELETE2(sub->links, link, sub_prev, sub_next);
    if (topic->last > sub->wild_base) {
        sub->wild_base = topic->last;
    }
}

void weft_wild_hide(struct weft_fanout *fo, struct weft_topic *topic)
{
    struct weft_link *link, *next;

    if (!topic->shown) {
        return;
    }
    topic->shown = false;
    DL_DELETE2(fo->shown, topic, shown_prev, shown_next);
    weft_count(fo->o.shard, WEFT_M_PATTERN_OFF, topic->n_links > topic->direct ? 1 : 0);
    DL_FOREACH_SAFE(topic->links, link, next) {
        if (!link->direct) {
            lose(link);
            weft_topic_unlink(link);
        }
    }
}

static void let_go(struct weft_fanout *fo, struct weft_topic *topic)
{
    weft_wild_hide(fo, topic);
    if (topic->direct == 0 && !topic->followed) {
        weft_topic_drop(fo, topic);
    }
}

/* But for this topic, whose event has just come. */
static void keep_bound(struct weft_fanout *fo, const struct weft_topic *topic)
{
    while (fo->wild_bytes > fo->o.ring_bytes && fo->shown != NULL && fo->shown != topic) {
        let_go(fo, fo->shown);
        weft_count(fo->o.shard, WEFT_M_PATTERN_FULL, 1);
    }
}

void weft_wild_show(struct weft_fanout *fo, struct weft_topic *topic)
{
    struct weft_sub *sub;

    topic->quiet_since = fo->sweeps;
    if (topic->shown) {
        DL_DELETE2(fo->shown, topic, shown_prev, shown_next);
        DL_APPEND2(fo->shown, topic, shown_prev, shown_next);
        return;
    }
    topic->shown = true;
    DL_APPEND2(fo->shown, topic, shown_prev, shown_next);
    DL_FOREACH(fo->subs, sub) {
        if (sub->patterns_n == 0) {
            break;
        }
        if (wants(sub, topic)) {
            link_to(sub, topic);
        }
    }
    keep_bound(fo, topic);
}

void weft_wild_restart(struct weft_fanout *fo, const struct weft_topic *topic)
{
    struct weft_sub *sub;

    DL_FOREACH(fo->subs, sub) {
        if (sub->patterns_n == 0 || topic->shown) {
            break;
        }
        if (topic->last > sub->wild_base && wants(sub, topic)) {
            sub->wild_base = topic->last;
            weft_sub_mark(sub);
        }
    }
}

void weft_wild_join(struct weft_sub *sub)
{
    struct weft_fanout *fo = sub->fo;
    struct weft_topic *topic, *next;

    if (!fo->all_followed) {
        fo->all_followed = true;
        weft_gauge_add(fo->o.shard, WEFT_G_TOPICS_FOLLOWED, 1);
        fo->o.ops->follow(fo->o.ctx, weft_str("", 0), true);
    }
    sub->wild_base = fo->gone;
    HASH_ITER(hh, fo->topics, topic, next) {
        if (!wants(sub, topic)) {
            continue;
        }
        if (topic->shown) {
            link_to(sub, topic);
        } else if (topic->last > sub->wild_base) {
            sub->wild_base = topic->last;
        }
    }
    keep_bound(fo, NULL);
}

void weft_wild_sweep(struct weft_fanout *fo)
{
    size_t n = 0;

    fo->sweeps++;
    while (fo->shown != NULL && n < LINKS_PER_SWEEP &&
           fo->sweeps - fo->shown->quiet_since > fo->o.linger_sweeps) {
        n += 1 + fo->shown->n_links;
        let_go(fo, fo->shown);
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

size_t weft_fanout_pattern_bytes(const struct weft_fanout *fo)
{
    return fo->wild_bytes;
}
