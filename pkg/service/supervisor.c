#include "supervisor_priv.h"

#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/random.h>

#define NEVER UINT64_MAX

/* One that has lived so many times as long as the longest backoff is as good as new. */
#define FORGIVEN 2

const char weft_sup_asked[] = "asked";
const char weft_sup_exited[] = "exited";
const char weft_sup_not_started[] = "not_started";
const char weft_sup_breaker_open[] = "breaker_open";
const char weft_sup_forbidden[] = "forbidden";

/* The table of moves: to which states each may change. */
#define TO(state) (1u << WEFT_SUP_##state)

static const unsigned moves[] = {
    [WEFT_SUP_STOPPED] = TO(STARTING),
    [WEFT_SUP_STARTING] = TO(RUNNING) | TO(STOPPING) | TO(STOPPED) | TO(BACKOFF) | TO(FAILED),
    [WEFT_SUP_RUNNING] = TO(STOPPING) | TO(STOPPED) | TO(BACKOFF) | TO(FAILED),
    [WEFT_SUP_STOPPING] = TO(STOPPED) | TO(STARTING),
    [WEFT_SUP_BACKOFF] = TO(STARTING) | TO(STOPPED),
    [WEFT_SUP_FAILED] = TO(STARTING) | TO(STOPPED),
};

static void move(struct weft_sup *sup, enum weft_sup_state to, const char *reason)
{
    WEFT_ASSERT((moves[sup->state] & 1u << to) != 0);
    sup->state = to;
    sup->reason = reason;
    sup->due_ms = NEVER;
}

/* A start begins with the breaker; a question that is still under way from an earlier one serves this one, too. */
static void start(struct weft_sup *sup, uint64_t now_ms, const char *reason)
{
    move(sup, WEFT_SUP_STARTING, reason);
    sup->due_ms = now_ms;
}

static void stop(struct weft_sup *sup, uint64_t now_ms)
{
    if (sup->has_process) {
        move(sup, WEFT_SUP_STOPPING, weft_sup_asked);
        sup->term = true;
        sup->due_ms = now_ms + sup->rules.stop_timeout_ms;
    } else {
        sup->spawn = false;
        move(sup, WEFT_SUP_STOPPED, weft_sup_asked);
    }
}

void weft_sup_init(struct weft_sup *sup, const struct weft_sup_rules *rules, uint64_t seed)
{
    memset(sup, 0, sizeof(*sup));
    sup->rules = *rules;
    sup->state = WEFT_SUP_STOPPED;
    sup->reason = weft_sup_asked;
    sup->rng = seed | 1;
    sup->due_ms = NEVER;
}

void weft_sup_want(struct weft_sup *sup, bool running, uint64_t now_ms)
{
    switch (sup->state) {
    case WEFT_SUP_STOPPED:
    case WEFT_SUP_BACKOFF:
    case WEFT_SUP_FAILED:
        if (running) {
            sup->failures = 0;
            start(sup, now_ms, weft_sup_asked);
        } else if (sup->state != WEFT_SUP_STOPPED) {
            stop(sup, now_ms);
        }
        break;
    case WEFT_SUP_STARTING:
    case WEFT_SUP_RUNNING:
        if (!running) {
            stop(sup, now_ms);
        }
        break;
    case WEFT_SUP_STOPPING:
        sup->again = running;
        break;
    }
}

void weft_sup_restart(struct weft_sup *sup, uint64_t now_ms)
{
    if (sup->has_process && sup->state != WEFT_SUP_STOPPING) {
        stop(sup, now_ms);
    }
    weft_sup_want(sup, true, now_ms);
}

enum weft_sup_step weft_sup_step(struct weft_sup *sup, uint64_t now_ms)
{
    if (sup->term) {
        sup->term = false;
        return WEFT_SUP_TERM;
    }
    if (sup->state == WEFT_SUP_STARTING && sup->spawn) {
        sup->spawn = false;
        sup->has_process = true;
        sup->born_ms = now_ms;
        sup->due_ms = NEVER;
        return WEFT_SUP_SPAWN;
    }
    if (now_ms < sup->due_ms) {
        return WEFT_SUP_WAIT;
    }
    if (sup->state == WEFT_SUP_STOPPING && !sup->killed) {
        sup->killed = true;
        sup->due_ms = NEVER;
        return WEFT_SUP_KILL;
    }
    if (sup->state == WEFT_SUP_BACKOFF) {
        start(sup, now_ms, sup->reason);
        sup->restarts++;
    }
    if (sup->state == WEFT_SUP_STARTING && sup->has_process) {
        move(sup, WEFT_SUP_RUNNING, sup->reason);
        return WEFT_SUP_STARTED;
    }
    if (sup->state == WEFT_SUP_STARTING) {
        sup->due_ms = NEVER;
        if (!sup->asked) {
            sup->asked = true;
            return WEFT_SUP_ASK;
        }
    }
    return WEFT_SUP_WAIT;
}

void weft_sup_born(struct weft_sup *sup, uint64_t now_ms)
{
    WEFT_ASSERT(sup->has_process);
    sup->born_ms = now_ms;
    if (sup->state == WEFT_SUP_STARTING) {
        sup->due_ms = now_ms + sup->rules.start_ms;
    }
}

uint64_t weft_sup_due_ms(const struct weft_sup *sup)
{
    return sup->term || sup->spawn ? 0 : sup->due_ms;
}

bool weft_sup_allowed(struct weft_sup *sup, bool allowed)
{
    WEFT_ASSERT(sup->asked);
    sup->asked = false;
    if (sup->state != WEFT_SUP_STARTING) {
        return false;
    }
    WEFT_ASSERT(!sup->has_process);
    if (allowed) {
        sup->spawn = true;
    } else {
        move(sup, WEFT_SUP_FAILED, weft_sup_breaker_open);
    }
    return true;
}

/* Between the half and the whole of min × 2^failures, at most max. */
static uint64_t backoff_ms(struct weft_sup *sup)
{
    uint64_t ms = sup->rules.backoff_min_ms;

    for (uint32_t i = 1; i < sup->failures && ms < sup->rules.backoff_max_ms; i++) {
        ms *= 2;
    }
    if (ms > sup->rules.backoff_max_ms) {
        ms = sup->rules.backoff_max_ms;
    }
    return ms / 2 + weft_random_next(&sup->rng) % (ms / 2 + 1);
}

bool weft_sup_ended(struct weft_sup *sup, enum weft_sup_end how, uint64_t now_ms)
{
    const char *reason = how == WEFT_SUP_UNSTARTABLE ? weft_sup_not_started : weft_sup_exited;
    bool clean = how == WEFT_SUP_CLEAN;
    uint64_t lived_ms = now_ms - sup->born_ms;
    bool failure = !clean || sup->state == WEFT_SUP_STARTING;

    WEFT_ASSERT(sup->has_process);
    sup->has_process = sup->term = sup->killed = false;
    if (sup->state == WEFT_SUP_STOPPING) {
        bool again = sup->again;

        sup->again = false;
        if (again) {
            sup->restarts++;
            sup->failures = 0;
            start(sup, now_ms, weft_sup_asked);
        } else {
            move(sup, WEFT_SUP_STOPPED, weft_sup_asked);
        }
        return false;
    }
    if (clean && sup->rules.restart != WEFT_RESTART_ALWAYS) {
        move(sup, WEFT_SUP_STOPPED, reason);
        return false; /* done, however short its life */
    }
    if (sup->rules.restart == WEFT_RESTART_NEVER) {
        move(sup, WEFT_SUP_FAILED, reason);
        return failure;
    }
    sup->failures = lived_ms >= FORGIVEN * sup->rules.backoff_max_ms + sup->rules.start_ms
                        ? 1
                        : sup->failures + 1;
    move(sup, WEFT_SUP_BACKOFF, reason);
    sup->due_ms = now_ms + backoff_ms(sup);
    return failure;
}

void weft_sup_forbid(struct weft_sup *sup)
{
    WEFT_ASSERT(sup->state == WEFT_SUP_STARTING && sup->has_process);
    sup->has_process = false;
    move(sup, WEFT_SUP_FAILED, weft_sup_forbidden);
}

bool weft_sup_is_quiet(const struct weft_sup *sup)
{
    return !sup->has_process && !sup->asked &&
           (sup->state == WEFT_SUP_STOPPED || sup->state == WEFT_SUP_FAILED);
}

const char *weft_sup_word(enum weft_sup_state state)
{
    static const char *const words[] = {"stopped",  "starting", "running",
                                        "stopping", "backoff",  "failed"};

    return words[state];
}
