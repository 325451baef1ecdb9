#include <weft/guard/stock.h>

#include <string.h>

void weft_stock_init(struct weft_stock *st, int64_t most, int64_t credit, uint64_t now_ms)
{
    memset(st, 0, sizeof(*st));
    st->most = most;
    st->credit = credit;
    st->used_ms = now_ms;
}

/* Owed, the ask under way included: what it pays is not paid before it was answered. */
static int64_t owed(const struct weft_stock *st)
{
    return st->paying + (st->held < 0 ? -st->held : 0);
}

enum weft_stock_take weft_stock_take(struct weft_stock *st, int64_t tokens, uint64_t now_ms,
                                     uint64_t *ret_retry_ms)
{
    bool is_short = now_ms < st->again_ms;
    int64_t free = is_short ? 0 : st->credit - owed(st);

    if (tokens <= (st->held > 0 ? st->held : 0) + free) {
        st->used_ms = now_ms;
        if (st->held >= 0 && tokens > st->held) {
            st->credit_ms = now_ms;
        }
        st->held -= tokens;
        return WEFT_STOCK_TAKEN;
    }
    if (is_short) {
        *ret_retry_ms = st->again_ms - now_ms;
        return WEFT_STOCK_SHORT;
    }
    return WEFT_STOCK_EMPTY;
}

bool weft_stock_ask(struct weft_stock *st, uint64_t now_ms, uint64_t idle_ms,
                    struct weft_stock_ask *ret_ask)
{
    bool idle = now_ms - st->used_ms >= idle_ms;
    int64_t debt = st->held < 0 ? -st->held : 0;
    int64_t held = st->held > 0 ? st->held : 0;
    bool pays = debt > 0 && (2 * debt >= st->credit || now_ms - st->credit_ms >= idle_ms);
    bool wants = !idle && now_ms >= st->again_ms && st->most > 0 && 2 * held <= st->most;
    bool gives = idle && held > 0;

    if (st->asking || !(pays || wants || gives || (idle && st->would > 0))) {
        return false;
    }
    ret_ask->paid = debt;
    ret_ask->back = gives ? held : 0;
    ret_ask->wanted = wants ? st->most - held : 0;
    ret_ask->would = st->would;
    st->would = 0;
    st->asking = true;
    st->paying = debt;
    st->held = gives ? 0 : held;
    return true;
}

void weft_stock_answered(struct weft_stock *st, int64_t got, uint64_t retry_ms, uint64_t now_ms)
{
    st->asking = false;
    st->paying = 0;
    st->held += got;
    st->again_ms = now_ms + retry_ms;
}

void weft_stock_failed(struct weft_stock *st)
{
    st->asking = false;
    st->held -= st->paying;
    st->paying = 0;
}

bool weft_stock_is_idle(const struct weft_stock *st, uint64_t now_ms)
{
    return !st->asking && st->held == 0 && st->would == 0 && now_ms >= st->again_ms;
}
