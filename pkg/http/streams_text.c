#include "streams_priv.h"

#include <string.h>

#include <jansson.h>

#include <weft/wire/name.h>

static const char *const op_words[] = {
    [WEFT_STREAM_LOOK] = "look",
    [WEFT_STREAM_TOPICS] = "topics",
    [WEFT_STREAM_TOKEN] = "token",
    [WEFT_STREAM_CLOSE] = "close",
};

/* ---- printing ---- */

static void put_texts(struct weft_buf *b, const char *name, const struct weft_str *texts, size_t n)
{
    weft_buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        weft_buf_puts(b, i > 0 ? "," : "");
        weft_buf_json(b, texts[i]);
    }
    weft_buf_puts(b, "]");
}

static void put_text(struct weft_buf *b, const char *name, struct weft_str text)
{
    weft_buf_printf(b, ",\"%s\":", name);
    weft_buf_json(b, text.p == NULL ? weft_str("", 0) : text);
}

/* whole: the stream is to have it. Else who asks is enough. */
static void put_grant(struct weft_buf *b, const struct weft_grant *grant, bool whole)
{
    weft_buf_printf(b, ",\"caller\":{\"expires_ms\":%lld,\"roles\":%u",
                    (long long)grant->is.expires_ms, grant->is.roles);
    put_text(b, "subject", grant->is.subject);
    put_text(b, "jti", grant->is.jti);
    if (whole) {
        put_texts(b, "publish", grant->is.publish.items, grant->is.publish.n);
        put_texts(b, "subscribe", grant->is.subscribe.items, grant->is.subscribe.n);
    }
    weft_buf_puts(b, "}");
}

void weft_stream_ask_print(struct weft_buf *b, const struct weft_stream_ask *ask)
{
    weft_buf_printf(b, "{\"op\":\"%s\",\"slot\":%u,\"secret\":\"%016llx\",\"operates\":%s",
                    op_words[ask->op], (unsigned)ask->slot, (unsigned long long)ask->secret,
                    ask->operates ? "true" : "false");
    put_texts(b, "add", ask->add, ask->n_add);
    put_texts(b, "remove", ask->remove, ask->n_remove);
    if (ask->caller != NULL) {
        put_grant(b, ask->caller, ask->op == WEFT_STREAM_TOKEN);
    }
    weft_buf_puts(b, "}");
}

void weft_stream_result_print(struct weft_buf *b, const struct weft_stream_result *result)
{
    weft_buf_printf(b, "{\"status\":%d", result->status);
    put_text(b, "code", result->code);
    put_text(b, "field", result->field);
    put_text(b, "detail", result->detail);
    if (result->body.len > 0) {
        weft_buf_puts(b, ",\"body\":");
        weft_buf_str(b, result->body);
    }
    weft_buf_puts(b, "}");
}

/* ---- parsing ---- */

static struct weft_str keep(h2o_mem_pool_t *pool, struct weft_str text)
{
    return weft_str_of(h2o_strdup(pool, text.p, text.len));
}

/* Absent or of another kind: "". */
static struct weft_str text_of(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);

    return json_is_string(v) ? weft_str(json_string_value(v), json_string_length(v))
                             : weft_str("", 0);
}

static bool take_texts(struct weft_str **ret_texts, size_t *ret_n, const json_t *array,
                       h2o_mem_pool_t *pool)
{
    size_t n = json_array_size(array); /* 0 for anything else */

    *ret_texts = h2o_mem_alloc_pool(pool, (n + 1) * sizeof(**ret_texts));
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(array, i);

        if (!json_is_string(v)) {
            return false;
        }
        (*ret_texts)[i] = keep(pool, weft_str(json_string_value(v), json_string_length(v)));
    }
    return true;
}

/* weft_grant_create() looks at what it says. */
static struct weft_grant *take_grant(const json_t *v, h2o_mem_pool_t *pool)
{
    struct weft_grant_spec spec = {
        .subject = text_of(v, "subject"),
        .jti = text_of(v, "jti"),
        .expires_ms = json_integer_value(json_object_get(v, "expires_ms")),
        .roles = (unsigned)json_integer_value(json_object_get(v, "roles")),
    };
    struct weft_grant *grant = NULL;
    struct weft_str *publish;
    struct weft_str *subscribe;
    struct weft_err err;

    if (!take_texts(&publish, &spec.publish.n, json_object_get(v, "publish"), pool) ||
        !take_texts(&subscribe, &spec.subscribe.n, json_object_get(v, "subscribe"), pool)) {
        return NULL;
    }
    spec.publish.items = publish;
    spec.subscribe.items = subscribe;
    return weft_grant_create(&grant, &spec, &err) == 0 ? grant : NULL;
}

static bool all_patterns(const struct weft_str *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!weft_pattern_valid(texts[i])) {
            return false;
        }
    }
    return true;
}

static bool take_secret(struct weft_str hex, uint64_t *ret_secret)
{
    *ret_secret = 0;
    for (size_t i = 0; i < hex.len; i++) {
        const char *digit = strchr("0123456789abcdef", hex.p[i]);

        if (digit == NULL || hex.p[i] == '\0') {
            return false;
        }
        *ret_secret = *ret_secret << 4 | (uint64_t)(digit - "0123456789abcdef");
    }
    return hex.len == 16;
}

static bool take_op(struct weft_str word, enum weft_stream_op *ret_op)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(op_words); i++) {
        if (weft_str_eq(word, weft_str(op_words[i], strlen(op_words[i])))) {
            *ret_op = (enum weft_stream_op)i;
            return true;
        }
    }
    return false;
}

static bool take_ask(struct weft_stream_ask *ask, const json_t *v, h2o_mem_pool_t *pool)
{
    const json_t *caller = json_object_get(v, "caller");
    json_int_t slot = json_integer_value(json_object_get(v, "slot"));

    if (!take_op(text_of(v, "op"), &ask->op) || slot < 0 || slot > UINT32_MAX ||
        !take_secret(text_of(v, "secret"), &ask->secret) ||
        !take_texts(&ask->add, &ask->n_add, json_object_get(v, "add"), pool) ||
        !take_texts(&ask->remove, &ask->n_remove, json_object_get(v, "remove"), pool) ||
        !all_patterns(ask->add, ask->n_add) || !all_patterns(ask->remove, ask->n_remove)) {
        return false;
    }
    ask->slot = (uint32_t)slot;
    ask->operates = json_is_true(json_object_get(v, "operates"));
    if (caller != NULL) {
        ask->caller = take_grant(caller, pool);
        return ask->caller != NULL;
    }
    return ask->op != WEFT_STREAM_TOKEN; /* whose would it be? */
}

bool weft_stream_ask_parse(struct weft_stream_ask *ask, struct weft_str text, h2o_mem_pool_t *pool)
{
    json_t *v = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
    bool ok;

    memset(ask, 0, sizeof(*ask));
    ok = v != NULL && take_ask(ask, v, pool);
    json_decref(v);
    return ok;
}

bool weft_stream_result_parse(struct weft_stream_result *result, struct weft_str text,
                              h2o_mem_pool_t *pool)
{
    json_t *v = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *body = json_object_get(v, "body");
    json_int_t status = json_integer_value(json_object_get(v, "status"));
    char *dumped = NULL;

    memset(result, 0, sizeof(*result));
    if (status < 200 || status > 599) {
        json_decref(v);
        return false;
    }
    result->status = (int)status;
    result->code = keep(pool, text_of(v, "code"));
    result->field = keep(pool, text_of(v, "field"));
    result->detail = keep(pool, text_of(v, "detail"));
    if (body != NULL) {
        dumped = json_dumps(body, JSON_COMPACT);
    }
    if (dumped != NULL) {
        result->body = keep(pool, weft_str(dumped, strlen(dumped)));
        free(dumped);
    }
    json_decref(v);
    return true;
}
