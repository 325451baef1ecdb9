#include "fill_priv.h"

#include <weft/base/assert.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#define PAGE_BYTES  ((size_t)256 * 1024) /* aimed at, by the size of the topic's events so far */
#define TOPIC_BYTES 1024                 /* ... and for each topic of many */
#define DUE_MAX     128 /* topics asked at once: their answers wait in Redis until they are read */

/*
 * Pages grow with the number of topics: each page asks all topics that have news, and this is what keeps the number of
 * questions for an event from growing with it too.
 */
static size_t page_bytes(size_t n_topics)
{
    return n_topics <= 1 ? PAGE_BYTES : PAGE_BYTES * 2 + n_topics * TOPIC_BYTES;
}

static void take_entry(struct weft_fill *f, uint32_t topic, const struct weft_reply *entry,
                       size_t *bytes)
{
    struct weft_page_topic *t = &f->pm->topics[topic];
    const struct weft_reply *fields = weft_reply_at(entry, 1);
    struct weft_str type = {NULL, 0};
    struct weft_str event = {NULL, 0};
    struct weft_id id;
    uint64_t prev = 0;

    if (fields == NULL || !weft_id_parse(weft_reply_str(weft_reply_at(entry, 0)), &id)) {
        return;
    }
    t->at = id;
    for (size_t k = 0; k + 1 < fields->n; k += 2) {
        struct weft_str name = weft_reply_str(fields->items[k]);

        if (weft_str_eq(name, WEFT_STR("prev"))) {
            (void)weft_reply_u64(fields->items[k + 1], &prev);
        } else if (weft_str_eq(name, WEFT_STR("type"))) {
            type = weft_reply_str(fields->items[k + 1]);
        } else if (weft_str_eq(name, WEFT_STR("event"))) {
            event = weft_reply_str(fields->items[k + 1]);
        }
    }
    if (!weft_type_valid(type) || event.len < 2 || event.p[0] != '{' ||
        !weft_frame_fits(weft_str(t->name, t->name_len), type, event)) {
        /* Written by somebody else. */
        weft_count(f->hub->o.shard, WEFT_M_LIVE_MALFORMED, 1);
        return;
    }
    *bytes += event.len;
    weft_page_maker_entry(f->pm, topic, id, prev, type, event);
}

static bool is_begun(const struct weft_page_topic *t)
{
    return t->at.ms > 0 || t->at.seq > 0;
}

static void take_entries(struct weft_fill *f, uint32_t topic, const struct weft_reply *reply)
{
    struct weft_page_topic *t = &f->pm->topics[topic];
    struct weft_id before = t->at;
    bool again = is_begun(t);
    size_t bytes = 0;

    for (size_t i = 0; i < reply->n; i++) {
        take_entry(f, topic, weft_reply_at(reply, i), &bytes);
    }
    if (reply->n > 0) {
        weft_sizes_saw(f->sizes, weft_str(t->name, t->name_len), reply->n, bytes);
        f->n_seen += reply->n;
        f->bytes_seen += bytes;
    }
    /*
     * The score was read after the head, so that whoever has the entry of the score has all up to the head. One that has
     * not moved on would be asked for the same for ever.
     */
    t->full = reply->n >= t->count && (!t->known || t->last.seq < t->score) &&
              (t->at.ms != before.ms || t->at.seq != before.seq);
    if (again && reply->n < t->count && t->last.seq != 0 && t->last.seq < t->score) {
        /* What was there before has gone since it was begun: the next page tells that gap. */
        weft_page_maker_end_at(f->pm, t->last);
    }
    if (weft_page_maker_bytes(f->pm) > f->page_bytes * 2) {
        weft_page_maker_cut(f->pm, f->page_bytes);
    }
}

static bool is_wanted(const struct weft_page_maker *pm, const struct weft_page_topic *t)
{
    if (!t->asked) {
        return t->known && t->score > weft_page_maker_after(pm).seq;
    }
    return t->full && t->last.seq < weft_page_maker_end(pm).seq;
}

/* "(ms-seq": behind what was read, or behind the start; "ms-0", "-": from it on. */
static size_t print_start(const struct weft_page_maker *pm, const struct weft_page_topic *t,
                          char *out)
{
    struct weft_id after = is_begun(t) ? t->at : weft_page_maker_after(pm);

    if (after.seq > 0 || after.ms > 0) {
        out[0] = '(';
        return 1 + weft_id_print(out + 1, after);
    }
    if (pm->from == WEFT_READ_TIME) {
        return weft_id_print(out, (struct weft_id){pm->start.ms, 0});
    }
    out[0] = '-';
    return 1;
}

static void entries_arrived(void *ctx, const struct weft_reply *reply);

static bool send_xrange(struct weft_fill *f, uint32_t topic) WEFT_ON_HUB
{
    struct weft_hub *hub = f->hub;
    struct weft_page_topic *t = &f->pm->topics[topic];
    struct weft_str name = weft_str(t->name, t->name_len);
    size_t usual = f->n_seen > 0 ? f->bytes_seen / f->n_seen : 0;
    char start[WEFT_ID_MAX_LEN + 1];
    char count[20];
    struct weft_buf key;
    int rc;

    t->count =
        weft_sizes_ask(f->sizes, name, usual, f->topic_bytes, hub->o.cfg->history.page_events);
    weft_buf_init(&key, 512);
    weft_key_log(&key, &hub->keys, name);
    struct weft_str argv[] = {WEFT_STR("XRANGE"),
                              weft_str(key.data, key.len),
                              weft_str(start, print_start(f->pm, t, start)),
                              WEFT_STR("+"),
                              WEFT_STR("COUNT"),
                              weft_str(count, weft_u64_print(count, t->count))};
    weft_count(hub->o.shard, WEFT_M_REPLAY_READS, 1);
    rc = weft_redis_send(hub->rd, entries_arrived, f, WEFT_COUNT_OF(argv), argv);
    weft_buf_fini(&key);
    if (rc != 0) {
        f->failed = true;
        return false;
    }
    t->asked = t->due = true;
    f->n_due++;
    return true;
}

static void ask_more(struct weft_fill *f) WEFT_ON_HUB
{
    struct weft_page_maker *pm = f->pm;

    while (!f->failed && f->n_due < DUE_MAX && f->next_ask < pm->n_topics) {
        if (is_wanted(pm, &pm->topics[f->next_ask]) && !send_xrange(f, f->next_ask)) {
            return;
        }
        f->next_ask++;
    }
}

/* No reply is due: asks those that are still wanted, or is done. */
static void next_round(struct weft_fill *f) WEFT_ON_HUB
{
    struct weft_page_maker *pm = f->pm;
    size_t n = 0;

    for (size_t i = 0; i < pm->n_topics; i++) {
        n += is_wanted(pm, &pm->topics[i]) ? 1 : 0;
    }
    if (f->page_bytes == 0) {
        f->page_bytes = page_bytes(n);
    }
    if (!f->failed && n > 0 && weft_page_maker_ready(pm) < f->page_bytes / 2) {
        /* Of several, what one has beyond the end of another is no use: each may fill twice its part. */
        f->topic_bytes = n > 1 ? f->page_bytes / n * 2 : f->page_bytes;
        f->next_ask = f->next_reply = 0;
        ask_more(f);
    }
    if (f->n_due == 0) {
        f->done(f->ctx, !f->failed);
    }
}

static void entries_arrived(void *ctx, const struct weft_reply *reply)
{
    struct weft_fill *f = ctx;
    struct weft_page_maker *pm = f->pm;

    weft_role_assert_hub(f->hub->owner);
    while (!pm->topics[f->next_reply].due) {
        f->next_reply++;
    }
    pm->topics[f->next_reply].due = false;
    f->n_due--;
    if (reply == NULL || weft_reply_is_error(reply)) {
        f->failed = true;
        if (reply != NULL && weft_hub_is_news(f->hub, reply)) {
            weft_log(f->hub->o.log, WEFT_LOG_ERROR, "redis.error", WEFT_S("command", "XRANGE"),
                     WEFT_SN("error", reply->str.p, reply->str.len));
        }
    } else if (!f->failed) {
        take_entries(f, f->next_reply, reply);
    }
    ask_more(f);
    if (f->n_due == 0) {
        if (f->early && pm->reset) {
            weft_page_maker_rewind(
                pm); /* asked for after a start that this history does not have */
        }
        f->early = false;
        next_round(f);
    }
}

void weft_fill_begin(struct weft_fill *f)
{
    next_round(f);
}

bool weft_fill_begin_early(struct weft_fill *f)
{
    f->early = true;
    f->page_bytes = f->topic_bytes = page_bytes(1);
    return send_xrange(f, 0);
}
