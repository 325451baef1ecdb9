#include "hub_priv.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>
#include <weft/wire/id.h>

/*
 *   beat -> weft1_canary (publish connection) -> its message (live connection) -> the entry in the log (read
 *   connection) -> CANARY to each worker
 *
 * One is under way at a time, so that a slow Redis is seen as slow and not as silent; one that is not back after
 * canary.max_age_ms is given up, and the next is sent.
 */

struct weft_canary {
    struct weft_hub *hub;
    struct event *beat;
    struct weft_buf channel;
    uint64_t number;  /* of the one that was sent last */
    uint64_t sent_ns; /* ... and when */
    bool under_way;
    bool told; /* that it does not come back */
};

uint64_t weft_canaries_age_ms(const struct weft_canaries *canaries, uint64_t now_ns)
{
    uint64_t oldest = now_ns;

    for (size_t i = 0; i < canaries->n; i++) {
        uint64_t sent = atomic_load_explicit(&canaries->sent_ns[i], memory_order_relaxed);

        if (sent == 0) {
            return UINT64_MAX;
        }
        oldest = sent < oldest ? sent : oldest;
    }
    return (now_ns - oldest) / 1000000;
}

static void tell_workers(struct weft_canary *canary) WEFT_ON_HUB
{
    struct weft_hub *hub = canary->hub;

    for (uint32_t w = 0; w < hub->o.n_workers; w++) {
        struct weft_canary_msg *m = calloc(1, sizeof(*m));

        WEFT_ASSERT(m != NULL);
        m->msg.ops = &hub->o.ops->canary;
        m->sent_ns = canary->sent_ns;
        weft_hub_send(hub, w, &m->msg);
    }
}

static void entry_arrived(void *ctx, const struct weft_reply *reply)
{
    struct weft_canary *canary = ctx;

    weft_role_assert_hub(canary->hub->owner);
    if (weft_reply_at(reply, 0) != NULL && canary->under_way) {
        canary->under_way = false;
        tell_workers(canary);
    }
}

bool weft_canary_arrived(struct weft_canary *canary, struct weft_str channel, struct weft_str text)
{
    struct weft_hub *hub = canary->hub;
    struct weft_str id, node;
    struct weft_buf key;
    uint64_t number;

    if (!weft_str_eq(channel, weft_str(canary->channel.data, canary->channel.len))) {
        return false;
    }
    id = weft_str_before(&text, ' ');
    node = weft_str_before(&text, ' ');
    /* Another process with our name would have other numbers. */
    if (!weft_str_eq(node, weft_str(hub->o.node_id, strlen(hub->o.node_id))) ||
        !weft_str_u64(text, &number) || number != canary->number) {
        return true;
    }
    weft_buf_init(&key, 256);
    weft_key_canary(&key, &hub->keys);
    struct weft_str argv[] = {WEFT_STR("XRANGE"), weft_str(key.data, key.len), id, id};
    int rc = weft_redis_send(hub->rd, entry_arrived, canary, WEFT_COUNT_OF(argv), argv);
    (void)rc; /* not up: it is old until the next one */
    weft_buf_fini(&key);
    return true;
}

static void call_answered(void *ctx, const struct weft_reply *reply)
{
    struct weft_canary *canary = ctx;

    weft_role_assert_hub(canary->hub->owner);
    if (weft_reply_is_error(reply)) {
        canary->under_way =
            false; /* READONLY, NOREPLICAS, no such function, ...: a publish fails as well */
        if (!canary->told) {
            canary->told = true;
            weft_log(canary->hub->o.log, WEFT_LOG_WARN, "canary.failed",
                     WEFT_SN("error", reply->str.p, reply->str.len));
        }
    }
}

static void send_one(struct weft_canary *canary) WEFT_ON_HUB
{
    struct weft_hub *hub = canary->hub;
    struct weft_buf key;
    char number[20];

    weft_buf_init(&key, 256);
    weft_key_canary(&key, &hub->keys);
    struct weft_str argv[] = {WEFT_STR("FCALL"),
                              WEFT_STR(WEFT_FN_CANARY),
                              WEFT_STR("1"),
                              weft_str(key.data, key.len),
                              weft_str(canary->channel.data, canary->channel.len),
                              weft_str(hub->o.node_id, strlen(hub->o.node_id)),
                              weft_str(number, weft_u64_print(number, ++canary->number))};
    canary->sent_ns = weft_clock_mono_ns();
    canary->under_way =
        weft_redis_send(hub->cmd, call_answered, canary, WEFT_COUNT_OF(argv), argv) == 0;
    weft_buf_fini(&key);
}

static void watch(struct weft_canary *canary) WEFT_ON_HUB
{
    struct weft_hub *hub = canary->hub;
    uint64_t age_ms = weft_canaries_age_ms(hub->o.canaries, weft_clock_mono_ns());
    bool late = age_ms > hub->o.cfg->canary.max_age_ms;

    weft_gauge_set(hub->o.shard, WEFT_G_CANARY_AGE, age_ms == UINT64_MAX ? -1000 : (int64_t)age_ms);
    if (late && hub->up && age_ms != UINT64_MAX && !canary->told) {
        canary->told = true;
        weft_log(hub->o.log, WEFT_LOG_WARN, "canary.late", WEFT_U("age_ms", age_ms));
    } else if (!late && canary->told) {
        canary->told = false;
        weft_log(hub->o.log, WEFT_LOG_INFO, "canary.back", WEFT_U("age_ms", age_ms));
    }
}

static void beat(evutil_socket_t fd, short what, void *ctx)
{
    struct weft_canary *canary = ctx;
    struct weft_hub *hub = canary->hub;
    uint64_t for_ms = (weft_clock_mono_ns() - canary->sent_ns) / 1000000;

    weft_role_assert_hub(hub->owner);
    (void)fd;
    (void)what;
    watch(canary);
    if (!hub->up) {
        weft_hub_come_up(hub); /* if it may: an answer that was an error is asked for again */
    } else if (!canary->under_way || for_ms > hub->o.cfg->canary.max_age_ms) {
        send_one(canary);
    }
}

void weft_canary_connected(struct weft_canary *canary)
{
    struct weft_str argv[] = {WEFT_STR("SUBSCRIBE"),
                              weft_str(canary->channel.data, canary->channel.len)};
    int rc = weft_redis_send(canary->hub->sub, NULL, NULL, 2, argv);

    (void)rc; /* not up: then it connects again */
}

bool weft_canary_subscribed(struct weft_canary *canary, struct weft_str channel)
{
    if (!weft_str_eq(channel, weft_str(canary->channel.data, canary->channel.len))) {
        return false;
    }
    if (canary->hub->up) {
        send_one(canary);
    }
    return true;
}

int weft_canary_create(struct weft_canary **ret_canary, struct weft_hub *hub)
{
    uint32_t ms = hub->o.cfg->canary.interval_ms;
    struct timeval every = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    struct weft_canary *canary = calloc(1, sizeof(*canary));

    if (canary == NULL) {
        return WEFT_ENOMEM;
    }
    canary->hub = hub;
    weft_buf_init(&canary->channel, 512);
    weft_chan_canary(&canary->channel, &hub->keys,
                     weft_str(hub->o.node_id, strlen(hub->o.node_id)));
    canary->beat = event_new(hub->base, -1, EV_PERSIST, beat, canary);
    if (canary->beat == NULL || event_add(canary->beat, &every) != 0) {
        weft_canary_destroy(canary);
        return WEFT_ESYS;
    }
    *ret_canary = canary;
    return 0;
}

void weft_canary_destroy(struct weft_canary *canary)
{
    if (canary == NULL) {
        return;
    }
    if (canary->beat != NULL) {
        event_free(canary->beat);
    }
    weft_buf_fini(&canary->channel);
    free(canary);
}
