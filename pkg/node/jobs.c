#include "control_priv.h"

#include <stddef.h>

#include <weft/base/assert.h>
#include <weft/fabric/sweeper.h>

/* The jobs are only called by control.c, on its thread: said once more for the analysis. */

static int sweeper_create(void **ret_self, const struct weft_job_env *env, struct weft_err *err)
{
    struct weft_sweeper_opts o = {
        .base = env->base, .cn = env->cn, .cfg = env->cfg, .shard = env->shard, .log = env->log};
    struct weft_sweeper *sw = NULL;
    int rc;

    weft_role_assert_control(pthread_self());
    rc = weft_sweeper_create(&sw, &o, err);
    *ret_self = sw;
    return rc;
}

static void sweeper_begin(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_sweeper_begin(self);
}

static void sweeper_end(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_sweeper_end(self);
}

static void sweeper_destroy(void *self)
{
    weft_role_assert_control(pthread_self());
    weft_sweeper_destroy(self);
}

const struct weft_job weft_jobs[] = {
    {"retention", sweeper_create, sweeper_begin, sweeper_end, sweeper_destroy},
};

const size_t weft_jobs_len = WEFT_COUNT_OF(weft_jobs);

_Static_assert(WEFT_COUNT_OF(weft_jobs) <= WEFT_JOBS_MAX, "more jobs than control.c has room for");
