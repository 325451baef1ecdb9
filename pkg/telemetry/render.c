/* /metrics and docs/metrics.md, from the table and a few values that are not counted here. */
#include <weft/telemetry/metrics.h>

#include <inttypes.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/buf.h>
#include <weft/telemetry/log.h>

#include "metrics_priv.h"

struct row {
    const char *name;
    const char *unit;
    const char *help;
    const char *label; /* of one of those that share a name; else NULL */
    const char *about; /* what they are together */
    bool is_ms;        /* kept in milliseconds, shown in seconds */
};

#define NAMED(n, u, h)                        \
    {                                         \
        .name = (n), .unit = (u), .help = (h) \
    }
#define ROW(id, n, u, h) NAMED(n, u, h),

static const struct row counters[] = {
#define WEFT_COUNTER ROW
#define WEFT_COUNTER_OF(id, n, a, l, u, h) \
    {.name = (n), .unit = (u), .help = (h), .label = (l), .about = (a)},
#include <weft/telemetry/metrics.def>
};

static const struct row gauges[] = {
#define WEFT_GAUGE                 ROW
#define WEFT_GAUGE_MS(id, n, u, h) {.name = (n), .unit = (u), .help = (h), .is_ms = true},
#include <weft/telemetry/metrics.def>
};

static const struct row histograms[] = {
#define WEFT_HISTOGRAM ROW
#include <weft/telemetry/metrics.def>
};

enum extra {
    EXTRA_BUILD_INFO,
    EXTRA_LOG_LOST,
    EXTRA_RESIDENT,
    EXTRA_CPU,
    EXTRA_OPEN_FDS,
    EXTRA_MAX_FDS,
    EXTRA_START,
};

static const struct extra_row {
    struct row row;
    const char *type;
} extras[] = {
    [EXTRA_BUILD_INFO] = {NAMED("weft_build_info", "always 1",
                                "Version of the program, as a label."),
                          "gauge"},
    [EXTRA_LOG_LOST] = {NAMED("weft_log_lines_lost_total", "lines",
                              "Log lines that could not be written."),
                        "counter"},
    [EXTRA_RESIDENT] = {NAMED("process_resident_memory_bytes", "bytes", "Resident memory."),
                        "gauge"},
    [EXTRA_CPU] = {NAMED("process_cpu_seconds_total", "seconds", "User and system CPU time spent."),
                   "counter"},
    [EXTRA_OPEN_FDS] = {NAMED("process_open_fds", "descriptors", "Open file descriptors."),
                        "gauge"},
    [EXTRA_MAX_FDS] = {NAMED("process_max_fds", "descriptors", "Limit of open file descriptors."),
                       "gauge"},
    [EXTRA_START] = {NAMED("process_start_time_seconds", "seconds",
                           "Start of the process, in seconds since 1970."),
                     "gauge"},
};

/* The bounds as Prometheus has them in the label `le`. */
static const char *const bound_texts[WEFT_METRICS_BOUNDS] = {
    "0.00001", "0.000025", "0.00005", "0.0001", "0.00025", "0.0005", "0.001",
    "0.0025",  "0.005",    "0.01",    "0.025",  "0.05",    "0.1",    "0.25",
    "0.5",     "1",        "2.5",     "5",      "10"};

static void render_head(struct weft_buf *out, const struct row *row, const char *type)
{
    weft_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name,
                    row->about != NULL ? row->about : row->help, row->name, type);
}

static void render_histogram(struct weft_buf *out, const struct row *row,
                             const struct weft_histogram_sum *sum)
{
    uint64_t below = 0;

    render_head(out, row, "histogram");
    for (size_t k = 0; k < WEFT_METRICS_BOUNDS; k++) {
        below += sum->buckets[k];
        weft_buf_printf(out, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", row->name, bound_texts[k],
                        below);
    }
    weft_buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", row->name, sum->count);
    weft_buf_printf(out, "%s_sum %" PRIu64 ".%09" PRIu64 "\n", row->name, sum->sum_ns / 1000000000u,
                    sum->sum_ns % 1000000000u);
    weft_buf_printf(out, "%s_count %" PRIu64 "\n", row->name, sum->count);
}

static void render_extra(struct weft_buf *out, const struct weft_metrics *metrics,
                         const struct weft_process *process, enum extra which)
{
    const struct row *row = &extras[which].row;

    render_head(out, row, extras[which].type);
    weft_buf_puts(out, row->name);
    switch (which) {
    case EXTRA_BUILD_INFO:
        weft_buf_puts(out, "{version=\"" WEFT_VERSION "\"} 1");
        break;
    case EXTRA_LOG_LOST:
        weft_buf_printf(out, " %" PRIu64, metrics->log ? weft_log_lost(metrics->log) : 0);
        break;
    case EXTRA_RESIDENT:
        weft_buf_printf(out, " %" PRIu64, process->resident_bytes);
        break;
    case EXTRA_CPU:
        weft_buf_printf(out, " %.6f", process->cpu_seconds);
        break;
    case EXTRA_OPEN_FDS:
        weft_buf_printf(out, " %" PRIu64, process->open_fds);
        break;
    case EXTRA_MAX_FDS:
        weft_buf_printf(out, " %" PRIu64, process->max_fds);
        break;
    case EXTRA_START:
        weft_buf_printf(out, " %.2f", metrics->start_seconds);
        break;
    }
    weft_buf_puts(out, "\n");
}

int weft_metrics_render(const struct weft_metrics *metrics, struct weft_buf *out)
{
    struct weft_process process;
    struct weft_histogram_sum sum;

    for (unsigned i = 0; i < WEFT_M_COUNT_; i++) {
        const struct row *row = &counters[i];

        if (i == 0 || strcmp(row->name, counters[i - 1].name) != 0)
            render_head(out, row, "counter");
        weft_buf_puts(out, row->name);
        if (row->label != NULL)
            weft_buf_printf(out, "{%s}", row->label);
        weft_buf_printf(out, " %" PRIu64 "\n", weft_metrics_counter(metrics, (enum weft_counter)i));
    }
    for (unsigned i = 0; i < WEFT_G_COUNT_; i++) {
        int64_t n = weft_metrics_gauge(metrics, (enum weft_gauge)i);

        render_head(out, &gauges[i], "gauge");
        if (gauges[i].is_ms)
            weft_buf_printf(out, "%s %.3f\n", gauges[i].name, (double)n / 1000.0);
        else
            weft_buf_printf(out, "%s %" PRId64 "\n", gauges[i].name, n);
    }
    for (unsigned i = 0; i < WEFT_H_COUNT_; i++) {
        weft_metrics_sum(metrics, (enum weft_histogram)i, &sum);
        render_histogram(out, &histograms[i], &sum);
    }
    weft_process_read(&process);
    for (unsigned i = 0; i < WEFT_COUNT_OF(extras); i++)
        render_extra(out, metrics, &process, (enum extra)i);
    return out->toobig ? WEFT_ETOOBIG : 0;
}

static const char intro[] =
    "# Metrics\n"
    "\n"
    "<!-- Made from pkg/telemetry/include/weft/telemetry/metrics.def; a unit test compares. To "
    "write it\n"
    "     anew: WEFT_WRITE_DOCS=1 and run the test of the metrics document. -->\n"
    "\n"
    "A node shows these at `/metrics` in the Prometheus text format. Counters begin at 0 with the "
    "process.\n"
    "Histograms have the buckets 10 µs, 25 µs, 50 µs, 100 µs and so on to 10 s. What is told of "
    "each service, `service_*`,\n"
    "stands in [services.md](services.md#metrics).\n";

static void document_head(FILE *out, const char *title)
{
    fprintf(out, "\n## %s\n\n| Metric | Unit | Meaning |\n| --- | --- | --- |\n", title);
}

static void document_rows(FILE *out, const char *title, const struct row *rows, size_t len)
{
    document_head(out, title);
    for (size_t i = 0; i < len; i++) {
        if (rows[i].label != NULL)
            fprintf(out, "| `%s{%s}` | %s | %s |\n", rows[i].name, rows[i].label, rows[i].unit,
                    rows[i].help);
        else
            fprintf(out, "| `%s` | %s | %s |\n", rows[i].name, rows[i].unit, rows[i].help);
    }
}

void weft_metrics_document(FILE *out)
{
    fputs(intro, out);
    document_rows(out, "Counters", counters, WEFT_COUNT_OF(counters));
    document_rows(out, "Gauges", gauges, WEFT_COUNT_OF(gauges));
    document_rows(out, "Histograms", histograms, WEFT_COUNT_OF(histograms));
    document_head(out, "Program and process");
    for (size_t i = 0; i < WEFT_COUNT_OF(extras); i++)
        fprintf(out, "| `%s` | %s | %s |\n", extras[i].row.name, extras[i].row.unit,
                extras[i].row.help);
}
