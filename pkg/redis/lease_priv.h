/*
 * lease_priv - the lease as a state machine: no Redis, no loop; time comes in, what to do goes out.
 *
 *   FREE  not ours          -> HELD  (taken)
 *   HELD  ours until a time -> FREE  (that time has come; Redis says that it is not ours; given)
 *
 * In both states at most one command is under way. All times are of the monotonic clock, ns.
 */
#ifndef WEFT_REDIS_LEASE_PRIV_H
#define WEFT_REDIS_LEASE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

enum weft_lease_state { WEFT_LEASE_FREE, WEFT_LEASE_HELD };

enum weft_lease_step {
    WEFT_LEASE_WAIT,  /* nothing before weft_lease_due() */
    WEFT_LEASE_TAKE,  /* send the command; its answer goes to weft_lease_took() */
    WEFT_LEASE_RENEW, /* ... to weft_lease_renewed() */
    WEFT_LEASE_LOSE   /* it is not ours any more */
};

struct weft_lease_machine {
    enum weft_lease_state state;
    bool asked;   /* a command is under way */
    bool stopped; /* given back for good */
    uint64_t life_ns;
    uint64_t rng;
    uint64_t sent_ns;  /* when the command went out */
    uint64_t due_ns;   /* when to send the next one */
    uint64_t until_ns; /* HELD: ours up to here */
    uint64_t fence;    /* HELD: its number */
};

void weft_lease_machine_init(struct weft_lease_machine *m, uint32_t life_ms, uint64_t seed,
                             uint64_t now_ns);
/* What to do now. Call it again after having done it, until it says WAIT. */
enum weft_lease_step weft_lease_machine_step(struct weft_lease_machine *m, uint64_t now_ns);
/* When it wants to be asked again. */
uint64_t weft_lease_machine_due(const struct weft_lease_machine *m);

/*
 * Answers. fence 0: another one has it, for left_ms more. True: it is ours from now on. An answer
 * that comes too late for the lease to be of use is as none.
 */
bool weft_lease_machine_took(struct weft_lease_machine *m, uint64_t fence, uint64_t left_ms,
                             uint64_t now_ns);
/* True: it is still ours. False: it was, and is not any more (told once, not by step() again). */
bool weft_lease_machine_renewed(struct weft_lease_machine *m, bool ours, uint64_t now_ns);
/* The command was not answered, or with an error: it may or may not have been executed. */
void weft_lease_machine_failed(struct weft_lease_machine *m, uint64_t now_ns);
/* Try soon. */
void weft_lease_machine_retry(struct weft_lease_machine *m, uint64_t now_ns);
/* No more of it. True: it was ours. */
bool weft_lease_machine_stop(struct weft_lease_machine *m);

#endif
