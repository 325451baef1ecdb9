#include "worker_priv.h"

#include <stdlib.h>

#include <weft/base/assert.h>

/* A request that another thread answers. */

struct pending {
    struct weft_waiting waiting;
    struct weft_worker *worker;
    h2o_req_t *req; /* alive until it is answered */
    void (*respond)(h2o_req_t *req, const struct weft_answer_msg *m);
};

/* The request, which nobody waits for any more. */
static h2o_req_t *finish(struct pending *p) WEFT_ON_WORKER
{
    h2o_req_t *req = p->req;

    weft_ticket_free(p->worker, &p->waiting);
    free(p);
    return req;
}

static void answered(struct weft_waiting *w, struct weft_answer_msg *m)
{
    struct pending *p = WEFT_CONTAINER_OF(w, struct pending, waiting);
    void (*respond)(h2o_req_t * req, const struct weft_answer_msg *answer) = p->respond;

    weft_role_assert_worker(p->worker->owner);
    h2o_req_t *req = finish(p);

    weft_unwatch(req);
    respond(req, m);
}

void weft_ask(struct weft_call *call, struct weft_mailbox *to, struct weft_msg *msg,
              uint32_t *worker_index, struct weft_ticket *ticket,
              void (*respond)(h2o_req_t *req, const struct weft_answer_msg *m))
{
    struct weft_worker *worker = call->worker;
    struct pending *p = calloc(1, sizeof(*p));

    WEFT_ASSERT(p != NULL);
    p->worker = worker;
    p->req = call->req;
    p->respond = respond;
    p->waiting.answer = answered;
    weft_ticket_take(worker, &p->waiting);
    *worker_index = worker->o.index;
    *ticket = p->waiting.ticket;
    if (weft_mailbox_post(to, &msg) != 0) {
        weft_count(worker->o.shard, WEFT_M_MAILBOX_FULL, 1);
        msg->ops->drop(msg);
        weft_respond_problem(finish(p), 503, "busy", "", "too much is being asked at the moment");
        return;
    }
    weft_watch(call->req, NULL);
}

void weft_control_ask(struct weft_call *call, struct weft_request *rq)
{
    weft_ask(call, call->worker->control, &rq->msg, &rq->worker, &rq->ticket, weft_respond_answer);
}
