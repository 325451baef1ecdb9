#include "look_priv.h"

#include <stdio.h>
#include <string.h>

#include <weft/base/clock.h>

#define TOPICS_SHOWN 4

void weft_look_name(const struct weft_receiver *rx, const struct weft_peer *peer,
                    const char *request_id, struct weft_stream_name *ret_name)
{
    weft_stream_id_print(rx->worker, &rx->waiting, ret_name->stream, sizeof(ret_name->stream));
    (void)snprintf(ret_name->request_id, sizeof(ret_name->request_id), "%s",
                   request_id != NULL ? request_id : "");
    weft_peer_name(peer, ret_name->peer, sizeof(ret_name->peer));
}

void weft_look_show(struct weft_receiver *rx, const struct weft_peer *peer)
{
    uint64_t now_ms = rx->worker->now_ms;
    struct weft_seen seen = {.lag = weft_sub_lag(&rx->sub)};

    if (weft_peer_busy(peer)) {
        seen.unsent_bytes = weft_peer_unsent_bytes(peer);
        seen.stalled_ms = now_ms - peer->progress_ms;
    }
    if (rx->sub.behind) {
        seen.behind_ms = now_ms - rx->sub.behind_ms;
    }
    weft_slowest_saw(rx->worker, rx, seen);
}

bool weft_look_passed(const struct weft_receiver *rx, struct weft_id sent)
{
    const struct weft_sub *sub = &rx->sub;

    return weft_sub_has_cursor(sub) && weft_sub_may_leave(sub) &&
           (sub->cursor.seq < sent.seq || (sub->types_n > 0 && sub->cursor.seq > sent.seq));
}

void weft_look_describe(struct weft_receiver *rx, const struct weft_peer *peer, uint64_t began_ms,
                        const struct weft_seen *seen, struct weft_buf *out)
{
    static const char *const modes[] = {
        [WEFT_SUB_OPENING] = "opening",
        [WEFT_SUB_RING] = "ring",
        [WEFT_SUB_LOG] = "log",
    };
    const struct weft_sub *sub = &rx->sub;
    struct weft_stream_name name;
    struct weft_str topic;
    char id[WEFT_ID_MAX_LEN];
    size_t pos = 0;

    rx->name(rx, &name);
    weft_buf_puts(out, "{\"stream\":");
    weft_buf_json(out, weft_str(name.stream, strlen(name.stream)));
    weft_buf_puts(out, ",\"peer\":");
    weft_buf_json(out, weft_str(name.peer, strlen(name.peer)));
    weft_buf_puts(out, ",\"topics\":[");
    for (size_t i = 0; i < TOPICS_SHOWN && weft_sub_next_topic(sub, &pos, &topic); i++) {
        weft_buf_puts(out, i > 0 ? "," : "");
        weft_buf_json(out, topic);
    }
    weft_buf_printf(out, "],\"topics_total\":%u,\"mode\":\"%s\",\"slow\":\"%s\",\"cursor\":",
                    (unsigned)sub->topics_n, modes[sub->mode], weft_slow_word(sub->slow));
    if (weft_sub_has_cursor(sub)) {
        weft_buf_json(out, weft_str(id, weft_id_print(id, sub->cursor)));
    } else {
        weft_buf_puts(out, "null");
    }
    weft_buf_printf(out,
                    ",\"lag\":%llu,\"unsent_bytes\":%llu,\"socket_bytes\":%d,\"behind_ms\":%llu,"
                    "\"stalled_ms\":%llu,\"since_ms\":%lld}",
                    (unsigned long long)seen->lag, (unsigned long long)seen->unsent_bytes,
                    weft_peer_kernel_bytes(peer), (unsigned long long)seen->behind_ms,
                    (unsigned long long)seen->stalled_ms,
                    (long long)(weft_clock_wall_ms() - (int64_t)(rx->worker->now_ms - began_ms)));
}
