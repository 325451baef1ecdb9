#include <weft/auth/revoked.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include <weft/base/assert.h>

#define SWEEP_EVERY_MS 1000

struct entry {
    UT_hash_handle hh;
    int64_t until_ms;
    size_t len;
    char jti[];
};

struct weft_revoked {
    size_t max; /* const after create */
    _Atomic uint64_t version;
    int64_t swept_ms;      /* of the owner: when it looked for entries that are over */
    int64_t soonest_ms;    /* of the owner: none is over before */
    pthread_rwlock_t lock; /* for reading: any thread; for writing: the owner */
    struct entry *by_jti;  /* lock held */
};

struct weft_revoked *weft_revoked_create(size_t max)
{
    struct weft_revoked *rv = calloc(1, sizeof(*rv));

    WEFT_ASSERT(rv != NULL);
    rv->max = max;
    rv->soonest_ms = INT64_MAX;
    atomic_init(&rv->version, 1);
    WEFT_ASSERT(pthread_rwlock_init(&rv->lock, NULL) == 0);
    return rv;
}

static void drop(struct entry **table, struct entry *entry)
{
    /* The table is not empty, it is in it. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    HASH_DEL(*table, entry);
    free(entry);
}

static void drop_all(struct entry **table)
{
    struct entry *entry, *next;

    HASH_ITER(hh, *table, entry, next) {
        drop(table, entry);
    }
}

void weft_revoked_destroy(struct weft_revoked *rv)
{
    if (rv == NULL) {
        return;
    }
    drop_all(&rv->by_jti);
    pthread_rwlock_destroy(&rv->lock);
    free(rv);
}

static void changed(struct weft_revoked *rv)
{
    atomic_fetch_add_explicit(&rv->version, 1, memory_order_release);
}

static struct entry *find(struct entry *table, struct weft_str jti)
{
    struct entry *entry = NULL;

    HASH_FIND(hh, table, jti.p, jti.len, entry);
    return entry;
}

/*
 * Takes out what is over, but does not walk the whole table for every entry: only if some may be, and
 * once a second unless the room is needed.
 */
static void sweep(struct weft_revoked *rv, int64_t now_ms)
{
    bool recent = now_ms >= rv->swept_ms && now_ms - rv->swept_ms < SWEEP_EVERY_MS;
    struct entry *entry, *next;

    if (now_ms < rv->soonest_ms || (recent && HASH_COUNT(rv->by_jti) < rv->max)) {
        return;
    }
    rv->swept_ms = now_ms;
    rv->soonest_ms = INT64_MAX;
    HASH_ITER(hh, rv->by_jti, entry, next) {
        if (entry->until_ms <= now_ms) {
            drop(&rv->by_jti, entry);
        } else if (entry->until_ms < rv->soonest_ms) {
            rv->soonest_ms = entry->until_ms;
        }
    }
}

/* Whether something is revoked now that was not, *ret_new; WEFT_EFULL, WEFT_EINVAL as outside. */
static int add_to(struct entry **table, size_t max, struct weft_str jti, int64_t until_ms,
                  int64_t now_ms, bool *ret_new)
{
    struct entry *entry;

    *ret_new = false;
    if (jti.len == 0 || jti.len > WEFT_REVOKED_JTI_MAX) {
        return WEFT_EINVAL;
    }
    if (until_ms <= now_ms) {
        return 0;
    }
    entry = find(*table, jti);
    if (entry != NULL) {
        *ret_new = entry->until_ms <= now_ms;
        if (entry->until_ms < until_ms) {
            entry->until_ms = until_ms;
        }
        return 0;
    }
    if (HASH_COUNT(*table) >= max) {
        return WEFT_EFULL;
    }
    entry = malloc(sizeof(*entry) + jti.len);
    WEFT_ASSERT(entry != NULL);
    entry->until_ms = until_ms;
    entry->len = jti.len;
    memcpy(entry->jti, jti.p, jti.len);
    HASH_ADD(hh, *table, jti[0], entry->len, entry);
    *ret_new = true;
    return 0;
}

int weft_revoked_add(struct weft_revoked *rv, struct weft_str jti, int64_t until_ms, int64_t now_ms)
{
    bool is_new;
    int rc;

    pthread_rwlock_wrlock(&rv->lock);
    sweep(rv, now_ms);
    rc = add_to(&rv->by_jti, rv->max, jti, until_ms, now_ms, &is_new);
    if (until_ms < rv->soonest_ms) {
        rv->soonest_ms = until_ms;
    }
    pthread_rwlock_unlock(&rv->lock);
    if (is_new) {
        changed(rv);
    }
    return rc;
}

bool weft_revoked_remove(struct weft_revoked *rv, struct weft_str jti)
{
    struct entry *entry;

    pthread_rwlock_wrlock(&rv->lock);
    entry = find(rv->by_jti, jti);
    if (entry != NULL) {
        drop(&rv->by_jti, entry);
    }
    pthread_rwlock_unlock(&rv->lock);
    if (entry != NULL) {
        changed(rv);
    }
    return entry != NULL;
}

int weft_revoked_replace(struct weft_revoked *rv, const struct weft_revoked_entry *entries,
                         size_t n, int64_t now_ms)
{
    struct entry *table = NULL;
    struct entry *before;
    int worst = 0;

    /* Made beside the old one, so that readers wait for an exchange of pointers alone. */
    for (size_t i = 0; i < n; i++) {
        bool is_new;
        int rc = add_to(&table, rv->max, entries[i].jti, entries[i].until_ms, now_ms, &is_new);

        if (rc == WEFT_EFULL || worst == 0) {
            worst = rc;
        }
    }
    pthread_rwlock_wrlock(&rv->lock);
    before = rv->by_jti;
    rv->by_jti = table;
    rv->soonest_ms = INT64_MIN; /* looked for when there is reason to */
    pthread_rwlock_unlock(&rv->lock);
    drop_all(&before);
    changed(rv);
    return worst;
}

bool weft_revoked_has(struct weft_revoked *rv, struct weft_str jti, int64_t now_ms)
{
    const struct entry *entry;
    bool has;

    if (jti.len == 0) {
        return false;
    }
    pthread_rwlock_rdlock(&rv->lock);
    entry = find(rv->by_jti, jti);
    has = entry != NULL && entry->until_ms > now_ms;
    pthread_rwlock_unlock(&rv->lock);
    return has;
}

size_t weft_revoked_count(struct weft_revoked *rv)
{
    size_t n;

    pthread_rwlock_rdlock(&rv->lock);
    n = HASH_COUNT(rv->by_jti);
    pthread_rwlock_unlock(&rv->lock);
    return n;
}

uint64_t weft_revoked_version(const struct weft_revoked *rv)
{
    return atomic_load_explicit(&rv->version, memory_order_acquire);
}
