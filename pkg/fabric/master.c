#include "hub_priv.h"

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/redis/sentinel.h>
#include <weft/redis/tls.h>
#include <weft/telemetry/log.h>

/*
 * A node must not go on with a server that is not the master any more: what such a server takes is lost. It is left
 * when the Sentinels name another one, when it answers READONLY, and it is not taken when its ROLE is not master.
 */

void weft_hub_leave_master(struct weft_hub *hub, const char *why)
{
    struct weft_redis_conn *all[] = {hub->cmd, hub->sub, hub->rd};

    for (size_t i = 0; i < WEFT_COUNT_OF(all); i++) {
        if (all[i] != NULL) {
            weft_redis_conn_reconnect(all[i], why);
        }
    }
}

static void moved(void *ctx)
{
    struct weft_hub *hub = ctx;

    weft_role_assert_hub(hub->owner);
    weft_hub_leave_master(hub, "the master is another server now");
}

bool weft_hub_find_master(void *ctx, struct weft_redis_host *ret_host)
{
    struct weft_hub *hub = ctx;

    weft_role_assert_hub(hub->owner);
    weft_sentinel_ask(hub->sentinel);
    return weft_sentinel_master(hub->sentinel, ret_host);
}

int weft_hub_load_tls(struct weft_hub *hub, struct weft_err *err)
{
    const struct weft_config *cfg = hub->o.cfg;
    struct weft_redis_tls_opts o = {
        .ca = cfg->redis.tls_ca, .cert = cfg->redis.tls_cert, .key = cfg->redis.tls_key};

    return hub->url.tls ? weft_redis_tls_create(&hub->tls, &o, err) : 0;
}

int weft_hub_ask_sentinels(struct weft_hub *hub)
{
    const struct weft_config *cfg = hub->o.cfg;
    struct weft_sentinel_opts o = {
        .base = hub->base,
        .url = &hub->url,
        .tls = hub->tls,
        .name = hub->name,
        .ask_ms = cfg->redis.sentinel_ask_ms,
        .connect_timeout_ms = cfg->redis.connect_timeout_ms,
        .command_timeout_ms = cfg->redis.command_timeout_ms,
        .backoff_min_ms = cfg->redis.backoff_min_ms,
        .backoff_max_ms = cfg->redis.backoff_max_ms,
        .seed = hub->o.seed,
        .shard = hub->o.shard,
        .log = hub->o.log,
        .ctx = hub,
        .moved = moved,
    };

    return hub->url.n_sentinels > 0 ? weft_sentinel_create(&hub->sentinel, &o) : 0;
}

bool weft_hub_is_news(struct weft_hub *hub, const struct weft_reply *error)
{
    return weft_refusal_is_news(&hub->refusals, error->str, weft_clock_mono_ns());
}
