#include "gate_priv.h"

/*
 * Whoever passes moves `next` on by the time that one takes (GCRA): it is where the last of those would stand who
 * passed evenly. Ahead of now by a quarter of a second at most: the node looks ten times a second whether
 * the gate is open again, and has to catch up then.
 */

#define SECOND_NS UINT64_C(1000000000)
#define BURST_NS  (SECOND_NS / 4)

bool weft_gate_pass(struct weft_gate *gate, uint32_t per_s, uint64_t now_ns, uint64_t *ret_wait_ns)
{
    uint64_t one = SECOND_NS / per_s;
    uint64_t ahead = one > BURST_NS ? one : BURST_NS; /* one always passes by and by */
    uint64_t next = atomic_load_explicit(&gate->next_ns, memory_order_relaxed);
    uint64_t then;

    do {
        then = (next > now_ns ? next : now_ns) + one;
        if (then > now_ns + ahead) {
            *ret_wait_ns = then - now_ns - ahead;
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&gate->next_ns, &next, then,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void weft_gate_return(struct weft_gate *gate, uint32_t per_s)
{
    (void)atomic_fetch_sub_explicit(&gate->next_ns, SECOND_NS / per_s, memory_order_relaxed);
}
