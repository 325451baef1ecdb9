#include <weft/fabric/sweeper.h>

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <weft/base/assert.h>
#include <weft/base/buf.h>
#include <weft/base/clock.h>
#include <weft/redis/conn.h>
#include <weft/redis/keys.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>
#include <weft/wire/name.h>

#include "retention_rules_priv.h"

/*
 * A sweep:  ZSCAN of the topics -> weft1_retain for some of those it named -> ... -> the next ZSCAN,
 * until the scan is at its end. ZSCAN names every topic that is there all the time, whatever is
 * added and removed meanwhile.
 *
 * Publishing trims by number itself, so that is done here only in the first sweep of a turn, for
 * topics to which nobody publishes and whose rule was lowered. When no rule has an age, that sweep
 * is the only one.
 */

#define SCAN_COUNT      200    /* topics in one ZSCAN, about */
#define TOPICS_PER_CALL 100    /* in one weft1_retain ... */
#define ENTRIES_LIMIT   10000  /* ... which ends after removing so many entries, about */
#define REMEMBERED      100000 /* removed topics whose last event is known by name */
#define PAUSE_MS        2      /* between two commands: Redis has others to serve */
#define RETRY_MS        1000   /* after a sweep that failed */

struct target {
    size_t off; /* of its name */
    uint16_t len;
    struct weft_retention keep;
};

struct weft_sweeper {
    /* Const after create. */
    struct weft_sweeper_opts o;
    struct weft_keys keys;
    struct weft_retention_rules rules;
    struct event *timer; /* the next sweep, or the next command of this one */
    pthread_t owner;

    bool on;       /* our turn */
    bool waiting;  /* for an answer */
    bool restart;  /* the answer belongs to a turn that has ended: begin anew after it */
    bool sweeping; /* else the timer is for the next sweep */
    bool counts;   /* numbers are looked at as well */

    /* Of the sweep. */
    uint64_t began_ns;
    uint64_t topics, trimmed, removed;
    char cursor[24]; /* of the scan */
    struct weft_buf names;
    struct target *targets; /* that the last ZSCAN gave */
    size_t n, cap;
    size_t at; /* first that is not done */
};

static void wait_ms(struct weft_sweeper *sw, uint32_t ms)
{
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

    (void)event_add(sw->timer, &tv);
}

/* ---- ends of a sweep ---- */

static void fail(struct weft_sweeper *sw, struct weft_str why) WEFT_ON_CONTROL
{
    uint32_t ms = sw->o.cfg->history.sweep_ms;

    weft_count(sw->o.shard, WEFT_M_RETENTION_FAILED, 1);
    weft_log(sw->o.log, WEFT_LOG_WARN, "retention.failed", WEFT_SN("why", why.p, why.len));
    sw->sweeping = false;
    wait_ms(sw, ms < RETRY_MS ? ms : RETRY_MS);
}

static void finish(struct weft_sweeper *sw) WEFT_ON_CONTROL
{
    uint64_t ns = weft_clock_mono_ns() - sw->began_ns;

    weft_count(sw->o.shard, WEFT_M_RETENTION_SWEEPS, 1);
    weft_observe_ns(sw->o.shard, WEFT_H_RETENTION_SWEEP, ns);
    weft_log(sw->o.log, WEFT_LOG_DEBUG, "retention.swept", WEFT_U("topics", sw->topics),
             WEFT_U("trimmed", sw->trimmed), WEFT_U("removed", sw->removed),
             WEFT_U("ms", ns / 1000000));
    sw->sweeping = false;
    sw->counts = false;
    if (weft_retention_ages(&sw->rules)) {
        wait_ms(sw, sw->o.cfg->history.sweep_ms);
    }
}

/* ---- its steps ---- */

static void start(struct weft_sweeper *sw) WEFT_ON_CONTROL;

/* An answer is here. False: it is not for this turn, or there is none. */
static bool answered(struct weft_sweeper *sw, const struct weft_reply *reply) WEFT_ON_CONTROL
{
    sw->waiting = false;
    if (!sw->on) {
        return false;
    }
    if (sw->restart) {
        sw->restart = false;
        start(sw);
        return false;
    }
    if (weft_redis_function_missing(reply)) {
        int rc = weft_redis_load_functions(sw->o.cn, NULL, NULL);
        (void)rc; /* not up any more: then they are loaded with the next connection */
    }
    if (reply == NULL || weft_reply_is_error(reply)) {
        fail(sw, reply == NULL ? WEFT_STR("Redis is away") : reply->str);
        return false;
    }
    return true;
}

static void retained(void *ctx, const struct weft_reply *reply)
{
    struct weft_sweeper *sw = ctx;
    uint64_t done = 0;
    uint64_t trimmed = 0;
    uint64_t removed = 0;

    weft_role_assert_control(sw->owner);
    (void)(weft_reply_u64(weft_reply_at(reply, 0), &done) &&
           weft_reply_u64(weft_reply_at(reply, 1), &trimmed) &&
           weft_reply_u64(weft_reply_at(reply, 2), &removed));
    weft_count(sw->o.shard, WEFT_M_RETENTION_EVENTS, trimmed);
    weft_count(sw->o.shard, WEFT_M_RETENTION_TOPICS, removed);
    if (!answered(sw, reply)) {
        return;
    }
    sw->trimmed += trimmed;
    sw->removed += removed;
    sw->at += done;
    if (done == 0 && trimmed == 0) {
        sw->at++; /* it gets nowhere with this one */
    }
    wait_ms(sw, PAUSE_MS);
}

static void add_target(struct weft_sweeper *sw, struct weft_str name)
{
    struct weft_retention keep;

    if (!weft_topic_valid(name)) {
        return;
    }
    sw->topics++;
    keep = weft_retention_of(&sw->rules, name);
    if (keep.max_age_s == 0 && keep.idle_s == 0 && !(sw->counts && keep.max_events > 0)) {
        return;
    }
    if (sw->n == sw->cap) {
        sw->cap = sw->cap == 0 ? 2 * SCAN_COUNT : sw->cap * 2;
        sw->targets = realloc(sw->targets, sw->cap * sizeof(*sw->targets));
        WEFT_ASSERT(sw->targets != NULL);
    }
    sw->targets[sw->n++] =
        (struct target){.off = sw->names.len, .len = (uint16_t)name.len, .keep = keep};
    weft_buf_str(&sw->names, name);
}

static void scanned(void *ctx, const struct weft_reply *reply)
{
    struct weft_sweeper *sw = ctx;
    struct weft_str cursor = weft_reply_str(weft_reply_at(reply, 0));
    const struct weft_reply *list = weft_reply_at(reply, 1);

    weft_role_assert_control(sw->owner);
    if (!answered(sw, reply)) {
        return;
    }
    if (cursor.p == NULL || cursor.len >= sizeof(sw->cursor)) {
        fail(sw, WEFT_STR("ZSCAN gave no cursor"));
        return;
    }
    memcpy(sw->cursor, cursor.p, cursor.len);
    sw->cursor[cursor.len] = '\0';
    sw->n = sw->at = 0;
    weft_buf_clear(&sw->names);
    for (size_t i = 0; list != NULL && i + 1 < list->n; i += 2) {
        add_target(sw, weft_reply_str(list->items[i]));
    }
    if (sw->names.toobig) {
        fail(sw, WEFT_STR("ZSCAN gave too many names at once"));
        return;
    }
    wait_ms(sw, PAUSE_MS);
}

/* Makes a command of keys and numbers that lie in one buffer: pieces first, since it may move. */
struct command {
    struct weft_buf text;
    size_t ends[6 + 5 * TOPICS_PER_CALL + 2];
    size_t n;
};

static void end_arg(struct command *c)
{
    WEFT_ASSERT(c->n < WEFT_COUNT_OF(c->ends));
    c->ends[c->n++] = c->text.len;
}

static void arg_u64(struct command *c, uint64_t v)
{
    weft_buf_u64(&c->text, v);
    end_arg(c);
}

static void send_command(struct weft_sweeper *sw, struct command *c,
                         weft_redis_replied *replied) WEFT_ON_CONTROL
{
    struct weft_str argv[WEFT_COUNT_OF(c->ends)];
    size_t from = 0;

    WEFT_ASSERT(!c->text.toobig);
    for (size_t i = 0; i < c->n; i++) {
        argv[i] = weft_str(c->text.data + from, c->ends[i] - from);
        from = c->ends[i];
    }
    sw->waiting = weft_redis_send(sw->o.cn, replied, sw, c->n, argv) == 0;
    weft_buf_fini(&c->text);
    if (!sw->waiting) {
        fail(sw, WEFT_STR("Redis is away"));
    }
}

static void begin_command(struct command *c, const char *name)
{
    weft_buf_init(&c->text, (size_t)1024 * 1024);
    c->n = 0;
    weft_buf_puts(&c->text, name);
    end_arg(c);
}

static void send_scan(struct weft_sweeper *sw) WEFT_ON_CONTROL
{
    struct command c;

    begin_command(&c, "ZSCAN");
    weft_key_topics(&c.text, &sw->keys);
    end_arg(&c);
    weft_buf_puts(&c.text, sw->cursor);
    end_arg(&c);
    weft_buf_puts(&c.text, "COUNT");
    end_arg(&c);
    arg_u64(&c, SCAN_COUNT);
    send_command(sw, &c, scanned);
}

static void send_retain(struct weft_sweeper *sw) WEFT_ON_CONTROL
{
    size_t n = sw->n - sw->at < TOPICS_PER_CALL ? sw->n - sw->at : TOPICS_PER_CALL;
    const struct target *targets = &sw->targets[sw->at];
    struct command c;

    begin_command(&c, "FCALL");
    weft_buf_puts(&c.text, WEFT_FN_RETAIN);
    end_arg(&c);
    arg_u64(&c, 3 + n);
    weft_key_head(&c.text, &sw->keys);
    end_arg(&c);
    weft_key_topics(&c.text, &sw->keys);
    end_arg(&c);
    weft_key_removed(&c.text, &sw->keys);
    end_arg(&c);
    for (size_t i = 0; i < n; i++) {
        weft_key_log(&c.text, &sw->keys, weft_str(sw->names.data + targets[i].off, targets[i].len));
        end_arg(&c);
    }
    arg_u64(&c, ENTRIES_LIMIT);
    arg_u64(&c, REMEMBERED);
    for (size_t i = 0; i < n; i++) {
        weft_buf_append(&c.text, sw->names.data + targets[i].off, targets[i].len);
        end_arg(&c);
        arg_u64(&c, (uint64_t)targets[i].keep.max_age_s * 1000);
        arg_u64(&c, (uint64_t)targets[i].keep.idle_s * 1000);
        arg_u64(&c, sw->counts ? targets[i].keep.max_events : 0);
    }
    send_command(sw, &c, retained);
}

static void start(struct weft_sweeper *sw) WEFT_ON_CONTROL
{
    sw->sweeping = true;
    sw->began_ns = weft_clock_mono_ns();
    sw->topics = sw->trimmed = sw->removed = 0;
    sw->n = sw->at = 0;
    memcpy(sw->cursor, "0", 2);
    send_scan(sw);
}

static void timer_fired(evutil_socket_t fd, short what, void *ctx)
{
    struct weft_sweeper *sw = ctx;

    (void)fd;
    (void)what;
    weft_role_assert_control(sw->owner);
    if (!sw->sweeping) {
        start(sw);
    } else if (sw->at < sw->n) {
        send_retain(sw);
    } else if (strcmp(sw->cursor, "0") != 0) {
        send_scan(sw);
    } else {
        finish(sw);
    }
}

/* ---- life ---- */

int weft_sweeper_create(struct weft_sweeper **ret_sw, const struct weft_sweeper_opts *opts,
                        struct weft_err *err)
{
    struct weft_sweeper *sw = calloc(1, sizeof(*sw));
    int rc;

    if (sw == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    sw->o = *opts;
    sw->keys.prefix = opts->cfg->redis.prefix;
    sw->owner = pthread_self();
    weft_buf_init(&sw->names, (size_t)16 * 1024 * 1024);
    rc = weft_retention_rules_init(&sw->rules, &opts->cfg->history, err);
    if (rc == 0) {
        sw->timer = evtimer_new(opts->base, timer_fired, sw);
        if (sw->timer == NULL) {
            rc = weft_err_set(err, WEFT_ESYS, "", "no timer");
        }
    }
    if (rc != 0) {
        weft_sweeper_destroy(sw);
        return rc;
    }
    *ret_sw = sw;
    return 0;
}

void weft_sweeper_destroy(struct weft_sweeper *sw)
{
    if (sw == NULL) {
        return;
    }
    WEFT_ASSERT(!sw->waiting);
    if (sw->timer != NULL) {
        event_free(sw->timer);
    }
    weft_retention_rules_fini(&sw->rules);
    weft_buf_fini(&sw->names);
    free(sw->targets);
    free(sw);
}

void weft_sweeper_begin(struct weft_sweeper *sw)
{
    sw->on = true;
    sw->counts = true;
    if (sw->waiting) {
        sw->restart = true;
    } else {
        start(sw);
    }
}

void weft_sweeper_end(struct weft_sweeper *sw)
{
    sw->on = false;
    sw->restart = false;
    sw->sweeping = false;
    (void)event_del(sw->timer);
}
