#include <weft/guard/breaker_cache.h>

#include <stdlib.h>

#include <uthash.h>

#include <weft/base/assert.h>
#include <weft/guard/breakers.h>
#include <weft/loop/mailbox.h>
#include <weft/telemetry/metrics.h>
#include <weft/wire/name.h>

#define AWAY_RETRY_MS 1000

struct entry {
    UT_hash_handle hh;
    enum weft_breaker_state state;
    enum weft_without without;
    bool stale; /* Redis was away since: ask */
    uint64_t epoch;
    uint64_t timeout_ms;
    uint64_t until_ms;  /* open: ask from then on */
    uint64_t successes; /* not sent yet */
    struct entry *next_dirty;
    bool dirty;
    uint16_t name_len;
    char name[];
};

struct weft_breaker_cache {
    struct weft_shard *shard;
    struct entry *entries;
    struct entry *dirty; /* with results that wait to be sent */
    bool up;
};

int weft_breaker_cache_create(struct weft_breaker_cache **ret_cache, struct weft_shard *shard)
{
    struct weft_breaker_cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL) {
        return WEFT_ENOMEM;
    }
    cache->shard = shard;
    *ret_cache = cache;
    return 0;
}

static struct entry *find(const struct weft_breaker_cache *cache, struct weft_str name)
{
    struct entry *e = NULL;

    HASH_FIND(hh, cache->entries, name.p, name.len, e);
    return e;
}

/* What was counted for it is dropped: it belongs to a state that is over. */
static void clean(struct weft_breaker_cache *cache, struct entry *e)
{
    struct entry **at = &cache->dirty;

    e->successes = 0;
    if (!e->dirty) {
        return;
    }
    while (*at != e) {
        at = &(*at)->next_dirty;
    }
    *at = e->next_dirty;
    e->dirty = false;
}

void weft_breaker_cache_destroy(struct weft_breaker_cache *cache)
{
    struct entry *e;
    struct entry *next;

    if (cache == NULL) {
        return;
    }
    HASH_ITER(hh, cache->entries, e, next) {
        HASH_DEL(cache->entries, e);
        free(e);
    }
    free(cache);
}

/* ---- calls ---- */

static enum weft_breaker_verdict allow(struct weft_breaker_cache *cache) WEFT_ON_WORKER
{
    weft_count(cache->shard, WEFT_M_BREAKER_ALLOWED, 1);
    return WEFT_BREAKER_ALLOW;
}

static enum weft_breaker_verdict deny(struct weft_breaker_cache *cache, uint64_t wait_ms,
                                      struct weft_breaker_said *said) WEFT_ON_WORKER
{
    weft_count(cache->shard, WEFT_M_BREAKER_DENIED, 1);
    said->wait_ms = wait_ms;
    return WEFT_BREAKER_DENY;
}

/* Redis is away. What an operator has forced holds on. */
static enum weft_breaker_verdict without(struct weft_breaker_cache *cache, const struct entry *e,
                                         struct weft_breaker_said *said) WEFT_ON_WORKER
{
    if (e->without == WEFT_WITHOUT_LOCAL) {
        return WEFT_BREAKER_ASK;
    }
    weft_count(cache->shard, WEFT_M_BREAKER_WITHOUT, 1);
    return e->without == WEFT_WITHOUT_OPEN ? allow(cache) : deny(cache, AWAY_RETRY_MS, said);
}

enum weft_breaker_verdict weft_breaker_cache_allow(struct weft_breaker_cache *cache,
                                                   struct weft_str name, uint64_t now_ms,
                                                   struct weft_breaker_said *ret_said)
{
    const struct entry *e = find(cache, name);

    *ret_said = (struct weft_breaker_said){WEFT_BREAKER_CLOSED, 0};
    if (e == NULL || (cache->up && e->stale)) {
        return WEFT_BREAKER_ASK;
    }
    ret_said->state = e->state;
    switch (e->state) {
    case WEFT_BREAKER_FORCED_CLOSED:
    case WEFT_BREAKER_DISABLED:
        return allow(cache);
    case WEFT_BREAKER_FORCED_OPEN:
        return deny(cache, e->timeout_ms, ret_said);
    case WEFT_BREAKER_CLOSED:
        return cache->up ? allow(cache) : without(cache, e, ret_said);
    case WEFT_BREAKER_OPEN:
        if (!cache->up) {
            return without(cache, e, ret_said);
        }
        return now_ms < e->until_ms ? deny(cache, e->until_ms - now_ms, ret_said)
                                    : WEFT_BREAKER_ASK;
    case WEFT_BREAKER_HALF_OPEN:
        return cache->up ? WEFT_BREAKER_ASK : without(cache, e, ret_said);
    }
    return WEFT_BREAKER_ASK;
}

/* ---- results ---- */

bool weft_breaker_cache_succeeded(struct weft_breaker_cache *cache, struct weft_str name,
                                  enum weft_breaker_state *ret_state)
{
    struct entry *e = find(cache, name);

    if (e == NULL || !cache->up || e->stale || e->state != WEFT_BREAKER_CLOSED) {
        return false;
    }
    e->successes++;
    if (!e->dirty) {
        e->dirty = true;
        e->next_dirty = cache->dirty;
        cache->dirty = e;
    }
    *ret_state = e->state;
    return true;
}

uint64_t weft_breaker_cache_epoch(struct weft_breaker_cache *cache, struct weft_str name)
{
    const struct entry *e = find(cache, name);

    return e == NULL || e->stale ? 0 : e->epoch;
}

void weft_breaker_cache_flush(struct weft_breaker_cache *cache, struct weft_mailbox *control)
{
    while (cache->dirty != NULL) {
        struct entry *e = cache->dirty;
        struct weft_request *rq =
            weft_breakers_tell_results(weft_str(e->name, e->name_len), e->epoch, e->successes);
        struct weft_msg *msg = &rq->msg;

        if (weft_mailbox_post(control, &msg) != 0) {
            weft_count(cache->shard, WEFT_M_MAILBOX_FULL, 1);
            msg->ops->drop(msg);
            break;
        }
        clean(cache, e);
    }
}

/* ---- what control tells ---- */

void weft_breaker_cache_view(struct weft_breaker_cache *cache, struct weft_str name,
                             const struct weft_breaker_view *view, uint64_t now_ms)
{
    struct entry *e = find(cache, name);

    if (e == NULL) {
        e = calloc(1, sizeof(*e) + name.len);
        WEFT_ASSERT(e != NULL && name.len <= WEFT_NAME_MAX);
        memcpy(e->name, name.p, name.len);
        e->name_len = (uint16_t)name.len;
        HASH_ADD_KEYPTR(hh, cache->entries, e->name, e->name_len, e);
    }
    if (e->epoch != view->epoch) {
        clean(cache, e);
    }
    e->stale = false;
    e->state = view->state;
    e->without = (enum weft_without)view->cfg.without_redis;
    e->epoch = view->epoch;
    e->timeout_ms = view->cfg.timeout_ms;
    e->until_ms = now_ms + view->wait_ms;
}

void weft_breaker_cache_gone(struct weft_breaker_cache *cache, struct weft_str name)
{
    struct entry *e = find(cache, name);

    if (e != NULL) {
        clean(cache, e);
        HASH_DEL(cache->entries, e);
        free(e);
    }
}

void weft_breaker_cache_redis(struct weft_breaker_cache *cache, bool up)
{
    cache->up = up;
    for (struct entry *e = cache->entries; e != NULL; e = e->hh.next) {
        e->stale = true;
    }
}
