#include "sentinel_priv.h"

#include <string.h>

/*
 * Each failover has an epoch of its own, higher than those before, so the answer with the highest one is the newest.
 * Sentinels that were cut off keep giving the old answer, perhaps for long. Two exceptions:
 *
 * - Sentinels that were set up anew begin at epoch 0 again. If more than half of them say something older for BELIEVE_NS,
 *   and nobody what is believed, then that is it. (Those of a failover's losing side are never more than half.)
 * - Two of the same epoch may name the master differently, by name and by address: the first one stands while the
 *   Sentinel that said it is heard.
 */
#define BELIEVE_NS UINT64_C(30000000000)
#define SILENT_NS  UINT64_C(10000000000)

static bool same(const struct weft_redis_host *a, const struct weft_redis_host *b)
{
    return a->port == b->port && strcmp(a->name, b->name) == 0;
}

/* Whether this older answer is the one that completes a new beginning. */
static bool begins_again(struct weft_sentinel_view *v, size_t by, uint64_t now_ns)
{
    if (v->older == 0) {
        v->older_ns = now_ns;
    }
    v->older |= UINT64_C(1) << by;
    return (size_t)__builtin_popcountll(v->older) * 2 > v->n && now_ns - v->older_ns >= BELIEVE_NS;
}

bool weft_sentinel_view_hear(struct weft_sentinel_view *v, size_t by,
                             const struct weft_redis_host *host, uint64_t epoch, uint64_t now_ns)
{
    bool moved = !v->known || !same(&v->host, host);

    if (v->known && epoch < v->epoch && !begins_again(v, by, now_ns)) {
        return false;
    }
    v->older = 0;
    if (v->known && epoch == v->epoch && by != v->by && moved && now_ns - v->by_ns < SILENT_NS) {
        return false;
    }
    if (moved || by == v->by || epoch != v->epoch) {
        v->by = by;
        v->by_ns = now_ns;
    }
    v->known = true;
    v->host = *host;
    v->epoch = epoch;
    return moved;
}

bool weft_sentinel_read_address(const struct weft_reply *reply, struct weft_redis_host *ret_host)
{
    struct weft_str name = weft_reply_str(weft_reply_at(reply, 0));
    uint64_t port;

    if (name.len == 0 || name.len >= sizeof(ret_host->name) || !weft_str_printable(name) ||
        !weft_reply_u64(weft_reply_at(reply, 1), &port) || port == 0 || port > 65535) {
        return false;
    }
    memcpy(ret_host->name, name.p, name.len);
    ret_host->name[name.len] = '\0';
    ret_host->port = (uint16_t)port;
    return true;
}

bool weft_sentinel_read_epoch(const struct weft_reply *reply, uint64_t *ret_epoch)
{
    if (reply == NULL || reply->kind != WEFT_REPLY_ARRAY) {
        return false;
    }
    for (size_t i = 0; i + 1 < reply->n; i += 2) {
        if (weft_str_eq(weft_reply_str(weft_reply_at(reply, i)), WEFT_STR("config-epoch"))) {
            return weft_reply_u64(weft_reply_at(reply, i + 1), ret_epoch);
        }
    }
    return false;
}

bool weft_sentinel_read_switch(struct weft_str message, const char *master)
{
    struct weft_str name = weft_str_before(&message, ' ');

    return message.len > 0 && weft_str_eq(name, weft_str(master, strlen(master)));
}
