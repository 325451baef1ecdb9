/*
 * record - what was published and acknowledged, and the judgement on what a subscriber got.
 *
 * The events of a run are numbered from 0. The topic of a number is fixed beforehand (runs of
 * `batch` numbers go to the topics in turn), its place in the order is the sequence of the id that
 * the acknowledgement brought.
 */
#ifndef WEFT_BENCH_RECORD_H
#define WEFT_BENCH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/buf.h>

struct record {
    uint32_t n;
    uint32_t batch;
    uint32_t topics;
    char run[24];    /* part of the names, so that no two runs share a topic */
    uint64_t *seqs;  /* by number; 0: not acknowledged */
    uint32_t *order; /* numbers by sequence; made by record_close */
};

/* The sum of the judgements. */
struct verdict {
    uint64_t expected;
    uint64_t lost, repeated, disordered;
    uint64_t alien; /* events that nobody asked for */
};

void record_init(struct record *record, uint32_t n, uint32_t batch, uint32_t topics);
void record_fini(struct record *record);

/* The name of topic i: bench-<run>-<i>. */
void record_topic(const struct record *record, uint32_t i, struct weft_buf *out);

static inline uint32_t record_topic_of(const struct record *record, uint32_t n)
{
    return n / record->batch % record->topics;
}

/* After the last acknowledgement. */
void record_close(struct record *record);

/* Whether a subscriber follows a topic. */
typedef bool record_follows(void *ctx, uint32_t sub, uint32_t topic);

/* How many events the topics of a subscriber got. */
uint64_t record_expected(const struct record *record, record_follows *follows, void *ctx,
                         uint32_t sub);

/* Adds the judgement on got[0..got_n) to *verdict. */
void record_judge(const struct record *record, record_follows *follows, void *ctx, uint32_t sub,
                  const uint32_t *got, uint32_t got_n, struct verdict *verdict);

static inline bool verdict_is_good(const struct verdict *v)
{
    return v->lost + v->repeated + v->disordered + v->alien == 0;
}

#endif
