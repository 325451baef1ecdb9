/*
 * random - numbers for jitter, from a state that its owner keeps and seeds (not 0). Not for secrets.
 */
#ifndef WEFT_BASE_RANDOM_H
#define WEFT_BASE_RANDOM_H

#include <stdint.h>

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators"). */
uint64_t weft_random_next(uint64_t *state);

#endif
