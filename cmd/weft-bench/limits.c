/*
 * weft-bench limits - buckets: takes a second that Redis decides, and takes from tokens at hand.
 *
 * The node's own code in this process, without HTTP: the control thread's part with a Redis of its
 * own, and a worker's part, on one loop. Exact takes go through the mailbox as a worker posts them, many under way
 * at a time; of leased ones all that a worker does is done.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/base/random.h>
#include <weft/config/config.h>
#include <weft/fabric/feature.h>
#include <weft/guard/buckets.h>
#include <weft/guard/stocks.h>
#include <weft/loop/mailbox.h>
#include <weft/loop/wake.h>
#include <weft/redis/conn.h>
#include <weft/redis/keys.h>
#include <weft/redis/source.h>
#include <weft/telemetry/metrics.h>

#include "stage.h"

#define NAMES_MAX  10000
#define SECOND_NS  1000000000
#define TIMEOUT_NS ((uint64_t)60 * SECOND_NS)

struct plan {
    uint64_t exact, leased, names, window, several;
};

/* The owner of both mailboxes, as a node has one for each thread. */
struct owner {
    struct weft_parts parts; /* first */
    struct node *node;
};

struct node {
    struct weft_config cfg;
    struct weft_keys keys;
    struct weft_metrics *metrics;
    struct event_base *base;
    struct weft_redis_source *source;
    struct weft_redis_conn *cn;
    struct owner control, worker;
    struct weft_mailbox *control_mb, *worker_mb;
    struct weft_wake *control_wake, *worker_wake;
    struct weft_worker_ops ops;
    struct weft_feature_env env;
    struct weft_buckets *bks;
    struct weft_stocks *sts;

    const struct plan *plan;
    uint64_t rng;
    uint64_t asked, answered, by_redis;
    int status; /* of the last answer that is no take's */
    struct weft_bucket_told told;
};

static void name_of(uint64_t i, char out[static 32])
{
    (void)snprintf(out, 32, "bench:%" PRIu64, i);
}

/* ---- answers ---- */

static void drop_answer(struct weft_msg *msg)
{
    weft_answer_msg_free(WEFT_CONTAINER_OF(msg, struct weft_answer_msg, msg));
}

static void post_take(struct node *node, const char *name, size_t n);
static void ask_more(struct node *node);

static void deliver_answer(struct weft_msg *msg, void *arg)
{
    struct owner *owner = arg;
    struct node *node = owner->node;
    struct weft_answer_msg *m = WEFT_CONTAINER_OF(msg, struct weft_answer_msg, msg);

    if (m->status != 0) {
        node->status = m->status;
    } else {
        const struct weft_taken_msg *taken = WEFT_CONTAINER_OF(m, struct weft_taken_msg, answer);

        node->answered++;
        node->by_redis += taken->taken && taken->by == WEFT_DECIDED_REDIS;
        node->told = taken->told[0];
        ask_more(node);
    }
    weft_answer_msg_free(m);
}

/* ---- asks ---- */

static void post(struct node *node, struct weft_request *rq)
{
    struct weft_msg *msg = &rq->msg;

    rq->worker = 0;
    WEFT_ASSERT(weft_mailbox_post(node->control_mb, &msg) == 0);
}

static void post_take(struct node *node, const char *name, size_t n)
{
    struct weft_take_msg *m = weft_take_create(n);

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(m->items[i].name, sizeof(m->items[i].name), "%s", name);
        m->items[i].tokens = 1;
        if (n > 1)
            name_of(i, m->items[i].name);
    }
    node->asked++;
    post(node, &m->rq);
}

/* As many as the window has room for. */
static void ask_more(struct node *node)
{
    char name[32];

    while (node->asked < node->plan->exact && node->asked - node->answered < node->plan->window) {
        name_of(weft_random_next(&node->rng) % node->plan->names, name);
        post_take(node, name, node->plan->several);
    }
}

/* False: it took too long. */
static bool turn_until(struct node *node, const uint64_t *counter, uint64_t reached)
{
    uint64_t begin_ns = weft_clock_mono_ns();

    while (*counter < reached) {
        if (weft_clock_mono_ns() - begin_ns > TIMEOUT_NS)
            return false;
        (void)event_base_loop(node->base, EVLOOP_ONCE);
    }
    return true;
}

/* ---- the node ---- */

static void is_up(void *ctx)
{
    struct node *node = ctx;

    weft_role_assert_control(pthread_self());
    weft_buckets_up(node->bks);
    node->answered++;
}

static void is_down(void *ctx, const char *why)
{
    struct node *node = ctx;

    (void)why;
    weft_role_assert_control(pthread_self());
    weft_buckets_down(node->bks);
}

static void not_moved(void *ctx)
{
    (void)ctx;
}

static bool connect_redis(struct node *node)
{
    struct weft_redis_source_opts from = {.base = node->base,
                                          .name = "weft-bench",
                                          .seed = 1,
                                          .shard = node->env.shard,
                                          .ctx = node,
                                          .moved = not_moved};
    struct weft_redis_conn_opts o;
    struct weft_err err;

    if (weft_redis_source_load(&node->source, &node->cfg, &err) != 0 ||
        weft_redis_source_begin(node->source, &from) != 0)
        return false;
    o = weft_redis_source_conn(node->source);
    o.name = "weft-bench";
    o.functions = true;
    o.ctx = node;
    o.up = is_up;
    o.down = is_down;
    return weft_redis_conn_create(&node->cn, &o) == 0;
}

static bool node_begin(struct node *node, const struct stage *stage)
{
    char url[512];
    char *argv[] = {(char[]){"weft-bench"}, url, NULL};
    struct weft_config_cmdline cmd;
    struct weft_err err;
    struct weft_stocks_opts stocks = {.n_workers = 1, .lease_percent = 5};

    weft_role_assert_control(pthread_self());
    (void)snprintf(url, sizeof(url), "--redis=unix://%s/redis.sock", stage->dir);
    node->metrics = weft_metrics_create(1);
    node->base = event_base_new();
    node->control.node = node->worker.node = node;
    if (node->metrics == NULL || node->base == NULL ||
        weft_config_defaults(&node->cfg, WEFT_CONFIG_NODE) != 0 ||
        weft_config_load(&node->cfg, 2, argv, NULL, &cmd, &err) != 0 ||
        weft_mailbox_create(&node->control_mb, 1 << 20, &node->control) != 0 ||
        weft_mailbox_create(&node->worker_mb, 1 << 20, &node->worker) != 0 ||
        weft_wake_on_event(&node->control_wake, node->base, node->control_mb, NULL, node) != 0 ||
        weft_wake_on_event(&node->worker_wake, node->base, node->worker_mb, NULL, node) != 0)
        return false;
    node->cfg.limits.redis_wait_ms = 5000;
    node->keys.prefix = node->cfg.redis.prefix;
    node->ops.answer = (struct weft_msg_ops){"answer", deliver_answer, drop_answer};
    node->env = (struct weft_feature_env){.base = node->base,
                                          .keys = &node->keys,
                                          .cfg = &node->cfg,
                                          .node_id = "bench",
                                          .shard = weft_metrics_shard(node->metrics, 0),
                                          .seed = 1,
                                          .workers = &node->worker_mb,
                                          .n_workers = 1,
                                          .ops = &node->ops};
    stocks.control = node->control_mb;
    stocks.shard = node->env.shard;
    if (weft_buckets_create(&node->bks, &node->env) != 0 ||
        weft_stocks_create(&node->sts, &stocks) != 0 || !connect_redis(node))
        return false;
    node->env.cn = node->cn;
    node->control.parts.of[WEFT_PART_BUCKETS] = node->bks;
    node->worker.parts.of[WEFT_PART_BUCKETS] = node->sts;
    return turn_until(node, &node->answered, 1);
}

static void node_end(struct node *node)
{
    weft_role_assert_control(pthread_self());
    node->env.cn = NULL;
    weft_redis_conn_destroy(node->cn);
    weft_redis_source_destroy(node->source);
    weft_buckets_destroy(node->bks);
    weft_wake_destroy(node->control_wake);
    weft_wake_destroy(node->worker_wake);
    weft_mailbox_destroy(node->control_mb);
    weft_mailbox_destroy(node->worker_mb);
    weft_stocks_destroy(node->sts);
    if (node->base != NULL)
        event_base_free(node->base);
    weft_metrics_destroy(node->metrics);
    weft_config_fini(&node->cfg);
}

static bool set_bucket(struct node *node, const char *name, bool leased)
{
    struct weft_bucket_conf conf = {
        .capacity = WEFT_BUCKET_CAPACITY_MAX, .rate = WEFT_BUCKET_RATE_MAX, .leased = leased};
    uint64_t begin_ns = weft_clock_mono_ns();

    node->status = 0;
    post(node, weft_buckets_ask_set(weft_str(name, strlen(name)), &conf));
    while (node->status == 0 && weft_clock_mono_ns() - begin_ns < TIMEOUT_NS)
        (void)event_base_loop(node->base, EVLOOP_ONCE);
    return node->status == 201;
}

/* ---- measurements ---- */

static void measure_exact(struct node *node, struct report *report)
{
    uint64_t begin_ns;
    char name[32];

    for (uint64_t i = 0; i < node->plan->names; i++) {
        name_of(i, name);
        if (!set_bucket(node, name, false)) {
            report_fail(report, "bucket %s cannot be set: %d", name, node->status);
            return;
        }
    }
    node->asked = node->answered = node->by_redis = 0;
    begin_ns = weft_clock_mono_ns();
    ask_more(node);
    if (!turn_until(node, &node->answered, node->plan->exact) || node->by_redis != node->answered)
        report_fail(report, "%" PRIu64 " of %" PRIu64 " takes were granted by Redis",
                    node->by_redis, node->plan->exact);
    report_add(report, "exact_per_s", "exact takes a second, many under way",
               (double)node->answered / ((double)(weft_clock_mono_ns() - begin_ns) / SECOND_NS), 0);
}

static void measure_leased(struct node *node, struct report *report)
{
    static const char bucket[] = "bench:leased";
    struct weft_str name = weft_str(bucket, sizeof(bucket) - 1);
    struct weft_bucket_told told;
    uint64_t given = 0;
    uint64_t asked = 0;
    uint64_t begin_ns;

    weft_role_assert_worker(pthread_self());
    if (!set_bucket(node, bucket, true)) {
        report_fail(report, "the leased bucket cannot be set: %d", node->status);
        return;
    }
    node->asked = node->answered = node->plan->exact;
    post_take(node, bucket, 1);
    if (!turn_until(node, &node->answered, node->asked)) {
        report_fail(report, "no answer for the leased bucket");
        return;
    }
    weft_stocks_seen(node->sts, name, &node->told, false, weft_clock_mono_ms());
    begin_ns = weft_clock_mono_ns();
    while (given < node->plan->leased && weft_clock_mono_ns() - begin_ns < TIMEOUT_NS) {
        uint64_t now_ms = weft_clock_mono_ms();
        bool empty = false;

        /* A turn of a worker: some takes, then what control has to say. */
        for (int i = 0; i < 1000 && !empty; i++) {
            empty = weft_stocks_take(node->sts, name, 1, now_ms, &told) != WEFT_STOCKS_TAKEN;
            given += empty ? 0 : 1;
        }
        asked += empty;
        (void)event_base_loop(node->base, EVLOOP_ONCE | (empty ? 0 : EVLOOP_NONBLOCK));
    }
    if (given < node->plan->leased)
        report_fail(report, "only %" PRIu64 " leased takes were granted", given);
    report_add(report, "leased_per_s", "leased takes a second and worker",
               (double)given / ((double)(weft_clock_mono_ns() - begin_ns) / SECOND_NS), 0);
    report_add(report, "leased_empty", "times that nothing was at hand", (double)asked, 0);
}

int limits_run(int argc, char **argv)
{
    struct plan plan = {
        .exact = 500000, .leased = 20000000, .names = 100, .window = 1024, .several = 1};
    struct node node = {.plan = &plan, .rng = 42};
    struct args_list words;
    struct report report;
    struct stage stage;
    bool json = false;
    const struct arg table[] = {
        ARG_IS_NUMBER("exact", 1, 100000000, &plan.exact, "takes (default: 500,000)"),
        ARG_IS_NUMBER("leased", 1, 10000000000, &plan.leased, "takes (default: 20,000,000)"),
        ARG_IS_NUMBER("names", 1, NAMES_MAX, &plan.names, "exact buckets (default: 100)"),
        ARG_IS_NUMBER("window", 1, 100000, &plan.window,
                      "exact takes under way at a time (default: 1,024)"),
        ARG_IS_NUMBER("several", 1, WEFT_BUCKETS_MAX, &plan.several,
                      "buckets in one exact take (default: 1)"),
        ARG_IS_FLAG("json", &json, "print one JSON object"),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 0, 0, &words)) {
    case ARGS_HELP:
        printf("usage: weft-bench %s [options]\n\n%s\n\n", argv[0],
               "Token buckets: exact takes a second with a Redis of its own, and leased ones.");
        args_print(table);
        puts("\nexit codes: 0 done and right, 1 something was wrong, 2 wrong usage");
        return BENCH_GOOD;
    case ARGS_BAD:
        return BENCH_USAGE;
    case ARGS_OK:
        break;
    }
    report_init(&report, "limits");
    plan.names = plan.names < plan.several ? plan.several : plan.names;
    if (!stage_init(&stage, NULL, 1) || !node_begin(&node, &stage)) {
        report_fail(&report, "no Redis to measure with");
    } else {
        measure_exact(&node, &report);
        measure_leased(&node, &report);
    }
    node_end(&node);
    stage_fini(&stage);
    return bench_end(&report, json);
}
