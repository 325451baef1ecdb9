#include "reply_priv.h"

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include <weft/base/assert.h>

#define BLOCK_MIN ((size_t)16 * 1024)
#define BLOCK_MAX ((size_t)1024 * 1024)
#define ITEMS_MAX \
    (16 * 1024 * 1024) /* of an array: its length is told before anything of it has come */

struct weft_arena_block {
    struct weft_arena_block *next;
    size_t cap;
    size_t used;
    _Alignas(max_align_t) char bytes[];
};

void *weft_arena_alloc(struct weft_arena *arena, size_t size)
{
    struct weft_arena_block *block = arena->at;

    size = (size + 15) & ~(size_t)15;
    if (block == NULL || block->cap - block->used < size) {
        size_t cap = block == NULL ? BLOCK_MIN : block->cap * 2;

        if (cap > BLOCK_MAX) {
            cap = BLOCK_MAX;
        }
        if (cap < size) {
            cap = size;
        }
        struct weft_arena_block *more = malloc(sizeof(*more) + cap);
        if (more == NULL) {
            arena->failed = true;
            return NULL;
        }
        more->next = NULL;
        more->cap = cap;
        more->used = 0;
        if (block == NULL) {
            arena->first = more;
        } else {
            block->next = more;
        }
        arena->at = more;
        block = more;
    }
    void *p = block->bytes + block->used;
    block->used += size;
    return p;
}

void weft_arena_reset(struct weft_arena *arena)
{
    if (arena->first == NULL) {
        return;
    }
    struct weft_arena_block *block = arena->first->next;
    while (block != NULL) {
        struct weft_arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena->first->next = NULL;
    arena->first->used = 0;
    arena->at = arena->first;
}

void weft_arena_fini(struct weft_arena *arena)
{
    weft_arena_reset(arena);
    free(arena->first);
    memset(arena, 0, sizeof(*arena));
}

/* One node of the tree, hung into its parent. NULL makes hiredis report out of memory. */
static struct weft_reply *node(const redisReadTask *task, enum weft_reply_kind kind)
{
    struct weft_arena *arena = task->privdata;
    struct weft_reply *r = weft_arena_alloc(arena, sizeof(*r));

    if (r == NULL) {
        return NULL;
    }
    memset(r, 0, sizeof(*r));
    r->kind = kind;
    if (task->parent != NULL) {
        struct weft_reply *parent = task->parent->obj;

        WEFT_ASSERT(parent->kind == WEFT_REPLY_ARRAY && (size_t)task->idx < parent->n);
        parent->items[task->idx] = r;
    }
    return r;
}

static void *create_string(const redisReadTask *task, char *bytes, size_t len)
{
    struct weft_reply *r = node(task, task->type == REDIS_REPLY_ERROR    ? WEFT_REPLY_ERROR
                                      : task->type == REDIS_REPLY_STATUS ? WEFT_REPLY_STATUS
                                                                         : WEFT_REPLY_STRING);
    char *copy = r == NULL ? NULL : weft_arena_alloc(task->privdata, len + 1);

    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    r->str = weft_str(copy, len);
    return r;
}

static void *create_array(const redisReadTask *task, int elements)
{
    struct weft_reply *r = elements > ITEMS_MAX ? NULL : node(task, WEFT_REPLY_ARRAY);

    if (r == NULL) {
        return NULL;
    }
    if (elements > 0) {
        r->n = (size_t)elements;
        r->items = weft_arena_alloc(task->privdata, r->n * sizeof(struct weft_reply *));
        if (r->items == NULL) {
            return NULL;
        }
        /* Left as it is, so that memory is taken as the items come: all are there when the reply is. */
    }
    return r;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct weft_reply *r = node(task, WEFT_REPLY_INTEGER);

    if (r != NULL) {
        r->integer = value;
    }
    return r;
}

static void *create_nil(const redisReadTask *task)
{
    return node(task, WEFT_REPLY_NIL);
}

static void free_object(void *object)
{
    (void)object; /* the arena's */
}

struct redisReader *weft_reply_reader(struct weft_arena *arena)
{
    static redisReplyObjectFunctions functions = {create_string, create_array, create_integer,
                                                  create_nil, free_object};
    redisReader *reader = redisReaderCreateWithFunctions(&functions);

    if (reader != NULL) {
        reader->privdata = arena;
    }
    return reader;
}

bool weft_reply_u64(const struct weft_reply *r, uint64_t *ret_value)
{
    if (r == NULL) {
        return false;
    }
    if (r->kind == WEFT_REPLY_INTEGER && r->integer >= 0) {
        *ret_value = (uint64_t)r->integer;
        return true;
    }
    return r->kind == WEFT_REPLY_STRING && weft_str_u64(r->str, ret_value);
}
