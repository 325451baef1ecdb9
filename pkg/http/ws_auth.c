#include "ws_priv.h"

/*
 * Who the client is, and what that may do: what a request without a token may (auth.anonymous). A socket that may do
 * nothing has ws.auth_ms to say who it is.
 */

bool weft_ws_caller_take(struct weft_ws *ws, struct weft_call *call, struct weft_str token)
{
    const struct weft_config *cfg = call->worker->o.cfg;

    (void)token;
    if (cfg->auth.anonymous == WEFT_ANONYMOUS_NONE) {
        ws->auth_until_ms = call->worker->now_ms + cfg->ws.auth_ms;
    }
    return true;
}

void weft_ws_caller_fini(struct weft_ws *ws)
{
    (void)ws;
}

static bool may(struct weft_ws_op *op, enum weft_config_anonymous right) WEFT_ON_WORKER
{
    enum weft_config_anonymous anonymous = op->ws->worker->o.cfg->auth.anonymous;

    if (anonymous == WEFT_ANONYMOUS_ALL || anonymous == right) {
        return true;
    }
    if (anonymous == WEFT_ANONYMOUS_NONE) {
        weft_ws_refuse(op, "unauthorized", "", "anonymous access is switched off (auth.anonymous)");
    } else {
        weft_ws_refuse(op, "forbidden", "",
                       "anonymous access does not include this (auth.anonymous)");
    }
    return false;
}

bool weft_ws_may_subscribe(struct weft_ws_op *op, struct weft_str pattern)
{
    (void)pattern;
    return may(op, WEFT_ANONYMOUS_SUBSCRIBE);
}

bool weft_ws_may_publish(struct weft_ws_op *op, struct weft_str topic)
{
    (void)topic;
    return may(op, WEFT_ANONYMOUS_PUBLISH);
}

void weft_ws_auth(struct weft_ws_op *op, struct weft_str token)
{
    (void)token;
    weft_ws_refuse(op, "unauthorized", "token", "this node knows no keys");
}
