#include "edge_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/clock.h>
#include <weft/base/random.h>
#include <weft/loop/tally.h>
#include <weft/telemetry/sink.h>
#include <weft/wire/event.h>

#define ID_MAX          64
#define TRACEPARENT_MAX 128
/* For Redis, threads, files, probes and children, before connections get any. */
#define DESCRIPTORS_KEPT 128

/* ---- the node's ---- */

static uint32_t cap_connections(const struct weft_config *cfg, uint64_t descriptors,
                                struct weft_log *log)
{
    uint64_t kept = DESCRIPTORS_KEPT + cfg->services.probes;
    uint64_t most = descriptors > 2 * kept ? descriptors - kept : descriptors / 2;

    if (cfg->http.max_connections <= most) {
        return cfg->http.max_connections;
    }
    weft_log(log, WEFT_LOG_WARN, "http.fewer_connections",
             WEFT_U("max_connections", cfg->http.max_connections), WEFT_U("instead", most),
             WEFT_U("descriptors", descriptors));
    return most > 0 ? (uint32_t)most : 1;
}

int weft_edge_create(struct weft_edge **ret_edge, const struct weft_config *cfg,
                     uint64_t descriptors, struct weft_shard *shard, struct weft_log *log,
                     struct weft_err *err)
{
    struct weft_edge *edge = calloc(1, sizeof(*edge));
    int rc = 0;

    if (edge == NULL || weft_tally_create(&edge->tally, cfg->limits.addresses_max) != 0) {
        free(edge);
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    edge->max_connections = cap_connections(cfg, descriptors, log);
    if (cfg->access_log.path[0] != '\0') {
        rc = weft_sink_create(&edge->access, cfg->access_log.path, cfg->access_log.queue, shard,
                              log, err);
    }
    if (rc != 0) {
        weft_edge_destroy(edge);
        return rc;
    }
    *ret_edge = edge;
    return 0;
}

void weft_edge_reopen(struct weft_edge *edge)
{
    weft_sink_reopen(edge->access);
}

void weft_edge_destroy(struct weft_edge *edge)
{
    if (edge == NULL) {
        return;
    }
    weft_sink_destroy(edge->access);
    weft_tally_destroy(edge->tally);
    free(edge);
}

/* ---- a request ---- */

bool weft_request_id_valid(struct weft_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.p[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-')) {
            return false;
        }
    }
    return id.len > 0 && id.len <= ID_MAX;
}

static struct weft_str take_id(h2o_req_t *req) WEFT_ON_WORKER
{
    struct weft_worker *worker = weft_worker_of(req);
    struct weft_str id = weft_header(req, "x-request-id");
    char made[33];

    if (!weft_request_id_valid(id)) {
        uint64_t a = weft_random_next(&worker->rng);
        uint64_t b = weft_random_next(&worker->rng);

        (void)snprintf(made, sizeof(made), "%016" PRIx64 "%016" PRIx64, a, b);
        id = weft_str(made, 32);
    }
    return weft_str_of(h2o_strdup(&req->pool, id.p, id.len));
}

/* A later version may have anything behind its known fields: only what needs no escape anywhere is taken on. */
static struct weft_str take_traceparent(h2o_req_t *req) WEFT_ON_WORKER
{
    struct weft_str text = weft_header(req, "traceparent");

    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] <= ' ' || text.p[i] > '~' || text.p[i] == '"' || text.p[i] == '\\') {
            return weft_str(NULL, 0);
        }
    }
    if (text.len > TRACEPARENT_MAX || text.len == 0 || !weft_traceparent_valid(text)) {
        return weft_str(NULL, 0);
    }
    return weft_str_of(h2o_strdup(&req->pool, text.p, text.len));
}

struct weft_asked *weft_asked_of(h2o_req_t *req)
{
    struct weft_asked *asked = &weft_door_of(req)->asked;

    if (asked->id.p == NULL) {
        asked->id = take_id(req);
        asked->traceparent = take_traceparent(req);
        asked->began_ns = weft_clock_mono_ns();
    }
    return asked;
}

void weft_asked_by(h2o_req_t *req, struct weft_str subject)
{
    if (subject.len > 0) {
        weft_asked_of(req)->subject = weft_str_of(h2o_strdup(&req->pool, subject.p, subject.len));
    }
}

/* ---- headers of answers ---- */

static void add(h2o_req_t *req, const char *name, const char *value, size_t len)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 0, NULL, value, len);
}

#define ADD(req, name, literal) add((req), (name), (literal), sizeof(literal) - 1)

/* Who may read us from another origin. Cookies only go with a name, `*` is for everybody. */
static void add_cors(h2o_req_t *req) WEFT_ON_WORKER
{
    const struct weft_config_list *allowed = &weft_worker_of(req)->o.cfg->http.cors_origins;
    struct weft_str origin;

    if (allowed->len == 0) {
        return;
    }
    ADD(req, "vary", "origin");
    origin = weft_header(req, "origin");
    switch (weft_origin_of(origin, allowed)) {
    case WEFT_ORIGIN_FOREIGN:
        return;
    case WEFT_ORIGIN_ANY:
        ADD(req, "access-control-allow-origin", "*");
        break;
    case WEFT_ORIGIN_NAMED:
        /* Equal to a configured text: nothing in it can break the header. */
        add(req, "access-control-allow-origin", origin.p, origin.len);
        ADD(req, "access-control-allow-credentials", "true");
        break;
    }
    ADD(req, "access-control-expose-headers",
        "x-request-id, retry-after, ratelimit, ratelimit-policy, ratelimit-limit, "
        "ratelimit-remaining, ratelimit-reset, idempotency-replayed, producer-epoch, "
        "producer-expected-seq, weft-replicas, www-authenticate");
}

void weft_answer_preflight(h2o_req_t *req, h2o_iovec_t methods)
{
    const struct weft_config_list *allowed = &weft_worker_of(req)->o.cfg->http.cors_origins;

    if (weft_header(req, "access-control-request-method").p == NULL ||
        weft_origin_of(weft_header(req, "origin"), allowed) == WEFT_ORIGIN_FOREIGN) {
        return;
    }
    add(req, "access-control-allow-methods", methods.base, methods.len);
    ADD(req, "access-control-allow-headers",
        "authorization, content-type, last-event-id, idempotency-key, producer-id, "
        "producer-epoch, producer-seq, x-request-id, traceparent");
    ADD(req, "access-control-max-age", "600");
}

void weft_answer_headers(h2o_req_t *req)
{
    const struct weft_config *cfg = weft_worker_of(req)->o.cfg;
    struct weft_str id = weft_asked_of(req)->id;

    add(req, "x-request-id", id.p, id.len);
    ADD(req, "x-content-type-options", "nosniff");
    ADD(req, "referrer-policy", "no-referrer");
    ADD(req, "cross-origin-resource-policy", "same-origin");
    if (cfg->http.hsts_s > 0) {
        char *text = h2o_mem_alloc_pool(&req->pool, 32);
        int n = snprintf(text, 32, "max-age=%u", cfg->http.hsts_s);

        add(req, "strict-transport-security", text, (size_t)n);
    }
    add_cors(req);
}

/* ---- what is refused ---- */

bool weft_edge_head_fits(h2o_req_t *req, size_t head_bytes)
{
    struct weft_worker *worker = weft_worker_of(req);
    const struct weft_config *cfg = worker->o.cfg;

    if (req->input.path.len > cfg->http.max_url_bytes) {
        weft_count(worker->o.shard, WEFT_M_REFUSED_URL, 1);
        req->http1_is_persistent = 0;
        weft_respond_problem(req, 414, "too_large", "path",
                             "path and query are over http.max_url_bytes");
        return false;
    }
    if (head_bytes > cfg->http.max_head_bytes) {
        weft_count(worker->o.shard, WEFT_M_REFUSED_HEAD, 1);
        req->http1_is_persistent = 0;
        weft_respond_problem(req, 431, "too_large", "head",
                             "the request's head is over http.max_head_bytes");
        return false;
    }
    return true;
}

bool weft_edge_origin_ok(h2o_req_t *req)
{
    static const char *const changing[] = {"POST", "PUT", "PATCH", "DELETE"};
    struct weft_worker *worker = weft_worker_of(req);
    struct weft_str credentials = weft_header(req, "authorization");
    bool bearer = weft_str_ieq(weft_str_before(&credentials, ' '), WEFT_STR("bearer"));
    bool changes = false;

    for (size_t i = 0; i < WEFT_COUNT_OF(changing); i++) {
        changes = changes || h2o_memis(req->input.method.base, req->input.method.len, changing[i],
                                       strlen(changing[i]));
    }
    if (!changes || bearer || weft_origin_allowed(req, worker->o.cfg)) {
        return true;
    }
    weft_count(worker->o.shard, WEFT_M_REFUSED_ORIGIN, 1);
    weft_respond_problem(req, 403, "forbidden", "Origin",
                         "pages of this origin may not change anything here (http.cors_origins)");
    return false;
}
