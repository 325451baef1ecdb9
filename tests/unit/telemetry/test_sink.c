/* Lines reach their file whole and in order; a reader that stands still costs lines, never time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>
#include <weft/telemetry/sink.h>

struct world {
    char folder[64];
    char path[96];
    char moved[96];
    struct weft_metrics *metrics;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    (void)snprintf(w->folder, sizeof(w->folder), "/tmp/weft-sink-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->path, sizeof(w->path), "%s/log", w->folder);
    (void)snprintf(w->moved, sizeof(w->moved), "%s/log.1", w->folder);
    w->metrics = weft_metrics_create(1);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    (void)unlink(w->path);
    (void)unlink(w->moved);
    (void)rmdir(w->folder);
    weft_metrics_destroy(w->metrics);
    free(w);
    return 0;
}

static struct weft_sink *open_sink(struct world *w, size_t lines)
{
    struct weft_err err = {0};
    struct weft_sink *sink = NULL;

    if (weft_sink_create(&sink, w->path, lines, weft_metrics_shard(w->metrics, 0), NULL, &err) != 0)
        fail_msg("%s", err.message);
    return sink;
}

static bool put(struct weft_sink *sink, const char *line)
{
    return weft_sink_put(sink, weft_str(line, strlen(line)));
}

static char *contents(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 4u << 20);

    assert_non_null(f);
    assert_true(fread(text, 1, (4u << 20) - 1, f) > 0 || feof(f));
    (void)fclose(f);
    return text;
}

#define PUTTERS 4
#define EACH    5000

struct putter {
    struct weft_sink *sink;
    unsigned number;
};

static void *put_many(void *arg)
{
    const struct putter *p = arg;

    for (unsigned i = 0; i < EACH; i++) {
        char line[64];

        (void)snprintf(line, sizeof(line), "%u %u\n", p->number, i);
        while (!put(p->sink, line))
            (void)sched_yield();
    }
    return NULL;
}

static void whole_and_in_order(void **state)
{
    struct world *w = *state;
    struct weft_sink *sink = open_sink(w, 1000);
    struct putter putters[PUTTERS];
    pthread_t threads[PUTTERS];
    unsigned next[PUTTERS] = {0};
    unsigned number, i;
    char *text;
    int used;

    for (unsigned t = 0; t < PUTTERS; t++) {
        putters[t] = (struct putter){sink, t};
        assert_int_equal(pthread_create(&threads[t], NULL, put_many, &putters[t]), 0);
    }
    for (unsigned t = 0; t < PUTTERS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    weft_sink_destroy(sink); /* what waits is written */

    text = contents(w->path);
    for (const char *at = text; *at != '\0'; at += used) {
        assert_int_equal(sscanf(at, "%u %u\n%n", &number, &i, &used), 2);
        assert_in_range(number, 0, PUTTERS - 1);
        assert_int_equal(i, next[number]++);
    }
    for (unsigned t = 0; t < PUTTERS; t++)
        assert_int_equal(next[t], EACH);
    assert_int_equal(weft_metrics_counter(w->metrics, WEFT_M_ACCESS_LINES), PUTTERS * EACH);
    free(text);
}

static void a_file_that_was_moved(void **state)
{
    struct world *w = *state;
    struct weft_sink *sink = open_sink(w, 100);
    struct stat st;
    char *text;

    assert_true(put(sink, "before\n"));
    while (weft_metrics_counter(w->metrics, WEFT_M_ACCESS_LINES) < 1)
        (void)usleep(1000);
    assert_int_equal(rename(w->path, w->moved), 0);
    weft_sink_reopen(sink);
    while (stat(w->path, &st) != 0)
        (void)usleep(1000);
    assert_true(put(sink, "after\n"));
    weft_sink_destroy(sink);

    text = contents(w->moved);
    assert_string_equal(text, "before\n");
    free(text);
    text = contents(w->path);
    assert_string_equal(text, "after\n");
    free(text);
}

/* A pipe that nobody reads: lines are refused, and what it gives at its end is whole lines. */
static void a_reader_that_stands_still(void **state)
{
    struct world *w = *state;
    char line[1000];
    char byte;
    struct weft_sink *sink;
    unsigned taken = 0, newlines = 0, in_line = 0;
    int fd;

    assert_int_equal(mkfifo(w->path, 0600), 0);
    fd = open(w->path, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_SETPIPE_SZ, 4096) == 4096);
    sink = open_sink(w, 16);
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    /* A page: four lines. With them written the thread stands still, and what it does not hold waits. */
    while (weft_metrics_counter(w->metrics, WEFT_M_ACCESS_LINES) < 4) {
        taken += weft_sink_put(sink, weft_str(line, sizeof(line))) ? 1 : 0;
        (void)usleep(1000);
    }
    while (weft_sink_put(sink, weft_str(line, sizeof(line))))
        assert_true(++taken <= 4 + 16 + 16);
    assert_false(weft_sink_put(sink, weft_str(line, sizeof(line))));
    weft_sink_destroy(sink); /* comes back, though nobody has read */

    while (read(fd, &byte, 1) == 1) {
        in_line++;
        if (byte == '\n') {
            assert_int_equal(in_line, sizeof(line));
            in_line = 0;
            newlines++;
        }
    }
    assert_int_equal(in_line, 0);
    assert_int_equal(weft_metrics_counter(w->metrics, WEFT_M_ACCESS_LINES), newlines);
    assert_int_equal(weft_metrics_counter(w->metrics, WEFT_M_ACCESS_FAILED), taken - newlines);
    assert_true(newlines > 0 && taken > newlines);
    (void)close(fd);
}

static void a_path_that_cannot_be(void **state)
{
    struct world *w = *state;
    struct weft_sink *sink = NULL;
    struct weft_err err = {0};

    assert_int_equal(weft_sink_create(&sink, "/nowhere/at/all", 16,
                                      weft_metrics_shard(w->metrics, 0), NULL, &err),
                     WEFT_ESYS);
    assert_string_equal(err.field, "access_log.path");
    assert_null(sink);
    /* Nor one that would be waited for. */
    assert_int_equal(mkfifo(w->path, 0600), 0);
    assert_int_equal(
        weft_sink_create(&sink, w->path, 16, weft_metrics_shard(w->metrics, 0), NULL, &err),
        WEFT_ESYS);
    assert_non_null(strstr(err.message, "nobody reads"));
    assert_null(sink);
    weft_sink_destroy(NULL);
    weft_sink_reopen(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_and_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_was_moved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_that_stands_still, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_path_that_cannot_be, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
