/*
 * supervisor_priv - a command as a state machine: no process, no breaker, no clock; time and what happened come in,
 * what to do goes out.
 *
 *   STOPPED   no process, and none is wanted
 *   STARTING  the breaker is asked, then the process started; it has not lived for start_ms yet
 *   RUNNING   it has
 *   STOPPING  asked to end (TERM), later made to (KILL); when it has ended: STOPPED, or STARTING again
 *   BACKOFF   it ended by itself: started again when the time has come
 *   FAILED    given up: its breaker is open, its program forbidden, or it is not to be restarted
 *
 * Each process that ends before it was asked to, or cannot be started, is a failure for the breaker,
 * unless it had lived for start_ms and ended with 0; each that reaches RUNNING is a success. All times are of the
 * monotonic clock, ms.
 */
#ifndef WEFT_SERVICE_SUPERVISOR_PRIV_H
#define WEFT_SERVICE_SUPERVISOR_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/service/definition.h>

enum weft_sup_state {
    WEFT_SUP_STOPPED,
    WEFT_SUP_STARTING,
    WEFT_SUP_RUNNING,
    WEFT_SUP_STOPPING,
    WEFT_SUP_BACKOFF,
    WEFT_SUP_FAILED
};

/* What to do. */
enum weft_sup_step {
    WEFT_SUP_WAIT,  /* nothing before weft_sup_due_ms() */
    WEFT_SUP_ASK,   /* the breaker; its answer goes to weft_sup_allowed() */
    WEFT_SUP_SPAWN, /* start the process; what becomes of it to weft_sup_born(), weft_sup_ended() */
    WEFT_SUP_STARTED, /* tell: it runs */
    WEFT_SUP_TERM,    /* send it SIGTERM */
    WEFT_SUP_KILL     /* end it */
};

/* Why it is in its state: static texts for people and programs. */
extern const char weft_sup_asked[];        /* "asked": somebody wanted it */
extern const char weft_sup_exited[];       /* "exited": it ended by itself */
extern const char weft_sup_not_started[];  /* "not_started": the process could not be started */
extern const char weft_sup_breaker_open[]; /* "breaker_open": the breaker did not allow a start */
extern const char weft_sup_forbidden[];    /* "forbidden": this node must not run that program */

struct weft_sup_rules {
    enum weft_service_restart restart;
    uint64_t backoff_min_ms, backoff_max_ms, start_ms, stop_timeout_ms;
};

struct weft_sup {
    struct weft_sup_rules rules; /* may be replaced at any time */
    enum weft_sup_state state;
    const char *reason;
    bool asked; /* the breaker's answer is waited for */
    bool spawn; /* allowed, and to be started now */
    bool has_process;
    bool term; /* to be sent */
    bool killed;
    bool again;        /* STOPPING: to be started again when it has ended */
    uint32_t failures; /* in a row: the backoff's exponent */
    uint64_t restarts; /* after it ended by itself, or when asked to */
    uint64_t rng;
    uint64_t due_ms;  /* of the state */
    uint64_t born_ms; /* the process's */
};

void weft_sup_init(struct weft_sup *sup, const struct weft_sup_rules *rules, uint64_t seed);

/* Wanted or not; wanted when FAILED or in BACKOFF: tries anew at once. */
void weft_sup_want(struct weft_sup *sup, bool running, uint64_t now_ms);
/* The process that there is, is to be replaced by a new one; as wanted. */
void weft_sup_restart(struct weft_sup *sup, uint64_t now_ms);

/* What to do now. Call it again after having done it, until it says WAIT. */
enum weft_sup_step weft_sup_step(struct weft_sup *sup, uint64_t now_ms);
/* When to ask again; UINT64_MAX: when something happens. */
uint64_t weft_sup_due_ms(const struct weft_sup *sup);

/* The breaker's answer. False: it came too late to be of use, nothing will be started by it. */
bool weft_sup_allowed(struct weft_sup *sup, bool allowed);

/* It is there: start_ms runs from now on. */
void weft_sup_born(struct weft_sup *sup, uint64_t now_ms);

enum weft_sup_end {
    WEFT_SUP_CLEAN,      /* exit code 0 */
    WEFT_SUP_BROKEN,     /* another one, or a signal */
    WEFT_SUP_UNSTARTABLE /* it never was */
};

/* It has ended. True: that counts as a failure for the breaker. */
bool weft_sup_ended(struct weft_sup *sup, enum weft_sup_end how, uint64_t now_ms);

/* Instead of starting it (WEFT_SUP_SPAWN): it must not run here, and is not tried again before it is wanted anew. */
void weft_sup_forbid(struct weft_sup *sup);

/* No process, no question under way, none will be started. */
bool weft_sup_is_quiet(const struct weft_sup *sup);

/* "stopped", … */
const char *weft_sup_word(enum weft_sup_state state);

#endif
