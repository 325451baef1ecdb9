#include <weft/guard/stocks.h>

#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/fabric/feature.h>
#include <weft/loop/mailbox.h>
#include <weft/telemetry/metrics.h>
#include <weft/wire/name.h>

#include "buckets_priv.h"

#define IDLE_MS       1000
#define LOOKS_AT_ONCE 4096 /* stocks that one tick looks at */

struct named_stock {
    UT_hash_handle hh;
    struct named_stock *prev, *next; /* by the last take, oldest first */
    uint64_t number;
    struct weft_stock stock;
    struct weft_bucket_told told; /* by the last answer; remaining is without what lies here */
    uint64_t told_ms;
    bool given;
    char name[WEFT_NAME_MAX + 1];
};

struct weft_stocks {
    struct weft_stocks_opts o;
    struct named_stock *by_name;
    struct named_stock *oldest;
    uint64_t numbers;
};

int weft_stocks_create(struct weft_stocks **ret_sts, const struct weft_stocks_opts *opts)
{
    struct weft_stocks *sts = calloc(1, sizeof(*sts));

    if (sts == NULL) {
        return WEFT_ENOMEM;
    }
    sts->o = *opts;
    *ret_sts = sts;
    return 0;
}

static void drop(struct weft_stocks *sts, struct named_stock *s)
{
    HASH_DELETE(hh, sts->by_name, s);
    DL_DELETE(sts->oldest, s);
    free(s);
    weft_gauge_add(sts->o.shard, WEFT_G_BUCKET_STOCKS, -1);
}

void weft_stocks_destroy(struct weft_stocks *sts)
{
    if (sts != NULL) {
        while (sts->by_name != NULL) {
            drop(sts, sts->by_name);
        }
        free(sts);
    }
}

static struct named_stock *find(struct weft_stocks *sts, struct weft_str name)
{
    struct named_stock *s = NULL;

    HASH_FIND(hh, sts->by_name, name.p, name.len, s);
    return s;
}

/* False: control has too much to do. */
static bool post(struct weft_stocks *sts, const struct named_stock *s,
                 const struct weft_stock_ask *ask)
{
    struct weft_lease_msg *m = weft_lease_msg_create();
    struct weft_msg *msg = &m->rq.msg;

    m->rq.worker = sts->o.worker;
    m->stock = s->number;
    m->ask = *ask;
    m->given = s->given ? s->told.conf : (struct weft_bucket_conf){0};
    memcpy(m->name, s->name, sizeof(m->name));
    if (weft_mailbox_post(sts->o.control, &msg) != 0) {
        weft_count(sts->o.shard, WEFT_M_MAILBOX_FULL, 1);
        msg->ops->drop(msg);
        return false;
    }
    return true;
}

static void ask(struct weft_stocks *sts, struct named_stock *s, uint64_t now_ms)
{
    struct weft_stock_ask what;

    if (weft_stock_ask(&s->stock, now_ms, IDLE_MS, &what) && !post(sts, s, &what)) {
        weft_stock_unsent(&s->stock, &what);
    }
}

enum weft_stocks_take weft_stocks_take(struct weft_stocks *sts, struct weft_str name,
                                       int64_t tokens, uint64_t now_ms,
                                       struct weft_bucket_told *ret_told)
{
    struct named_stock *s = find(sts, name);
    enum weft_stock_take how;
    uint64_t retry_ms = 0;

    if (s == NULL || tokens > s->told.conf.capacity) {
        return WEFT_STOCKS_ASK;
    }
    how = weft_stock_take(&s->stock, tokens, now_ms, &retry_ms);
    if (s->next != NULL) {
        DL_DELETE(sts->oldest, s);
        DL_APPEND(sts->oldest, s);
    }
    ask(sts, s, now_ms);
    if (how == WEFT_STOCK_EMPTY) {
        return WEFT_STOCKS_ASK;
    }
    *ret_told = s->told;
    ret_told->remaining = s->told.remaining + s->stock.held;
    ret_told->stands = WEFT_STANDS_ENOUGH;
    ret_told->retry_ms = 0;
    if (how == WEFT_STOCK_SHORT) {
        bool dry = s->told.conf.dry_run;

        ret_told->retry_ms = (int64_t)retry_ms;
        ret_told->stands = dry ? WEFT_STANDS_DRY : WEFT_STANDS_SHORT;
        s->stock.would += dry ? 1 : 0;
        weft_count(sts->o.shard, dry ? WEFT_M_BUCKET_WOULD_REFUSE : WEFT_M_BUCKET_REFUSED, 1);
        if (!dry) {
            return WEFT_STOCKS_REFUSED;
        }
    }
    weft_count(sts->o.shard, WEFT_M_BUCKET_TAKES, 1);
    weft_count(sts->o.shard, WEFT_M_BUCKET_LEASED, 1);
    return WEFT_STOCKS_TAKEN;
}

/* How many tokens this worker may have of a bucket. */
static int64_t most_of(const struct weft_stocks *sts, const struct weft_bucket_conf *conf)
{
    return conf->leased ? conf->capacity * sts->o.lease_percent / 100 / sts->o.n_workers : 0;
}

void weft_stocks_seen(struct weft_stocks *sts, struct weft_str name,
                      const struct weft_bucket_told *told, bool given, uint64_t now_ms)
{
    int64_t most = most_of(sts, &told->conf);
    struct named_stock *s = find(sts, name);

    if (s != NULL || most < 1 || name.len > WEFT_NAME_MAX) {
        return;
    }
    if (HASH_COUNT(sts->by_name) >= WEFT_STOCKS_MAX) {
        weft_count(sts->o.shard, WEFT_M_BUCKET_STOCKS_FULL, 1);
        return;
    }
    s = calloc(1, sizeof(*s));
    WEFT_ASSERT(s != NULL);
    s->number = ++sts->numbers;
    s->told = *told;
    s->given = given;
    memcpy(s->name, name.p, name.len);
    weft_stock_init(&s->stock, most, now_ms);
    HASH_ADD(hh, sts->by_name, name, name.len, s);
    DL_APPEND(sts->oldest, s);
    weft_gauge_add(sts->o.shard, WEFT_G_BUCKET_STOCKS, 1);
    ask(sts, s, now_ms);
}

void weft_stocks_tick(struct weft_stocks *sts, uint64_t now_ms)
{
    struct named_stock *s = sts->oldest;

    for (int i = 0; s != NULL && i < LOOKS_AT_ONCE && now_ms - s->stock.used_ms >= IDLE_MS; i++) {
        struct named_stock *next = s->next;

        ask(sts, s, now_ms);
        if (weft_stock_is_idle(&s->stock, now_ms)) {
            drop(sts, s);
        }
        s = next;
    }
}

/* ---- what control tells ---- */

static void drop_leased(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_leased_msg, msg));
}

/* What it holds goes back; what is under way to it is lost. */
static void forget(struct weft_stocks *sts, struct named_stock *s)
{
    struct weft_stock_ask back = {.back = s->stock.held, .would = s->stock.would};

    if (back.back > 0 || back.would > 0) {
        (void)post(sts, s, &back);
    }
    drop(sts, s);
}

/*
 * The stock may have been made by an answer that was older than the message that the bucket had been set: the next answer
 * tells, and it is made anew.
 */
static void leased(struct weft_stocks *sts, struct named_stock *s, const struct weft_leased_msg *m,
                   uint64_t now_ms)
{
    weft_stock_answered(&s->stock, m->got, (uint64_t)m->told.retry_ms, now_ms);
    s->told.remaining = m->told.remaining;
    s->told.reset_ms = m->told.reset_ms;
    if (!s->given && most_of(sts, &m->told.conf) != s->stock.most) {
        forget(sts, s);
    } else if (!s->given) {
        s->told = m->told;
    }
}

static void deliver_leased(struct weft_msg *msg, void *owner)
{
    struct weft_stocks *sts = weft_part(owner, WEFT_PART_BUCKETS);
    struct weft_leased_msg *m = WEFT_CONTAINER_OF(msg, struct weft_leased_msg, msg);
    struct named_stock *s = find(sts, weft_str(m->name, strlen(m->name)));

    weft_role_assert_worker(pthread_self());
    if (s != NULL && s->number == m->stock) {
        if (!m->sent) {
            weft_stock_unsent(&s->stock, &m->ask);
        } else if (!m->ok) {
            weft_stock_failed(&s->stock);
        } else {
            leased(sts, s, m, weft_clock_mono_ms());
        }
    }
    free(m);
}

const struct weft_msg_ops weft_leased_ops = {"leased", deliver_leased, drop_leased};

static void drop_forget(struct weft_msg *msg)
{
    free(WEFT_CONTAINER_OF(msg, struct weft_forget_msg, msg));
}

static void deliver_forget(struct weft_msg *msg, void *owner)
{
    struct weft_stocks *sts = weft_part(owner, WEFT_PART_BUCKETS);
    struct weft_forget_msg *m = WEFT_CONTAINER_OF(msg, struct weft_forget_msg, msg);
    struct named_stock *s = find(sts, weft_str(m->name, strlen(m->name)));

    weft_role_assert_worker(pthread_self());
    if (s != NULL) {
        forget(sts, s);
    }
    if (m->name[0] == '\0') {
        while (sts->by_name != NULL) {
            forget(sts, sts->by_name);
        }
    }
    free(m);
}

const struct weft_msg_ops weft_forget_ops = {"forget", deliver_forget, drop_forget};
