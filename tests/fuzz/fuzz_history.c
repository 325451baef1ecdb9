/*
 * The leaps that a head notes, and how cursors are judged by them. Lines: leaps, the head's id, born_ms, then cursors.
 *
 * Whatever the text: what parses can be printed and read again. If the head fits to it, its own ids are held,
 * those of lost numbers are not, an id before one that is held is, and to go on there is always an id that is.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/history.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(struct weft_id a, struct weft_id b)
{
    return a.ms == b.ms && a.seq == b.seq;
}

static void print_and_parse(const struct weft_history *h)
{
    static char text[WEFT_LEAPS_MAX * 100];
    static struct weft_history again;
    size_t n = 0;

    for (uint32_t i = 0; i < h->n; i++) {
        const struct weft_leap *leap = &h->leaps[i];
        int len = snprintf(text + n, sizeof(text) - n, "%s%llu,%llu,%llu-%llu", i > 0 ? " " : "",
                           (unsigned long long)leap->first, (unsigned long long)leap->began_ms,
                           (unsigned long long)leap->after.ms, (unsigned long long)leap->after.seq);

        WEFT_ASSERT(len > 0 && (size_t)len < sizeof(text) - n);
        n += (size_t)len;
    }
    WEFT_ASSERT(weft_history_parse_leaps(&again, weft_str(text, n)) && again.n == h->n);
    for (uint32_t i = 0; i < h->n; i++) {
        WEFT_ASSERT(again.leaps[i].first == h->leaps[i].first &&
                    again.leaps[i].began_ms == h->leaps[i].began_ms &&
                    same(again.leaps[i].after, h->leaps[i].after));
    }
}

/* As a head is that functions/00_head.lua has written. */
static bool fits(const struct weft_history *h)
{
    if (h->n == 0)
        return h->head.ms >= h->born_ms;
    return h->head.seq > h->leaps[0].first && h->head.ms >= h->leaps[0].began_ms &&
           h->leaps[h->n - 1].after.ms >= h->born_ms;
}

static bool holds(const struct weft_history *h, struct weft_id id)
{
    struct weft_id resume;

    return weft_history_holds(h, id, &resume);
}

static void judge(const struct weft_history *h, struct weft_id cursor)
{
    bool begins = cursor.seq == 0;
    bool lost = cursor.seq > h->head.seq;
    struct weft_id resume = {1, UINT64_MAX};
    bool held = weft_history_holds(h, cursor, &resume);

    for (uint32_t i = 0; i < h->n; i++) {
        begins = begins || cursor.seq == h->leaps[i].first;
        lost = lost || (cursor.seq > h->leaps[i].after.seq && cursor.seq < h->leaps[i].first);
    }
    WEFT_ASSERT(!(held && lost));
    if (held) {
        WEFT_ASSERT(begins || holds(h, (struct weft_id){cursor.ms, cursor.seq - 1}));
        return;
    }
    if (h->n == WEFT_LEAPS_MAX && same(resume, cursor))
        return; /* from before what is noted */
    WEFT_ASSERT(resume.seq == 0 ? resume.ms == 0 : resume.seq < cursor.seq);
    WEFT_ASSERT(resume.seq == 0 || h->n == WEFT_LEAPS_MAX || holds(h, resume));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct weft_history h;
    struct weft_str rest = {(const char *)data, size};
    struct weft_id cursor;

    memset(&h, 0, sizeof(h));
    bool parsed = weft_history_parse_leaps(&h, weft_str_before(&rest, '\n'));
    WEFT_ASSERT(h.n <= WEFT_LEAPS_MAX);
    print_and_parse(&h);
    if (!weft_id_parse(weft_str_before(&rest, '\n'), &h.head) ||
        !weft_str_u64(weft_str_before(&rest, '\n'), &h.born_ms))
        return 0;

    bool true_head = parsed && fits(&h) && h.head.seq > 0;
    if (true_head && h.n < WEFT_LEAPS_MAX) {
        WEFT_ASSERT(holds(&h, h.head));
        for (uint32_t i = 0; i < h.n; i++)
            WEFT_ASSERT(h.leaps[i].after.seq == 0 || holds(&h, h.leaps[i].after));
    }
    while (rest.len > 0) {
        if (!weft_id_parse(weft_str_before(&rest, '\n'), &cursor))
            continue;
        if (true_head)
            judge(&h, cursor);
        else
            (void)holds(&h, cursor);
    }
    return 0;
}
