#include "worker_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/clock.h>
#include <weft/http/board.h>

/*
 * Which streams are the slowest and which topics the busiest. Each stream shows itself at its tick,
 * once a second; the slowest are remembered by their tickets, since they may end before the round is
 * over, and are described when it is. Nothing is done for an event.
 */

#define SLOW_MS      1000  /* behind for so long is worth a line in the log */
#define SLOW_LINE_MS 10000 /* but not more often than this */

/* Sorted by lag first: it is what a client is short of. */
static bool is_slower(const struct weft_seen *a, const struct weft_seen *b)
{
    if (a->lag != b->lag) {
        return a->lag > b->lag;
    }
    if (a->unsent_bytes != b->unsent_bytes) {
        return a->unsent_bytes > b->unsent_bytes;
    }
    return a->stalled_ms > b->stalled_ms;
}

void weft_slowest_saw(struct weft_worker *worker, const struct weft_receiver *rx,
                      struct weft_seen seen)
{
    struct weft_round *round = &worker->round;
    size_t at;

    if (rx->describe == NULL) {
        round->polls++;
        return;
    }
    round->streams++;
    round->reading_log += rx->sub.mode == WEFT_SUB_LOG ? 1 : 0;
    round->lagging += seen.lag > 0 ? 1 : 0;
    round->stalled += seen.stalled_ms >= SLOW_MS ? 1 : 0;
    round->unsent_bytes += seen.unsent_bytes;
    seen.ticket = rx->waiting.ticket;
    /* From the end, since nearly all have less to tell than those that are there. */
    at = round->n;
    while (at > 0 && is_slower(&seen, &round->slowest[at - 1])) {
        at--;
    }
    if (at == WEFT_REPORT_STREAMS) {
        return;
    }
    if (round->n < WEFT_REPORT_STREAMS) {
        round->n++;
    }
    memmove(&round->slowest[at + 1], &round->slowest[at],
            (round->n - 1 - at) * sizeof(round->slowest[0]));
    round->slowest[at] = seen;
}

/* ---- topics ---- */

struct busiest {
    struct weft_report *report;
    double seconds;
};

static bool is_busier(const struct weft_report_topic *a, const struct weft_report_topic *b)
{
    if (a->deliveries_per_s != b->deliveries_per_s) {
        return a->deliveries_per_s > b->deliveries_per_s;
    }
    return a->events_per_s > b->events_per_s;
}

static void saw_topic(void *arg, const struct weft_topic_load *load)
{
    struct busiest *b = arg;
    struct weft_report *report = b->report;
    struct weft_report_topic topic = {
        .subscribers = load->subscribers,
        .events_per_s = (double)load->events / b->seconds,
        .deliveries_per_s = (double)load->deliveries / b->seconds,
    };
    uint32_t at = report->n_topics;

    while (at > 0 && is_busier(&topic, &report->topics[at - 1])) {
        at--;
    }
    if (at == WEFT_REPORT_TOPICS) {
        return;
    }
    memcpy(topic.name, load->name.p, load->name.len);
    if (report->n_topics < WEFT_REPORT_TOPICS) {
        report->n_topics++;
    }
    memmove(&report->topics[at + 1], &report->topics[at],
            (report->n_topics - 1 - at) * sizeof(report->topics[0]));
    report->topics[at] = topic;
}

/* ---- the end of a round ---- */

static struct weft_receiver *receiver_of(struct weft_worker *worker, struct weft_ticket ticket)
    WEFT_ON_WORKER
{
    struct weft_waiting *w = weft_ticket_find(worker, ticket);

    return w == NULL ? NULL : WEFT_CONTAINER_OF(w, struct weft_receiver, waiting);
}

static void describe_all(struct weft_worker *worker, struct weft_report *report) WEFT_ON_WORKER
{
    const struct weft_round *round = &worker->round;
    struct weft_buf b;

    weft_buf_init(&b, (size_t)4 * 1024 * 1024);
    for (size_t i = 0; i < round->n; i++) {
        const struct weft_seen *seen = &round->slowest[i];
        struct weft_receiver *rx = receiver_of(worker, seen->ticket);
        struct weft_report_stream *stream = &report->slowest[report->n_slowest];
        size_t off = b.len;

        if (rx == NULL) {
            continue; /* it has ended */
        }
        rx->describe(rx, seen, &b);
        if (b.toobig) {
            break;
        }
        *stream = (struct weft_report_stream){seen->lag, seen->unsent_bytes, seen->stalled_ms,
                                              (uint32_t)off, (uint32_t)(b.len - off)};
        report->n_slowest++;
    }
    if (b.len > 0) {
        report->text = malloc(b.len);
        if (report->text == NULL) {
            report->n_slowest = 0;
        } else {
            memcpy(report->text, b.data, b.len);
        }
    }
    weft_buf_fini(&b);
}

/* The slowest one by name, for those who read logs. */
static void warn(struct weft_worker *worker) WEFT_ON_WORKER
{
    struct weft_round *round = &worker->round;

    for (size_t i = 0; i < round->n; i++) {
        const struct weft_seen *seen = &round->slowest[i];
        struct weft_receiver *rx = receiver_of(worker, seen->ticket);
        struct weft_stream_name name = {.request_id = ""};
        struct weft_buf shown;

        if (seen->behind_ms < SLOW_MS || rx == NULL) {
            continue;
        }
        if (worker->warned_ms != 0 && worker->now_ms - worker->warned_ms < SLOW_LINE_MS) {
            return;
        }
        worker->warned_ms = worker->now_ms;
        rx->name(rx, &name);
        weft_buf_init(&shown, sizeof(name.stream) + 8);
        weft_stream_id_hide(&shown, weft_str(name.stream, strlen(name.stream)));
        weft_log(worker->o.log, WEFT_LOG_WARN, "subscriber.slow", WEFT_S("stream", shown.data),
                 WEFT_S("peer", name.peer), WEFT_S("request_id", name.request_id),
                 WEFT_S("slow", weft_slow_word(rx->sub.slow)), WEFT_U("lag", seen->lag),
                 WEFT_U("unsent_bytes", seen->unsent_bytes), WEFT_U("behind_ms", seen->behind_ms),
                 WEFT_U("stalled_ms", seen->stalled_ms), WEFT_U("stalled", round->stalled));
        weft_buf_fini(&shown);
        return;
    }
}

void weft_slowest_report(struct weft_worker *worker)
{
    struct weft_round *round = &worker->round;
    struct weft_report *report = weft_report_create();
    uint64_t ms = worker->now_ms - round->began_ms;

    weft_gauge_set(worker->o.shard, WEFT_G_SUBSCRIBERS_READING, (int64_t)round->reading_log);
    weft_gauge_set(worker->o.shard, WEFT_G_SUBSCRIBER_LAG,
                   round->n == 0 ? 0 : (int64_t)round->slowest[0].lag);
    if (report != NULL) {
        struct busiest b = {report, (double)(ms > 0 ? ms : 1) / 1000};

        report->connections = worker->connections;
        report->streams = round->streams;
        report->polls = round->polls;
        report->reading_log = round->reading_log;
        report->lagging = round->lagging;
        report->stalled = round->stalled;
        report->unsent_bytes = round->unsent_bytes;
        describe_all(worker, report);
        weft_fanout_loads(worker->fanout, saw_topic, &b);
        weft_board_pin(worker->o.board, worker->o.index, report);
    }
    warn(worker);
    memset(round, 0, sizeof(*round));
    round->began_ms = worker->now_ms;
}
