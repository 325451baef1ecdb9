#include "hub_priv.h"

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/telemetry/log.h>

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

bool weft_hub_may_be_stale(struct weft_hub *hub, const struct weft_history *history,
                           struct weft_id cursor)
{
    uint64_t now = weft_clock_mono_ns();

    if (history->head.seq == 0 || cursor.ms < history->born_ms ||
        cursor.seq < history->head.seq + WEFT_LEAP_MIN) {
        return false;
    }
    if (hub->stale_ns == 0) {
        hub->stale_ns = now;
        weft_log(hub->o.log, WEFT_LOG_WARN, "redis.stale", WEFT_U("cursor", cursor.seq),
                 WEFT_U("head", history->head.seq));
        weft_redis_source_ask(hub->source);
    }
    return now - hub->stale_ns < (uint64_t)hub->o.cfg->redis.stale_ms * 1000000;
}

bool weft_hub_is_news(struct weft_hub *hub, const struct weft_reply *error)
{
    return weft_refusal_is_news(&hub->refusals, error->str, weft_clock_mono_ns());
}
