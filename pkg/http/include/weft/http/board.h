/*
 * board - where the workers of a node pin up, about once a second, what anyone of them may be asked
 * for: their slowest streams and busiest topics.
 *
 * A report is immutable once it is pinned up and counted by references. The board's lock is held
 * only to swap or to copy a pointer, never while something is made or read.
 */
#ifndef WEFT_HTTP_BOARD_H
#define WEFT_HTTP_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/wire/name.h>

#define WEFT_REPORT_STREAMS 100 /* at most in one report, and in one answer */
#define WEFT_REPORT_TOPICS  50

/* One stream: what it is sorted by, and its JSON object inside the report's text. */
struct weft_report_stream {
    uint64_t lag;
    uint64_t unsent_bytes;
    uint64_t stalled_ms;
    uint32_t off, len;
};

struct weft_report_topic {
    uint32_t subscribers;
    double events_per_s;
    double deliveries_per_s;
    char name[WEFT_NAME_MAX + 1];
};

struct weft_report {
    atomic_uint refs;
    uint64_t connections; /* of all kinds */
    uint64_t streams, polls;
    uint64_t reading_log; /* streams that read the log */
    uint64_t lagging;     /* streams that have not been given everything */
    uint64_t stalled;     /* streams whose socket has taken nothing for a second */
    uint64_t unsent_bytes;
    uint32_t n_slowest, n_topics;
    struct weft_report_stream slowest[WEFT_REPORT_STREAMS]; /* the slowest first */
    struct weft_report_topic topics[WEFT_REPORT_TOPICS];    /* the busiest first */
    char *text;                                             /* malloc'd or NULL */
};

struct weft_board; /* opaque */

/* Yours. WEFT_ENOMEM. */
int weft_board_create(struct weft_board **ret_board, uint32_t workers) WEFT_MUST_CHECK;
/* After the last worker. NULL is allowed. */
void weft_board_destroy(struct weft_board *board);
uint32_t weft_board_workers(const struct weft_board *board);

/* Any thread. In place of the worker's last one; the reference is moved. */
void weft_board_pin(struct weft_board *board, uint32_t worker, struct weft_report *report);
/* Any thread. A reference, yours; NULL: it has not pinned up any yet. */
struct weft_report *weft_board_look(struct weft_board *board, uint32_t worker);

/* Zeroed, one reference. NULL when out of memory. */
struct weft_report *weft_report_create(void);
/* Any thread. NULL is allowed. */
void weft_report_unref(struct weft_report *report);

#endif
