#include "hub_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

/*
 * History and topics for people and programs that read on their own: answered as JSON, one or two
 * round trips, never kept. A topic that never had an event, or was removed since, is not
 * found.
 */

#define TOPICS_SEEN_MAX  100000 /* of one listing: the most recently active ones */
#define ANSWER_BYTES_MAX ((size_t)300 * 1024 * 1024)

struct ask {
    struct weft_hub *hub;
    struct weft_ask_msg m;
    uint64_t score;
    uint64_t gone; /* last event of an earlier life, that was removed; or the floor */
    bool known, failed;
    uint64_t length;
    struct weft_id first, last;
};

static void answer(struct ask *ask, uint16_t status, struct weft_buf *body) WEFT_ON_HUB
{
    struct weft_answer_msg *a = calloc(1, sizeof(*a));

    WEFT_ASSERT(a != NULL);
    a->msg.ops = &ask->hub->o.ops->answer;
    a->ticket = ask->m.ticket;
    a->status = status;
    if (body != NULL) {
        a->body = weft_buf_take(body, &a->body_len);
    }
    weft_hub_send(ask->hub, ask->m.worker, &a->msg);
    free(ask);
}

static bool bad(struct ask *ask, const struct weft_reply *reply) WEFT_ON_HUB
{
    if (weft_reply_is_error(reply) && weft_hub_is_news(ask->hub, reply)) {
        weft_log(ask->hub->o.log, WEFT_LOG_ERROR, "redis.error", WEFT_S("for", "history"),
                 WEFT_SN("error", reply->str.p, reply->str.len));
    }
    ask->failed = ask->failed || reply == NULL || weft_reply_is_error(reply);
    return ask->failed;
}

static void put_id(struct weft_buf *b, const char *name, struct weft_id id)
{
    char text[WEFT_ID_MAX_LEN];

    weft_buf_puts(b, name);
    if (id.seq == 0) {
        weft_buf_puts(b, "null");
        return;
    }
    weft_buf_append(b, "\"", 1);
    weft_buf_append(b, text, weft_id_print(text, id));
    weft_buf_append(b, "\"", 1);
}

/* ---- one topic ---- */

static void score_arrived(void *ctx, const struct weft_reply *reply)
{
    struct ask *ask = ctx;

    weft_role_assert_hub(ask->hub->owner);
    if (!bad(ask, reply)) {
        ask->known = weft_reply_u64(reply, &ask->score);
    }
}

static void removed_arrived(void *ctx, const struct weft_reply *reply)
{
    struct ask *ask = ctx;

    weft_role_assert_hub(ask->hub->owner);
    if (!bad(ask, reply)) {
        (void)weft_reply_u64(reply, &ask->gone);
    }
}

static void floor_arrived(void *ctx, const struct weft_reply *reply)
{
    struct ask *ask = ctx;

    weft_role_assert_hub(ask->hub->owner);
    if (!bad(ask, reply) && ask->gone == 0) {
        (void)weft_reply_u64(reply, &ask->gone);
    }
}

static void length_arrived(void *ctx, const struct weft_reply *reply)
{
    struct ask *ask = ctx;

    weft_role_assert_hub(ask->hub->owner);
    if (!bad(ask, reply)) {
        (void)weft_reply_u64(reply, &ask->length);
    }
}

static void entry_id(const struct weft_reply *reply, struct weft_id *ret_id)
{
    (void)weft_id_parse(weft_reply_str(weft_reply_at(weft_reply_at(reply, 0), 0)), ret_id);
}

static void first_arrived(void *ctx, const struct weft_reply *reply)
{
    struct ask *ask = ctx;

    weft_role_assert_hub(ask->hub->owner);
    if (!bad(ask, reply)) {
        entry_id(reply, &ask->first);
    }
}

static void last_arrived(void *ctx, const struct weft_reply *reply)
{
    struct ask *ask = ctx;
    struct weft_buf b;

    weft_role_assert_hub(ask->hub->owner);
    if (bad(ask, reply)) {
        answer(ask, 503, NULL);
        return;
    }
    entry_id(reply, &ask->last);
    if (!ask->known && ask->length == 0) {
        answer(ask, 404, NULL);
        return;
    }
    weft_buf_init(&b, 4096);
    weft_buf_puts(&b, "{\"topic\":");
    weft_buf_json(&b, weft_str(ask->m.name, strlen(ask->m.name)));
    weft_buf_puts(&b, ",\"length\":");
    weft_buf_u64(&b, ask->length);
    put_id(&b, ",\"first_id\":", ask->first);
    put_id(&b, ",\"last_id\":", ask->last);
    weft_buf_puts(&b, ",\"last_seq\":");
    weft_buf_u64(&b, ask->score);
    weft_buf_append(&b, "}", 1);
    answer(ask, 200, &b);
}

/* ---- history ---- */

/* Whether events between the cursor of the request and what is answered are gone. */
static bool has_gap(const struct ask *ask, struct weft_id first, uint64_t first_prev)
{
    const struct weft_ask_msg *m = &ask->m;

    if (m->descending || !m->has_after) {
        return false;
    }
    if (first.seq == 0) { /* nothing is held after it */
        return ask->score > m->after.seq && (!m->has_before || m->before.seq > ask->score);
    }
    if (first_prev == 0) { /* its first event, of this life */
        return ask->gone > m->after.seq && first.seq > m->after.seq + 1;
    }
    return first_prev > m->after.seq;
}

static void put_event(struct weft_buf *b, struct weft_batch_builder *bb, const char *topic,
                      const struct weft_reply *entry, struct weft_id id, bool comma)
{
    const struct weft_reply *fields = weft_reply_at(entry, 1);
    struct weft_str type = weft_reply_str(weft_reply_at(fields, 3));
    struct weft_str event = weft_reply_str(weft_reply_at(fields, 5));

    struct weft_str name = weft_str(topic, strlen(topic));

    if (event.len < 2 || event.p[0] != '{' || !weft_type_valid(type) ||
        !weft_frame_fits(name, type, event)) {
        return;
    }
    weft_batch_add(bb, id, 0, name, type, event);
    if (comma) {
        weft_buf_append(b, ",", 1);
    }
    weft_buf_append(b, bb->bytes + bb->frames[0].json_off, bb->frames[0].json_len);
    bb->n = 0;
    bb->len = 0;
}

static void history_arrived(void *ctx, const struct weft_reply *reply)
{
    struct ask *ask = ctx;
    const struct weft_ask_msg *m = &ask->m;
    struct weft_batch_builder bb;
    struct weft_id id = {0, 0};
    struct weft_id first = {0, 0};
    uint64_t first_prev = 0;
    struct weft_buf b;

    weft_role_assert_hub(ask->hub->owner);
    if (bad(ask, reply)) {
        answer(ask, 503, NULL);
        return;
    }
    if (!ask->known && reply->n == 0) {
        answer(ask, 404, NULL);
        return;
    }
    weft_buf_init(&b, ANSWER_BYTES_MAX);
    weft_batch_builder_init(&bb);
    weft_buf_puts(&b, "{\"events\":[");
    for (size_t i = 0; i < reply->n; i++) {
        const struct weft_reply *entry = weft_reply_at(reply, i);

        if (!weft_id_parse(weft_reply_str(weft_reply_at(entry, 0)), &id)) {
            continue;
        }
        if (first.seq == 0) {
            first = id;
            (void)weft_reply_u64(weft_reply_at(weft_reply_at(entry, 1), 1), &first_prev);
        }
        put_event(&b, &bb, m->name, entry, id, b.data[b.len - 1] != '[');
    }
    weft_batch_builder_fini(&bb);
    /* A full page may have more behind it. */
    put_id(&b, "],\"next\":", reply->n >= m->limit ? id : (struct weft_id){0, 0});
    weft_buf_puts(&b, ",\"gap\":");
    if (has_gap(ask, first, first_prev)) {
        weft_buf_puts(&b, "{\"topic\":");
        weft_buf_json(&b, weft_str(m->name, strlen(m->name)));
        put_id(&b, ",\"after\":", m->after);
        put_id(&b, ",\"next\":", first);
        weft_buf_puts(&b, ",\"reason\":\"trimmed\"}");
    } else {
        weft_buf_puts(&b, "null");
    }
    weft_buf_append(&b, "}", 1);
    if (b.toobig) {
        weft_buf_fini(&b);
        answer(ask, 503, NULL);
        return;
    }
    answer(ask, 200, &b);
}

/* ---- all topics ---- */

struct named {
    struct weft_str name;
    uint64_t seq;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;

    return weft_str_cmp(x->name, y->name);
}

static void topics_arrived(void *ctx, const struct weft_reply *reply)
{
    struct ask *ask = ctx;
    struct named after = {weft_str(ask->m.after_name, strlen(ask->m.after_name)), 0};
    struct weft_str prefix = weft_str(ask->m.name, strlen(ask->m.name));
    struct named *list;
    size_t n = 0;
    size_t shown;
    struct weft_buf b;

    weft_role_assert_hub(ask->hub->owner);
    if (bad(ask, reply)) {
        answer(ask, 503, NULL);
        return;
    }
    list = calloc(reply->n / 2 + 1, sizeof(*list));
    WEFT_ASSERT(list != NULL);
    for (size_t i = 0; i + 1 < reply->n; i += 2) {
        struct named t = {weft_reply_str(reply->items[i]), 0};

        if (t.name.len >= prefix.len && weft_str_eq(weft_str(t.name.p, prefix.len), prefix) &&
            (after.name.len == 0 || by_name(&t, &after) > 0) &&
            weft_reply_u64(reply->items[i + 1], &t.seq)) {
            list[n++] = t;
        }
    }
    qsort(list, n, sizeof(*list), by_name);
    shown = n < ask->m.limit ? n : ask->m.limit;
    weft_buf_init(&b, ANSWER_BYTES_MAX);
    weft_buf_puts(&b, "{\"topics\":[");
    for (size_t i = 0; i < shown; i++) {
        weft_buf_puts(&b, i == 0 ? "{\"topic\":" : ",{\"topic\":");
        weft_buf_json(&b, list[i].name);
        weft_buf_puts(&b, ",\"last_seq\":");
        weft_buf_u64(&b, list[i].seq);
        weft_buf_append(&b, "}", 1);
    }
    weft_buf_puts(&b, "],\"next\":");
    if (shown < n && shown > 0) {
        weft_buf_json(&b, list[shown - 1].name);
    } else {
        weft_buf_puts(&b, "null");
    }
    weft_buf_append(&b, "}", 1);
    free(list);
    answer(ask, 200, &b);
}

/* ---- asking ---- */

static bool send(struct ask *ask, weft_redis_replied *replied, size_t argc,
                 const struct weft_str *argv) WEFT_ON_HUB
{
    return weft_redis_send(ask->hub->rd, replied, ask, argc, argv) == 0;
}

static bool ask_topic(struct ask *ask, struct weft_str topics, struct weft_str log,
                      struct weft_str name) WEFT_ON_HUB
{
    struct weft_str score[] = {WEFT_STR("ZSCORE"), topics, name};
    struct weft_str length[] = {WEFT_STR("XLEN"), log};
    struct weft_str first[] = {WEFT_STR("XRANGE"), log,          WEFT_STR("-"), WEFT_STR("+"),
                               WEFT_STR("COUNT"),  WEFT_STR("1")};
    struct weft_str last[] = {WEFT_STR("XREVRANGE"), log,          WEFT_STR("+"), WEFT_STR("-"),
                              WEFT_STR("COUNT"),     WEFT_STR("1")};

    return send(ask, score_arrived, 3, score) && send(ask, length_arrived, 2, length) &&
           send(ask, first_arrived, 6, first) && send(ask, last_arrived, 6, last);
}

static bool ask_history(struct ask *ask, struct weft_str topics, struct weft_str log,
                        struct weft_str name) WEFT_ON_HUB
{
    struct weft_buf keys;

    const struct weft_ask_msg *m = &ask->m;
    char low[WEFT_ID_MAX_LEN + 1] = "-";
    char high[WEFT_ID_MAX_LEN + 1] = "+";
    char count[20];
    struct weft_str from = weft_str(low, 1);
    struct weft_str to = weft_str(high, 1);
    struct weft_str score[] = {WEFT_STR("ZSCORE"), topics, name};
    size_t len;
    bool sent;

    weft_buf_init(&keys, 512);
    weft_key_removed(&keys, &ask->hub->keys);
    len = keys.len;
    weft_key_head(&keys, &ask->hub->keys);
    struct weft_str removed[] = {WEFT_STR("ZSCORE"), weft_str(keys.data, len), name};
    struct weft_str floor[] = {WEFT_STR("HGET"), weft_str(keys.data + len, keys.len - len),
                               WEFT_STR("floor")};
    if (m->has_after) {
        low[0] = '(';
        from.len = 1 + weft_id_print(low + 1, m->after);
    }
    if (m->has_before) {
        high[0] = '(';
        to.len = 1 + weft_id_print(high + 1, m->before);
    }
    struct weft_str range[] = {m->descending ? WEFT_STR("XREVRANGE") : WEFT_STR("XRANGE"),
                               log,
                               m->descending ? to : from,
                               m->descending ? from : to,
                               WEFT_STR("COUNT"),
                               weft_str(count, weft_u64_print(count, m->limit))};
    weft_count(ask->hub->o.shard, WEFT_M_REPLAY_READS, 1);
    sent = send(ask, score_arrived, 3, score) && send(ask, removed_arrived, 3, removed) &&
           send(ask, floor_arrived, 3, floor) && send(ask, history_arrived, 6, range);
    weft_buf_fini(&keys);
    return sent;
}

void weft_ask_take(struct weft_hub *hub, const struct weft_ask_msg *m)
{
    struct ask *ask = calloc(1, sizeof(*ask));
    struct weft_str name = weft_str(m->name, strlen(m->name));
    struct weft_buf keys;
    char newest[20];
    bool sent;

    WEFT_ASSERT(ask != NULL);
    ask->hub = hub;
    ask->m = *m;
    if (!hub->up) {
        answer(ask, 503, NULL);
        return;
    }
    weft_buf_init(&keys, 1024);
    weft_key_topics(&keys, &hub->keys);
    size_t topics_len = keys.len;
    weft_key_log(&keys, &hub->keys, name);
    struct weft_str topics = weft_str(keys.data, topics_len);
    struct weft_str log = weft_str(keys.data + topics_len, keys.len - topics_len);
    if (m->kind == WEFT_ASK_TOPICS) {
        struct weft_str all[] = {WEFT_STR("ZREVRANGE"), topics, WEFT_STR("0"),
                                 weft_str(newest, weft_u64_print(newest, TOPICS_SEEN_MAX - 1)),
                                 WEFT_STR("WITHSCORES")};
        sent = send(ask, topics_arrived, 5, all);
    } else if (m->kind == WEFT_ASK_TOPIC) {
        sent = ask_topic(ask, topics, log, name);
    } else {
        sent = ask_history(ask, topics, log, name);
    }
    weft_buf_fini(&keys);
    if (!sent) {
        answer(ask, 503, NULL);
    }
}
