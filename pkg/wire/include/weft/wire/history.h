/*
 * history - which events a partition's log can still vouch for, as its head in Redis tells it.
 *
 * When another server, or the same one after a restart, writes on, what it holds may lack its predecessor's last
 * events. So the sequence leaps (functions/00_head.lua), and the head notes each leap: the numbers after `first` are of
 * the new incarnation, which began at began_ms; `after` is the last event that it took over. A cursor that lies
 * between `after` and `first` names an event that was lost; one from beyond `first` but from before began_ms names an event of
 * another history that had used the same numbers (an old backup was restored).
 *
 * Pure values: no thread, no memory.
 */
#ifndef WEFT_WIRE_HISTORY_H
#define WEFT_WIRE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/str.h>
#include <weft/wire/id.h>

/* Leaps that a head notes; the function drops older ones (LEAPS in 00_head.lua). */
#define WEFT_LEAPS_MAX 64

/*
 * At least so many numbers lie between the last number that may have been given before a leap and the first after it.
 * So two ids less than this apart, of one server's log, have no leap between them.
 */
#define WEFT_LEAP_MIN UINT64_C(400000000)

struct weft_leap {
    uint64_t first;
    uint64_t began_ms;
    struct weft_id after;
};

struct weft_history {
    struct weft_id head; /* newest id; seq 0: no event ever */
    uint64_t born_ms;    /* when the partition got its first event; 0: not known */
    uint32_t n;
    struct weft_leap leaps[WEFT_LEAPS_MAX]; /* newest first */
};

/*
 * The head's field `leaps` into h: `<first>,<began_ms>,<ms>-<seq>` parted by spaces, newest first; an empty text is none.
 * False: it is something else, h->n is what could be read.
 */
bool weft_history_parse_leaps(struct weft_history *h, struct weft_str text);

/* Ids of the newest incarnation are not from before. */
uint64_t weft_history_origin_ms(const struct weft_history *h);

/*
 * Whether everything up to the cursor is of this history. If not, *ret_resume is the last event before the cursor that
 * both may share, seq 0 if there is none: after it lies what whoever has the cursor has not seen. Where no leap is noted
 * that far back it is the cursor itself.
 *
 * Servers' clocks differ: an event that was lost may be younger by its ms than those that were written after the leap. So
 * an ms is only compared within the incarnation that the number is of, and with when that began.
 */
bool weft_history_holds(const struct weft_history *h, struct weft_id cursor,
                        struct weft_id *ret_resume);

#endif
