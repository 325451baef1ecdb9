#include "event_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/schema.h>

#include "json_priv.h"

void weft_draft_init(struct weft_draft *d)
{
    /* All but the store. */
    memset(d, 0, offsetof(struct weft_draft, store));
    d->ts = -1;
}

/* inside: of a string, as it stands in the text. NULL: too long. */
static const char *decode(struct weft_draft *d, struct weft_str inside, struct weft_str *ret_text)
{
    char *begin = d->store + d->stored;
    const char *p = inside.p;
    size_t n = 0;

    while (p < inside.p + inside.len) {
        char one[4];
        size_t len = weft_json_decode_one(&p, one);

        if (n + len > WEFT_ATTR_MAX)
            return NULL;
        memcpy(begin + n, one, len);
        n += len;
    }
    d->stored += n;
    *ret_text = weft_str(begin, n);
    return begin;
}

int weft_draft_text(struct weft_draft *d, const char *field, struct weft_json v, bool integer_ok,
                    struct weft_attr_text *ret_text, struct weft_err *err)
{
    struct weft_attr_text text;
    int64_t number;

    /* Every field is read once at most. */
    WEFT_ASSERT(d->stored + WEFT_ATTR_MAX <= sizeof(d->store));

    if (v.kind == WEFT_JSON_NUMBER && integer_ok) {
        char *out = d->store + d->stored;
        size_t n;

        if (!weft_json_int(v, &number))
            return weft_err_set(err, WEFT_EINVAL, field, "must be a string or an integer");
        n = (size_t)snprintf(out, 24, "%lld", (long long)number);
        d->stored += n;
        ret_text->s = weft_str(out, n);
        ret_text->plain = true;
        return 0;
    }
    if (v.kind != WEFT_JSON_STRING)
        return weft_err_set(err, WEFT_EINVAL, field, "%s",
                            integer_ok ? "must be a string or an integer" : "must be a string");

    text.s = weft_str(v.raw.p + 1, v.raw.len - 2);
    text.plain = memchr(text.s.p, '\\', text.s.len) == NULL;
    if (!text.plain && decode(d, text.s, &text.s) == NULL)
        text.s.len = WEFT_ATTR_MAX + 1;
    if (text.s.len == 0)
        return weft_err_set(err, WEFT_EINVAL, field, "must not be empty");
    if (text.s.len > WEFT_ATTR_MAX)
        return weft_err_set(err, WEFT_EINVAL, field, "must not be longer than %d bytes",
                            WEFT_ATTR_MAX);
    if (text.plain ? memchr(text.s.p, 0x7f, text.s.len) != NULL : !weft_str_printable(text.s))
        return weft_err_set(err, WEFT_EINVAL, field, "must not have control characters");
    *ret_text = text;
    return 0;
}

static bool is_lower_hex(struct weft_str s, bool *ret_all_zero)
{
    *ret_all_zero = true;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        if (c != '0')
            *ret_all_zero = false;
    }
    return true;
}

bool weft_traceparent_valid(struct weft_str s)
{
    /* version-traceid-parentid-flags */
    bool zero_version, zero_trace, zero_parent, zero_flags;

    if (s.len < 55 || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-')
        return false;
    if (!is_lower_hex(weft_str(s.p, 2), &zero_version) ||
        !is_lower_hex(weft_str(s.p + 3, 32), &zero_trace) ||
        !is_lower_hex(weft_str(s.p + 36, 16), &zero_parent) ||
        !is_lower_hex(weft_str(s.p + 53, 2), &zero_flags))
        return false;
    if (zero_trace || zero_parent || memcmp(s.p, "ff", 2) == 0)
        return false;
    return s.len == 55 || (!zero_version && s.p[55] == '-');
}

/* ---- checks ----------------------------------------------------------------------------------- */

static int check_type(const struct weft_draft *d, const struct weft_event_ctx *ctx,
                      struct weft_err *err)
{
    struct weft_str type = d->type.s;

    if (type.p == NULL)
        return weft_err_set(err, WEFT_EINVAL, "type", "is required");
    if (!weft_type_valid(type))
        return weft_err_set(err, WEFT_EINVAL, "type",
                            "must be letters, digits, _ and -, in parts separated by dots");
    if (weft_type_reserved(type))
        return weft_err_set(err, WEFT_EINVAL, "type",
                            "must not begin with weft., these types are the nodes' own");
    if (ctx->limits.known_types_only && !weft_schema_known(type))
        return weft_err_set(err, WEFT_EINVAL, "type", "is not a known type");
    return 0;
}

static int check_payload(const struct weft_draft *d, const struct weft_parse *ps,
                         struct weft_err *err)
{
    static const char schema_name[] = "payload";
    struct weft_json payload = d->payload;
    char path[sizeof(err->field)];
    int rc;

    if (payload.raw.p == NULL)
        payload = weft_json_value(WEFT_STR("{}"));
    if (payload.kind != WEFT_JSON_OBJECT)
        return weft_err_set(err, WEFT_EINVAL, ps->payload_name, "must be an object");

    rc = weft_schema_check(d->type.s, payload, err);
    if (rc != 0 && strcmp(ps->payload_name, schema_name) != 0) {
        memcpy(path, err->field + sizeof(schema_name) - 1, sizeof(path) - sizeof(schema_name) + 1);
        path[sizeof(path) - sizeof(schema_name)] = '\0';
        (void)snprintf(err->field, sizeof(err->field), "%.16s%.79s", ps->payload_name, path);
    }
    return rc;
}

static int check_trace(const struct weft_draft *d, struct weft_err *err)
{
    struct weft_str trace = d->attrs[WEFT_ATTR_TRACEPARENT].s;

    if (trace.p != NULL && !weft_traceparent_valid(trace))
        return weft_err_set(err, WEFT_EINVAL, "traceparent",
                            "must be a W3C trace context, 00-<trace id>-<parent id>-<flags>");
    return 0;
}

/* ---- topics ----------------------------------------------------------------------------------- */

static bool has_topic(const struct weft_buf *bytes, size_t from, struct weft_str topic)
{
    while (from < bytes->len) {
        size_t len = (unsigned char)bytes->data[from];

        if (weft_str_eq(weft_str(bytes->data + from + 1, len), topic))
            return true;
        from += 1 + len;
    }
    return false;
}

static int put_topic(struct weft_buf *bytes, size_t from, struct weft_json v, uint32_t index,
                     struct weft_err *err)
{
    char decoded[6 * WEFT_NAME_MAX + 2];
    struct weft_str topic = {NULL, 0};
    char field[32];
    unsigned char len;

    (void)snprintf(field, sizeof(field), "topics[%u]", index);
    if (v.kind != WEFT_JSON_STRING)
        return weft_err_set(err, WEFT_EINVAL, field, "must be a string");
    if (v.raw.len <= sizeof(decoded))
        topic = weft_json_text(v, decoded);
    if (!weft_topic_valid(topic))
        return weft_err_set(err, WEFT_EINVAL, field,
                            "must be 1 to %d letters, digits, or any of . _ : -", WEFT_NAME_MAX);
    if (has_topic(bytes, from, topic))
        return weft_err_set(err, WEFT_EINVAL, field, "is named twice");
    len = (unsigned char)topic.len;
    weft_buf_append(bytes, &len, 1);
    weft_buf_str(bytes, topic);
    return 0;
}

static int put_topics(const struct weft_draft *d, const struct weft_parse *ps,
                      struct weft_event *ev, struct weft_err *err)
{
    struct weft_buf *bytes = &ps->evs->bytes;
    uint32_t max = ps->ctx->limits.max_topics;
    size_t from = bytes->len;
    struct weft_json_iter it;
    struct weft_json topic;
    struct weft_str unused;
    uint32_t n = 0;

    if (d->topics.raw.p == NULL) {
        ev->topics_off = ps->topic_off;
        ev->topics_n = 1;
        return 0;
    }
    if (max > UINT16_MAX)
        max = UINT16_MAX;
    weft_json_begin(&it, d->topics);
    while (weft_json_next(&it, &unused, &topic)) {
        int rc;

        if (n == max)
            return weft_err_set(err, WEFT_ETOOBIG, "topics", "must not name more than %u topics",
                                max);
        rc = put_topic(bytes, from, topic, n, err);
        if (rc != 0)
            return rc;
        n++;
    }
    if (n == 0)
        return weft_err_set(err, WEFT_EINVAL, "topics", "must name at least one topic");
    ev->topics_off = (uint32_t)from;
    ev->topics_n = (uint16_t)n;
    return 0;
}

/* ---- envelope --------------------------------------------------------------------------------- */

static const struct {
    char text[16]; /* `,"repo_id":"` */
    size_t len;
} attr_heads[WEFT_ATTR_COUNT] = {
#define X(id, name) [WEFT_ATTR_##id] = {",\"" name "\":\"", sizeof(name) + 4},
    WEFT_ATTR_TABLE(X)
#undef X
};

static char *put(char *at, const void *p, size_t n)
{
    memcpy(at, p, n);
    return at + n;
}

#define PUT_LITERAL(at, literal) put((at), (literal), sizeof(literal) - 1)

static char *put_text(char *at, const struct weft_attr_text *text)
{
    if (text->plain)
        return put(at, text->s.p, text->s.len);
    for (size_t i = 0; i < text->s.len; i++) {
        if (text->s.p[i] == '"' || text->s.p[i] == '\\')
            *at++ = '\\';
        *at++ = text->s.p[i];
    }
    return at;
}

static size_t envelope_most(const struct weft_draft *d, const struct weft_parse *ps)
{
    size_t most = 64 + d->type.s.len + d->payload.raw.len + ps->tail_len;

    for (size_t i = 0; i < WEFT_ATTR_COUNT; i++) {
        if (d->attrs[i].s.p != NULL)
            most += sizeof(attr_heads[i].text) + 2 * d->attrs[i].s.len;
    }
    return most;
}

static int put_envelope(const struct weft_draft *d, const struct weft_parse *ps,
                        struct weft_event *ev, struct weft_err *err)
{
    struct weft_buf *bytes = &ps->evs->bytes;
    char *begin = weft_buf_reserve(bytes, envelope_most(d, ps));
    char *at = begin;
    size_t len;

    if (begin == NULL)
        return weft_err_set(err, WEFT_ETOOBIG, ps->payload_name, "is too large");

    at = PUT_LITERAL(at, "{\"type\":\"");
    ev->type_off = (uint32_t)(at - bytes->data);
    ev->type_len = (uint32_t)d->type.s.len;
    at = put(at, d->type.s.p, d->type.s.len);
    at = PUT_LITERAL(at, "\",\"ts\":");
    at += weft_u64_print(at, (uint64_t)(d->ts >= 0 ? d->ts : ps->ctx->now_ms));
    for (size_t i = 0; i < WEFT_ATTR_COUNT; i++) {
        if (d->attrs[i].s.p == NULL)
            continue;
        at = put(at, attr_heads[i].text, attr_heads[i].len);
        at = put_text(at, &d->attrs[i]);
        *at++ = '"';
    }
    at = PUT_LITERAL(at, ",\"payload\":");
    at = d->payload.raw.p == NULL ? PUT_LITERAL(at, "{}")
                                  : put(at, d->payload.raw.p, d->payload.raw.len);
    at = put(at, bytes->data + ps->tail_off, ps->tail_len);

    len = (size_t)(at - begin);
    if (len > ps->ctx->limits.max_event_bytes)
        return weft_err_set(err, WEFT_ETOOBIG, ps->payload_name,
                            "makes an event of %zu bytes, the limit is %u", len,
                            ps->ctx->limits.max_event_bytes);
    ev->envelope_off = (uint32_t)bytes->len;
    ev->envelope_len = (uint32_t)len;
    bytes->len += len;
    return 0;
}

static void put_once(const struct weft_draft *d, const struct weft_parse *ps, struct weft_event *ev)
{
    struct weft_buf *bytes = &ps->evs->bytes;

    ev->once_off = (uint32_t)bytes->len;
    ev->once_len = 0;
    if (d->once_id.p == NULL)
        return;
    weft_buf_str(bytes, d->once_source);
    weft_buf_append(bytes, " ", 1);
    weft_buf_str(bytes, d->once_id);
    ev->once_len = (uint32_t)(bytes->len - ev->once_off);
}

static struct weft_event *new_event(struct weft_events *evs)
{
    if (evs->n == evs->cap) {
        size_t cap = evs->cap > 0 ? evs->cap * 2 : 16;
        struct weft_event *list = reallocarray(evs->list, cap, sizeof(*list));

        if (list == NULL)
            return NULL;
        evs->list = list;
        evs->cap = cap;
    }
    return &evs->list[evs->n];
}

int weft_draft_emit(struct weft_draft *d, const struct weft_parse *ps, struct weft_err *err)
{
    struct weft_event *ev = new_event(ps->evs);
    int rc;

    if (ev == NULL)
        return weft_err_set(err, WEFT_ENOMEM, "body", "needs more memory than there is");
    if (d->attrs[WEFT_ATTR_TRACEPARENT].s.p == NULL)
        d->attrs[WEFT_ATTR_TRACEPARENT] = (struct weft_attr_text){ps->ctx->traceparent, true};
    rc = check_type(d, ps->ctx, err);
    if (rc == 0)
        rc = check_trace(d, err);
    if (rc == 0)
        rc = check_payload(d, ps, err);
    if (rc == 0)
        rc = put_topics(d, ps, ev, err);
    if (rc == 0)
        rc = put_envelope(d, ps, ev, err);
    if (rc != 0)
        return rc;
    put_once(d, ps, ev);
    if (ps->evs->bytes.toobig)
        return weft_err_set(err, WEFT_ETOOBIG, ps->payload_name, "is too large");
    ps->evs->n++;
    return 0;
}
