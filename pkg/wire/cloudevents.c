/*
 * CloudEvents 1.0: the JSON format, and the HTTP binding's binary mode. An attribute that weft has
 * no place for is refused by name: dropping it would be a loss that nobody hears of.
 */
#include <string.h>

#include <weft/base/assert.h>

#include "event_priv.h"
#include "json_priv.h"
#include "rfc3339.h"

enum ce_attr {
    CE_SPECVERSION,
    CE_ID,
    CE_SOURCE,
    CE_TYPE,
    CE_TIME,
    CE_SUBJECT,
    CE_DATACONTENTTYPE,
    CE_DATASCHEMA,
    CE_TRACEPARENT,
    CE_PARTITIONKEY,
    CE_REPOID,
    CE_TASKID,
    CE_SESSIONID,
    CE_SERVICEID,
    CE_REQUESTID,
    CE_COUNT
};

static const struct {
    struct weft_str name;
    int target;      /* enum weft_attr, or NOT_KEPT */
    bool integer_ok; /* an extension may be a number in the JSON format */
} ce_attrs[CE_COUNT] = {
#define NOT_KEPT (-1)
    [CE_SPECVERSION] = {{"specversion", 11}, NOT_KEPT, false},
    [CE_ID] = {{"id", 2}, NOT_KEPT, false},
    [CE_SOURCE] = {{"source", 6}, WEFT_ATTR_SOURCE, false},
    [CE_TYPE] = {{"type", 4}, NOT_KEPT, false},
    [CE_TIME] = {{"time", 4}, NOT_KEPT, false},
    [CE_SUBJECT] = {{"subject", 7}, WEFT_ATTR_SUBJECT, false},
    [CE_DATACONTENTTYPE] = {{"datacontenttype", 15}, NOT_KEPT, false},
    [CE_DATASCHEMA] = {{"dataschema", 10}, WEFT_ATTR_DATASCHEMA, false},
    [CE_TRACEPARENT] = {{"traceparent", 11}, WEFT_ATTR_TRACEPARENT, false},
    [CE_PARTITIONKEY] = {{"partitionkey", 12}, WEFT_ATTR_KEY, true},
    [CE_REPOID] = {{"repoid", 6}, WEFT_ATTR_REPO_ID, true},
    [CE_TASKID] = {{"taskid", 6}, WEFT_ATTR_TASK_ID, true},
    [CE_SESSIONID] = {{"sessionid", 9}, WEFT_ATTR_SESSION_ID, true},
    [CE_SERVICEID] = {{"serviceid", 9}, WEFT_ATTR_SERVICE_ID, true},
    [CE_REQUESTID] = {{"requestid", 9}, WEFT_ATTR_REQUEST_ID, true},
};

static int fail(struct weft_err *err, enum ce_attr which, const char *what)
{
    return weft_err_set(err, WEFT_EINVAL, ce_attrs[which].name.p, "%s", what);
}

static int refuse_unknown(struct weft_str name, struct weft_err *err)
{
    char field[sizeof(err->field)];
    size_t n = name.len < sizeof(field) - 1 ? name.len : sizeof(field) - 1;

    memcpy(field, name.p, n);
    field[n] = '\0';
    return weft_err_set(err, WEFT_EINVAL, field, "is not an attribute that weft keeps");
}

static bool is_json_type(struct weft_str s)
{
    const char *semicolon = memchr(s.p, ';', s.len);

    if (semicolon != NULL)
        s.len = (size_t)(semicolon - s.p);
    while (s.len > 0 && s.p[s.len - 1] == ' ')
        s.len--;
    if (weft_str_ieq(s, WEFT_STR("application/json")))
        return true;
    return s.len > 5 && memchr(s.p, '/', s.len) != NULL &&
           weft_str_ieq(weft_str(s.p + s.len - 5, 5), WEFT_STR("+json"));
}

static int read_time(struct weft_draft *d, struct weft_str s, struct weft_err *err)
{
    int64_t ms;

    if (!weft_rfc3339_parse(s, &ms))
        return fail(err, CE_TIME, "must be a time as in RFC 3339");
    if (ms < 0)
        return fail(err, CE_TIME, "must not be before 1970");
    d->ts = ms;
    return 0;
}

static int apply(struct weft_draft *d, enum ce_attr which, struct weft_attr_text text,
                 struct weft_err *err)
{
    if (ce_attrs[which].target != NOT_KEPT)
        d->attrs[ce_attrs[which].target] = text;

    switch ((int)which) {
    case CE_SPECVERSION:
        if (!weft_str_eq(text.s, WEFT_STR("1.0")))
            return fail(err, which, "must be \"1.0\"");
        return 0;
    case CE_ID:
        d->once_id = text.s;
        return 0;
    case CE_SOURCE:
        /* Not in an URI reference; and it would make `<source> <id>` ambiguous. */
        if (memchr(text.s.p, ' ', text.s.len) != NULL)
            return fail(err, which, "must not have spaces");
        d->once_source = text.s;
        return 0;
    case CE_TYPE:
        d->type = text;
        return 0;
    case CE_TIME:
        return read_time(d, text.s, err);
    case CE_DATACONTENTTYPE:
        if (!is_json_type(text.s))
            return fail(err, which, "must be application/json or end with +json");
        return 0;
    default:
        return 0;
    }
}

static int finish(struct weft_draft *d, const struct weft_parse *ps, unsigned seen,
                  struct weft_err *err)
{
    static const enum ce_attr required[] = {CE_SPECVERSION, CE_ID, CE_SOURCE, CE_TYPE};

    for (size_t i = 0; i < WEFT_COUNT_OF(required); i++) {
        if ((seen & 1U << required[i]) == 0)
            return fail(err, required[i], "is required");
    }
    return weft_draft_emit(d, ps, err);
}

/* ---- the JSON format -------------------------------------------------------------------------- */

static int read_member(struct weft_draft *d, struct weft_str key, struct weft_json v,
                       unsigned *seen, struct weft_err *err)
{
    struct weft_attr_text text;
    int which = 0;
    int rc;

    if (weft_json_raw_eq(key, WEFT_STR("data"))) {
        if (v.kind != WEFT_JSON_NULL)
            d->payload = v;
        return 0;
    }
    if (v.kind == WEFT_JSON_NULL)
        return 0; /* the same as an attribute that is not there (JSON format, section 2.2) */
    if (weft_json_raw_eq(key, WEFT_STR("data_base64")))
        return weft_err_set(err, WEFT_EINVAL, "data_base64", "is not supported, send JSON in data");
    while (which < CE_COUNT && !weft_json_raw_eq(key, ce_attrs[which].name))
        which++;
    if (which == CE_COUNT)
        return refuse_unknown(key, err);

    rc = weft_draft_text(d, ce_attrs[which].name.p, v, ce_attrs[which].integer_ok, &text, err);
    if (rc != 0)
        return rc;
    *seen |= 1U << which;
    return apply(d, (enum ce_attr)which, text, err);
}

int weft_ce_parse(const struct weft_parse *ps, struct weft_json v, struct weft_err *err)
{
    struct weft_draft d;
    struct weft_json_iter it;
    struct weft_json value;
    struct weft_str key;
    unsigned seen = 0;

    weft_draft_init(&d);
    weft_json_begin(&it, v);
    while (weft_json_next(&it, &key, &value)) {
        int rc = read_member(&d, key, value, &seen, err);

        if (rc != 0)
            return rc;
    }
    return finish(&d, ps, seen, err);
}

/* ---- the binary mode -------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct weft_str trim(struct weft_str s)
{
    while (s.len > 0 && is_space(s.p[0]))
        s = weft_str(s.p + 1, s.len - 1);
    while (s.len > 0 && is_space(s.p[s.len - 1]))
        s.len--;
    return s;
}

/*
 * A header's value (HTTP binding, section 3.1.3.2): quotes and their backslashes first, as older
 * senders write them, then one round of percent-decoding. NULL: good; else what is wrong.
 */
static const char *decode_header(struct weft_draft *d, struct weft_str s,
                                 struct weft_attr_text *ret_text)
{
    char *out = d->store + d->stored;
    bool quoted;
    size_t n = 0;

    s = trim(s);
    quoted = s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"';
    if (quoted)
        s = weft_str(s.p + 1, s.len - 2);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (c == '\\' && quoted) {
            if (++i == s.len)
                return "ends in a backslash";
            c = s.p[i];
        }
        if (c == '%') {
            int high = s.len - i > 2 ? hex_digit(s.p[i + 1]) : -1;
            int low = s.len - i > 2 ? hex_digit(s.p[i + 2]) : -1;

            if (high < 0 || low < 0)
                return "has a % that is not followed by two hexadecimal digits";
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (n == WEFT_ATTR_MAX)
            return "must not be longer than 200 bytes";
        out[n++] = c;
    }
    if (n == 0)
        return "must not be empty";
    ret_text->s = weft_str(out, n);
    ret_text->plain = memchr(out, '"', n) == NULL && memchr(out, '\\', n) == NULL;
    if (!weft_str_printable(ret_text->s))
        return "must be UTF-8 without control characters";
    d->stored += n;
    return NULL;
}

static int read_header(struct weft_draft *d, const struct weft_ce_header *header, unsigned *seen,
                       struct weft_err *err)
{
    struct weft_attr_text text;
    const char *wrong;
    int which = 0;

    while (which < CE_COUNT && !weft_str_eq(header->name, ce_attrs[which].name))
        which++;
    if (which == CE_COUNT)
        return refuse_unknown(header->name, err);
    if ((*seen & 1U << which) != 0)
        return fail(err, (enum ce_attr)which, "is given twice");
    *seen |= 1U << which;
    wrong = decode_header(d, header->value, &text);
    if (wrong != NULL)
        return fail(err, (enum ce_attr)which, wrong);
    return apply(d, (enum ce_attr)which, text, err);
}

int weft_ce_parse_binary(const struct weft_parse *ps, const struct weft_ce_header *ce, size_t n_ce,
                         struct weft_json data, struct weft_err *err)
{
    struct weft_draft d;
    unsigned seen = 0;

    weft_draft_init(&d);
    for (size_t i = 0; i < n_ce; i++) {
        int rc = read_header(&d, &ce[i], &seen, err);

        if (rc != 0)
            return rc;
    }
    d.payload = data;
    return finish(&d, ps, seen, err);
}
