#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include <weft/base/assert.h>

void report_init(struct report *report, const char *scenario)
{
    *report = (struct report){.scenario = scenario};
}

void report_add(struct report *report, const char *key, const char *label, double value,
                int decimals)
{
    WEFT_ASSERT(report->n < REPORT_MAX);
    report->figures[report->n++] =
        (struct figure){.key = key, .label = label, .value = value, .decimals = decimals};
}

void report_fail(struct report *report, const char *fmt, ...)
{
    va_list ap;

    if (report->failed)
        return;
    report->failed = true;
    va_start(ap, fmt);
    vsnprintf(report->trouble, sizeof(report->trouble), fmt, ap);
    va_end(ap);
}

double report_get(const struct report *report, const char *key)
{
    for (size_t i = 0; i < report->n; i++) {
        if (strcmp(report->figures[i].key, key) == 0)
            return report->figures[i].value;
    }
    return 0;
}

static void print_json(const struct report *report)
{
    json_t *root = json_object();

    json_object_set_new(root, "scenario", json_string(report->scenario));
    json_object_set_new(root, "ok", json_boolean(!report->failed));
    if (report->failed)
        json_object_set_new(root, "trouble", json_string(report->trouble));
    for (size_t i = 0; i < report->n; i++) {
        const struct figure *f = &report->figures[i];

        json_object_set_new(root, f->key,
                            f->decimals == 0 ? json_integer((json_int_t)f->value)
                                             : json_real(f->value));
    }
    json_dumpf(root, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(root);
}

void report_print(const struct report *report, bool json)
{
    if (json) {
        print_json(report);
        return;
    }
    printf("%s\n", report->scenario);
    for (size_t i = 0; i < report->n; i++) {
        const struct figure *f = &report->figures[i];

        printf("  %-46s %12.*f\n", f->label, f->decimals, f->value);
    }
    if (report->failed)
        printf("  FAILED: %s\n", report->trouble);
}
