#include "page_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>

void weft_page_maker_init(struct weft_page_maker *pm)
{
    memset(pm, 0, sizeof(*pm));
    weft_buf_init(&pm->text, UINT32_MAX);
}

void weft_page_maker_fini(struct weft_page_maker *pm)
{
    free(pm->topics);
    free(pm->entries);
    free(pm->removed);
    weft_buf_fini(&pm->text);
}

uint32_t weft_page_maker_add(struct weft_page_maker *pm, struct weft_str name)
{
    if (pm->n_topics == pm->topics_cap) {
        pm->topics_cap = pm->topics_cap == 0 ? 4 : pm->topics_cap * 2;
        pm->topics = realloc(pm->topics, pm->topics_cap * sizeof(*pm->topics));
        WEFT_ASSERT(pm->topics != NULL);
    }
    struct weft_page_topic *t = &pm->topics[pm->n_topics];

    memset(t, 0, sizeof(*t));
    memcpy(t->name, name.p, name.len);
    t->name_len = (uint16_t)name.len;
    return (uint32_t)pm->n_topics++;
}

void weft_page_maker_entry(struct weft_page_maker *pm, uint32_t topic, struct weft_id id,
                           uint64_t prev, struct weft_str type, struct weft_str event)
{
    struct weft_page_topic *t = &pm->topics[topic];

    if (t->last.seq != 0 && prev != t->last.seq) {
        /* A hole (XDEL): the page ends before it; the next one begins at it and tells it. */
        weft_page_maker_end_at(pm, t->last);
        return;
    }
    if (t->first.seq == 0) {
        t->first = id;
        t->first_prev = prev;
    }
    t->last = id;
    if (id.seq > weft_page_maker_end(pm).seq) {
        pm->more = true;
        return;
    }
    if (pm->n == pm->entries_cap) {
        pm->entries_cap = pm->entries_cap == 0 ? 256 : pm->entries_cap * 2;
        pm->entries = realloc(pm->entries, pm->entries_cap * sizeof(*pm->entries));
        WEFT_ASSERT(pm->entries != NULL);
    }
    struct weft_entry *e = &pm->entries[pm->n++];

    e->id = id;
    e->prev = prev;
    e->topic = topic;
    e->type_off = (uint32_t)pm->text.len;
    e->type_len = (uint32_t)type.len;
    weft_buf_str(&pm->text, type);
    e->event_off = (uint32_t)pm->text.len;
    e->event_len = (uint32_t)event.len;
    weft_buf_str(&pm->text, event);
}

void weft_page_maker_removed(struct weft_page_maker *pm, struct weft_str name, uint64_t seq)
{
    if (pm->from != WEFT_READ_AFTER || seq <= pm->start.seq) {
        return;
    }
    for (size_t i = 0; i < pm->n_removed; i++) {
        struct weft_page_removed *r = &pm->removed[i];

        if (weft_str_eq(r->name, name)) {
            r->seq = seq < r->seq ? seq : r->seq;
            return;
        }
    }
    if (pm->n_removed == pm->removed_cap) {
        pm->removed_cap = pm->removed_cap == 0 ? 4 : pm->removed_cap * 2;
        pm->removed = realloc(pm->removed, pm->removed_cap * sizeof(*pm->removed));
        WEFT_ASSERT(pm->removed != NULL);
    }
    pm->removed[pm->n_removed++] = (struct weft_page_removed){name, seq};
}

bool weft_page_maker_unsure(const struct weft_page_maker *pm, const struct weft_page_topic *t)
{
    return pm->from == WEFT_READ_AFTER && !pm->reset &&
           (!t->known || (t->first.seq != 0 && t->first_prev == 0));
}

void weft_page_maker_rewind(struct weft_page_maker *pm)
{
    pm->n = 0;
    pm->more = false;
    memset(&pm->cap, 0, sizeof(pm->cap));
    weft_buf_clear(&pm->text);
    for (size_t i = 0; i < pm->n_topics; i++) {
        struct weft_page_topic *t = &pm->topics[i];

        memset(&t->first, 0, sizeof(t->first));
        memset(&t->last, 0, sizeof(t->last));
        memset(&t->at, 0, sizeof(t->at));
        t->asked = t->full = false;
    }
}

void weft_page_maker_head(struct weft_page_maker *pm, const struct weft_history *h)
{
    pm->head = h->head;
    pm->reset = pm->from == WEFT_READ_AFTER && pm->start.seq > 0 &&
                !weft_history_holds(h, pm->start, &pm->resume);
}

struct weft_id weft_page_maker_after(const struct weft_page_maker *pm)
{
    if (pm->from != WEFT_READ_AFTER) {
        return (struct weft_id){0, 0};
    }
    return pm->reset ? pm->resume : pm->start;
}

static int by_seq(const void *a, const void *b)
{
    const struct weft_entry *x = a;
    const struct weft_entry *y = b;

    if (x->id.seq != y->id.seq) {
        return x->id.seq < y->id.seq ? -1 : 1;
    }
    return x->topic < y->topic ? -1 : x->topic > y->topic;
}

void weft_page_maker_end_at(struct weft_page_maker *pm, struct weft_id id)
{
    if (pm->cap.seq == 0 || id.seq < pm->cap.seq) {
        pm->cap = id;
    }
}

struct weft_id weft_page_maker_end(const struct weft_page_maker *pm)
{
    return pm->cap.seq != 0 && pm->cap.seq < pm->head.seq ? pm->cap : pm->head;
}

static size_t size_of(const struct weft_entry *e)
{
    return sizeof(*e) + e->type_len + e->event_len;
}

size_t weft_page_maker_bytes(const struct weft_page_maker *pm)
{
    return pm->n * sizeof(*pm->entries) + pm->text.len;
}

/*
 * A topic that may have more is complete only up to its last entry here; beyond that the others
 * must wait.
 */
static struct weft_id complete_up_to(const struct weft_page_maker *pm)
{
    struct weft_id upto = weft_page_maker_end(pm);

    for (size_t i = 0; i < pm->n_topics; i++) {
        const struct weft_page_topic *t = &pm->topics[i];

        if (t->full && t->last.seq < upto.seq) {
            upto = t->last;
        }
    }
    return upto;
}

size_t weft_page_maker_ready(const struct weft_page_maker *pm)
{
    struct weft_id upto = complete_up_to(pm);
    size_t bytes = 0;

    for (size_t i = 0; i < pm->n; i++) {
        bytes += pm->entries[i].id.seq <= upto.seq ? size_of(&pm->entries[i]) : 0;
    }
    return bytes;
}

static void sort(struct weft_page_maker *pm)
{
    if (pm->n_topics > 1 && pm->n > 1) {
        qsort(pm->entries, pm->n, sizeof(*pm->entries), by_seq);
    }
}

/* The texts of the entries that are left, in memory of their own. */
static void copy_text(struct weft_page_maker *pm)
{
    struct weft_buf text;

    weft_buf_init(&text, UINT32_MAX);
    for (size_t i = 0; i < pm->n; i++) {
        struct weft_entry *e = &pm->entries[i];
        struct weft_str type = weft_str(pm->text.data + e->type_off, e->type_len);
        struct weft_str event = weft_str(pm->text.data + e->event_off, e->event_len);

        e->type_off = (uint32_t)text.len;
        weft_buf_str(&text, type);
        e->event_off = (uint32_t)text.len;
        weft_buf_str(&text, event);
    }
    weft_buf_fini(&pm->text);
    pm->text = text;
}

void weft_page_maker_cut(struct weft_page_maker *pm, size_t bytes)
{
    size_t kept = 0;
    size_t n = 0;

    sort(pm);
    while (n < pm->n &&
           (n == 0 || kept < bytes || pm->entries[n].id.seq == pm->entries[n - 1].id.seq)) {
        kept += size_of(&pm->entries[n++]);
    }
    if (n == pm->n) {
        return;
    }
    weft_page_maker_end_at(pm, pm->entries[n - 1].id);
    pm->n = n;
    copy_text(pm);
}

/*
 * The newest event after the start that the topic has lost; 0: it has lost none. Each page that begins before the end of what
 * is missing says so, since whoever gets this one may have no further one: the rest may come from rings, or on another
 * stream. Who has several tells it once (fanout).
 */
static uint64_t trimmed(const struct weft_page_maker *pm, const struct weft_page_topic *t)
{
    uint64_t newest = 0;

    if (t->first.seq != 0) {
        newest = t->first_prev;
    } else if (t->known && t->asked) {
        newest = t->score; /* none is held */
    }                      /* else removed, or it never was: gone() knows */
    return newest > pm->start.seq ? newest : 0;
}

/*
 * Whether events after the start went with a topic that was removed; not where the topic's own chain tells as much.
 */
static bool gone(const struct weft_page_maker *pm, const struct weft_page_removed *r)
{
    for (size_t i = 0; i < pm->n_topics; i++) {
        const struct weft_page_topic *t = &pm->topics[i];

        if (weft_str_eq(weft_str(t->name, t->name_len), r->name)) {
            return trimmed(pm, t) == 0;
        }
    }
    return true;
}

static void set_gap(struct weft_gap *gap, struct weft_str topic, struct weft_id after,
                    struct weft_id next, uint64_t at, enum weft_gap_reason reason)
{
    gap->after = after;
    gap->next = next;
    gap->at = at;
    gap->reason = reason;
    memcpy(gap->topic, topic.p, topic.len);
}

/* The first event held of the topics that match. */
static struct weft_id first_of(const struct weft_page_maker *pm, struct weft_str name)
{
    struct weft_id first = {0, 0};

    for (size_t i = 0; i < pm->n_topics; i++) {
        const struct weft_page_topic *t = &pm->topics[i];

        if (t->first.seq != 0 && (first.seq == 0 || t->first.seq < first.seq) &&
            weft_pattern_match(name, weft_str(t->name, t->name_len))) {
            first = t->first;
        }
    }
    return first;
}

/* One gap for each name that was asked for. */
static struct weft_page *with_reset(const struct weft_page_maker *pm, struct weft_str what)
{
    struct weft_page *page;
    size_t n = 1;

    for (size_t i = 0; i < what.len; i++) {
        n += what.p[i] == ' ' ? 1 : 0;
    }
    page = weft_page_create(n);
    for (size_t i = 0; page != NULL && i < n; i++) {
        struct weft_str name = weft_str_before(&what, ' ');

        set_gap(&page->gaps[i], name, pm->start, first_of(pm, name), 0, WEFT_GAP_RESET);
    }
    return page;
}

static int by_newest(const void *a, const void *b)
{
    const struct weft_gap *x = a;
    const struct weft_gap *y = b;

    return x->at != y->at ? (x->at < y->at ? -1 : 1) : strcmp(x->topic, y->topic);
}

/* What retention took after the start. */
static struct weft_page *with_gaps(const struct weft_page_maker *pm)
{
    struct weft_page *page;
    size_t n = 0;
    size_t k = 0;

    for (size_t i = 0; pm->from == WEFT_READ_AFTER && i < pm->n_topics; i++) {
        n += trimmed(pm, &pm->topics[i]) > 0 ? 1 : 0;
    }
    for (size_t i = 0; i < pm->n_removed; i++) {
        n += gone(pm, &pm->removed[i]) ? 1 : 0;
    }
    page = weft_page_create(n);
    for (size_t i = 0; page != NULL && k < n && i < pm->n_topics; i++) {
        const struct weft_page_topic *t = &pm->topics[i];

        if (trimmed(pm, t) > 0) {
            set_gap(&page->gaps[k++], weft_str(t->name, t->name_len), pm->start, t->first,
                    trimmed(pm, t), WEFT_GAP_TRIMMED);
        }
    }
    for (size_t i = 0; page != NULL && k < n && i < pm->n_removed; i++) {
        const struct weft_page_removed *r = &pm->removed[i];

        if (gone(pm, r)) {
            set_gap(&page->gaps[k++], r->name, pm->start, first_of(pm, r->name), r->seq,
                    WEFT_GAP_TRIMMED);
        }
    }
    if (page != NULL) {
        qsort(page->gaps, n, sizeof(page->gaps[0]), by_newest);
    }
    return page;
}

struct weft_page *weft_page_make(struct weft_page_maker *pm, struct weft_str what,
                                 struct weft_batch_builder *bb)
{
    struct weft_id upto = complete_up_to(pm);
    struct weft_page *page;
    uint64_t last = 0;
    bool more = pm->more;

    page = pm->reset ? with_reset(pm, what) : with_gaps(pm);
    if (page == NULL) {
        return NULL;
    }
    sort(pm);
    for (size_t i = 0; i < pm->n; i++) {
        const struct weft_entry *e = &pm->entries[i];
        const struct weft_page_topic *t = &pm->topics[e->topic];

        if (e->id.seq > upto.seq) {
            more = true;
            break;
        }
        if (e->id.seq != last) { /* an event of several topics comes once */
            weft_batch_add(bb, e->id, e->prev, weft_str(t->name, t->name_len),
                           weft_str(pm->text.data + e->type_off, e->type_len),
                           weft_str(pm->text.data + e->event_off, e->event_len));
            last = e->id.seq;
        }
    }
    page->upto = upto;
    page->resume = pm->reset ? pm->resume : (struct weft_id){0, 0};
    page->more = more || upto.seq < pm->head.seq;
    page->batch = weft_batch_seal(bb, weft_clock_mono_ns());
    return page;
}
