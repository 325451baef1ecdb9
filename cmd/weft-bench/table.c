#include "table.h"

#include <string.h>

#include <jansson.h>

#include <weft/base/assert.h>

void table_add(struct table *table, const struct row *row)
{
    WEFT_ASSERT(table->n < TABLE_MAX);
    table->rows[table->n++] = *row;
}

bool table_is_whole(const struct table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        if (table->rows[i].trouble[0] != '\0')
            return false;
    }
    return true;
}

static double ratio_of(const struct row *row)
{
    return row->bare > 0 ? row->value / row->bare : 0;
}

static bool is_met(const struct row *row)
{
    if (row->trouble[0] != '\0')
        return false;
    switch (row->kind) {
    case TARGET_NONE:
        return true;
    case TARGET_AT_MOST:
        return row->value <= row->target;
    case TARGET_AT_LEAST:
        return row->value >= row->target;
    case TARGET_RATIO_AT_MOST:
        return row->bare > 0 && ratio_of(row) <= row->target;
    }
    return false;
}

static const char *mark_of(const struct row *row)
{
    if (row->trouble[0] != '\0')
        return "FAILED";
    if (row->kind == TARGET_NONE)
        return "";
    return is_met(row) ? "met" : "missed";
}

static void print_target(const struct row *row, char *out, size_t size)
{
    switch (row->kind) {
    case TARGET_NONE:
        out[0] = '\0';
        break;
    case TARGET_AT_MOST:
        snprintf(out, size, "<= %.*f", row->decimals, row->target);
        break;
    case TARGET_AT_LEAST:
        snprintf(out, size, ">= %.*f", row->decimals, row->target);
        break;
    case TARGET_RATIO_AT_MOST:
        snprintf(out, size, "<= %.2f x bare", row->target);
        break;
    }
}

void table_print(const struct table *table, FILE *out)
{
    fprintf(out, "%-54s %11s %-6s %-15s %11s %6s\n", "what", "figure", "", "target", "bare writer",
            "ratio");
    for (size_t i = 0; i < table->n; i++) {
        const struct row *row = &table->rows[i];
        char target[32], bare[32] = "", ratio[16] = "";

        print_target(row, target, sizeof(target));
        if (row->bare > 0) {
            snprintf(bare, sizeof(bare), "%.*f", row->decimals, row->bare);
            snprintf(ratio, sizeof(ratio), "%.2f", ratio_of(row));
        }
        fprintf(out, "%-54s %11.*f %-6s %-15s %11s %6s  %s\n", row->what, row->decimals, row->value,
                row->unit, target, bare, ratio, mark_of(row));
        if (row->trouble[0] != '\0')
            fprintf(out, "    %s\n", row->trouble);
    }
}

void table_print_json(const struct table *table, FILE *out)
{
    json_t *rows = json_array();
    json_t *root = json_object();

    for (size_t i = 0; i < table->n; i++) {
        const struct row *row = &table->rows[i];
        char target[32];
        json_t *item = json_object();

        print_target(row, target, sizeof(target));
        json_object_set_new(item, "what", json_string(row->what));
        json_object_set_new(item, "value", json_real(row->value));
        json_object_set_new(item, "unit", json_string(row->unit));
        if (target[0] != '\0') {
            json_object_set_new(item, "target", json_string(target));
            json_object_set_new(item, "met", json_boolean(is_met(row)));
        }
        if (row->bare > 0) {
            json_object_set_new(item, "bare", json_real(row->bare));
            json_object_set_new(item, "ratio", json_real(ratio_of(row)));
        }
        if (row->trouble[0] != '\0')
            json_object_set_new(item, "trouble", json_string(row->trouble));
        json_array_append_new(rows, item);
    }
    json_object_set_new(root, "rows", rows);
    json_dumpf(root, out, JSON_REAL_PRECISION(6) | JSON_INDENT(1));
    fputc('\n', out);
    json_decref(root);
}
