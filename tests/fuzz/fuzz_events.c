/*
 * Bodies of all kinds. The first byte chooses the kind and the limits; in the binary mode the
 * headers come first, `name: value` lines, up to an empty line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <weft/base/assert.h>
#include <weft/wire/event.h>
#include <weft/wire/name.h>

#define HEADERS_MAX 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t take_headers(struct weft_str *body, struct weft_ce_header *headers)
{
    size_t n = 0;

    while (body->len > 0 && n < HEADERS_MAX) {
        const char *lf = memchr(body->p, '\n', body->len);
        struct weft_str line = {body->p, lf != NULL ? (size_t)(lf - body->p) : body->len};
        const char *colon = memchr(line.p, ':', line.len);

        body->p += line.len + (lf != NULL ? 1 : 0);
        body->len -= line.len + (lf != NULL ? 1 : 0);
        if (colon == NULL)
            break;
        headers[n].name = weft_str(line.p, (size_t)(colon - line.p));
        headers[n].value = weft_str(colon + 1, line.len - headers[n].name.len - 1);
        n++;
    }
    return n;
}

static void check_string(const json_t *envelope, const char *name)
{
    const json_t *v = json_object_get(envelope, name);

    if (v == NULL)
        return;
    WEFT_ASSERT(json_is_string(v));
    WEFT_ASSERT(json_string_length(v) >= 1 && json_string_length(v) <= 200);
    WEFT_ASSERT(weft_str_printable(weft_str(json_string_value(v), json_string_length(v))));
}

static void check_event(const struct weft_events *evs, const struct weft_event *ev,
                        const struct weft_event_ctx *ctx)
{
    static const char *const strings[] = {
        "type", "repo_id",     "task_id", "session_id", "service_id", "request_id",
        "key",  "traceparent", "source",  "subject",    "dataschema", "node",
    };
    struct weft_str envelope = weft_event_envelope(evs, ev);
    struct weft_str type = weft_event_type(evs, ev);
    struct weft_str topic;
    uint32_t pos = 0;
    uint32_t n = 0;
    json_error_t error;
    json_t *j;

    WEFT_ASSERT(envelope.len <= ctx->limits.max_event_bytes);
    WEFT_ASSERT(envelope.p[0] == '{' && envelope.p[envelope.len - 1] == '}');
    for (size_t i = 0; i < envelope.len; i++)
        WEFT_ASSERT((unsigned char)envelope.p[i] >= 0x20);
    WEFT_ASSERT(weft_type_valid(type) && !weft_type_reserved(type));
    while (weft_event_next_topic(evs, ev, &pos, &topic)) {
        WEFT_ASSERT(weft_topic_valid(topic));
        n++;
    }
    WEFT_ASSERT(n == ev->topics_n && n >= 1 && n <= ctx->limits.max_topics);

    j = json_loadb(envelope.p, envelope.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (j == NULL) {
        WEFT_ASSERT(json_error_code(&error) == json_error_numeric_overflow);
        return;
    }
    for (size_t i = 0; i < WEFT_COUNT_OF(strings); i++)
        check_string(j, strings[i]);
    WEFT_ASSERT(weft_str_eq(type, weft_str(json_string_value(json_object_get(j, "type")),
                                           json_string_length(json_object_get(j, "type")))));
    WEFT_ASSERT(json_is_integer(json_object_get(j, "ts")));
    WEFT_ASSERT(json_is_object(json_object_get(j, "payload")));
    WEFT_ASSERT(json_is_string(json_object_get(j, "node")));
    WEFT_ASSERT(json_object_get(j, "id") == NULL && json_object_get(j, "topic") == NULL);
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum weft_body_kind kinds[] = {WEFT_BODY_JSON, WEFT_BODY_NDJSON, WEFT_BODY_CE,
                                                WEFT_BODY_CE_BATCH, WEFT_BODY_CE_BINARY};
    struct weft_event_ctx ctx = {
        .limits = {.max_events = 5, .max_event_bytes = 1000, .max_topics = 3},
        .topic = {"repo:42", 7},
        .node = {"n-1", 3},
        .now_ms = 1795314948061,
    };
    struct weft_ce_header headers[HEADERS_MAX];
    struct weft_err err = {0, "", ""};
    struct weft_events evs;
    enum weft_body_kind kind;
    struct weft_str body;
    size_t n_headers = 0;
    int rc;

    if (size == 0)
        return 0;
    kind = kinds[(data[0] & 7U) % WEFT_COUNT_OF(kinds)]; /* '0' to '4', for one */
    ctx.limits.known_types_only = (data[0] & 0x80) != 0;
    body = weft_str((const char *)data + 1, size - 1);
    if (kind == WEFT_BODY_CE_BINARY)
        n_headers = take_headers(&body, headers);

    weft_events_init(&evs);
    rc = weft_events_parse(&evs, kind, body, headers, n_headers, &ctx, &err);
    if (rc == 0) {
        WEFT_ASSERT(evs.n >= 1 && evs.n <= ctx.limits.max_events);
        for (size_t i = 0; i < evs.n; i++)
            check_event(&evs, &evs.list[i], &ctx);
    } else {
        WEFT_ASSERT(rc == WEFT_EINVAL || rc == WEFT_ETOOBIG);
        WEFT_ASSERT(evs.n == 0 && err.code == rc && err.message[0] != '\0');
        WEFT_ASSERT(weft_str_printable(weft_str(err.message, strlen(err.message))));
        WEFT_ASSERT(weft_str_printable(weft_str(err.field, strlen(err.field))));
    }
    weft_events_fini(&evs);
    return 0;
}
