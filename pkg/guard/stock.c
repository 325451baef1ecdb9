#include <weft/guard/stock.h>

#include <string.h>

#define ASK_MS \
    1000 /* a bucket that was short is asked again after so long: others may have given back */

void weft_stock_init(struct weft_stock *st, int64_t most, uint64_t now_ms)
{
    memset(st, 0, sizeof(*st));
    st->most = most;
    st->used_ms = now_ms;
}

enum weft_stock_take weft_stock_take(struct weft_stock *st, int64_t tokens, uint64_t now_ms,
                                     uint64_t *ret_retry_ms)
{
    st->used_ms = now_ms;
    if (tokens <= st->held) {
        st->held -= tokens;
        return WEFT_STOCK_TAKEN;
    }
    if (now_ms < st->again_ms) {
        *ret_retry_ms = st->filled_ms - now_ms;
        return WEFT_STOCK_SHORT;
    }
    return WEFT_STOCK_EMPTY;
}

bool weft_stock_ask(struct weft_stock *st, uint64_t now_ms, uint64_t idle_ms,
                    struct weft_stock_ask *ret_ask)
{
    bool idle = now_ms - st->used_ms >= idle_ms;
    bool gives = idle && st->held > 0;
    bool wants = !idle && now_ms >= st->again_ms && st->most > 0 && 2 * st->held <= st->most;

    if (st->asking || !(gives || wants || (idle && st->would > 0))) {
        return false;
    }
    ret_ask->back = gives ? st->held : 0;
    ret_ask->wanted = wants ? st->most - st->held : 0;
    ret_ask->would = st->would;
    st->held -= ret_ask->back;
    st->would = 0;
    st->asking = true;
    return true;
}

void weft_stock_answered(struct weft_stock *st, int64_t got, uint64_t retry_ms, uint64_t now_ms)
{
    st->asking = false;
    st->held += got;
    st->again_ms = now_ms + (retry_ms < ASK_MS ? retry_ms : ASK_MS);
    st->filled_ms = now_ms + retry_ms;
}

void weft_stock_unsent(struct weft_stock *st, const struct weft_stock_ask *ask)
{
    st->asking = false;
    st->held += ask->back;
    st->would += ask->would;
}

void weft_stock_failed(struct weft_stock *st)
{
    st->asking = false;
}

bool weft_stock_is_idle(const struct weft_stock *st, uint64_t now_ms)
{
    return !st->asking && st->held == 0 && st->would == 0 && now_ms >= st->again_ms;
}
