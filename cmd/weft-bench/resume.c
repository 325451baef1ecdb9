/*
 * weft-bench resume - what a resume costs when the log is long, and when there are many other topics.
 *
 * A private Redis that trims nothing and one node. Topics of a thousand events up to `events` are
 * filled; a resume of the last hundred of each is timed, always from Redis: nobody follows these
 * topics, so the node has no ring of them, and each resume has a cursor of its own, so no page is
 * kept of it. Then the longest log is read from its beginning while the node's memory is watched.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>

#include "proc.h"
#include "pubs.h"
#include "scrape.h"
#include "stage.h"

#define RESUMED     100
#define SAMPLES     31
#define FILL_BATCH  500
#define READ_BYTES  (1u << 20)
#define TIMEOUT_MS  120000
#define ID_SIZE     48
#define SIZES_MAX   8
#define OTHERS_MANY 10000

struct resume {
    const struct resume_plan *plan;
    struct stage stage;
    struct bench bench;
    struct report *report;
};

/* Publishes n events to topics bench-<run>-0 .. The record has the names. False: in the report. */
static bool fill(struct resume *r, struct record *record, uint64_t n, uint64_t batch,
                 uint64_t topics)
{
    struct poller poller;
    struct pubs pubs = {.poller = &poller,
                        .servers = r->bench.servers,
                        .n_servers = 1,
                        .record = record,
                        .connections = 4,
                        .payload_bytes = 128};
    bool ok;

    record_init(record, (uint32_t)n, (uint32_t)batch, (uint32_t)topics);
    poller_init(&poller);
    ok = pubs_init(&pubs) && pubs_run(&pubs, weft_clock_mono_ns() + (uint64_t)TIMEOUT_MS * 1000000);
    if (!ok)
        report_fail(r->report, "the topics cannot be filled: %s", pubs.trouble);
    pubs_fini(&pubs);
    poller_fini(&poller);
    return ok;
}

/* The newest ids of a topic, newest first. */
static size_t newest_ids(const struct resume *r, const char *topic, char ids[][ID_SIZE], size_t n)
{
    static const char mark[] = "\"id\":\"";
    struct weft_buf text;
    char path[320];
    const char *at;
    size_t found = 0;

    snprintf(path, sizeof(path), "/api/topics/%s/events?order=desc&limit=%zu", topic, n);
    weft_buf_init(&text, 8u << 20);
    if (scrape_get(&r->bench.servers[0], path, &text)) {
        for (at = text.data; found < n && (at = strstr(at, mark)) != NULL; found++) {
            at += sizeof(mark) - 1;
            snprintf(ids[found], ID_SIZE, "%.*s", (int)strcspn(at, "\""), at);
        }
    }
    weft_buf_fini(&text);
    return found;
}

static int open_stream(const struct resume *r, const char *topic, const char *start)
{
    struct pollfd out = {.events = POLLOUT};
    char request[512];
    int len = snprintf(
        request, sizeof(request),
        "GET /api/events?topic=%s&%s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n",
        topic, start);

    out.fd = server_connect(&r->bench.servers[0], 0);
    if (out.fd >= 0 && (poll(&out, 1, 5000) != 1 ||
                        send(out.fd, request, (size_t)len, MSG_NOSIGNAL) != (ssize_t)len)) {
        close(out.fd);
        out.fd = -1;
    }
    return out.fd;
}

/*
 * Reads the stream until the event with this id has begun to come. Counts events by their `data:`
 * lines with an id; peak_kib, if not NULL, becomes the node's largest memory meanwhile.
 */
static bool read_until(const struct resume *r, int fd, const char *id, uint64_t *events,
                       uint64_t *peak_kib)
{
    static const char mark[] = "data: {\"id\":\"";
    static char buffer[READ_BYTES + ID_SIZE * 4];
    size_t kept = 0; /* the end of the last read: a mark may lie across two */
    char last[ID_SIZE + 8];
    size_t last_len = (size_t)snprintf(last, sizeof(last), "id: %s\n", id);

    for (*events = 0;;) {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        const char *at;
        ssize_t n;
        bool done;

        if (poll(&in, 1, TIMEOUT_MS) != 1 || (n = recv(fd, buffer + kept, READ_BYTES, 0)) <= 0)
            return false;
        size_t len = kept + (size_t)n;

        done = memmem(buffer, len, last, last_len) != NULL;
        for (at = buffer; (at = memmem(at, len - (size_t)(at - buffer), mark, sizeof(mark) - 1));
             at++)
            (*events)++;
        kept = len < sizeof(last) ? len : sizeof(last);
        memmove(buffer, buffer + len - kept, kept);
        /* What is kept is searched again: a whole mark in it must not be counted twice. */
        for (at = buffer; (at = memmem(at, kept - (size_t)(at - buffer), mark, sizeof(mark) - 1));
             at++)
            (*events)--;
        if (peak_kib != NULL) {
            uint64_t kib = proc_rss_kib(r->bench.server_pid);

            *peak_kib = kib > *peak_kib ? kib : *peak_kib;
        }
        if (done)
            return true;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* A topic whose resumes are timed. */
struct timed {
    char topic[256];
    char ids[RESUMED + 2 * SAMPLES][ID_SIZE]; /* newest first */
    double times[SAMPLES];
    size_t n;
};

static bool timed_init(struct resume *r, struct timed *t, const struct record *record)
{
    struct weft_buf name;

    weft_buf_init(&name, 256);
    record_topic(record, 0, &name);
    snprintf(t->topic, sizeof(t->topic), "%.*s", (int)name.len, name.data);
    weft_buf_fini(&name);
    if (newest_ids(r, t->topic, t->ids, RESUMED + 2 * SAMPLES) == RESUMED + 2 * SAMPLES)
        return true;
    report_fail(r->report, "the newest events of %s cannot be read", t->topic);
    return false;
}

/* One more resume of a hundred events and some, with a cursor that was not used before. */
static bool time_one(struct resume *r, struct timed *t, size_t cursor)
{
    uint64_t begin = weft_clock_mono_ns(), events = 0;
    char start[ID_SIZE + 16];
    bool ok;
    int fd;

    snprintf(start, sizeof(start), "lastEventId=%s", t->ids[RESUMED + cursor]);
    fd = open_stream(r, t->topic, start);
    ok = fd >= 0 && read_until(r, fd, t->ids[0], &events, NULL);
    t->times[t->n++] = (double)(weft_clock_mono_ns() - begin) / 1e6;
    if (fd >= 0)
        close(fd);
    if (!ok)
        report_fail(r->report, "a resume of %s did not come to its end", t->topic);
    return ok;
}

static double median(struct timed *t)
{
    qsort(t->times, t->n, sizeof(t->times[0]), by_value);
    return t->times[t->n / 2];
}

/* Everything from the beginning, as fast as it comes. */
static void read_all(struct resume *r, const char *topic, uint64_t n)
{
    static char newest[1][ID_SIZE];
    uint64_t before = proc_rss_kib(r->bench.server_pid), peak = before, events = 0;
    uint64_t begin = weft_clock_mono_ns();
    int fd = -1;

    if (newest_ids(r, topic, newest, 1) == 1)
        fd = open_stream(r, topic, "since=earliest");
    if (fd < 0 || !read_until(r, fd, newest[0], &events, &peak))
        report_fail(r->report, "the longest log was not read to its end");
    else if (events != n)
        report_fail(r->report, "%llu of %llu events came", (unsigned long long)events,
                    (unsigned long long)n);
    if (fd >= 0)
        close(fd);
    double seconds = (double)(weft_clock_mono_ns() - begin) / 1e9;

    report_add(r->report, "long_events", "events of the longest resume", (double)events, 0);
    report_add(r->report, "long_events_per_s", "events a second of it", (double)events / seconds,
               0);
    report_add(r->report, "long_growth_mib", "memory that the node grew by meanwhile, MiB",
               (double)(peak - before) / 1024, 2);
}

/* Logs of growing length, in turn, so that a machine that changes its pace does so to all. */
static void by_length(struct resume *r, struct timed *logs)
{
    static char keys[SIZES_MAX][32], labels[SIZES_MAX][64];
    uint64_t longest = 0;
    size_t n_logs = 0;

    for (uint64_t n = 1000; n <= r->plan->events && n_logs < SIZES_MAX && !r->report->failed;
         n *= 10) {
        struct record record;

        fprintf(stderr, "resume: a log of %llu events\n", (unsigned long long)n);
        if (fill(r, &record, n, FILL_BATCH, 1) && timed_init(r, &logs[n_logs], &record)) {
            longest = n;
            n_logs++;
        }
        record_fini(&record);
    }
    for (size_t i = 0; i < SAMPLES && !r->report->failed; i++) {
        for (size_t k = 0; k < n_logs && time_one(r, &logs[k], i); k++) {
        }
    }
    if (r->report->failed)
        return;
    double first = median(&logs[0]), last = median(&logs[n_logs - 1]);

    for (size_t k = 0, n = 1000; k < n_logs; k++, n *= 10) {
        snprintf(keys[k], sizeof(keys[k]), "resume_%zu_ms", n);
        snprintf(labels[k], sizeof(labels[k]), "resume of 100 events of %zu, ms", n);
        report_add(r->report, keys[k], labels[k], median(&logs[k]), 3);
    }
    report_add(r->report, "length_ratio", "the longest log to the shortest", last / first, 2);
    read_all(r, logs[n_logs - 1].topic, longest);
}

/* The shortest log again, among many other topics. */
static void by_topics(struct resume *r, struct timed *log)
{
    double alone = median(log);
    struct record record;

    fprintf(stderr, "resume: %u other topics\n", OTHERS_MANY);
    if (fill(r, &record, OTHERS_MANY, 1, OTHERS_MANY)) {
        log->n = 0;
        for (size_t i = 0; i < SAMPLES && time_one(r, log, SAMPLES + i); i++) {
        }
        report_add(r->report, "topics_10000_ms", "of 1,000, among 10,000 other topics, ms",
                   median(log), 3);
        report_add(r->report, "topics_ratio", "among many topics to among few", median(log) / alone,
                   2);
    }
    record_fini(&record);
}

static void measure(const struct resume_plan *plan, const char *bin, struct report *report)
{
    struct resume r = {.plan = plan, .report = report};
    static struct timed logs[SIZES_MAX];

    report_init(report, "resume");
    setenv("WEFT_HISTORY_MAX_EVENTS", "0", 1);
    setenv("WEFT_DRAIN_PERIOD_MS", "0", 1);
    if (!stage_init(&r.stage, bin, plan->workers) || !stage_node(&r.stage, 0, &r.bench)) {
        report_fail(report, "the node cannot be started");
    } else {
        by_length(&r, logs);
        if (!report->failed)
            by_topics(&r, &logs[0]);
    }
    stage_fini(&r.stage);
}

int resume_run(int argc, char **argv)
{
    struct resume_plan plan = RESUME_PLAN;
    struct args_list words;
    struct report report;
    const char *bin = NULL;
    bool json = false;
    const struct arg table[] = {
        ARG_IS_STRING("bin", "DIR", &bin, "where weftd is (default: beside this program)"),
        ARG_IS_NUMBER("events", 1000, 10000000, &plan.events,
                      "of the longest log (default: 1000000)"),
        ARG_IS_NUMBER("workers", 1, 256, &plan.workers, "of the node (default: its own)"),
        ARG_IS_FLAG("json", &json, "print one JSON object"),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 0, 0, &words)) {
    case ARGS_HELP:
        puts("usage: weft-bench resume [options]\n\n"
             "Starts a private Redis and a node, and times the resume of a hundred events from\n"
             "logs of growing length and among many other topics; then reads the longest log\n"
             "whole and watches the node's memory.\n");
        args_print(table);
        return BENCH_GOOD;
    case ARGS_BAD:
        return BENCH_USAGE;
    case ARGS_OK:
        break;
    }
    measure(&plan, bin, &report);
    return bench_end(&report, json);
}
