#include <weft/auth/grant.h>

#include "look_priv.h"
#include "sse_priv.h"
#include "streams_priv.h"

/* What is wanted of an event stream by its name (streams_act.c has looked who asks). */

static struct weft_stream *stream_of(struct weft_handle *handle)
{
    return WEFT_CONTAINER_OF(handle, struct weft_stream, handle);
}

static void describe(struct weft_handle *handle, struct weft_buf *body)
{
    struct weft_stream *st = stream_of(handle);
    struct weft_seen seen = {.lag = weft_sub_lag(&st->rx.sub)};

    weft_role_assert_worker(st->rx.worker->owner);
    seen.unsent_bytes = weft_peer_unsent_bytes(&st->peer);
    weft_look_describe(&st->rx, &st->peer, st->began_ms, &seen, body);
}

/* Nothing can change any more what it was told last. */
static bool is_ending(const struct weft_stream *st, struct weft_stream_result *result)
{
    if (!st->ended && st->closing == NULL) {
        return false;
    }
    result->status = 404;
    result->code = WEFT_STR("not_found");
    result->field = WEFT_STR("stream");
    result->detail = WEFT_STR("the stream has come to its end");
    return true;
}

static void change_topics(struct weft_handle *handle, const struct weft_stream_ask *ask,
                          struct weft_stream_result *result, struct weft_buf *body)
{
    struct weft_stream *st = stream_of(handle);

    weft_role_assert_worker(st->rx.worker->owner);
    if (is_ending(st, result)) {
        return;
    }
    if (!weft_receiver_retopic(&st->rx, st->standing.grant, ask, result, body)) {
        weft_stream_destroy(st);
    }
}

static void renew_token(struct weft_handle *handle, struct weft_grant *grant,
                        struct weft_stream_result *result, struct weft_buf *body)
{
    struct weft_stream *st = stream_of(handle);

    weft_role_assert_worker(st->rx.worker->owner);
    if (is_ending(st, result) || !weft_receiver_may_take(&st->rx, grant, result) ||
        !weft_receiver_count(st->rx.worker, &st->kept, grant, result)) {
        return;
    }
    weft_standing_renew(&st->standing, grant);
    weft_buf_puts(body, "{");
    weft_renewed_print(body, &st->standing);
    weft_buf_puts(body, "}");
    st->over = NULL; /* if it was not told yet */
    st->tell_expiring = false;
    st->tell_renewed = true;
    weft_sub_wake(&st->rx.sub);
}

static void close_it(struct weft_handle *handle)
{
    struct weft_stream *st = stream_of(handle);

    weft_role_assert_worker(st->rx.worker->owner);
    st->closing = "closed";
    weft_sub_wake(&st->rx.sub);
}

const struct weft_handle_ops weft_stream_handle_ops = {describe, change_topics, renew_token,
                                                       close_it};
