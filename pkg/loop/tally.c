#include <weft/loop/tally.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include <weft/base/assert.h>

/* Threads that count different names seldom meet. */
#define SHARDS 16

struct weft_tally_name {
    UT_hash_handle hh;
    uint32_t n; /* the shard's mu held */
    unsigned shard;
    size_t len;
    char text[];
};

struct weft_tally {
    size_t max; /* const after create */
    atomic_size_t names;
    struct weft_tally_name *common; /* const after create; its n: mu of shard 0 */
    struct {
        _Alignas(64) pthread_mutex_t mu;
        struct weft_tally_name *table; /* mu held */
    } shards[SHARDS];
};

int weft_tally_create(struct weft_tally **ret_tally, size_t names)
{
    struct weft_tally *tally = aligned_alloc(_Alignof(struct weft_tally), sizeof(*tally));

    if (tally == NULL) {
        return WEFT_ENOMEM;
    }
    memset(tally, 0, sizeof(*tally));
    tally->max = names;
    tally->common = calloc(1, sizeof(*tally->common));
    if (tally->common == NULL) {
        free(tally);
        return WEFT_ENOMEM;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        WEFT_ASSERT(pthread_mutex_init(&tally->shards[i].mu, NULL) == 0);
    }
    *ret_tally = tally;
    return 0;
}

void weft_tally_destroy(struct weft_tally *tally)
{
    if (tally == NULL) {
        return;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        struct weft_tally_name *name, *next;

        HASH_ITER(hh, tally->shards[i].table, name, next) {
            HASH_DEL(tally->shards[i].table, name);
            free(name);
        }
        (void)pthread_mutex_destroy(&tally->shards[i].mu);
    }
    free(tally->common);
    free(tally);
}

/* The place of a new name; the common one if there are too many. The shard's mu held. */
static struct weft_tally_name *add(struct weft_tally *tally, unsigned shard, struct weft_str text)
{
    struct weft_tally_name *name;

    if (atomic_fetch_add_explicit(&tally->names, 1, memory_order_relaxed) >= tally->max) {
        (void)atomic_fetch_sub_explicit(&tally->names, 1, memory_order_relaxed);
        return tally->common;
    }
    name = calloc(1, sizeof(*name) + text.len);
    WEFT_ASSERT(name != NULL);
    name->shard = shard;
    name->len = text.len;
    memcpy(name->text, text.p, text.len);
    HASH_ADD(hh, tally->shards[shard].table, text, text.len, name);
    return name;
}

struct weft_tally_name *weft_tally_enter(struct weft_tally *tally, struct weft_str text,
                                         uint32_t max, bool *ret_shared)
{
    struct weft_tally_name *name;
    unsigned shard;
    bool fits;

    *ret_shared = false;
    if (max == 0) {
        return NULL;
    }
    if (text.len > WEFT_TALLY_NAME_MAX) {
        text.len = WEFT_TALLY_NAME_MAX;
    }
    shard = (unsigned)(weft_hash64(text.p, text.len) % SHARDS);
    (void)pthread_mutex_lock(&tally->shards[shard].mu);
    HASH_FIND(hh, tally->shards[shard].table, text.p, text.len, name);
    if (name == NULL) {
        name = add(tally, shard, text);
    }
    if (name != tally->common) {
        fits = name->n < max;
        name->n += fits ? 1 : 0;
        (void)pthread_mutex_unlock(&tally->shards[shard].mu);
        return fits ? name : NULL;
    }
    (void)pthread_mutex_unlock(&tally->shards[shard].mu);

    *ret_shared = true;
    (void)pthread_mutex_lock(&tally->shards[0].mu);
    fits = name->n < max;
    name->n += fits ? 1 : 0;
    (void)pthread_mutex_unlock(&tally->shards[0].mu);
    return fits ? name : NULL;
}

void weft_tally_leave(struct weft_tally *tally, struct weft_tally_name *name)
{
    unsigned shard;

    if (name == NULL) {
        return;
    }
    shard = name->shard; /* 0 for the common one */
    (void)pthread_mutex_lock(&tally->shards[shard].mu);
    WEFT_ASSERT(name->n > 0);
    if (--name->n == 0 && name != tally->common) {
        HASH_DEL(tally->shards[shard].table, name);
        (void)atomic_fetch_sub_explicit(&tally->names, 1, memory_order_relaxed);
        free(name);
    }
    (void)pthread_mutex_unlock(&tally->shards[shard].mu);
}

size_t weft_tally_names(struct weft_tally *tally)
{
    return atomic_load_explicit(&tally->names, memory_order_relaxed);
}
