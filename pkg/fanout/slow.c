/*
 * Subscribers whose writer is behind, and what becomes of them (enum weft_slow).
 *
 * Being behind begins when the writer could not write all that was pulled, and ends when a pull finds nothing more. Only
 * who is behind is slow: rings may as well have let go of events in the turn in which they came, or never have had
 * them, which is nobody's fault.
 *
 * What is left out is a mark in each link, by which rings are read. Should it come to the log before the mark is passed
 * (a message was lost, Redis was away), what the log has comes after all, once and in order, as in a page an event of several
 * topics does not show that it is in those that leave nothing out.
 */
#include "fanout_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

void weft_sub_blocked(struct weft_sub *sub, uint64_t now_ms)
{
    if (!sub->behind) {
        sub->behind = true;
        sub->too_long = false;
        sub->behind_ms = now_ms;
    }
}

void weft_sub_unblocked(struct weft_sub *sub, uint64_t now_ms)
{
    sub->too_long = sub->behind && now_ms - sub->behind_ms >= sub->fo->o.latest_ms;
    weft_sub_mark(sub);
}

void weft_slow_done(struct weft_sub *sub)
{
    sub->behind = false;
    sub->too_long = false;
    sub->resume_to = 0;
}

/* Those of its links that may have something after the cursor, in turn. */
static const struct weft_link *first_link(const struct weft_sub *sub)
{
    return sub->scan_all ? sub->links : sub->news;
}

static const struct weft_link *next_link(const struct weft_link *link)
{
    return link->sub->scan_all ? link->sub_next : link->news_next;
}

uint64_t weft_sub_lag(const struct weft_sub *sub)
{
    uint64_t newest = 0;

    if (sub->mode == WEFT_SUB_OPENING || weft_sub_floats(sub)) {
        return 0;
    }
    for (const struct weft_link *link = first_link(sub); link != NULL; link = next_link(link)) {
        newest = link->topic->last > newest ? link->topic->last : newest;
    }
    return newest > sub->cursor.seq ? newest - sub->cursor.seq : 0;
}

bool weft_slow_passed(const struct weft_sub *sub)
{
    if (sub->let_go > sub->cursor.seq) {
        return true;
    }
    for (const struct weft_link *link = first_link(sub); link != NULL; link = next_link(link)) {
        if (link->topic->evicted > weft_link_after(link)) {
            return true;
        }
    }
    return false;
}

/* Where a ring is read from its newest event backwards. */
struct back {
    const struct weft_sub *sub;
    const struct weft_topic *topic;
    const struct weft_ring_entry *entry; /* NULL: at its beginning */
    uint32_t at;                         /* frames of entry from here on are done */
    uint64_t after;
};

static struct back back_of(const struct weft_link *link)
{
    struct back b = {link->sub, link->topic, NULL, 0, weft_link_after(link)};

    if (b.topic->ring != NULL) {
        b.entry = b.topic->ring->prev;
        b.at = b.entry->batch->n;
    }
    return b;
}

/* The next older event that the subscriber is to get. False: there is none in the ring. */
static bool step_back(struct back *b, struct weft_id *ret_id)
{
    while (b->entry != NULL) {
        while (b->at > b->entry->from) {
            struct weft_id id = b->entry->batch->frames[--b->at].id;

            if (id.seq <= b->after) {
                return false;
            }
            if (weft_sub_type_wanted(b->sub, b->entry->batch, b->at)) {
                *ret_id = id;
                return true;
            }
        }
        b->entry = b->entry == b->topic->ring ? NULL : b->entry->prev;
        b->at = b->entry == NULL ? 0 : b->entry->batch->n;
    }
    return false;
}

/* More events wait in its rings than one that wants the latest has patience for. */
static bool too_many(const struct weft_sub *sub)
{
    uint32_t n = 0;

    for (const struct weft_link *link = first_link(sub); link != NULL; link = next_link(link)) {
        struct back b = back_of(link);
        struct weft_id id;

        while (step_back(&b, &id)) {
            if (++n > sub->fo->o.latest_events) {
                return true;
            }
        }
    }
    return false;
}

/* What of one topic lies behind the cursor. */
struct tail {
    bool any;              /* something does */
    bool lost;             /* ... and some of it is not the newest */
    struct weft_id newest; /* seq 0: it is not known which one that is */
};

static struct tail tail_of(const struct weft_link *link)
{
    const struct weft_topic *topic = link->topic;
    struct back b = back_of(link);
    struct tail tail = {topic->last > b.after, false, {0, 0}};
    struct weft_id older;

    if (topic->doubt > b.after || (link->direct && topic->born > b.after + 1)) {
        tail.any = true; /* perhaps, and what: the log knows */
        return tail;
    }
    if (!tail.any) {
        return tail;
    }
    if (step_back(&b, &tail.newest)) {
        tail.lost = topic->floor > b.after || step_back(&b, &older);
    } else if (topic->floor <= b.after) {
        tail.any = false; /* all of it is in the ring, and of other types */
    } else if (topic->ring == NULL && topic->evicted == topic->last &&
               topic->came.seq == topic->last && link->sub->types_n == 0) {
        tail.newest = topic->came;
        tail.lost = topic->evicted_prev > b.after;
    }
    return tail;
}

static int by_next(const void *a, const void *b)
{
    const struct weft_gap *x = a;
    const struct weft_gap *y = b;

    return x->next.seq < y->next.seq ? -1 : x->next.seq > y->next.seq;
}

/*
 * Goes on with the newest event of each topic. True: gaps have to be told. False: nothing is left
 * out, or not all of the newest are known.
 */
static bool jump(struct weft_sub *sub)
{
    struct weft_id first = {0, 0}; /* of the newest ones */
    size_t n_lost = 0;

    if (sub->patterns_n > 0 &&
        (sub->fo->all_base > sub->cursor.seq || sub->wild_base > sub->cursor.seq)) {
        return false; /* there may be topics that are not known here */
    }
    for (const struct weft_link *link = first_link(sub); link != NULL; link = next_link(link)) {
        struct tail tail = tail_of(link);

        if (!tail.any) {
            continue;
        }
        if (tail.newest.seq == 0) {
            return false;
        }
        n_lost += tail.lost ? 1 : 0;
        first = first.seq == 0 || tail.newest.seq < first.seq ? tail.newest : first;
    }
    if (n_lost == 0) {
        return false;
    }
    struct weft_page *page = weft_page_create(n_lost);
    size_t n = 0;

    WEFT_ASSERT(page != NULL);
    for (struct weft_link *link = sub->scan_all ? sub->links : sub->news; link != NULL;
         link = sub->scan_all ? link->sub_next : link->news_next) {
        struct tail tail = tail_of(link);

        if (!tail.any) {
            continue;
        }
        link->skip_to = tail.newest.seq;
        if (tail.lost) {
            struct weft_gap *gap = &page->gaps[n++];

            gap->after = sub->cursor;
            gap->next = tail.newest;
            gap->reason = WEFT_GAP_SLOW;
            memcpy(gap->topic, link->topic->name, link->topic->name_len);
        }
    }
    qsort(page->gaps, n, sizeof(page->gaps[0]), by_next);
    if (first.seq > sub->cursor.seq + 1) {
        /* So that what is to come is after it. */
        sub->cursor = (struct weft_id){first.ms, first.seq - 1};
        sub->jumped_to = sub->cursor.seq;
    }
    page->upto = sub->cursor;
    sub->skipped = page;
    return true;
}

bool weft_slow_pull(struct weft_sub *sub, enum weft_pull *ret_pull)
{
    enum weft_slow slow = (enum weft_slow)sub->slow;

    switch (sub->cursor.seq < sub->resume_to ? WEFT_SLOW_REPLAY : slow) {
    case WEFT_SLOW_REPLAY:
        break;
    case WEFT_SLOW_CLOSE:
        if (weft_slow_passed(sub)) {
            weft_count(sub->fo->o.shard, WEFT_M_SLOW_CLOSED, 1);
            *ret_pull = WEFT_PULL_CLOSE;
            return true;
        }
        break;
    case WEFT_SLOW_LATEST:
        if ((weft_slow_passed(sub) || (sub->too_long && too_many(sub))) && jump(sub)) {
            weft_count(sub->fo->o.shard, WEFT_M_SLOW_LATEST, 1);
            weft_slow_done(sub); /* from here on it is as good as any */
            *ret_pull = WEFT_PULL_GAPS;
            return true;
        }
        break;
    }
    if (weft_slow_passed(sub)) {
        weft_count(sub->fo->o.shard, WEFT_M_SLOW_REPLAY, 1);
    }
    return false;
}

void weft_slow_forget(struct weft_sub *sub)
{
    struct weft_link *link;

    sub->resume_to = 0;
    sub->let_go = 0;
    for (link = sub->links; link != NULL; link = link->sub_next) {
        link->skip_to = 0;
    }
}
