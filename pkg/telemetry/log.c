/*
 * A line is put together on the stack and leaves in one piece. The lock covers only "is
 * there room" and the write itself: a pipe that poll() calls writable takes PIPE_BUF bytes
 * at once, and no line is longer, so that while nobody else of this process writes the
 * write cannot wait.
 */
#include <weft/telemetry/log.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <weft/base/clock.h>
#include <weft/base/str.h>

_Static_assert(WEFT_LOG_LINE_MAX <= PIPE_BUF, "a line has to fit into a pipe in one piece");

/* Room that is always left for the end of a line: a quote, the mark of a cut, the newline. */
#define END_ROOM 16

struct weft_log {
    int fd;                      /* const after create */
    bool socket;                 /* const after create */
    enum weft_log_format format; /* const after create */
    char *node;                  /* const after create; NULL: none */
    _Atomic int level;           /* any thread */
    _Atomic uint64_t lost;       /* any thread */
    struct {                     /* any thread, mu held */
        pthread_mutex_t mu;
        uint64_t told; /* of lost: how many a line has reported */
        bool torn;     /* the last line was written in part */
    } locked;
};

/* A line in the making. full: something was left out, and nothing more is taken. */
struct line {
    size_t len;
    enum weft_log_format format;
    bool full;
    char text[WEFT_LOG_LINE_MAX];
};

static const char *const level_names[] = {
    [WEFT_LOG_DEBUG] = "debug",
    [WEFT_LOG_INFO] = "info",
    [WEFT_LOG_WARN] = "warn",
    [WEFT_LOG_ERROR] = "error",
};

/* Appends all n bytes, or none and false. */
static bool put(struct line *line, const char *p, size_t n)
{
    if (n > sizeof(line->text) - END_ROOM - line->len)
        return false;
    memcpy(line->text + line->len, p, n);
    line->len += n;
    return true;
}

static bool put_text(struct line *line, const char *text)
{
    return put(line, text, strlen(text));
}

/* For what END_ROOM is kept for. */
static void put_end(struct line *line, const char *text)
{
    size_t n = strlen(text);

    memcpy(line->text + line->len, text, n);
    line->len += n;
}

/*
 * Appends the next character of p as it may stand in a string and sets *ret_used. Control
 * characters (C1 and the line separators of Unicode among them) are escaped and bytes that
 * are not UTF-8 become U+FFFD.
 */
static bool put_char(struct line *line, const char *p, size_t n, size_t *ret_used)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t used = weft_utf8_len(p, n);
    unsigned code = u[0];
    char escape[8];

    *ret_used = used > 0 ? used : 1;
    if (used == 0)
        return put_text(line, "\\ufffd");
    if (used == 2)
        code = (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu);
    else if (used == 3)
        code = (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
    else if (used == 4)
        return put(line, p, 4);

    switch (code) {
    case '"':
        return put_text(line, "\\\"");
    case '\\':
        return put_text(line, "\\\\");
    case '\n':
        return put_text(line, "\\n");
    case '\r':
        return put_text(line, "\\r");
    case '\t':
        return put_text(line, "\\t");
    default:
        break;
    }
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029) {
        snprintf(escape, sizeof(escape), "\\u%04x", code & 0xffffu);
        return put_text(line, escape);
    }
    return put(line, p, used);
}

/* Whether the text format can do without quotes: nothing in it could look like more than it is. */
static bool is_plain(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("._-:/@+*", c) != NULL) ||
            c == '\0')
            return false;
    }
    return n > 0;
}

/* What does not fit is left out, and the line becomes full. */
static void put_string(struct line *line, const char *p, size_t n)
{
    size_t used;

    if (line->format == WEFT_LOG_TEXT && is_plain(p, n) && put(line, p, n))
        return;
    if (!put(line, "\"", 1)) {
        line->full = true;
        return;
    }
    for (size_t i = 0; i < n; i += used) {
        if (!put_char(line, p + i, n - i, &used)) {
            line->full = true;
            break;
        }
    }
    put_end(line, "\""); /* there is room: END_ROOM */
}

static void put_double(struct line *line, double d)
{
    char text[32];

    if (!isfinite(d)) /* JSON has no such number */
        snprintf(text, sizeof(text), "null");
    else
        snprintf(text, sizeof(text), "%.9g", d);
    line->full = !put_text(line, text);
}

static void put_value(struct line *line, const struct weft_field *field)
{
    const char *str = field->v.str;
    char text[32];

    switch (field->kind) {
    case WEFT_FIELD_STRING:
        if (!str)
            line->full = !put_text(line, "null");
        else
            put_string(line, str, field->len == WEFT_FIELD_NUL ? strlen(str) : field->len);
        return;
    case WEFT_FIELD_INT:
        snprintf(text, sizeof(text), "%" PRId64, field->v.i);
        line->full = !put_text(line, text);
        return;
    case WEFT_FIELD_UINT:
        snprintf(text, sizeof(text), "%" PRIu64, field->v.u);
        line->full = !put_text(line, text);
        return;
    case WEFT_FIELD_DOUBLE:
        put_double(line, field->v.d);
        return;
    case WEFT_FIELD_BOOL:
        line->full = !put_text(line, field->v.b ? "true" : "false");
        return;
    case WEFT_FIELD_END:
        return;
    }
}

/* A field that has no room even for its key is taken back whole. */
static void put_field(struct line *line, const struct weft_field *field)
{
    bool json = line->format == WEFT_LOG_JSON;
    size_t start = line->len;
    size_t value;

    if (line->full)
        return;
    if (!put_text(line, json ? ",\"" : " ") || !put_text(line, field->key) ||
        !put_text(line, json ? "\":" : "=")) {
        line->len = start;
        line->full = true;
        return;
    }
    value = line->len;
    put_value(line, field);
    if (line->len == value)
        line->len = start;
}

static void put_time(struct line *line)
{
    int64_t now = weft_clock_wall_ms();
    time_t seconds = (time_t)(now / 1000);
    char day[32], text[48];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof(text), "%s.%03dZ", day, (int)(now % 1000));
    put_text(line, text);
}

/* Everything before the fields of the caller. */
static void begin(struct line *line, const struct weft_log *log, enum weft_log_level level,
                  const char *event)
{
    const struct weft_field fields[] = {WEFT_S("level", level_names[level]), WEFT_S("event", event),
                                        WEFT_S("node", log->node)};

    line->len = 0;
    line->full = false;
    line->format = log->format;
    if (log->format == WEFT_LOG_JSON) {
        put_text(line, "{\"time\":\"");
        put_time(line);
        put_text(line, "\"");
        put_field(line, &fields[0]);
        put_field(line, &fields[1]);
    } else {
        put_time(line);
        put_text(line, " ");
        put_value(line, &fields[0]);
        put_text(line, " ");
        put_value(line, &fields[1]);
    }
    if (log->node)
        put_field(line, &fields[2]);
}

static void end(struct line *line)
{
    if (line->full)
        put_end(line, line->format == WEFT_LOG_JSON ? ",\"cut\":true" : " cut=true");
    put_end(line, line->format == WEFT_LOG_JSON ? "}\n" : "\n");
}

/* How many bytes of the line the descriptor took without waiting; 0 if none. */
static size_t write_now(const struct weft_log *log, const char *text, size_t len)
{
    struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
    ssize_t n;

    do {
        if (log->socket)
            n = send(log->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        else if (poll(&ready, 1, 0) == 1 && ready.revents == POLLOUT)
            n = write(log->fd, text, len);
        else
            return 0; /* no room, no reader, or a closed descriptor */
    } while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

/* mu held. Whether the whole line went out. */
static bool write_line(struct weft_log *log, const char *text, size_t len)
{
    size_t n;

    /* Close a line that was torn, so that this one stands alone. */
    if (log->locked.torn && write_now(log, "\n", 1) != 1)
        return false;
    n = write_now(log, text, len);
    log->locked.torn = n > 0 && n < len;
    return n == len;
}

/* mu held. Reports lines that were lost since the last report. */
static bool write_lost(struct weft_log *log)
{
    uint64_t lost = atomic_load_explicit(&log->lost, memory_order_relaxed);
    const struct weft_field field = WEFT_U("lines", lost - log->locked.told);
    struct line line;

    if (lost == log->locked.told)
        return true;
    begin(&line, log, WEFT_LOG_WARN, "log.lost");
    put_field(&line, &field);
    end(&line);
    if (!write_line(log, line.text, line.len))
        return false;
    log->locked.told = lost;
    return true;
}

struct weft_log *weft_log_create(int fd, enum weft_log_level level, enum weft_log_format format,
                                 const char *node)
{
    struct weft_log *log = calloc(1, sizeof(*log));
    struct stat st;

    if (!log)
        return NULL;
    log->fd = fd;
    log->socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
    log->format = format;
    atomic_init(&log->level, (int)level);
    pthread_mutex_init(&log->locked.mu, NULL);
    if (node) {
        log->node = strdup(node);
        if (!log->node) {
            weft_log_destroy(log);
            return NULL;
        }
    }
    return log;
}

void weft_log_set_level(struct weft_log *log, enum weft_log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool weft_log_wants(const struct weft_log *log, enum weft_log_level level)
{
    return log && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

void weft_log_write(struct weft_log *log, enum weft_log_level level, const char *event,
                    const struct weft_field *fields)
{
    struct line line;
    bool written;

    if (!weft_log_wants(log, level))
        return;
    begin(&line, log, level, event);
    for (; fields->kind != WEFT_FIELD_END; fields++)
        put_field(&line, fields);
    end(&line);

    pthread_mutex_lock(&log->locked.mu);
    written = write_lost(log) && write_line(log, line.text, line.len);
    if (!written)
        atomic_fetch_add_explicit(&log->lost, 1, memory_order_relaxed);
    pthread_mutex_unlock(&log->locked.mu);
}

uint64_t weft_log_lost(const struct weft_log *log)
{
    return atomic_load_explicit(&log->lost, memory_order_relaxed);
}

void weft_log_destroy(struct weft_log *log)
{
    if (!log)
        return;
    pthread_mutex_destroy(&log->locked.mu);
    free(log->node);
    free(log);
}
