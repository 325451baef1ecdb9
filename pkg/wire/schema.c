/*
 * One table for each type, of the fields that have to be there or have to look some way. Fields that
 * are not in the table are the publisher's own business.
 */
#include <weft/wire/schema.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

#include "json_priv.h"

enum {
    STRING = 1 << 0,
    INTEGER = 1 << 1,
    NUMBER = 1 << 2, /* integers too */
    TEXT = 1 << 3,   /* a string that is not empty */
};

struct field {
    struct weft_str name;
    unsigned kinds;
    bool required;             /* else absent and null are good as well */
    const char *const *one_of; /* of a string; NULL: anything */
    bool ranged;
    double min, max; /* of a number, if ranged */
};

#define MAX_FIELDS 8

struct schema {
    struct weft_str type;
    struct field fields[MAX_FIELDS]; /* up to the first without a name */
};

/* clang-format off */
#define S(literal)                      {(literal), sizeof(literal) - 1}
#define REQUIRED(name, kinds)           {S(name), kinds, true, NULL, false, 0, 0}
#define OPTIONAL(name, kinds)           {S(name), kinds, false, NULL, false, 0, 0}
#define RANGED(name, kinds, min, max)   {S(name), kinds, false, NULL, true, min, max}
#define ONE_OF(name, is_required, list) {S(name), STRING, is_required, list, false, 0, 0}
/* clang-format on */

static const char *const log_levels[] = {"trace",   "debug", "info",  "warn",
                                         "warning", "error", "fatal", NULL};
static const char *const message_states[] = {"pending", "processing", "completed", "failed", NULL};

static const struct schema schemas[] = {
    {S("repo.status_changed"),
     {REQUIRED("from", TEXT), REQUIRED("to", TEXT), OPTIONAL("error_msg", STRING)}},
    {S("task.status_changed"),
     {REQUIRED("from", TEXT), REQUIRED("to", TEXT), OPTIONAL("error_msg", STRING),
      OPTIONAL("started_at", STRING | INTEGER), OPTIONAL("completed_at", STRING | INTEGER)}},
    {S("doc.created"),
     {REQUIRED("doc_id", TEXT | INTEGER), REQUIRED("title", STRING), REQUIRED("filename", STRING)}},
    {S("task.progress"),
     {REQUIRED("phase", STRING), RANGED("percent", NUMBER, 0, 100), OPTIONAL("message", STRING)}},
    {S("log.append"), {ONE_OF("level", true, log_levels), REQUIRED("message", STRING)}},
    {S("service.state_changed"),
     {OPTIONAL("service", STRING), REQUIRED("from", STRING), REQUIRED("to", STRING),
      OPTIONAL("reason", STRING)}},
    {S("service.health_check"),
     {REQUIRED("status", STRING), RANGED("latency_ms", NUMBER, 0, INFINITY),
      OPTIONAL("message", STRING)}},
    {S("service.error"), {REQUIRED("message", STRING), OPTIONAL("code", STRING | INTEGER)}},
    {S("service.started"), {OPTIONAL("pid", INTEGER), OPTIONAL("message", STRING)}},
    {S("service.stopped"), {OPTIONAL("code", INTEGER), OPTIONAL("reason", STRING)}},
    {S("service.restarted"), {OPTIONAL("count", INTEGER), OPTIONAL("reason", STRING)}},
    /* State of a publisher's own making: any object. */
    {.type = S("agent.update")},
    {.type = S("data.update")},
    {.type = S("file.update")},
    {.type = S("metrics.report")},
};

/* message.<word>: what goes through the queues. */
static const struct schema message_schema = {
    S("message."),
    {OPTIONAL("message_id", STRING), ONE_OF("status", false, message_states)},
};

static const struct schema *find(struct weft_str type)
{
    struct weft_str prefix = message_schema.type;

    for (size_t i = 0; i < WEFT_COUNT_OF(schemas); i++) {
        if (weft_str_eq(type, schemas[i].type))
            return &schemas[i];
    }
    if (type.len > prefix.len && memcmp(type.p, prefix.p, prefix.len) == 0 &&
        memchr(type.p + prefix.len, '.', type.len - prefix.len) == NULL)
        return &message_schema;
    return NULL;
}

static int fail(struct weft_err *err, const struct field *f, const char *what)
{
    char path[96];

    (void)snprintf(path, sizeof(path), "payload.%s", f->name.p);
    return weft_err_set(err, WEFT_EINVAL, path, "%s", what);
}

static int fail_kind(struct weft_err *err, const struct field *f)
{
    bool string = (f->kinds & (STRING | TEXT)) != 0;

    if ((f->kinds & INTEGER) != 0)
        return fail(err, f, string ? "must be a string or an integer" : "must be an integer");
    return fail(err, f, string ? "must be a string" : "must be a number");
}

static int check_string(const struct field *f, struct weft_json v, struct weft_err *err)
{
    struct weft_str raw = {v.raw.p + 1, v.raw.len - 2};
    char list[160] = "must be one of";
    size_t n;

    if ((f->kinds & TEXT) != 0 && raw.len == 0)
        return fail(err, f, "must not be empty");
    if (f->one_of == NULL)
        return 0;
    for (size_t i = 0; f->one_of[i] != NULL; i++) {
        if (weft_json_raw_eq(raw, weft_str(f->one_of[i], strlen(f->one_of[i]))))
            return 0;
    }
    n = strlen(list);
    for (size_t i = 0; f->one_of[i] != NULL && n < sizeof(list); i++)
        n +=
            (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i == 0 ? " " : ", ", f->one_of[i]);
    return fail(err, f, list);
}

/* The scanner has bounded the length of numbers. */
static double to_double(struct weft_json number)
{
    char text[65];

    WEFT_ASSERT(number.raw.len < sizeof(text));
    memcpy(text, number.raw.p, number.raw.len);
    text[number.raw.len] = '\0';
    return strtod(text, NULL);
}

static int check_number(const struct field *f, struct weft_json v, struct weft_err *err)
{
    char range[80];
    double value;
    int64_t integer;

    if ((f->kinds & NUMBER) == 0) {
        if (!weft_json_int(v, &integer))
            return fail_kind(err, f);
    }
    if (!f->ranged)
        return 0;
    value = to_double(v);
    if (value >= f->min && value <= f->max)
        return 0;
    if (isinf(f->max))
        (void)snprintf(range, sizeof(range), "must not be less than %g", f->min);
    else
        (void)snprintf(range, sizeof(range), "must be from %g to %g", f->min, f->max);
    return fail(err, f, range);
}

static int check_field(const struct field *f, struct weft_json v, struct weft_err *err)
{
    if (v.kind == WEFT_JSON_STRING && (f->kinds & (STRING | TEXT)) != 0)
        return check_string(f, v, err);
    if (v.kind == WEFT_JSON_NUMBER && (f->kinds & (NUMBER | INTEGER)) != 0)
        return check_number(f, v, err);
    if (v.kind == WEFT_JSON_NULL && !f->required)
        return 0;
    return fail_kind(err, f);
}

bool weft_schema_known(struct weft_str type)
{
    return find(type) != NULL;
}

int weft_schema_check(struct weft_str type, struct weft_json payload, struct weft_err *err)
{
    const struct schema *schema = find(type);
    struct weft_json_iter it;
    struct weft_json value;
    struct weft_str key;
    unsigned seen = 0;

    if (schema == NULL)
        return 0;
    weft_json_begin(&it, payload);
    while (weft_json_next(&it, &key, &value)) {
        for (size_t i = 0; i < MAX_FIELDS && schema->fields[i].name.len > 0; i++) {
            int rc;

            if (!weft_json_raw_eq(key, schema->fields[i].name))
                continue;
            rc = check_field(&schema->fields[i], value, err);
            if (rc != 0)
                return rc;
            seen |= 1U << i;
        }
    }
    for (size_t i = 0; i < MAX_FIELDS && schema->fields[i].name.len > 0; i++) {
        if (schema->fields[i].required && (seen & 1U << i) == 0)
            return fail(err, &schema->fields[i], "is required");
    }
    return 0;
}
