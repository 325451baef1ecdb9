/*
 * id - the id of an event, `<ms>-<seq>`: Redis clock in milliseconds, and a
 * sequence that counts every event of the partition.
 *
 * Order, resume and gaps are decided by seq alone (ms never goes back with it);
 * ms makes history seekable by time.
 */
#ifndef WEFT_WIRE_ID_H
#define WEFT_WIRE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/str.h>

struct weft_id {
    uint64_t ms;
    uint64_t seq;
};

#define WEFT_ID_MAX_LEN 41 /* two 20-digit numbers and the dash */

/*
 * Both halves in decimal, no sign, no space, no leading zero, nothing after. False: *ret_id
 * untouched.
 */
bool weft_id_parse(struct weft_str s, struct weft_id *ret_id);

/* out: at least WEFT_ID_MAX_LEN bytes. Returns the length; no terminator. */
size_t weft_id_print(char *out, struct weft_id id);

#endif
