#include <weft/auth/grant.h>

#include "look_priv.h"
#include "streams_priv.h"
#include "ws_priv.h"

/* What is wanted of a subscription by its name (streams_act.c has looked who asks). Its token is the socket's. */

static struct weft_ws_sub *sub_of(struct weft_handle *handle)
{
    return WEFT_CONTAINER_OF(handle, struct weft_ws_sub, handle);
}

static void describe(struct weft_handle *handle, struct weft_buf *body)
{
    struct weft_ws_sub *sub = sub_of(handle);
    struct weft_seen seen = {.lag = weft_sub_lag(&sub->rx.sub)};

    weft_role_assert_worker(sub->rx.worker->owner);
    seen.unsent_bytes = weft_peer_unsent_bytes(&sub->ws->peer);
    weft_look_describe(&sub->rx, &sub->ws->peer, sub->began_ms, &seen, body);
}

static void change_topics(struct weft_handle *handle, const struct weft_stream_ask *ask,
                          struct weft_stream_result *result, struct weft_buf *body)
{
    struct weft_ws_sub *sub = sub_of(handle);

    weft_role_assert_worker(sub->rx.worker->owner);
    if (!weft_receiver_retopic(&sub->rx, sub->ws->standing.grant, ask, result, body)) {
        weft_ws_sub_end(sub);
    }
}

static void renew_token(struct weft_handle *handle, struct weft_grant *grant,
                        struct weft_stream_result *result, struct weft_buf *body)
{
    struct weft_ws *ws = sub_of(handle)->ws;

    weft_role_assert_worker(ws->worker->owner);
    if (weft_ws_take_grant(ws, grant, result)) {
        weft_buf_puts(body, "{");
        weft_renewed_print(body, &ws->standing);
        weft_buf_puts(body, "}");
    }
}

static void close_it(struct weft_handle *handle)
{
    struct weft_ws_sub *sub = sub_of(handle);

    weft_role_assert_worker(sub->rx.worker->owner);
    sub->is_closed = true;
    weft_sub_wake(&sub->rx.sub);
}

const struct weft_handle_ops weft_ws_handle_ops = {describe, change_topics, renew_token, close_it};
