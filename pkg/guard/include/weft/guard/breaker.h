/*
 * breaker - the circuit breaker as a state machine: the twin of functions/breaker.lua.
 *
 *   closed      calls pass; results are counted by second, over the last time_window_ms
 *   open        no call passes, for timeout_ms
 *   half_open   at most half_open_permits calls at a time, each with a permit; success_threshold good ones
 *               close it, a bad one opens it again
 *   forced_open, forced_closed, disabled   an operator has decided, until he ends it
 *
 * The truth of the cluster is in Redis and decided there. This one decides for a node that has no Redis
 * (without_redis: local), and a test holds the two against each other, line by line.
 * Pure: time comes in. Not thread-safe.
 */
#ifndef WEFT_GUARD_BREAKER_H
#define WEFT_GUARD_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/str.h>
#include <weft/guard/without.h>

enum weft_breaker_mode {
    WEFT_BREAKER_COUNT, /* failure_threshold failures in the window open it */
    WEFT_BREAKER_RATE   /* failure_rate per cent of at least min_calls calls */
};

enum weft_breaker_state {
    WEFT_BREAKER_CLOSED,
    WEFT_BREAKER_OPEN,
    WEFT_BREAKER_HALF_OPEN,
    WEFT_BREAKER_FORCED_OPEN,
    WEFT_BREAKER_FORCED_CLOSED, /* counts, and does not open */
    WEFT_BREAKER_DISABLED       /* does not even count */
};

enum weft_breaker_force {
    WEFT_BREAKER_FORCE_OPEN,
    WEFT_BREAKER_FORCE_CLOSED,
    WEFT_BREAKER_FORCE_DISABLED,
    WEFT_BREAKER_FORCE_AUTO /* by itself again: closed, with nothing counted */
};

/* By the enums' values, and NULL behind them: for weft/wire/form.h. */
extern const char *const weft_breaker_mode_words[];
extern const char *const weft_breaker_state_words[];
extern const char *const weft_breaker_force_words[];

/* unsigned where weft/wire/form.h writes: uint64_t, and unsigned for words. */
struct weft_breaker_config {
    unsigned mode;          /* enum weft_breaker_mode */
    unsigned without_redis; /* enum weft_without */
    uint64_t failure_threshold;
    uint64_t failure_rate; /* per cent */
    uint64_t min_calls;
    uint64_t success_threshold;
    uint64_t timeout_ms;
    uint64_t time_window_ms; /* in whole seconds, rounded up */
    uint64_t half_open_permits;
    uint64_t permit_ms; /* a permit of which nobody hears any more lapses after so long */
    uint64_t quorum;    /* failures must have come from so many nodes */
};

#define WEFT_BREAKER_WINDOW_MAX_MS  3600000
#define WEFT_BREAKER_TIMEOUT_MAX_MS 3600000
#define WEFT_BREAKER_COUNT_MAX      1000000
#define WEFT_BREAKER_PERMITS_MAX    1000
#define WEFT_BREAKER_QUORUM_MAX     1000

void weft_breaker_config_init(struct weft_breaker_config *cfg);

/* ---- what one line of Redis says of a breaker ---- */

struct weft_breaker_view {
    uint64_t version, epoch;
    enum weft_breaker_state state;
    uint64_t since_ms;
    uint64_t wait_ms; /* open: until it may be asked again */
    struct weft_breaker_config cfg;
};

/* `<version> <epoch> <state> <since_ms> <wait_ms> <mode> …`, as breaker.lua writes it. */
bool weft_breaker_view_parse(struct weft_breaker_view *ret_view, struct weft_str line);
void weft_breaker_view_print(struct weft_buf *b, const struct weft_breaker_view *view);

/* A permit, `<epoch>-<number>`; number 0: none. */
struct weft_permit {
    uint64_t epoch, number;
};

#define WEFT_PERMIT_MAX_LEN 48

bool weft_permit_parse(struct weft_permit *ret_permit, struct weft_str text);
/* out: at least WEFT_PERMIT_MAX_LEN bytes; NUL-terminated; returns the length. "" for none. */
size_t weft_permit_print(char *out, struct weft_permit permit);

/* ---- the machine ---- */

struct weft_breaker; /* opaque */

/* Yours; closed. Never NULL. */
struct weft_breaker *weft_breaker_create(const struct weft_breaker_config *cfg, uint64_t now_ms);
/* As a line has told of it; nothing counted yet. */
struct weft_breaker *weft_breaker_resume(const struct weft_breaker_view *view, uint64_t now_ms);
/* NULL is allowed. */
void weft_breaker_destroy(struct weft_breaker *br);

void weft_breaker_configure(struct weft_breaker *br, const struct weft_breaker_config *cfg,
                            uint64_t now_ms);
void weft_breaker_view(const struct weft_breaker *br, uint64_t now_ms,
                       struct weft_breaker_view *ret_view);

struct weft_breaker_answer {
    bool allowed;
    struct weft_permit permit;
    uint64_t wait_ms; /* until it makes sense to ask again; 0 if allowed */
};

void weft_breaker_acquire(struct weft_breaker *br, uint64_t now_ms,
                          struct weft_breaker_answer *ret_answer);
/* Results of calls without a permit. node: any number for the reporter. False: they do not count. */
bool weft_breaker_report(struct weft_breaker *br, uint32_t node, uint64_t epoch, uint64_t successes,
                         uint64_t failures, uint64_t now_ms);
/* The result of the call with this permit. False: it comes too late. */
bool weft_breaker_settle(struct weft_breaker *br, struct weft_permit permit, bool success,
                         uint64_t now_ms);
/* Nobody will use it: another call may have it. False: it is not out any more. */
bool weft_breaker_give_back(struct weft_breaker *br, struct weft_permit permit);
/* False: it was so already. */
bool weft_breaker_force(struct weft_breaker *br, enum weft_breaker_force force, uint64_t now_ms);

#endif
