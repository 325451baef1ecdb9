#include "buckets_priv.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>

#define KNOWN_MAX     10000 /* the one that was learnt first makes room */
#define CLOSED_FOR_MS 1000  /* what who is refused without Redis is told */

struct weft_known {
    UT_hash_handle hh;
    struct weft_bucket_conf conf;
    bool begun; /* local is in use */
    struct weft_bucket local;
    char name[WEFT_NAME_MAX + 1];
};

static struct weft_known *find(struct weft_buckets *bks, const char *name, size_t len)
{
    struct weft_known *k = NULL;

    HASH_FIND(hh, bks->known, name, len, k);
    return k;
}

static void drop(struct weft_buckets *bks, struct weft_known *k)
{
    HASH_DELETE(hh, bks->known, k);
    free(k);
}

void weft_known_learn(struct weft_buckets *bks, const char *name,
                      const struct weft_bucket_conf *conf)
{
    size_t len = strlen(name);
    struct weft_known *k = find(bks, name, len);

    if (k == NULL) {
        if (HASH_COUNT(bks->known) >= KNOWN_MAX) {
            drop(bks, bks->known);
        }
        k = calloc(1, sizeof(*k));
        WEFT_ASSERT(k != NULL);
        memcpy(k->name, name, len);
        HASH_ADD(hh, bks->known, name, len, k);
    }
    k->conf = *conf;
}

void weft_known_forget(struct weft_buckets *bks, struct weft_str name)
{
    struct weft_known *k = find(bks, name.p, name.len);

    if (k != NULL) {
        drop(bks, k);
    }
}

void weft_known_forget_all(struct weft_buckets *bks)
{
    while (bks->known != NULL) {
        drop(bks, bks->known);
    }
}

/*
 * This node's share. It begins full and from then on only fills as time goes by, whether Redis is away or not: else each
 * hiccup of Redis would give out a whole share.
 */
static struct weft_bucket *local_of(const struct weft_buckets *bks, struct weft_known *k,
                                    int64_t now_ms)
{
    int64_t nodes = bks->nodes > 0 ? bks->nodes : 1;
    struct weft_bucket_conf share = k->conf;

    share.capacity = share.capacity / nodes > 0 ? share.capacity / nodes : 1;
    share.rate = share.rate / nodes > 0 ? share.rate / nodes : 1;
    if (!k->begun) {
        weft_bucket_init(&k->local, &share, now_ms);
        k->begun = true;
    } else {
        weft_bucket_change(&k->local, &share, now_ms);
    }
    return &k->local;
}

/* As the bucket itself, whose conf told has, would: that a share is smaller is not the caller's mistake. */
static void tell_of_share(struct weft_bucket_told *told, const struct weft_bucket_item *item)
{
    struct weft_bucket_conf whole = told->conf;

    weft_bucket_tell(told, item);
    told->conf = whole;
    if (told->stands == WEFT_STANDS_NEVER && item->tokens <= whole.capacity) {
        told->stands = WEFT_STANDS_SHORT;
        told->retry_ms = CLOSED_FOR_MS;
    }
}

/* The open ones pass, a closed one that is not dry refuses all, local ones are taken all or none. */
bool weft_known_decide(struct weft_buckets *bks, const struct weft_take_msg *m, int64_t now_ms,
                       enum weft_decided *ret_by, struct weft_bucket_told *ret_told)
{
    struct weft_bucket_item items[WEFT_BUCKETS_MAX];
    size_t at[WEFT_BUCKETS_MAX];
    size_t n = 0;
    bool closed = false;

    *ret_by = WEFT_DECIDED_OPEN;
    for (size_t i = 0; i < m->n; i++) {
        const struct weft_take_item *item = &m->items[i];
        struct weft_known *k;
        enum weft_without without = (enum weft_without)bks->env->cfg->limits.without_redis;

        if (item->conf.capacity > 0) {
            weft_known_learn(bks, item->name, &item->conf);
        }
        k = find(bks, item->name, strlen(item->name));
        ret_told[i] = (struct weft_bucket_told){.stands = WEFT_STANDS_ENOUGH};
        if (k != NULL) {
            without = k->conf.without_redis;
            ret_told[i].conf = k->conf;
        }
        if (without == WEFT_WITHOUT_CLOSED) {
            bool dry = k != NULL && k->conf.dry_run;

            closed = closed || !dry;
            ret_told[i].stands = dry ? WEFT_STANDS_DRY : WEFT_STANDS_SHORT;
            ret_told[i].retry_ms = CLOSED_FOR_MS;
        } else if (without == WEFT_WITHOUT_LOCAL && k != NULL) {
            at[n] = i;
            items[n++] = (struct weft_bucket_item){.bucket = local_of(bks, k, now_ms),
                                                   .tokens = item->tokens};
        }
    }
    if (closed) {
        *ret_by = WEFT_DECIDED_CLOSED;
        return false;
    }
    if (n > 0) {
        bool taken = weft_bucket_take(items, n, now_ms);

        for (size_t i = 0; i < n; i++) {
            tell_of_share(&ret_told[at[i]], &items[i]);
        }
        *ret_by = WEFT_DECIDED_LOCAL;
        return taken;
    }
    return true;
}
