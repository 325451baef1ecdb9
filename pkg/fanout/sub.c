#include "fanout_priv.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

/* ---- words: topics and type globs, as u8 length and bytes ---- */

static struct weft_str word_at(const struct weft_sub *sub, size_t off)
{
    return weft_str(sub->words + off + 1, (uint8_t)sub->words[off]);
}

bool weft_sub_next_topic(const struct weft_sub *sub, size_t *pos, struct weft_str *ret_topic)
{
    if (*pos >= sub->types_off) {
        return false;
    }
    *ret_topic = word_at(sub, *pos);
    *pos += 1 + ret_topic->len;
    return true;
}

static bool type_wanted(const struct weft_sub *sub, const struct weft_batch *batch, uint32_t i)
{
    size_t off = sub->types_off;

    if (sub->types_n == 0) {
        return true;
    }
    for (unsigned k = 0; k < sub->types_n; k++) {
        struct weft_str glob = word_at(sub, off);

        if (weft_type_glob_match(glob, weft_frame_type(batch, &batch->frames[i]))) {
            return true;
        }
        off += 1 + glob.len;
    }
    return false;
}

static int compare_words(const void *a, const void *b)
{
    const struct weft_str *x = a;
    const struct weft_str *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->p, y->p, n);

    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* Sorted, so that equal subscriptions read equal pages whatever the order of their parameters. */
static bool keep_words(struct weft_sub *sub, const struct weft_sub_opts *opts)
{
    struct weft_str *sorted = calloc(opts->n_topics + 1, sizeof(*sorted));
    size_t size = 1;
    char *at;

    if (sorted == NULL) {
        return false;
    }
    memcpy(sorted, opts->topics, opts->n_topics * sizeof(*sorted));
    qsort(sorted, opts->n_topics, sizeof(*sorted), compare_words);
    for (size_t i = 0; i < opts->n_topics; i++) {
        size += 1 + sorted[i].len;
    }
    for (size_t i = 0; i < opts->n_types; i++) {
        size += 1 + opts->types[i].len;
    }
    sub->words = malloc(size);
    if (sub->words != NULL) {
        at = sub->words;
        for (size_t i = 0; i < opts->n_topics; i++) {
            *at++ = (char)(unsigned char)sorted[i].len;
            memcpy(at, sorted[i].p, sorted[i].len);
            at += sorted[i].len;
        }
        sub->types_off = (uint16_t)(at - sub->words);
        for (size_t i = 0; i < opts->n_types; i++) {
            *at++ = (char)(unsigned char)opts->types[i].len;
            memcpy(at, opts->types[i].p, opts->types[i].len);
            at += opts->types[i].len;
        }
        sub->topics_n = (uint16_t)opts->n_topics;
        sub->types_n = (uint16_t)opts->n_types;
    }
    free(sorted);
    return sub->words != NULL;
}

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

void weft_sub_news(struct weft_sub *sub, struct weft_topic *topic)
{
    unsigned i;

    if (!sub->scan_all) {
        for (i = 0; i < sub->news_n && sub->news[i] != topic; i++) {
        }
        if (i == sub->news_n) {
            if (i < WEFT_SUB_NEWS) {
                sub->news[sub->news_n++] = topic;
            } else {
                sub->scan_all = true;
            }
        }
    }
    weft_sub_mark(sub);
}

/* ---- beginning and ending ---- */

static bool link_to(struct weft_sub *sub, struct weft_topic *topic)
{
    struct weft_link *link = calloc(1, sizeof(*link));

    if (link != NULL) {
        weft_topic_link(topic, sub, link);
    }
    return link != NULL;
}

void weft_sub_offer(struct weft_sub *sub, struct weft_topic *topic)
{
    struct weft_str name = weft_str(topic->name, topic->name_len);
    struct weft_str pattern;
    size_t pos = 0;

    if (sub->patterns_n == 0) {
        return;
    }
    for (struct weft_link *link = sub->links; link != NULL; link = link->sub_next) {
        if (link->topic == topic) {
            return;
        }
    }
    while (weft_sub_next_topic(sub, &pos, &pattern)) {
        if (weft_pattern_is_wildcard(pattern) && weft_pattern_match(pattern, name)) {
            WEFT_ASSERT(link_to(sub, topic)); /* 64 bytes */
            return;
        }
    }
}

static void follow_all(struct weft_sub *sub)
{
    struct weft_fanout *fo = sub->fo;
    struct weft_topic *topic, *next;

    if (!fo->all_followed) {
        fo->all_followed = true;
        weft_gauge_add(fo->o.shard, WEFT_G_TOPICS_FOLLOWED, 1);
        fo->o.ops->follow(fo->o.ctx, weft_str("", 0), true);
    }
    fo->n_wild++;
    HASH_ITER(hh, fo->topics, topic, next) {
        weft_sub_offer(sub, topic);
    }
}

int weft_sub_init(struct weft_sub *sub, struct weft_fanout *fo, const struct weft_sub_opts *opts)
{
    struct weft_str name;
    size_t pos = 0;

    memset(sub, 0, sizeof(*sub));
    if (!keep_words(sub, opts)) {
        return WEFT_ENOMEM;
    }
    sub->fo = fo;
    sub->from = (uint8_t)opts->from;
    sub->cursor = opts->start;
    sub->mode = opts->from == WEFT_FROM_NOW ? WEFT_SUB_OPENING : WEFT_SUB_LOG;
    sub->scan_all = true;
    DL_APPEND(fo->subs, sub);

    while (weft_sub_next_topic(sub, &pos, &name)) {
        if (weft_pattern_is_wildcard(name)) {
            sub->patterns_n++;
            continue;
        }
        struct weft_topic *topic = weft_topic_get(fo, name, true);
        if (!link_to(sub, topic)) {
            weft_sub_fini(sub);
            return WEFT_ENOMEM;
        }
        topic->direct++;
        weft_topic_follow(fo, topic);
    }
    if (sub->patterns_n > 0) {
        follow_all(sub);
    }
    weft_sub_mark(sub);
    return 0;
}

void weft_sub_fini(struct weft_sub *sub)
{
    struct weft_fanout *fo = sub->fo;
    struct weft_str name;
    size_t pos = 0;

    if (fo == NULL) {
        return;
    }
    while (weft_sub_next_topic(sub, &pos, &name)) {
        struct weft_topic *topic =
            weft_pattern_is_wildcard(name) ? NULL : weft_topic_get(fo, name, false);

        if (topic != NULL && topic->direct > 0) {
            topic->direct--;
            topic->idle_for = 0;
        }
    }
    while (sub->links != NULL) {
        struct weft_link *link = sub->links;

        sub->links = link->sub_next;
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
    DL_DELETE(fo->subs, sub);
    weft_page_unref(sub->page);
    free(sub->words);
    memset(sub, 0, sizeof(*sub));
}

/* ---- taking from rings ---- */

/* All topics are followed and the hub has said from where. */
static bool synced(const struct weft_sub *sub)
{
    const struct weft_fanout *fo = sub->fo;

    if (!fo->up || (sub->patterns_n > 0 && !fo->all_synced)) {
        return false;
    }
    for (const struct weft_link *link = sub->links; link != NULL; link = link->sub_next) {
        if (link->topic->followed && !link->topic->synced) {
            return false;
        }
    }
    return true;
}

/* Its rings reach back to the cursor. */
static bool covered(const struct weft_sub *sub)
{
    const struct weft_fanout *fo = sub->fo;
    uint64_t seq = sub->cursor.seq;

    if (sub->patterns_n > 0 && (fo->all_base > seq || fo->evicted_last > seq)) {
        return false;
    }
    if (!sub->scan_all) {
        for (unsigned i = 0; i < sub->news_n; i++) {
            if (sub->news[i]->floor > seq) {
                return false;
            }
        }
        return true;
    }
    for (const struct weft_link *link = sub->links; link != NULL; link = link->sub_next) {
        if (link->topic->floor > seq) {
            return false;
        }
    }
    return true;
}

/* Collects runs; merges neighbours; counts what is in them. */
struct taker {
    struct weft_sub *sub;
    struct weft_run *runs;
    size_t n, max_runs;
    size_t bytes, max_bytes;
};

/* One frame: taken, or skipped by its type. False: no room, the cursor stays before it. */
static bool take(struct taker *tk, struct weft_batch *batch, uint32_t i)
{
    const struct weft_frame *frame = &batch->frames[i];
    struct weft_run *run = tk->n > 0 ? &tk->runs[tk->n - 1] : NULL;

    if (type_wanted(tk->sub, batch, i)) {
        if (tk->bytes > 0 && tk->bytes + frame->len > tk->max_bytes) {
            return false;
        }
        if (run != NULL && run->batch == batch && run->to == i) {
            run->to++;
        } else if (tk->n < tk->max_runs) {
            tk->runs[tk->n++] = (struct weft_run){batch, i, i + 1};
        } else {
            return false;
        }
        tk->bytes += frame->len;
    }
    tk->sub->cursor = frame->id;
    return true;
}

struct head {
    struct weft_ring_entry *entry;
    uint32_t at;
};

static uint64_t head_seq(const struct head *head)
{
    return head->entry == NULL ? UINT64_MAX : head->entry->batch->frames[head->at].id.seq;
}

static void head_advance(struct head *head)
{
    if (++head->at < head->entry->batch->n) {
        return;
    }
    head->entry = head->entry->next; /* utlist DL: NULL after the newest */
    head->at = head->entry != NULL ? head->entry->from : 0;
}

/* Takes from one ring while its events come before limit. False: no room. */
static bool take_until(struct taker *tk, struct head *head, uint64_t limit)
{
    while (head->entry != NULL && head_seq(head) < limit) {
        /* The same event in two topics has one seq: who follows both gets it once. */
        if (head_seq(head) > tk->sub->cursor.seq && !take(tk, head->entry->batch, head->at)) {
            return false;
        }
        head_advance(head);
    }
    return true;
}

#define HEADS_ON_STACK 16

/* Everything after the cursor in the given rings, merged by seq. True: all of it was taken. */
static bool take_merged(struct taker *tk, struct head *heads, size_t n)
{
    for (;;) {
        size_t first = 0;
        uint64_t second_seq = UINT64_MAX;

        for (size_t i = 1; i < n; i++) {
            if (head_seq(&heads[i]) < head_seq(&heads[first])) {
                first = i;
            }
        }
        for (size_t i = 0; i < n; i++) {
            if (i != first && head_seq(&heads[i]) < second_seq) {
                second_seq = head_seq(&heads[i]);
            }
        }
        if (n == 0 || heads[first].entry == NULL) {
            return true;
        }
        /* <= : an event of both comes from the first. */
        if (!take_until(tk, &heads[first],
                        second_seq == UINT64_MAX ? UINT64_MAX : second_seq + 1)) {
            return false;
        }
    }
}

static bool take_rings(struct taker *tk)
{
    struct weft_sub *sub = tk->sub;
    struct head few[HEADS_ON_STACK];
    struct head *heads = few;
    size_t n = 0;
    size_t cap = HEADS_ON_STACK;
    bool all;

    if (!sub->scan_all) {
        for (unsigned i = 0; i < sub->news_n; i++) {
            n += weft_ring_find(sub->news[i], sub->cursor.seq, &heads[n].entry, &heads[n].at) ? 1
                                                                                              : 0;
        }
    } else {
        for (const struct weft_link *link = sub->links; link != NULL; link = link->sub_next) {
            if (n == cap) {
                struct head *more = malloc(2 * cap * sizeof(*more));

                WEFT_ASSERT(more != NULL);
                memcpy(more, heads, n * sizeof(*heads));
                if (heads != few) {
                    free(heads);
                }
                heads = more;
                cap *= 2;
            }
            n +=
                weft_ring_find(link->topic, sub->cursor.seq, &heads[n].entry, &heads[n].at) ? 1 : 0;
        }
    }
    all = take_merged(tk, heads, n);
    if (heads != few) {
        free(heads);
    }
    return all;
}

/* ---- taking from pages ---- */

enum weft_sub_from weft_sub_read_start(const struct weft_sub *sub, struct weft_id *ret_start)
{
    *ret_start = sub->cursor;
    return (enum weft_sub_from)sub->from;
}

void weft_sub_what(const struct weft_sub *sub, struct weft_buf *out)
{
    struct weft_str name;
    size_t pos = 0;

    while (weft_sub_next_topic(sub, &pos, &name)) {
        if (pos > 1 + name.len) {
            weft_buf_append(out, " ", 1);
        }
        weft_buf_str(out, name);
    }
}

void weft_sub_page_arrived(struct weft_sub *sub, struct weft_page *page)
{
    WEFT_ASSERT(sub->reading && sub->page == NULL);
    sub->reading = false;
    sub->page = weft_page_ref(page);
    sub->page_at = 0;
    sub->gaps_told = page->n_gaps == 0;
    weft_sub_mark(sub);
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
    sub->reading = false;
    if (unavailable && !sub->fo->up) {
        sub->waiting = true; /* weft_fanout_redis() wakes everybody */
    } else {
        try_again(sub);
    }
}

bool weft_sub_floats(const struct weft_sub *sub)
{
    return sub->from == WEFT_FROM_EARLIEST || sub->from == WEFT_FROM_TIME ||
           sub->from == WEFT_FROM_AGO;
}

/* The page is used up: the subscriber stands at its end. */
static void page_done(struct weft_sub *sub)
{
    struct weft_page *page = sub->page;
    bool reset = false;

    for (size_t i = 0; i < page->n_gaps; i++) {
        reset = reset || page->gaps[i].reason == WEFT_GAP_RESET;
    }
    if (reset || weft_sub_floats(sub) || page->upto.seq > sub->cursor.seq) {
        sub->cursor = page->upto;
    }
    sub->from = WEFT_FROM_CURSOR;
    sub->known = true;
    sub->at_tail = !page->more;
    sub->page = NULL;
    weft_page_unref(page);
}

static void read_more(struct weft_sub *sub)
{
    if (sub->reading || sub->again) {
        return;
    }
    if (!sub->fo->up) {
        sub->waiting = true;
        return;
    }
    sub->reading = true;
    if (!sub->fo->o.ops->read(sub->fo->o.ctx, sub)) {
        sub->reading = false;
        try_again(sub);
    }
}

/* True: events or gaps were found. False: nothing more from the log now; the mode may have become RING. */
static bool take_log(struct taker *tk, enum weft_pull *ret_pull)
{
    struct weft_sub *sub = tk->sub;

    if (sub->page == NULL) {
        /* With a cursor, first look whether the rings reach; a page may have brought it into reach. */
        sub->scan_all = true;
        if (sub->from == WEFT_FROM_CURSOR && synced(sub) && covered(sub) &&
            (sub->known || sub->cursor.seq <= sub->fo->head.seq)) {
            sub->mode = WEFT_SUB_RING;
        } else if (sub->at_tail && !synced(sub)) {
            sub->at_tail = false; /* the log had no more: only the rings are missing */
            sub->waiting = true;
        } else {
            read_more(sub);
        }
        return false;
    }
    if (!sub->gaps_told) {
        sub->gaps_told = true;
        *ret_pull = WEFT_PULL_GAPS;
        return true;
    }
    if (sub->page->batch != NULL) {
        struct weft_batch *batch = sub->page->batch;

        while (sub->page_at < batch->n && take(tk, batch, sub->page_at)) {
            sub->page_at++;
        }
        if (tk->n > 0) {
            *ret_pull = WEFT_PULL_EVENTS;
            return true; /* the page stays until its last run was written: the runs borrow its batch */
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
    struct taker tk = {.sub = sub, .runs = runs, .max_runs = max_runs, .max_bytes = max_bytes};
    struct weft_fanout *fo = sub->fo;
    enum weft_pull pull = WEFT_PULL_NONE;

    *ret_n = 0;
    sub->waiting = false;
    if (sub->mode == WEFT_SUB_OPENING) {
        if (!synced(sub)) {
            sub->waiting = true;
            return WEFT_PULL_NONE;
        }
        sub->cursor = fo->head;
        sub->from = WEFT_FROM_CURSOR;
        sub->known = true;
        sub->mode = WEFT_SUB_RING;
    }
    if (!sub->opened) {
        sub->opened = true;
        if (sub->mode == WEFT_SUB_LOG) {
            bool hit = sub->from == WEFT_FROM_CURSOR && synced(sub) && covered(sub);

            weft_count(fo->o.shard, hit ? WEFT_M_RING_HITS : WEFT_M_RING_MISSES, 1);
        }
        return WEFT_PULL_OPENED;
    }
    for (;;) {
        if (sub->mode == WEFT_SUB_RING) {
            if (!fo->up || (sub->scan_all &&
                            !synced(sub))) { /* Redis was away: wait for where the rings begin */
                sub->waiting = true;
                return WEFT_PULL_NONE;
            }
            if (covered(sub)) {
                if (take_rings(&tk)) {
                    sub->news_n = 0;
                    sub->scan_all = false;
                }
                break;
            }
            weft_count(fo->o.shard, WEFT_M_SUBSCRIBER_LAGGED, 1);
            sub->mode = WEFT_SUB_LOG;
            sub->news_n = 0;
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
