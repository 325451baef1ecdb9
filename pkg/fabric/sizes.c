#include "sizes_priv.h"

#define ENTRY_BYTES   100   /* of an entry besides the event */
#define UNKNOWN_BYTES 16384 /* what an event may have where nothing is known */
#define UNKNOWN_MAX   16 /* entries of a topic that nothing is known of: each may be of any size */

static uint64_t hash_of(struct weft_str topic)
{
    return weft_hash64(topic.p, topic.len);
}

void weft_sizes_saw(struct weft_sizes *sizes, struct weft_str topic, size_t n, size_t bytes)
{
    uint64_t hash = hash_of(topic);
    size_t mean = bytes / n + ENTRY_BYTES;
    uint32_t now = mean > UINT32_MAX ? UINT32_MAX : (uint32_t)mean;
    uint32_t *of = &sizes->slots[hash % WEFT_SIZES_SLOTS].bytes;

    if (sizes->slots[hash % WEFT_SIZES_SLOTS].topic != (uint32_t)(hash >> 32) || now >= *of) {
        *of = now;
    } else {
        *of -= (*of - now) / 4;
    }
    sizes->slots[hash % WEFT_SIZES_SLOTS].topic = (uint32_t)(hash >> 32);
}

uint32_t weft_sizes_ask(const struct weft_sizes *sizes, struct weft_str topic, size_t usual,
                        size_t bytes, uint32_t max)
{
    uint64_t hash = hash_of(topic);
    size_t of = sizes->slots[hash % WEFT_SIZES_SLOTS].bytes;
    size_t n;

    if (of == 0 || sizes->slots[hash % WEFT_SIZES_SLOTS].topic != (uint32_t)(hash >> 32)) {
        of = usual > 0 ? usual + ENTRY_BYTES : UNKNOWN_BYTES;
        max = max < UNKNOWN_MAX ? max : UNKNOWN_MAX;
    }
    n = bytes / of;
    return n < 1 ? 1 : n > max ? max : (uint32_t)n;
}
