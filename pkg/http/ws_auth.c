#include <stdio.h>
#include <stdlib.h>

#include <weft/auth/grant.h>

#include "streams_priv.h"
#include "ws_priv.h"

/*
 * Who the client is, and what that may do. The token comes with the upgrade, as that of any request or in an offered
 * subprotocol, or in a message; each that comes later takes the place of the one before. A socket that may do nothing
 * without one has ws.auth_ms to send one. When it ends the socket does, too: it never falls back to what may be done without.
 */

/* With a subject of its own it has a bucket of its own. */
static void take_bucket(struct weft_ws *ws) WEFT_ON_WORKER
{
    struct weft_str subject = ws->standing.grant->is.subject;

    if (subject.len > 0) {
        free(ws->bucket);
        ws->bucket = weft_admit_bucket_of(ws->worker, subject);
    }
}

/* May somebody without a token do anything here? */
static bool nobody_may(const struct weft_worker *worker)
{
    return worker->o.cfg->auth.anonymous != WEFT_ANONYMOUS_NONE;
}

bool weft_ws_caller_take(struct weft_ws *ws, struct weft_call *call, struct weft_str token)
{
    struct weft_worker *worker = call->worker;
    struct weft_grant *grant = NULL;
    struct weft_err err;

    ws->bucket = weft_admit_bucket(call);
    if (token.p != NULL) { /* it was sent on purpose, which a cookie is not */
        if (weft_token_take(worker, token, &grant, &err) != 0) {
            weft_respond_unauthorized(call->req, err.message);
            return false;
        }
        weft_standing_begin(&ws->standing, grant);
        weft_asked_by(call->req, grant->is.subject);
        take_bucket(ws);
        weft_grant_unref(grant);
    } else if (call->refused != NULL) {
        weft_respond_unauthorized(call->req, call->refused);
        return false;
    } else {
        weft_standing_begin(&ws->standing, call->grant);
    }
    if (ws->standing.grant == NULL && !nobody_may(worker)) {
        ws->auth_until_ms = worker->now_ms + worker->o.cfg->ws.auth_ms;
    }
    return true;
}

void weft_ws_caller_fini(struct weft_ws *ws)
{
    weft_standing_end(&ws->standing);
}

static bool refuse(struct weft_ws_op *op, const char *field, const char *what) WEFT_ON_WORKER
{
    const struct weft_worker *worker = op->ws->worker;

    if (op->ws->standing.grant == NULL && worker->o.cfg->auth.jwks[0] != '\0') {
        weft_count(worker->o.shard, WEFT_M_REQUESTS_UNAUTHORIZED, 1);
        weft_ws_refuse(op, "unauthorized", "", "this needs a token");
    } else {
        weft_count(worker->o.shard, WEFT_M_REQUESTS_FORBIDDEN, 1);
        weft_ws_refuse(op, "forbidden", field,
                       op->ws->standing.grant != NULL ? "the token does not allow %s"
                                                      : "without a token (auth.anonymous) not: %s",
                       what);
    }
    return false;
}

bool weft_ws_may_subscribe(struct weft_ws_op *op, struct weft_str pattern)
{
    return weft_may_subscribe(op->ws->worker, op->ws->standing.grant, pattern) ||
           refuse(op, "topics", "subscribing to this topic");
}

bool weft_ws_may_publish(struct weft_ws_op *op, const struct weft_publish_msg *m, bool is_list)
{
    char field[sizeof(((struct weft_err *)NULL)->field) + 8];
    struct weft_err err;

    if (weft_publish_allowed(op->ws->worker, op->ws->standing.grant, m, &err)) {
        return true;
    }
    if (err.field[0] == '[') { /* of an event: as the message has them */
        (void)snprintf(field, sizeof(field), "%s%s", is_list ? "events" : "event",
                       is_list ? err.field : ".topics");
    } else {
        (void)snprintf(field, sizeof(field), "%s", err.field);
    }
    return refuse(op, field, err.message);
}

bool weft_ws_take_grant(struct weft_ws *ws, struct weft_grant *grant,
                        struct weft_stream_result *result)
{
    const struct weft_ws_sub *sub;

    for (sub = ws->subs; sub != NULL; sub = sub->next) {
        if (!weft_receiver_may_take(&sub->rx, grant, result)) {
            return false;
        }
    }
    if (!weft_receiver_count(ws->worker, &ws->kept, grant, result)) {
        return false;
    }
    weft_standing_renew(&ws->standing, grant);
    take_bucket(ws);
    ws->auth_until_ms = 0;
    ws->tell_expiring = false;
    ws->tell_renewed = true;
    weft_ws_queue(ws);
    return true;
}

/* Of one socket: another subject's token would give it another's place. */
static bool same_subject(const struct weft_grant *old, const struct weft_grant *grant)
{
    return old == NULL || weft_str_eq(old->is.subject, grant->is.subject);
}

void weft_ws_auth(struct weft_ws_op *op, struct weft_str token)
{
    struct weft_stream_result result = {.status = 200};
    struct weft_ws *ws = op->ws;
    struct weft_grant *grant = NULL;
    struct weft_err err;

    if (weft_token_take(ws->worker, token, &grant, &err) != 0) {
        weft_ws_refuse(op, "unauthorized", "token", "the token is refused: %s", err.message);
        return;
    }
    if (!same_subject(ws->standing.grant, grant)) {
        weft_ws_refuse(op, "forbidden", "token", "the socket belongs to another subject");
    } else if (!weft_ws_take_grant(ws, grant, &result)) {
        weft_ws_refuse(op, result.code.p, "token", "%s", result.detail.p);
    } else {
        ws->tell_renewed = false; /* the answer says it */
        struct weft_buf *b = weft_ws_answer(ws, "weft.ok", op->request);

        weft_buf_puts(b, ",");
        weft_renewed_print(b, &ws->standing);
        weft_ws_answer_end(ws);
    }
    weft_grant_unref(grant);
}

void weft_ws_look_at_token(struct weft_ws *ws)
{
    switch (weft_standing_look(&ws->standing, ws->worker)) {
    case WEFT_STILL_GOOD:
        return;
    case WEFT_EXPIRES_SOON:
        ws->tell_expiring = true;
        weft_ws_queue(ws);
        break;
    case WEFT_EXPIRED:
        weft_ws_end_expired(ws, "expired");
        break;
    case WEFT_REVOKED:
        weft_ws_end_expired(ws, "revoked");
        break;
    }
}
