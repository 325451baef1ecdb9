/*
 * tally - how many there are now of each of many names: connections of an address, streams of a
 * subject.
 *
 * Exact over all threads. Bounded: names that do not fit any more are counted together, as one name
 * beside the others, so that the limit of a name holds for all of those together. A name is forgotten
 * with the last that leaves.
 */
#ifndef WEFT_LOOP_TALLY_H
#define WEFT_LOOP_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/str.h>

#define WEFT_TALLY_NAME_MAX 256

struct weft_tally;      /* opaque */
struct weft_tally_name; /* opaque: where one is counted */

/* Yours. names: at most so many at once. WEFT_ENOMEM. */
int weft_tally_create(struct weft_tally **ret_tally, size_t names) WEFT_MUST_CHECK;
/* When all have left. NULL is allowed. */
void weft_tally_destroy(struct weft_tally *tally);

/*
 * Any thread. One more of name (a longer one than WEFT_TALLY_NAME_MAX counts by its beginning), unless there are max
 * already: then NULL. Else a place that is yours until weft_tally_leave(). *ret_shared: it is counted
 * together with others.
 */
struct weft_tally_name *weft_tally_enter(struct weft_tally *tally, struct weft_str name,
                                         uint32_t max, bool *ret_shared) WEFT_MUST_CHECK;
/* Any thread. NULL is allowed. */
void weft_tally_leave(struct weft_tally *tally, struct weft_tally_name *name);
/* Any thread: names that are counted apart now. */
size_t weft_tally_names(struct weft_tally *tally);

#endif
