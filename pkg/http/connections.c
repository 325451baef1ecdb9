#include "worker_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/fabric/hub.h>
#include <weft/http/board.h>

/*
 * GET /api/connections: who is slow and what is busy, of the whole node. Put together from what each
 * worker has pinned up, so as of about a second ago.
 */

/* A stream in one of the reports. */
struct pick {
    const struct weft_report *report;
    const struct weft_report_stream *stream;
};

static int slowest_first(const void *a, const void *b)
{
    const struct weft_report_stream *x = ((const struct pick *)a)->stream;
    const struct weft_report_stream *y = ((const struct pick *)b)->stream;

    if (x->lag != y->lag) {
        return x->lag > y->lag ? -1 : 1;
    }
    if (x->unsent_bytes != y->unsent_bytes) {
        return x->unsent_bytes > y->unsent_bytes ? -1 : 1;
    }
    return x->stalled_ms == y->stalled_ms ? 0 : x->stalled_ms > y->stalled_ms ? -1 : 1;
}

static int busiest_first(const void *a, const void *b)
{
    const struct weft_report_topic *x = a;
    const struct weft_report_topic *y = b;

    if (x->deliveries_per_s != y->deliveries_per_s) {
        return x->deliveries_per_s > y->deliveries_per_s ? -1 : 1;
    }
    if (x->events_per_s != y->events_per_s) {
        return x->events_per_s > y->events_per_s ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

/* All workers see all events of a topic; subscribers and deliveries are each worker's own. */
static size_t merge_topics(struct weft_report_topic *topics, size_t n,
                           const struct weft_report *report)
{
    size_t before = n;

    for (uint32_t i = 0; i < report->n_topics; i++) {
        const struct weft_report_topic *one = &report->topics[i];
        size_t k = 0;

        while (k < before && strcmp(topics[k].name, one->name) != 0) {
            k++;
        }
        if (k == before) {
            topics[n++] = *one;
            continue;
        }
        topics[k].subscribers += one->subscribers;
        topics[k].deliveries_per_s += one->deliveries_per_s;
        if (one->events_per_s > topics[k].events_per_s) {
            topics[k].events_per_s = one->events_per_s;
        }
    }
    return n;
}

static void print_totals(struct weft_buf *b, const struct weft_call *call,
                         const struct weft_report *sum) WEFT_ON_WORKER
{
    weft_buf_puts(b, "{\"node\":");
    weft_buf_json(b, weft_str(call->worker->o.node_id, strlen(call->worker->o.node_id)));
    weft_buf_printf(b,
                    ",\"totals\":{\"connections\":%llu,\"streams\":%llu,\"polls\":%llu,"
                    "\"reading_log\":%llu,\"lagging\":%llu,\"stalled\":%llu,"
                    "\"unsent_bytes\":%llu}",
                    (unsigned long long)sum->connections, (unsigned long long)sum->streams,
                    (unsigned long long)sum->polls, (unsigned long long)sum->reading_log,
                    (unsigned long long)sum->lagging, (unsigned long long)sum->stalled,
                    (unsigned long long)sum->unsent_bytes);
}

static void add_totals(struct weft_report *sum, const struct weft_report *report)
{
    sum->connections += report->connections;
    sum->streams += report->streams;
    sum->polls += report->polls;
    sum->reading_log += report->reading_log;
    sum->lagging += report->lagging;
    sum->stalled += report->stalled;
    sum->unsent_bytes += report->unsent_bytes;
}

static void answer(struct weft_call *call, uint32_t limit, struct weft_report **reports, uint32_t n)
    WEFT_ON_WORKER
{
    WEFT_ASSERT(n > 0);
    struct weft_report *sum = weft_report_create();
    struct pick *picks = calloc((size_t)n * WEFT_REPORT_STREAMS, sizeof(*picks));
    struct weft_report_topic *topics = calloc((size_t)n * WEFT_REPORT_TOPICS, sizeof(*topics));
    size_t n_picks = 0;
    size_t n_topics = 0;
    struct weft_buf b;

    if (sum == NULL || picks == NULL || topics == NULL) {
        weft_respond_problem(call->req, 503, "busy", "", "out of memory");
        weft_report_unref(sum);
        free(picks);
        free(topics);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (reports[i] == NULL) {
            continue;
        }
        add_totals(sum, reports[i]);
        for (uint32_t k = 0; k < reports[i]->n_slowest; k++) {
            picks[n_picks++] = (struct pick){reports[i], &reports[i]->slowest[k]};
        }
        n_topics = merge_topics(topics, n_topics, reports[i]);
    }
    qsort(picks, n_picks, sizeof(*picks), slowest_first);
    qsort(topics, n_topics, sizeof(*topics), busiest_first);

    weft_buf_init(&b, (size_t)8 * 1024 * 1024);
    print_totals(&b, call, sum);
    weft_buf_puts(&b, ",\"slowest\":[");
    for (size_t i = 0; i < n_picks && i < limit; i++) {
        weft_buf_puts(&b, i > 0 ? "," : "");
        weft_buf_append(&b, picks[i].report->text + picks[i].stream->off, picks[i].stream->len);
    }
    weft_buf_puts(&b, "],\"topics\":[");
    for (size_t i = 0; i < n_topics && i < limit; i++) {
        weft_buf_puts(&b, i > 0 ? ",{\"topic\":" : "{\"topic\":");
        weft_buf_json(&b, weft_str(topics[i].name, strlen(topics[i].name)));
        weft_buf_printf(&b, ",\"subscribers\":%u,\"events_per_s\":%.1f,\"deliveries_per_s\":%.1f}",
                        topics[i].subscribers, topics[i].events_per_s, topics[i].deliveries_per_s);
    }
    weft_buf_puts(&b, "]}");
    weft_respond_json(call->req, 200, weft_str(b.data, b.len));
    weft_buf_fini(&b);
    weft_report_unref(sum);
    free(picks);
    free(topics);
}

void weft_handle_connections(struct weft_call *call)
{
    static const char *const known[] = {"sort", "limit", NULL};
    struct weft_str sort = weft_query_get(call->query, "sort");
    struct weft_report *reports[WEFT_WORKERS_MAX] = {NULL};
    uint32_t n = weft_board_workers(call->worker->o.board);
    uint32_t limit;

    if (!weft_query_allow(call, known) ||
        !weft_query_u32(call, "limit", 1, WEFT_REPORT_STREAMS, 20, &limit)) {
        return;
    }
    if (sort.p != NULL && !weft_str_eq(sort, WEFT_STR("lag"))) {
        weft_respond_problem(call->req, 400, "invalid", "sort", "it must be lag");
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        reports[i] = weft_board_look(call->worker->o.board, i);
    }
    answer(call, limit, reports, n);
    for (uint32_t i = 0; i < n; i++) {
        weft_report_unref(reports[i]);
    }
}
