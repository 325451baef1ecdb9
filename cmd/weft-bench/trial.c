#include "trial.h"

#include <stdio.h>
#include <stdlib.h>

void scenario_publish(const struct bench *bench, const void *plan, struct report *report)
{
    publish_measure(bench, plan, report);
}

void scenario_fanout(const struct bench *bench, const void *plan, struct report *report)
{
    fanout_measure(bench, plan, report);
}

void scenario_idle(const struct bench *bench, const void *plan, struct report *report)
{
    idle_measure(bench, plan, report);
}

void scenario_replay(const struct bench *bench, const void *plan, struct report *report)
{
    replay_measure(bench, plan, report);
}

void scenario_storm(const struct bench *bench, const void *plan, struct report *report)
{
    storm_measure(bench, plan, report);
}

void scenario_churn(const struct bench *bench, const void *plan, struct report *report)
{
    churn_measure(bench, plan, report);
}

void scenario_stall(const struct bench *bench, const void *plan, struct report *report)
{
    stall_measure(bench, plan, report);
}

static void run_once(struct trial *trial, const struct scenario *scenario,
                     const struct bench *bench, const char *who)
{
    if (bench == NULL)
        return;
    fprintf(stderr, "%s: %s, round %u\n", scenario->what, who, trial->n + 1);
    scenario->measure(bench, scenario->plan, &trial->reports[trial->n]);
    trial->n++;
}

void trials_run(struct trials *trials, const struct scenario *scenario, unsigned rounds,
                const struct bench *weft, const struct bench *single, const struct bench *coalesce)
{
    trials->weft.n = trials->single.n = trials->coalesce.n = 0;
    for (unsigned i = 0; i < rounds && i < TRIAL_ROUNDS_MAX; i++) {
        run_once(&trials->single, scenario, single, "bare writer");
        run_once(&trials->weft, scenario, weft, "weftd");
        run_once(&trials->coalesce, scenario, coalesce, "bare writer, coalescing");
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double trial_median(const struct trial *trial, const char *key)
{
    double values[TRIAL_ROUNDS_MAX];

    if (trial->n == 0)
        return 0;
    for (unsigned i = 0; i < trial->n; i++)
        values[i] = report_get(&trial->reports[i], key);
    qsort(values, trial->n, sizeof(*values), by_value);
    return values[trial->n / 2];
}

const char *trial_trouble(const struct trial *trial)
{
    for (unsigned i = 0; i < trial->n; i++) {
        if (trial->reports[i].failed)
            return trial->reports[i].trouble;
    }
    return "";
}
