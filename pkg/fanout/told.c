/*
 * What retention took is in every page that begins before the end of it, as the reader of one page may get no other; on one
 * stream it is told with the first of them. So a subscriber remembers what it was told, by topic and by the newest event that
 * is missing, until it has passed that. If more is taken meanwhile, this one changes: that is news.
 *
 * Mostly there is nothing to remember. Whoever reads thousands of trimmed topics by a pattern has 16 bytes for each; beyond
 * replay.held_bytes for all subscribers of a worker nothing more is remembered, and a gap may be told again.
 */
#include "fanout_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

struct hole {
    uint64_t at;
    uint64_t topic; /* hash, but for the last bit */
};

#define JUST_NOW UINT64_C(1) /* in `topic`: told by the page that is here */

struct weft_told {
    size_t n;
    struct hole holes[]; /* by `at` */
};

static uint64_t hash_of(const struct weft_gap *gap)
{
    return weft_hash64(gap->topic, strlen(gap->topic)) & ~JUST_NOW;
}

/* NULL: it is not among them. */
static const struct hole *find(const struct weft_told *told, const struct weft_gap *gap)
{
    size_t lo = 0;
    size_t hi = told == NULL ? 0 : told->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (told->holes[mid].at < gap->at) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    for (; told != NULL && lo < told->n && told->holes[lo].at == gap->at; lo++) {
        if ((told->holes[lo].topic & ~JUST_NOW) == hash_of(gap)) {
            return &told->holes[lo];
        }
    }
    return NULL;
}

void weft_told_free(struct weft_fanout *fo, struct weft_told *told)
{
    if (told != NULL) {
        fo->told_bytes -= told->n * sizeof(struct hole);
        weft_gauge_set(fo->o.shard, WEFT_G_GAPS_TOLD_BYTES, (int64_t)fo->told_bytes);
        free(told);
    }
}

/* Makes room for n holes. */
static void resize(struct weft_sub *sub, size_t n)
{
    struct weft_fanout *fo = sub->fo;
    struct weft_told *told = sub->told;
    size_t before = told == NULL ? 0 : told->n;

    if (n == 0) {
        weft_told_free(fo, told);
        sub->told = NULL;
        return;
    }
    told = realloc(told, sizeof(*told) + n * sizeof(told->holes[0]));
    WEFT_ASSERT(told != NULL);
    told->n = n;
    sub->told = told;
    fo->told_bytes = fo->told_bytes - before * sizeof(struct hole) + n * sizeof(struct hole);
    weft_gauge_set(fo->o.shard, WEFT_G_GAPS_TOLD_BYTES, (int64_t)fo->told_bytes);
}

bool weft_told_news(struct weft_sub *sub)
{
    const struct weft_page *page = sub->page;
    size_t n = sub->told == NULL ? 0 : sub->told->n;
    size_t news = 0;

    if (page->n_gaps > 0 && page->gaps[0].reason == WEFT_GAP_RESET) {
        return true; /* each is another one: the page after it begins where nothing is lost */
    }
    for (size_t i = 0; i < n; i++) {
        sub->told->holes[i].topic &= ~JUST_NOW;
    }
    for (size_t i = 0; i < page->n_gaps; i++) {
        news += find(sub->told, &page->gaps[i]) == NULL ? 1 : 0;
    }
    if (news == 0) {
        return false;
    }
    if (sub->fo->told_bytes + news * sizeof(struct hole) > sub->fo->o.held_bytes) {
        weft_count(sub->fo->o.shard, WEFT_M_GAPS_TOLD_FULL, news);
        return true;
    }
    struct hole *fresh = calloc(news, sizeof(*fresh));
    size_t k = 0;

    WEFT_ASSERT(fresh != NULL);
    for (size_t i = 0; i < page->n_gaps; i++) {
        if (find(sub->told, &page->gaps[i]) == NULL) {
            fresh[k++] = (struct hole){page->gaps[i].at, hash_of(&page->gaps[i]) | JUST_NOW};
        }
    }
    resize(sub, n + news);
    /* Both are sorted: from the end, so that nothing is written over before it was moved. */
    for (size_t to = n + news; k > 0;) {
        struct hole *holes = sub->told->holes;

        holes[--to] = n > 0 && holes[n - 1].at > fresh[k - 1].at ? holes[--n] : fresh[--k];
    }
    free(fresh);
    return true;
}

void weft_told_passed(struct weft_sub *sub, uint64_t seq)
{
    size_t n = 0;

    if (sub->told == NULL) {
        return;
    }
    while (n < sub->told->n && sub->told->holes[n].at <= seq) {
        n++;
    }
    if (n > 0) {
        size_t left = sub->told->n - n;

        memmove(sub->told->holes, sub->told->holes + n, left * sizeof(struct hole));
        resize(sub, left);
    }
}

void weft_told_forget(struct weft_sub *sub, uint64_t seq)
{
    size_t n = sub->told == NULL ? 0 : sub->told->n;

    while (n > 0 && sub->told->holes[n - 1].at > seq) {
        n--;
    }
    if (sub->told != NULL && n < sub->told->n) {
        resize(sub, n);
    }
}

const struct weft_gap *weft_sub_next_gap(const struct weft_sub *sub, size_t *pos)
{
    const struct weft_page *page = sub->skipped != NULL ? sub->skipped : sub->page;

    while (*pos < page->n_gaps) {
        const struct weft_gap *gap = &page->gaps[(*pos)++];
        const struct hole *hole = page == sub->skipped ? NULL : find(sub->told, gap);

        if (hole == NULL || (hole->topic & JUST_NOW) != 0) {
            return gap;
        }
    }
    return NULL;
}
