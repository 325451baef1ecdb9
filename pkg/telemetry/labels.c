#include <weft/telemetry/labels.h>

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/buf.h>

/*
 * `rows` has the values that are shown and as many again that would like to be: of these it is only known how much
 * they are used, and their gauges, so that one that moves up has them. A value that is in neither takes the place of the
 * candidate that is used least.
 */

#define HALVE_EVERY 4096 /* uses, for each row */
#define LEAD        2 /* a candidate has to be used so many times as much, so that two do not take turns */

struct row {
    char value[WEFT_LABEL_VALUE_MAX + 1]; /* "": free */
    bool shown;
    double used;
    bool has[WEFT_LABEL_COLUMNS_MAX]; /* gauges: it was set */
    double columns[WEFT_LABEL_COLUMNS_MAX];
};

struct weft_labels {
    const char *label;
    const struct weft_label_column *columns;
    size_t n_columns;
    size_t shown, n_rows;
    struct {
        pthread_mutex_t mu;
        struct row *rows;
        struct row other;
        uint64_t uses;
    } locked;
};

struct weft_labels *weft_labels_create(const char *label, const struct weft_label_column *columns,
                                       size_t n_columns, size_t shown)
{
    struct weft_labels *labels = calloc(1, sizeof(*labels));

    WEFT_ASSERT(n_columns <= WEFT_LABEL_COLUMNS_MAX && shown > 0);
    if (labels == NULL) {
        return NULL;
    }
    labels->label = label;
    labels->columns = columns;
    labels->n_columns = n_columns;
    labels->shown = shown;
    labels->n_rows = shown * 2;
    labels->locked.rows = calloc(labels->n_rows, sizeof(labels->locked.rows[0]));
    if (labels->locked.rows == NULL) {
        free(labels);
        return NULL;
    }
    (void)pthread_mutex_init(&labels->locked.mu, NULL);
    return labels;
}

void weft_labels_destroy(struct weft_labels *labels)
{
    if (labels == NULL) {
        return;
    }
    (void)pthread_mutex_destroy(&labels->locked.mu);
    free(labels->locked.rows);
    free(labels);
}

/* ---- rows; the lock is held ---- */

static struct row *find(struct weft_labels *labels, const char *value)
{
    for (size_t i = 0; i < labels->n_rows; i++) {
        if (strcmp(labels->locked.rows[i].value, value) == 0) {
            return &labels->locked.rows[i];
        }
    }
    return NULL;
}

static bool is_free(const struct row *row)
{
    return row->value[0] == '\0';
}

/* The least used of those that are shown, or of those that are not; NULL: there is none. */
static struct row *least(struct weft_labels *labels, bool shown)
{
    struct row *best = NULL;

    for (size_t i = 0; i < labels->n_rows; i++) {
        struct row *row = &labels->locked.rows[i];

        if (!is_free(row) && row->shown == shown && (best == NULL || row->used < best->used)) {
            best = row;
        }
    }
    return best;
}

static size_t count_shown(const struct weft_labels *labels)
{
    size_t n = 0;

    for (size_t i = 0; i < labels->n_rows; i++) {
        n += labels->locked.rows[i].shown ? 1 : 0;
    }
    return n;
}

static bool is_sum(const struct weft_labels *labels, size_t column)
{
    enum weft_label_kind kind = labels->columns[column].kind;

    return kind == WEFT_LABEL_COUNTER || kind == WEFT_LABEL_HIDDEN;
}

/* Its counters go to `other`; its gauges stay. */
static void hide(struct weft_labels *labels, struct row *row)
{
    for (size_t i = 0; row->shown && i < labels->n_columns; i++) {
        if (is_sum(labels, i)) {
            labels->locked.other.columns[i] += row->columns[i];
            row->columns[i] = 0;
        }
    }
    row->shown = false;
}

static struct row *row_of(struct weft_labels *labels, const char *value)
{
    struct row *row = find(labels, value);

    if (row == NULL) {
        row = find(labels, ""); /* a free one */
        row = row != NULL ? row : least(labels, false);
        WEFT_ASSERT(row != NULL);
        memset(row, 0, sizeof(*row));
        (void)snprintf(row->value, sizeof(row->value), "%s", value);
    }
    if (!row->shown) {
        row->shown = count_shown(labels) < labels->shown;
    }
    return row;
}

static void use(struct weft_labels *labels, struct row *row)
{
    struct row *shown = row->shown ? NULL : least(labels, true);

    row->used += 1;
    if (shown != NULL && shown->used * LEAD < row->used) {
        hide(labels, shown);
        row->shown = true;
    }
    if (++labels->locked.uses >= HALVE_EVERY * labels->n_rows) {
        labels->locked.uses = 0;
        for (size_t i = 0; i < labels->n_rows; i++) {
            labels->locked.rows[i].used /= 2;
        }
    }
}

/* ---- use ---- */

void weft_labels_add(struct weft_labels *labels, const char *value, size_t column, double n)
{
    struct row *row;

    if (labels == NULL) {
        return;
    }
    WEFT_ASSERT(column < labels->n_columns && is_sum(labels, column) && value[0] != '\0');
    (void)pthread_mutex_lock(&labels->locked.mu);
    row = row_of(labels, value);
    use(labels, row);
    row = row->shown ? row : &labels->locked.other;
    row->columns[column] += n;
    (void)pthread_mutex_unlock(&labels->locked.mu);
}

void weft_labels_set(struct weft_labels *labels, const char *value, size_t column, double n)
{
    struct row *row;

    if (labels == NULL) {
        return;
    }
    WEFT_ASSERT(column < labels->n_columns && labels->columns[column].kind == WEFT_LABEL_GAUGE);
    (void)pthread_mutex_lock(&labels->locked.mu);
    row = row_of(labels, value);
    row->columns[column] = n;
    row->has[column] = true;
    (void)pthread_mutex_unlock(&labels->locked.mu);
}

void weft_labels_remove(struct weft_labels *labels, const char *value)
{
    struct row *row;

    if (labels == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&labels->locked.mu);
    row = find(labels, value);
    if (row != NULL) {
        hide(labels, row);
        memset(row, 0, sizeof(*row));
    }
    (void)pthread_mutex_unlock(&labels->locked.mu);
}

/* ---- Prometheus ---- */

static bool value_of(const struct weft_labels *labels, const struct row *row, size_t column,
                     double *ret_value)
{
    const struct weft_label_column *c = &labels->columns[column];

    switch (c->kind) {
    case WEFT_LABEL_GAUGE:
        *ret_value = row->columns[column];
        return row->has[column];
    case WEFT_LABEL_RATIO:
        *ret_value =
            row->columns[c->under] > 0 ? row->columns[c->over] / row->columns[c->under] : 0;
        return row->columns[c->under] > 0;
    case WEFT_LABEL_COUNTER:
        *ret_value = row->columns[column];
        return true;
    case WEFT_LABEL_HIDDEN:
        break;
    }
    return false;
}

static void print_value(struct weft_buf *out, const char *value)
{
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            weft_buf_append(out, "\\", 1);
        }
        weft_buf_append(out, p, 1);
    }
}

/* head: printed before the first sample of its column, so that none has a head alone. */
static void render_row(const struct weft_labels *labels, const struct row *row, const char *value,
                       size_t column, bool *head, struct weft_buf *out)
{
    const struct weft_label_column *c = &labels->columns[column];
    double n;

    if (!value_of(labels, row, column, &n)) {
        return;
    }
    if (!*head) {
        weft_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", c->name, c->help, c->name,
                        c->kind == WEFT_LABEL_COUNTER ? "counter" : "gauge");
        *head = true;
    }
    weft_buf_printf(out, "%s{%s=\"", c->name, labels->label);
    print_value(out, value);
    if (n == floor(n) && fabs(n) < 1e15) {
        weft_buf_printf(out, "\"} %.0f\n", n);
    } else {
        weft_buf_printf(out, "\"} %.9g\n", n);
    }
}

void weft_labels_render(struct weft_labels *labels, struct weft_buf *out)
{
    if (labels == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&labels->locked.mu);
    for (size_t c = 0; c < labels->n_columns; c++) {
        bool head = false;

        for (size_t i = 0; i < labels->n_rows; i++) {
            const struct row *row = &labels->locked.rows[i];

            if (row->shown) {
                render_row(labels, row, row->value, c, &head, out);
            }
        }
        render_row(labels, &labels->locked.other, "other", c, &head, out);
    }
    (void)pthread_mutex_unlock(&labels->locked.mu);
}
