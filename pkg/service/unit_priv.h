/*
 * unit_priv - one service on this node: what is known of it, and this node's part in it. Control thread.
 *
 *   services.c   the table of units, what Redis holds
 *   unit.c       who has it: claims, leases, orders, lost nodes
 *   prober.c     a url that this node probes
 *   runner.c     a command that this node runs
 *   report.c     how it is, into Redis, and then as events
 *   requests.c   the API
 */
#ifndef WEFT_SERVICE_UNIT_PRIV_H
#define WEFT_SERVICE_UNIT_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include <weft/fabric/feature.h>
#include <weft/redis/reply.h>
#include <weft/service/services.h>

#include "probing_priv.h"
#include "supervisor_priv.h"

struct weft_child;
struct weft_fetch;
struct weft_fetcher;
struct weft_lease;
struct weft_outbox;
struct weft_roster;
struct weft_timer;
struct weft_unit;

struct weft_services {
    const struct weft_feature_env *env;
    const struct weft_services_opts *o;
    struct weft_roster *roster;
    struct weft_outbox *outbox;
    struct weft_fetcher *fetcher;
    struct weft_timer *sync;
    struct weft_unit *units; /* uthash by id */
    uint64_t rng;
    uint64_t tickets;
    bool up, stopping, syncing;
};

/* ---- metrics of services: the columns of weft_service_columns (columns.c) ---- */

enum weft_service_column {
    WEFT_COLUMN_REQUESTS,
    WEFT_COLUMN_SUCCESSES,
    WEFT_COLUMN_FAILURES,
    WEFT_COLUMN_SUCCESS_RATE,
    WEFT_COLUMN_RESPONSE_SECONDS,
    WEFT_COLUMN_RESPONSE_AVERAGE,
    WEFT_COLUMN_HEALTH_CHECKS,
    WEFT_COLUMN_STATE_CHANGES,
    WEFT_COLUMN_STARTS,
    WEFT_COLUMN_RESTARTS,
    WEFT_COLUMN_ERRORS,
    WEFT_COLUMN_UP
};

/* ---- report.c ---- */

/* Something that has happened: a state, and the events that go with it. */
struct weft_note {
    char state[12];
    char reason[24];
    char error[160]; /* "": none */
    int64_t pid;     /* < 0: as it was */
    int64_t code;    /* exit code, 128 + signal; < 0: none */
    bool given_up;   /* it is not wanted any more */
    bool started, restarted, stopped;
    uint64_t restarts; /* by this node, so far */
};

enum weft_tally {
    WEFT_TALLY_HEALTH_CHECKS,
    WEFT_TALLY_REQUESTS,
    WEFT_TALLY_SUCCESSES,
    WEFT_TALLY_FAILURES,
    WEFT_TALLY_RESPONSE_US, /* sum of the times of the successes */
    WEFT_TALLY_STARTS,
    WEFT_TALLY_RESTARTS,
    WEFT_TALLIES
};

#define WEFT_NOTES_MAX 16

struct weft_report {
    struct weft_note notes[WEFT_NOTES_MAX]; /* in order */
    size_t n;
    uint64_t tallies[WEFT_TALLIES], sent[WEFT_TALLIES];
    uint64_t latency_us; /* of the last probe */
    bool has_latency;
    bool under_way;
    bool with_note; /* what is under way has the first note */
    uint64_t at_ms; /* of the last one */
};

/* The service is as the note says; it is told as soon as it can be. */
void weft_report_note(struct weft_unit *unit, const struct weft_note *note) WEFT_ON_CONTROL;
void weft_report_count(struct weft_unit *unit, enum weft_tally tally, uint64_t n) WEFT_ON_CONTROL;
/* Sends what is due, if this node may write. */
void weft_report_send(struct weft_unit *unit) WEFT_ON_CONTROL;
bool weft_report_is_empty(const struct weft_unit *unit) WEFT_ON_CONTROL;
/* What waits is of no interest any more: another node has the service, or it is gone. */
void weft_report_drop(struct weft_unit *unit) WEFT_ON_CONTROL;
/* Another's note, already in Redis: its events alone. */
void weft_report_events(struct weft_services *svs, const char *id, const char *from,
                        const struct weft_note *note) WEFT_ON_CONTROL;

/* ---- prober.c ---- */

struct weft_prober {
    struct weft_probing probing;
    struct weft_timer *timer;
    struct weft_fetch *fetch;
    bool on;
    bool last_ok;
    uint64_t told_ms; /* of the last service.health_check */
};

int weft_prober_init(struct weft_unit *unit) WEFT_MUST_CHECK WEFT_ON_CONTROL;
void weft_prober_fini(struct weft_unit *unit) WEFT_ON_CONTROL;
/* health: what Redis says of it now. */
void weft_prober_begin(struct weft_unit *unit, enum weft_health health) WEFT_ON_CONTROL;
void weft_prober_end(struct weft_unit *unit) WEFT_ON_CONTROL;

/* ---- runner.c ---- */

struct weft_runner {
    struct weft_sup sup;
    struct weft_timer *timer;
    struct weft_child *child;
    int64_t pid;       /* of the command; 0: not known yet, or none */
    void *permit;      /* of the breaker, to be given back */
    uint64_t ticket;   /* of the question to the breaker; 0: none */
    uint64_t restarts; /* that were told */
    /* Lines of output: a bucket of them. */
    double lines_left;
    uint64_t lines_at_ms;
    uint64_t lines_dropped; /* not told yet */
};

int weft_runner_init(struct weft_unit *unit) WEFT_MUST_CHECK WEFT_ON_CONTROL;
void weft_runner_fini(struct weft_unit *unit) WEFT_ON_CONTROL;
/* The definition has changed. */
void weft_runner_rules(struct weft_unit *unit) WEFT_ON_CONTROL;
void weft_runner_want(struct weft_unit *unit, bool running) WEFT_ON_CONTROL;
void weft_runner_restart(struct weft_unit *unit) WEFT_ON_CONTROL;
/* Tells again how it is: what Redis holds is another's, or of before. */
void weft_runner_tell(struct weft_unit *unit) WEFT_ON_CONTROL;
void weft_runner_allowed(struct weft_unit *unit, bool allowed, void *permit) WEFT_ON_CONTROL;
bool weft_runner_is_quiet(const struct weft_unit *unit) WEFT_ON_CONTROL;

/* ---- unit.c ---- */

struct weft_unit {
    struct weft_services *svs;
    UT_hash_handle hh;
    char id[WEFT_SERVICE_ID_MAX + 1];

    /* As Redis has it. */
    bool known; /* it has been read */
    bool gone;  /* it is not there any more */
    bool good;  /* def is */
    struct weft_service_def def;
    uint64_t created_ms; /* tells one of the same name from the one before it */
    uint64_t revision;
    uint64_t order, restart_order; /* how many were given */
    char ordered[8];               /* the last of them */
    bool wanted;
    bool listed; /* in weft:services */
    char node[WEFT_SERVICE_ID_MAX + 1];
    char state[12];
    uint64_t seen_fence;

    /* This node's part. */
    bool mine;     /* claimed: fence is good */
    bool was_mine; /* a command: claimed since this node was given it */
    uint64_t fence;
    bool claiming;
    uint64_t done_order, done_restart; /* orders that were carried out */
    bool reading, read_again;
    bool leaving;             /* the lease was given back */
    bool losing;              /* its node seems to be lost: asked, or said, and no answer yet */
    uint64_t lost_fence;      /* which claim of it that is */
    struct weft_lease *lease; /* of a url */
    char lease_what[WEFT_SERVICE_ID_MAX + 16];
    uint64_t lease_number; /* 0: not held */
    struct weft_prober prober;
    struct weft_runner runner;
    struct weft_report report;
};

struct weft_unit *weft_unit_create(struct weft_services *svs, struct weft_str id) WEFT_ON_CONTROL;
void weft_unit_destroy(struct weft_unit *unit) WEFT_ON_CONTROL;

/* Reads it from Redis, and then does what follows from it. */
void weft_unit_read(struct weft_unit *unit) WEFT_ON_CONTROL;
/* Does what follows from what is known: nodes have come or gone, Redis is back. */
void weft_unit_settle(struct weft_unit *unit) WEFT_ON_CONTROL;
/* A write was refused: another node has claimed it, or it has changed. */
void weft_unit_fenced(struct weft_unit *unit) WEFT_ON_CONTROL;
/* The node ends: no more of it here. */
void weft_unit_stop(struct weft_unit *unit) WEFT_ON_CONTROL;
bool weft_unit_is_quiet(const struct weft_unit *unit) WEFT_ON_CONTROL;

/* ---- services.c ---- */

struct weft_unit *weft_services_find(struct weft_services *svs, struct weft_str id) WEFT_ON_CONTROL;
/* Logs an error of Redis; true if there was one, or no answer. */
bool weft_services_failed(struct weft_services *svs,
                          const struct weft_reply *reply) WEFT_ON_CONTROL;
/* services.programs: asked where a command is registered, and again where it is started, which may be another node. */
bool weft_services_may_run(const struct weft_services *svs, const char *program) WEFT_ON_CONTROL;

/* Field of a hash, as HGETALL gives it; {NULL, 0}: none. */
struct weft_str weft_hash_field(const struct weft_reply *hash, const char *name);
uint64_t weft_hash_u64(const struct weft_reply *hash, const char *name);

#endif
