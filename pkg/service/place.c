#include "place_priv.h"

#include <string.h>

#include <weft/base/str.h>

static uint64_t weight(const char *service, const char *node)
{
    uint64_t h = weft_hash64(node, strlen(node)) ^ weft_hash64(service, strlen(service));

    /* The finish of splitmix64: FNV alone leaves the xor of two names too regular. */
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    return h ^ (h >> 31);
}

size_t weft_place(const char *service, const char *const *nodes, size_t n)
{
    size_t best = n;
    uint64_t most = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t w = weight(service, nodes[i]);

        if (best == n || w > most || (w == most && strcmp(nodes[i], nodes[best]) < 0)) {
            best = i;
            most = w;
        }
    }
    return best;
}
