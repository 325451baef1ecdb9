#include "worker_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include <weft/auth/grant.h>
#include <weft/base/assert.h>
#include <weft/base/random.h>
#include <weft/guard/buckets.h>
#include <weft/guard/stocks.h>
#include <weft/wire/name.h>
#include <weft/wire/sse.h>

/*
 * The limits of the node's own API: a request takes a token from the bucket of whoever sends it,
 * `weft.subject:<sub>` (limits.subject_*) or `weft.address:<address>` (limits.api_*), a leased one that is made with
 * its first request. Mostly the worker has tokens at
 * hand; else the request waits for control.
 */

#define NAME_MAX_LEN    80
#define SUBJECT_MAX_LEN 64 /* in a name as it is */

struct admission {
    struct weft_waiting waiting;
    struct weft_call call;
    struct weft_bucket_conf conf;
    char name[NAME_MAX_LEN];
};

/* ---- whose bucket ---- */

/* A subject that cannot stand in a bucket's name is put there as a hash that nobody can aim at. */
static void bucket_of_subject(struct weft_str subject, char *out)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[SHA256_DIGEST_LENGTH];
    int n = snprintf(out, NAME_MAX_LEN, "weft.subject:");

    if (weft_topic_valid(subject) && subject.len < SUBJECT_MAX_LEN && subject.p[0] != ':') {
        memcpy(out + n, subject.p, subject.len);
        out[(size_t)n + subject.len] = '\0';
        return;
    }
    (void)SHA256((const unsigned char *)subject.p, subject.len, digest);
    out[n++] = ':';
    for (size_t i = 0; i < 16; i++) {
        out[n++] = hex[digest[i] >> 4];
        out[n++] = hex[digest[i] & 15];
    }
    out[n] = '\0';
}

static bool has_subject(const struct weft_call *call)
{
    return call->grant != NULL && call->grant->is.subject.len > 0;
}

/* The name of the sender's bucket: that of his token's subject, else that of his address. */
static void bucket_of_sender(struct weft_call *call, char *out) WEFT_ON_WORKER
{
    char address[WEFT_ADDRESS_MAX];

    if (has_subject(call)) {
        bucket_of_subject(call->grant->is.subject, out);
        return;
    }
    weft_address_of(call->req, call->worker->o.cfg->limits.api_proxies, address);
    (void)snprintf(out, NAME_MAX_LEN, "weft.address:%s", address);
}

static struct weft_bucket_conf conf_of(const struct weft_config *cfg, bool subject)
{
    uint32_t per_s = subject ? cfg->limits.subject_per_s : cfg->limits.api_per_s;
    uint32_t burst = subject ? cfg->limits.subject_burst : cfg->limits.api_burst;

    return (struct weft_bucket_conf){.capacity = burst > 0 ? burst : (int64_t)per_s * 2,
                                     .rate = (int64_t)per_s * 1000,
                                     .leased = true,
                                     .dry_run = cfg->limits.api_dry_run,
                                     .without_redis = (enum weft_without)cfg->limits.without_redis};
}

/* ---- refusals ---- */

/* An EventSource gives up for ever on any other status than 200: it is told when to come back. */
void weft_turn_stream_away(struct weft_call *call, int64_t retry_ms)
{
    const struct weft_config *cfg = call->worker->o.cfg;
    struct weft_buf *b = &call->worker->scratch;
    uint64_t wait = cfg->sse.retry_ms > retry_ms ? cfg->sse.retry_ms : (uint64_t)retry_ms;

    wait += weft_random_next(&call->worker->rng) % ((uint64_t)cfg->sse.retry_jitter_ms + 1);
    weft_moved_print(b, "limited", wait < 3600000 ? (uint32_t)wait : 3600000,
                     !weft_str_eq(weft_query_get(call->query, "named"), WEFT_STR("0")));
    weft_count(call->worker->o.shard, WEFT_M_CONTROL_EVENTS, 1);
    call->req->http1_is_persistent = 0;
    weft_respond(call->req, 200, "text/event-stream", weft_str(b->data, b->len));
    weft_buf_clear(b);
}

static void turn_away(struct weft_call *call, const char *name, const struct weft_bucket_told *told)
    WEFT_ON_WORKER
{
    weft_count(call->worker->o.shard, WEFT_M_API_LIMITED, 1);
    weft_count(call->worker->o.shard, WEFT_M_REFUSED_RATE, 1);
    weft_limit_headers(call->req, weft_str(name, strlen(name)), told, true);
    if (weft_call_is_stream(call)) {
        weft_turn_stream_away(call, told->retry_ms);
    } else {
        weft_respond_problem(
            call->req, 429, "limited", "",
            has_subject(call)
                ? "too many requests with tokens of your subject (limits.subject_per_s)"
                : "too many requests from your address (limits.api_per_s)");
    }
}

/* Lets it pass, or not. */
static bool decided(struct weft_call *call, const char *name, bool taken,
                    const struct weft_bucket_told *told) WEFT_ON_WORKER
{
    if (taken && told->stands != WEFT_STANDS_DRY) {
        return true;
    }
    if (call->worker->o.cfg->limits.api_dry_run) {
        weft_count(call->worker->o.shard, WEFT_M_API_WOULD_LIMIT, 1);
        return true;
    }
    if (!taken) {
        turn_away(call, name, told);
    }
    return taken;
}

/* ---- waiting for control ---- */

static void answered(struct weft_waiting *waiting, struct weft_answer_msg *answer)
{
    struct admission *ad = WEFT_CONTAINER_OF(waiting, struct admission, waiting);
    const struct weft_taken_msg *m = WEFT_CONTAINER_OF(answer, struct weft_taken_msg, answer);
    struct weft_call call = ad->call;
    struct weft_bucket_told told = m->told[0];

    weft_role_assert_worker(call.worker->owner);
    weft_ticket_free(call.worker, &ad->waiting);
    weft_unwatch(call.req);
    if (m->by == WEFT_DECIDED_REDIS) {
        told.conf = ad->conf;
        weft_stocks_seen(call.worker->stocks, weft_str(ad->name, strlen(ad->name)), &told, true,
                         call.worker->now_ms);
    }
    if (decided(&call, ad->name, m->taken, &told)) {
        weft_call_go_on(&call);
    }
    free(ad);
}

static void ask(struct weft_call *call, const struct weft_bucket_conf *conf, const char *name)
    WEFT_ON_WORKER
{
    struct weft_take_msg *m = weft_take_create(1);
    struct admission *ad = calloc(1, sizeof(*ad));

    WEFT_ASSERT(ad != NULL);
    (void)snprintf(m->items[0].name, sizeof(m->items[0].name), "%s", name);
    (void)snprintf(ad->name, sizeof(ad->name), "%s", name);
    m->items[0].tokens = 1;
    m->items[0].conf = *conf;
    ad->conf = *conf;
    ad->call = *call;
    ad->waiting.answer = answered;
    if (!weft_take_post(call->worker, &ad->waiting, m)) {
        free(ad);
        weft_respond_problem(call->req, 503, "busy", "", "too much is being asked at the moment");
        return;
    }
    weft_watch(call->req, NULL);
}

bool weft_admit(struct weft_call *call)
{
    struct weft_worker *worker = call->worker;
    struct weft_bucket_conf conf;
    struct weft_bucket_told told;
    enum weft_stocks_take how;
    char name[NAME_MAX_LEN];

    conf = conf_of(worker->o.cfg, has_subject(call));
    if (conf.rate == 0) {
        return true;
    }
    bucket_of_sender(call, name);
    how = weft_stocks_take(worker->stocks, weft_str(name, strlen(name)), 1, worker->now_ms, &told);
    if (how == WEFT_STOCKS_ASK) {
        ask(call, &conf, name);
        return false;
    }
    return decided(call, name, how == WEFT_STOCKS_TAKEN, &told);
}

/* ---- messages of a WebSocket, each as good as a request ---- */

static char *copy_of(const char *name)
{
    char *copy = strdup(name);

    WEFT_ASSERT(copy != NULL);
    return copy;
}

char *weft_admit_bucket(struct weft_call *call)
{
    char name[NAME_MAX_LEN];

    if (conf_of(call->worker->o.cfg, has_subject(call)).rate == 0) {
        return NULL;
    }
    bucket_of_sender(call, name);
    return copy_of(name);
}

char *weft_admit_bucket_of(const struct weft_worker *worker, struct weft_str subject)
{
    char name[NAME_MAX_LEN];

    if (conf_of(worker->o.cfg, true).rate == 0) {
        return NULL;
    }
    bucket_of_subject(subject, name);
    return copy_of(name);
}

static bool is_subjects(const char *bucket)
{
    return weft_str_starts(weft_str(bucket, strlen(bucket)), "weft.subject:");
}

static bool admitted(struct weft_worker *worker, bool taken, const struct weft_bucket_told *told,
                     int64_t *ret_retry_ms) WEFT_ON_WORKER
{
    if (taken && told->stands != WEFT_STANDS_DRY) {
        return true;
    }
    if (worker->o.cfg->limits.api_dry_run) {
        weft_count(worker->o.shard, WEFT_M_API_WOULD_LIMIT, 1);
        return true;
    }
    *ret_retry_ms = told->retry_ms;
    return taken;
}

enum weft_admit weft_admit_message(struct weft_worker *worker, const char *bucket,
                                   struct weft_waiting *waiting, int64_t *ret_retry_ms)
{
    struct weft_take_msg *m;
    struct weft_bucket_told told;
    enum weft_stocks_take how = weft_stocks_take(worker->stocks, weft_str(bucket, strlen(bucket)),
                                                 1, worker->now_ms, &told);

    if (how != WEFT_STOCKS_ASK) {
        return admitted(worker, how == WEFT_STOCKS_TAKEN, &told, ret_retry_ms) ? WEFT_ADMIT_YES
                                                                               : WEFT_ADMIT_NO;
    }
    m = weft_take_create(1);
    (void)snprintf(m->items[0].name, sizeof(m->items[0].name), "%s", bucket);
    m->items[0].tokens = 1;
    m->items[0].conf = conf_of(worker->o.cfg, is_subjects(bucket));
    if (!weft_take_post(worker, waiting, m)) {
        *ret_retry_ms = 1000; /* control has too much to do */
        return WEFT_ADMIT_NO;
    }
    return WEFT_ADMIT_WAITS;
}

bool weft_admit_answered(struct weft_worker *worker, const char *bucket,
                         struct weft_answer_msg *answer, int64_t *ret_retry_ms)
{
    const struct weft_taken_msg *m = WEFT_CONTAINER_OF(answer, struct weft_taken_msg, answer);
    struct weft_bucket_told told = m->told[0];

    if (m->by == WEFT_DECIDED_REDIS) {
        told.conf = conf_of(worker->o.cfg, is_subjects(bucket));
        weft_stocks_seen(worker->stocks, weft_str(bucket, strlen(bucket)), &told, true,
                         worker->now_ms);
    }
    return admitted(worker, m->taken, &told, ret_retry_ms);
}
