#include "shelf_priv.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

struct weft_shelf_entry {
    UT_hash_handle hh;
    struct weft_shelf_entry *prev, *next;
    struct weft_page *page;
    char key[];
};

void weft_shelf_init(struct weft_shelf *shelf, size_t max_bytes)
{
    memset(shelf, 0, sizeof(*shelf));
    shelf->max_bytes = max_bytes;
}

static size_t size_of(const struct weft_page *page)
{
    return sizeof(*page) + page->n_gaps * sizeof(page->gaps[0]) +
           (page->batch == NULL ? 0 : page->batch->size);
}

static void drop(struct weft_shelf *shelf, struct weft_shelf_entry *entry)
{
    /* The table is not empty, it is in it. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    HASH_DEL(shelf->by_key, entry);
    DL_DELETE(shelf->by_use, entry);
    shelf->bytes -= size_of(entry->page);
    weft_page_unref(entry->page);
    free(entry);
}

void weft_shelf_clear(struct weft_shelf *shelf)
{
    while (shelf->by_use != NULL) {
        drop(shelf, shelf->by_use);
    }
    memset(shelf->seen, 0, sizeof(shelf->seen));
}

struct weft_page *weft_shelf_find(struct weft_shelf *shelf, struct weft_str key)
{
    struct weft_shelf_entry *entry = NULL;

    HASH_FIND(hh, shelf->by_key, key.p, key.len, entry);
    if (entry == NULL) {
        return NULL;
    }
    DL_DELETE(shelf->by_use, entry);
    DL_APPEND(shelf->by_use, entry);
    return entry->page;
}

bool weft_shelf_was_wanted(struct weft_shelf *shelf, struct weft_str key)
{
    uint64_t hash = weft_hash64(key.p, key.len);
    uint64_t *place = &shelf->seen[hash & (WEFT_SHELF_SEEN - 1)];
    bool before = *place == hash;

    *place = hash;
    return before;
}

void weft_shelf_add(struct weft_shelf *shelf, struct weft_str key, struct weft_page *page)
{
    struct weft_shelf_entry *entry;

    if (size_of(page) > shelf->max_bytes / 2) {
        return;
    }
    entry = calloc(1, sizeof(*entry) + key.len);
    if (entry == NULL) {
        return;
    }
    memcpy(entry->key, key.p, key.len);
    entry->page = weft_page_ref(page);
    HASH_ADD_KEYPTR(hh, shelf->by_key, entry->key, key.len, entry);
    DL_APPEND(shelf->by_use, entry);
    shelf->bytes += size_of(page);
    while (shelf->by_use != NULL && shelf->bytes > shelf->max_bytes) {
        drop(shelf, shelf->by_use);
    }
}
