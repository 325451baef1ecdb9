#include "breakers_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/guard/breaker_cache.h>

/* ---- what workers are told ---- */

enum news { NEWS_VIEW, NEWS_GONE, NEWS_UP, NEWS_DOWN };

struct news_msg {
    struct weft_msg msg;
    enum news news;
    struct weft_breaker_view view;
    uint16_t name_len;
    char name[WEFT_NAME_MAX + 1];
};

static void drop_news(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct news_msg, msg));
}

static void deliver_news(struct weft_msg *msg, void *owner)
{
    struct news_msg *m = WEFT_CONTAINER_OF(msg, struct news_msg, msg);
    struct weft_breaker_cache *cache = weft_part(owner, WEFT_PART_BREAKERS);
    struct weft_str name = weft_str(m->name, m->name_len);

    weft_role_assert_worker(pthread_self());
    switch (m->news) {
    case NEWS_VIEW:
        weft_breaker_cache_view(cache, name, &m->view, weft_clock_mono_ms());
        break;
    case NEWS_GONE:
        weft_breaker_cache_gone(cache, name);
        break;
    case NEWS_UP:
    case NEWS_DOWN:
        weft_breaker_cache_redis(cache, m->news == NEWS_UP);
        break;
    }
    free(m);
}

static const struct weft_msg_ops news_ops = {"breaker", deliver_news, drop_news};

static void tell(struct weft_breakers *brs, enum news news,
                 const struct weft_breaker_entry *e) WEFT_ON_CONTROL
{
    for (size_t w = 0; w < brs->env->n_workers; w++) {
        struct news_msg *m = calloc(1, sizeof(*m));

        WEFT_ASSERT(m != NULL);
        m->msg.ops = &news_ops;
        m->news = news;
        if (e != NULL) {
            m->view = e->view;
            m->name_len = (uint16_t)strlen(e->name);
            memcpy(m->name, e->name, m->name_len);
        }
        weft_feature_tell(brs->env, w, &m->msg);
    }
}

/* ---- the table ---- */

struct weft_breaker_entry *weft_breakers_find(struct weft_breakers *brs, struct weft_str name)
{
    struct weft_breaker_entry *e = NULL;

    HASH_FIND(hh, brs->entries, name.p, name.len, e);
    return e;
}

size_t weft_breakers_count(const struct weft_breakers *brs)
{
    return HASH_COUNT(brs->entries);
}

bool weft_breakers_can_ask(const struct weft_breakers *brs)
{
    return brs->up && brs->env->cn != NULL;
}

static struct weft_breaker_entry *add(struct weft_breakers *brs,
                                      struct weft_str name) WEFT_ON_CONTROL
{
    struct weft_breaker_entry *e;

    if (HASH_COUNT(brs->entries) >= brs->env->cfg->breaker.max) {
        return NULL; /* known to Redis alone: each call asks */
    }
    e = calloc(1, sizeof(*e));
    WEFT_ASSERT(e != NULL && name.len <= WEFT_NAME_MAX);
    memcpy(e->name, name.p, name.len);
    HASH_ADD_KEYPTR(hh, brs->entries, e->name, name.len, e);
    weft_gauge_add(brs->env->shard, WEFT_G_BREAKERS, 1);
    return e;
}

static void drop(struct weft_breakers *brs, struct weft_breaker_entry *e) WEFT_ON_CONTROL
{
    struct weft_breaker_result r = {.rc = WEFT_BREAKER_NOT_FOUND};
    struct weft_breaker_op *op = e->queue.first;

    HASH_DEL(brs->entries, e);
    weft_gauge_add(brs->env->shard, WEFT_G_BREAKERS, -1);
    weft_breaker_destroy(e->alone);
    free(e);
    while (op != NULL) {
        struct weft_breaker_op *next = op->next;

        op->done(op, &r);
        op = next;
    }
}

void weft_breakers_learn(struct weft_breakers *brs, struct weft_str name,
                         const struct weft_breaker_view *view)
{
    struct weft_breaker_entry *e = weft_breakers_find(brs, name);
    enum weft_breaker_state before;

    if (e == NULL) {
        e = add(brs, name);
    }
    if (e == NULL || view->version < e->view.version) {
        return; /* replies and messages come on two connections: this is older than what is known */
    }
    before = e->view.state;
    if (view->epoch != e->view.epoch && e->view.epoch != 0) {
        weft_count(brs->env->shard, WEFT_M_BREAKER_CHANGES, 1);
        weft_log(brs->env->log, WEFT_LOG_INFO, "breaker.changed", WEFT_S("breaker", e->name),
                 WEFT_S("from", weft_breaker_state_words[before]),
                 WEFT_S("to", weft_breaker_state_words[view->state]));
    }
    bool news = view->version != e->view.version;

    e->view = *view;
    e->heard_ms = weft_clock_mono_ms();
    if (news) {
        weft_breakers_together(e);
    }
    if (news && brs->up) {
        tell(brs, NEWS_VIEW, e);
    }
}

void weft_breakers_together(struct weft_breaker_entry *e)
{
    weft_breaker_destroy(e->alone);
    e->alone = NULL;
}

void weft_breakers_forget(struct weft_breakers *brs, struct weft_str name)
{
    struct weft_breaker_entry *e = weft_breakers_find(brs, name);

    if (e != NULL) {
        tell(brs, NEWS_GONE, e);
        drop(brs, e);
    }
}

/* ---- the channel: `<name> <line>`, `<name> <version> gone` ---- */

void weft_breakers_message(struct weft_breakers *brs, struct weft_str payload)
{
    struct weft_str name = weft_str_before(&payload, ' ');
    struct weft_str line = payload;
    struct weft_breaker_view view;
    uint64_t version;

    if (!weft_topic_valid(name)) {
        return;
    }
    if (weft_breaker_view_parse(&view, payload)) {
        weft_breakers_learn(brs, name, &view);
    } else if (weft_str_u64(weft_str_before(&line, ' '), &version) &&
               weft_str_eq(line, WEFT_STR("gone"))) {
        const struct weft_breaker_entry *e = weft_breakers_find(brs, name);

        if (e != NULL && version > e->view.version) {
            weft_breakers_forget(brs, name);
        }
    }
}

/* ---- up and down ---- */

static void set_up(struct weft_breakers *brs) WEFT_ON_CONTROL
{
    bool up = brs->connected && !brs->silent;

    if (up == brs->up) {
        return;
    }
    brs->up = up;
    tell(brs, up ? NEWS_UP : NEWS_DOWN, NULL);
    if (!up) {
        return;
    }
    brs->told_error = 0;
    for (struct weft_breaker_entry *e = brs->entries; e != NULL; e = e->hh.next) {
        /* It may be another server, which knows less: what it says counts, whatever the version. */
        e->view.version = 0;
        weft_breakers_together(e);
    }
    weft_breaker_refresh_begin(brs);
}

void weft_breakers_up(struct weft_breakers *brs)
{
    brs->connected = true;
    set_up(brs);
}

void weft_breakers_down(struct weft_breakers *brs)
{
    brs->connected = false;
    brs->silent = false;
    set_up(brs);
}

void weft_breakers_silent(struct weft_breakers *brs, bool silent)
{
    if (silent != brs->silent) {
        brs->silent = silent && brs->connected;
        set_up(brs);
    }
}

/* ---- life ---- */

int weft_breakers_create(struct weft_breakers **ret_brs, const struct weft_feature_env *env)
{
    struct weft_breakers *brs = calloc(1, sizeof(*brs));
    int rc;

    if (brs == NULL) {
        return WEFT_ENOMEM;
    }
    brs->env = env;
    brs->owner = pthread_self();
    rc = weft_timer_create(&brs->patience, env->base, weft_breakers_out_of_patience, brs);
    if (rc == 0) {
        rc = weft_breaker_refresh_init(brs);
    }
    if (rc != 0) {
        weft_breakers_destroy(brs);
        return rc;
    }
    *ret_brs = brs;
    return 0;
}

void weft_breakers_destroy(struct weft_breakers *brs)
{
    struct weft_breaker_entry *e;
    struct weft_breaker_entry *next;

    if (brs == NULL) {
        return;
    }
    HASH_ITER(hh, brs->entries, e, next) {
        drop(brs, e);
    }
    weft_breaker_refresh_fini(brs);
    weft_timer_destroy(brs->patience);
    free(brs);
}
