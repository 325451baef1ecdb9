#include <weft/wire/history.h>

#include <stddef.h>

static bool parse_leap(struct weft_str text, struct weft_leap *leap)
{
    struct weft_str first = weft_str_before(&text, ',');
    struct weft_str began = weft_str_before(&text, ',');

    return weft_str_u64(first, &leap->first) && weft_str_u64(began, &leap->began_ms) &&
           weft_id_parse(text, &leap->after) && leap->after.seq < leap->first;
}

bool weft_history_parse_leaps(struct weft_history *h, struct weft_str text)
{
    h->n = 0;
    while (text.len > 0) {
        struct weft_leap leap;

        if (h->n == WEFT_LEAPS_MAX || !parse_leap(weft_str_before(&text, ' '), &leap) ||
            (h->n > 0 && leap.first > h->leaps[h->n - 1].after.seq)) {
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
    struct weft_id resume = cursor;
    bool held = true;

    if (cursor.seq > h->head.seq) {
        held = false; /* its end is lost, and nobody has written since */
        resume = h->head;
    }
    for (uint32_t i = 0; i < h->n; i++) {
        const struct weft_leap *leap = &h->leaps[i];
        bool lost = cursor.seq > leap->after.seq && cursor.seq < leap->first;
        bool foreign = cursor.seq >= leap->first && cursor.ms < leap->began_ms;

        if (lost || foreign) {
            held = false;
            resume = leap->after;
        }
    }
    if (h->n == WEFT_LEAPS_MAX && cursor.seq < h->leaps[h->n - 1].first) {
        held = false; /* leaps from before these are forgotten: it may have lost something by one */
    }
    /* From before it all; or ids would have gone back in time: what is here was not the cursor's at all. */
    if (cursor.ms < h->born_ms || (cursor.seq <= h->head.seq && cursor.ms > h->head.ms)) {
        held = false;
        resume = nothing;
    }
    if (!held) {
        *ret_resume = resume;
    }
    return held;
}
