#include "fanout_priv.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

/* ---- being ready ---- */

void weft_sub_mark(struct weft_sub *sub)
{
    if (!sub->dirty) {
        sub->dirty = true;
        DL_APPEND2(sub->fo->dirty, sub, dirty_prev, dirty_next);
    }
}

void weft_sub_wake(struct weft_sub *sub)
{
    weft_sub_mark(sub);
}

void weft_sub_news(struct weft_link *link)
{
    struct weft_sub *sub = link->sub;

    if (!sub->scan_all && !link->news) {
        link->news = true;
        link->news_next = sub->news;
        sub->news = link;
    }
    weft_sub_mark(sub);
}

static void forget_news(struct weft_sub *sub)
{
    while (sub->news != NULL) {
        struct weft_link *link = sub->news;

        sub->news = link->news_next;
        link->news = false;
    }
}

void weft_sub_scan(struct weft_sub *sub)
{
    forget_news(sub);
    sub->scan_all = true;
}

/* ---- from rings to the log, and back ---- */

void weft_sub_enter_log(struct weft_sub *sub)
{
    if (sub->cursor.seq != sub->log_to) { /* else it joins the stretch from before */
        sub->log_from = weft_sub_passed(sub);
    }
    sub->mode = WEFT_SUB_LOG;
    sub->at_tail = false;
    sub->stuck = false;
    weft_sub_scan(sub);
}

static void leave_log(struct weft_sub *sub)
{
    sub->mode = WEFT_SUB_RING;
    sub->log_to = sub->cursor.seq;
    sub->resume_to = sub->fo->head.seq;
    if (sub->log_from <= sub->sure.seq) {
        sub->sure = sub->cursor;
    }
}

/* ---- beginning and ending ---- */

int weft_sub_init(struct weft_sub *sub, struct weft_fanout *fo, const struct weft_sub_opts *opts)
{
    struct weft_str name;
    size_t pos = 0;

    memset(sub, 0, sizeof(*sub));
    if (!weft_sub_keep_words(sub, opts)) {
        return WEFT_ENOMEM;
    }
    sub->fo = fo;
    sub->slow = (uint8_t)opts->slow;
    sub->from = (uint8_t)opts->from;
    sub->cursor = opts->start;
    if (opts->from == WEFT_FROM_CURSOR) {
        sub->sure = opts->start;
        sub->given = opts->start;
    }
    sub->mode = opts->from == WEFT_FROM_NOW ? WEFT_SUB_OPENING : WEFT_SUB_LOG;
    sub->scan_all = true;
    if (sub->patterns_n > 0) {
        fo->n_wild++;
        DL_PREPEND(fo->subs, sub);
    } else {
        DL_APPEND(fo->subs, sub);
    }

    while (weft_sub_next_topic(sub, &pos, &name)) {
        if (!weft_pattern_is_wildcard(name)) {
            struct weft_topic *topic = weft_topic_get(fo, name);

            if (!weft_topic_link(topic, sub, true)) {
                weft_sub_fini(sub);
                return WEFT_ENOMEM;
            }
            weft_topic_follow(fo, topic);
        }
    }
    if (sub->patterns_n > 0) {
        weft_wild_join(sub);
    }
    weft_sub_mark(sub);
    return 0;
}

void weft_sub_fini(struct weft_sub *sub)
{
    struct weft_fanout *fo = sub->fo;

    if (fo == NULL) {
        return;
    }
    while (sub->links != NULL) {
        struct weft_link *link = sub->links;

        DL_DELETE2(sub->links, link, sub_prev, sub_next);
        weft_topic_unlink(link);
    }
    if (sub->patterns_n > 0) {
        fo->n_wild--;
    }
    if (sub->dirty) {
        DL_DELETE2(fo->dirty, sub, dirty_prev, dirty_next);
    }
    if (sub->again) {
        fo->n_again--;
    }
    if (sub->reading) {
        fo->n_reading--;
    }
    DL_DELETE(fo->subs, sub);
    weft_late_drop(sub);
    weft_told_free(fo, sub->told);
    weft_sub_let_go(sub);
    weft_page_unref(sub->skipped);
    free(sub->words);
    memset(sub, 0, sizeof(*sub));
}

int weft_sub_retopic(struct weft_sub *sub, const struct weft_str *topics, size_t n)
{
    struct weft_fanout *fo = sub->fo;
    struct weft_str *types = calloc((size_t)sub->types_n + 1, sizeof(*types));
    char *words = sub->words;           /* the types lie in it */
    struct weft_told *told = sub->told; /* it goes on at its cursor */
    struct weft_sub_opts opts = {.slow = (enum weft_slow)sub->slow,
                                 .from = WEFT_FROM_CURSOR,
                                 .start = sub->cursor,
                                 .topics = topics,
                                 .n_topics = n,
                                 .types = types,
                                 .n_types = sub->types_n};
    int rc = WEFT_ENOMEM;

    WEFT_ASSERT(weft_sub_may_leave(sub));
    if (sub->mode == WEFT_SUB_OPENING || (weft_sub_floats(sub) && sub->page_at == 0)) {
        opts.from = (enum weft_sub_from)sub->from; /* it has not begun */
    }
    if (types != NULL) {
        weft_sub_types(sub, types);
        sub->words = NULL;
        sub->told = NULL;
        weft_sub_fini(sub);
        rc = weft_sub_init(sub, fo, &opts);
        free(words);
        if (rc == 0) {
            sub->told = told;
        } else {
            weft_told_free(fo, told);
        }
    } else {
        weft_sub_fini(sub);
    }
    free(types);
    return rc;
}

/* All topics are followed and the hub has said from where. */
static bool synced(const struct weft_sub *sub)
{
    const struct weft_fanout *fo = sub->fo;
    const struct weft_link *link;

    if (!fo->up || (sub->patterns_n > 0 && !fo->all_synced)) {
        return false;
    }
    for (link = sub->links; link != NULL; link = link->sub_next) {
        if (link->direct && !link->topic->synced) {
            return false;
        }
    }
    return true;
}

/*
 * Its rings reach back to the cursor. A topic that began while it was followed only by the partition's channel
 * may have had a life before, which retention removed: that patterns have not missed anything of it, all_base
 * and wild_base say; for who names it, only the log can.
 */
static bool covered(const struct weft_sub *sub)
{
    const struct weft_link *link = sub->scan_all ? sub->links : sub->news;
    uint64_t seq = sub->cursor.seq;

    if (sub->patterns_n > 0 && (sub->fo->all_base > seq || sub->wild_base > seq)) {
        return false;
    }
    for (; link != NULL; link = sub->scan_all ? link->sub_next : link->news_next) {
        uint64_t after = weft_link_after(link);

        if (link->topic->floor > after || (link->direct && link->topic->born > after + 1)) {
            return false;
        }
    }
    return true;
}

/* The cursor may be compared with the rings. */
static bool trusted(const struct weft_sub *sub)
{
    const struct weft_fanout *fo = sub->fo;

    bool fits =
        sub->cursor.seq == 0 ||
        (sub->cursor.seq <= fo->head.seq && fo->head.seq - sub->cursor.seq < WEFT_LEAP_MIN &&
         sub->cursor.ms >= fo->origin_ms && sub->cursor.ms <= fo->head.ms);

    return !sub->doubt && (sub->known || fits);
}

/* ---- taking from pages ---- */

enum weft_sub_from weft_sub_read_start(const struct weft_sub *sub, struct weft_id *ret_start)
{
    if (sub->late_read) {
        *ret_start = sub->late->from;
        return WEFT_FROM_CURSOR;
    }
    *ret_start = sub->cursor;
    return (enum weft_sub_from)sub->from;
}

void weft_sub_what(const struct weft_sub *sub, struct weft_buf *out)
{
    struct weft_str name;
    size_t pos = 0;

    if (sub->late_read) {
        weft_buf_append(out, sub->late->name, sub->late->name_len);
        return;
    }
    while (weft_sub_next_topic(sub, &pos, &name)) {
        if (pos > 1 + name.len) {
            weft_buf_append(out, " ", 1);
        }
        weft_buf_str(out, name);
    }
}

static void read_ended(struct weft_sub *sub)
{
    sub->reading = false;
    sub->late_read = false;
    sub->unwanted = false;
    sub->fo->n_reading--;
}

void weft_sub_page_arrived(struct weft_sub *sub, struct weft_page *page)
{
    bool late = sub->late_read;

    WEFT_ASSERT(sub->reading && sub->page == NULL);
    bool unwanted = sub->unwanted;

    read_ended(sub);
    weft_sub_mark(sub);
    if (unwanted || (!late && sub->late != NULL)) {
        return; /* asked for again; or something earlier was found missing meanwhile */
    }
    weft_sub_hold(sub, page);
    sub->page_at = 0;
    sub->gaps_told = false;
}

static void try_again(struct weft_sub *sub)
{
    if (!sub->again) {
        sub->again = true;
        sub->fo->n_again++;
    }
}

void weft_sub_page_failed(struct weft_sub *sub, bool unavailable)
{
    read_ended(sub);
    if (unavailable && !sub->fo->up) {
        sub->waiting = true; /* weft_fanout_up() wakes everybody */
    } else {
        try_again(sub);
    }
}

bool weft_sub_floats(const struct weft_sub *sub)
{
    return sub->from == WEFT_FROM_EARLIEST || sub->from == WEFT_FROM_TIME ||
           sub->from == WEFT_FROM_AGO;
}

bool weft_sub_has_cursor(const struct weft_sub *sub)
{
    return sub->mode != WEFT_SUB_OPENING && (!weft_sub_floats(sub) || sub->page_at > 0);
}

static bool has_reset(const struct weft_page *page)
{
    for (size_t i = 0; i < page->n_gaps; i++) {
        if (page->gaps[i].reason == WEFT_GAP_RESET) {
            return true;
        }
    }
    return false;
}

bool weft_sub_may_leave(const struct weft_sub *sub)
{
    return sub->late == NULL;
}

/* The page is used up: the subscriber stands at its end. */
static void page_done(struct weft_sub *sub)
{
    struct weft_page *page = sub->page;
    bool forward = weft_sub_floats(sub) || page->upto.seq > sub->cursor.seq;
    bool reset = has_reset(page);

    if (reset) {
        weft_sub_all_from_log(sub);
        weft_slow_forget(sub);
    }
    if (reset || forward) {
        sub->cursor = page->upto;
    }
    sub->from = WEFT_FROM_CURSOR;
    sub->known = true;
    sub->doubt = false;
    sub->at_tail = !page->more;
    sub->stuck = !reset && !forward && page->batch == NULL;
    weft_told_passed(sub, page->upto.seq);
    weft_sub_let_go(sub);
}

void weft_sub_read(struct weft_sub *sub, bool late)
{
    if (sub->reading || sub->again) {
        return;
    }
    if (!sub->fo->up) {
        sub->waiting = true;
        return;
    }
    if (sub->stuck) {
        sub->stuck = false;
        try_again(sub);
        return;
    }
    if (!weft_held_has_room(sub->fo)) {
        weft_count(sub->fo->o.shard, WEFT_M_REPLAY_HELD_FULL, 1);
        try_again(sub);
        return;
    }
    sub->reading = true;
    sub->late_read = late;
    sub->fo->n_reading++;
    if (!sub->fo->o.ops->read(sub->fo->o.ctx, sub)) {
        read_ended(sub);
        try_again(sub);
    }
}

/* No page is here: whether the rings reach, or which page to ask for. */
static void look_further(struct weft_sub *sub)
{
    if (sub->reading) {
        return; /* what it brings begins at the cursor, which must not move meanwhile */
    }
    weft_sub_scan(sub);
    if (sub->from == WEFT_FROM_CURSOR && trusted(sub) && synced(sub) && covered(sub)) {
        leave_log(sub);
    } else if (sub->at_tail && !synced(sub)) {
        sub->waiting = true; /* the log had no more: only the rings are missing */
    } else {
        weft_sub_read(sub, false);
    }
}

/* True: events or gaps were found. False: nothing more from the log now; the mode may have become RING. */
static bool take_log(struct weft_taker *tk, enum weft_pull *ret_pull)
{
    struct weft_sub *sub = tk->sub;
    struct weft_topic *hidden = NULL;

    if (sub->page == NULL) {
        look_further(sub);
        return false;
    }
    if (!sub->gaps_told) {
        sub->gaps_told = true;
        if (has_reset(sub->page)) {
            /* What it has of this history is not after that. */
            sub->given = sub->page->resume.seq < sub->cursor.seq ? sub->page->resume
                                                                 : (struct weft_id){0, 0};
        }
        if (weft_told_news(sub)) {
            *ret_pull = WEFT_PULL_GAPS;
            return true;
        }
    }
    if (sub->page->batch != NULL) {
        struct weft_batch *batch = sub->page->batch;

        for (; sub->page_at < batch->n; sub->page_at++) {
            hidden = weft_late_shows(sub, batch, sub->page_at);
            if (hidden != NULL || !weft_take(tk, batch, sub->page_at)) {
                break;
            }
            sub->cursor = batch->frames[sub->page_at].id;
        }
        if (tk->n > 0) {
            *ret_pull = WEFT_PULL_EVENTS;
            return true; /* the page stays until its last run was written: the runs borrow its batch */
        }
        if (hidden != NULL) {
            weft_late_after(sub, hidden, batch->frames[sub->page_at].prev); /* the page goes */
            return false;
        }
        if (sub->page_at < batch->n) {
            return false;
        }
    }
    page_done(sub);
    return false;
}

enum weft_pull weft_sub_pull(struct weft_sub *sub, struct weft_run *runs, size_t max_runs,
                             size_t max_bytes, size_t *ret_n)
{
    struct weft_taker tk = {.sub = sub, .runs = runs, .max_runs = max_runs, .max_bytes = max_bytes};
    struct weft_fanout *fo = sub->fo;
    enum weft_pull pull = WEFT_PULL_NONE;

    *ret_n = 0;
    sub->waiting = false;
    weft_page_unref(sub->skipped);
    sub->skipped = NULL;
    if (sub->mode == WEFT_SUB_OPENING) {
        if (!synced(sub)) {
            sub->waiting = true;
            return WEFT_PULL_NONE;
        }
        sub->cursor = fo->head;
        sub->from = WEFT_FROM_CURSOR;
        sub->known = true;
        sub->sure = sub->cursor;
        sub->mode = WEFT_SUB_RING;
    }
    if (!sub->opened) {
        sub->opened = true;
        if (sub->mode == WEFT_SUB_LOG) {
            bool hit = sub->from == WEFT_FROM_CURSOR && trusted(sub) && synced(sub) && covered(sub);

            weft_count(fo->o.shard, hit ? WEFT_M_RING_HITS : WEFT_M_RING_MISSES, 1);
        }
        return WEFT_PULL_OPENED;
    }
    for (;;) {
        if (sub->late != NULL && weft_late_pull(&tk, &pull)) {
            break;
        }
        if (sub->mode == WEFT_SUB_RING) {
            if (!fo->up || (sub->scan_all && !synced(sub))) {
                sub->waiting = true; /* Redis was away: for where the rings begin */
                return WEFT_PULL_NONE;
            }
            if (sub->behind && weft_slow_pull(sub, &pull)) {
                break;
            }
            if (covered(sub)) {
                if (weft_take_rings(&tk)) {
                    forget_news(sub);
                    sub->scan_all = false;
                }
                if (tk.n == 0) {
                    weft_slow_done(sub);
                }
                break;
            }
            weft_count(fo->o.shard, WEFT_M_SUBSCRIBER_LAGGED, 1);
            weft_sub_enter_log(sub);
        }
        if (take_log(&tk, &pull)) {
            break;
        }
        if (sub->mode == WEFT_SUB_LOG &&
            (sub->page != NULL || sub->reading || sub->again || sub->waiting)) {
            break;
        }
    }
    if (tk.n > 0) {
        pull = WEFT_PULL_EVENTS;
    }
    *ret_n = tk.n;
    return pull;
}
