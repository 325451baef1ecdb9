#include "hub_priv.h"

#include <string.h>

#include <weft/base/assert.h>
#include <weft/telemetry/log.h>

int weft_head_ask(struct weft_hub *hub, weft_redis_replied *replied, void *ctx)
{
    struct weft_buf key;
    int rc;

    weft_buf_init(&key, 256);
    weft_key_head(&key, &hub->keys);
    struct weft_str argv[] = {WEFT_STR("HMGET"), weft_str(key.data, key.len), WEFT_STR("seq"),
                              WEFT_STR("ms"),    WEFT_STR("born_ms"),         WEFT_STR("floor"),
                              WEFT_STR("leaps")};
    rc = weft_redis_send(hub->rd, replied, ctx, WEFT_COUNT_OF(argv), argv);
    weft_buf_fini(&key);
    return rc;
}

/*
 * A history does not change its birth. While nobody had written there was none to know: then what was seen since is from
 * before the birth, if it is another's.
 */
static bool is_another(const struct weft_hub *hub, const struct weft_history *history) WEFT_ON_HUB
{
    if (!hub->up) {
        return false;
    }
    return hub->history.born_ms != 0 ? history->born_ms != hub->history.born_ms
                                     : hub->head.seq > 0 && hub->head.ms < history->born_ms;
}

bool weft_head_take(struct weft_hub *hub, const struct weft_reply *reply, uint64_t seen,
                    struct weft_history *ret_history, uint64_t *ret_floor)
{
    struct weft_history *h = ret_history;

    memset(h, 0, sizeof(*h));
    if (reply == NULL || weft_reply_is_error(reply)) {
        if (reply != NULL) {
            weft_log(hub->o.log, WEFT_LOG_ERROR, "redis.error", WEFT_S("command", "HMGET"),
                     WEFT_SN("error", reply->str.p, reply->str.len));
        }
        return false;
    }
    (void)weft_reply_u64(weft_reply_at(reply, 0), &h->head.seq);
    (void)weft_reply_u64(weft_reply_at(reply, 1), &h->head.ms);
    (void)weft_reply_u64(weft_reply_at(reply, 2), &h->born_ms);
    if (ret_floor != NULL) {
        *ret_floor = 0;
        (void)weft_reply_u64(weft_reply_at(reply, 3), ret_floor);
    }
    if (!weft_history_parse_leaps(h, weft_reply_str(weft_reply_at(reply, 4)))) {
        weft_log(hub->o.log, WEFT_LOG_ERROR, "redis.malformed", WEFT_S("key", "head"),
                 WEFT_S("field", "leaps"));
    }
    if (is_another(hub, h)) {
        weft_hub_history_changed(hub, "it was born at another time");
    } else if (h->head.seq < seen) {
        weft_hub_history_changed(hub, "the sequence went back");
    } else if (hub->history.born_ms == 0) {
        hub->history.born_ms = h->born_ms;
    }
    return true;
}
