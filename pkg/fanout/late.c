/*
 * A subscriber of several topics has one cursor. If a live message of topic A is lost and a later one of B
 * comes, the cursor passes the lost event before anybody knows of it. When A's chain shows the hole, A alone
 * is read from the log again, from before the hole up to the cursor, and what was not given is given before
 * anything else.
 *
 * What was given is known by stretches. Everything of its topics up to `sure`, and from `log_from` to `log_to`, came
 * from the log (or was not asked for). The rest up to the cursor came from rings, and of that a topic's events
 * are in doubt only after the last one that its ring had.
 */
#include "fanout_priv.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <weft/base/assert.h>

/* Up to where the newest stretch from the log reaches. */
static uint64_t log_to(const struct weft_sub *sub)
{
    return sub->mode == WEFT_SUB_LOG ? sub->cursor.seq : sub->log_to;
}

bool weft_late_missing(const struct weft_sub *sub, uint64_t seq)
{
    return seq < weft_sub_passed(sub) && seq > sub->sure.seq &&
           !(seq >= sub->log_from && seq <= log_to(sub));
}

static struct weft_str name_of(const struct weft_topic *topic)
{
    return weft_str(topic->name, topic->name_len);
}

/* As weft_late_missing(), and it did not come by another of its topics either, as far as rings show. */
static bool is_lost(const struct weft_sub *sub, struct weft_str topic, uint64_t seq)
{
    const struct weft_link *link;

    if (!weft_late_missing(sub, seq)) {
        return false;
    }
    for (link = sub->links; link != NULL; link = link->sub_next) {
        struct weft_ring_entry *entry;
        uint32_t at;

        if (weft_ring_find(link->topic, seq - 1, &entry, &at) &&
            entry->batch->frames[at].id.seq == seq && seq >= link->skip_to &&
            !weft_str_eq(name_of(link->topic), topic)) {
            return false;
        }
    }
    return true;
}

static struct weft_late *find(struct weft_late *list, struct weft_str topic)
{
    struct weft_late *late;

    LL_FOREACH(list, late) {
        if (weft_str_eq(weft_str(late->name, late->name_len), topic)) {
            break;
        }
    }
    return late;
}

/*
 * The topic's events up to here were given, as far as they are before the cursor: its ring had them, or everybody was
 * sent to the log for them, or they came late.
 */
static uint64_t given_of(const struct weft_sub *sub, const struct weft_topic *topic)
{
    const struct weft_late *late = find(sub->late_given, name_of(topic));

    uint64_t given = topic->last;

    if (topic->doubt > given && weft_topic_was_broken(sub->fo, topic, topic->doubt)) {
        given = topic->doubt;
    }
    return late != NULL && late->upto > given ? late->upto : given;
}

bool weft_late_unsure(const struct weft_sub *sub, const struct weft_topic *topic)
{
    uint64_t given = given_of(sub, topic);

    given = given > sub->sure.seq ? given : sub->sure.seq;

    if (sub->log_from <= given + 1 && log_to(sub) > given) {
        given = log_to(sub);
    }
    return weft_sub_passed(sub) > given + 1;
}

/* Its events after `after` up to upto, which a page after from has; seq: one of them that is known. */
static void add(struct weft_sub *sub, const struct weft_topic *topic, struct weft_id from,
                uint64_t after, uint64_t seq, uint64_t upto)
{
    uint64_t lost = is_lost(sub, name_of(topic), seq) ? seq : 0;
    struct weft_late *late = find(sub->late, name_of(topic));

    weft_sub_mark(sub);
    if (late != NULL) {
        late->upto = upto > late->upto ? upto : late->upto;
        late->lost = lost > late->lost ? lost : late->lost;
        return;
    }
    if (sub->late == NULL) {
        /* A page of later events has to wait: it is read again from where the cursor is now. */
        weft_sub_let_go(sub);
    }
    late = calloc(1, sizeof(*late) + topic->name_len);
    WEFT_ASSERT(late != NULL);
    late->from = from;
    late->after = after;
    late->upto = upto;
    late->lost = lost;
    late->name_len = topic->name_len;
    memcpy(late->name, topic->name, topic->name_len);
    LL_APPEND(sub->late, late);
}

void weft_late_after(struct weft_sub *sub, const struct weft_topic *topic, uint64_t seq)
{
    uint64_t given = given_of(sub, topic);
    bool is_sure = sub->sure.seq > given;

    /* A page has to begin at an id that was given once: of a seq alone the log cannot say whether it is its own. */
    add(sub, topic, sub->sure.seq > topic->came.seq ? sub->sure : topic->came,
        is_sure ? sub->sure.seq : given, seq, seq);
}

struct weft_topic *weft_late_shows(const struct weft_sub *sub, const struct weft_batch *batch,
                                   uint32_t i)
{
    uint64_t prev = batch->frames[i].prev;
    struct weft_topic *topic;

    if (!weft_late_missing(sub, prev)) {
        return NULL; /* nearly always */
    }
    topic = weft_topic_find(sub->fo, weft_frame_topic(batch, &batch->frames[i]));
    if (topic == NULL || !topic->met || weft_topic_was_broken(sub->fo, topic, prev) ||
        prev <= given_of(sub, topic) ||
        (prev <= sub->fo->all_base && !weft_sub_names(sub, topic))) {
        return NULL;
    }
    return topic;
}

void weft_late_check(struct weft_link *link)
{
    const struct weft_ring_entry *entry = link->topic->ring->prev;
    const struct weft_batch *batch = entry->batch;
    const struct weft_late *given = find(link->sub->late_given, name_of(link->topic));

    for (uint32_t i = entry->from; i < batch->n; i++) {
        struct weft_id id = batch->frames[i].id;

        if (id.seq >= weft_sub_passed(link->sub)) {
            return;
        }
        if ((given == NULL || id.seq > given->upto) &&
            is_lost(link->sub, name_of(link->topic), id.seq)) {
            add(link->sub, link->topic, (struct weft_id){id.ms, id.seq - 1}, id.seq - 1, id.seq,
                entry->last_seq);
            return;
        }
    }
}

void weft_late_drop(struct weft_sub *sub)
{
    struct weft_late *late, *next;

    LL_FOREACH_SAFE(sub->late, late, next) {
        free(late);
    }
    LL_FOREACH_SAFE(sub->late_given, late, next) {
        free(late);
    }
    sub->late = NULL;
    sub->late_given = NULL;
}

void weft_late_stand_back(struct weft_sub *sub, uint64_t to)
{
    struct weft_late *late, *next;

    LL_FOREACH_SAFE(sub->late, late, next) {
        if (late->after >= to) {
            LL_DELETE(sub->late, late);
            free(late);
        } else if (late->upto > to) {
            late->upto = to;
            late->lost = late->lost > to ? 0 : late->lost;
        }
    }
    LL_FOREACH(sub->late_given, late) {
        late->upto = late->upto < to ? late->upto : to;
    }
}

/*
 * The gap in front of the page is of events before the cursor. If it may as well be of later ones only, the
 * subscriber's own page will tell it.
 */
static bool gap_is_late(const struct weft_sub *sub)
{
    const struct weft_late *late = sub->late;
    const struct weft_batch *batch = sub->page->batch;
    uint64_t gone = batch != NULL ? batch->frames[0].prev : late->upto;

    if (sub->page->n_gaps == 0) {
        return false;
    }
    return gone > late->after && (is_lost(sub, weft_str(late->name, late->name_len), gone) ||
                                  (late->lost > 0 && late->lost <= gone));
}

/* False: no room. */
static bool take_page(struct weft_taker *tk)
{
    struct weft_sub *sub = tk->sub;
    struct weft_batch *batch = sub->page->batch;
    struct weft_str name = weft_str(sub->late->name, sub->late->name_len);

    for (; batch != NULL && sub->page_at < batch->n; sub->page_at++) {
        uint64_t seq = batch->frames[sub->page_at].id.seq;

        if (seq > sub->late->upto) {
            sub->page_at = batch->n;
            break;
        }
        if (seq > sub->late->after && is_lost(sub, name, seq) &&
            !weft_take(tk, batch, sub->page_at)) {
            return false;
        }
    }
    return true;
}

static void page_done(struct weft_sub *sub)
{
    struct weft_page *page = sub->page;
    struct weft_late *late = sub->late;
    struct weft_late *before;
    uint64_t end = late->upto < sub->cursor.seq ? late->upto : sub->cursor.seq;

    if (page->upto.seq < end) {
        /* Whatever it says of more: it may be of a while ago. */
        sub->stuck = page->upto.ms < late->from.ms ||
                     (page->upto.ms == late->from.ms && page->upto.seq <= late->from.seq);
        if (!sub->stuck) {
            late->from = page->upto;
        }
    } else {
        before = find(sub->late_given, weft_str(late->name, late->name_len));
        if (before != NULL) {
            LL_DELETE(sub->late_given, before);
            free(before);
        }
        LL_DELETE(sub->late, late);
        late->upto = end;
        LL_PREPEND(sub->late_given, late);
        weft_told_passed(sub, end);
    }
    weft_sub_let_go(sub);
}

static bool is_reset(const struct weft_page *page)
{
    return page->n_gaps > 0 && page->gaps[0].reason == WEFT_GAP_RESET;
}

bool weft_late_pull(struct weft_taker *tk, enum weft_pull *ret_pull)
{
    struct weft_sub *sub = tk->sub;

    while (sub->late != NULL) {
        if (sub->page == NULL) {
            weft_sub_read(sub, true);
            return true;
        }
        if (is_reset(sub->page)) {
            /* Nothing of that history is there any more; the subscriber's own page will say so. */
            weft_sub_let_go(sub);
            weft_late_drop(sub);
            weft_sub_doubt(sub);
            return false;
        }
        if (!sub->gaps_told) {
            sub->gaps_told = true;
            if (gap_is_late(sub) && weft_told_news(sub)) {
                *ret_pull = WEFT_PULL_GAPS;
                return true;
            }
        }
        if (!take_page(tk) || tk->n > 0) {
            *ret_pull = WEFT_PULL_EVENTS;
            return true; /* the page stays until its last run was written */
        }
        page_done(sub);
    }
    return false;
}
