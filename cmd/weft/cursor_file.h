/*
 * cursor_file - where a killed tail goes on: one line with the last id whose event was printed.
 *
 * The file is replaced as a whole (a new file beside it, then rename), so that a reader finds the
 * old cursor or the new one. It is not synced to the disk: it outlives the process, not the
 * machine.
 */
#ifndef WEFT_CMD_CURSOR_FILE_H
#define WEFT_CMD_CURSOR_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define CURSOR_MAX 4096 /* an id for each partition */

/* Digits, dashes, colons and commas: an id, or one for each partition. */
bool cursor_valid(const char *cursor);

/*
 * ret_cursor: at least CURSOR_MAX bytes; "" if the file is not there or empty. Says on stderr what
 * is wrong.
 */
bool cursor_file_read(const char *path, char *ret_cursor);
bool cursor_file_write(const char *path, const char *cursor);

#endif
