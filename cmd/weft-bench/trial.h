/*
 * trial - one scenario measured several times, the server and the bare writer in turn, so that
 * what the machine does meanwhile falls on both alike. Medians are taken.
 */
#ifndef WEFT_BENCH_TRIAL_H
#define WEFT_BENCH_TRIAL_H

#include "bench.h"

#define TRIAL_ROUNDS_MAX 9

/* A scenario's measure function and its plan; the plan is of the type that it wants. */
struct scenario {
    const char *what; /* for the progress line */
    void (*measure)(const struct bench *bench, const void *plan, struct report *report);
    const void *plan;
};

void scenario_publish(const struct bench *bench, const void *plan, struct report *report);
void scenario_fanout(const struct bench *bench, const void *plan, struct report *report);
void scenario_idle(const struct bench *bench, const void *plan, struct report *report);
void scenario_replay(const struct bench *bench, const void *plan, struct report *report);
void scenario_storm(const struct bench *bench, const void *plan, struct report *report);
void scenario_churn(const struct bench *bench, const void *plan, struct report *report);
void scenario_stall(const struct bench *bench, const void *plan, struct report *report);

struct trial {
    struct report reports[TRIAL_ROUNDS_MAX];
    unsigned n;
};

/* weft and each bare writer (NULL: none) in turn, rounds times. */
struct trials {
    struct trial weft, single, coalesce;
};
void trials_run(struct trials *trials, const struct scenario *scenario, unsigned rounds,
                const struct bench *weft, const struct bench *single, const struct bench *coalesce);

/* The median of a figure over the rounds; 0 if there was none. */
double trial_median(const struct trial *trial, const char *key);

/* Why a round failed, or "". */
const char *trial_trouble(const struct trial *trial);

#endif
