#include "worker_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/assert.h>

/* Of IANA's registry. Buckets' checks may be answered with any status (`refused=`). */
static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {423, "Locked"},
        {424, "Failed Dependency"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
        {508, "Loop Detected"},
        {511, "Network Authentication Required"},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Error";
}

static void add_header(h2o_req_t *req, const char *name, const char *value, size_t value_len)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, value,
                          value_len);
}

void weft_respond(h2o_req_t *req, int status, const char *content_type, struct weft_str body)
{
    static h2o_generator_t generator;
    struct weft_worker *worker = weft_worker_of(req);
    h2o_iovec_t iov;

    req->res.status = status;
    req->res.reason = reason_of(status);
    if (content_type != NULL) {
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type,
                       strlen(content_type));
    }
    if (h2o_find_header(&req->res.headers, H2O_TOKEN_CACHE_CONTROL, -1) == -1) {
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                       H2O_STRLIT("no-store"));
    }
    weft_answer_headers(req);
    weft_count(worker->o.shard, WEFT_M_HTTP_REQUESTS, 1);
    if (status >= 500) {
        weft_count(worker->o.shard, WEFT_M_HTTP_ERRORS_5XX, 1);
    } else if (status >= 400) {
        weft_count(worker->o.shard, WEFT_M_HTTP_ERRORS_4XX, 1);
    }
    if (worker->stopping || weft_drain_is_leaving(worker)) {
        req->http1_is_persistent = 0;
    }
    if (status != 204 && status != 304) {
        req->res.content_length = body.len;
    }
    iov = h2o_strdup(&req->pool, body.p == NULL ? "" : body.p, body.len);
    h2o_start_response(req, &generator);
    if (body.len == 0 ||
        h2o_memis(req->input.method.base, req->input.method.len, H2O_STRLIT("HEAD"))) {
        h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
    } else {
        h2o_send(req, &iov, 1, H2O_SEND_STATE_FINAL);
    }
}

void weft_respond_json(h2o_req_t *req, int status, struct weft_str body)
{
    weft_respond(req, status, "application/json", body);
}

static void respond_problem(h2o_req_t *req, int status, const char *code, const char *field,
                            struct weft_str text, bool unwritten) WEFT_ON_WORKER
{
    struct weft_buf b;

    weft_buf_init(&b, 4096);
    weft_buf_puts(&b, "{\"type\":\"about:blank\",\"title\":");
    weft_buf_json(&b, weft_str(reason_of(status), strlen(reason_of(status))));
    weft_buf_puts(&b, ",\"status\":");
    weft_buf_u64(&b, (uint64_t)status);
    weft_buf_puts(&b, ",\"detail\":");
    weft_buf_json(&b, text);
    weft_buf_puts(&b, ",\"error\":{\"code\":");
    weft_buf_json(&b, weft_str(code, strlen(code)));
    weft_buf_puts(&b, ",\"message\":");
    weft_buf_json(&b, text);
    if (field[0] != '\0') {
        weft_buf_puts(&b, ",\"field\":");
        weft_buf_json(&b, weft_str(field, strlen(field)));
    }
    weft_buf_puts(&b, unwritten ? ",\"written\":false}}" : "}}");
    if (status == 503 && h2o_find_header(&req->res.headers, H2O_TOKEN_RETRY_AFTER, -1) == -1) {
        add_header(req, "retry-after", H2O_STRLIT("1"));
    }
    weft_respond(req, status, "application/problem+json", weft_str(b.data, b.len));
    weft_buf_fini(&b);
}

void weft_respond_problem(h2o_req_t *req, int status, const char *code, const char *field,
                          const char *fmt, ...)
{
    char message[300];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(message)) {
        n = (int)strlen(message);
    }
    respond_problem(req, status, code, field, weft_str(message, (size_t)n), false);
}

void weft_respond_refusal(h2o_req_t *req, const struct weft_refusal *r)
{
    respond_problem(req, r->status, r->code, r->field, weft_str(r->message, strlen(r->message)),
                    r->unwritten);
}

void weft_respond_err(h2o_req_t *req, const struct weft_err *err)
{
    if (err->code == WEFT_ETOOBIG) {
        weft_respond_problem(req, 413, "too_large", err->field, "%s", err->message);
    } else {
        weft_respond_problem(req, 400, "invalid", err->field, "%s", err->message);
    }
}

struct weft_str weft_header(h2o_req_t *req, const char *name)
{
    ssize_t at = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);

    return at == -1 ? weft_str(NULL, 0) : weft_str_of(req->headers.entries[at].value);
}

bool weft_query_allow(struct weft_call *call, const char *const *allowed)
{
    for (size_t i = 0; i < call->query->n; i++) {
        const struct weft_param *p = &call->query->params[i];
        const char *const *name = allowed;

        if (weft_str_eq(p->key, WEFT_STR("token")) ||
            weft_str_eq(p->key, WEFT_STR("access_token"))) {
            continue; /* auth.c has seen it */
        }
        while (*name != NULL && !weft_str_eq(p->key, weft_str(*name, strlen(*name)))) {
            name++;
        }
        if (*name == NULL) {
            char field[96];
            int n = p->key.len < sizeof(field) - 1 ? (int)p->key.len : (int)sizeof(field) - 1;

            (void)snprintf(field, sizeof(field), "%.*s", n, p->key.p);
            weft_respond_problem(call->req, 400, "invalid", field,
                                 "this parameter is not known here");
            return false;
        }
    }
    return true;
}

bool weft_query_u32(struct weft_call *call, const char *name, uint32_t lo, uint32_t hi,
                    uint32_t def, uint32_t *ret_value)
{
    struct weft_str text = weft_query_get(call->query, name);
    uint64_t v = def;

    if (text.p != NULL && (!weft_str_u64(text, &v) || v < lo || v > hi)) {
        weft_respond_problem(call->req, 400, "invalid", name, "it must be a number from %u to %u",
                             lo, hi);
        return false;
    }
    *ret_value = (uint32_t)v;
    return true;
}

bool weft_query_id(struct weft_call *call, const char *name, bool *ret_has, struct weft_id *ret_id)
{
    struct weft_str text = weft_query_get(call->query, name);

    *ret_has = text.p != NULL;
    if (text.p != NULL && !weft_id_parse(text, ret_id)) {
        weft_respond_problem(call->req, 400, "invalid", name, "it must be an event id, <ms>-<seq>");
        return false;
    }
    return true;
}

bool weft_call_topic(struct weft_call *call, struct weft_str *ret_topic)
{
    if (!weft_topic_valid(call->params[0])) {
        weft_respond_problem(call->req, 400, "invalid", "topic",
                             "a topic is 1 to 200 of A-Z a-z 0-9 . _ : -");
        return false;
    }
    *ret_topic = call->params[0];
    return true;
}
