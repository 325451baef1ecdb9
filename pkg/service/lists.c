#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/config/config.h>
#include <weft/redis/conn.h>

#include "call_priv.h"
#include "print_priv.h"
#include "roster_priv.h"
#include "unit_priv.h"

/*
 * Lists: the names first, then their hashes, asked for together and printed as they come, which is in the order
 * in which they were asked for.
 */

#define LIST_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct list {
    struct weft_request rq;
    struct weft_services *svs;
    enum weft_services_list what;
    char after[WEFT_SERVICE_ID_MAX + 1];
    uint32_t limit;
    size_t waiting; /* for so many hashes */
    size_t printed;
    bool failed;
    bool more;
    char last[WEFT_SERVICE_ID_MAX + 1];
    size_t healthy, unhealthy;
    struct weft_buf b;
};

static void free_list(struct list *list)
{
    weft_buf_fini(&list->b);
    free(list);
}

static void drop(struct weft_msg *msg)
{
    free_list(WEFT_CONTAINER_OF(WEFT_CONTAINER_OF(msg, struct weft_request, msg), struct list, rq));
}

static const char *overall(const struct list *list)
{
    if (list->unhealthy == 0) {
        return "healthy";
    }
    return list->healthy > 0 ? "degraded" : "unhealthy";
}

static void finish(struct list *list) WEFT_ON_CONTROL
{
    struct weft_answer_msg *a;

    weft_buf_append(&list->b, "]", 1);
    if (list->what == WEFT_SERVICES_LIST) {
        weft_buf_puts(&list->b, ",\"next\":");
        if (list->more) {
            weft_buf_json(&list->b, weft_str(list->last, strlen(list->last)));
        } else {
            weft_buf_puts(&list->b, "null");
        }
    } else if (list->what == WEFT_SERVICES_HEALTH) {
        weft_buf_printf(&list->b, ",\"overall_status\":\"%s\"", overall(list));
    }
    weft_buf_append(&list->b, "}", 1);
    if (list->failed || list->b.toobig) {
        a = weft_answer_to(&list->rq, 503);
        weft_answer_problem(a, "unavailable", "", "%s",
                            list->failed ? "Redis is away" : "the list is too long");
    } else {
        a = weft_answer_to(&list->rq, 200);
        weft_answer_body(a, &list->b);
    }
    weft_feature_answer(list->svs->env, &list->rq, a);
    free_list(list);
}

static void print_one(struct list *list, const struct weft_reply *hash)
{
    enum weft_verdict verdict;

    weft_buf_puts(&list->b, list->printed++ > 0 ? "," : "");
    switch (list->what) {
    case WEFT_SERVICES_LIST:
        weft_print_service(&list->b, hash);
        break;
    case WEFT_SERVICES_HEALTH:
        verdict = weft_print_health(&list->b, hash);
        list->healthy += verdict == WEFT_VERDICT_HEALTHY ? 1 : 0;
        list->unhealthy += verdict == WEFT_VERDICT_UNHEALTHY ? 1 : 0;
        break;
    case WEFT_SERVICES_NODES:
        weft_print_node(&list->b, hash);
        break;
    }
}

static void hash_came(void *ctx, const struct weft_reply *reply)
{
    struct list *list = ctx;

    weft_role_assert_control(pthread_self());
    if (weft_services_failed(list->svs, reply)) {
        list->failed = true;
    } else if (reply->kind == WEFT_REPLY_ARRAY && reply->n > 0) {
        print_one(list, reply); /* one without a hash is gone meanwhile */
    }
    if (--list->waiting == 0) {
        finish(list);
    }
}

static void ask_one(struct list *list, const char *id) WEFT_ON_CONTROL
{
    struct weft_svc_call call;

    weft_svc_call_begin(&call, "HGETALL");
    weft_svc_call_key_of(&call, list->svs->env->keys, id,
                         list->what == WEFT_SERVICES_NODES ? weft_key_node : weft_key_service);
    if (weft_svc_call_send(&call, list->svs->env->cn, hash_came, list) == 0) {
        list->waiting++;
    } else {
        list->failed = true;
    }
}

static void names_came(void *ctx, const struct weft_reply *reply)
{
    struct list *list = ctx;
    struct weft_str after = weft_str(list->after, strlen(list->after));
    size_t n = 0;

    weft_role_assert_control(pthread_self());
    list->waiting = 1; /* this one, until all are asked for */
    list->failed = weft_services_failed(list->svs, reply) || reply->kind != WEFT_REPLY_ARRAY;
    if (!list->failed) {
        weft_svc_sort(reply);
    }
    for (size_t i = 0; !list->failed && i < reply->n; i++) {
        struct weft_str id = weft_reply_str(reply->items[i]);

        if (!weft_service_id_valid(id) || (after.len > 0 && weft_str_cmp(id, after) <= 0)) {
            continue;
        }
        if (n == list->limit) {
            list->more = true;
            break;
        }
        weft_svc_copy(list->last, sizeof(list->last), id);
        ask_one(list, list->last);
        n++;
    }
    if (--list->waiting == 0) {
        finish(list);
    }
}

static void begin(struct list *list) WEFT_ON_CONTROL
{
    const struct weft_feature_env *env = list->svs->env;
    bool nodes = list->what == WEFT_SERVICES_NODES;
    struct weft_svc_call call;

    weft_buf_puts(&list->b, nodes ? "{\"nodes\":[" : "{\"services\":[");
    if (nodes) {
        int64_t since = weft_roster_now_ms(list->svs->roster) - (int64_t)env->cfg->control.lease_ms;

        weft_svc_call_begin(&call, "ZRANGEBYSCORE");
        weft_svc_call_key(&call, env->keys, weft_key_nodes);
        weft_svc_call_u64(&call, since > 0 ? (uint64_t)since : 0);
        weft_svc_call_text(&call, "+inf");
    } else {
        weft_svc_call_begin(&call, "SMEMBERS");
        weft_svc_call_key(&call, env->keys, weft_key_services);
    }
    if (weft_svc_call_send(&call, list->svs->up ? env->cn : NULL, names_came, list) != 0) {
        list->failed = true;
        finish(list);
    }
}

static void deliver(struct weft_msg *msg, void *owner)
{
    struct weft_request *rq = WEFT_CONTAINER_OF(msg, struct weft_request, msg);
    struct list *list = WEFT_CONTAINER_OF(rq, struct list, rq);

    weft_role_assert_control(pthread_self());
    list->svs = weft_part(owner, WEFT_PART_SERVICES);
    if (list->svs == NULL) {
        drop(msg);
        return;
    }
    begin(list);
}

static const struct weft_msg_ops list_ops = {"services", deliver, drop};

struct weft_request *weft_services_ask_list(enum weft_services_list what, struct weft_str after,
                                            uint32_t limit)
{
    struct list *list = calloc(1, sizeof(*list));

    WEFT_ASSERT(list != NULL && after.len < sizeof(list->after));
    list->rq.msg.ops = &list_ops;
    list->what = what;
    list->limit = limit;
    if (after.len > 0) {
        memcpy(list->after, after.p, after.len);
    }
    weft_buf_init(&list->b, LIST_BYTES_MAX);
    return &list->rq;
}
