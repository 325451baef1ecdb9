#include "worker_priv.h"

#include <string.h>

/*
 * Some answers libh2o makes itself, before there is a handler: 413 for a body over the limit, 417 for
 * an unknown Expect. They pass through this filter, which makes problems of them like all others.
 */

static struct weft_str problem_of(int status)
{
    switch (status) {
    case 413:
        return WEFT_STR("{\"type\":\"about:blank\",\"title\":\"Content Too Large\",\"status\":413,"
                        "\"detail\":\"the body is over http.max_body_bytes\",\"error\":{\"code\":"
                        "\"too_large\",\"message\":\"the body is over http.max_body_bytes\","
                        "\"field\":\"body\"}}");
    case 417:
        return WEFT_STR("{\"type\":\"about:blank\",\"title\":\"Expectation Failed\",\"status\":417,"
                        "\"detail\":\"only 100-continue is known\",\"error\":{\"code\":\"invalid\","
                        "\"message\":\"only 100-continue is known\",\"field\":\"Expect\"}}");
    default:
        return WEFT_STR("{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,"
                        "\"detail\":\"the request cannot be read\",\"error\":{\"code\":\"invalid\","
                        "\"message\":\"the request cannot be read\"}}");
    }
}

/* Instead of what came: the problem, once, at the end. */
static void replace(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t n,
                    h2o_send_state_t state)
{
    struct weft_str problem = problem_of(req->res.status);
    h2o_iovec_t body = h2o_iovec_init(problem.p, problem.len);

    (void)bufs;
    (void)n;
    h2o_ostream_send_next(self, req, &body, 1, state);
}

static void set_up(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    struct weft_worker *worker = weft_worker_of(req);
    h2o_ostream_t *stream = h2o_add_ostream(req, sizeof(*stream), slot);

    (void)self;
    weft_role_assert_worker(worker->owner);
    weft_linger_ask(req);
    stream->do_send = replace;
    memset(&req->res.headers, 0, sizeof(req->res.headers));
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/problem+json"));
    weft_answer_headers(req);
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                   H2O_STRLIT("no-store"));
    req->res.content_length = problem_of(req->res.status).len;
    weft_count(worker->o.shard, WEFT_M_HTTP_REQUESTS, 1);
    weft_count(worker->o.shard, WEFT_M_HTTP_ERRORS_4XX, 1);
    h2o_setup_next_ostream(req, &stream->next);
}

void weft_fallback_register(h2o_hostconf_t *host)
{
    h2o_filter_t *filter = h2o_create_filter(&host->fallback_path, sizeof(*filter));

    filter->on_setup_ostream = set_up;
}
