#include <weft/telemetry/sink.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/base/buf.h>
#include <weft/base/clock.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

/*
 * Two buffers: one fills while the other one is written. The lock covers a copy or the exchange of
 * the two. The thread sleeps a little after the first line of many, so that it is woken, and writes, some
 * tens of times a second and not for every line.
 */

#define LINGER_MS   20
#define LINGER_FULL ((size_t)64 * 1024) /* so much is worth a write at once */
#define END_MS      2000
#define POLL_MS     100
#define KEEP_BYTES  ((size_t)256 * 1024)

struct weft_sink {
    char *path;               /* const after create; NULL: not a file to be opened anew */
    size_t max_lines;         /* const after create */
    struct weft_shard *shard; /* const after create */
    struct weft_log *log;     /* const after create */
    pthread_t thread;         /* the creator's */

    struct { /* any thread, mu held */
        pthread_mutex_t mu;
        pthread_cond_t filled;
        struct weft_buf lines;
        size_t n;
        bool reopen, stop;
        uint64_t stop_ms; /* when it was asked for */
    } locked;

    /* The thread's. */
    struct weft_buf batch;
    int fd;
    bool regular; /* takes any number of bytes at once */
    bool failing; /* it was logged */
};

/* ---- any thread ---- */

bool weft_sink_put(struct weft_sink *sink, struct weft_str line)
{
    bool fits;
    bool wake;

    WEFT_ASSERT(line.len > 0 && line.len <= WEFT_SINK_LINE_MAX && line.p[line.len - 1] == '\n');
    (void)pthread_mutex_lock(&sink->locked.mu);
    fits = sink->locked.n < sink->max_lines;
    wake = fits && (sink->locked.n == 0 || (sink->locked.lines.len < LINGER_FULL &&
                                            sink->locked.lines.len + line.len >= LINGER_FULL));
    if (fits) {
        weft_buf_str(&sink->locked.lines, line);
        sink->locked.n++;
    }
    (void)pthread_mutex_unlock(&sink->locked.mu);
    if (wake) {
        (void)pthread_cond_signal(&sink->locked.filled);
    }
    return fits;
}

void weft_sink_reopen(struct weft_sink *sink)
{
    if (sink == NULL || sink->path == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&sink->locked.mu);
    sink->locked.reopen = true;
    (void)pthread_mutex_unlock(&sink->locked.mu);
    (void)pthread_cond_signal(&sink->locked.filled);
}

/* ---- the thread ---- */

/* A FIFO that nobody reads fails with ENXIO: waiting for a reader would hold up whoever opens it. */
static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

    if (fd >= 0) {
        (void)fcntl(fd, F_SETFL, O_APPEND);
    }
    return fd;
}

static void take_fd(struct weft_sink *sink, int fd)
{
    struct stat st;

    sink->fd = fd;
    sink->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static void complain(struct weft_sink *sink, int error)
{
    if (!sink->failing) {
        weft_log(sink->log, WEFT_LOG_ERROR, "access_log.failed", WEFT_S("path", sink->path),
                 WEFT_S("error", strerror(error)));
    }
    sink->failing = true;
}

static void reopen(struct weft_sink *sink)
{
    int fd = open_file(sink->path);

    if (fd < 0) {
        complain(sink, errno); /* the old one goes on */
        return;
    }
    (void)close(sink->fd);
    take_fd(sink, fd);
    weft_log(sink->log, WEFT_LOG_INFO, "access_log.reopened", WEFT_S("path", sink->path));
}

static size_t count_lines(const char *p, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        n += p[i] == '\n';
    }
    return n;
}

/* As much as may be written in one piece: all of it, or lines that a pipe takes without waiting. */
static size_t piece_of(const struct weft_sink *sink, const char *p, size_t len)
{
    const char *end;

    if (sink->regular || len <= WEFT_SINK_LINE_MAX) {
        return len;
    }
    end = memrchr(p, '\n', WEFT_SINK_LINE_MAX);
    WEFT_ASSERT(end != NULL);
    return (size_t)(end + 1 - p);
}

static bool is_over(struct weft_sink *sink)
{
    bool over;

    (void)pthread_mutex_lock(&sink->locked.mu);
    over = sink->locked.stop && weft_clock_mono_ms() - sink->locked.stop_ms > END_MS;
    (void)pthread_mutex_unlock(&sink->locked.mu);
    return over;
}

/* Waits until there is room. False: it is time to end, and there is none. */
static bool wait_for_room(struct weft_sink *sink)
{
    struct pollfd ready = {.fd = sink->fd, .events = POLLOUT};

    while (poll(&ready, 1, POLL_MS) <= 0) {
        if (is_over(sink)) {
            return false;
        }
    }
    return true;
}

static void write_batch(struct weft_sink *sink)
{
    const char *p = sink->batch.data;
    size_t left = sink->batch.len;

    while (left > 0) {
        size_t piece = piece_of(sink, p, left);
        ssize_t n = -1;

        errno = EAGAIN;
        if (sink->regular || wait_for_room(sink)) {
            n = write(sink->fd, p, piece);
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            complain(sink, errno);
            weft_count(sink->shard, WEFT_M_ACCESS_FAILED, count_lines(p, left));
            return;
        }
        sink->failing = false;
        weft_count(sink->shard, WEFT_M_ACCESS_LINES, count_lines(p, (size_t)n));
        p += n;
        left -= (size_t)n;
    }
}

/* Sleeps until there is something to do. mu held. */
static void wait_for_lines(struct weft_sink *sink)
{
    struct timespec until;

    while (sink->locked.n == 0 && !sink->locked.stop && !sink->locked.reopen) {
        (void)pthread_cond_wait(&sink->locked.filled, &sink->locked.mu);
    }
    if (sink->locked.stop || sink->locked.reopen) {
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LINGER_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (sink->locked.lines.len < LINGER_FULL && !sink->locked.stop && !sink->locked.reopen &&
           pthread_cond_timedwait(&sink->locked.filled, &sink->locked.mu, &until) != ETIMEDOUT) {
    }
}

static void *run(void *arg)
{
    struct weft_sink *sink = arg;
    bool stop = false;

    (void)pthread_setname_np(pthread_self(), "weft-access");
    while (!stop) {
        struct weft_buf filled;
        bool anew;

        (void)pthread_mutex_lock(&sink->locked.mu);
        wait_for_lines(sink);
        filled = sink->locked.lines;
        sink->locked.lines = sink->batch;
        sink->batch = filled;
        sink->locked.n = 0;
        anew = sink->locked.reopen;
        sink->locked.reopen = false;
        stop = sink->locked.stop;
        (void)pthread_mutex_unlock(&sink->locked.mu);

        write_batch(sink); /* what was put before the file was moved belongs to it */
        if (anew) {
            reopen(sink);
        }
        weft_buf_clear(&sink->batch);
        if (sink->batch.cap > KEEP_BYTES) {
            size_t max = sink->batch.max;

            weft_buf_fini(&sink->batch);
            weft_buf_init(&sink->batch, max);
        }
    }
    return NULL;
}

/* ---- life ---- */

static void free_sink(struct weft_sink *sink)
{
    if (sink->path != NULL && sink->fd >= 0) {
        (void)close(sink->fd);
    }
    weft_buf_fini(&sink->batch);
    weft_buf_fini(&sink->locked.lines);
    (void)pthread_cond_destroy(&sink->locked.filled);
    (void)pthread_mutex_destroy(&sink->locked.mu);
    free(sink->path);
    free(sink);
}

int weft_sink_create(struct weft_sink **ret_sink, const char *path, size_t lines,
                     struct weft_shard *shard, struct weft_log *log, struct weft_err *err)
{
    struct weft_sink *sink = calloc(1, sizeof(*sink));
    pthread_condattr_t attr;
    int fd;

    if (sink == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "access_log", "out of memory");
    }
    sink->max_lines = lines;
    sink->shard = shard;
    sink->log = log;
    weft_buf_init(&sink->batch, lines * WEFT_SINK_LINE_MAX);
    weft_buf_init(&sink->locked.lines, lines * WEFT_SINK_LINE_MAX);
    WEFT_ASSERT(pthread_mutex_init(&sink->locked.mu, NULL) == 0);
    WEFT_ASSERT(pthread_condattr_init(&attr) == 0 &&
                pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(&sink->locked.filled, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    if (strcmp(path, "-") == 0) {
        fd = STDOUT_FILENO;
    } else if (strcmp(path, "stderr") == 0) {
        fd = STDERR_FILENO;
    } else {
        sink->path = strdup(path);
        fd = open_file(path);
    }
    sink->fd = -1;
    if (fd < 0) {
        int rc = weft_err_set(err, WEFT_ESYS, "access_log.path", "cannot open %s: %s", path,
                              errno == ENXIO ? "nobody reads this FIFO" : strerror(errno));

        free_sink(sink);
        return rc;
    }
    take_fd(sink, fd);
    if (pthread_create(&sink->thread, NULL, run, sink) != 0) {
        free_sink(sink);
        return weft_err_set(err, WEFT_ESYS, "access_log", "a thread cannot be started");
    }
    *ret_sink = sink;
    return 0;
}

void weft_sink_destroy(struct weft_sink *sink)
{
    if (sink == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&sink->locked.mu);
    sink->locked.stop = true;
    sink->locked.stop_ms = weft_clock_mono_ms();
    (void)pthread_mutex_unlock(&sink->locked.mu);
    (void)pthread_cond_signal(&sink->locked.filled);
    (void)pthread_join(sink->thread, NULL);
    free_sink(sink);
}
