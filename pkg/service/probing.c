#include "probing_priv.h"

#include <stddef.h>
#include <string.h>

#include <weft/base/random.h>

#define SPREAD_MS 1000

static const char *const words[] = {"unknown", "healthy", "unhealthy"};

void weft_probing_begin(struct weft_probing *p, enum weft_health health, uint64_t interval_ms,
                        uint64_t seed, uint64_t now_ms)
{
    uint64_t spread = interval_ms < SPREAD_MS ? interval_ms : SPREAD_MS;

    memset(p, 0, sizeof(*p));
    p->health = health;
    p->rng = seed | 1;
    p->due_ms = now_ms + weft_random_next(&p->rng) % (spread + 1);
}

bool weft_probing_step(struct weft_probing *p, uint64_t interval_ms, uint64_t now_ms)
{
    if (p->under_way || now_ms < p->due_ms) {
        return false;
    }
    p->under_way = true;
    p->due_ms = now_ms + interval_ms; /* one that takes longer is followed at once */
    return true;
}

bool weft_probing_result(struct weft_probing *p, bool ok, uint64_t unhealthy_after,
                         uint64_t healthy_after)
{
    enum weft_health says = ok ? WEFT_HEALTH_HEALTHY : WEFT_HEALTH_UNHEALTHY;

    p->under_way = false;
    if (says == p->health) {
        p->in_a_row = 0;
        return false;
    }
    p->in_a_row++;
    if (p->health != WEFT_HEALTH_UNKNOWN && p->in_a_row < (ok ? healthy_after : unhealthy_after)) {
        return false;
    }
    p->health = says;
    p->in_a_row = 0;
    return true;
}

uint64_t weft_probing_due_ms(const struct weft_probing *p)
{
    return p->under_way ? UINT64_MAX : p->due_ms;
}

const char *weft_health_word(enum weft_health health)
{
    return words[health];
}

enum weft_health weft_health_of(const char *word)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i]) == 0) {
            return (enum weft_health)i;
        }
    }
    return WEFT_HEALTH_UNKNOWN;
}
