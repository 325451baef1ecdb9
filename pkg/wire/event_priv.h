/*
 * event, for this library's own files: an event while it is collected from whatever form it came
 * in, and how it becomes an envelope.
 */
#ifndef WEFT_WIRE_EVENT_PRIV_H
#define WEFT_WIRE_EVENT_PRIV_H

#include <weft/wire/event.h>
#include <weft/wire/json.h>
#include <weft/wire/name.h>

/* String attributes, in the order of the envelope. */
#define WEFT_ATTR_TABLE(X)        \
    X(REPO_ID, "repo_id")         \
    X(TASK_ID, "task_id")         \
    X(SESSION_ID, "session_id")   \
    X(SERVICE_ID, "service_id")   \
    X(REQUEST_ID, "request_id")   \
    X(KEY, "key")                 \
    X(TRACEPARENT, "traceparent") \
    X(SOURCE, "source")           \
    X(SUBJECT, "subject")         \
    X(DATASCHEMA, "dataschema")

enum weft_attr {
#define X(id, name) WEFT_ATTR_##id,
    WEFT_ATTR_TABLE(X)
#undef X
        WEFT_ATTR_COUNT
};

#define WEFT_ATTR_MAX 200 /* bytes of an attribute */

/* A decoded attribute: valid UTF-8, no control characters. */
struct weft_attr_text {
    struct weft_str s; /* p NULL: absent */
    bool plain;        /* nothing in it needs an escape */
};

/* Texts are borrowed from the body or from `store`. */
struct weft_draft {
    struct weft_attr_text type;
    struct weft_attr_text attrs[WEFT_ATTR_COUNT];
    int64_t ts;               /* -1: none */
    struct weft_json payload; /* raw.p NULL: none */
    struct weft_json topics;  /* an array, if raw.p is not NULL */
    struct weft_str once_source;
    struct weft_str once_id; /* p NULL: no idempotency key */
    size_t stored;
    char store[(WEFT_ATTR_COUNT + 8) * WEFT_ATTR_MAX]; /* texts that had to be decoded */
};

/* One call of weft_events_parse. */
struct weft_parse {
    struct weft_events *evs;
    const struct weft_event_ctx *ctx;
    const char *payload_name; /* in errors: what the publisher calls it */
    uint32_t topic_off;       /* in evs->bytes: the URL's topic, u8 length and bytes */
    uint32_t tail_off;        /* `,"node":"…"}` */
    uint32_t tail_len;
};

void weft_draft_init(struct weft_draft *d);

/* A string of 1 to WEFT_ATTR_MAX bytes, or an integer if that is allowed, as text. */
int weft_draft_text(struct weft_draft *d, const char *field, struct weft_json v, bool integer_ok,
                    struct weft_attr_text *ret_text, struct weft_err *err) WEFT_MUST_CHECK;

/*
 * Checks what all forms have in common and appends the event to ps->evs: its topics if it names any,
 * right behind them its envelope, then its idempotency key. What it has appended of an event that
 * it refuses stays in the buffer: the caller gives up the whole.
 */
int weft_draft_emit(struct weft_draft *d, const struct weft_parse *ps, struct weft_err *err)
    WEFT_MUST_CHECK;

/* v: an object, a CloudEvent in structured mode. */
int weft_ce_parse(const struct weft_parse *ps, struct weft_json v, struct weft_err *err)
    WEFT_MUST_CHECK;

/* data: its raw.p is NULL if the body was empty. */
int weft_ce_parse_binary(const struct weft_parse *ps, const struct weft_ce_header *ce, size_t n_ce,
                         struct weft_json data, struct weft_err *err) WEFT_MUST_CHECK;

#endif
