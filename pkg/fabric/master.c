#include "hub_priv.h"

#include <weft/base/assert.h>
#include <weft/base/clock.h>

/*
 * A node must not go on with a server that is not the master any more: what such a server takes is lost. It is left
 * when the Sentinels name another one, when it answers READONLY, and it is not taken when its ROLE is not master.
 */

void weft_hub_leave_master(struct weft_hub *hub, const char *why)
{
    struct weft_redis_conn *all[] = {hub->cmd, hub->sub, hub->rd, hub->ack};

    for (size_t i = 0; i < WEFT_COUNT_OF(all); i++) {
        if (all[i] != NULL) {
            weft_redis_conn_reconnect(all[i], why);
        }
    }
}

void weft_hub_master_moved(void *ctx)
{
    struct weft_hub *hub = ctx;

    weft_role_assert_hub(hub->owner);
    weft_hub_leave_master(hub, "the master is another server now");
}

bool weft_hub_is_news(struct weft_hub *hub, const struct weft_reply *error)
{
    return weft_refusal_is_news(&hub->refusals, error->str, weft_clock_mono_ns());
}
