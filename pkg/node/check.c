#include <weft/node/node.h>

#include <weft/auth/keychain.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/redis/source.h>
#include <weft/telemetry/metrics.h>

#include "keys_priv.h"
#include "tls_priv.h"

static int check_keys(const struct weft_config *cfg, struct weft_err *err)
{
    struct weft_keychain *keychain = weft_keychain_create();
    int rc;

    if (keychain == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    rc = weft_node_keys_read(keychain, cfg, err);
    weft_keychain_destroy(keychain);
    return rc;
}

static int check_redis(const struct weft_config *cfg, struct weft_err *err)
{
    struct weft_redis_source *source = NULL;
    int rc = weft_redis_source_load(&source, cfg, err);

    weft_redis_source_destroy(rc == 0 ? source : NULL);
    return rc;
}

static int check_tls(const struct weft_config *cfg, struct weft_log *log, struct weft_err *err)
{
    struct weft_metrics *metrics = weft_metrics_create(1);
    struct weft_node_tls *tls = NULL;
    int rc;

    if (metrics == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    rc = weft_node_tls_create(&tls,
                              &(struct weft_node_tls_opts){.cfg = cfg,
                                                           .shard = weft_metrics_shard(metrics, 0),
                                                           .log = log,
                                                           .now_ms = weft_clock_mono_ms()},
                              err);
    weft_node_tls_destroy(rc == 0 ? tls : NULL);
    weft_metrics_destroy(metrics);
    return rc;
}

int weft_node_check(const struct weft_config *cfg, struct weft_log *log, struct weft_err *err)
{
    int rc = check_redis(cfg, err);

    if (rc == 0) {
        rc = check_keys(cfg, err);
    }
    return rc != 0 ? rc : check_tls(cfg, log, err);
}
