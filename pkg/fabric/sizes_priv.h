/*
 * sizes - how large the events of a topic are, about: by it a read of the log asks for so many
 * entries that they come to about so many bytes, since Redis bounds a read only by their number.
 *
 * Of fixed size: topics share a slot by chance, and the later one takes it. Pure; one thread.
 */
#ifndef WEFT_FABRIC_SIZES_PRIV_H
#define WEFT_FABRIC_SIZES_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include <weft/base/str.h>

#define WEFT_SIZES_SLOTS 4096

struct weft_sizes {
    struct {
        uint32_t topic; /* a part of its hash */
        uint32_t bytes; /* 0: free */
    } slots[WEFT_SIZES_SLOTS];
};

/* n > 0 events of the topic came to so many bytes: larger ones count at once, smaller ones slowly. */
void weft_sizes_saw(struct weft_sizes *sizes, struct weft_str topic, size_t n, size_t bytes);

/*
 * How many entries of the topic to ask for, to get about `bytes`: 1 to max, and few of a topic that
 * nothing is known of. Such a one is taken to be as those read together with it: usual is what an event of theirs has, 0
 * where none was read yet.
 */
uint32_t weft_sizes_ask(const struct weft_sizes *sizes, struct weft_str topic, size_t usual,
                        size_t bytes, uint32_t max);

#endif
