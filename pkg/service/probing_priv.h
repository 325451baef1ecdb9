/*
 * probing_priv - results of probes -> healthy or not. Pure: time and results come in.
 *
 * It is what it is until so many results in a row say otherwise; the first one decides at once.
 */
#ifndef WEFT_SERVICE_PROBING_PRIV_H
#define WEFT_SERVICE_PROBING_PRIV_H

#include <stdbool.h>
#include <stdint.h>

enum weft_health { WEFT_HEALTH_UNKNOWN, WEFT_HEALTH_HEALTHY, WEFT_HEALTH_UNHEALTHY };

struct weft_probing {
    enum weft_health health;
    uint32_t in_a_row; /* results that say the opposite */
    uint64_t rng;
    uint64_t due_ms;
    bool under_way;
};

/* The first probe comes at a random moment of the first interval, at most a second: not all services at once. */
void weft_probing_begin(struct weft_probing *p, enum weft_health health, uint64_t interval_ms,
                        uint64_t seed, uint64_t now_ms);
/* True: probe now; its result goes to weft_probing_result(). */
bool weft_probing_step(struct weft_probing *p, uint64_t interval_ms, uint64_t now_ms);
/* True: the health has changed by it. */
bool weft_probing_result(struct weft_probing *p, bool ok, uint64_t unhealthy_after,
                         uint64_t healthy_after);
uint64_t weft_probing_due_ms(const struct weft_probing *p);

/* "unknown", … and back; anything else is unknown. */
const char *weft_health_word(enum weft_health health);
enum weft_health weft_health_of(const char *word);

#endif
