#include "fanout_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

bool weft_take(struct weft_taker *tk, struct weft_batch *batch, uint32_t i)
{
    const struct weft_frame *frame = &batch->frames[i];
    struct weft_run *run;

    WEFT_ASSERT(tk->runs != NULL);
    run = tk->n > 0 ? &tk->runs[tk->n - 1] : NULL;
    if (!weft_sub_type_wanted(tk->sub, batch, i)) {
        return true;
    }
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
    if (frame->id.seq > tk->sub->given.seq) {
        tk->sub->given = frame->id;
    }
    tk->events++;
    return true;
}

/* Where one ring is read; entry NULL: at its end. */
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

/* Takes from one ring while its events do not come after limit. False: no room. */
static bool take_until(struct weft_taker *tk, struct head *head, uint64_t limit)
{
    size_t before = tk->events;
    struct weft_topic *topic = head->entry->topic;
    bool room = true;

    while (head->entry != NULL && head_seq(head) <= limit) {
        const struct weft_frame *frame = &head->entry->batch->frames[head->at];

        /* The same event in two topics has one seq: who follows both gets it once. */
        if (frame->id.seq > tk->sub->cursor.seq) {
            room = weft_take(tk, head->entry->batch, head->at);
            if (!room) {
                break;
            }
            tk->sub->cursor = frame->id;
        }
        head_advance(head);
    }
    topic->deliveries += tk->events - before;
    return room;
}

/* heads[0] has the lowest seq, as in any binary heap. */
static void sift_down(struct head *heads, size_t n, size_t i)
{
    struct head moving = heads[i];
    uint64_t seq = head_seq(&moving);

    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && head_seq(&heads[child + 1]) < head_seq(&heads[child])) {
            child++;
        }
        if (seq <= head_seq(&heads[child])) {
            break;
        }
        heads[i] = heads[child];
    }
    heads[i] = moving;
}

/* Everything after the cursor in the given rings, merged by seq. True: all of it was taken. */
static bool take_merged(struct weft_taker *tk, struct head *heads, size_t n)
{
    for (size_t i = n / 2; i-- > 0;) {
        sift_down(heads, n, i);
    }
    while (n > 0) {
        uint64_t second = n > 1 ? head_seq(&heads[1]) : UINT64_MAX;

        if (n > 2 && head_seq(&heads[2]) < second) {
            second = head_seq(&heads[2]);
        }
        if (!take_until(tk, &heads[0], second)) {
            return false;
        }
        if (heads[0].entry == NULL) {
            heads[0] = heads[--n];
        }
        if (n > 0) {
            sift_down(heads, n, 0);
        }
    }
    return true;
}

#define HEADS_ON_STACK 16

bool weft_take_rings(struct weft_taker *tk)
{
    struct weft_sub *sub = tk->sub;
    const struct weft_link *link = sub->scan_all ? sub->links : sub->news;
    struct head few[HEADS_ON_STACK];
    struct head *more = NULL; /* where there are more than few */
    struct head *heads = few;
    size_t n = 0;
    size_t cap = HEADS_ON_STACK;
    bool all;

    for (; link != NULL; link = sub->scan_all ? link->sub_next : link->news_next) {
        if (n == cap) {
            struct head *grown = realloc(more, 2 * cap * sizeof(*more));

            WEFT_ASSERT(grown != NULL);
            more = grown;
            if (heads == few) {
                memcpy(more, few, sizeof(few));
            }
            heads = more;
            cap *= 2;
        }
        if (weft_ring_find(link->topic, weft_link_after(link), &heads[n].entry, &heads[n].at)) {
            n++;
        }
    }
    all = take_merged(tk, heads, n);
    free(more);
    return all;
}
