#include <weft/redis/source.h>

#include <stdlib.h>

#include <weft/config/config.h>
#include <weft/redis/sentinel.h>
#include <weft/redis/tls.h>
#include <weft/redis/url.h>

struct weft_redis_source {
    const struct weft_config *cfg;
    struct weft_redis_source_opts o;
    struct weft_redis_url url;
    struct weft_redis_tls *tls;     /* NULL: without */
    struct weft_sentinel *sentinel; /* NULL: the URL says where Redis is */
};

int weft_redis_source_load(struct weft_redis_source **ret_source, const struct weft_config *cfg,
                           struct weft_err *err)
{
    struct weft_redis_tls_opts tls = {
        .ca = cfg->redis.tls_ca, .cert = cfg->redis.tls_cert, .key = cfg->redis.tls_key};
    struct weft_redis_source *source = calloc(1, sizeof(*source));
    int rc;

    if (source == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    source->cfg = cfg;
    rc = weft_redis_url_parse(&source->url, cfg->redis.url, err);
    if (rc == 0 && source->url.tls) {
        rc = weft_redis_tls_create(&source->tls, &tls, err);
    }
    if (rc != 0) {
        weft_redis_source_destroy(source);
        return rc;
    }
    *ret_source = source;
    return 0;
}

int weft_redis_source_begin(struct weft_redis_source *source,
                            const struct weft_redis_source_opts *opts)
{
    const struct weft_config *cfg = source->cfg;
    struct weft_sentinel_opts o = {
        .base = opts->base,
        .url = &source->url,
        .tls = source->tls,
        .name = opts->name,
        .ask_ms = cfg->redis.sentinel_ask_ms,
        .connect_timeout_ms = cfg->redis.connect_timeout_ms,
        .command_timeout_ms = cfg->redis.command_timeout_ms,
        .backoff_min_ms = cfg->redis.backoff_min_ms,
        .backoff_max_ms = cfg->redis.backoff_max_ms,
        .seed = opts->seed,
        .shard = opts->shard,
        .log = opts->quiet ? NULL : opts->log,
        .quiet = opts->quiet,
        .ctx = opts->ctx,
        .moved = opts->moved,
    };

    source->o = *opts;
    return source->url.n_sentinels > 0 ? weft_sentinel_create(&source->sentinel, &o) : 0;
}

void weft_redis_source_destroy(struct weft_redis_source *source)
{
    if (source == NULL) {
        return;
    }
    weft_sentinel_destroy(source->sentinel);
    weft_redis_tls_destroy(source->tls);
    free(source);
}

uint32_t weft_redis_source_db(const struct weft_redis_source *source)
{
    return source->url.db;
}

const char *weft_redis_source_user(const struct weft_redis_source *source)
{
    return source->url.user;
}

void weft_redis_source_ask(struct weft_redis_source *source)
{
    if (source->sentinel != NULL) {
        weft_sentinel_ask(source->sentinel);
    }
}

static bool find(void *ctx, struct weft_redis_host *ret_host)
{
    struct weft_redis_source *source = ctx;

    weft_sentinel_ask(source->sentinel);
    return weft_sentinel_master(source->sentinel, ret_host);
}

struct weft_redis_conn_opts weft_redis_source_conn(struct weft_redis_source *source)
{
    const struct weft_config *cfg = source->cfg;

    return (struct weft_redis_conn_opts){
        .base = source->o.base,
        .url = &source->url,
        .tls = source->tls,
        .role = "master",
        .connect_timeout_ms = cfg->redis.connect_timeout_ms,
        .command_timeout_ms = cfg->redis.command_timeout_ms,
        .backoff_min_ms = cfg->redis.backoff_min_ms,
        .backoff_max_ms = cfg->redis.backoff_max_ms,
        .shard = source->o.shard,
        .log = source->o.log,
        .find = source->sentinel == NULL ? NULL : find,
        .find_ctx = source,
    };
}
