#include "control_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/base/assert.h>
#include <weft/guard/breaker.h>
#include <weft/guard/breakers.h>
#include <weft/service/services.h>

/*
 * Each service has a breaker, `service:<id>`. One that is not there is made as it is needed, with the usual
 * configuration; who wants another one configures it.
 */

/* One question or result on its way to the breakers. A permit is the errand that brought it. */
struct errand {
    struct weft_breaker_op op;
    const struct weft_feature_env *env;
    enum weft_breaker_op_kind kind; /* what is wanted; op.kind: what is done for it now */
    uint64_t ticket;                /* of a question */
};

static void done(struct weft_breaker_op *op, const struct weft_breaker_result *r);

static void send(struct errand *e, enum weft_breaker_op_kind kind) WEFT_ON_CONTROL
{
    struct weft_breakers *brs = e->env->parts->of[WEFT_PART_BREAKERS];

    if (brs == NULL) {
        free(e);
        return;
    }
    e->op.kind = kind;
    e->op.done = done;
    weft_breakers_do(brs, &e->op);
}

/* Without Redis, and nothing known of the breaker: it does not hold up a start. */
static bool allows(const struct weft_breaker_result *r)
{
    return r->rc == WEFT_BREAKER_DONE ? r->yes : true;
}

static void done(struct weft_breaker_op *op, const struct weft_breaker_result *r)
{
    struct errand *e = WEFT_CONTAINER_OF(op, struct errand, op);
    struct weft_services *svs = e->env->parts->of[WEFT_PART_SERVICES];

    weft_role_assert_control(pthread_self());
    if (r->rc == WEFT_BREAKER_NOT_FOUND && op->kind == e->kind &&
        e->kind != WEFT_BREAKER_OP_GIVE_BACK) {
        weft_breaker_config_init(&op->cfg);
        send(e, WEFT_BREAKER_OP_CONFIGURE);
        return;
    }
    if (op->kind == WEFT_BREAKER_OP_CONFIGURE && r->rc == WEFT_BREAKER_DONE) {
        send(e, e->kind);
        return;
    }
    if (e->kind != WEFT_BREAKER_OP_ACQUIRE || svs == NULL) {
        free(e);
        return;
    }
    if (!allows(r)) {
        weft_services_allowed(svs, e->ticket, false, NULL);
        free(e);
        return;
    }
    e->op.permit = r->permit;
    e->op.epoch = r->known ? r->view.epoch : 0;
    weft_services_allowed(svs, e->ticket, true, e);
}

static struct errand *create(const struct weft_feature_env *env, const char *id,
                             enum weft_breaker_op_kind kind)
{
    struct errand *e = calloc(1, sizeof(*e));

    WEFT_ASSERT(e != NULL);
    e->env = env;
    e->kind = kind;
    (void)snprintf(e->op.name, sizeof(e->op.name), "service:%s", id);
    return e;
}

static void ask(const struct weft_feature_env *env, const char *id, uint64_t ticket)
{
    struct errand *e = create(env, id, WEFT_BREAKER_OP_ACQUIRE);

    weft_role_assert_control(pthread_self());
    e->ticket = ticket;
    send(e, e->kind);
}

static void report(const struct weft_feature_env *env, const char *id, void *permit, bool success)
{
    struct errand *e = permit != NULL ? permit : create(env, id, WEFT_BREAKER_OP_REPORT);

    weft_role_assert_control(pthread_self());
    e->kind = e->op.permit.number != 0 ? WEFT_BREAKER_OP_SETTLE : WEFT_BREAKER_OP_REPORT;
    e->op.success = success;
    e->op.successes = success ? 1 : 0;
    e->op.failures = success ? 0 : 1;
    send(e, e->kind);
}

static void unused(const struct weft_feature_env *env, void *permit)
{
    struct errand *e = permit;

    (void)env;
    weft_role_assert_control(pthread_self());
    if (e->op.permit.number == 0) {
        free(e); /* a call that needs none: there is nothing to give back */
        return;
    }
    e->kind = WEFT_BREAKER_OP_GIVE_BACK;
    send(e, e->kind);
}

const struct weft_service_guard weft_service_guard = {
    .ask = ask, .report = report, .unused = unused};
