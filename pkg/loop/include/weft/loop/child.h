/*
 * child - a command that runs below a warden (warden.h), seen from the node's loop.
 *
 * Its output comes line by line, bounded in length; it can be asked to end and be made to; when it has ended,
 * nothing that came from it is left (but, if somebody killed the warden, what had left the command's group). It does not know services, restarts or how long to be patient.
 * One thread, the loop's: the kernel ends the command with it, too.
 */
#ifndef WEFT_LOOP_CHILD_H
#define WEFT_LOOP_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weft/base/err.h>
#include <weft/base/str.h>

struct event_base;
struct weft_child; /* opaque */

#define WEFT_CHILD_ARGS_MAX 64

struct weft_child_opts {
    struct event_base *base; /* borrowed */
    const char *warden; /* the program that becomes the warden; NULL: this one, executed anew */
    const char *name;   /* stands in the warden's command line */
    const char *const *argv; /* of the command, at most WEFT_CHILD_ARGS_MAX, NULL-terminated */
    uint32_t grace_ms;       /* between TERM and KILL when the node is gone */
    uint32_t line_bytes;     /* a longer line is cut */
    uint64_t files;          /* open files that the command may have (its soft limit); 0: as we */

    void *ctx;
    /* Once, in this order: started (unless it failed), lines, ended. In `ended` it may be destroyed. */
    void (*started)(void *ctx, pid_t pid);
    /* from_err: on stderr. cut: the rest of the line is left out. */
    void (*line)(void *ctx, bool from_err, struct weft_str line, bool cut);
    /* why: an errno, the command could not be started; else status as of waitpid(). */
    void (*ended)(void *ctx, int why, int status);
};

/* Yours. What opts points to is not needed any more. WEFT_ENOMEM, WEFT_ESYS (err says what). */
int weft_child_create(struct weft_child **ret_child, const struct weft_child_opts *opts,
                      struct weft_err *err) WEFT_MUST_CHECK;
/* One that still runs is killed; waits until it is. NULL is allowed. */
void weft_child_destroy(struct weft_child *child);

void weft_child_term(struct weft_child *child);
void weft_child_kill(struct weft_child *child);

#endif
