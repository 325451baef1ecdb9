/* Metrics with a label: counted each by itself, bounded in number, the most used shown, and nothing lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weft/base/buf.h>
#include <weft/telemetry/labels.h>

enum { REQUESTS, GOOD, RATE, UP };

static const struct weft_label_column columns[] = {
    {"t_requests_total", WEFT_LABEL_COUNTER, "requests", "Requests.", 0, 0},
    {"t_good_total", WEFT_LABEL_COUNTER, "requests", "Good ones.", 0, 0},
    {"t_rate", WEFT_LABEL_RATIO, "0 to 1", "Part of them.", GOOD, REQUESTS},
    {"t_up", WEFT_LABEL_GAUGE, "0 or 1", "Whether it is.", 0, 0},
};

#define SHOWN 4

static struct weft_labels *labels;
static struct weft_buf out;

static int setup(void **state)
{
    labels = weft_labels_create("service", columns, 4, SHOWN);
    weft_buf_init(&out, 65536);
    return labels == NULL;
}

static int teardown(void **state)
{
    weft_labels_destroy(labels);
    weft_buf_fini(&out);
    return 0;
}

static bool has(const char *line)
{
    weft_buf_clear(&out);
    weft_labels_render(labels, &out);
    return strstr(out.data, line) != NULL;
}

/* The sum over all values of the first column. */
static double sum(void)
{
    double total = 0;
    const char *at;

    (void)has("");
    for (at = out.data; (at = strstr(at, "t_requests_total{")) != NULL; at++) {
        total += strtod(strchr(at, ' '), NULL);
    }
    return total;
}

static int lines_of(const char *name)
{
    int n = 0;

    (void)has("");
    for (const char *at = out.data; (at = strstr(at, name)) != NULL; at++) {
        n++;
    }
    return n;
}

static void each_value_has_its_row(void **state)
{
    weft_labels_add(labels, "a", REQUESTS, 4);
    weft_labels_add(labels, "a", GOOD, 3);
    weft_labels_add(labels, "b", REQUESTS, 1);
    weft_labels_set(labels, "b", UP, 1);
    assert_true(has("# HELP t_requests_total Requests.\n# TYPE t_requests_total counter\n"));
    assert_true(has("t_requests_total{service=\"a\"} 4\n"));
    assert_true(has("t_rate{service=\"a\"} 0.75\n"));
    assert_true(has("t_rate{service=\"b\"} 0\n"));
    assert_true(has("t_up{service=\"b\"} 1\n"));
    assert_false(has("t_up{service=\"a\"}"));
    assert_true(has("t_requests_total{service=\"other\"} 0\n"));
    assert_false(has("t_rate{service=\"other\"}"));
    weft_labels_add(NULL, "a", REQUESTS, 1); /* nobody counts */
}

static void values_are_bounded_and_nothing_is_lost(void **state)
{
    for (int i = 0; i < 10000; i++) {
        char value[24];

        (void)snprintf(value, sizeof(value), "v%d", i % 500);
        weft_labels_add(labels, value, REQUESTS, 1);
    }
    assert_in_range(lines_of("t_requests_total{"), SHOWN + 1, SHOWN + 1);
    assert_true(sum() == 10000);
}

static void the_most_used_are_shown(void **state)
{
    for (int i = 0; i < SHOWN; i++) {
        char value[24];

        (void)snprintf(value, sizeof(value), "first%d", i);
        for (int k = 0; k < 10 * (i + 1); k++) {
            weft_labels_add(labels, value, REQUESTS, 1);
        }
    }
    weft_labels_set(labels, "late", UP, 1);
    for (int i = 0; i < 20; i++) {
        weft_labels_add(labels, "late", REQUESTS, 1);
    }
    assert_false(has("late"));
    assert_true(has("t_requests_total{service=\"other\"} 20\n"));
    weft_labels_add(labels, "late", REQUESTS, 1); /* more than twice as much as the least of them */
    assert_true(has("t_requests_total{service=\"late\"} 1\n"));
    assert_true(has("t_up{service=\"late\"} 1\n"));
    assert_false(has("first0"));
    assert_true(has("t_requests_total{service=\"other\"} 30\n")); /* what first0 had moved there */
    assert_true(sum() == 10 + 20 + 30 + 40 + 21);
}

static void one_that_is_removed_leaves_its_counts(void **state)
{
    weft_labels_add(labels, "a", REQUESTS, 5);
    weft_labels_remove(labels, "a");
    weft_labels_remove(labels, "nobody");
    assert_false(has("\"a\""));
    assert_true(has("t_requests_total{service=\"other\"} 5\n"));
    weft_labels_add(labels, "a", REQUESTS, 1);
    assert_true(has("t_requests_total{service=\"a\"} 1\n"));
}

static void values_are_escaped(void **state)
{
    weft_labels_add(labels, "a\"b\\c", REQUESTS, 1);
    assert_true(has("t_requests_total{service=\"a\\\"b\\\\c\"} 1\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_value_has_its_row, setup, teardown),
        cmocka_unit_test_setup_teardown(values_are_bounded_and_nothing_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(the_most_used_are_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_is_removed_leaves_its_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(values_are_escaped, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
