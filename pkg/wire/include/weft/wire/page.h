/*
 * page - a piece of the log, read once for everybody who asked for the same.
 *
 * Events of one or several topics merged by seq, complete up to `upto`: every event of these topics that is held and lies
 * after the page's start and not after upto is in it. Immutable once made; counted like a batch.
 */
#ifndef WEFT_WIRE_PAGE_H
#define WEFT_WIRE_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <weft/wire/frame.h>
#include <weft/wire/id.h>
#include <weft/wire/name.h>

enum weft_gap_reason {
    WEFT_GAP_TRIMMED, /* retention removed events after the cursor */
    WEFT_GAP_RESET,   /* the history is not the one that the cursor came from */
    WEFT_GAP_SLOW /* the subscriber was slow, and wants the latest then; events are still held */
};

struct weft_gap {
    struct weft_id after;
    struct weft_id next; /* first event still held; seq 0: none */
    uint64_t at;         /* of what was trimmed: seq of the newest event that is missing */
    enum weft_gap_reason reason;
    char topic[WEFT_NAME_MAX + 1];
};

struct weft_page {
    atomic_uint refs;
    struct weft_batch *batch; /* NULL: no event */
    struct weft_id upto;
    /* Of a reset: the last event before the start that survives; seq 0: none does. */
    struct weft_id resume;
    bool more; /* there was more after upto when it was read */
    size_t n_gaps;
    struct weft_gap gaps[]; /* by `at` */
};

/* Room for n gaps; everything else zero. Yours, one reference. NULL when out of memory. */
struct weft_page *weft_page_create(size_t n_gaps);
struct weft_page *weft_page_ref(struct weft_page *page);
/* NULL is allowed; any thread. */
void weft_page_unref(struct weft_page *page);

#endif
