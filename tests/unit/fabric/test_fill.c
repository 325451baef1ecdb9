/* Pages read from logs that are in memory: nothing is left out, few questions are asked, little memory is held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define weft_redis_send answer_later
#include "fill.c"
#undef weft_redis_send

#define KIB        ((size_t)1024)
#define TOPICS_MAX 4000
#define MAX_BYTES  (256 * KIB)

/* ---- the logs ---- */

struct held {
    uint64_t seq, prev;
    uint32_t bytes;
};

static struct log_of {
    struct held *events;
    size_t n, gone; /* the first ones are not held any more */
} logs[TOPICS_MAX];

static size_t n_logs;
static uint64_t newest;
static char envelope[MAX_BYTES];

static void append(size_t topic, uint32_t bytes)
{
    struct log_of *log = &logs[topic];

    log->events = realloc(log->events, (log->n + 1) * sizeof(log->events[0]));
    assert_non_null(log->events);
    log->events[log->n] =
        (struct held){++newest, log->n == 0 ? 0 : log->events[log->n - 1].seq, bytes};
    log->n++;
    n_logs = topic >= n_logs ? topic + 1 : n_logs;
}

static uint32_t rng;

static uint32_t below(uint32_t n)
{
    rng = rng * 1664525U + 1013904223U;
    return (uint32_t)((uint64_t)(rng >> 8) * n >> 24);
}

/* ---- Redis ---- */

static struct question {
    weft_redis_replied *replied;
    void *ctx;
    size_t topic;
    uint64_t after;
    size_t count;
} questions[DUE_MAX];

static size_t n_questions, n_asked, largest;
static bool is_down;

int answer_later(struct weft_redis_conn *cn, weft_redis_replied *replied, void *ctx, size_t argc,
                 const struct weft_str *argv)
{
    struct weft_id after = {0, 0};
    struct question *q = &questions[n_questions];
    char key[300];
    uint64_t count = 0;

    if (is_down)
        return WEFT_EUNAVAILABLE;
    assert_true(n_questions < DUE_MAX);
    assert_int_equal(argc, 6);
    (void)snprintf(key, sizeof(key), "%.*s", (int)argv[1].len, argv[1].p);
    *q = (struct question){.replied = replied, .ctx = ctx};
    q->topic = strtoul(strrchr(key, ':') + 1, NULL, 10);
    if (argv[2].p[0] == '(')
        assert_true(weft_id_parse(weft_str(argv[2].p + 1, argv[2].len - 1), &after));
    q->after = after.seq;
    assert_true(weft_str_u64(argv[5], &count) && count > 0);
    q->count = count;
    n_questions++;
    n_asked++;
    return 0;
}

static struct weft_reply *new_reply(enum weft_reply_kind kind, size_t n)
{
    struct weft_reply *reply = calloc(1, sizeof(*reply));

    assert_non_null(reply);
    reply->kind = kind;
    reply->n = n;
    if (n > 0) {
        reply->items = calloc(n, sizeof(struct weft_reply *));
        assert_non_null(reply->items);
    }
    return reply;
}

static void free_reply(struct weft_reply *reply)
{
    for (size_t i = 0; i < reply->n; i++)
        free_reply(reply->items[i]);
    free(reply->items);
    free(reply);
}

static struct weft_reply *text(struct weft_str s)
{
    struct weft_reply *reply = new_reply(WEFT_REPLY_STRING, 0);

    reply->str = s;
    return reply;
}

static void answer(struct weft_page_maker *pm)
{
    struct question q = questions[0];
    const struct log_of *log = &logs[q.topic];
    static char ids[1000][48];
    static char prevs[1000][24];
    size_t from = log->gone;
    size_t n, bytes = 0;

    memmove(questions, questions + 1, --n_questions * sizeof(questions[0]));
    if (is_down) {
        q.replied(q.ctx, NULL);
        return;
    }
    while (from < log->n && log->events[from].seq <= q.after)
        from++;
    n = log->n - from < q.count ? log->n - from : q.count;
    assert_true(n <= 1000);
    struct weft_reply *reply = new_reply(WEFT_REPLY_ARRAY, n);
    for (size_t i = 0; i < n; i++) {
        const struct held *e = &log->events[from + i];
        struct weft_reply *entry = new_reply(WEFT_REPLY_ARRAY, 2);
        struct weft_reply *fields = new_reply(WEFT_REPLY_ARRAY, 6);

        bytes += e->bytes;
        (void)snprintf(ids[i], sizeof(ids[i]), "%llu-%llu", (unsigned long long)e->seq,
                       (unsigned long long)e->seq);
        (void)snprintf(prevs[i], sizeof(prevs[i]), "%llu", (unsigned long long)e->prev);
        entry->items[0] = text(weft_str(ids[i], strlen(ids[i])));
        entry->items[1] = fields;
        fields->items[0] = text(WEFT_STR("prev"));
        fields->items[1] = text(weft_str(prevs[i], strlen(prevs[i])));
        fields->items[2] = text(WEFT_STR("type"));
        fields->items[3] = text(WEFT_STR("a.b"));
        fields->items[4] = text(WEFT_STR("event"));
        fields->items[5] = text(weft_str(envelope, e->bytes));
        reply->items[i] = entry;
    }
    size_t kept = weft_page_maker_bytes(pm) + bytes;
    largest = kept > largest ? kept : largest;
    q.replied(q.ctx, reply);
    free_reply(reply);
}

/* ---- reading ---- */

static struct weft_sizes sizes;
static struct weft_config cfg;
static struct weft_hub hub;
static struct weft_batch_builder bb;
static int done_ok; /* -1: not yet */

static void is_done(void *ctx, bool ok)
{
    assert_int_equal(done_ok, -1);
    done_ok = ok;
}

/* What happens in Redis behind the answer of this number; 0: nothing does. */
static size_t meanwhile_at;
static void (*meanwhile)(void);

/* NULL if it failed. */
static struct weft_page *read_page(uint64_t start)
{
    struct weft_page_maker pm;
    struct weft_page *page = NULL;
    const struct weft_history history = {.head = {newest, newest}};
    struct weft_fill fill = {.hub = &hub, .pm = &pm, .sizes = &sizes, .done = is_done};
    size_t n = 0;

    weft_page_maker_init(&pm);
    pm.from = WEFT_READ_AFTER;
    pm.start = (struct weft_id){start, start};
    weft_page_maker_head(&pm, &history);
    for (size_t i = 0; i < n_logs; i++) {
        const struct log_of *log = &logs[i];
        char name[24];
        uint32_t t;

        (void)snprintf(name, sizeof(name), "t:%zu", i);
        t = weft_page_maker_add(&pm, weft_str(name, strlen(name)));
        pm.topics[t].known = log->n > 0;
        pm.topics[t].score = log->n > 0 ? log->events[log->n - 1].seq : 0;
    }
    done_ok = -1;
    weft_role_assert_hub(hub.owner);
    weft_fill_begin(&fill);
    while (n_questions > 0) {
        answer(&pm);
        if (++n == meanwhile_at)
            meanwhile();
    }
    assert_int_not_equal(done_ok, -1);
    if (done_ok) {
        page = weft_page_make(&pm, WEFT_STR("t:*"), &bb);
        assert_non_null(page);
    }
    weft_page_maker_fini(&pm);
    return page;
}

/* All pages: every event once and in order. Returns how many there were. */
static size_t read_all(void)
{
    uint64_t at = 0;
    uint64_t seen = 0;
    size_t n = 0;
    bool more = true;

    while (more) {
        struct weft_page *page = read_page(at);

        assert_non_null(page);
        assert_int_equal(page->n_gaps, 0);
        for (size_t i = 0; page->batch != NULL && i < page->batch->n; i++)
            assert_int_equal(page->batch->frames[i].id.seq, ++seen);
        assert_true(page->upto.seq > at);
        assert_int_equal(page->upto.seq, page->more ? seen : newest);
        at = page->upto.seq;
        more = page->more;
        weft_page_unref(page);
        n++;
    }
    assert_int_equal(seen, newest);
    return n;
}

static int begin(void **state)
{
    static struct weft_metrics *metrics;

    if (metrics == NULL)
        metrics = weft_metrics_create(1);
    memset(envelope, '{', sizeof(envelope));
    memset(&sizes, 0, sizeof(sizes));
    memset(&hub, 0, sizeof(hub));
    hub.owner = pthread_self();
    hub.o.cfg = &cfg;
    hub.o.shard = weft_metrics_shard(metrics, 0);
    hub.keys.prefix = "weft";
    cfg.history.page_events = 1000;
    weft_batch_builder_init(&bb);
    for (size_t i = 0; i < TOPICS_MAX; i++) {
        free(logs[i].events);
        memset(&logs[i], 0, sizeof(logs[i]));
    }
    n_logs = newest = n_asked = largest = meanwhile_at = 0;
    is_down = false;
    rng = 7;
    return 0;
}

static int end(void **state)
{
    weft_batch_builder_fini(&bb);
    return 0;
}

/* n topics with so many events each: in turn, or in any order. */
static void fill_logs(size_t n, size_t each, uint32_t bytes, bool any_order)
{
    for (size_t i = 0; i < n * each; i++)
        append(any_order ? below((uint32_t)n) : i % n, bytes);
}

static void one_event_each_is_one_page(void **state)
{
    fill_logs(4000, 1, 100, false);
    assert_int_equal(read_all(), 1);
    assert_int_equal(n_asked, 4000);
}

static void several_each_cost_few_questions_for_a_topic(void **state)
{
    fill_logs(2000, 3, 100, false);
    assert_int_equal(read_all(), 1);
    assert_in_range(n_asked, 2000, 2000 + DUE_MAX); /* the first ones before any size is known */
}

static void in_any_order_too(void **state)
{
    fill_logs(2000, 10, 300, true);
    assert_in_range(read_all(), 1, 5);
    assert_in_range(n_asked, 2000, 20000);
}

/* The page is not cut at each few events of the one that has many, with all the others asked again. */
static void one_busy_topic_among_many(void **state)
{
    for (size_t i = 0; i < 20000; i++)
        append(0, 100);
    for (size_t i = 0; i < 2000; i++)
        append(i, 100);
    assert_in_range(read_all(), 1, 4);
    assert_in_range(n_asked, 2000, 10000);
}

static void large_events_are_not_all_held(void **state)
{
    fill_logs(200, 2, MAX_BYTES, true);
    (void)read_all();
    assert_in_range(largest, 1, 2 * page_bytes(200) + MAX_BYTES * 16);
}

static void a_topic_read_alone_fills_its_page(void **state)
{
    fill_logs(1, 3000, 200, false);
    assert_in_range(read_all(), 2, 6);
    assert_in_range(n_asked, 2, 12);
}

static void any_logs(void **state)
{
    static const uint32_t most[] = {100, 1000, 40000, MAX_BYTES};

    for (uint32_t seed = 1; seed <= 60; seed++) {
        (void)begin(NULL);
        rng = seed * 2654435761U;
        size_t n = 1 + below(seed % 2 == 0 ? 8 : 150);
        size_t n_events = 1 + below(600);
        for (size_t i = 0; i < n_events; i++) {
            /* Some topics are busier, and some have larger events. */
            size_t topic = below(1 + below((uint32_t)n));
            append(topic, 2 + below(most[topic % 4] / (seed % 3 == 0 ? 1 : 20)));
        }
        (void)read_all();
        assert_in_range(largest, 1, 2 * page_bytes(n_logs) + MAX_BYTES * 32);
        (void)end(NULL);
    }
}

static void trim_the_first(void)
{
    logs[0].gone = logs[0].n;
}

/* Retention comes between two rounds: what it took is missing in no page that says it is complete. */
static void what_goes_meanwhile_is_told(void **state)
{
    fill_logs(40, 40, 500, false);
    meanwhile = trim_the_first;
    meanwhile_at = 40; /* the first round */
    struct weft_page *page = read_page(0);
    uint64_t upto = page->upto.seq;

    assert_in_range(upto, 1, newest - 1);
    assert_int_equal(page->n_gaps, 0);
    for (size_t i = 0; i < page->batch->n; i++)
        assert_int_equal(page->batch->frames[i].id.seq, i + 1);
    weft_page_unref(page);

    meanwhile_at = 0;
    page = read_page(upto);
    assert_int_equal(page->n_gaps, 1);
    assert_string_equal(page->gaps[0].topic, "t:0");
    weft_page_unref(page);
}

static void go_down(void)
{
    is_down = true;
}

static void a_lost_connection_ends_it(void **state)
{
    fill_logs(400, 3, 500, false);
    meanwhile = go_down;
    meanwhile_at = 100;
    assert_null(read_page(0));
    assert_null(read_page(0)); /* not even the first goes out */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_event_each_is_one_page, begin, end),
        cmocka_unit_test_setup_teardown(several_each_cost_few_questions_for_a_topic, begin, end),
        cmocka_unit_test_setup_teardown(in_any_order_too, begin, end),
        cmocka_unit_test_setup_teardown(one_busy_topic_among_many, begin, end),
        cmocka_unit_test_setup_teardown(large_events_are_not_all_held, begin, end),
        cmocka_unit_test_setup_teardown(a_topic_read_alone_fills_its_page, begin, end),
        cmocka_unit_test_setup_teardown(any_logs, begin, end),
        cmocka_unit_test_setup_teardown(what_goes_meanwhile_is_told, begin, end),
        cmocka_unit_test_setup_teardown(a_lost_connection_ends_it, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
