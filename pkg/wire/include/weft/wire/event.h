/*
 * event - what publishers send, checked and brought into the form that Redis keeps.
 *
 * Input is one JSON object, an array of them, NDJSON, or CloudEvents 1.0 (structured,
 * batch, binary). Output is a list of events in one buffer: each with its type, its
 * topics and its envelope: a minified JSON object with the envelope fields of an event but without
 * `id` and `topic`, which are put in front when it is framed (frame.h):
 *   {"type":"…","ts":…,"repo_id":"…",…,"payload":{…},"node":"a"}
 * Pure: time and node name come in. Errors name the field (`[3].payload.to` for the fourth event of
 * a batch).
 */
#ifndef WEFT_WIRE_EVENT_H
#define WEFT_WIRE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/str.h>

enum weft_body_kind {
    WEFT_BODY_JSON,     /* application/json: one object or an array */
    WEFT_BODY_NDJSON,   /* application/x-ndjson */
    WEFT_BODY_CE,       /* application/cloudevents+json */
    WEFT_BODY_CE_BATCH, /* application/cloudevents-batch+json */
    WEFT_BODY_CE_BINARY /* any JSON body with ce-* headers */
};

/* One ce-* header of the binary mode, name without `ce-`, lower case. */
struct weft_ce_header {
    struct weft_str name;
    struct weft_str value;
};

struct weft_event_limits {
    uint32_t max_events;      /* in one request */
    uint32_t max_event_bytes; /* of one envelope */
    uint32_t max_topics;      /* of one event */
    bool known_types_only;    /* refuse types without a schema */
};

struct weft_event_ctx {
    struct weft_event_limits limits;
    struct weft_str topic; /* of the URL, valid; the topic of events that name none */
    struct weft_str node;  /* node id */
    int64_t now_ms;        /* Unix time, for events without ts */
    /* Of the request, for events without one; p NULL: none. Valid, of printable ASCII without `"` and `\`. */
    struct weft_str traceparent;
};

/* Offsets into weft_events.bytes, so that the buffer may move while it grows. */
struct weft_event {
    uint32_t type_off, type_len;
    uint32_t envelope_off, envelope_len;
    uint32_t topics_off; /* topics_n times: u8 length, bytes */
    uint16_t topics_n;
    uint32_t once_off, once_len; /* CloudEvents: `<source> <id>` as idempotency key; else len 0 */
};

struct weft_events {
    struct weft_buf bytes;
    struct weft_event *list;
    size_t n;
    size_t cap;
    struct weft_buf scratch; /* the minified body, while it is parsed */
};

/* The W3C form, version 00 or a later one that begins like it. */
bool weft_traceparent_valid(struct weft_str s);

void weft_events_init(struct weft_events *evs);
void weft_events_fini(struct weft_events *evs);
/* Empties it and keeps the memory, for the next request. */
void weft_events_clear(struct weft_events *evs);

/*
 * Parses body into *evs (initialised, empty). All events are good, or none is kept.
 *
 * Fields: type (required); ts (integer ms 0..2^53-1); payload (object; {} if absent); repo_id,
 * task_id, session_id, service_id, request_id, key (strings of 1 to 200 bytes, or integers, which
 * become strings); traceparent (W3C form); source, subject (strings of 1 to 200 bytes); topics
 * (array of at least one valid topic, replaces the URL's topic; duplicates refused). Refused, naming
 * the field: control characters (CR, LF, NUL …) in any of these strings, unknown fields, `id`,
 * `topic`, `node`, and types that begin with `weft.`.
 *
 * What is wrong with the body as a whole (no JSON, no event, too many) has the field `body`.
 * WEFT_EINVAL: bad input; WEFT_ETOOBIG: over a limit.
 */
int weft_events_parse(struct weft_events *evs, enum weft_body_kind kind, struct weft_str body,
                      const struct weft_ce_header *ce, size_t n_ce,
                      const struct weft_event_ctx *ctx, struct weft_err *err) WEFT_MUST_CHECK;

/*
 * Steps through an event's topics: *pos starts at 0; false at the end. Borrowed until evs changes.
 */
bool weft_event_next_topic(const struct weft_events *evs, const struct weft_event *ev,
                           uint32_t *pos, struct weft_str *ret_topic);

static inline struct weft_str weft_event_type(const struct weft_events *evs,
                                              const struct weft_event *ev)
{
    return weft_str(evs->bytes.data + ev->type_off, ev->type_len);
}

static inline struct weft_str weft_event_envelope(const struct weft_events *evs,
                                                  const struct weft_event *ev)
{
    return weft_str(evs->bytes.data + ev->envelope_off, ev->envelope_len);
}

#endif
