/*
 * roster - which nodes there are: each tells Redis that it is there, four times within control.lease_ms, and reads
 * who else did.
 *
 * `weft:nodes` has the time of each node's last beat, by the clock of Redis; `weft:node:{<id>}` what it says of
 * itself. A node is gone when its beat is older than control.lease_ms. Control thread.
 */
#ifndef WEFT_SERVICE_ROSTER_PRIV_H
#define WEFT_SERVICE_ROSTER_PRIV_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/service/services.h>

#define WEFT_ROSTER_MAX 1024

struct weft_roster; /* opaque */

int weft_roster_create(struct weft_roster **ret_roster, const struct weft_feature_env *env,
                       const struct weft_services_opts *opts, void (*changed)(void *ctx), void *ctx)
    WEFT_MUST_CHECK WEFT_ON_CONTROL;
void weft_roster_destroy(struct weft_roster *roster) WEFT_ON_CONTROL;

void weft_roster_up(struct weft_roster *roster) WEFT_ON_CONTROL;
void weft_roster_down(struct weft_roster *roster) WEFT_ON_CONTROL;
/* No more beats; it is taken off the list. */
void weft_roster_leave(struct weft_roster *roster) WEFT_ON_CONTROL;
bool weft_roster_has_left(const struct weft_roster *roster) WEFT_ON_CONTROL;

/* Nodes that are there, this one included; sorted. Borrowed until the next turn of the loop. */
size_t weft_roster_nodes(const struct weft_roster *roster,
                         const char *const **ret_ids) WEFT_ON_CONTROL;
bool weft_roster_has(const struct weft_roster *roster, const char *id) WEFT_ON_CONTROL;
/*
 * Redis has been reachable for long enough that every node that lives has told so: who is not on the list
 * is gone. Before, he may only not have come back yet.
 */
bool weft_roster_is_settled(const struct weft_roster *roster) WEFT_ON_CONTROL;
/* Of Redis, at the last beat, and by this node's clock since. */
int64_t weft_roster_now_ms(const struct weft_roster *roster) WEFT_ON_CONTROL;

#endif
