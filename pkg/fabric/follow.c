#include "hub_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/telemetry/log.h>

/*
 * A topic's way:  OFF -> ASKED (SUBSCRIBE sent) -> ON (confirmed) -> synced. With hub.listen=partition only the
 * partition's channel is subscribed to, and a topic is ON as soon as that is.
 *
 * Only after the confirmation is its newest seq read: every event after it then comes as a live
 * message, and whoever follows is told this seq as the base. A topic that nobody wants any more is
 * unsubscribed, but not while a confirmation is under way: a channel never has two of them in
 * flight, so that a confirmation always means the newest SUBSCRIBE.
 */

#define CHANNELS_PER_COMMAND 512
#define SCORES_PER_COMMAND   512

struct weft_follow *weft_follow_find(struct weft_hub *hub, struct weft_str name)
{
    struct weft_follow *f = NULL;

    HASH_FIND(hh, hub->follows, name.p, name.len, f);
    return f;
}

static void list_add(struct weft_names *names, struct weft_follow *f)
{
    if (names->n == names->cap) {
        names->cap = names->cap == 0 ? 64 : names->cap * 2;
        names->list = realloc(names->list, names->cap * sizeof(struct weft_follow *));
        WEFT_ASSERT(names->list != NULL);
    }
    names->list[names->n++] = f;
}

static void list_remove(struct weft_names *names, const struct weft_follow *f)
{
    for (size_t i = 0; i < names->n; i++) {
        if (names->list[i] == f) {
            names->list[i] = names->list[--names->n];
            return;
        }
    }
}

static bool has_channel(const struct weft_hub *hub, const struct weft_follow *f)
{
    return f->name_len == 0 || hub->o.cfg->hub.listen == WEFT_LISTEN_TOPICS;
}

/* Its messages come from now on. */
static void turn_on(struct weft_hub *hub, struct weft_follow *f) WEFT_ON_HUB
{
    f->state = WEFT_SUBSCRIPTION_ON;
    list_add(&hub->to_sync, f);
}

static void want_subscribe(struct weft_hub *hub, struct weft_follow *f) WEFT_ON_HUB
{
    if (!has_channel(hub, f)) {
        if (f->state == WEFT_SUBSCRIPTION_OFF && hub->all->state == WEFT_SUBSCRIPTION_ON) {
            turn_on(hub, f);
        }
        return;
    }
    if (!f->listed && f->state == WEFT_SUBSCRIPTION_OFF) {
        f->listed = true;
        list_add(&hub->to_subscribe, f);
    }
}

static void channel_of(struct weft_hub *hub, const struct weft_follow *f, struct weft_buf *b)
{
    if (f->name_len == 0) {
        weft_chan_partition(b, &hub->keys);
    } else {
        weft_chan_topic(b, &hub->keys, weft_str(f->name, f->name_len));
    }
}

static void tell(struct weft_hub *hub, uint32_t worker, const struct weft_follow *f) WEFT_ON_HUB
{
    struct weft_followed_msg *m = calloc(1, sizeof(*m));

    WEFT_ASSERT(m != NULL);
    m->msg.ops = &hub->o.ops->followed;
    m->base = f->last;
    m->head = hub->head;
    memcpy(m->topic, f->name, f->name_len);
    weft_hub_send(hub, worker, &m->msg);
}

static void forget(struct weft_hub *hub, struct weft_follow *f) WEFT_ON_HUB
{
    if (f->listed) {
        list_remove(&hub->to_subscribe, f);
    }
    list_remove(&hub->to_sync, f);
    if (hub->all == f) {
        hub->all = NULL;
    }
    HASH_DEL(hub->follows, f);
    free(f);
}

static void unsubscribe(struct weft_hub *hub, struct weft_follow *f) WEFT_ON_HUB
{
    struct weft_buf name;

    if (f->state == WEFT_SUBSCRIPTION_ASKED && weft_redis_conn_is_up(hub->sub)) {
        return; /* weft_follow_confirmed() comes back to it */
    }
    if (f->state == WEFT_SUBSCRIPTION_ON && has_channel(hub, f)) {
        weft_buf_init(&name, 512);
        channel_of(hub, f, &name);
        struct weft_str argv[] = {WEFT_STR("UNSUBSCRIBE"), weft_str(name.data, name.len)};
        int rc = weft_redis_send(hub->sub, NULL, NULL, 2, argv);
        (void)rc; /* not up: then it is not subscribed either */
        weft_buf_fini(&name);
    }
    forget(hub, f);
}

static struct weft_follow *follow_create(struct weft_hub *hub, struct weft_str name) WEFT_ON_HUB
{
    struct weft_follow *f = calloc(1, sizeof(*f) + name.len + 1);

    WEFT_ASSERT(f != NULL);
    if (name.len == 0) {
        hub->all = f;
    } else {
        memcpy(f->name, name.p, name.len);
    }
    f->name_len = (uint16_t)name.len;
    HASH_ADD_KEYPTR(hh, hub->follows, f->name, name.len, f);
    return f;
}

/* Kept though no worker asks for it. */
static bool is_pinned(const struct weft_hub *hub, const struct weft_follow *f)
{
    return f->name_len == 0 && hub->o.cfg->hub.listen == WEFT_LISTEN_PARTITION;
}

void weft_follow_init(struct weft_hub *hub)
{
    if (hub->o.cfg->hub.listen == WEFT_LISTEN_PARTITION) {
        want_subscribe(hub, follow_create(hub, WEFT_STR("")));
    }
}

bool weft_follow_hears_all(const struct weft_hub *hub)
{
    return hub->all != NULL && hub->all->synced;
}

void weft_follow_ask(struct weft_hub *hub, const struct weft_follow_msg *m)
{
    struct weft_str name = weft_str(m->topic, strlen(m->topic));
    struct weft_follow *f = weft_follow_find(hub, name);
    uint64_t bit = UINT64_C(1) << m->worker;

    if (!m->on) {
        if (f != NULL) {
            f->workers &= ~bit;
            if (f->workers == 0 && !is_pinned(hub, f)) {
                unsubscribe(hub, f);
            }
        }
        return;
    }
    if (f == NULL) {
        f = follow_create(hub, name);
    }
    f->workers |= bit;
    if (f->synced) {
        weft_live_seal(hub); /* what it is told is newest must be out before */
        tell(hub, m->worker, f);
    } else {
        want_subscribe(hub, f);
    }
}

void weft_follow_repair(struct weft_hub *hub, struct weft_follow *f, uint64_t last)
{
    if (f->name_len == 0) {
        f->last = last;
        weft_live_broken(hub, last);
        return;
    }
    weft_live_seal(hub);
    f->last = last;
    for (uint32_t w = 0; w < hub->o.n_workers; w++) {
        if ((f->workers & UINT64_C(1) << w) != 0) {
            tell(hub, w, f);
        }
    }
}

void weft_follow_again(struct weft_hub *hub, uint32_t worker)
{
    struct weft_follow *f, *next;

    HASH_ITER(hh, hub->follows, f, next) {
        if (f->synced && (f->workers & UINT64_C(1) << worker) != 0) {
            tell(hub, worker, f);
        }
    }
}

/* ---- SUBSCRIBE ---- */

static void send_subscribes(struct weft_hub *hub) WEFT_ON_HUB
{
    struct weft_names *names = &hub->to_subscribe;
    struct weft_str argv[CHANNELS_PER_COMMAND + 1];
    size_t offs[CHANNELS_PER_COMMAND + 1];
    struct weft_buf channels;

    weft_buf_init(&channels, (size_t)CHANNELS_PER_COMMAND * 512);
    while (names->n > 0) {
        size_t n = 0;

        weft_buf_clear(&channels);
        while (names->n > 0 && n < CHANNELS_PER_COMMAND) {
            struct weft_follow *f = names->list[--names->n];

            offs[n++] = channels.len;
            channel_of(hub, f, &channels);
            f->listed = false;
            f->state = WEFT_SUBSCRIPTION_ASKED;
        }
        offs[n] = channels.len;
        argv[0] = WEFT_STR("SUBSCRIBE");
        for (size_t i = 0; i < n; i++) {
            argv[i + 1] = weft_str(channels.data + offs[i], offs[i + 1] - offs[i]);
        }
        int rc = weft_redis_send(hub->sub, NULL, NULL, n + 1, argv);
        (void)rc; /* not up any more: weft_follow_disconnected() has been or will be called */
    }
    weft_buf_fini(&channels);
}

void weft_follow_confirmed(struct weft_hub *hub, struct weft_str channel, bool on)
{
    struct weft_str name;
    struct weft_follow *f;

    if (!on || channel.len < hub->channel.len ||
        memcmp(channel.p, hub->channel.data, hub->channel.len) != 0) {
        return;
    }
    name = weft_str(channel.p + hub->channel.len, channel.len - hub->channel.len);
    if (name.len > 0) { /* the `:` between */
        name.p++;
        name.len--;
    }
    f = weft_follow_find(hub, name);
    if (f == NULL || f->state != WEFT_SUBSCRIPTION_ASKED) {
        return;
    }
    f->state = WEFT_SUBSCRIPTION_ON;
    if (f->workers == 0 && !is_pinned(hub, f)) {
        unsubscribe(hub, f);
        return;
    }
    list_add(&hub->to_sync, f);
    if (is_pinned(hub, f)) {
        struct weft_follow *topic, *next;

        HASH_ITER(hh, hub->follows, topic, next) {
            want_subscribe(hub, topic);
        }
    }
}

/* ---- where each begins ---- */

struct sync {
    struct weft_hub *hub;
    uint64_t epoch;
    uint64_t seen; /* seq of the hub's head when it was asked for */
    struct weft_id head;
    uint64_t floor;
    size_t n;
    struct {
        uint64_t last;
        uint16_t len;
        char text[WEFT_NAME_MAX + 1];
    } names[];
};

static void head_arrived(void *ctx, const struct weft_reply *reply)
{
    struct sync *s = ctx;
    struct weft_history history;

    weft_role_assert_hub(s->hub->owner);
    if (weft_head_take(s->hub, reply, s->seen, &history, &s->floor)) {
        s->head = history.head;
    }
}

static void scores_arrived(void *ctx, const struct weft_reply *reply)
{
    struct sync *s = ctx;

    weft_role_assert_hub(s->hub->owner);
    for (size_t i = 0; i < s->n; i++) {
        (void)weft_reply_u64(weft_reply_at(reply, i), &s->names[i].last);
    }
    if (weft_reply_is_error(reply)) {
        weft_log(s->hub->o.log, WEFT_LOG_ERROR, "redis.error", WEFT_S("command", "ZMSCORE"),
                 WEFT_SN("error", reply->str.p, reply->str.len));
    }
}

/* What was lost before the partition's channel was heard does not show there. */
static void compare_again(struct weft_hub *hub, struct weft_follow *f) WEFT_ON_HUB
{
    struct weft_follow *topic, *next;

    f->compared = false;
    if (f->name_len == 0) {
        HASH_ITER(hh, hub->follows, topic, next) {
            topic->compared = false;
        }
    }
}

/*
 * A topic without a score may have been removed: then its last event is what it was. If nobody knows, who
 * stands before the floor has to read, and is told a gap there.
 */
static void removed_arrived(void *ctx, const struct weft_reply *reply)
{
    struct sync *s = ctx;
    struct weft_hub *hub = s->hub;

    weft_role_assert_hub(hub->owner);
    /* Redis went away meanwhile: it will be asked again. */
    if (reply == NULL || s->epoch != hub->epoch) {
        free(s);
        return;
    }
    weft_live_seal(hub);
    weft_hub_see_head(hub, s->head);
    for (size_t i = 0; i < s->n; i++) {
        struct weft_follow *f = weft_follow_find(hub, weft_str(s->names[i].text, s->names[i].len));
        uint64_t last = s->names[i].last;

        if (f == NULL || f->state != WEFT_SUBSCRIPTION_ON || f->synced) {
            continue;
        }
        if (f->name_len == 0) {
            last = s->head.seq;
        } else if (last == 0 && !weft_reply_u64(weft_reply_at(reply, i), &last)) {
            last = s->floor;
        }
        if (last > f->last) {
            f->last = last;
        }
        f->from = f->last;
        f->synced = true;
        compare_again(hub, f);
        for (uint32_t w = 0; w < hub->o.n_workers; w++) {
            if ((f->workers & UINT64_C(1) << w) != 0) {
                tell(hub, w, f);
            }
        }
    }
    free(s);
}

static void send_sync(struct weft_hub *hub, size_t n) WEFT_ON_HUB
{
    struct weft_names *names = &hub->to_sync;
    struct sync *s = calloc(1, sizeof(*s) + n * sizeof(s->names[0]));
    struct weft_str argv[SCORES_PER_COMMAND + 2];
    struct weft_buf keys;

    WEFT_ASSERT(s != NULL);
    s->hub = hub;
    s->epoch = hub->epoch;
    s->seen = hub->head.seq;
    weft_buf_init(&keys, 512);
    weft_key_topics(&keys, &hub->keys);
    size_t topics_end = keys.len;
    weft_key_removed(&keys, &hub->keys);

    argv[0] = WEFT_STR("ZMSCORE");
    argv[1] = weft_str(keys.data, topics_end);
    for (size_t i = 0; i < n; i++) {
        struct weft_follow *f = names->list[--names->n];

        s->names[i].len = f->name_len;
        memcpy(s->names[i].text, f->name, f->name_len);
        argv[i + 2] = weft_str(s->names[i].text, f->name_len);
    }
    s->n = n;
    /* The head first: it is then not newer than what the scores show. */
    bool sent = weft_head_ask(hub, head_arrived, s) == 0 &&
                weft_redis_send(hub->rd, scores_arrived, s, n + 2, argv) == 0;
    argv[1] = weft_str(keys.data + topics_end, keys.len - topics_end);
    sent = sent && weft_redis_send(hub->rd, removed_arrived, s, n + 2, argv) == 0;
    if (!sent) {
        /* Not up: asked again when it is. All fail or none: no answer comes to what is freed. */
        free(s);
    }
    weft_buf_fini(&keys);
}

void weft_follow_flush(struct weft_hub *hub)
{
    if (!hub->up) {
        return; /* weft_follow_connected() lists everything again */
    }
    if (hub->to_subscribe.n > 0) {
        send_subscribes(hub);
    }
    while (hub->to_sync.n > 0) {
        size_t n = hub->to_sync.n < SCORES_PER_COMMAND ? hub->to_sync.n : SCORES_PER_COMMAND;

        send_sync(hub, n);
    }
}

void weft_follow_connected(struct weft_hub *hub)
{
    struct weft_follow *f, *next;

    hub->to_sync.n = 0;
    HASH_ITER(hh, hub->follows, f, next) {
        f->synced = false;
        f->last = 0;
        if (f->state == WEFT_SUBSCRIPTION_ON) {
            list_add(&hub->to_sync, f);
        } else {
            want_subscribe(hub, f);
        }
    }
    weft_follow_flush(hub);
}

void weft_follow_disconnected(struct weft_hub *hub)
{
    struct weft_follow *f, *next;

    hub->to_sync.n = 0;
    HASH_ITER(hh, hub->follows, f, next) {
        f->state = WEFT_SUBSCRIPTION_OFF;
        f->synced = false;
        if (f->workers == 0 && !is_pinned(hub, f)) {
            forget(hub, f);
        }
    }
}

void weft_follow_fini(struct weft_hub *hub)
{
    struct weft_follow *f, *next;

    HASH_ITER(hh, hub->follows, f, next) {
        HASH_DEL(hub->follows, f);
        free(f);
    }
    free(hub->to_subscribe.list);
    free(hub->to_sync.list);
}
