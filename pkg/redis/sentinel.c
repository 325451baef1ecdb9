#include <weft/redis/sentinel.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <weft/base/clock.h>
#include <weft/redis/conn.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#include "sentinel_priv.h"

/*
 * A connection that is subscribed can ask nothing, hence one to each Sentinel to ask with, and one more, the
 * ear, to one of them after the other: whenever it breaks it goes to the next.
 *
 * The epoch is asked for before the address. Should a failover end between the two answers, a new address comes with an
 * old epoch, which the next answer mends; the other way round an old address would be believed.
 */

struct link {
    struct weft_sentinel *s;
    size_t i;
    struct weft_redis_url url;
    char name[96];
    struct weft_redis_conn *cn;
    uint64_t epoch;
    bool asking;    /* both answers are due */
    bool has_epoch; /* the first one was good */
    bool told_nil;  /* it was logged that it does not know the master */
};

struct weft_sentinel {
    struct weft_sentinel_opts o;
    struct weft_sentinel_view view;
    struct link *links; /* view.n of them */
    struct weft_redis_conn *ear;
    struct weft_redis_url ear_url;
    char ear_name[96];
    size_t ear_at; /* the Sentinel that it goes to next */
    struct event *tick;
};

static void epoch_arrived(void *ctx, const struct weft_reply *reply)
{
    struct link *l = ctx;

    l->has_epoch = weft_sentinel_read_epoch(reply, &l->epoch);
}

static void address_arrived(void *ctx, const struct weft_reply *reply)
{
    struct link *l = ctx;
    struct weft_sentinel *s = l->s;
    struct weft_redis_host host;

    l->asking = false;
    if (reply == NULL) {
        return;
    }
    if (!l->has_epoch || !weft_sentinel_read_address(reply, &host)) {
        if (!l->told_nil) {
            weft_log(
                s->o.log, WEFT_LOG_WARN, "sentinel.master_unknown",
                WEFT_S("sentinel", l->url.label), WEFT_S("master", s->o.url->master),
                WEFT_SN("error", reply->str.p, weft_reply_is_error(reply) ? reply->str.len : 0));
        }
        l->told_nil = true;
        return;
    }
    l->told_nil = false;
    if (weft_sentinel_view_hear(&s->view, l->i, &host, l->epoch, weft_clock_mono_ns())) {
        weft_count(s->o.shard, WEFT_M_REDIS_MASTER_CHANGES, s->o.quiet ? 0 : 1);
        weft_log(s->o.log, WEFT_LOG_INFO, "sentinel.master", WEFT_S("master", s->o.url->master),
                 WEFT_S("host", host.name), WEFT_U("port", host.port), WEFT_U("epoch", l->epoch),
                 WEFT_S("sentinel", l->url.label));
        s->o.moved(s->o.ctx);
    }
}

static void ask(struct link *l)
{
    const char *master = l->s->o.url->master;
    struct weft_str name = weft_str(master, strlen(master));
    struct weft_str epoch[] = {WEFT_STR("SENTINEL"), WEFT_STR("MASTER"), name};
    struct weft_str address[] = {WEFT_STR("SENTINEL"), WEFT_STR("GET-MASTER-ADDR-BY-NAME"), name};

    if (l->asking || !weft_redis_conn_is_up(l->cn)) {
        return;
    }
    l->asking = weft_redis_send(l->cn, epoch_arrived, l, 3, epoch) == 0 &&
                weft_redis_send(l->cn, address_arrived, l, 3, address) == 0;
}

void weft_sentinel_ask(struct weft_sentinel *s)
{
    for (size_t i = 0; i < s->view.n; i++) {
        ask(&s->links[i]);
    }
}

static void ticked(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    weft_sentinel_ask(ctx);
}

static void link_up(void *ctx)
{
    ask(ctx);
}

static void nothing_to_do(void *ctx, const char *why)
{
    (void)ctx;
    (void)why;
}

static bool ear_find(void *ctx, struct weft_redis_host *ret_host)
{
    struct weft_sentinel *s = ctx;

    *ret_host = s->o.url->sentinels[s->ear_at];
    s->ear_at = (s->ear_at + 1) % s->view.n;
    return true;
}

static void ear_up(void *ctx)
{
    struct weft_sentinel *s = ctx;
    struct weft_str argv[] = {WEFT_STR("SUBSCRIBE"), WEFT_STR("+switch-master")};
    int rc = weft_redis_send(s->ear, NULL, NULL, 2, argv);

    (void)rc; /* it is up */
}

static void ear_subscribed(void *ctx, struct weft_str channel, bool on)
{
    (void)channel;
    (void)on;
    weft_sentinel_ask(ctx); /* what happened before it listened */
}

static void ear_heard(void *ctx, struct weft_str channel, struct weft_str message)
{
    struct weft_sentinel *s = ctx;

    (void)channel;
    if (weft_sentinel_read_switch(message, s->o.url->master)) {
        weft_sentinel_ask(s); /* the message lacks the epoch */
    }
}

static int connect_all(struct weft_sentinel *s)
{
    struct weft_redis_conn_opts o = {
        .base = s->o.base,
        .tls = s->o.tls,
        .role = "sentinel",
        .connect_timeout_ms = s->o.connect_timeout_ms,
        .command_timeout_ms = s->o.command_timeout_ms,
        .backoff_min_ms = s->o.backoff_min_ms,
        .backoff_max_ms = s->o.backoff_max_ms,
        .shard = s->o.shard,
        .log = s->o.log,
        .up = link_up,
        .down = nothing_to_do,
    };

    for (size_t i = 0; i < s->view.n; i++) {
        struct link *l = &s->links[i];
        int rc;

        l->s = s;
        l->i = i;
        weft_redis_url_of_sentinel(&l->url, s->o.url, i);
        (void)snprintf(l->name, sizeof(l->name), "%s-sentinel-%zu", s->o.name, i + 1);
        o.url = &l->url;
        o.name = l->name;
        o.seed = s->o.seed + i * 104729;
        o.ctx = l;
        rc = weft_redis_conn_create(&l->cn, &o);
        if (rc != 0) {
            return rc;
        }
    }
    weft_redis_url_of_sentinel(&s->ear_url, s->o.url, 0);
    (void)snprintf(s->ear_name, sizeof(s->ear_name), "%s-sentinel-ear", s->o.name);
    o.url = &s->ear_url;
    o.name = s->ear_name;
    o.seed = s->o.seed + s->view.n * 104729;
    o.subscriber = true;
    o.ctx = s;
    o.find = ear_find;
    o.find_ctx = o.ctx;
    o.up = ear_up;
    o.subscribed = ear_subscribed;
    o.message_arrived = ear_heard;
    return weft_redis_conn_create(&s->ear, &o);
}

int weft_sentinel_create(struct weft_sentinel **ret_s, const struct weft_sentinel_opts *opts)
{
    struct timeval tick = {(time_t)(opts->ask_ms / 1000),
                           (suseconds_t)(opts->ask_ms % 1000 * 1000)};
    struct weft_sentinel *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL) {
        return WEFT_ENOMEM;
    }
    s->o = *opts;
    s->view.n = opts->url->n_sentinels;
    s->links = calloc(s->view.n, sizeof(*s->links));
    s->tick = event_new(opts->base, -1, EV_PERSIST, ticked, s);
    if (s->links == NULL || s->tick == NULL || event_add(s->tick, &tick) != 0) {
        weft_sentinel_destroy(s);
        return WEFT_ENOMEM;
    }
    s->ear_at = (size_t)(opts->seed % s->view.n); /* not all nodes at the first one */
    rc = connect_all(s);
    if (rc != 0) {
        weft_sentinel_destroy(s);
        return rc;
    }
    *ret_s = s;
    return 0;
}

void weft_sentinel_destroy(struct weft_sentinel *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; s->links != NULL && i < s->view.n; i++) {
        weft_redis_conn_destroy(s->links[i].cn);
    }
    weft_redis_conn_destroy(s->ear);
    if (s->tick != NULL) {
        event_free(s->tick);
    }
    free(s->links);
    free(s);
}

bool weft_sentinel_master(const struct weft_sentinel *s, struct weft_redis_host *ret_host)
{
    if (s->view.known) {
        *ret_host = s->view.host;
    }
    return s->view.known;
}
