/*
 * table - the suite's result: what was measured, what it should be, and what the bare writer makes
 * of it.
 */
#ifndef WEFT_BENCH_TABLE_H
#define WEFT_BENCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_MAX 64

enum target_kind {
    TARGET_NONE,
    TARGET_AT_MOST,
    TARGET_AT_LEAST,
    TARGET_RATIO_AT_MOST /* of the figure to the bare writer's */
};

struct row {
    const char *what;
    const char *unit;
    int decimals;
    double value;
    enum target_kind kind;
    double target;
    double bare;       /* 0: there is none to compare with */
    char trouble[512]; /* the run failed, and why; else "" */
};

struct table {
    struct row rows[TABLE_MAX];
    size_t n;
};

/* Copies the row. */
void table_add(struct table *table, const struct row *row);

/* Whether no run failed. */
bool table_is_whole(const struct table *table);

void table_print(const struct table *table, FILE *out);
/* {"rows":[{"what":…,"value":…,"unit":…,"target":…,"bare":…,"ratio":…,"met":…}]} */
void table_print_json(const struct table *table, FILE *out);

#endif
