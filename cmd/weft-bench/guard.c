/*
 * weft-bench guard - breakers: what an allow costs, and how late the last call is after one has opened.
 *
 * Three measurements: the look into the table that a worker makes for each call (in this process, with the
 * node's own code); acquires over HTTP, pipelined; and three nodes with callers that never stop
 * asking, while the breaker is forced open again and again: the time from before that was asked for to the
 * last answer that let a call through, on whatever node. It cannot be longer than this.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/base/random.h>
#include <weft/guard/breaker_cache.h>
#include <weft/telemetry/metrics.h>

#include "stage.h"

#define NAME            "bench"
#define NAMES_MAX       10000
#define ANSWER_MAX      1024
#define REQUEST_MAX     512
#define PIPELINE        64
#define OPEN_NS         150000000 /* it stays open, and closed, for so long */
#define SECOND_NS       1000000000
#define CALLERS_MAX     1000
#define REPETITIONS_MAX 10000

struct plan {
    uint64_t allows, names, acquires, callers, repetitions, workers;
};

/* ---- in this process ---- */

static void measure_allow(const struct plan *plan, struct report *report)
{
    struct weft_metrics *metrics = weft_metrics_create(1);
    struct weft_breaker_cache *cache = NULL;
    struct weft_breaker_view view = {.version = 1, .epoch = 1};
    struct weft_breaker_said said;
    char(*names)[24] = calloc(plan->names, sizeof(*names));
    uint64_t rng = 42;
    uint64_t allowed = 0;
    uint64_t begin_ns;
    double s;

    weft_role_assert_worker(pthread_self());
    WEFT_ASSERT(metrics != NULL && names != NULL);
    if (weft_breaker_cache_create(&cache, weft_metrics_shard(metrics, 0)) != 0) {
        report_fail(report, "no cache");
        return;
    }
    weft_breaker_config_init(&view.cfg);
    weft_breaker_cache_redis(cache, true);
    for (uint64_t i = 0; i < plan->names; i++) {
        int n = snprintf(names[i], sizeof(names[i]), "service:%" PRIu64, i);

        weft_breaker_cache_view(cache, weft_str(names[i], (size_t)n), &view, 0);
    }
    begin_ns = weft_clock_mono_ns();
    for (uint64_t i = 0; i < plan->allows; i++) {
        const char *name = names[weft_random_next(&rng) % plan->names];

        allowed += weft_breaker_cache_allow(cache, weft_str(name, strlen(name)), 1, &said) ==
                   WEFT_BREAKER_ALLOW;
    }
    s = (double)(weft_clock_mono_ns() - begin_ns) / SECOND_NS;
    report_add(report, "allows_per_s", "allows a second and thread, closed breakers",
               (double)plan->allows / s, 0);
    report_add(report, "allow_ns", "one allow, ns", s * 1e9 / (double)plan->allows, 1);
    if (allowed != plan->allows)
        report_fail(report, "a closed breaker did not let a call through");
    weft_breaker_cache_destroy(cache);
    weft_metrics_destroy(metrics);
    free(names);
}

/* ---- a connection that blocks ---- */

struct caller {
    const struct bench *bench;
    unsigned server;
    pthread_t thread;
    int fd;
    char in[PIPELINE * ANSWER_MAX];
    size_t in_len;
    char request[REQUEST_MAX];
    size_t request_len;
    atomic_bool *over;
    _Atomic uint64_t allowed_ns; /* when the last call was let through */
    _Atomic uint64_t calls;
    _Atomic bool allowed; /* as the last answer said */
    atomic_bool failed;
};

static bool open_caller(struct caller *c, uint32_t number, const char *method, const char *what,
                        const char *body)
{
    const struct server *server = &c->bench->servers[c->server];
    struct pollfd writable = {.events = POLLOUT};
    int n;

    c->fd = server_connect(server, number);
    writable.fd = c->fd;
    if (c->fd < 0 || poll(&writable, 1, 5000) != 1)
        return false;
    (void)fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) & ~O_NONBLOCK);
    n = snprintf(c->request, sizeof(c->request),
                 "%s /api/breakers/" NAME
                 "%s HTTP/1.1\r\nhost: %s\r\ncontent-length: %zu\r\n\r\n%s",
                 method, what, server->authority, strlen(body), body);
    c->request_len = (size_t)n;
    return true;
}

static bool send_all(struct caller *c, const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* The next answer's length in c->in; 0: the connection ended. */
static size_t wait_answer(struct caller *c)
{
    for (;;) {
        const char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
        const char *length = end == NULL ? NULL : memmem(c->in, c->in_len, "ontent-", 7);
        ssize_t n;

        while (length != NULL && strncasecmp(length, "ontent-length: ", 15) != 0)
            length = memmem(length + 1, (size_t)(end - length), "ontent-", 7);
        if (end != NULL && length != NULL) {
            size_t all = (size_t)(end + 4 - c->in) + strtoul(length + 15, NULL, 10);

            if (all <= c->in_len)
                return all;
        }
        if (c->in_len == sizeof(c->in))
            return 0;
        n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, 0);
        if (n <= 0)
            return 0;
        c->in_len += (size_t)n;
    }
}

/* Takes one answer of status 200 or 201; *ret_allowed: whether it lets a call through. */
static bool take_answer(struct caller *c, bool *ret_allowed)
{
    size_t len = wait_answer(c);
    bool good = len > 12 && memcmp(c->in, "HTTP/1.1 20", 11) == 0;

    if (good) {
        *ret_allowed = memmem(c->in, len, "\"allowed\":true", 14) != NULL;
        c->in_len -= len;
        memmove(c->in, c->in + len, c->in_len);
    }
    return good;
}

/* One request of its own, answered. */
static bool once(const struct bench *bench, const char *method, const char *what, const char *body)
{
    struct caller *c = calloc(1, sizeof(*c));
    bool allowed;
    bool good;

    WEFT_ASSERT(c != NULL);
    c->bench = bench;
    good = open_caller(c, 0, method, what, body) && send_all(c, c->request, c->request_len) &&
           take_answer(c, &allowed);
    if (c->fd >= 0)
        (void)close(c->fd);
    free(c);
    return good;
}

/* ---- acquires, pipelined ---- */

static void measure_acquires(const struct bench *bench, const struct plan *plan,
                             struct report *report)
{
    struct caller *c = calloc(1, sizeof(*c));
    char *batch = malloc((size_t)PIPELINE * REQUEST_MAX);
    uint64_t done = 0;
    uint64_t begin_ns = weft_clock_mono_ns();
    bool good;

    WEFT_ASSERT(c != NULL && batch != NULL);
    c->bench = bench;
    good = open_caller(c, 0, "POST", "/acquire", "");
    for (size_t i = 0; i < PIPELINE; i++)
        memcpy(batch + i * c->request_len, c->request, c->request_len);
    while (good && done < plan->acquires) {
        good = send_all(c, batch, c->request_len * PIPELINE);
        for (size_t i = 0; good && i < PIPELINE; i++) {
            bool allowed = false;

            good = take_answer(c, &allowed) && allowed;
            done++;
        }
    }
    if (!good)
        report_fail(report, "an acquire on a closed breaker was not allowed");
    report_add(report, "acquires_per_s", "acquires a second over one connection, pipelined",
               (double)done / ((double)(weft_clock_mono_ns() - begin_ns) / SECOND_NS), 0);
    if (c->fd >= 0)
        (void)close(c->fd);
    free(batch);
    free(c);
}

/* ---- how late ---- */

static void *ask_for_ever(void *arg)
{
    struct caller *c = arg;
    bool allowed = false;

    while (!atomic_load(c->over)) {
        if (!send_all(c, c->request, c->request_len) || !take_answer(c, &allowed)) {
            atomic_store(&c->failed, true);
            break;
        }
        if (allowed)
            atomic_store(&c->allowed_ns, weft_clock_mono_ns());
        atomic_store(&c->allowed, allowed);
        atomic_fetch_add(&c->calls, 1);
    }
    return NULL;
}

/* False: some caller still gets another answer after seconds. */
static bool wait_for_all(const struct caller *callers, uint64_t n, bool allowed)
{
    static const struct timespec nap = {.tv_nsec = OPEN_NS};

    for (int i = 0; i < 50; i++) {
        bool all = true;

        (void)nanosleep(&nap, NULL);
        for (uint64_t k = 0; k < n; k++)
            all = all && atomic_load(&callers[k].allowed) == allowed;
        if (all)
            return true;
    }
    return false;
}

static double open_once(const struct bench *bench, const struct caller *callers, uint64_t n,
                        struct report *report)
{
    uint64_t begin_ns = weft_clock_mono_ns();
    uint64_t last_ns = begin_ns;

    if (!once(bench, "POST", "/force", "{\"state\":\"open\"}") || !wait_for_all(callers, n, false))
        report_fail(report, "it does not open everywhere");
    for (uint64_t i = 0; i < n; i++) {
        uint64_t ns = atomic_load(&callers[i].allowed_ns);

        last_ns = ns > last_ns ? ns : last_ns;
    }
    if (!once(bench, "POST", "/force", "{\"state\":\"auto\"}") || !wait_for_all(callers, n, true))
        report_fail(report, "it does not close everywhere");
    return (double)(last_ns - begin_ns) / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure_lateness(const struct bench *bench, const struct plan *plan,
                             struct report *report)
{
    struct caller *callers = calloc(plan->callers, sizeof(*callers));
    double *late = calloc(plan->repetitions, sizeof(*late));
    atomic_bool over = false;
    uint64_t n = 0;
    uint64_t calls = 0;
    uint64_t begin_ns = weft_clock_mono_ns();

    WEFT_ASSERT(callers != NULL && late != NULL);
    for (; n < plan->callers && !report->failed; n++) {
        struct caller *c = &callers[n];

        c->bench = bench;
        c->server = (unsigned)(n % bench->n_servers);
        c->over = &over;
        if (!open_caller(c, (uint32_t)n, "POST", "/acquire", "") ||
            pthread_create(&c->thread, NULL, ask_for_ever, c) != 0) {
            report_fail(report, "caller %" PRIu64 " cannot connect: %s", n, strerror(errno));
            break;
        }
    }
    if (!report->failed && !wait_for_all(callers, n, true))
        report_fail(report, "not all nodes know the breaker");
    for (uint64_t i = 0; i < plan->repetitions && !report->failed; i++)
        late[i] = open_once(bench, callers, n, report);
    atomic_store(&over, true);
    for (uint64_t i = 0; i < n; i++) {
        (void)pthread_join(callers[i].thread, NULL);
        (void)close(callers[i].fd);
        calls += atomic_load(&callers[i].calls);
        if (atomic_load(&callers[i].failed))
            report_fail(report, "a caller got a wrong answer, or none");
    }
    qsort(late, plan->repetitions, sizeof(*late), by_value);
    report_add(report, "openings", "times opened", (double)plan->repetitions, 0);
    report_add(report, "calls_per_s", "calls a second meanwhile, all nodes",
               (double)calls / ((double)(weft_clock_mono_ns() - begin_ns) / SECOND_NS), 0);
    report_add(report, "late_p50_ms", "last call let through after opening, median, ms",
               late[plan->repetitions / 2], 3);
    report_add(report, "late_max_ms", "the latest of all, ms", late[plan->repetitions - 1], 3);
    free(late);
    free(callers);
}

/* ---- three nodes ---- */

static void measure_nodes(const struct plan *plan, const char *bin, struct report *report)
{
    struct stage stage;
    struct bench bench = {.timeout_ms = BENCH_TIMEOUT_MS};
    bool staged = stage_init(&stage, bin, plan->workers);

    for (unsigned i = 0; staged && i < STAGE_NODES; i++) {
        struct bench one;

        staged = stage_node(&stage, i, &one);
        bench.servers[bench.n_servers++] = one.servers[0];
    }
    if (!staged || !once(&bench, "PUT", "", "{}")) {
        report_fail(report, "no nodes to measure");
    } else {
        measure_acquires(&bench, plan, report);
        measure_lateness(&bench, plan, report);
    }
    stage_fini(&stage);
}

int guard_run(int argc, char **argv)
{
    struct plan plan = {.allows = 20000000,
                        .names = 100,
                        .acquires = 200000,
                        .callers = 60,
                        .repetitions = 20,
                        .workers = 1};
    struct args_list words;
    struct report report;
    const char *bin = NULL;
    bool json = false;
    const struct arg table[] = {
        ARG_IS_NUMBER("allows", 1, 10000000000, &plan.allows, "(default: 20,000,000)"),
        ARG_IS_NUMBER("names", 1, NAMES_MAX, &plan.names, "breakers in the table (default: 100)"),
        ARG_IS_NUMBER("acquires", 1, 100000000, &plan.acquires, "(default: 200,000)"),
        ARG_IS_NUMBER("callers", 1, CALLERS_MAX, &plan.callers, "over the nodes (default: 60)"),
        ARG_IS_NUMBER("repetitions", 1, REPETITIONS_MAX, &plan.repetitions,
                      "times that it is opened (default: 20)"),
        ARG_IS_NUMBER("workers", 0, 64, &plan.workers, "of each node (default: 1)"),
        ARG_IS_STRING("bin", "FOLDER", &bin, "where weftd is (default: beside this program)"),
        ARG_IS_FLAG("json", &json, "print one JSON object"),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 0, 0, &words)) {
    case ARGS_HELP:
        printf(
            "usage: weft-bench %s [options]\n\n%s\n\n", argv[0],
            "Breakers: what an allow costs, acquires over HTTP, and how late the last call is after\n"
            "one has opened, on three nodes and a Redis of its own.");
        args_print(table);
        puts("\nexit codes: 0 done and right, 1 something was wrong, 2 wrong usage");
        return BENCH_GOOD;
    case ARGS_BAD:
        return BENCH_USAGE;
    case ARGS_OK:
        break;
    }
    report_init(&report, "guard");
    measure_allow(&plan, &report);
    measure_nodes(&plan, bin, &report);
    return bench_end(&report, json);
}
