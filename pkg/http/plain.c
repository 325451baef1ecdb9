#include "worker_priv.h"

#include <string.h>

#include <weft/base/clock.h>
#include <weft/telemetry/labels.h>

#include "assets_priv.h"

/* The page and its files, health and metrics: answered by the worker alone. */

void weft_handle_healthz(struct weft_call *call)
{
    weft_respond_json(call->req, 200, WEFT_STR("{\"status\":\"ok\"}"));
}

/* Ready means that events arrive: a canary came back to every worker a moment ago. */
void weft_handle_readyz(struct weft_call *call)
{
    uint64_t age_ms = weft_canaries_age_ms(call->worker->o.canaries, weft_clock_mono_ns());

    if (call->worker->stopping || weft_drain_is_leaving(call->worker)) {
        weft_respond_json(call->req, 503,
                          WEFT_STR("{\"status\":\"not_ready\",\"reasons\":[\"draining\"]}"));
    } else if (!weft_fanout_is_up(call->worker->fanout)) {
        weft_respond_json(call->req, 503,
                          WEFT_STR("{\"status\":\"not_ready\",\"reasons\":[\"redis\"]}"));
    } else if (age_ms > call->worker->o.cfg->canary.max_age_ms) {
        weft_respond_json(call->req, 503,
                          WEFT_STR("{\"status\":\"not_ready\",\"reasons\":[\"canary\"]}"));
    } else {
        weft_respond_json(call->req, 200, WEFT_STR("{\"status\":\"ready\"}"));
    }
}

void weft_handle_metrics(struct weft_call *call)
{
    struct weft_buf b;

    weft_buf_init(&b, (size_t)1024 * 1024);
    weft_labels_render(call->worker->o.labels, &b);
    if (weft_metrics_render(call->worker->o.metrics, &b) == 0) {
        weft_respond(call->req, 200, WEFT_METRICS_CONTENT_TYPE, weft_str(b.data, b.len));
    } else {
        weft_respond_problem(call->req, 503, "busy", "", "out of memory");
    }
    weft_buf_fini(&b);
}

static const struct weft_asset *asset_of(struct weft_str path)
{
    const char *slash = memrchr(path.p, '/', path.len);
    struct weft_str name = weft_str(slash + 1, path.len - (size_t)(slash + 1 - path.p));

    if (name.len == 0) {
        name = WEFT_STR("index.html");
    }
    for (size_t i = 0; i < weft_assets_len; i++) {
        if (weft_str_eq(name, weft_str(weft_assets[i].path, strlen(weft_assets[i].path)))) {
            return &weft_assets[i];
        }
    }
    return NULL;
}

void weft_handle_asset(struct weft_call *call)
{
    h2o_req_t *req = call->req;
    size_t path_len = req->query_at == SIZE_MAX ? req->path.len : req->query_at;
    const struct weft_asset *asset = asset_of(weft_str(req->path.base, path_len));
    struct weft_str seen = weft_header(req, "if-none-match");

    if (asset == NULL) {
        weft_respond_problem(req, 404, "not_found", "", "this file is not in the program");
        return;
    }
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                   H2O_STRLIT("no-cache"));
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ETAG, NULL, asset->etag,
                   strlen(asset->etag));
    h2o_add_header_by_str(
        &req->pool, &req->res.headers, H2O_STRLIT("content-security-policy"), 0, NULL,
        H2O_STRLIT(
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"));
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("x-frame-options"), 0, NULL,
                          H2O_STRLIT("deny"));
    if (weft_str_eq(seen, weft_str(asset->etag, strlen(asset->etag)))) {
        weft_respond(req, 304, NULL, weft_str(NULL, 0));
        return;
    }
    weft_respond(req, 200, asset->content_type, weft_str((const char *)asset->data, asset->len));
}
