/*
 * breakers - the node's circuit breakers, on the control thread: their traffic with Redis.
 */
#ifndef WEFT_GUARD_BREAKERS_H
#define WEFT_GUARD_BREAKERS_H

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/fabric/feature.h>

struct weft_breakers; /* opaque */

/* Yours; env is borrowed. WEFT_ENOMEM. */
int weft_breakers_create(struct weft_breakers **ret_brs, const struct weft_feature_env *env)
    WEFT_MUST_CHECK WEFT_ON_CONTROL;
/* NULL is allowed. */
void weft_breakers_destroy(struct weft_breakers *brs) WEFT_ON_CONTROL;

/* A message of the guards' channel. */
void weft_breakers_message(struct weft_breakers *brs, struct weft_str payload) WEFT_ON_CONTROL;
void weft_breakers_up(struct weft_breakers *brs) WEFT_ON_CONTROL;
void weft_breakers_down(struct weft_breakers *brs) WEFT_ON_CONTROL;

/* ---- requests: made on any thread, posted to control, never NULL ---- */

struct weft_request *weft_breakers_ask_list(void);

#endif
