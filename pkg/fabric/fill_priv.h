/*
 * fill - reads the entries of a page's topics, until they come to a page.
 *
 * In rounds: each topic with news is asked for its part of the page; then, again and again, those that end before the page
 * does, since a page is complete only up to where every topic is. So a page of many topics ends where it is full, and not
 * at the first topic that had more. Bounded: bytes kept, by what a page is to have (twice of it and one reply); questions
 * under way, by their number. It makes no page and knows nothing of who asked.
 *
 * Lives in its owner's memory, which stays until done was called; the hub's thread.
 */
#ifndef WEFT_FABRIC_FILL_PRIV_H
#define WEFT_FABRIC_FILL_PRIV_H

#include "hub_priv.h"

#include "page_priv.h"
#include "sizes_priv.h"

struct weft_fill {
    /* The owner's, set before it begins. */
    struct weft_hub *hub;
    struct weft_page_maker *pm;
    struct weft_sizes *sizes;
    void (*done)(void *ctx, bool ok); /* the owner may go in it */
    void *ctx;

    /* Its own. */
    size_t page_bytes;  /* aimed at; 0: no round yet */
    size_t topic_bytes; /* ... for each topic of this round */
    uint32_t next_ask,
        next_reply; /* topics: the next to look at; the next reply is of this or a later one */
    size_t n_due;   /* replies */
    size_t n_seen, bytes_seen; /* entries, of all topics */
    bool early;                /* begun before the head was known */
    bool failed;
};

/* Head and topics are known. done is called once; where nothing is to be read, before this returns. */
void weft_fill_begin(struct weft_fill *f) WEFT_ON_HUB;

/*
 * Instead, of a page with one topic, with head and score asked for before on the same connection and not answered yet: saves
 * a round trip. Entries after a start that turns out to be of another history are dropped, and read anew. False: it could
 * not be sent, and done is not called.
 */
bool weft_fill_begin_early(struct weft_fill *f) WEFT_ON_HUB WEFT_MUST_CHECK;

#endif
