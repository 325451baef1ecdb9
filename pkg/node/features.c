#include "control_priv.h"

#include <pthread.h>
#include <stddef.h>

#include <weft/access/revocations.h>
#include <weft/access/streams.h>
#include <weft/base/assert.h>
#include <weft/guard/breakers.h>
#include <weft/guard/buckets.h>
#include <weft/redis/keys.h>
#include <weft/service/services.h>

/* The features are only called by control.c, on its thread: said once more for the analysis. */

/* ---- breakers ---- */

static void breakers_channel(struct weft_buf *b, const struct weft_keys *keys, const char *node)
{
    (void)node;
    weft_chan_breakers(b, keys);
}

static int breakers_create(void **ret_self, const struct weft_feature_env *env,
                           struct weft_err *err)
{
    struct weft_breakers *brs = NULL;
    int rc;

    weft_role_assert_control(pthread_self());
    rc = weft_breakers_create(&brs, env);
    *ret_self = brs;
    return rc == 0 ? 0 : weft_err_set(err, rc, "", "no breakers: %s", weft_err_text(rc));
}

static void breakers_message(void *self, struct weft_str payload)
{
    weft_role_assert_control(pthread_self());
    weft_breakers_message(self, payload);
}

static void breakers_up(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_breakers_up(self);
}

static void breakers_down(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_breakers_down(self);
}

static void breakers_destroy(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_breakers_destroy(self);
}

/* ---- buckets ---- */

static void buckets_channel(struct weft_buf *b, const struct weft_keys *keys, const char *node)
{
    (void)node;
    weft_chan_buckets(b, keys);
}

static int buckets_create(void **ret_self, const struct weft_feature_env *env, struct weft_err *err)
{
    struct weft_buckets *bks = NULL;
    int rc;

    weft_role_assert_control(pthread_self());
    rc = weft_buckets_create(&bks, env);
    *ret_self = bks;
    return rc == 0 ? 0 : weft_err_set(err, rc, "", "no buckets: %s", weft_err_text(rc));
}

static void buckets_message(void *self, struct weft_str payload)
{
    weft_role_assert_control(pthread_self());
    weft_buckets_message(self, payload);
}

static void buckets_up(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_buckets_up(self);
}

static void buckets_down(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_buckets_down(self);
}

static void buckets_destroy(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_buckets_destroy(self);
}

/* ---- services ---- */

static void services_channel(struct weft_buf *b, const struct weft_keys *keys, const char *node)
{
    (void)node;
    weft_chan_services(b, keys);
}

static int services_create(void **ret_self, const struct weft_feature_env *env,
                           struct weft_err *err)
{
    struct weft_services *svs = NULL;
    int rc;

    weft_role_assert_control(pthread_self());
    rc = weft_services_create(&svs, env, env->own);
    *ret_self = svs;
    return rc == 0 ? 0 : weft_err_set(err, rc, "", "no services: %s", weft_err_text(rc));
}

static void services_message(void *self, struct weft_str payload)
{
    weft_role_assert_control(pthread_self());
    weft_services_message(self, payload);
}

static void services_up(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_services_up(self);
}

static void services_down(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_services_down(self);
}

static void services_destroy(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_services_destroy(self);
}

static uint64_t services_stop(void *self)
{
    weft_role_assert_control(pthread_self());
    return weft_services_stop(self);
}

static bool services_is_quiet(void *self)
{
    weft_role_assert_control(pthread_self());
    return weft_services_is_quiet(self);
}

/* ---- revocations ---- */

static void revocations_channel(struct weft_buf *b, const struct weft_keys *keys, const char *node)
{
    (void)node;
    weft_chan_revoked(b, keys);
}

static int revocations_create(void **ret_self, const struct weft_feature_env *env,
                              struct weft_err *err)
{
    struct weft_revocations *rvs = NULL;
    int rc;

    weft_role_assert_control(pthread_self());
    rc = weft_revocations_create(&rvs, env, env->own);
    *ret_self = rvs;
    return rc == 0 ? 0 : weft_err_set(err, rc, "", "no revocations: %s", weft_err_text(rc));
}

static void revocations_message(void *self, struct weft_str payload)
{
    weft_role_assert_control(pthread_self());
    weft_revocations_message(self, payload);
}

static void revocations_up(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_revocations_up(self);
}

static void revocations_down(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_revocations_down(self);
}

static void revocations_destroy(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_revocations_destroy(self);
}

/* ---- streams ---- */

static int streams_create(void **ret_self, const struct weft_feature_env *env, struct weft_err *err)
{
    struct weft_streams *sts = NULL;
    int rc;

    weft_role_assert_control(pthread_self());
    rc = weft_streams_create(&sts, env);
    *ret_self = sts;
    return rc == 0 ? 0 : weft_err_set(err, rc, "", "no streams: %s", weft_err_text(rc));
}

static void streams_message(void *self, struct weft_str payload)
{
    weft_role_assert_control(pthread_self());
    weft_streams_message(self, payload);
}

static void streams_up(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_streams_up(self);
}

static void streams_down(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_streams_down(self);
}

static void streams_destroy(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_streams_destroy(self);
}

const struct weft_feature weft_features[] = {
    {"breakers", WEFT_PART_BREAKERS, breakers_create, breakers_channel, breakers_message,
     breakers_up, breakers_down, breakers_destroy, NULL, NULL},
    {"buckets", WEFT_PART_BUCKETS, buckets_create, buckets_channel, buckets_message, buckets_up,
     buckets_down, buckets_destroy, NULL, NULL},
    /* Behind the breakers, which it asks: it goes before them. */
    {"services", WEFT_PART_SERVICES, services_create, services_channel, services_message,
     services_up, services_down, services_destroy, services_stop, services_is_quiet},
    {"revocations", WEFT_PART_REVOCATIONS, revocations_create, revocations_channel,
     revocations_message, revocations_up, revocations_down, revocations_destroy, NULL, NULL},
    {"streams", WEFT_PART_STREAMS, streams_create, weft_chan_streams, streams_message, streams_up,
     streams_down, streams_destroy, NULL, NULL},
};

const size_t weft_features_len = WEFT_COUNT_OF(weft_features);

_Static_assert(WEFT_COUNT_OF(weft_features) <= WEFT_FEATURES_MAX,
               "more features than control.c has room for");
