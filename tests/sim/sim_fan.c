#include "sim_fan.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <weft/telemetry/metrics.h>

static struct weft_id id_of(const struct sim_fan *f, uint64_t seq)
{
    struct weft_id id = {seq == 0 ? 0 : f->ms + seq, seq};

    return id;
}

static void follow(void *ctx, struct weft_str topic, bool on)
{
    struct sim_fan *f = ctx;
    size_t n = strlen(f->follows);

    (void)snprintf(f->follows + n, sizeof(f->follows) - n, "%s%c%.*s", n > 0 ? " " : "",
                   on ? '+' : '-', topic.len == 0 ? 1 : (int)topic.len,
                   topic.len == 0 ? "*" : topic.p);
}

static bool read_page(void *ctx, struct weft_sub *sub)
{
    static const char *const starts[] = {
        [WEFT_FROM_NOW] = "now",   [WEFT_FROM_CURSOR] = "after", [WEFT_FROM_EARLIEST] = "earliest",
        [WEFT_FROM_TIME] = "time", [WEFT_FROM_AGO] = "ago",
    };
    struct sim_fan *f = ctx;
    struct weft_id start;
    struct weft_buf what;

    f->n_reads++;
    weft_buf_init(&what, 100);
    weft_sub_what(sub, &what);
    (void)snprintf(f->read, sizeof(f->read), "%.*s %s ", (int)what.len, what.data,
                   starts[weft_sub_read_start(sub, &start)]);
    (void)snprintf(f->read + strlen(f->read), sizeof(f->read) - strlen(f->read), "%lu",
                   (unsigned long)start.seq);
    weft_buf_fini(&what);
    return !f->refuse;
}

static void ready(void *ctx, struct weft_sub *sub)
{
    struct sim_fan *f = ctx;

    f->n_ready++;
    if (f->end == sub) {
        f->end = NULL;
        weft_sub_fini(sub);
    }
}

static void init(struct sim_fan *f, size_t ring_events, size_t ring_bytes, size_t held_bytes)
{
    static const struct weft_fanout_ops ops = {follow, read_page, ready};

    memset(f, 0, sizeof(*f));
    f->type = "t";
    f->ms = 1000;
    f->metrics = weft_metrics_create(1);
    assert_non_null(f->metrics);

    const struct weft_fanout_opts opts = {
        .ops = &ops,
        .ctx = f,
        .shard = weft_metrics_shard(f->metrics, 0),
        .ring_events = ring_events,
        .ring_bytes = ring_bytes,
        .linger_sweeps = 2,
        .latest_events = 3,
        .latest_ms = 1000,
        .held_bytes = held_bytes,
    };
    assert_int_equal(weft_fanout_create(&f->fo, &opts), 0);
    sim_fan_up(f, 0);
}

void sim_fan_up(struct sim_fan *f, uint64_t head)
{
    const struct weft_history history = {
        .head = id_of(f, head), .born_ms = f->born_ms, .n = f->n_leaps, .leaps = {f->leap}};

    weft_fanout_up(f->fo, &history);
}

void sim_fan_init(struct sim_fan *f, size_t ring_events, size_t ring_bytes)
{
    init(f, ring_events, ring_bytes, SIZE_MAX);
}

void sim_fan_init_held(struct sim_fan *f, size_t held_bytes)
{
    init(f, 100, SIZE_MAX, held_bytes);
}

void sim_fan_fini(struct sim_fan *f)
{
    weft_fanout_destroy(f->fo);
    weft_metrics_destroy(f->metrics);
}

static size_t split(const char *text, struct weft_str *out, size_t max)
{
    size_t n = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        assert_true(n < max);
        out[n++] = weft_str(text, len);
        text += len + (text[len] == ' ' ? 1 : 0);
    }
    return n;
}

void sim_fan_sub(struct sim_fan *f, struct weft_sub *sub, const char *topics, const char *types,
                 enum weft_sub_from from, uint64_t start)
{
    struct weft_str words[8];
    struct weft_str globs[4];
    const struct weft_sub_opts opts = {
        .slow = f->slow,
        .from = from,
        .start = id_of(f, start),
        .topics = words,
        .n_topics = split(topics, words, 8),
        .types = globs,
        .n_types = split(types, globs, 4),
    };

    assert_int_equal(weft_sub_init(sub, f->fo, &opts), 0);
}

void sim_fan_followed(struct sim_fan *f, const char *topic, uint64_t base, uint64_t head)
{
    weft_fanout_followed(f->fo, weft_str(topic, strlen(topic)), base, id_of(f, head));
}

struct weft_batch *sim_fan_batch(const struct sim_fan *f, const struct sim_entry *entries, size_t n)
{
    struct weft_batch_builder bb;
    struct weft_batch *batch;

    weft_batch_builder_init(&bb);
    for (size_t i = 0; i < n; i++)
        weft_batch_add(&bb, id_of(f, entries[i].seq), entries[i].prev,
                       weft_str(entries[i].topic, strlen(entries[i].topic)),
                       weft_str(f->type, strlen(f->type)), WEFT_STR("{\"data\":1}"));
    batch = weft_batch_seal(&bb, 0);
    weft_batch_builder_fini(&bb);
    return batch;
}

void sim_fan_live(struct sim_fan *f, const struct sim_entry *entries, size_t n)
{
    struct weft_batch *batch = sim_fan_batch(f, entries, n);

    weft_fanout_live(f->fo, batch);
    weft_batch_unref(batch);
}

/* One of a list: "a", or "a@7". */
static void read_gap(struct weft_str word, struct weft_gap *gap)
{
    struct weft_str name = weft_str_before(&word, '@');

    memcpy(gap->topic, name.p, name.len);
    for (size_t i = 0; i < word.len; i++)
        gap->at = gap->at * 10 + (uint64_t)(word.p[i] - '0');
}

void sim_fan_page(struct sim_fan *f, struct weft_sub *sub, uint64_t upto, bool more,
                  const char *gaps, const struct sim_entry *entries, size_t n)
{
    struct weft_str words[8];
    size_t n_gaps = gaps == NULL ? 0 : split(strchr(gaps, ' ') + 1, words, 8);
    struct weft_page *page = weft_page_create(n_gaps);

    assert_non_null(page);
    page->batch = sim_fan_batch(f, entries, n);
    page->upto = id_of(f, upto);
    page->more = more;
    page->resume = id_of(f, f->resume);
    for (size_t i = 0; i < n_gaps; i++) {
        read_gap(words[i], &page->gaps[i]);
        page->gaps[i].after = sub->cursor;
        page->gaps[i].next = n > 0 ? id_of(f, entries[0].seq) : id_of(f, 0);
        page->gaps[i].reason = *gaps == 'r' ? WEFT_GAP_RESET : WEFT_GAP_TRIMMED;
    }
    weft_sub_page_arrived(sub, page);
    weft_page_unref(page);
}

static char told[8000];

__attribute__((format(printf, 1, 2))) static void tell(const char *fmt, ...)
{
    size_t n = strlen(told);
    va_list args;

    if (n > 0)
        told[n++] = ' ';
    va_start(args, fmt);
    (void)vsnprintf(told + n, sizeof(told) - n, fmt, args);
    va_end(args);
}

static bool pull(struct weft_sub *sub, size_t max_runs, size_t max_bytes)
{
    const struct weft_gap *gap;
    struct weft_run runs[32];
    size_t pos = 0;
    size_t n = 0;

    assert_true(max_runs <= 32);
    switch (weft_sub_pull(sub, runs, max_runs, max_bytes, &n)) {
    case WEFT_PULL_NONE:
        return false;
    case WEFT_PULL_OPENED:
        if (weft_sub_floats(sub))
            tell("opened");
        else
            tell("opened@%lu", (unsigned long)sub->cursor.seq);
        break;
    case WEFT_PULL_GAPS:
        while ((gap = weft_sub_next_gap(sub, &pos)) != NULL) {
            if (gap->reason == WEFT_GAP_SLOW)
                tell("slow(%s %lu..%lu)", gap->topic, (unsigned long)gap->after.seq,
                     (unsigned long)gap->next.seq);
            else
                tell("gap(%s)", gap->topic);
        }
        break;
    case WEFT_PULL_CLOSE:
        tell("close@%lu", (unsigned long)sub->cursor.seq);
        return false;
    case WEFT_PULL_EVENTS:
        assert_in_range(n, 1, max_runs);
        for (size_t i = 0; i < n; i++) {
            for (uint32_t k = runs[i].from; k < runs[i].to; k++)
                tell("%lu", (unsigned long)runs[i].batch->frames[k].id.seq);
        }
        break;
    }
    return true;
}

const char *sim_fan_pull(struct sim_fan *f, struct weft_sub *sub)
{
    told[0] = '\0';
    weft_fanout_flush(f->fo);
    while (pull(sub, 32, SIZE_MAX)) {
    }
    return told;
}

const char *sim_fan_pull_once(struct sim_fan *f, struct weft_sub *sub, size_t max_runs,
                              size_t max_bytes)
{
    (void)f;
    told[0] = '\0';
    (void)pull(sub, max_runs, max_bytes);
    return told;
}

void sim_fan_gets(struct sim_fan *f, struct weft_sub *sub, const char *expected)
{
    assert_string_equal(sim_fan_pull(f, sub), expected);
}
