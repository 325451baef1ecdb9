/*
 * live - the messages on the live channels: one line for each event,
 *   `<id> <prev> <topic> <type> <envelope>`
 * lines parted by LF. Anyone who can reach Redis can publish there, so every line is checked.
 */
#ifndef WEFT_WIRE_LIVE_H
#define WEFT_WIRE_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/str.h>
#include <weft/wire/id.h>

struct weft_live_line {
    struct weft_id id;
    uint64_t prev;
    struct weft_str topic;
    struct weft_str type;
    struct weft_str
        envelope; /* begins with `{`, ends with `}`, has no control byte; not parsed further */
};

/*
 * Takes the next line off *text. 1: *ret_line set; 0: text is empty; WEFT_EPROTO: the line is
 * malformed and was skipped.
 */
int weft_live_next(struct weft_str *text, struct weft_live_line *ret_line);

#endif
