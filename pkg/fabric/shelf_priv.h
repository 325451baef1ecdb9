/*
 * shelf_priv - pages of a while ago, by the key of their read, bounded in bytes; the one not used for
 * longest goes first. They cannot become wrong, but their history can: then the shelf is cleared.
 * One owner, one thread.
 */
#ifndef WEFT_FABRIC_SHELF_PRIV_H
#define WEFT_FABRIC_SHELF_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/str.h>
#include <weft/wire/page.h>

struct weft_shelf_entry;

#define WEFT_SHELF_SEEN 4096 /* a power of two */

struct weft_shelf {
    struct weft_shelf_entry *by_key;
    struct weft_shelf_entry *by_use; /* utlist DL, oldest use first */
    size_t bytes, max_bytes;
    uint64_t seen[WEFT_SHELF_SEEN]; /* hashes of keys, each where its low bits say */
};

void weft_shelf_init(struct weft_shelf *shelf, size_t max_bytes);
/* Empties it; it may be used on. */
void weft_shelf_clear(struct weft_shelf *shelf);
/* Borrowed until the shelf is used again; NULL if it is not there. Counts as a use. */
struct weft_page *weft_shelf_find(struct weft_shelf *shelf, struct weft_str key);
/*
 * Whether the key was asked about before, not long ago; it is noted. A lone reader of a long log asks for each page
 * once: keeping them would fill the shelf for nobody.
 */
bool weft_shelf_was_wanted(struct weft_shelf *shelf, struct weft_str key);
/* Takes a reference. A page of more than half the bound is not kept, nor one for which there is no memory. */
void weft_shelf_add(struct weft_shelf *shelf, struct weft_str key, struct weft_page *page);

#endif
