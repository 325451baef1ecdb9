/*
 * schema - the payloads of the known event types (the table of the seeds), checked on publish.
 *
 * Unknown types pass here; whether they may be published is the node's setting.
 */
#ifndef WEFT_WIRE_SCHEMA_H
#define WEFT_WIRE_SCHEMA_H

#include <stdbool.h>

#include <weft/base/err.h>
#include <weft/base/str.h>
#include <weft/wire/json.h>

bool weft_schema_known(struct weft_str type);

/*
 * payload: a validated object. WEFT_EINVAL names `payload.<field>`; the message goes on from there
 * ("must be a string"). Unknown type: 0.
 */
int weft_schema_check(struct weft_str type, struct weft_json payload, struct weft_err *err)
    WEFT_MUST_CHECK;

#endif
