#include "breakers_priv.h"

#include <string.h>

#include <weft/base/assert.h>

/*
 * Reads all breakers: those in the list in Redis, and those that the table knows. Once when Redis is up, so that a
 * node knows what to do without it; then every breaker.refresh_ms, since a message may be lost.
 */

#define READS_MAX       32 /* at a time */
#define NAMES_BYTES_MAX ((size_t)512 * 1024 * 1024)

static void pump(struct weft_breakers *brs) WEFT_ON_CONTROL;

/* One read: its name travels with it. */
struct read {
    struct weft_breakers *brs;
    char name[WEFT_NAME_MAX + 1];
};

static void read_replied(void *ctx, const struct weft_reply *reply)
{
    struct read *rd = ctx;
    struct weft_breakers *brs = rd->brs;
    struct weft_str name = weft_str(rd->name, strlen(rd->name));
    struct weft_breaker_view view;

    weft_role_assert_control(brs->owner);
    brs->refresh.in_flight--;
    if (weft_reply_is_error(reply)) {
        weft_breaker_failed(brs, reply);
    } else if (reply != NULL && reply->kind == WEFT_REPLY_NIL) {
        weft_breakers_forget(brs, name);
    } else if (weft_breaker_view_parse(&view, weft_reply_str(weft_reply_at(reply, 0)))) {
        weft_breakers_learn(brs, name, &view);
    }
    free(rd);
    pump(brs);
}

static void pump(struct weft_breakers *brs)
{
    struct weft_breaker_refresh *rf = &brs->refresh;

    while (weft_breakers_can_ask(brs) && rf->in_flight < READS_MAX && rf->at < rf->names.len) {
        const char *name = rf->names.data + rf->at;
        size_t len = strlen(name);
        struct read *rd = calloc(1, sizeof(*rd));

        WEFT_ASSERT(rd != NULL && len <= WEFT_NAME_MAX);
        rd->brs = brs;
        memcpy(rd->name, name, len);
        rf->at += len + 1;
        if (!weft_breaker_fcall(brs, WEFT_FN_BREAKER_READ, weft_str(name, len), false, 0, NULL,
                                read_replied, rd)) {
            free(rd);
            return;
        }
        rf->in_flight++;
    }
}

static void names_replied(void *ctx, const struct weft_reply *reply)
{
    struct weft_breakers *brs = ctx;
    struct weft_breaker_refresh *rf = &brs->refresh;

    weft_role_assert_control(brs->owner);
    rf->listing = false;
    if (reply == NULL || weft_reply_is_error(reply)) {
        return;
    }
    weft_buf_clear(&rf->names);
    rf->at = 0;
    for (size_t i = 0; i < reply->n; i++) {
        struct weft_str name = weft_reply_str(weft_reply_at(reply, i));

        if (weft_topic_valid(name) && weft_breakers_find(brs, name) == NULL) {
            weft_buf_str(&rf->names, name);
            weft_buf_append(&rf->names, "", 1);
        }
    }
    for (struct weft_breaker_entry *e = brs->entries; e != NULL; e = e->hh.next) {
        weft_buf_append(&rf->names, e->name, strlen(e->name) + 1);
    }
    pump(brs);
}

void weft_breaker_refresh_begin(struct weft_breakers *brs)
{
    struct weft_buf key;

    weft_timer_set(brs->refresh.timer, brs->env->cfg->breaker.refresh_ms);
    if (brs->refresh.listing || !weft_breakers_can_ask(brs)) {
        return;
    }
    weft_buf_init(&key, 512);
    weft_key_breakers(&key, brs->env->keys);
    struct weft_str argv[] = {WEFT_STR("SMEMBERS"), weft_str(key.data, key.len)};
    brs->refresh.listing = weft_redis_send(brs->env->cn, names_replied, brs, 2, argv) == 0;
    weft_buf_fini(&key);
}

static void refresh_due(void *ctx)
{
    struct weft_breakers *brs = ctx;

    weft_role_assert_control(brs->owner);
    if (brs->refresh.in_flight > 0) {
        weft_timer_set(brs->refresh.timer, brs->env->cfg->breaker.refresh_ms); /* still at it */
        return;
    }
    weft_breaker_refresh_begin(brs);
}

int weft_breaker_refresh_init(struct weft_breakers *brs)
{
    weft_buf_init(&brs->refresh.names, NAMES_BYTES_MAX);
    return weft_timer_create(&brs->refresh.timer, brs->env->base, refresh_due, brs);
}

void weft_breaker_refresh_fini(struct weft_breakers *brs)
{
    weft_timer_destroy(brs->refresh.timer);
    weft_buf_fini(&brs->refresh.names);
}
