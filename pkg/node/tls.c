#include "tls_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/http/worker.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>
#include <weft/tls/keys.h>
#include <weft/tls/server.h>

#define LOOK_MS     900 /* ticks come once a second, about; or more often, with signals */
#define KEY_LIFE_MS ((uint64_t)12 * 3600 * 1000)

/* Which file a path leads to, through links; all zero: to none. */
struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    int64_t mtime_ns;
};

enum { FILE_CERT, FILE_KEY, FILE_TICKETS, FILES };

struct weft_node_tls {
    struct weft_shard *shard;
    struct weft_log *log;
    char *paths[FILES]; /* "": there is none */
    bool only_13;
    struct weft_tls_keys own_keys; /* without a file; the first is in force since keys_ms */
    uint64_t keys_ms;
    struct weft_tls *current;
    struct stamp read[FILES]; /* as they were when last read, well or not */
    struct stamp seen[FILES]; /* at the last look */
    uint64_t looked_ms;
};

static void look(const struct weft_node_tls *tls, struct stamp *stamps)
{
    memset(stamps, 0, FILES * sizeof(*stamps));
    for (size_t i = 0; i < FILES; i++) {
        struct stat st;

        if (tls->paths[i][0] != '\0' && stat(tls->paths[i], &st) == 0) {
            stamps[i].dev = st.st_dev;
            stamps[i].ino = st.st_ino;
            stamps[i].size = st.st_size;
            stamps[i].mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        }
    }
}

static bool same(const struct stamp *a, const struct stamp *b)
{
    for (size_t i = 0; i < FILES; i++) {
        if (a[i].dev != b[i].dev || a[i].ino != b[i].ino || a[i].size != b[i].size ||
            a[i].mtime_ns != b[i].mtime_ns) {
            return false;
        }
    }
    return true;
}

static void set_paths(struct weft_node_tls *tls, const struct weft_config *cfg)
{
    const char *const paths[FILES] = {cfg->tls.cert, cfg->tls.key, cfg->tls.ticket_keys};

    for (size_t i = 0; i < FILES; i++) {
        free(tls->paths[i]);
        tls->paths[i] = strdup(paths[i]);
        WEFT_ASSERT(tls->paths[i] != NULL);
    }
    tls->only_13 = cfg->tls.min_version == WEFT_CONFIG_TLS_13;
}

static int read_files(struct weft_node_tls *tls, struct weft_tls **ret_tls, struct weft_err *err)
{
    struct weft_tls_opts o = {.cert = tls->paths[FILE_CERT],
                              .key = tls->paths[FILE_KEY],
                              .only_13 = tls->only_13,
                              .keys = &tls->own_keys,
                              .told = weft_worker_tls_told};
    struct weft_tls_keys keys = {0};
    struct weft_err why = {0};
    int rc = 0;

    /* Before they are read: a change meanwhile shows at the next look. */
    look(tls, tls->read);
    memcpy(tls->seen, tls->read, sizeof(tls->seen));
    if (tls->paths[FILE_TICKETS][0] != '\0') {
        rc = weft_tls_keys_read(&keys, tls->paths[FILE_TICKETS], &why);
        o.keys = &keys;
    }
    rc = rc != 0 ? weft_err_set(err, rc, "tls.ticket_keys", "%s", why.message)
                 : weft_tls_create(ret_tls, &o, err);
    weft_tls_keys_wipe(&keys);
    return rc;
}

/* Takes fresh. */
static void use(struct weft_node_tls *tls, struct weft_tls *fresh)
{
    int64_t now_s = weft_clock_wall_ms() / 1000;
    int64_t expires_s = weft_tls_expires_s(fresh);

    weft_tls_unref(tls->current);
    tls->current = fresh;
    weft_gauge_set(tls->shard, WEFT_G_TLS_CERTIFICATE_EXPIRES, expires_s);
    if (now_s >= expires_s || now_s < weft_tls_begins_s(fresh)) {
        weft_log(tls->log, WEFT_LOG_WARN,
                 now_s >= expires_s ? "tls.certificate_expired" : "tls.certificate_not_yet_valid",
                 WEFT_S("field", "tls.cert"), WEFT_S("file", tls->paths[FILE_CERT]),
                 WEFT_I("begins_s", weft_tls_begins_s(fresh)), WEFT_I("expires_s", expires_s));
    }
}

int weft_node_tls_create(struct weft_node_tls **ret_tls, const struct weft_node_tls_opts *opts,
                         struct weft_err *err)
{
    struct weft_node_tls *tls;
    struct weft_tls *fresh = NULL;
    int rc;

    *ret_tls = NULL;
    if (opts->cfg->tls.cert[0] == '\0') {
        return 0;
    }
    tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    tls->shard = opts->shard;
    tls->log = opts->log;
    tls->keys_ms = opts->now_ms;
    weft_tls_keys_renew(&tls->own_keys);
    set_paths(tls, opts->cfg);
    rc = read_files(tls, &fresh, err);
    if (rc != 0) {
        weft_node_tls_destroy(tls);
        return rc;
    }
    use(tls, fresh);
    *ret_tls = tls;
    return 0;
}

struct weft_tls *weft_node_tls_current(const struct weft_node_tls *tls)
{
    return tls == NULL ? NULL : tls->current;
}

static void read_again(struct weft_node_tls *tls, struct weft_worker *const *workers,
                       size_t n_workers)
{
    struct weft_err err = {0};
    struct weft_tls *fresh = NULL;

    if (read_files(tls, &fresh, &err) != 0) {
        weft_count(tls->shard, WEFT_M_TLS_RELOADS_FAILED, 1);
        weft_log(tls->log, WEFT_LOG_ERROR, "tls.reload_failed", WEFT_S("field", err.field),
                 WEFT_S("why", err.message));
        return;
    }
    use(tls, fresh);
    for (size_t i = 0; i < n_workers; i++) {
        weft_worker_use_tls(workers[i], tls->current);
    }
    weft_count(tls->shard, WEFT_M_TLS_RELOADS, 1);
    weft_log(tls->log, WEFT_LOG_INFO, "tls.reloaded", WEFT_S("file", tls->paths[FILE_CERT]),
             WEFT_I("expires_s", weft_tls_expires_s(fresh)));
}

void weft_node_tls_tick(struct weft_node_tls *tls, uint64_t now_ms,
                        struct weft_worker *const *workers, size_t n_workers)
{
    struct stamp now[FILES];
    bool due = false;

    if (tls == NULL || now_ms - tls->looked_ms < LOOK_MS) {
        return;
    }
    tls->looked_ms = now_ms;
    look(tls, now);
    /* They are written one after another: at rest for a second they belong together. */
    due = !same(now, tls->read) && same(now, tls->seen);
    memcpy(tls->seen, now, sizeof(now));
    if (tls->paths[FILE_TICKETS][0] == '\0' && now_ms - tls->keys_ms >= KEY_LIFE_MS) {
        weft_tls_keys_renew(&tls->own_keys);
        tls->keys_ms = now_ms;
        due = true;
    }
    if (due) {
        read_again(tls, workers, n_workers);
    }
}

void weft_node_tls_reload(struct weft_node_tls *tls, const struct weft_config *cfg,
                          struct weft_worker *const *workers, size_t n_workers)
{
    if (tls == NULL) {
        return;
    }
    set_paths(tls, cfg);
    read_again(tls, workers, n_workers);
}

void weft_node_tls_destroy(struct weft_node_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    weft_tls_unref(tls->current);
    for (size_t i = 0; i < FILES; i++) {
        free(tls->paths[i]);
    }
    weft_tls_keys_wipe(&tls->own_keys);
    free(tls);
}
