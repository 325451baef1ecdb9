/*
 * report - the figures of a run: lines for people, or one JSON object.
 */
#ifndef WEFT_BENCH_REPORT_H
#define WEFT_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#define REPORT_MAX 64

struct figure {
    const char *key;   /* in JSON, with its unit: cpu_us_per_delivery */
    const char *label; /* for people */
    double value;
    int decimals;
};

struct report {
    const char *scenario;
    struct figure figures[REPORT_MAX];
    size_t n;
    bool failed;
    char trouble[512]; /* why, or "" */
};

void report_init(struct report *report, const char *scenario);
void report_add(struct report *report, const char *key, const char *label, double value,
                int decimals);
/* The first reason is kept. */
void report_fail(struct report *report, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The value of a key; 0 if it is not there. */
double report_get(const struct report *report, const char *key);

/* On stdout. */
void report_print(const struct report *report, bool json);

#endif
