#include "ws_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include <weft/auth/grant.h>

/*
 * Who the client is, and what that may do. A socket that comes without a token where nobody may do anything without one has
 * ws.auth_ms to send one; any other may send another one at any time, most of all before its own ends.
 */

/* With a subject of its own it has a bucket of its own. */
static void take_bucket(struct weft_ws *ws) WEFT_ON_WORKER
{
    if (ws->standing.grant->is.subject.len > 0) {
        free(ws->bucket);
        ws->bucket = weft_admit_bucket_of(ws->worker, ws->standing.grant);
    }
}

bool weft_ws_caller_take(struct weft_ws *ws, struct weft_call *call, struct weft_str token)
{
    const struct weft_config *cfg = call->worker->o.cfg;
    struct weft_grant *grant = NULL;
    struct weft_err err = {0};

    ws->bucket = weft_admit_bucket(call);
    if (token.p != NULL) { /* it was sent on purpose, which a cookie is not */
        if (weft_token_take(call->worker, token, &grant, &err) != 0) {
            weft_respond_unauthorized(call->req, err.message);
            return false;
        }
        weft_standing_begin(&ws->standing, grant);
        weft_grant_unref(grant);
        take_bucket(ws);
    } else {
        weft_standing_begin(&ws->standing, call->grant);
    }
    if (ws->standing.grant == NULL && cfg->auth.anonymous == WEFT_ANONYMOUS_NONE) {
        ws->auth_until_ms = call->worker->now_ms + cfg->ws.auth_ms;
    }
    return true;
}

void weft_ws_caller_fini(struct weft_ws *ws)
{
    weft_standing_end(&ws->standing);
}

/* ---- what it may do ---- */

static bool refuse(struct weft_ws_op *op, const char *field, const char *what) WEFT_ON_WORKER
{
    struct weft_worker *worker = op->ws->worker;
    bool has_token = op->ws->standing.grant != NULL;

    if (!has_token && worker->o.cfg->auth.jwks[0] != '\0') {
        weft_count(worker->o.shard, WEFT_M_REQUESTS_UNAUTHORIZED, 1);
        weft_ws_refuse(op, "unauthorized", field, "this needs a token: %s", what);
    } else {
        weft_count(worker->o.shard, WEFT_M_REQUESTS_FORBIDDEN, 1);
        weft_ws_refuse(op, "forbidden", field,
                       has_token ? "the token does not allow this: %s"
                                 : "not without a token (auth.anonymous): %s",
                       what);
    }
    return false;
}

bool weft_ws_may_subscribe(struct weft_ws_op *op, struct weft_str pattern, const char *field)
{
    return weft_may_subscribe(op->ws->worker, op->ws->standing.grant, pattern) ||
           refuse(op, field, "subscribing to this topic");
}

bool weft_ws_may_publish(struct weft_ws_op *op, const struct weft_events *events, bool is_list)
{
    char field[40] = "topic";
    size_t i;

    if (weft_publish_permitted(op->ws->worker, op->ws->standing.grant, events, &i)) {
        return true;
    }
    if (is_list) {
        (void)snprintf(field, sizeof(field), "events[%zu].topics", i);
    } else if (events->list[i].topics_n > 1) {
        (void)snprintf(field, sizeof(field), "event.topics");
    }
    return refuse(op, field, "publishing to this topic");
}

/* ---- another token ---- */

/* Subscriptions that the new one does not allow end. */
static void judge_subscriptions(struct weft_ws *ws) WEFT_ON_WORKER
{
    struct weft_ws_sub *sub, *next;
    struct weft_str topic;

    DL_FOREACH_SAFE(ws->subs, sub, next) {
        size_t pos = 0;

        while (weft_sub_next_topic(&sub->rx.sub, &pos, &topic)) {
            if (!weft_may_subscribe(ws->worker, ws->standing.grant, topic)) {
                weft_ws_tell_closed(sub, "forbidden");
                weft_ws_sub_end(sub);
                break;
            }
        }
    }
}

void weft_ws_auth(struct weft_ws_op *op, struct weft_str token)
{
    struct weft_ws *ws = op->ws;
    struct weft_grant *grant = NULL;
    struct weft_err err = {0};
    struct weft_buf *b;

    if (weft_token_take(ws->worker, token, &grant, &err) != 0) {
        weft_ws_refuse(op, "unauthorized", "token", "the token is refused: %s", err.message);
        return;
    }
    weft_standing_renew(&ws->standing, grant);
    weft_grant_unref(grant);
    take_bucket(ws);
    ws->auth_until_ms = 0;
    judge_subscriptions(ws);
    b = weft_ws_answer(ws, "weft.ok", op->request);
    if (ws->standing.grant->is.expires_ms != 0) {
        weft_buf_puts(b, ",");
        weft_expiring_print(b, &ws->standing);
    }
    weft_ws_answer_end(ws);
}

void weft_ws_look_at_token(struct weft_ws *ws)
{
    if (ws->state != WEFT_WS_OPEN) {
        return;
    }
    switch (weft_standing_look(&ws->standing, ws->worker)) {
    case WEFT_STILL_GOOD:
        break;
    case WEFT_EXPIRES_SOON:
        weft_ws_tell_expiring(ws);
        break;
    case WEFT_EXPIRED:
        weft_ws_tell_expired(ws, "expired");
        weft_ws_close(ws, WEFT_WS_UNAUTHORIZED, "expired");
        break;
    case WEFT_REVOKED:
        weft_ws_tell_expired(ws, "revoked");
        weft_ws_close(ws, WEFT_WS_UNAUTHORIZED, "revoked");
        break;
    }
}
