#include <weft/wire/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

#include "event_priv.h"
#include "json_priv.h"

/* Offsets are 32 bit. */
#define BYTES_MAX ((size_t)INT32_MAX)
/* Integers beyond this are not exact in JavaScript, nor in Redis's scripts. */
#define TS_MAX ((1LL << 53) - 1)

/* The value of one event or of a whole body, in one of the forms. */
typedef int parse_one(const struct weft_parse *ps, struct weft_json v, struct weft_err *err);

void weft_events_init(struct weft_events *evs)
{
    memset(evs, 0, sizeof(*evs));
    weft_buf_init(&evs->bytes, BYTES_MAX);
    weft_buf_init(&evs->scratch, BYTES_MAX);
}

void weft_events_fini(struct weft_events *evs)
{
    weft_buf_fini(&evs->bytes);
    weft_buf_fini(&evs->scratch);
    free(evs->list);
    memset(evs, 0, sizeof(*evs));
}

void weft_events_clear(struct weft_events *evs)
{
    weft_buf_clear(&evs->bytes);
    weft_buf_clear(&evs->scratch);
    evs->n = 0;
}

bool weft_event_next_topic(const struct weft_events *evs, const struct weft_event *ev,
                           uint32_t *pos, struct weft_str *ret_topic)
{
    uint32_t off = ev->topics_off + *pos;

    /* An event's own topics stand right before its envelope, the URL's topic is one for all. */
    if (*pos > 0 && (ev->topics_n == 1 || off == ev->envelope_off))
        return false;
    *ret_topic = weft_str(evs->bytes.data + off + 1, (unsigned char)evs->bytes.data[off]);
    *pos += 1 + (uint32_t)ret_topic->len;
    return true;
}

/* ---- weft's own form -------------------------------------------------------------------------- */

enum field {
    FIELD_ATTR, /* the attributes come first: FIELD_ATTR + enum weft_attr */
    FIELD_TYPE = FIELD_ATTR + WEFT_ATTR_COUNT,
    FIELD_TS,
    FIELD_PAYLOAD,
    FIELD_TOPICS,
    FIELD_UNKNOWN
};

static const struct {
    struct weft_str name;
    enum field field;
    bool integer_ok;
} fields[] = {
    {{"type", 4}, FIELD_TYPE, false},
    {{"ts", 2}, FIELD_TS, false},
    {{"payload", 7}, FIELD_PAYLOAD, false},
    {{"repo_id", 7}, FIELD_ATTR + WEFT_ATTR_REPO_ID, true},
    {{"task_id", 7}, FIELD_ATTR + WEFT_ATTR_TASK_ID, true},
    {{"session_id", 10}, FIELD_ATTR + WEFT_ATTR_SESSION_ID, true},
    {{"service_id", 10}, FIELD_ATTR + WEFT_ATTR_SERVICE_ID, true},
    {{"request_id", 10}, FIELD_ATTR + WEFT_ATTR_REQUEST_ID, true},
    {{"key", 3}, FIELD_ATTR + WEFT_ATTR_KEY, true},
    {{"traceparent", 11}, FIELD_ATTR + WEFT_ATTR_TRACEPARENT, false},
    {{"source", 6}, FIELD_ATTR + WEFT_ATTR_SOURCE, false},
    {{"subject", 7}, FIELD_ATTR + WEFT_ATTR_SUBJECT, false},
    {{"topics", 6}, FIELD_TOPICS, false},
};

static int read_ts(struct weft_draft *d, struct weft_json v, struct weft_err *err)
{
    int64_t ts;

    if (v.kind != WEFT_JSON_NUMBER || !weft_json_int(v, &ts) || ts < 0 || ts > TS_MAX)
        return weft_err_set(err, WEFT_EINVAL, "ts",
                            "must be an integer from 0 to %lld: Unix time in milliseconds", TS_MAX);
    d->ts = ts;
    return 0;
}

static int refuse_field(struct weft_str raw_key, struct weft_err *err)
{
    char name[sizeof(err->field)];
    size_t n = raw_key.len < sizeof(name) - 1 ? raw_key.len : sizeof(name) - 1;
    bool nodes_own = weft_json_raw_eq(raw_key, WEFT_STR("id")) ||
                     weft_json_raw_eq(raw_key, WEFT_STR("topic")) ||
                     weft_json_raw_eq(raw_key, WEFT_STR("node"));

    memcpy(name, raw_key.p, n);
    name[n] = '\0';
    return weft_err_set(err, WEFT_EINVAL, name, "%s",
                        nodes_own ? "is set by the node" : "is not a field of an event");
}

static int read_member(struct weft_draft *d, struct weft_str key, struct weft_json v,
                       struct weft_err *err)
{
    size_t i = 0;

    while (i < WEFT_COUNT_OF(fields) && !weft_json_raw_eq(key, fields[i].name))
        i++;
    if (i == WEFT_COUNT_OF(fields))
        return refuse_field(key, err);

    switch ((int)fields[i].field) {
    case FIELD_TYPE:
        return weft_draft_text(d, "type", v, false, &d->type, err);
    case FIELD_TS:
        return read_ts(d, v, err);
    case FIELD_PAYLOAD:
        d->payload = v; /* its kind is checked with its content */
        return 0;
    case FIELD_TOPICS:
        if (v.kind != WEFT_JSON_ARRAY)
            return weft_err_set(err, WEFT_EINVAL, "topics", "must be an array");
        d->topics = v;
        return 0;
    default:
        return weft_draft_text(d, fields[i].name.p, v, fields[i].integer_ok,
                               &d->attrs[fields[i].field - FIELD_ATTR], err);
    }
}

static int parse_native(const struct weft_parse *ps, struct weft_json v, struct weft_err *err)
{
    struct weft_draft d;
    struct weft_json_iter it;
    struct weft_json value;
    struct weft_str key;

    weft_draft_init(&d);
    weft_json_begin(&it, v);
    while (weft_json_next(&it, &key, &value)) {
        int rc = read_member(&d, key, value, err);

        if (rc != 0)
            return rc;
    }
    return weft_draft_emit(&d, ps, err);
}

/* ---- bodies ----------------------------------------------------------------------------------- */

/* What was wrong with an event of a batch: `payload.to` becomes `[3].payload.to`. */
static int add_index(int rc, size_t index, struct weft_err *err)
{
    char field[sizeof(err->field)];

    if (rc == 0)
        return 0;
    memcpy(field, err->field, sizeof(field));
    (void)snprintf(err->field, sizeof(err->field), "[%zu]%s%.70s", index,
                   field[0] != '\0' ? "." : "", field);
    return rc;
}

static int check_room(const struct weft_parse *ps, struct weft_err *err)
{
    if (ps->evs->n < ps->ctx->limits.max_events)
        return 0;
    return weft_err_set(err, WEFT_ETOOBIG, "body", "holds more than %u events",
                        ps->ctx->limits.max_events);
}

static int parse_indexed(const struct weft_parse *ps, parse_one *one, struct weft_json v,
                         struct weft_err *err)
{
    size_t index = ps->evs->n;
    int rc = check_room(ps, err);

    if (rc != 0)
        return rc;
    if (v.kind != WEFT_JSON_OBJECT)
        rc = weft_err_set(err, WEFT_EINVAL, "", "must be an object");
    else
        rc = one(ps, v, err);
    return add_index(rc, index, err);
}

static int parse_array(const struct weft_parse *ps, parse_one *one, struct weft_json v,
                       struct weft_err *err)
{
    struct weft_json_iter it;
    struct weft_json value;
    struct weft_str unused;

    weft_json_begin(&it, v);
    while (weft_json_next(&it, &unused, &value)) {
        int rc = parse_indexed(ps, one, value, err);

        if (rc != 0)
            return rc;
    }
    if (ps->evs->n == 0)
        return weft_err_set(err, WEFT_EINVAL, "body", "holds no event");
    return 0;
}

static int parse_single(const struct weft_parse *ps, parse_one *one, struct weft_json v,
                        struct weft_err *err)
{
    int rc = check_room(ps, err);

    return rc != 0 ? rc : one(ps, v, err);
}

/* Minifies text, a part of the body, into the scratch buffer. */
static int scan(const struct weft_parse *ps, struct weft_str text, size_t offset,
                struct weft_json *ret_value, struct weft_err *err)
{
    struct weft_buf *scratch = &ps->evs->scratch;
    int rc;

    weft_buf_clear(scratch);
    rc = weft_json_minify_at(scratch, text, offset, WEFT_JSON_MAX_DEPTH, err);
    if (rc != 0) {
        char what[sizeof(err->message)];

        memcpy(what, err->message, sizeof(what));
        return weft_err_set(err, rc, "body", "is not valid JSON: %.230s", what);
    }
    *ret_value = weft_json_value(weft_str(scratch->data, scratch->len));
    return 0;
}

static bool is_blank(struct weft_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r' && s.p[i] != '\n')
            return false;
    }
    return true;
}

static int parse_lines(const struct weft_parse *ps, struct weft_str body, struct weft_err *err)
{
    size_t at = 0;

    while (at < body.len) {
        struct weft_str line = {body.p + at, body.len - at};
        const char *lf = memchr(line.p, '\n', line.len);

        if (lf != NULL)
            line.len = (size_t)(lf - line.p);
        if (!is_blank(line)) {
            struct weft_json v = {WEFT_JSON_NULL, {NULL, 0}};
            int rc = scan(ps, line, at, &v, err);

            if (rc == 0)
                rc = parse_indexed(ps, parse_native, v, err);
            if (rc != 0)
                return rc;
        }
        at += line.len + 1;
    }
    if (ps->evs->n == 0)
        return weft_err_set(err, WEFT_EINVAL, "body", "holds no event");
    return 0;
}

static int parse_binary(const struct weft_parse *ps, struct weft_str body,
                        const struct weft_ce_header *ce, size_t n_ce, struct weft_err *err)
{
    struct weft_json data = {WEFT_JSON_NULL, {NULL, 0}};
    int rc = check_room(ps, err);

    if (rc == 0 && !is_blank(body))
        rc = scan(ps, body, 0, &data, err);
    return rc != 0 ? rc : weft_ce_parse_binary(ps, ce, n_ce, data, err);
}

static int parse_value(const struct weft_parse *ps, enum weft_body_kind kind, struct weft_str body,
                       struct weft_err *err)
{
    parse_one *one = kind == WEFT_BODY_JSON ? parse_native : weft_ce_parse;
    const char *expected = "must be an object or an array of objects";
    struct weft_json v = {WEFT_JSON_NULL, {NULL, 0}};
    int rc;

    if (is_blank(body))
        return weft_err_set(err, WEFT_EINVAL, "body", "is empty");
    rc = scan(ps, body, 0, &v, err);
    if (rc != 0)
        return rc;
    if (kind == WEFT_BODY_CE)
        expected = "must be an object";
    else if (kind == WEFT_BODY_CE_BATCH)
        expected = "must be an array of objects";
    if (v.kind == WEFT_JSON_OBJECT && kind != WEFT_BODY_CE_BATCH)
        return parse_single(ps, one, v, err);
    if (v.kind == WEFT_JSON_ARRAY && kind != WEFT_BODY_CE)
        return parse_array(ps, one, v, err);
    return weft_err_set(err, WEFT_EINVAL, "body", "%s", expected);
}

/* Below here messages say what is wrong with the field; for a person they begin with its name. */
static void make_sentence(struct weft_err *err)
{
    char field[sizeof(err->field)];
    char what[sizeof(err->message)];

    memcpy(field, err->field, sizeof(field));
    memcpy(what, err->message, sizeof(what));
    (void)weft_err_set(err, err->code, field, "%s%s%s", field, field[0] != '\0' ? " " : "", what);
}

/* What every event of the request needs, written once. */
static void begin(struct weft_parse *ps)
{
    struct weft_buf *bytes = &ps->evs->bytes;
    unsigned char len = (unsigned char)ps->ctx->topic.len;

    ps->topic_off = (uint32_t)bytes->len;
    weft_buf_append(bytes, &len, 1);
    weft_buf_str(bytes, ps->ctx->topic);
    ps->tail_off = (uint32_t)bytes->len;
    weft_buf_puts(bytes, ",\"node\":");
    weft_buf_json(bytes, ps->ctx->node);
    weft_buf_append(bytes, "}", 1);
    ps->tail_len = (uint32_t)bytes->len - ps->tail_off;
}

int weft_events_parse(struct weft_events *evs, enum weft_body_kind kind, struct weft_str body,
                      const struct weft_ce_header *ce, size_t n_ce,
                      const struct weft_event_ctx *ctx, struct weft_err *err)
{
    struct weft_parse ps = {evs, ctx, "payload", 0, 0, 0};
    struct weft_err unwanted;
    int rc = WEFT_EINVAL;

    WEFT_ASSERT(evs->n == 0 && weft_topic_valid(ctx->topic) && ctx->now_ms >= 0);
    if (err == NULL)
        err = &unwanted;
    begin(&ps);
    switch (kind) {
    case WEFT_BODY_JSON:
        rc = parse_value(&ps, kind, body, err);
        break;
    case WEFT_BODY_NDJSON:
        rc = parse_lines(&ps, body, err);
        break;
    case WEFT_BODY_CE:
    case WEFT_BODY_CE_BATCH:
        ps.payload_name = "data";
        rc = parse_value(&ps, kind, body, err);
        break;
    case WEFT_BODY_CE_BINARY:
        ps.payload_name = "data";
        rc = parse_binary(&ps, body, ce, n_ce, err);
        break;
    }
    if (rc != 0) {
        make_sentence(err);
        weft_events_clear(evs);
    }
    return rc;
}
