#include "removed_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/telemetry/log.h>
#include <weft/wire/name.h>

/*
 * For names: their scores in `removed`. For patterns: all that were removed after the start, oldest first;
 * the first match of each pattern is enough. The floor is asked for last, so that a topic that is forgotten
 * meanwhile is not missed. A topic that is born again stays in `removed`, for the same reason.
 */

#define LOOK_AT_MAX \
    20000 /* removed topics after the start, for patterns; the rest is taken as a gap */

struct asking {
    struct weft_hub *hub;
    struct weft_page_maker *pm;
    void (*done)(void *ctx, bool ok);
    void *ctx;
    bool failed;
    size_t n;
    struct weft_str names[]; /* asked for, and not found yet */
};

static bool is_bad(struct asking *a, const struct weft_reply *reply)
{
    if (weft_reply_is_error(reply)) {
        weft_log(a->hub->o.log, WEFT_LOG_ERROR, "redis.error", WEFT_S("for", "removed topics"),
                 WEFT_SN("error", reply->str.p, reply->str.len));
    }
    a->failed = a->failed || reply == NULL || weft_reply_is_error(reply);
    return a->failed;
}

static void scores_arrived(void *ctx, const struct weft_reply *reply)
{
    struct asking *a = ctx;
    size_t n = 0;

    weft_role_assert_hub(a->hub->owner);
    if (is_bad(a, reply)) {
        return;
    }
    for (size_t i = 0; i < a->n; i++) {
        uint64_t seq;

        if (weft_reply_u64(weft_reply_at(reply, i), &seq)) {
            weft_page_maker_removed(a->pm, a->names[i], seq);
        } else {
            a->names[n++] = a->names[i];
        }
    }
    a->n = n;
}

static void list_arrived(void *ctx, const struct weft_reply *reply)
{
    struct asking *a = ctx;
    uint64_t seq = 0;

    weft_role_assert_hub(a->hub->owner);
    if (is_bad(a, reply)) {
        return;
    }
    for (size_t i = 0; a->n > 0 && i + 1 < reply->n; i += 2) {
        struct weft_str topic = weft_reply_str(reply->items[i]);

        (void)weft_reply_u64(reply->items[i + 1], &seq);
        for (size_t k = 0; k < a->n;) {
            if (weft_pattern_match(a->names[k], topic)) {
                weft_page_maker_removed(a->pm, a->names[k], seq);
                a->names[k] = a->names[--a->n];
            } else {
                k++;
            }
        }
    }
    for (size_t k = 0; reply->n >= (size_t)2 * LOOK_AT_MAX && k < a->n; k++) {
        weft_page_maker_removed(a->pm, a->names[k], seq);
    }
}

/* Of a topic that was born again, what went lies before its first event. */
static uint64_t before_first(const struct asking *a, struct weft_str name, uint64_t floor)
{
    for (size_t i = 0; i < a->pm->n_topics; i++) {
        const struct weft_page_topic *t = &a->pm->topics[i];

        if (t->first.seq != 0 && t->first.seq <= floor &&
            weft_str_eq(weft_str(t->name, t->name_len), name)) {
            return t->first.seq - 1;
        }
    }
    return floor;
}

static void floor_arrived(void *ctx, const struct weft_reply *reply)
{
    struct asking *a = ctx;
    uint64_t floor = 0;

    weft_role_assert_hub(a->hub->owner);
    if (!is_bad(a, reply)) {
        (void)weft_reply_u64(reply, &floor);
        for (size_t i = 0; i < a->n; i++) {
            weft_page_maker_removed(a->pm, a->names[i], before_first(a, a->names[i], floor));
        }
    }
    a->done(a->ctx, !a->failed);
    free(a);
}

static int send_scores(struct asking *a, struct weft_str key) WEFT_ON_HUB
{
    struct weft_str *argv = calloc(a->n + 2, sizeof(*argv));
    int rc;

    WEFT_ASSERT(argv != NULL);
    argv[0] = WEFT_STR("ZMSCORE");
    argv[1] = key;
    memcpy(argv + 2, a->names, a->n * sizeof(*argv));
    rc = weft_redis_send(a->hub->rd, scores_arrived, a, a->n + 2, argv);
    free(argv);
    return rc;
}

static int send_list(struct asking *a, struct weft_str key) WEFT_ON_HUB
{
    char min[24] = "(";
    char most[20];
    struct weft_str argv[] = {WEFT_STR("ZRANGEBYSCORE"),
                              key,
                              weft_str(min, 1 + weft_u64_print(min + 1, a->pm->start.seq)),
                              WEFT_STR("+inf"),
                              WEFT_STR("WITHSCORES"),
                              WEFT_STR("LIMIT"),
                              WEFT_STR("0"),
                              weft_str(most, weft_u64_print(most, LOOK_AT_MAX))};

    return weft_redis_send(a->hub->rd, list_arrived, a, WEFT_COUNT_OF(argv), argv);
}

static int send_both(struct asking *a, bool patterns) WEFT_ON_HUB
{
    struct weft_buf keys;
    int rc;

    weft_buf_init(&keys, 512);
    weft_key_removed(&keys, &a->hub->keys);
    size_t len = keys.len;
    weft_key_head(&keys, &a->hub->keys);
    struct weft_str removed = weft_str(keys.data, len);
    struct weft_str floor[] = {WEFT_STR("HGET"), weft_str(keys.data + len, keys.len - len),
                               WEFT_STR("floor")};

    rc = patterns ? send_list(a, removed) : send_scores(a, removed);
    if (rc == 0) {
        /* Up for the one is up for the other: nothing was read in between. */
        int also = weft_redis_send(a->hub->rd, floor_arrived, a, 3, floor);
        WEFT_ASSERT(also == 0);
    }
    weft_buf_fini(&keys);
    return rc;
}

int weft_removed_ask(struct weft_hub *hub, struct weft_page_maker *pm, struct weft_str what,
                     void (*done)(void *ctx, bool ok), void *ctx)
{
    bool patterns = memchr(what.p, '*', what.len) != NULL;
    struct asking *a;
    size_t n = 1;

    if (pm->from != WEFT_READ_AFTER || pm->reset) {
        return 0;
    }
    for (size_t i = 0; i < what.len; i++) {
        n += what.p[i] == ' ' ? 1 : 0;
    }
    a = calloc(1, sizeof(*a) + n * sizeof(a->names[0]));
    WEFT_ASSERT(a != NULL);
    *a = (struct asking){.hub = hub, .pm = pm, .done = done, .ctx = ctx};
    /* Without patterns the page's topics are the names, in their order. */
    for (size_t i = 0; i < n; i++) {
        struct weft_str name = weft_str_before(&what, ' ');

        if (patterns || weft_page_maker_unsure(pm, &pm->topics[i])) {
            a->names[a->n++] = name;
        }
    }
    if (a->n == 0) {
        free(a);
        return 0;
    }
    if (send_both(a, patterns) != 0) {
        free(a);
        return WEFT_EUNAVAILABLE;
    }
    return 1;
}
