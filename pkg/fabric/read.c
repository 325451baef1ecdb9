#include "hub_priv.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/telemetry/metrics.h>

#include "fill_priv.h"
#include "page_priv.h"
#include "removed_priv.h"
#include "shelf_priv.h"
#include "sizes_priv.h"

/*
 * A read of a page, by its key: `from start what`. Who asks for a key that is being read joins;
 * pages of a while ago are kept (they cannot become wrong: events never change, and a page says up
 * to where it is complete).
 *
 * Steps of a job: TIME (only for "ago") -> head and scores, and for a single topic its entries in
 * the same round trip -> entries of the topics with news (fill.c) -> where that leaves a doubt, which topics were
 * removed (removed.c) -> page. The head is read before the scores, and both before the
 * entries, so that every event up to it is in what was read.
 */

#define TOPICS_MAX 20000 /* that a pattern may match in one read */

struct waiter {
    struct waiter *next;
    uint32_t worker;
    struct weft_ticket ticket;
};

struct job {
    UT_hash_handle hh;
    struct job *next; /* of the queue */
    struct weft_reader *r;
    struct waiter *waiters;
    struct weft_page_maker pm;
    struct weft_fill fill;
    uint64_t began_ns;
    uint64_t epoch; /* of the hub when it began */
    uint64_t seen;  /* seq of its head then */
    bool running, single, matched_again, failed, too_many;
    bool stale; /* the start is newer than this server */
    bool asked_removed;
    struct weft_str what; /* inside key */
    size_t key_len;
    char key[];
};

struct weft_reader {
    struct weft_hub *hub;
    struct job *jobs; /* by key: running and queued */
    struct job *queue, *queue_tail;
    size_t n_queued, n_running;
    struct weft_shelf shelf; /* pages of a while ago */
    struct weft_sizes sizes; /* of events */
    struct weft_batch_builder bb;
};

static void keep(struct weft_reader *r, const struct job *job, bool by_several,
                 struct weft_page *page)
{
    struct weft_str key = weft_str(job->key, job->key_len);

    /*
     * Without events there is nothing to save; "ago" means another time at each call. The end of a log is what
     * others will come for too, when it is of a storm; from the midst, one reader alone asks for each page.
     */
    if (page->batch != NULL && job->key[0] != '0' + WEFT_READ_AGO &&
        (weft_shelf_was_wanted(&r->shelf, key) || by_several || !page->more)) {
        weft_shelf_add(&r->shelf, key, page);
    }
}

/* ---- answers ---- */

static void send_page(struct weft_hub *hub, uint32_t worker, struct weft_ticket ticket,
                      enum weft_read_rc rc, struct weft_page *page) WEFT_ON_HUB
{
    struct weft_page_msg *m = calloc(1, sizeof(*m));

    WEFT_ASSERT(m != NULL);
    m->msg.ops = &hub->o.ops->page;
    m->ticket = ticket;
    m->rc = rc;
    m->page = page == NULL ? NULL : weft_page_ref(page);
    weft_hub_send(hub, worker, &m->msg);
}

static void start_next(struct weft_reader *r) WEFT_ON_HUB;

static void finish(struct job *job, enum weft_read_rc rc, struct weft_page *page) WEFT_ON_HUB
{
    struct weft_reader *r = job->r;
    struct waiter *w, *next;
    bool by_several = job->waiters != NULL && job->waiters->next != NULL;

    LL_FOREACH_SAFE(job->waiters, w, next) {
        send_page(r->hub, w->worker, w->ticket, rc, page);
        free(w);
    }
    if (page != NULL) {
        keep(r, job, by_several, page);
        weft_page_unref(page);
    }
    if (job->running) {
        r->n_running--;
        weft_gauge_set(r->hub->o.shard, WEFT_G_REPLAY_IN_FLIGHT, (int64_t)r->n_running);
    }
    HASH_DEL(r->jobs, job);
    weft_page_maker_fini(&job->pm);
    free(job);
    start_next(r);
}

static void finish_page(struct job *job) WEFT_ON_HUB;

static void removed_arrived(void *ctx, bool ok)
{
    struct job *job = ctx;

    weft_role_assert_hub(job->r->hub->owner);
    job->failed = job->failed || !ok;
    finish_page(job);
}

static void finish_page(struct job *job) WEFT_ON_HUB
{
    struct weft_reader *r = job->r;
    struct weft_page *page;

    if (!job->failed && !job->too_many && !job->asked_removed) {
        int asked = weft_removed_ask(r->hub, &job->pm, job->what, removed_arrived, job);

        job->asked_removed = true;
        if (asked > 0) {
            return;
        }
        job->failed = asked < 0;
    }
    if (job->epoch != r->hub->epoch) {
        job->failed = true; /* judged by one history, and read from another perhaps */
    }
    if (job->stale && !job->failed) {
        finish(job, WEFT_READ_BUSY, NULL); /* it is asked for again */
        return;
    }
    if (job->failed || job->too_many) {
        finish(job, job->too_many ? WEFT_READ_TOO_MANY : WEFT_READ_UNAVAILABLE, NULL);
        return;
    }
    weft_hub_see_head(r->hub, job->pm.head);
    page = weft_page_make(&job->pm, job->what, &r->bb);
    weft_count(r->hub->o.shard, WEFT_M_REPLAY_EVENTS,
               page == NULL || page->batch == NULL ? 0 : page->batch->n);
    weft_observe_ns(r->hub->o.shard, WEFT_H_REPLAY_READ, weft_clock_mono_ns() - job->began_ns);
    finish(job, page == NULL ? WEFT_READ_BUSY : WEFT_READ_OK, page);
}

/* ---- talking to Redis ---- */

static void entries_read(void *ctx, bool ok)
{
    struct job *job = ctx;

    weft_role_assert_hub(job->r->hub->owner);
    job->failed = job->failed || !ok;
    finish_page(job);
}

static void head_arrived(void *ctx, const struct weft_reply *reply)
{
    struct job *job = ctx;
    struct weft_history history;

    weft_role_assert_hub(job->r->hub->owner);
    if (reply == NULL || weft_reply_is_error(reply)) {
        job->failed = true;
        return;
    }
    weft_head_take(job->r->hub, reply, job->seen, &history, NULL);
    weft_page_maker_head(&job->pm, &history);
    job->stale = job->pm.from == WEFT_READ_AFTER &&
                 weft_hub_may_be_stale(job->r->hub, &history, job->pm.start);
}

/* Scores of the named topics, in their order; the job has only those topics then. */
static void scores_arrived(void *ctx, const struct weft_reply *reply)
{
    struct job *job = ctx;
    struct weft_page_maker *pm = &job->pm;

    weft_role_assert_hub(job->r->hub->owner);
    if (reply == NULL || weft_reply_is_error(reply)) {
        job->failed = true;
    }
    for (size_t i = 0; !job->failed && i < pm->n_topics; i++) {
        pm->topics[i].known = weft_reply_u64(weft_reply_at(reply, i), &pm->topics[i].score);
    }
    if (job->single) {
        return; /* its entries come next */
    }
    if (job->failed) {
        finish_page(job);
        return;
    }
    weft_fill_begin(&job->fill);
}

static bool wanted(struct weft_str what, struct weft_str topic)
{
    while (what.len > 0) {
        struct weft_str pattern = weft_str_before(&what, ' ');
        if (weft_pattern_match(pattern, topic)) {
            return true;
        }
    }
    return false;
}

static bool send_matches(struct job *job) WEFT_ON_HUB;

/* All topics with news, names and scores in turn: those that somebody wants. */
static void matches_arrived(void *ctx, const struct weft_reply *reply)
{
    struct job *job = ctx;
    struct weft_page_maker *pm = &job->pm;

    weft_role_assert_hub(job->r->hub->owner);
    if (reply == NULL || weft_reply_is_error(reply)) {
        job->failed = true;
    } else if (pm->reset && !job->matched_again) {
        job->matched_again = true; /* they were asked for after a start that this history lacks */
        if (send_matches(job)) {
            return;
        }
        job->failed = true;
    }
    for (size_t i = 0; !job->failed && i + 1 < reply->n; i += 2) {
        struct weft_str name = weft_reply_str(reply->items[i]);
        uint64_t score;

        if (!weft_topic_valid(name) || !wanted(job->what, name) ||
            !weft_reply_u64(reply->items[i + 1], &score)) {
            continue;
        }
        if (pm->n_topics >= TOPICS_MAX) {
            job->too_many = true;
            break;
        }
        uint32_t t = weft_page_maker_add(pm, name);
        pm->topics[t].known = true;
        pm->topics[t].score = score;
    }
    if (job->failed || job->too_many) {
        finish_page(job);
    } else {
        weft_fill_begin(&job->fill);
    }
}

static bool send_matches(struct job *job) WEFT_ON_HUB
{
    struct weft_hub *hub = job->r->hub;
    char min[24] = "(";
    struct weft_buf key;
    int rc;

    weft_buf_init(&key, 256);
    weft_key_topics(&key, &hub->keys);
    size_t n = 1 + weft_u64_print(min + 1, weft_page_maker_after(&job->pm).seq);
    struct weft_str argv[] = {WEFT_STR("ZRANGEBYSCORE"), weft_str(key.data, key.len),
                              weft_str(min, n), WEFT_STR("+inf"), WEFT_STR("WITHSCORES")};
    rc = weft_redis_send(hub->rd, matches_arrived, job, WEFT_COUNT_OF(argv), argv);
    weft_buf_fini(&key);
    return rc == 0;
}

static bool send_scores(struct job *job) WEFT_ON_HUB
{
    struct weft_hub *hub = job->r->hub;
    struct weft_page_maker *pm = &job->pm;
    struct weft_str rest = job->what;
    struct weft_str *argv;
    struct weft_buf key;
    int rc;

    while (rest.len > 0) {
        (void)weft_page_maker_add(pm, weft_str_before(&rest, ' '));
    }
    argv = calloc(pm->n_topics + 2, sizeof(*argv));
    WEFT_ASSERT(argv != NULL);
    weft_buf_init(&key, 256);
    weft_key_topics(&key, &hub->keys);
    argv[0] = WEFT_STR("ZMSCORE");
    argv[1] = weft_str(key.data, key.len);
    for (size_t i = 0; i < pm->n_topics; i++) {
        argv[i + 2] = weft_str(pm->topics[i].name, pm->topics[i].name_len);
    }
    rc = weft_redis_send(hub->rd, scores_arrived, job, pm->n_topics + 2, argv);
    weft_buf_fini(&key);
    free(argv);
    return rc == 0;
}

/* Head and scores; with one topic its entries too, since what they answer to is known. */
static void send_first(struct job *job) WEFT_ON_HUB
{
    bool patterns = memchr(job->what.p, '*', job->what.len) != NULL;
    bool sent = weft_head_ask(job->r->hub, head_arrived, job) == 0 &&
                (patterns ? send_matches(job) : send_scores(job));

    job->single = sent && job->pm.n_topics == 1;
    if (!sent) {
        job->failed = true;
        finish_page(job);
    } else if (job->single && !weft_fill_begin_early(&job->fill)) {
        job->failed = true;
        job->single = false; /* scores_arrived() ends it */
    }
}

static void time_arrived(void *ctx, const struct weft_reply *reply)
{
    struct job *job = ctx;
    uint64_t seconds, micros;

    weft_role_assert_hub(job->r->hub->owner);
    if (!weft_reply_u64(weft_reply_at(reply, 0), &seconds) ||
        !weft_reply_u64(weft_reply_at(reply, 1), &micros)) {
        job->failed = true;
        finish_page(job);
        return;
    }
    uint64_t now_ms = seconds * 1000 + micros / 1000;
    job->pm.start.ms = job->pm.start.ms < now_ms ? now_ms - job->pm.start.ms : 0;
    job->pm.from = WEFT_READ_TIME;
    send_first(job);
}

static void start(struct job *job) WEFT_ON_HUB
{
    struct weft_reader *r = job->r;
    static const struct weft_str time_argv[] = {{"TIME", 4}};

    job->running = true;
    job->began_ns = weft_clock_mono_ns();
    job->epoch = r->hub->epoch;
    job->seen = r->hub->head.seq;
    r->n_running++;
    weft_gauge_set(r->hub->o.shard, WEFT_G_REPLAY_IN_FLIGHT, (int64_t)r->n_running);
    if (job->pm.from != WEFT_READ_AGO) {
        send_first(job);
    } else if (weft_redis_send(r->hub->rd, time_arrived, job, 1, time_argv) != 0) {
        job->failed = true;
        finish_page(job);
    }
}

static void start_next(struct weft_reader *r) WEFT_ON_HUB
{
    while (r->queue != NULL && r->hub->up && r->n_running < r->hub->o.cfg->replay.parallel) {
        struct job *job = r->queue;

        r->queue = job->next;
        if (r->queue == NULL) {
            r->queue_tail = NULL;
        }
        r->n_queued--;
        start(job);
    }
}

/* ---- requests ---- */

static size_t print_key(char *out, const struct weft_read_msg *m)
{
    size_t n = 0;

    out[n++] = (char)('0' + (int)m->from);
    out[n++] = ' ';
    n += weft_id_print(out + n, m->start);
    out[n++] = ' ';
    memcpy(out + n, m->what, m->what_len);
    return n + m->what_len;
}

void weft_reader_take(struct weft_reader *r, const struct weft_read_msg *m)
{
    struct weft_hub *hub = r->hub;
    struct waiter *w;
    struct weft_page *page;
    struct job *job = NULL;
    size_t cap = WEFT_ID_MAX_LEN + 3 + m->what_len;

    if (!hub->up) {
        send_page(hub, m->worker, m->ticket, WEFT_READ_UNAVAILABLE, NULL);
        return;
    }
    struct job *fresh = calloc(1, sizeof(*fresh) + cap);
    WEFT_ASSERT(fresh != NULL);
    fresh->key_len = print_key(fresh->key, m);

    page = weft_shelf_find(&r->shelf, weft_str(fresh->key, fresh->key_len));
    if (page != NULL) {
        weft_count(hub->o.shard, WEFT_M_REPLAY_CACHE_HITS, 1);
        send_page(hub, m->worker, m->ticket, WEFT_READ_OK, page);
        free(fresh);
        return;
    }
    HASH_FIND(hh, r->jobs, fresh->key, fresh->key_len, job);
    if (job == NULL && r->n_queued >= hub->o.cfg->replay.queue) {
        weft_count(hub->o.shard, WEFT_M_REPLAY_QUEUE_FULL, 1);
        send_page(hub, m->worker, m->ticket, WEFT_READ_BUSY, NULL);
        free(fresh);
        return;
    }
    w = calloc(1, sizeof(*w));
    WEFT_ASSERT(w != NULL);
    w->worker = m->worker;
    w->ticket = m->ticket;
    if (job != NULL) {
        weft_count(hub->o.shard, WEFT_M_REPLAY_MERGED, 1);
        LL_PREPEND(job->waiters, w);
        free(fresh);
        return;
    }
    job = fresh;
    job->r = r;
    weft_page_maker_init(&job->pm);
    job->pm.from = m->from;
    job->pm.start = m->start;
    job->fill = (struct weft_fill){
        .hub = hub, .pm = &job->pm, .sizes = &r->sizes, .done = entries_read, .ctx = job};
    job->what = weft_str(job->key + job->key_len - m->what_len, m->what_len);
    LL_PREPEND(job->waiters, w);
    HASH_ADD_KEYPTR(hh, r->jobs, job->key, job->key_len, job);
    if (r->queue_tail != NULL) {
        r->queue_tail->next = job;
    } else {
        r->queue = job;
    }
    r->queue_tail = job;
    r->n_queued++;
    start_next(r);
}

void weft_reader_forget(struct weft_reader *r)
{
    weft_shelf_clear(&r->shelf);
}

void weft_reader_resume(struct weft_reader *r)
{
    start_next(r);
}

int weft_reader_create(struct weft_reader **ret_r, struct weft_hub *hub)
{
    struct weft_reader *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        return WEFT_ENOMEM;
    }
    r->hub = hub;
    weft_shelf_init(&r->shelf, hub->o.cfg->replay.cache_bytes);
    weft_batch_builder_init(&r->bb);
    *ret_r = r;
    return 0;
}

void weft_reader_destroy(struct weft_reader *r)
{
    struct job *job, *next;
    struct waiter *w, *next_w;

    if (r == NULL) {
        return;
    }
    weft_reader_forget(r);
    /* Queued ones: those that ran were answered when the connection ended. */
    HASH_ITER(hh, r->jobs, job, next) {
        LL_FOREACH_SAFE(job->waiters, w, next_w) {
            free(w);
        }
        HASH_DEL(r->jobs, job);
        weft_page_maker_fini(&job->pm);
        free(job);
    }
    weft_batch_builder_fini(&r->bb);
    free(r);
}
