/*
 * How much of the log subscribers hold. Many hold the same page, which counts once; what is on its way counts as a page of
 * the usual size. Over the bound reads wait, until others have written what they hold or were cut.
 */
#include "fanout_priv.h"

#include <stdlib.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

struct weft_held {
    UT_hash_handle hh;
    struct weft_page *page; /* the key is the pointer; a reference is every holder's own */
    size_t holders;
};

static size_t size_of(const struct weft_page *page)
{
    return sizeof(*page) + page->n_gaps * sizeof(page->gaps[0]) +
           (page->batch == NULL ? 0 : page->batch->size);
}

void weft_sub_hold(struct weft_sub *sub, struct weft_page *page)
{
    struct weft_fanout *fo = sub->fo;
    size_t size = size_of(page);
    struct weft_held *held = NULL;

    sub->page = weft_page_ref(page);
    HASH_FIND_PTR(fo->held, &page, held);
    if (held == NULL) {
        held = calloc(1, sizeof(*held));
        WEFT_ASSERT(held != NULL);
        held->page = page;
        HASH_ADD_PTR(fo->held, page, held);
        fo->held_bytes += size;
        /* Up at once, down slowly. */
        fo->held_mean = size > fo->held_mean ? size : fo->held_mean - (fo->held_mean - size) / 16;
        weft_gauge_set(fo->o.shard, WEFT_G_REPLAY_HELD_BYTES, (int64_t)fo->held_bytes);
    }
    held->holders++;
}

void weft_sub_let_go(struct weft_sub *sub)
{
    struct weft_fanout *fo = sub->fo;
    struct weft_page *page = sub->page;
    struct weft_held *held = NULL;

    if (page == NULL) {
        return;
    }
    HASH_FIND_PTR(fo->held, &page, held);
    WEFT_ASSERT(held != NULL && held->holders > 0);
    if (--held->holders == 0) {
        HASH_DEL(fo->held, held);
        free(held);
        fo->held_bytes -= size_of(page);
        weft_gauge_set(fo->o.shard, WEFT_G_REPLAY_HELD_BYTES, (int64_t)fo->held_bytes);
    }
    sub->page = NULL;
    weft_page_unref(page);
}

bool weft_held_has_room(const struct weft_fanout *fo)
{
    return fo->held_bytes + fo->n_reading * fo->held_mean < fo->o.held_bytes;
}
