/*
 * gate - lets so many pass in a second, whichever of several threads they come on. Pure but for its
 * one number.
 */
#ifndef WEFT_HTTP_GATE_PRIV_H
#define WEFT_HTTP_GATE_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct weft_gate {
    _Atomic uint64_t next_ns; /* monotonic; zero at the beginning */
};

/* Any thread. per_s: at least 1. False: not now; it makes sense to ask again after *ret_wait_ns. */
bool weft_gate_pass(struct weft_gate *gate, uint32_t per_s, uint64_t now_ns, uint64_t *ret_wait_ns);
/* Any thread. One that might have passed did not come. */
void weft_gate_return(struct weft_gate *gate, uint32_t per_s);

#endif
