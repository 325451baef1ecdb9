/*
 * reply_priv - builds replies: hiredis's reader with object functions that fill an arena.
 */
#ifndef WEFT_REDIS_REPLY_PRIV_H
#define WEFT_REDIS_REPLY_PRIV_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/redis/reply.h>

struct redisReader;

/* Memory that is given back all at once. */
struct weft_arena {
    struct weft_arena_block *first;
    struct weft_arena_block *at;
    bool failed;
};

void *weft_arena_alloc(struct weft_arena *arena, size_t size);
/* Keeps the first block, frees the others: an idle connection holds little. */
void weft_arena_reset(struct weft_arena *arena);
void weft_arena_fini(struct weft_arena *arena);

/* A reader whose replies live in arena (borrowed). NULL when out of memory. */
struct redisReader *weft_reply_reader(struct weft_arena *arena);

#endif
