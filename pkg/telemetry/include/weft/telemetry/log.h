/*
 * log - one structured line for each thing worth telling an operator.
 *
 * A line is one JSON object (or one line of text) of at most WEFT_LOG_LINE_MAX bytes,
 * written with one write(2); a longer one is cut and says so ("cut":true). Values are
 * escaped, so that nothing that a client sends can forge a line or steer a terminal.
 * A line that cannot be written at once is dropped and counted; the next one that goes
 * through is preceded by a "log.lost" line with their number. Logging never fails, never
 * waits for a stalled reader and never ends the process.
 *
 * It does not know files: the descriptor is borrowed, stays as it is (no flags are
 * changed) and has to outlive the log. Whoever logs to a pipe ignores SIGPIPE.
 *
 *     weft_log(log, WEFT_LOG_INFO, "redis.connected", WEFT_S("address", addr), WEFT_U("ms", ms));
 *
 * gives {"time":"2026-01-31T12:00:00.000Z","level":"info","event":"redis.connected",
 * "node":"a","address":"127.0.0.1:6379","ms":3}
 */
#ifndef WEFT_TELEMETRY_LOG_H
#define WEFT_TELEMETRY_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_LOG_LINE_MAX 4096 /* with its newline; a pipe takes this much as one piece */

enum weft_log_level {
    WEFT_LOG_DEBUG,
    WEFT_LOG_INFO,
    WEFT_LOG_WARN,
    WEFT_LOG_ERROR,
};

enum weft_log_format {
    WEFT_LOG_JSON,
    WEFT_LOG_TEXT,
};

enum weft_field_kind {
    WEFT_FIELD_END,
    WEFT_FIELD_STRING,
    WEFT_FIELD_INT,
    WEFT_FIELD_UINT,
    WEFT_FIELD_DOUBLE,
    WEFT_FIELD_BOOL,
};

/*
 * One key and value of a line; made by the WEFT_S() family, borrowed during the call. Keys
 * (and event names) are literals of the program: they are not escaped.
 */
struct weft_field {
    const char *key;
    enum weft_field_kind kind;
    size_t len; /* of str */
    union {
        const char *str;
        int64_t i;
        uint64_t u;
        double d;
        bool b;
    } v;
};

struct weft_log; /* opaque */

/* Length that means "up to the NUL". */
#define WEFT_FIELD_NUL ((size_t)-1)

/* clang-format off */
/* A string (NULL is written as null), bytes with a length, a number, a truth. */
#define WEFT_S(k, s)     {.key = (k), .kind = WEFT_FIELD_STRING, .len = WEFT_FIELD_NUL, .v.str = (s)}
#define WEFT_SN(k, s, n) {.key = (k), .kind = WEFT_FIELD_STRING, .len = (n), .v.str = (s)}
#define WEFT_I(k, n)     {.key = (k), .kind = WEFT_FIELD_INT, .v.i = (n)}
#define WEFT_U(k, n)     {.key = (k), .kind = WEFT_FIELD_UINT, .v.u = (n)}
#define WEFT_F(k, x)     {.key = (k), .kind = WEFT_FIELD_DOUBLE, .v.d = (x)}
#define WEFT_B(k, x)     {.key = (k), .kind = WEFT_FIELD_BOOL, .v.b = (x)}
/* clang-format on */

/*
 * Makes a log on fd. node (may be NULL) becomes a field of every line and is copied.
 * The result is yours; NULL when out of memory.
 */
struct weft_log *weft_log_create(int fd, enum weft_log_level level, enum weft_log_format format,
                                 const char *node);

/* Any thread: from now on only lines of this level and above are written. */
void weft_log_set_level(struct weft_log *log, enum weft_log_level level);

/* Any thread. Whether a line of this level would be written; false for a NULL log. */
bool weft_log_wants(const struct weft_log *log, enum weft_log_level level);

/*
 * Any thread. Writes one line; fields end with a WEFT_FIELD_END. A NULL log takes
 * everything and writes nothing. Call it through weft_log().
 */
void weft_log_write(struct weft_log *log, enum weft_log_level level, const char *event,
                    const struct weft_field *fields);

/* Any thread. Lines that could not be written since the beginning. */
uint64_t weft_log_lost(const struct weft_log *log);

/* After the last user. The descriptor stays open. Accepts NULL. */
void weft_log_destroy(struct weft_log *log);

/*
 * weft_log(log, level, "event.name", fields...): any number of WEFT_S(), WEFT_U() ...,
 * evaluated only if the level is wanted.
 */
#define weft_log(log, level, ...)                                                       \
    do {                                                                                \
        struct weft_log *weft_log_to = (log);                                           \
        if (weft_log_wants(weft_log_to, (level)))                                       \
            weft_log_write(weft_log_to, (level), WEFT_LOG_FIRST_(__VA_ARGS__, 0),       \
                           (const struct weft_field[]){                                 \
                               WEFT_LOG_REST_(__VA_ARGS__, {.kind = WEFT_FIELD_END})}); \
    } while (0)
#define WEFT_LOG_FIRST_(event, ...) event
#define WEFT_LOG_REST_(event, ...)  __VA_ARGS__

#endif
