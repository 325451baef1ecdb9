#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>

void record_init(struct record *record, uint32_t n, uint32_t batch, uint32_t topics)
{
    uint64_t run = (uint64_t)getpid() << 32 ^ weft_clock_mono_ns();

    *record = (struct record){.n = n, .batch = batch, .topics = topics};
    snprintf(record->run, sizeof(record->run), "%llx", (unsigned long long)run);
    record->seqs = calloc((size_t)n + 1, sizeof(*record->seqs));
    record->order = calloc((size_t)n + 1, sizeof(*record->order));
    WEFT_ASSERT(record->seqs != NULL && record->order != NULL);
}

void record_fini(struct record *record)
{
    free(record->seqs);
    free(record->order);
    record->seqs = NULL;
    record->order = NULL;
}

void record_topic(const struct record *record, uint32_t i, struct weft_buf *out)
{
    weft_buf_printf(out, "bench-%s-%u", record->run, i);
}

static int by_seq(const void *a, const void *b, void *ctx)
{
    const uint64_t *seqs = ctx;
    uint64_t x = seqs[*(const uint32_t *)a], y = seqs[*(const uint32_t *)b];

    return (x > y) - (x < y);
}

void record_close(struct record *record)
{
    for (uint32_t i = 0; i < record->n; i++)
        record->order[i] = i;
    qsort_r(record->order, record->n, sizeof(*record->order), by_seq, record->seqs);
}

uint64_t record_expected(const struct record *record, record_follows *follows, void *ctx,
                         uint32_t sub)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < record->n; i++)
        n += follows(ctx, sub, record_topic_of(record, i));
    return n;
}

/* The slow way, once something is wrong: which number came how often, and when. */
static void judge_badness(const struct record *record, record_follows *follows, void *ctx,
                          uint32_t sub, const uint32_t *got, uint32_t got_n, uint64_t expected,
                          struct verdict *verdict)
{
    uint8_t *seen = calloc((size_t)record->n + 1, 1);
    uint64_t last = 0, found = 0;

    WEFT_ASSERT(seen != NULL);
    for (uint32_t i = 0; i < got_n; i++) {
        uint32_t n = got[i];

        if (n >= record->n || !follows(ctx, sub, record_topic_of(record, n))) {
            verdict->alien++;
            continue;
        }
        if (seen[n] != 0) {
            verdict->repeated++;
            continue;
        }
        seen[n] = 1;
        found++;
        verdict->disordered += record->seqs[n] < last;
        last = record->seqs[n] > last ? record->seqs[n] : last;
    }
    verdict->lost += expected - found;
    free(seen);
}

void record_judge(const struct record *record, record_follows *follows, void *ctx, uint32_t sub,
                  const uint32_t *got, uint32_t got_n, struct verdict *verdict)
{
    uint64_t expected = 0;
    bool same = true;

    for (uint32_t i = 0; i < record->n; i++) {
        uint32_t n = record->order[i];

        if (!follows(ctx, sub, record_topic_of(record, n)))
            continue;
        same = same && expected < got_n && got[expected] == n;
        expected++;
    }
    verdict->expected += expected;
    if (!same || expected != got_n)
        judge_badness(record, follows, ctx, sub, got, got_n, expected, verdict);
}
