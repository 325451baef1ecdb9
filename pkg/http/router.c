#include "worker_priv.h"

#include <stdio.h>
#include <string.h>

#include <weft/base/assert.h>

struct weft_route {
    const char *method;
    const char *path; /* `{…}` stands for one segment */
    enum weft_right right;
    void (*handle)(struct weft_call *call);
};

/* Every route of the node; a test holds docs/openapi.yaml against it. HEAD is served as GET. */
static const struct weft_route routes[] = {
    {"POST", "/api/topics/{topic}/events", WEFT_RIGHT_PUBLISH, weft_handle_publish},
    {"GET", "/api/topics/{topic}/events", WEFT_RIGHT_SUBSCRIBE, weft_handle_history},
    {"GET", "/api/topics/{topic}", WEFT_RIGHT_SUBSCRIBE, weft_handle_topic},
    {"GET", "/api/topics", WEFT_RIGHT_READ, weft_handle_topics},
    {"GET", "/api/events", WEFT_RIGHT_SUBSCRIBE, weft_handle_events},
    {"GET", "/api/ws", WEFT_RIGHT_OWN, weft_handle_ws},
    {"GET", "/ws", WEFT_RIGHT_OWN, weft_handle_ws},
    {"GET", "/api/breakers", WEFT_RIGHT_READ, weft_handle_breakers},
    {"GET", "/api/breakers/{name}", WEFT_RIGHT_READ, weft_handle_breaker},
    {"PUT", "/api/breakers/{name}", WEFT_RIGHT_OPERATE, weft_handle_breaker_put},
    {"DELETE", "/api/breakers/{name}", WEFT_RIGHT_OPERATE, weft_handle_breaker_delete},
    {"POST", "/api/breakers/{name}/acquire", WEFT_RIGHT_GUARD, weft_handle_breaker_acquire},
    {"POST", "/api/breakers/{name}/report", WEFT_RIGHT_GUARD, weft_handle_breaker_report},
    {"POST", "/api/breakers/{name}/force", WEFT_RIGHT_OPERATE, weft_handle_breaker_force},
    {"GET", "/api/limits", WEFT_RIGHT_READ, weft_handle_limits_list},
    {"POST", "/api/limits/take", WEFT_RIGHT_GUARD, weft_handle_limits_take_several},
    {"GET", "/api/limits/{bucket}", WEFT_RIGHT_READ, weft_handle_limits_look},
    {"PUT", "/api/limits/{bucket}", WEFT_RIGHT_OPERATE, weft_handle_limits_set},
    {"DELETE", "/api/limits/{bucket}", WEFT_RIGHT_OPERATE, weft_handle_limits_delete},
    {"POST", "/api/limits/{bucket}/take", WEFT_RIGHT_GUARD, weft_handle_limits_take},
    {"GET", "/api/limits/{bucket}/check", WEFT_RIGHT_GUARD, weft_handle_limits_check},
    {"GET", "/api/connections", WEFT_RIGHT_OPERATE, weft_handle_connections},
    {"GET", "/api/streams/{stream}", WEFT_RIGHT_READ, weft_handle_stream},
    {"DELETE", "/api/streams/{stream}", WEFT_RIGHT_READ, weft_handle_stream_close},
    {"POST", "/api/streams/{stream}/topics", WEFT_RIGHT_READ, weft_handle_stream_topics},
    {"POST", "/api/streams/{stream}/token", WEFT_RIGHT_OWN, weft_handle_stream_token},
    {"GET", "/api/revocations", WEFT_RIGHT_OPERATE, weft_handle_revocations},
    {"PUT", "/api/revocations/{jti}", WEFT_RIGHT_OPERATE, weft_handle_revocation_put},
    {"DELETE", "/api/revocations/{jti}", WEFT_RIGHT_OPERATE, weft_handle_revocation_delete},
    {"GET", "/api/services", WEFT_RIGHT_READ, weft_handle_services},
    {"GET", "/api/services/health", WEFT_RIGHT_READ, weft_handle_services_health},
    {"GET", "/api/services/{id}", WEFT_RIGHT_READ, weft_handle_service},
    {"PUT", "/api/services/{id}", WEFT_RIGHT_OPERATE, weft_handle_service_put},
    {"DELETE", "/api/services/{id}", WEFT_RIGHT_OPERATE, weft_handle_service_delete},
    {"GET", "/api/services/{id}/metrics", WEFT_RIGHT_READ, weft_handle_service_metrics},
    {"POST", "/api/services/{id}/start", WEFT_RIGHT_OPERATE, weft_handle_service_start},
    {"POST", "/api/services/{id}/stop", WEFT_RIGHT_OPERATE, weft_handle_service_stop},
    {"POST", "/api/services/{id}/restart", WEFT_RIGHT_OPERATE, weft_handle_service_restart},
    {"GET", "/api/nodes", WEFT_RIGHT_READ, weft_handle_nodes},
    {"GET", "/api/openapi.yaml", WEFT_RIGHT_NONE, weft_handle_asset},
    {"GET", "/healthz", WEFT_RIGHT_NONE, weft_handle_healthz},
    {"GET", "/readyz", WEFT_RIGHT_NONE, weft_handle_readyz},
    {"GET", "/metrics", WEFT_RIGHT_NONE, weft_handle_metrics},
    {"GET", "/", WEFT_RIGHT_NONE, weft_handle_asset},
    {"GET", "/app.js", WEFT_RIGHT_NONE, weft_handle_asset},
    {"GET", "/style.css", WEFT_RIGHT_NONE, weft_handle_asset},
    {"GET", "/icon.svg", WEFT_RIGHT_NONE, weft_handle_asset},
};

bool weft_route_handles(const struct weft_route *route, void (*handle)(struct weft_call *call))
{
    return route->handle == handle;
}

void weft_routes_print(FILE *out)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(routes); i++) {
        (void)fprintf(out, "%s %s\n", routes[i].method, routes[i].path);
    }
}

static struct weft_str segment(struct weft_str path, size_t *at)
{
    size_t from = *at;
    const char *slash = from >= path.len ? NULL : memchr(path.p + from, '/', path.len - from);
    size_t len = slash == NULL ? path.len - from : (size_t)(slash - path.p) - from;

    *at = from + len + 1;
    return weft_str(path.p + from, len);
}

/* Segments of `{…}` are left as they came, in raw. */
static bool matches(const char *pattern, struct weft_str path, struct weft_str *raw)
{
    struct weft_str want = weft_str(pattern, strlen(pattern));
    size_t a = 1;
    size_t b = 1;
    size_t n = 0;

    while (a <= want.len && b <= path.len) {
        struct weft_str x = segment(want, &a);
        struct weft_str y = segment(path, &b);

        if (x.len > 0 && x.p[0] == '{') {
            if (y.len == 0) {
                return false;
            }
            raw[n++] = y;
        } else if (!weft_str_eq(x, y)) {
            return false;
        }
    }
    return a > want.len && b > path.len;
}

static bool method_is(h2o_req_t *req, const char *method)
{
    return h2o_memis(req->input.method.base, req->input.method.len, method, strlen(method));
}

/* The methods of a path, for Allow. */
static h2o_iovec_t allowed(h2o_req_t *req, struct weft_str path)
{
    struct weft_str raw[WEFT_PATH_PARAMS];
    h2o_iovec_t list = h2o_iovec_init(H2O_STRLIT("OPTIONS"));

    for (size_t i = 0; i < WEFT_COUNT_OF(routes); i++) {
        if (matches(routes[i].path, path, raw)) {
            const char *method = routes[i].method;

            list = h2o_concat(&req->pool, list, h2o_iovec_init(H2O_STRLIT(", ")),
                              h2o_iovec_init(method, strlen(method)));
            if (strcmp(method, "GET") == 0) {
                list = h2o_concat(&req->pool, list, h2o_iovec_init(H2O_STRLIT(", HEAD")));
            }
        }
    }
    return list;
}

void weft_call_go_on(struct weft_call *call)
{
    if (weft_call_permitted(call, call->route->right)) {
        call->route->handle(call);
    }
}

static void options(h2o_req_t *req, struct weft_str path) WEFT_ON_WORKER
{
    h2o_iovec_t list = allowed(req, path);

    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("allow"), 1, NULL, list.base,
                          list.len);
    weft_answer_preflight(req, list);
    weft_respond(req, 204, NULL, weft_str(NULL, 0));
}

static void unknown(struct weft_call *call)
{
    weft_role_assert_worker(call->worker->owner);
    weft_respond_problem(call->req, 404, "not_found", "", "there is nothing at this path");
}

/* The path without its query. */
static struct weft_str path_of(const h2o_req_t *req)
{
    return weft_str(req->path.base, req->query_at != SIZE_MAX ? req->query_at : req->path.len);
}

static void wrong_method(struct weft_call *call)
{
    h2o_req_t *req = call->req;
    h2o_iovec_t list = allowed(req, path_of(req));

    weft_role_assert_worker(call->worker->owner);
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("allow"), 1, NULL, list.base,
                          list.len);
    weft_respond_problem(req, 405, "method_not_allowed", "", "this path does not know the method");
}

/* What leads nowhere costs a token as well: else it could be asked for without end. */
static void dispatch_nowhere(struct weft_call *call, struct weft_str path, bool path_known)
    WEFT_ON_WORKER
{
    static const struct weft_route unknown_path = {"", "", WEFT_RIGHT_NONE, unknown};
    static const struct weft_route unknown_method = {"", "", WEFT_RIGHT_NONE, wrong_method};

    call->route = path_known ? &unknown_method : &unknown_path;
    if (weft_str_starts(path, "/api/")) {
        weft_call_authenticate(call); /* whose token it costs */
        if (!weft_admit(call)) {
            return;
        }
    }
    weft_call_go_on(call);
}

static void dispatch(struct weft_call *call, struct weft_str path) WEFT_ON_WORKER
{
    h2o_req_t *req = call->req;
    bool path_known = false;

    for (size_t i = 0; i < WEFT_COUNT_OF(routes); i++) {
        struct weft_str raw[WEFT_PATH_PARAMS] = {{NULL, 0}};
        const char *method = routes[i].method;

        if (!matches(routes[i].path, path, raw)) {
            continue;
        }
        path_known = true;
        if (!method_is(req, method) &&
            !(strcmp(method, "GET") == 0 && (method_is(req, "HEAD") || call->as_get))) {
            continue;
        }
        call->route = &routes[i];
        for (size_t k = 0; k < WEFT_PATH_PARAMS && raw[k].p != NULL; k++) {
            char *out = h2o_mem_alloc_pool(&req->pool, raw[k].len + 1);

            if (!weft_segment_decode(raw[k], out, &call->params[k])) {
                weft_respond_problem(req, 400, "invalid", "topic",
                                     "the path has a broken %% escape");
                return;
            }
        }
        if (call->route->right == WEFT_RIGHT_NONE) {
            call->route->handle(call);
            return;
        }
        weft_call_authenticate(call);
        if (weft_admit(call)) {
            weft_call_go_on(call);
        }
        return;
    }
    if (path_known && method_is(req, "OPTIONS")) {
        options(req, path);
    } else {
        dispatch_nowhere(call, path, path_known);
    }
}

/* The head as it came begins the connection's input until the request is answered. */
static const char *head_problem(h2o_req_t *req, size_t *ret_bytes)
{
    h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
    const char *problem;
    const char *end;
    bool chunked = false;

    if (sock == NULL || sock->input == NULL || sock->input->size == 0) {
        return "the head is not there";
    }
    /* With a body, the entity begins right behind the head (or, chunked, was decoded there). */
    end = memmem(sock->input->bytes, sock->input->size, "\r\n\r\n", 4);
    if (end == NULL) {
        return "a line of the head ends without CR";
    }
    *ret_bytes = (size_t)(end + 4 - sock->input->bytes);
    problem = weft_rawhead_check(weft_str(sock->input->bytes, *ret_bytes), req->version >= 0x101,
                                 &chunked);
    if (chunked) {
        /* libh2o reads chunk sizes more freely than others do: nothing behind such a body is read. */
        req->http1_is_persistent = 0;
    }
    return problem;
}

static const struct weft_query no_query;

/*
 * ext_authz of Envoy asks with the method of the request, and its path and query behind the prefix that is configured:
 * what follows /api/limits/{bucket}/check is not for us. Cuts path.
 */
static bool cut_check(struct weft_str *path)
{
    static const char *const want[] = {"", "api", "limits", NULL, "check"};
    size_t at = 0;

    for (size_t i = 0; i < WEFT_COUNT_OF(want); i++) {
        struct weft_str s = segment(*path, &at);

        if (at > path->len ||
            (want[i] != NULL && !weft_str_eq(s, weft_str(want[i], strlen(want[i]))))) {
            return false;
        }
    }
    path->len = at - 1;
    return true;
}

int weft_router_handle(h2o_handler_t *handler, h2o_req_t *req)
{
    struct weft_worker *worker = weft_worker_of(req);
    struct weft_call call = {.req = req, .worker = worker, .query = &no_query};
    struct weft_str path = path_of(req);
    struct weft_err err;
    size_t head_bytes = 0;
    const char *problem = head_problem(req, &head_bytes);

    weft_role_assert_worker(worker->owner);
    (void)handler;
    if (problem != NULL) {
        req->http1_is_persistent = 0; /* nothing behind this request is read */
        weft_respond_problem(req, 400, "invalid", "", "%s", problem);
        return 0;
    }
    if (!weft_edge_head_fits(req, head_bytes)) {
        return 0;
    }
    call.as_get = cut_check(&path);
    if (!call.as_get && !weft_edge_origin_ok(req)) {
        return 0;
    }
    if (req->query_at != SIZE_MAX && !call.as_get) {
        struct weft_query *query = h2o_mem_alloc_pool(&req->pool, sizeof(*query));
        struct weft_str text =
            weft_str(path.p + req->query_at + 1, req->path.len - req->query_at - 1);
        char *scratch = h2o_mem_alloc_pool(&req->pool, text.len + 1);

        if (weft_query_parse(query, text, scratch, &err) != 0) {
            weft_respond_err(req, &err);
            return 0;
        }
        call.query = query;
    }
    dispatch(&call, path);
    return 0;
}
