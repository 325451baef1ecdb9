#include "lease_priv.h"

#include <string.h>

#include <weft/base/random.h>

#define NS_PER_MS UINT64_C(1000000)
#define NEVER     UINT64_MAX

/* Between the half and the whole of ns: nodes that wait for the same do not come at the same time. */
static uint64_t jittered(struct weft_lease_machine *m, uint64_t ns)
{
    return ns / 2 + weft_random_next(&m->rng) % (ns / 2 + 1);
}

void weft_lease_machine_init(struct weft_lease_machine *m, uint32_t life_ms, uint64_t seed,
                             uint64_t now_ns)
{
    memset(m, 0, sizeof(*m));
    m->life_ns = life_ms * NS_PER_MS;
    m->rng = seed | 1;
    m->due_ns = now_ns;
}

enum weft_lease_step weft_lease_machine_step(struct weft_lease_machine *m, uint64_t now_ns)
{
    if (m->state == WEFT_LEASE_HELD && now_ns >= m->until_ns) {
        m->state = WEFT_LEASE_FREE;
        m->due_ns = now_ns;
        return WEFT_LEASE_LOSE;
    }
    if (m->asked || m->stopped || now_ns < m->due_ns) {
        return WEFT_LEASE_WAIT;
    }
    m->asked = true;
    m->sent_ns = now_ns;
    return m->state == WEFT_LEASE_HELD ? WEFT_LEASE_RENEW : WEFT_LEASE_TAKE;
}

uint64_t weft_lease_machine_due(const struct weft_lease_machine *m)
{
    uint64_t due = m->asked || m->stopped ? NEVER : m->due_ns;

    return m->state == WEFT_LEASE_HELD && m->until_ns < due ? m->until_ns : due;
}

/* Ours for a life from when the command was sent, which was before Redis executed it. */
static void extend(struct weft_lease_machine *m)
{
    m->until_ns = m->sent_ns + m->life_ns;
    m->due_ns = m->sent_ns + m->life_ns / 3;
}

bool weft_lease_machine_took(struct weft_lease_machine *m, uint64_t fence, uint64_t left_ms,
                             uint64_t now_ns)
{
    m->asked = false;
    if (fence == 0) {
        /* Look when it must have expired, and before in case that it is given back. */
        uint64_t left_ns = left_ms * NS_PER_MS;
        uint64_t third = jittered(m, m->life_ns / 3);

        m->due_ns = now_ns + (left_ns < third ? left_ns + jittered(m, m->life_ns / 20) : third);
        return false;
    }
    if (m->stopped || now_ns >= m->sent_ns + m->life_ns) {
        m->due_ns = now_ns;
        return false;
    }
    m->state = WEFT_LEASE_HELD;
    m->fence = fence;
    extend(m);
    return true;
}

bool weft_lease_machine_renewed(struct weft_lease_machine *m, bool ours, uint64_t now_ns)
{
    m->asked = false;
    if (m->state != WEFT_LEASE_HELD) {
        return true; /* its time was over meanwhile, which step() has told; due now */
    }
    if (!ours) {
        m->state = WEFT_LEASE_FREE;
        m->due_ns = now_ns + jittered(m, m->life_ns / 3);
        return false;
    }
    extend(m);
    return true;
}

void weft_lease_machine_failed(struct weft_lease_machine *m, uint64_t now_ns)
{
    m->asked = false;
    m->due_ns = now_ns + jittered(m, m->life_ns / 6);
}

void weft_lease_machine_retry(struct weft_lease_machine *m, uint64_t now_ns)
{
    uint64_t soon = now_ns + jittered(m, m->life_ns / 20);

    m->due_ns = soon < m->due_ns ? soon : m->due_ns;
}

bool weft_lease_machine_stop(struct weft_lease_machine *m)
{
    bool ours = m->state == WEFT_LEASE_HELD;

    m->state = WEFT_LEASE_FREE;
    m->stopped = true;
    return ours;
}
