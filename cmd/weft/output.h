/*
 * output - lines on stdout, whose reader may be slow, or go away at any time.
 */
#ifndef WEFT_CMD_OUTPUT_H
#define WEFT_CMD_OUTPUT_H

#include <stdbool.h>

#include <weft/base/str.h>

enum output_result {
    OUTPUT_OK,
    OUTPUT_INTERRUPTED, /* the reader takes nothing, and a signal came: what waited is dropped */
    OUTPUT_FAILED       /* the reader is gone, or the write failed, which is said on stderr */
};

/* While set, a flush that has to wait for the reader ends when signal_fd becomes readable. */
void output_interruptible(int signal_fd);

/*
 * head, then body with its line breaks as spaces (JSON allows them only between tokens), then a
 * line break.
 */
void output_line(struct weft_str head, struct weft_str body);

/* Writes all lines. Whatever fails once fails from then on. */
enum output_result output_flush(void);

/* Flushes once much is waiting. */
enum output_result output_flush_if_large(void);

/* Whether all went well so far: no use in going on otherwise. */
bool output_is_open(void);

/*
 * The exit code when nothing else went wrong: a closed pipe is a quiet end, another failed write is
 * not.
 */
int output_exit(void);

#endif
