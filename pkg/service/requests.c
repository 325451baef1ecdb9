#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/config/config.h>
#include <weft/redis/conn.h>

#include "call_priv.h"
#include "print_priv.h"
#include "unit_priv.h"

/*
 * The API of one service. A request becomes commands to Redis, sent together, and is answered by the reply to the last of
 * them: what is answered is what Redis holds. (The list: lists.c.)
 */

struct request {
    struct weft_request rq;
    struct weft_services *svs; /* once it is on the control thread */
    enum { ASK_PUT, ASK_OTHER } sort;
    enum weft_service_ask what;
    char id[WEFT_SERVICE_ID_MAX + 1];
    struct weft_service_def def; /* of a put */
    bool is_new;
};

static void free_request(struct request *r)
{
    if (r->sort == ASK_PUT) {
        weft_service_def_fini(&r->def);
    }
    free(r);
}

static void drop(struct weft_msg *msg)
{
    free_request(
        WEFT_CONTAINER_OF(WEFT_CONTAINER_OF(msg, struct weft_request, msg), struct request, rq));
}

/* ---- answers; each frees r ---- */

static void answer(struct request *r, struct weft_answer_msg *a) WEFT_ON_CONTROL
{
    weft_feature_answer(r->svs->env, &r->rq, a);
    free_request(r);
}

static void answer_problem(struct request *r, uint16_t status, const char *code, const char *field,
                           const char *text) WEFT_ON_CONTROL
{
    struct weft_answer_msg *a = weft_answer_to(&r->rq, status);

    weft_answer_problem(a, code, field, "%s", text);
    answer(r, a);
}

static void answer_away(struct request *r) WEFT_ON_CONTROL
{
    answer_problem(r, 503, "unavailable", "", "Redis is away");
}

static void answer_missing(struct request *r) WEFT_ON_CONTROL
{
    answer_problem(r, 404, "not_found", "id", "there is no such service");
}

/* Of Redis: true if r was answered by it. */
static bool is_answered(struct request *r, const struct weft_reply *reply) WEFT_ON_CONTROL
{
    struct weft_str refusal = weft_reply_str(reply);

    if (weft_services_failed(r->svs, reply)) {
        answer_away(r);
        return true;
    }
    if (refusal.len == 0 || refusal.p[0] != '!') {
        return false;
    }
    if (weft_str_eq(refusal, WEFT_STR("!missing"))) {
        answer_missing(r);
    } else if (weft_str_eq(refusal, WEFT_STR("!kind"))) {
        answer_problem(r, 409, "conflict", "kind",
                       "a service of kind url is not started or stopped");
    } else {
        answer_problem(r, 409, "conflict", "kind", "stop it before it becomes one of another kind");
    }
    return true;
}

/* ---- reading ---- */

static void hash_came(void *ctx, const struct weft_reply *reply)
{
    struct request *r = ctx;
    struct weft_answer_msg *a;
    struct weft_buf b;

    weft_role_assert_control(pthread_self());
    if (is_answered(r, reply)) {
        return;
    }
    if (reply->kind != WEFT_REPLY_ARRAY || reply->n == 0) {
        answer_missing(r);
        return;
    }
    weft_buf_init(&b, (size_t)256 * 1024);
    weft_print_service(&b, reply);
    a = weft_answer_to(&r->rq, r->sort == ASK_PUT && r->is_new                         ? 201
                               : r->sort == ASK_PUT || r->what == WEFT_SERVICE_ASK_GET ? 200
                                                                                       : 202);
    weft_answer_body(a, &b);
    answer(r, a);
}

static void read_hash(struct request *r, weft_redis_replied *replied) WEFT_ON_CONTROL
{
    struct weft_svc_call call;

    weft_svc_call_begin(&call, "HGETALL");
    weft_svc_call_key_of(&call, r->svs->env->keys, r->id, weft_key_service);
    if (weft_svc_call_send(&call, r->svs->env->cn, replied, r) != 0) {
        answer_away(r);
    }
}

/* {hash, errors}, read in one transaction. */
static void metrics_came(void *ctx, const struct weft_reply *reply)
{
    struct request *r = ctx;
    const struct weft_reply *hash = weft_reply_at(reply, 0);
    const struct weft_reply *errors = weft_reply_at(reply, 1);
    struct weft_answer_msg *a;
    struct weft_buf b;

    weft_role_assert_control(pthread_self());
    if (is_answered(r, reply)) {
        return;
    }
    if (hash == NULL || errors == NULL || hash->kind != WEFT_REPLY_ARRAY || hash->n == 0) {
        answer_missing(r);
        return;
    }
    weft_buf_init(&b, (size_t)256 * 1024);
    weft_print_metrics(&b, hash, errors);
    a = weft_answer_to(&r->rq, 200);
    weft_answer_body(a, &b);
    answer(r, a);
}

static void read_metrics(struct request *r) WEFT_ON_CONTROL
{
    struct weft_svc_call call;

    weft_svc_call_function(&call, WEFT_FN_SERVICE_METRICS, 2);
    weft_svc_call_key_of(&call, r->svs->env->keys, r->id, weft_key_service);
    weft_svc_call_key_of(&call, r->svs->env->keys, r->id, weft_key_service_errors);
    if (weft_svc_call_send(&call, r->svs->env->cn, metrics_came, r) != 0) {
        answer_away(r);
    }
}

/* ---- orders ---- */

static void ordered(void *ctx, const struct weft_reply *reply)
{
    struct request *r = ctx;

    weft_role_assert_control(pthread_self());
    if (!is_answered(r, reply)) {
        read_hash(r, hash_came);
    }
}

static void order(struct request *r, const char *what) WEFT_ON_CONTROL
{
    const struct weft_feature_env *env = r->svs->env;
    struct weft_svc_call call;

    weft_svc_call_function(&call, WEFT_FN_SERVICE_ORDER, 1);
    weft_svc_call_key_of(&call, env->keys, r->id, weft_key_service);
    weft_svc_call_key(&call, env->keys, weft_chan_services);
    weft_svc_call_text(&call, r->id);
    weft_svc_call_text(&call, what);
    weft_svc_call_text(&call, env->node_id);
    if (weft_svc_call_send(&call, env->cn, ordered, r) != 0) {
        answer_away(r);
    }
}

/* ---- registering ---- */

static void put_answered(void *ctx, const struct weft_reply *reply)
{
    struct request *r = ctx;
    uint64_t is_new = 0;

    weft_role_assert_control(pthread_self());
    if (is_answered(r, reply)) {
        return;
    }
    (void)weft_reply_u64(weft_reply_at(reply, 0), &is_new);
    r->is_new = is_new != 0;
    if (r->is_new && r->def.kind == WEFT_SERVICE_COMMAND && r->def.autostart) {
        order(r, "start");
    } else {
        read_hash(r, hash_came);
    }
}

/* As execvp() looks for it. */
static bool is_there(const char *program)
{
    const char *path = getenv("PATH");
    char full[4096];

    if (strchr(program, '/') != NULL) {
        return access(program, X_OK) == 0;
    }
    while (path != NULL && *path != '\0') {
        size_t n = strcspn(path, ":");

        if ((size_t)snprintf(full, sizeof(full), "%.*s/%s", (int)n, path, program) < sizeof(full) &&
            access(full, X_OK) == 0) {
            return true;
        }
        path += n + (path[n] == ':' ? 1 : 0);
    }
    return false;
}

/* True: r was answered. */
static bool is_refused(struct request *r) WEFT_ON_CONTROL
{
    struct weft_services *svs = r->svs;
    struct weft_str here = weft_str(svs->env->node_id, strlen(svs->env->node_id));
    bool elsewhere = r->def.run_on.len > 0 && !weft_str_eq(r->def.run_on, here);

    if (r->def.kind == WEFT_SERVICE_COMMAND && !weft_services_may_run(svs, r->def.argv[0])) {
        answer_problem(r, 403, "forbidden", "command",
                       "this program is none of those that services may run (services.programs)");
        return true;
    }
    if (r->def.kind == WEFT_SERVICE_COMMAND && !elsewhere && !is_there(r->def.argv[0])) {
        answer_problem(r, 400, "invalid", "command", "there is no such program on this node");
        return true;
    }
    if (HASH_COUNT(svs->units) >= svs->env->cfg->services.max &&
        weft_services_find(svs, weft_str(r->id, strlen(r->id))) == NULL) {
        answer_problem(r, 409, "full", "", "there are as many services as services.max allows");
        return true;
    }
    return false;
}

static void put(struct request *r) WEFT_ON_CONTROL
{
    const struct weft_feature_env *env = r->svs->env;
    struct weft_svc_call call;
    struct weft_buf value;
    const char *name;
    size_t i = 0;

    if (is_refused(r)) {
        return;
    }
    /* The name first: one without a hash is harmless, and taken out again. */
    weft_svc_call_begin(&call, "SADD");
    weft_svc_call_key(&call, env->keys, weft_key_services);
    weft_svc_call_text(&call, r->id);
    if (weft_svc_call_send(&call, env->cn, NULL, NULL) != 0) {
        answer_away(r);
        return;
    }
    weft_svc_call_function(&call, WEFT_FN_SERVICE_PUT, 1);
    weft_svc_call_key_of(&call, env->keys, r->id, weft_key_service);
    weft_svc_call_key(&call, env->keys, weft_chan_services);
    weft_svc_call_text(&call, r->id);
    weft_buf_init(&value, 65536);
    while ((name = weft_service_def_field(&r->def, i++, &value)) != NULL) {
        weft_svc_call_text(&call, name);
        weft_svc_call_word(&call, weft_str(value.data, value.len));
        weft_buf_clear(&value);
    }
    weft_buf_fini(&value);
    if (weft_svc_call_send(&call, env->cn, put_answered, r) != 0) {
        answer_away(r);
    }
}

static void deleted(void *ctx, const struct weft_reply *reply)
{
    struct request *r = ctx;
    uint64_t was_there = 0;

    weft_role_assert_control(pthread_self());
    if (is_answered(r, reply)) {
        return;
    }
    if (!weft_reply_u64(reply, &was_there) || was_there == 0) {
        answer_missing(r);
    } else {
        answer(r, weft_answer_to(&r->rq, 204));
    }
}

static void delete (struct request *r)WEFT_ON_CONTROL
{
    const struct weft_feature_env *env = r->svs->env;
    struct weft_svc_call call;

    weft_svc_call_function(&call, WEFT_FN_SERVICE_DELETE, 2);
    weft_svc_call_key_of(&call, env->keys, r->id, weft_key_service);
    weft_svc_call_key_of(&call, env->keys, r->id, weft_key_service_errors);
    weft_svc_call_key(&call, env->keys, weft_chan_services);
    weft_svc_call_text(&call, r->id);
    if (weft_svc_call_send(&call, env->cn, deleted, r) != 0) {
        answer_away(r);
    }
    /* Its name is taken out of the list by whoever reads it next and finds no hash. */
}

/* ---- messages ---- */

static void deliver(struct weft_msg *msg, void *owner)
{
    struct weft_request *rq = WEFT_CONTAINER_OF(msg, struct weft_request, msg);
    struct request *r = WEFT_CONTAINER_OF(rq, struct request, rq);

    weft_role_assert_control(pthread_self());
    r->svs = weft_part(owner, WEFT_PART_SERVICES);
    if (r->svs == NULL) {
        drop(msg);
        return;
    }
    if (!r->svs->up) {
        answer_away(r);
    } else if (r->sort == ASK_PUT) {
        put(r);
    } else {
        switch (r->what) {
        case WEFT_SERVICE_ASK_GET:
            read_hash(r, hash_came);
            break;
        case WEFT_SERVICE_ASK_METRICS:
            read_metrics(r);
            break;
        case WEFT_SERVICE_ASK_DELETE:
            delete (r);
            break;
        case WEFT_SERVICE_ASK_START:
            order(r, "start");
            break;
        case WEFT_SERVICE_ASK_STOP:
            order(r, "stop");
            break;
        case WEFT_SERVICE_ASK_RESTART:
            order(r, "restart");
            break;
        }
    }
}

static const struct weft_msg_ops service_ops = {"service", deliver, drop};

static struct request *create(struct weft_str id)
{
    struct request *r = calloc(1, sizeof(*r));

    WEFT_ASSERT(r != NULL && id.len < sizeof(r->id));
    r->rq.msg.ops = &service_ops;
    memcpy(r->id, id.p, id.len);
    return r;
}

struct weft_request *weft_services_ask(enum weft_service_ask what, struct weft_str id)
{
    struct request *r = create(id);

    r->sort = ASK_OTHER;
    r->what = what;
    return &r->rq;
}

struct weft_request *weft_services_ask_put(struct weft_str id, struct weft_str body,
                                           struct weft_err *err)
{
    struct request *r = create(id);

    r->sort = ASK_PUT;
    if (weft_service_def_read(&r->def, body, err) != 0) {
        free_request(r);
        return NULL;
    }
    return &r->rq;
}
