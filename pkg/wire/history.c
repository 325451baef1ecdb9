#include <weft/wire/history.h>

#include <stddef.h>

static bool parse_leap(struct weft_str text, struct weft_leap *leap)
{
    struct weft_str first = weft_str_before(&text, ',');
    struct weft_str began = weft_str_before(&text, ',');

    return weft_str_u64(first, &leap->first) && weft_str_u64(began, &leap->began_ms) &&
           weft_id_parse(text, &leap->after) && leap->after.seq > 0 &&
           leap->after.seq < leap->first && leap->after.ms <= leap->began_ms;
}

/* What the newer one took over begins with the older one's events. */
static bool may_follow(const struct weft_leap *newer, const struct weft_leap *older)
{
    return older->first <= newer->after.seq && older->began_ms <= newer->after.ms;
}

bool weft_history_parse_leaps(struct weft_history *h, struct weft_str text)
{
    h->n = 0;
    while (text.len > 0) {
        struct weft_leap leap;

        if (h->n == WEFT_LEAPS_MAX || !parse_leap(weft_str_before(&text, ' '), &leap) ||
            (h->n > 0 && !may_follow(&h->leaps[h->n - 1], &leap))) {
            return false;
        }
        h->leaps[h->n++] = leap;
    }
    return true;
}

uint64_t weft_history_origin_ms(const struct weft_history *h)
{
    return h->n > 0 ? h->leaps[0].began_ms : h->born_ms;
}

bool weft_history_holds(const struct weft_history *h, struct weft_id cursor,
                        struct weft_id *ret_resume)
{
    const struct weft_id nothing = {0, 0};
    uint64_t began_ms = h->born_ms; /* the incarnation that the number is of */
    struct weft_id end = h->head;   /* ... and its last event */
    uint32_t i = 0;

    for (; i < h->n && cursor.seq < h->leaps[i].first; i++) {
        end = h->leaps[i].after;
    }
    if (i < h->n) {
        began_ms = h->leaps[i].began_ms;
    }
    if (cursor.ms < began_ms || (cursor.seq <= end.seq && cursor.ms > end.ms)) {
        /* Another history used this number. It may share what was here before it, and was before it. */
        while (i < h->n && h->leaps[i].after.ms > cursor.ms) {
            i++;
        }
        *ret_resume = i < h->n ? h->leaps[i].after : nothing;
        return false;
    }
    if (cursor.seq > end.seq) {
        *ret_resume = end;
        return false;
    }
    if (i == WEFT_LEAPS_MAX) {
        /* Leaps from before these are forgotten: it may have lost something by one. */
        *ret_resume = cursor;
        return false;
    }
    return true;
}
