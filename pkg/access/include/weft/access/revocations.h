/*
 * revocations - the cluster's list of revoked tokens, as a feature of the control thread (fabric/feature.h).
 *
 * The truth is a sorted set in Redis, jti -> until when it has to be remembered. Each node has a copy, the table of
 * weft/auth/revoked.h, which its workers ask: changed at once by a channel, and compared by a version number every
 * auth.revoked_check_ms, since a message may be lost. Without Redis the copy goes on to count, and what Redis
 * forgets (a failover, a flush) stays revoked on nodes that knew it.
 */
#ifndef WEFT_ACCESS_REVOCATIONS_H
#define WEFT_ACCESS_REVOCATIONS_H

#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/fabric/feature.h>

struct weft_revocations;
struct weft_revoked;

/* For ever, or what comes near it in a sorted set: 2^53 - 1. */
#define WEFT_REVOKED_FOR_EVER INT64_C(9007199254740991)

/* table is borrowed; only this feature changes it. Yours. WEFT_ENOMEM. */
int weft_revocations_create(struct weft_revocations **ret_rvs, const struct weft_feature_env *env,
                            struct weft_revoked *table) WEFT_ON_CONTROL WEFT_MUST_CHECK;
void weft_revocations_message(struct weft_revocations *rvs,
                              struct weft_str payload) WEFT_ON_CONTROL;
void weft_revocations_up(struct weft_revocations *rvs) WEFT_ON_CONTROL;
void weft_revocations_down(struct weft_revocations *rvs) WEFT_ON_CONTROL;
/* NULL is allowed. */
void weft_revocations_destroy(struct weft_revocations *rvs) WEFT_ON_CONTROL;

/* ---- requests of workers: made on any thread, posted to control; never NULL ---- */

/* jti: 1 to WEFT_REVOKED_JTI_MAX bytes, printable. until_ms: Unix time; 0 ends a revocation. */
struct weft_request *weft_revocations_ask(struct weft_str jti, int64_t until_ms);
/* The first `limit` that are still remembered, those that end first at the beginning. */
struct weft_request *weft_revocations_ask_list(uint32_t limit);

#endif
