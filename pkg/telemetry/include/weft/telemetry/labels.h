/*
 * labels - metrics with one label, such as service_requests_total{service="a"}, of a bounded number of values.
 *
 * A table: a row for each value of the label, a column for each metric. It shows the values that are used most; the others
 * are one row, `other`. When one of the others is used more than the least used of those that are shown, it takes
 * its place: what the other had counted moves to `other`, whose counters only grow. What is used is forgotten by
 * halves, so that yesterday's great do not stay for ever.
 *
 * One mutex: for what happens some thousand times a second at most, not for each event.
 */
#ifndef WEFT_TELEMETRY_LABELS_H
#define WEFT_TELEMETRY_LABELS_H

#include <stdbool.h>
#include <stddef.h>

struct weft_buf;
struct weft_labels; /* opaque */

enum weft_label_kind {
    WEFT_LABEL_COUNTER,
    WEFT_LABEL_GAUGE, /* of a value alone: `other` has none */
    WEFT_LABEL_RATIO, /* of two other columns; nothing while the second is 0 */
    WEFT_LABEL_HIDDEN /* a sum, for ratios alone */
};

struct weft_label_column {
    const char *name;
    enum weft_label_kind kind;
    const char *unit;
    const char *help;
    size_t over, under; /* of a ratio */
};

#define WEFT_LABEL_COLUMNS_MAX 16
#define WEFT_LABEL_VALUE_MAX   64

/* Yours; everything is borrowed. shown: at most so many values, and `other`. NULL: out of memory. */
struct weft_labels *weft_labels_create(const char *label, const struct weft_label_column *columns,
                                       size_t n_columns, size_t shown);
/* NULL is allowed. */
void weft_labels_destroy(struct weft_labels *labels);

/* Any thread, as all below. value: 1 to WEFT_LABEL_VALUE_MAX printable bytes. labels may be NULL. */
void weft_labels_add(struct weft_labels *labels, const char *value, size_t column, double n);
void weft_labels_set(struct weft_labels *labels, const char *value, size_t column, double n);
/* The value is not there any more: its row goes, its counters move to `other`. */
void weft_labels_remove(struct weft_labels *labels, const char *value);

/* In the text format of Prometheus. */
void weft_labels_render(struct weft_labels *labels, struct weft_buf *out);

#endif
