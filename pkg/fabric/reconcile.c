#include "hub_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <weft/base/assert.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

/*
 * A live message that is lost shows by the chain as soon as the topic's next one comes. For the last one of all
 * there is no next one, so every hub.reconcile_ms a round compares what Redis holds with what came:
 *
 *   head -> scores of the followed topics, some hundred in a command -> PING on the live connection -> pong
 *
 * A score beyond what came is only a suspicion: its message may be on its way, on another connection. But what was
 * published before the scores were read has arrived when the pong to a PING sent after them does. What
 * then still has not come was lost.
 */

#define SCORES_PER_COMMAND 512

struct suspect {
    uint64_t last;
    uint16_t name_len;
    char name[WEFT_NAME_MAX + 1];
};

struct weft_reconciler {
    struct weft_hub *hub;
    struct event *timer;
    /* The round under way. */
    bool running;
    uint64_t epoch;  /* of the hub: a round from before Redis went away is void */
    uint64_t number; /* of the round: the PING's token */
    uint64_t seen;   /* seq of the hub's head when Redis's was asked for */
    uint64_t head;   /* seq that Redis answered */
    size_t replies_due;
    struct suspect *suspects;
    size_t n, cap;
};

/* One command of a round; a ZMSCORE's has the names whose scores were asked for. */
struct ask {
    struct weft_reconciler *rc;
    uint64_t number;
    bool hears_all; /* it did when this was asked */
    size_t n;
    struct suspect topics[];
};

static void end_round(struct weft_reconciler *rc)
{
    rc->running = false;
    rc->n = 0;
}

static void suspect(struct weft_reconciler *rc, const struct suspect *topic)
{
    if (rc->n == rc->cap) {
        rc->cap = rc->cap == 0 ? 16 : rc->cap * 2;
        rc->suspects = realloc(rc->suspects, rc->cap * sizeof(*rc->suspects));
        WEFT_ASSERT(rc->suspects != NULL);
    }
    rc->suspects[rc->n++] = *topic;
}

static struct weft_follow *behind(struct weft_hub *hub, const struct suspect *s) WEFT_ON_HUB
{
    struct weft_follow *f = weft_follow_find(hub, weft_str(s->name, s->name_len));

    return f != NULL && f->synced && s->last > f->last ? f : NULL;
}

static void scores_complete(struct weft_reconciler *rc) WEFT_ON_HUB
{
    struct weft_hub *hub = rc->hub;
    char token[24];

    if (hub->all != NULL) {
        struct suspect all = {.last = rc->head};

        if (behind(hub, &all) != NULL) {
            suspect(rc, &all);
        }
    }
    if (rc->n == 0) {
        end_round(rc);
        return;
    }
    int len = snprintf(token, sizeof(token), "r%llu", (unsigned long long)rc->number);
    if (weft_redis_ping(hub->sub, weft_str(token, (size_t)len)) != 0) {
        end_round(rc);
    }
}

void weft_reconcile_pong(struct weft_reconciler *rc, struct weft_str token)
{
    struct weft_hub *hub = rc->hub;
    char mine[24];
    int len = snprintf(mine, sizeof(mine), "r%llu", (unsigned long long)rc->number);

    if (!rc->running || rc->replies_due > 0 || rc->epoch != hub->epoch ||
        !weft_str_eq(token, weft_str(mine, (size_t)len))) {
        return;
    }
    for (size_t i = 0; i < rc->n; i++) {
        struct weft_follow *f = behind(hub, &rc->suspects[i]);

        if (f != NULL) {
            weft_count(hub->o.shard, WEFT_M_LIVE_REPAIRED, 1);
            weft_log(hub->o.log, WEFT_LOG_DEBUG, "live.repaired",
                     WEFT_S("topic", f->name_len > 0 ? f->name : "*"), WEFT_U("last", f->last),
                     WEFT_U("in_log", rc->suspects[i].last));
            weft_follow_repair(hub, f, rc->suspects[i].last);
        }
    }
    end_round(rc);
}

/* False: the round has ended meanwhile. */
static bool take_reply(struct ask *ask, const struct weft_reply *reply) WEFT_ON_HUB
{
    struct weft_reconciler *rc = ask->rc;

    if (!rc->running || rc->number != ask->number) {
        return false;
    }
    if (reply == NULL || weft_reply_is_error(reply) || rc->epoch != rc->hub->epoch) {
        end_round(rc);
        return false;
    }
    return true;
}

static void reply_taken(struct weft_reconciler *rc) WEFT_ON_HUB
{
    if (--rc->replies_due == 0) {
        scores_complete(rc);
    }
}

static void note_compared(struct weft_hub *hub, const struct suspect *topic) WEFT_ON_HUB
{
    struct weft_follow *f = weft_follow_find(hub, weft_str(topic->name, topic->name_len));

    if (f != NULL && f->synced) {
        f->compared = true;
    }
}

static void scores_arrived(void *ctx, const struct weft_reply *reply)
{
    struct ask *ask = ctx;
    struct weft_reconciler *rc = ask->rc;

    weft_role_assert_hub(rc->hub->owner);
    if (take_reply(ask, reply)) {
        for (size_t i = 0; i < ask->n; i++) {
            if (ask->hears_all) {
                note_compared(rc->hub, &ask->topics[i]);
            }
            if (weft_reply_u64(weft_reply_at(reply, i), &ask->topics[i].last) &&
                behind(rc->hub, &ask->topics[i]) != NULL) {
                suspect(rc, &ask->topics[i]);
            }
        }
        reply_taken(rc);
    }
    free(ask);
}

static void head_arrived(void *ctx, const struct weft_reply *reply)
{
    struct ask *ask = ctx;
    struct weft_reconciler *rc = ask->rc;
    struct weft_history history;

    weft_role_assert_hub(rc->hub->owner);
    if (take_reply(ask, reply) && weft_head_take(rc->hub, reply, rc->seen, &history, NULL) &&
        rc->epoch == rc->hub->epoch) {
        rc->head = history.head.seq;
        reply_taken(rc);
    }
    free(ask);
}

static bool send_scores(struct weft_reconciler *rc, struct ask *ask) WEFT_ON_HUB
{
    struct weft_str argv[SCORES_PER_COMMAND + 2];
    struct weft_buf key;
    int sent;

    weft_buf_init(&key, 256);
    weft_key_topics(&key, &rc->hub->keys);
    argv[0] = WEFT_STR("ZMSCORE");
    argv[1] = weft_str(key.data, key.len);
    for (size_t i = 0; i < ask->n; i++) {
        argv[i + 2] = weft_str(ask->topics[i].name, ask->topics[i].name_len);
    }
    rc->replies_due++;
    sent = weft_redis_send(rc->hub->rd, scores_arrived, ask, ask->n + 2, argv);
    weft_buf_fini(&key);
    if (sent != 0) {
        free(ask);
    }
    return sent == 0;
}

static struct ask *ask_create(struct weft_reconciler *rc) WEFT_ON_HUB
{
    struct ask *ask = malloc(sizeof(*ask) + SCORES_PER_COMMAND * sizeof(ask->topics[0]));

    WEFT_ASSERT(ask != NULL);
    ask->rc = rc;
    ask->number = rc->number;
    ask->hears_all = weft_follow_hears_all(rc->hub);
    ask->n = 0;
    return ask;
}

static bool send_head(struct weft_reconciler *rc) WEFT_ON_HUB
{
    struct ask *ask = calloc(1, sizeof(*ask));

    WEFT_ASSERT(ask != NULL);
    ask->rc = rc;
    ask->number = rc->number;
    rc->replies_due++;
    if (weft_head_ask(rc->hub, head_arrived, ask) != 0) {
        free(ask);
        return false;
    }
    return true;
}

static bool ask_all(struct weft_reconciler *rc) WEFT_ON_HUB
{
    struct weft_follow *f, *next;
    struct ask *ask = ask_create(rc);
    bool sent = send_head(rc);

    HASH_ITER(hh, rc->hub->follows, f, next) {
        struct suspect *s = &ask->topics[ask->n];

        if (!sent || !f->synced || f->name_len == 0 ||
            (f->compared && weft_follow_hears_all(rc->hub))) {
            continue; /* while all is heard, the head says it for every topic */
        }
        memcpy(s->name, f->name, (size_t)f->name_len + 1);
        s->name_len = f->name_len;
        if (++ask->n == SCORES_PER_COMMAND) {
            sent = send_scores(rc, ask);
            ask = ask_create(rc);
        }
    }
    if (!sent || ask->n == 0) {
        free(ask);
        return sent;
    }
    return send_scores(rc, ask);
}

static void due(evutil_socket_t fd, short what, void *ctx)
{
    struct weft_reconciler *rc = ctx;
    struct weft_hub *hub = rc->hub;

    weft_role_assert_hub(hub->owner);
    (void)fd;
    (void)what;
    if (!hub->up || (rc->running && rc->epoch == hub->epoch)) {
        return; /* the round before still waits: its pong or an end of the connection comes */
    }
    end_round(rc);
    rc->epoch = hub->epoch;
    rc->number++;
    rc->seen = hub->head.seq;
    rc->head = 0;
    rc->replies_due = 0;
    rc->running = true;
    if (!ask_all(rc)) {
        end_round(rc);
    }
}

int weft_reconciler_create(struct weft_reconciler **ret_rc, struct weft_hub *hub)
{
    uint32_t ms = hub->o.cfg->hub.reconcile_ms;
    struct timeval every = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    struct weft_reconciler *rc = calloc(1, sizeof(*rc));

    if (rc == NULL) {
        return WEFT_ENOMEM;
    }
    rc->hub = hub;
    rc->timer = event_new(hub->base, -1, EV_PERSIST, due, rc);
    if (rc->timer == NULL || event_add(rc->timer, &every) != 0) {
        weft_reconciler_destroy(rc);
        return WEFT_ESYS;
    }
    *ret_rc = rc;
    return 0;
}

void weft_reconciler_destroy(struct weft_reconciler *rc)
{
    if (rc == NULL) {
        return;
    }
    if (rc->timer != NULL) {
        event_free(rc->timer);
    }
    free(rc->suspects);
    free(rc);
}
