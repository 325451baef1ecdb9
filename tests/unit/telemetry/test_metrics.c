/* Counters of many threads, and the text that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <weft/base/assert.h>
#include <weft/base/buf.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#include "metrics_priv.h"

#ifndef WEFT_SOURCE_DIR
#define WEFT_SOURCE_DIR "."
#endif

/* Counters that are not the first of their name. */
#define SHARED                                                  \
    ((WEFT_M_REFUSED_ORIGIN - WEFT_M_REFUSED_CONNECTIONS) +     \
     (WEFT_M_WS_REFUSED_ORIGIN - WEFT_M_WS_REFUSED_HANDSHAKE) + \
     (WEFT_M_WS_CLOSED_POLICY - WEFT_M_WS_CLOSED_CLIENT))

#define DOCUMENT WEFT_SOURCE_DIR "/docs/metrics.md"

static const char *render(const struct weft_metrics *metrics, struct weft_buf *buf)
{
    weft_buf_clear(buf);
    assert_int_equal(weft_metrics_render(metrics, buf), 0);
    return buf->data;
}

/* The value of a series, found at the beginning of a line. */
static double value_of(const char *text, const char *series)
{
    size_t len = strlen(series);

    for (const char *line = text; line && *line; line = strchr(line, '\n') + 1) {
        if (strncmp(line, series, len) == 0 && line[len] == ' ')
            return strtod(line + len, NULL);
    }
    fail_msg("no series %s", series);
    return 0;
}

static void shards_are_summed(void **state)
{
    struct weft_metrics *metrics = weft_metrics_create(3);
    struct weft_buf buf;
    const char *text;

    weft_buf_init(&buf, 1 << 20);
    for (size_t i = 0; i < 3; i++) {
        struct weft_shard *shard = weft_metrics_shard(metrics, i);

        assert_int_equal((uintptr_t)shard % 64, 0);
        weft_count(shard, WEFT_M_DELIVERIES, 10 + i);
        weft_gauge_add(shard, WEFT_G_CONNECTIONS, 5);
        weft_gauge_set(shard, WEFT_G_REDIS_UP, i == 1);
    }
    weft_count(weft_metrics_shard(metrics, 2), WEFT_M_REFUSED_URL, 7);
    /* One thread takes down what others have put up. */
    weft_gauge_add(weft_metrics_shard(metrics, 0), WEFT_G_CONNECTIONS, -14);
    assert_int_equal(weft_metrics_counter(metrics, WEFT_M_DELIVERIES), 33);
    assert_int_equal(weft_metrics_gauge(metrics, WEFT_G_CONNECTIONS), 1);

    text = render(metrics, &buf);
    assert_true(value_of(text, "weft_deliveries_total") == 33);
    assert_true(value_of(text, "weft_connections") == 1);
    assert_true(value_of(text, "weft_redis_up") == 1);
    assert_true(value_of(text, "weft_gaps_total") == 0);
    assert_true(value_of(text, "weft_requests_refused_total{reason=\"url\"}") == 7);
    assert_true(value_of(text, "weft_requests_refused_total{reason=\"head\"}") == 0);
    weft_buf_fini(&buf);
    weft_metrics_destroy(metrics);
    weft_metrics_destroy(NULL);
}

static void durations_fall_into_their_bucket(void **state)
{
    static const struct {
        uint64_t ns;
        const char *le; /* the first bucket that holds it */
    } rows[] = {
        {0, "0.00001"},       {10000, "0.00001"}, {10001, "0.000025"}, {25000, "0.000025"},
        {50001, "0.0001"},    {999999, "0.001"},  {1000000, "0.001"},  {1000001, "0.0025"},
        {250000000, "0.25"},  {1000000000, "1"},  {10000000000, "10"}, {10000000001, "+Inf"},
        {UINT64_MAX, "+Inf"},
    };
    struct weft_buf buf;

    weft_buf_init(&buf, 1 << 20);
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        struct weft_metrics *metrics = weft_metrics_create(1);
        const char *text, *line;
        char series[96];

        weft_observe_ns(weft_metrics_shard(metrics, 0), WEFT_H_PUBLISH_COMMIT, rows[i].ns);
        text = render(metrics, &buf);
        line = strstr(text, "weft_publish_commit_seconds_bucket{");
        while (strstr(line, "\"} ")[3] == '0')
            line = strchr(line, '\n') + 1;
        snprintf(series, sizeof(series), "weft_publish_commit_seconds_bucket{le=\"%s\"} 1\n",
                 rows[i].le);
        if (strncmp(line, series, strlen(series)) != 0)
            fail_msg("%" PRIu64 ": %.60s", rows[i].ns, line);
        weft_metrics_destroy(metrics);
    }
    weft_buf_fini(&buf);
}

static void histograms_are_cumulative(void **state)
{
    struct weft_metrics *metrics = weft_metrics_create(2);
    struct weft_buf buf;
    const char *text;

    weft_buf_init(&buf, 1 << 20);
    weft_observe_ns(weft_metrics_shard(metrics, 0), WEFT_H_REDIS_ROUNDTRIP, 15000);
    weft_observe_ns(weft_metrics_shard(metrics, 1), WEFT_H_REDIS_ROUNDTRIP, 1500000000);
    weft_observe_ns(weft_metrics_shard(metrics, 1), WEFT_H_REDIS_ROUNDTRIP, 20000000000);
    text = render(metrics, &buf);
    assert_true(value_of(text, "weft_redis_roundtrip_seconds_bucket{le=\"0.00001\"}") == 0);
    assert_true(value_of(text, "weft_redis_roundtrip_seconds_bucket{le=\"0.000025\"}") == 1);
    assert_true(value_of(text, "weft_redis_roundtrip_seconds_bucket{le=\"1\"}") == 1);
    assert_true(value_of(text, "weft_redis_roundtrip_seconds_bucket{le=\"2.5\"}") == 2);
    assert_true(value_of(text, "weft_redis_roundtrip_seconds_bucket{le=\"10\"}") == 2);
    assert_true(value_of(text, "weft_redis_roundtrip_seconds_bucket{le=\"+Inf\"}") == 3);
    assert_true(value_of(text, "weft_redis_roundtrip_seconds_count") == 3);
    assert_non_null(strstr(text, "\nweft_redis_roundtrip_seconds_sum 21.500015000\n"));
    assert_int_equal(weft_metrics_observed(metrics, WEFT_H_REDIS_ROUNDTRIP), 3);
    weft_buf_fini(&buf);
    weft_metrics_destroy(metrics);
}

/* Each family once: HELP, TYPE, then its samples; names as Prometheus wants them. */
static void the_text_is_well_formed(void **state)
{
    struct weft_metrics *metrics = weft_metrics_create(1);
    char family[128] = "", type[16] = "", name[256];
    struct weft_buf buf;
    const char *text;
    size_t families = 0;

    weft_buf_init(&buf, 1 << 20);
    text = render(metrics, &buf);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        size_t len;

        if (strncmp(line, "# HELP ", 7) == 0) {
            assert_int_equal(sscanf(line, "# HELP %127s", family), 1);
            snprintf(name, sizeof(name), "\n# HELP %s ", family);
            assert_null(strstr(line, name)); /* no second time */
            families++;
            continue;
        }
        if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_int_equal(sscanf(line, "# TYPE %255s %15s", name, type), 2);
            assert_string_equal(name, family);
            len = strlen(name);
            if (strcmp(type, "counter") == 0)
                assert_string_equal(name + len - 6, "_total");
            if (strcmp(type, "histogram") == 0)
                assert_string_equal(name + len - 8, "_seconds");
            continue;
        }
        assert_memory_equal(line, family, strlen(family));
        len = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
        assert_true(line[len] == ' ' || line[len] == '{');
        assert_non_null(strchr(line, '\n'));
    }
    assert_int_equal(families, WEFT_M_COUNT_ - SHARED + WEFT_G_COUNT_ + WEFT_H_COUNT_ + 7);
    assert_int_equal(text[buf.len - 1], '\n');
    weft_buf_fini(&buf);
    weft_metrics_destroy(metrics);
}

static void the_process_is_told(void **state)
{
    struct weft_metrics *metrics = weft_metrics_create(1);
    struct weft_buf buf;
    const char *text;
    double fds, start;
    int fd;

    weft_buf_init(&buf, 1 << 20);
    text = render(metrics, &buf);
    assert_true(value_of(text, "weft_build_info{version=\"" WEFT_VERSION "\"}") == 1);
    assert_true(value_of(text, "process_resident_memory_bytes") > 100000);
    assert_true(value_of(text, "process_cpu_seconds_total") >= 0);
    assert_true(value_of(text, "process_max_fds") >= 16);
    start = value_of(text, "process_start_time_seconds");
    assert_true(start > (double)time(NULL) - 600 && start < (double)time(NULL) + 2);

    fds = value_of(text, "process_open_fds");
    assert_true(fds >= 1);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(value_of(render(metrics, &buf), "process_open_fds") == fds + 1);
    close(fd);
    weft_buf_fini(&buf);
    weft_metrics_destroy(metrics);
}

static void lost_log_lines_are_told(void **state)
{
    struct weft_metrics *metrics = weft_metrics_create(1);
    struct weft_log *log = weft_log_create(-1, WEFT_LOG_INFO, WEFT_LOG_JSON, NULL);
    struct weft_buf buf;

    weft_buf_init(&buf, 1 << 20);
    assert_true(value_of(render(metrics, &buf), "weft_log_lines_lost_total") == 0);
    weft_metrics_watch_log(metrics, log);
    weft_log(log, WEFT_LOG_INFO, "e");
    assert_true(value_of(render(metrics, &buf), "weft_log_lines_lost_total") == 1);
    weft_buf_fini(&buf);
    weft_metrics_destroy(metrics);
    weft_log_destroy(log);
}

static void a_small_buffer_is_an_error(void **state)
{
    struct weft_metrics *metrics = weft_metrics_create(1);
    struct weft_buf buf;

    weft_buf_init(&buf, 4096);
    assert_int_equal(weft_metrics_render(metrics, &buf), WEFT_ETOOBIG);
    assert_true(buf.len <= 4096);
    weft_buf_fini(&buf);
    weft_metrics_destroy(metrics);
}

#define THREADS 4
#define ROUNDS  20000

static void *work(void *arg)
{
    struct weft_shard *shard = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        weft_count(shard, WEFT_M_LIVE_EVENTS, 2);
        weft_gauge_add(shard, WEFT_G_SUBSCRIBERS, i % 2 ? -1 : 1);
        weft_observe_ns(shard, WEFT_H_PUBLISH_TO_FLUSH, i * 1000);
    }
    return NULL;
}

/* Scraped while they write: nothing is lost, and the thread sanitizer has nothing to say. */
static void threads_write_while_one_reads(void **state)
{
    struct weft_metrics *metrics = weft_metrics_create(THREADS);
    pthread_t threads[THREADS];
    struct weft_buf buf;
    double last = 0;

    weft_buf_init(&buf, 1 << 20);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, weft_metrics_shard(metrics, i)),
                         0);
    for (int i = 0; i < 20; i++) {
        double now = value_of(render(metrics, &buf), "weft_live_events_total");

        assert_true(now >= last);
        last = now;
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(weft_metrics_counter(metrics, WEFT_M_LIVE_EVENTS), 2 * THREADS * ROUNDS);
    assert_int_equal(weft_metrics_gauge(metrics, WEFT_G_SUBSCRIBERS), 0);
    assert_int_equal(weft_metrics_observed(metrics, WEFT_H_PUBLISH_TO_FLUSH), THREADS * ROUNDS);
    weft_buf_fini(&buf);
    weft_metrics_destroy(metrics);
}

/* WEFT_WRITE_DOCS=1 writes the file instead. */
static void document_is_up_to_date(void **state)
{
    char *made = NULL, *held = NULL;
    size_t made_len = 0, held_len = 0, size = 0;
    FILE *out = open_memstream(&made, &made_len);
    FILE *in;

    weft_metrics_document(out);
    fclose(out);
    if (getenv("WEFT_WRITE_DOCS")) {
        out = fopen(DOCUMENT, "w");
        assert_non_null(out);
        assert_int_equal(fwrite(made, 1, made_len, out), made_len);
        assert_int_equal(fclose(out), 0);
    }
    in = fopen(DOCUMENT, "r");
    if (!in)
        fail_msg("%s is missing: run this test with WEFT_WRITE_DOCS=1", DOCUMENT);
    held_len = (size_t)getdelim(&held, &size, '\0', in);
    fclose(in);
    if (held_len != made_len || memcmp(held, made, made_len) != 0)
        fail_msg("%s is not what metrics.def says: run this test with WEFT_WRITE_DOCS=1", DOCUMENT);
    free(made);
    free(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_summed),
        cmocka_unit_test(durations_fall_into_their_bucket),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(the_text_is_well_formed),
        cmocka_unit_test(the_process_is_told),
        cmocka_unit_test(lost_log_lines_are_told),
        cmocka_unit_test(a_small_buffer_is_an_error),
        cmocka_unit_test(threads_write_while_one_reads),
        cmocka_unit_test(document_is_up_to_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
