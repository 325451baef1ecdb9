#include "worker_priv.h"

#include <stdlib.h>

#include <weft/base/assert.h>

/*
 * A long-poll is a subscriber that is answered once: with what it has missed, or with the first
 * events that come, or with none when its time is over. Without a cursor it only learns where the
 * log stands.
 *
 * A poll that has no cursor to give, and came without one, is refused for now: an answer would look as if nothing had
 * happened yet, and the client would come back for the whole log, or for nothing.
 */

#define OPENING_MS \
    5000 /* however short it is to wait for events, where the log stands is waited for so long */
#define ANSWER_BYTES ((size_t)1024 * 1024) /* events are added until this is passed */
/* All gaps of a page: one for each topic that a read may have, as many removed ones, and what stands around a name. */
#define GAPS_BYTES   ((size_t)16 * 1024 * 1024)
#define EVENTS_BYTES ((size_t)80 * 1024 * 1024) /* ANSWER_BYTES and the longest event */

struct poll {
    struct weft_receiver rx;
    struct weft_watcher watcher;
    h2o_req_t *req; /* alive until it is answered: h2o does not read on before */
    struct weft_buf events, gaps;
    struct weft_standing standing;
    uint64_t until_ms;    /* for events */
    uint64_t known_by_ms; /* where the log stands */
    uint32_t n, limit;
    bool no_cursor;
};

static void end(struct poll *p) WEFT_ON_WORKER
{
    struct weft_worker *worker = p->rx.worker;

    weft_unwatch(p->req);
    weft_gauge_add(worker->o.shard, WEFT_G_SUBSCRIBERS, -1);
    weft_receiver_fini(&p->rx);
    weft_buf_fini(&p->events);
    weft_buf_fini(&p->gaps);
    weft_standing_end(&p->standing);
    free(p);
}

static void refuse(struct poll *p, int status, const char *code, const char *field, const char *why)
    WEFT_ON_WORKER
{
    h2o_req_t *req = p->req;

    end(p);
    weft_respond_problem(req, status, code, field, "%s", why);
}

static void answer(struct poll *p) WEFT_ON_WORKER
{
    struct weft_buf *b = &p->rx.worker->scratch;
    char id[WEFT_ID_MAX_LEN];
    h2o_req_t *req = p->req;

    if (p->rx.sub.mode == WEFT_SUB_OPENING) {
        refuse(p, 503, "unavailable", "", "it is not known yet where the topics stand");
        return;
    }
    if (p->events.toobig || p->gaps.toobig) {
        refuse(p, 503, "busy", "", "the answer is too long");
        return;
    }
    weft_buf_puts(b, "{\"events\":[");
    weft_buf_append(b, p->events.data, p->events.len);
    weft_buf_puts(b, "],\"cursor\":");
    if (weft_sub_has_cursor(&p->rx.sub)) {
        weft_buf_json(b, weft_str(id, weft_id_print(id, p->rx.sub.cursor)));
    } else {
        weft_buf_puts(b, "null");
    }
    weft_buf_puts(b, ",\"gaps\":[");
    weft_buf_append(b, p->gaps.data, p->gaps.len);
    weft_buf_puts(b, "]}");
    weft_count(p->rx.worker->o.shard, WEFT_M_DELIVERIES, p->n);
    end(p);
    weft_respond_json(req, 200, weft_str(b->data, b->len));
    weft_buf_clear(b);
}

static void take_gaps(struct poll *p) WEFT_ON_WORKER
{
    const struct weft_gap *gap;
    size_t pos = 0;

    while ((gap = weft_sub_next_gap(&p->rx.sub, &pos)) != NULL) {
        if (p->gaps.len > 0) {
            weft_buf_append(&p->gaps, ",", 1);
        }
        weft_gap_print(&p->gaps, gap);
        weft_count(p->rx.worker->o.shard, WEFT_M_GAPS, 1);
    }
}

static void poll_ready(struct weft_receiver *rx)
{
    struct poll *p = WEFT_CONTAINER_OF(rx, struct poll, rx);
    struct weft_run run;
    size_t n;

    weft_role_assert_worker(rx->worker->owner);
    while (p->n < p->limit && p->events.len < ANSWER_BYTES) {
        /* One event at a time: the cursor must not pass an event that is not in the answer. */
        enum weft_pull pull = weft_sub_pull(&rx->sub, &run, 1, 1, &n);

        if (pull == WEFT_PULL_NONE) {
            break;
        }
        if (pull == WEFT_PULL_GAPS) {
            take_gaps(p);
        } else if (pull == WEFT_PULL_EVENTS) {
            struct weft_str json = weft_frame_json(run.batch, &run.batch->frames[run.from]);

            if (p->n++ > 0) {
                weft_buf_append(&p->events, ",", 1);
            }
            weft_buf_str(&p->events, json);
        }
    }
    if (p->n > 0 || p->gaps.len > 0 || (p->no_cursor && rx->sub.opened)) {
        answer(p);
    }
}

/* Nobody reads the answer; writing it lets h2o notice and close. */
static void peer_gone(struct weft_watcher *watcher)
{
    struct poll *p = WEFT_CONTAINER_OF(watcher, struct poll, watcher);

    weft_role_assert_worker(p->rx.worker->owner);
    answer(p);
}

/* False: its token has ended, and so has the poll. */
static bool still_allowed(struct poll *p) WEFT_ON_WORKER
{
    enum weft_standing_state stands = weft_standing_look(&p->standing, p->rx.worker);
    h2o_req_t *req = p->req;

    if (stands != WEFT_EXPIRED && stands != WEFT_REVOKED) {
        return true;
    }
    end(p);
    weft_respond_unauthorized(req, stands == WEFT_EXPIRED ? "it has expired" : "it was revoked");
    return false;
}

static void poll_recheck(struct weft_waiting *w)
{
    struct weft_receiver *rx = WEFT_CONTAINER_OF(w, struct weft_receiver, waiting);

    weft_role_assert_worker(rx->worker->owner);
    (void)still_allowed(WEFT_CONTAINER_OF(rx, struct poll, rx));
}

static void poll_tick(struct weft_waiting *w, uint64_t now_ms)
{
    struct poll *p =
        WEFT_CONTAINER_OF(WEFT_CONTAINER_OF(w, struct weft_receiver, waiting), struct poll, rx);

    weft_role_assert_worker(p->rx.worker->owner);
    weft_slowest_saw(p->rx.worker, &p->rx, (struct weft_seen){0});
    if (!still_allowed(p)) {
        return;
    }
    if (now_ms >= (p->rx.sub.mode == WEFT_SUB_OPENING ? p->known_by_ms : p->until_ms) ||
        weft_watch_again(p->req)) {
        answer(p);
    }
}

static void poll_redis(struct weft_receiver *rx, bool up)
{
    weft_role_assert_worker(rx->worker->owner);
    if (!up) {
        refuse(WEFT_CONTAINER_OF(rx, struct poll, rx), 503, "unavailable", "", "Redis is away");
    }
}

static void poll_too_many(struct weft_receiver *rx)
{
    weft_role_assert_worker(rx->worker->owner);
    refuse(WEFT_CONTAINER_OF(rx, struct poll, rx), 400, "invalid", "topic",
           "the pattern matches more topics than can be read at once");
}

static void poll_stop(struct weft_receiver *rx)
{
    weft_role_assert_worker(rx->worker->owner);
    answer(WEFT_CONTAINER_OF(rx, struct poll, rx));
}

void weft_longpoll_begin(struct weft_call *call, const struct weft_subscription *s)
{
    struct weft_worker *worker = call->worker;
    struct poll *p;

    if (!weft_fanout_is_up(worker->fanout)) {
        weft_respond_problem(call->req, 503, "unavailable", "", "Redis is away");
        return;
    }
    if (worker->stopping) { /* who waits was told so already: nobody would tell this one */
        weft_respond_problem(call->req, 503, "unavailable", "", "the node ends");
        return;
    }
    p = calloc(1, sizeof(*p));
    if (p == NULL) {
        weft_respond_problem(call->req, 503, "busy", "", "out of memory");
        return;
    }
    p->req = call->req;
    p->limit = s->limit;
    p->until_ms = worker->now_ms + s->wait_ms;
    p->known_by_ms = worker->now_ms + (s->wait_ms > OPENING_MS ? s->wait_ms : OPENING_MS);
    p->no_cursor = s->opts.from == WEFT_FROM_NOW;
    weft_buf_init(&p->events, EVENTS_BYTES);
    weft_buf_init(&p->gaps, GAPS_BYTES);
    p->rx.ready = poll_ready;
    p->rx.redis = poll_redis;
    p->rx.move = poll_stop;
    p->rx.stop = poll_stop;
    p->rx.too_many = poll_too_many;
    p->rx.waiting.tick = poll_tick;
    p->rx.waiting.recheck = poll_recheck;
    weft_standing_begin(&p->standing, s->grant);
    weft_receiver_init(&p->rx, worker);
    weft_gauge_add(worker->o.shard, WEFT_G_SUBSCRIBERS, 1);
    p->watcher.gone = peer_gone;
    weft_watch(call->req, &p->watcher);
    if (weft_sub_init(&p->rx.sub, worker->fanout, &s->opts) != 0) {
        refuse(p, 503, "busy", "", "out of memory");
    }
}
