/*
 * Redis is back, and may have lost something: whether what each subscriber has is of the history that there is now.
 *
 * Who was given an event that is lost is in doubt: the log is asked after its cursor, and the page tells it. Who only
 * stands beyond what survived, because of other topics' events, stands back. A page that was read before, or is on its
 * way, begins where the cursor is not any more, and is forgotten in both cases.
 */
#include "fanout_priv.h"

#include <string.h>

/* What was read, or is about to be, does not go on from where the subscriber stands. */
static void forget_page(struct weft_sub *sub)
{
    weft_sub_let_go(sub);
    sub->unwanted = sub->reading;
}

void weft_sub_all_from_log(struct weft_sub *sub)
{
    memset(&sub->sure, 0, sizeof(sub->sure));
    sub->log_from = 0;
    sub->jumped_to = 0;
    weft_late_drop(sub);
}

void weft_sub_doubt(struct weft_sub *sub)
{
    if (sub->mode == WEFT_SUB_OPENING) {
        return;
    }
    forget_page(sub);
    sub->doubt = true;
    weft_slow_forget(sub);
    if (sub->mode == WEFT_SUB_RING) {
        weft_sub_enter_log(sub);
    }
    sub->at_tail = false; /* of what was */
    weft_sub_all_from_log(sub);
    weft_sub_mark(sub);
}

/* It has lost nothing: only other topics' events lay between the last that it has and its cursor. */
static void stand_back(struct weft_sub *sub, struct weft_id to)
{
    forget_page(sub);
    weft_slow_forget(sub);
    weft_late_stand_back(sub, to.seq);
    sub->cursor = to;
    sub->jumped_to = sub->given.seq == to.seq ? 0 : to.seq;
    if (sub->sure.seq > to.seq) {
        sub->sure = to;
    }
    sub->log_from = sub->log_from < to.seq ? sub->log_from : to.seq;
    sub->log_to = sub->log_to < to.seq ? sub->log_to : to.seq;
}

void weft_sub_judge(struct weft_sub *sub, const struct weft_history *history)
{
    struct weft_id at = sub->cursor;
    struct weft_id resume, ignored;

    if (sub->page != NULL && !weft_history_holds(history, sub->page->upto, &ignored)) {
        if (weft_sub_floats(sub) && sub->page_at > 0) {
            sub->from = WEFT_FROM_CURSOR; /* some of it was taken: it goes on from there */
        }
        forget_page(sub); /* of what is lost: it is read again */
    }
    if (weft_sub_passed(sub) > at.seq) {
        at.seq++; /* where it jumped to there may be no such id, but the next one is one */
    }
    if (sub->mode == WEFT_SUB_OPENING || sub->from != WEFT_FROM_CURSOR || sub->cursor.seq == 0 ||
        weft_history_holds(history, at, &resume)) {
        return;
    }
    if (sub->given.seq != 0 && !weft_history_holds(history, sub->given, &ignored)) {
        weft_sub_doubt(sub); /* the page tells it */
    } else {
        stand_back(sub, resume);
    }
}
