/*
 * rfc3339 - a date and time as text (RFC 3339, section 5.6).
 */
#ifndef WEFT_WIRE_RFC3339_H
#define WEFT_WIRE_RFC3339_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/str.h>

/*
 * Unix time in milliseconds, fractions of one cut off; a leap second is the next minute's first.
 * False: anything else, such as a day that does not exist. Years 0000 to 9999.
 */
bool weft_rfc3339_parse(struct weft_str s, int64_t *ret_ms);

#endif
