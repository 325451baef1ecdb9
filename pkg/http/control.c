#include "worker_priv.h"

#include <stdlib.h>

#include <weft/base/assert.h>

/* Requests that the control thread answers: breakers, buckets, services. */

#define FORM_BYTES_MAX ((size_t)2 * 1024 * 1024)

void weft_respond_answer(h2o_req_t *req, const struct weft_answer_msg *m)
{
    for (size_t i = 0; i < m->n_headers; i++) {
        const struct weft_answer_header *h = &m->headers[i];
        h2o_iovec_t value = h2o_strdup(&req->pool, h->value, SIZE_MAX);

        h2o_add_header_by_str(&req->pool, &req->res.headers, h->name, strlen(h->name), 1, NULL,
                              value.base, value.len);
    }
    if (m->code != NULL) {
        weft_respond_problem(req, m->status, m->code, m->field, "%s", m->detail);
    } else if (m->body != NULL) {
        weft_respond_json(req, m->status, weft_str(m->body, m->body_len));
    } else {
        weft_respond(req, m->status, NULL, weft_str(NULL, 0));
    }
}

bool weft_call_form(struct weft_call *call, const struct weft_member *members, size_t n, void *out,
                    uint64_t *ret_seen)
{
    struct weft_str body = weft_str_of(call->req->entity);
    struct weft_buf *b = &call->worker->form;
    struct weft_err err;

    weft_buf_clear(b);
    if (body.len > FORM_BYTES_MAX / 2) {
        weft_respond_problem(call->req, 413, "too_large", "body", "the body is too long");
        return false;
    }
    if (weft_form_read(members, n, body, b, out, ret_seen, &err) != 0) {
        weft_respond_err(call->req, &err);
        return false;
    }
    return true;
}
