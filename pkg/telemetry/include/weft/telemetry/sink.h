/*
 * sink - lines on their way into a file, written by a thread of its own.
 *
 * Whoever puts a line never waits for the file: the queue is bounded, and what does not fit is
 * refused. Lines leave whole, in their order, many in one write. A file that cannot be written, or a
 * pipe whose reader stands still, costs lines and nothing else.
 *
 * It does not know what is in a line.
 */
#ifndef WEFT_TELEMETRY_SINK_H
#define WEFT_TELEMETRY_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/base/err.h>
#include <weft/base/str.h>

/* With its newline: what a pipe takes as one piece, so that other writers do not come in between. */
#define WEFT_SINK_LINE_MAX 4096

struct weft_log;
struct weft_shard;
struct weft_sink; /* opaque */

/*
 * Opens path (`-`: standard output, `stderr`: standard error, else a file that is made or appended to) and starts the
 * thread. lines: so many may wait. shard: for the thread alone, which counts what it has written
 * (borrowed, as log is). WEFT_ESYS and a sentence in err, WEFT_ENOMEM.
 */
int weft_sink_create(struct weft_sink **ret_sink, const char *path, size_t lines,
                     struct weft_shard *shard, struct weft_log *log, struct weft_err *err)
    WEFT_MUST_CHECK;
/*
 * When nobody puts any more: writes what waits, for two seconds at most, and ends the thread. NULL is
 * allowed.
 */
void weft_sink_destroy(struct weft_sink *sink);

/* Any thread. line: 1 to WEFT_SINK_LINE_MAX bytes, the last one a newline. False: there is no room. */
bool weft_sink_put(struct weft_sink *sink, struct weft_str line);
/* Any thread: the file was moved away; from now on lines go into a new one. NULL is allowed. */
void weft_sink_reopen(struct weft_sink *sink);

#endif
