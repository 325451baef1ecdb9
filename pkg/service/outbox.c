#include "outbox_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/fabric/publisher.h>
#include <weft/loop/timer.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

/*
 * A list of events; a batch of its first ones is under way, at most one at a time, so that their order is kept. A batch
 * that is refused, all of it for one of its events, is sent again one by one.
 */

#define EVENTS_MAX  4096
#define LINES_MAX   2048 /* of them */
#define BATCH_MAX   200
#define BATCH_BYTES ((size_t)512 * 1024)
#define AGAIN_MS    500
#define AROUND \
    96 /* bytes of an event beside its payload and the names of service and node, at most */

struct letter {
    struct letter *next;
    bool is_line;
    size_t len;
    char json[]; /* the event, as a publisher sends it */
};

struct weft_outbox {
    const struct weft_feature_env *env;
    struct weft_timer *timer;
    struct letter *first, **last;
    size_t n, n_lines;
    size_t sent;   /* of the first ones, under way */
    size_t singly; /* of the first ones, to be sent one by one */
};

static void send(struct weft_outbox *outbox) WEFT_ON_CONTROL;

static void take_off(struct weft_outbox *outbox, size_t n)
{
    while (n-- > 0) {
        struct letter *letter = outbox->first;

        outbox->first = letter->next;
        outbox->n--;
        outbox->singly -= outbox->singly > 0 ? 1 : 0;
        outbox->n_lines -= letter->is_line ? 1 : 0;
        free(letter);
    }
    if (outbox->first == NULL) {
        outbox->last = &outbox->first;
    }
}

/* The first n, for good. */
static void refused(struct weft_outbox *outbox, size_t n, const char *field,
                    const char *why) WEFT_ON_CONTROL
{
    if (outbox->singly == 0) { /* else it has been told */
        weft_log(outbox->env->log, WEFT_LOG_ERROR, "service.event_refused", WEFT_S("field", field),
                 WEFT_S("why", why));
    }
    if (n > 1) {
        outbox->singly = n;
    } else {
        take_off(outbox, 1);
        weft_count(outbox->env->shard, WEFT_M_SERVICE_EVENTS_DROPPED, 1);
    }
}

static bool is_refusal(enum weft_published_rc rc)
{
    return rc == WEFT_PUBLISHED_REFUSED || rc == WEFT_PUBLISHED_FENCED ||
           rc == WEFT_PUBLISHED_OUT_OF_ORDER;
}

static void published(void *ctx, const struct weft_published_msg *m)
{
    struct weft_outbox *outbox = ctx;
    size_t n = outbox->sent;

    weft_role_assert_control(pthread_self());
    outbox->sent = 0;
    if (m->rc == WEFT_PUBLISHED_UNAVAILABLE || m->rc == WEFT_PUBLISHED_UNSURE ||
        m->rc == WEFT_PUBLISHED_BUSY) {
        weft_timer_set(outbox->timer, AGAIN_MS);
        return;
    }
    if (is_refusal(m->rc)) {
        refused(outbox, n, "", m->why);
    } else {
        take_off(outbox, n);
    }
    send(outbox);
}

static void send(struct weft_outbox *outbox)
{
    struct weft_buf body;
    struct weft_err err;
    size_t most = outbox->env->cfg->publish.max_batch;
    size_t n = 0;
    int rc;

    most = outbox->singly > 0 ? 1 : most < BATCH_MAX ? most : BATCH_MAX;
    if (outbox->sent > 0 || outbox->first == NULL) {
        return;
    }
    weft_buf_init(&body, BATCH_BYTES * 2);
    for (struct letter *l = outbox->first; l != NULL && n < most && body.len < BATCH_BYTES;
         l = l->next) {
        weft_buf_append(&body, n == 0 ? "[" : ",", 1);
        weft_buf_append(&body, l->json, l->len);
        n++;
    }
    weft_buf_append(&body, "]", 1);
    outbox->sent = n;
    rc = weft_publisher_send(outbox->env->publisher, WEFT_STR("services"),
                             weft_str(body.data, body.len), published, outbox, &err);
    weft_buf_fini(&body);
    if (rc == 0) {
        return;
    }
    outbox->sent = 0;
    if (rc == WEFT_EFULL) {
        weft_timer_set(outbox->timer, AGAIN_MS);
        return;
    }
    refused(outbox, n, err.field, err.message);
    weft_timer_set(outbox->timer, 0);
}

static void timer_due(void *ctx)
{
    weft_role_assert_control(pthread_self());
    send(ctx);
}

size_t weft_outbox_room(const struct weft_outbox *outbox, const char *id)
{
    size_t around = AROUND + strlen(id) + strlen(outbox->env->node_id);
    size_t most = outbox->env->cfg->publish.max_event_bytes;

    return most > around ? most - around : 0;
}

static bool put(struct weft_outbox *outbox, const char *id, const char *type, bool is_line,
                const struct weft_buf *payload) WEFT_ON_CONTROL
{
    struct weft_buf b;
    struct letter *letter;

    if (outbox->n >= EVENTS_MAX || (is_line && outbox->n_lines >= LINES_MAX) ||
        payload->len > weft_outbox_room(outbox, id)) {
        return false;
    }
    weft_buf_init(&b, payload->len + 1024);
    weft_buf_printf(&b, "{\"type\":\"%s\",\"ts\":%lld,\"service_id\":\"%s\",\"topics\":[", type,
                    (long long)weft_clock_wall_ms(), id);
    weft_buf_printf(&b, "%s\"service:%s\"],\"payload\":", is_line ? "" : "\"services\",", id);
    weft_buf_append(&b, payload->data, payload->len);
    weft_buf_append(&b, "}", 1);
    letter = malloc(sizeof(*letter) + b.len);
    WEFT_ASSERT(letter != NULL && !b.toobig);
    *letter = (struct letter){.is_line = is_line, .len = b.len};
    memcpy(letter->json, b.data, b.len);
    weft_buf_fini(&b);
    *outbox->last = letter;
    outbox->last = &letter->next;
    outbox->n++;
    outbox->n_lines += is_line ? 1 : 0;
    /* In the next turn, with what else this one brings. */
    if (outbox->sent == 0 && !weft_timer_is_set(outbox->timer)) {
        weft_timer_set(outbox->timer, 0);
    }
    return true;
}

bool weft_outbox_put(struct weft_outbox *outbox, const char *id, const char *type,
                     const struct weft_buf *payload)
{
    bool taken = put(outbox, id, type, false, payload);

    if (!taken) {
        weft_count(outbox->env->shard, WEFT_M_SERVICE_EVENTS_DROPPED, 1);
    }
    return taken;
}

bool weft_outbox_put_line(struct weft_outbox *outbox, const char *id,
                          const struct weft_buf *payload)
{
    return put(outbox, id, "log.append", true, payload);
}

void weft_outbox_up(struct weft_outbox *outbox)
{
    send(outbox);
}

bool weft_outbox_is_empty(const struct weft_outbox *outbox)
{
    return outbox->first == NULL;
}

int weft_outbox_create(struct weft_outbox **ret_outbox, const struct weft_feature_env *env)
{
    struct weft_outbox *outbox = calloc(1, sizeof(*outbox));

    WEFT_ASSERT(outbox != NULL);
    outbox->env = env;
    outbox->last = &outbox->first;
    if (weft_timer_create(&outbox->timer, env->base, timer_due, outbox) != 0) {
        free(outbox);
        return WEFT_ENOMEM;
    }
    *ret_outbox = outbox;
    return 0;
}

void weft_outbox_destroy(struct weft_outbox *outbox)
{
    if (outbox == NULL) {
        return;
    }
    take_off(outbox, outbox->n);
    weft_timer_destroy(outbox->timer);
    free(outbox);
}
