#include "sim_hub.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <weft/base/assert.h>
#include <weft/telemetry/metrics.h>

struct sim_line {
    struct sim_line *next;
    size_t event;
    uint32_t topic;
    bool partition; /* by the partition's channel */
};

enum sim_kind { SIM_NOTHING, SIM_FOLLOWED, SIM_LIVE, SIM_BROKEN, SIM_REDIS, SIM_PAGE };

struct sim_msg {
    struct sim_msg *next;
    enum sim_kind kind;
    uint32_t topic;
    uint64_t from, base;
    struct weft_id head;
    struct weft_batch *batch;
    bool up;
    struct weft_history *history; /* Redis is up with it; NULL: as before */
    struct sim_sub *sub;
    uint64_t ticket;
    struct weft_page *page; /* NULL: failed */
    bool unavailable;
};

struct sim_read {
    struct sim_read *next;
    struct sim_sub *sub;
    uint64_t ticket;
    enum sim_start from;
    struct weft_id start;
    struct weft_buf what;
    struct weft_page *page; /* of a kept one */
};

static struct sim_msg *post(struct sim_hub *hub, enum sim_kind kind)
{
    struct sim_msg *m = calloc(1, sizeof(*m));

    WEFT_ASSERT(m != NULL);
    m->kind = kind;
    if (hub->mail == NULL)
        hub->mail = m;
    else
        hub->mail_tail->next = m;
    hub->mail_tail = m;
    return m;
}

static void see_head(struct sim_hub *hub, struct weft_id id)
{
    if (id.seq > hub->head.seq)
        hub->head = id;
}

static void read_free(struct sim_read *read)
{
    weft_buf_fini(&read->what);
    weft_page_unref(read->page);
    free(read);
}

static void forget_kept(struct sim_hub *hub)
{
    while (hub->kept != NULL) {
        struct sim_read *read = hub->kept;

        LL_DELETE(hub->kept, read);
        read_free(read);
    }
}

/* same: it was only the worker that had missed something. */
static void tell_redis(struct sim_hub *hub, bool up, bool same)
{
    struct sim_msg *m = post(hub, SIM_REDIS);

    m->up = up;
    if (!up || same)
        return;
    m->history = malloc(sizeof(*m->history));
    WEFT_ASSERT(m->history != NULL);
    *m->history = hub->history;
    m->history->head = hub->head;
}

/* ---- live lines ---- */

static void seal(struct sim_hub *hub)
{
    struct weft_batch *batch = weft_batch_seal(&hub->bb, 0);

    if (batch == NULL)
        return;
    if (hub->behind) {
        sim_trace("hub %u: is behind, drops %lu\n", hub->o.index,
                  (unsigned long)batch->frames[0].id.seq);
        hub->lost = true;
        weft_batch_unref(batch);
        return;
    }
    post(hub, SIM_LIVE)->batch = batch;
}

static void history_changed(struct sim_hub *hub)
{
    if (!hub->up)
        return;
    sim_trace("hub %u: the history changed\n", hub->o.index);
    seal(hub);
    hub->up = false;
    hub->asking = true;
    forget_kept(hub);
    tell_redis(hub, false, false);
}

/* Redis's head was read (fabric/head.c): was it born when the one was that is known, and has it all that was seen? */
static bool is_another(struct sim_hub *hub)
{
    uint64_t born_ms = hub->redis->history.born_ms;
    bool born_again = hub->history.born_ms != 0 ? hub->history.born_ms != born_ms
                                                : hub->head.seq > 0 && hub->head.ms < born_ms;

    if (born_again || hub->redis->head.seq < hub->head.seq) {
        history_changed(hub);
        return true;
    }
    hub->history.born_ms = born_ms;
    return false;
}

/* Time went on and the count did not: the partition was flushed. */
static void see_history(struct sim_hub *hub, const struct sim_line *line)
{
    struct weft_id id = hub->redis->events[line->event].id;

    if (id.seq < hub->head.seq && id.ms > hub->head.ms)
        history_changed(hub);
}

static void broken(struct sim_hub *hub, uint64_t base)
{
    struct sim_msg *m;

    seal(hub);
    m = post(hub, SIM_BROKEN);
    m->from = hub->follows[SIM_ALL].from;
    m->base = base;
}

static void add_line(struct sim_hub *hub, const struct sim_line *line)
{
    see_history(hub, line);

    struct sim_follow *f = &hub->follows[line->topic];
    struct sim_follow *all = &hub->follows[SIM_ALL];
    struct weft_id id = hub->redis->events[line->event].id;
    bool wanted = false;

    if (all->synced && id.seq > all->from && (!line->partition || id.seq < all->last))
        return;
    if (line->partition && all->subscribed) {
        if (all->synced && id.seq > all->last + 1)
            broken(hub, id.seq - 1);
        wanted = all->wanted && (!all->synced || id.seq >= all->last);
        all->last = id.seq > all->last ? id.seq : all->last;
    }
    if (f->wanted && id.seq > f->last) {
        f->last = id.seq;
        wanted = true;
    }
    see_head(hub, id);
    if (!wanted)
        return;
    if (hub->bb.n > 0 && (hub->bb_topic != line->topic || sim_chance(hub->rng, 10)))
        seal(hub);
    hub->bb_topic = line->topic;
    sim_redis_format(hub->redis, line->event, line->topic, &hub->bb);
}

bool sim_hub_receive(struct sim_hub *hub, uint32_t n)
{
    bool any = hub->lines != NULL;

    while (n-- > 0 && hub->lines != NULL) {
        struct sim_line *line = hub->lines;

        hub->lines = line->next;
        add_line(hub, line);
        free(line);
    }
    seal(hub);
    return any;
}

static void send_line(struct sim_hub *hub, size_t event, uint32_t topic, bool partition)
{
    struct sim_line *line = calloc(1, sizeof(*line));

    WEFT_ASSERT(line != NULL);
    *line = (struct sim_line){NULL, event, topic, partition};
    if (hub->lines == NULL)
        hub->lines = line;
    else
        hub->lines_tail->next = line;
    hub->lines_tail = line;
}

static void lose(struct sim_hub *hub, size_t first, size_t n, uint32_t topics)
{
    for (size_t i = first; i < first + n; i++) {
        if ((hub->redis->events[i].topics & topics) != 0) {
            hub->redis->events[i].lost |= 1U << hub->o.index;
            sim_trace("hub %u: loses %lu\n", hub->o.index,
                      (unsigned long)hub->redis->events[i].id.seq);
        }
    }
}

/*
 * All lines in one message by the partition's channel, then each topic's, in an order in which ids do not go back.
 * Lost are all messages, or those of some topics. While all are heard from the beginning, nobody is to notice.
 */
void sim_hub_published(struct sim_hub *hub, size_t first, size_t n)
{
    bool all = hub->follows[SIM_ALL].subscribed;
    uint32_t lost = 0;

    if (!hub->up && !hub->asking)
        return;
    if (sim_chance(hub->rng, hub->o.lose)) {
        lost = sim_chance(hub->rng, 50) ? UINT32_MAX : (uint32_t)sim_random(hub->rng);
        if ((lost == UINT32_MAX || !all) && !(hub->o.partition && hub->follows[SIM_ALL].synced))
            lose(hub, first, n, lost);
    }
    for (size_t i = first; all && lost != UINT32_MAX && i < first + n; i++) {
        for (uint32_t t = 0; t < SIM_TOPICS; t++) {
            if ((hub->redis->events[i].topics & 1U << t) != 0)
                send_line(hub, i, t, true);
        }
    }
    for (size_t i = first; i < first + n; i++) {
        for (uint32_t t = 0; t < SIM_TOPICS; t++) {
            if ((hub->redis->events[i].topics & ~lost & 1U << t) != 0 &&
                hub->follows[t].subscribed && !hub->o.partition)
                send_line(hub, i, t, false);
        }
    }
}

/* ---- topics ---- */

static uint64_t newest_of(const struct sim_hub *hub, uint32_t topic)
{
    return topic == SIM_ALL ? hub->redis->head.seq : sim_redis_score(hub->redis, topic);
}

static void tell(struct sim_hub *hub, uint32_t topic)
{
    struct sim_msg *m;

    if (!hub->follows[topic].wanted)
        return;
    m = post(hub, SIM_FOLLOWED);
    m->topic = topic;
    m->base = hub->follows[topic].last;
    m->head = hub->head;
}

bool sim_hub_follow(struct sim_hub *hub)
{
    uint32_t start = sim_below(hub->rng, SIM_TOPICS + 1);

    for (uint32_t i = 0; hub->up && i <= SIM_TOPICS; i++) {
        uint32_t topic = (start + i) % (SIM_TOPICS + 1);
        struct sim_follow *f = &hub->follows[topic];

        if (!(f->wanted || (hub->o.partition && topic == SIM_ALL)) || f->synced)
            continue;
        if (hub->o.partition && topic != SIM_ALL && !hub->follows[SIM_ALL].synced)
            continue; /* both are asked for in one command */
        if (!f->subscribed) {
            f->subscribed = true;
        } else if (!f->asked_base) {
            if (is_another(hub))
                return true;
            f->asked_base = true;
            f->head = hub->redis->head;
            f->base = newest_of(hub, topic);
        } else {
            seal(hub);
            see_head(hub, f->head);
            f->last = f->base > f->last ? f->base : f->last;
            f->from = f->last;
            f->synced = true;
            tell(hub, topic);
        }
        return true;
    }
    return false;
}

/*
 * An answer that was on its way to who did not want the topic any more would be taken for that to who wants it again. The
 * hub has no number for it: what is published in between then comes late, as if its live message had been lost. So rare
 * that it is left out here.
 */
static void forget_answers(struct sim_hub *hub, uint32_t topic)
{
    struct sim_msg *m;

    for (m = hub->mail; m != NULL; m = m->next) {
        if (m->kind == SIM_FOLLOWED && m->topic == topic)
            m->kind = SIM_NOTHING;
    }
}

static void ops_follow(void *ctx, struct weft_str topic, bool on)
{
    struct sim_hub *hub = ctx;
    uint32_t t = SIM_ALL;

    hub->n_follows++;
    for (uint32_t i = 0; i < SIM_TOPICS; i++)
        t = weft_str_eq(topic, sim_topic(i)) ? i : t;
    WEFT_ASSERT((t == SIM_ALL) == (topic.len == 0) && hub->follows[t].wanted != on);
    if (t != SIM_ALL || !hub->o.partition)
        memset(&hub->follows[t], 0, sizeof(hub->follows[t]));
    hub->follows[t].wanted = on;
    forget_answers(hub, t);
    if (on && hub->follows[t].synced) {
        seal(hub);
        tell(hub, t);
    }
}

void sim_hub_audit(struct sim_hub *hub)
{
    struct sim_follow *all = &hub->follows[SIM_ALL];

    if (!hub->up || is_another(hub))
        return;
    if (all->synced && newest_of(hub, SIM_ALL) > all->last) {
        all->last = newest_of(hub, SIM_ALL);
        see_head(hub, hub->redis->head);
        broken(hub, all->last);
    }
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        struct sim_follow *f = &hub->follows[t];

        if (f->synced && newest_of(hub, t) > f->last) {
            seal(hub);
            f->last = newest_of(hub, t);
            see_head(hub, hub->redis->head);
            tell(hub, t);
        }
    }
}

/* ---- pages ---- */

static bool ops_read(void *ctx, struct weft_sub *sub)
{
    static const enum sim_start starts[] = {
        [WEFT_FROM_NOW] = SIM_AFTER,
        [WEFT_FROM_CURSOR] = SIM_AFTER,
        [WEFT_FROM_EARLIEST] = SIM_EARLIEST,
        [WEFT_FROM_TIME] = SIM_TIME,
    };
    struct sim_hub *hub = ctx;
    struct sim_read *read;

    hub->n_reads++;
    if (sim_chance(hub->rng, hub->o.refuse))
        return false;
    read = calloc(1, sizeof(*read));
    WEFT_ASSERT(read != NULL);
    read->sub = WEFT_CONTAINER_OF(sub, struct sim_sub, sub);
    read->ticket = read->sub->ticket;
    read->from = starts[weft_sub_read_start(sub, &read->start)];
    weft_buf_init(&read->what, 4096);
    weft_sub_what(sub, &read->what);
    LL_APPEND(hub->reads, read);
    sim_trace("hub %u: ticket %lu reads %.*s after %lu\n", hub->o.index,
              (unsigned long)read->ticket, (int)read->what.len, read->what.data,
              (unsigned long)read->start.seq);
    return true;
}

static void answer(struct sim_hub *hub, const struct sim_read *read, struct weft_page *page,
                   bool unavailable)
{
    struct sim_msg *m = post(hub, SIM_PAGE);

    m->sub = read->sub;
    m->ticket = read->ticket;
    m->page = page == NULL ? NULL : weft_page_ref(page);
    m->unavailable = unavailable;
}

static struct sim_read *find_kept(struct sim_hub *hub, const struct sim_read *read)
{
    struct sim_read *k;

    LL_FOREACH(hub->kept, k) {
        if (k->from == read->from && k->start.seq == read->start.seq &&
            k->start.ms == read->start.ms &&
            weft_str_eq(weft_str(k->what.data, k->what.len),
                        weft_str(read->what.data, read->what.len)))
            return k;
    }
    return NULL;
}

/* Pages that were read a while ago are handed out again, as the hub does. */
bool sim_hub_read(struct sim_hub *hub, uint32_t page_events)
{
    struct sim_read *read = hub->reads;
    struct sim_read *kept;

    if (read == NULL)
        return false;
    LL_DELETE(hub->reads, read);
    if (!hub->up || sim_chance(hub->rng, hub->o.refuse)) {
        answer(hub, read, NULL, !hub->up || sim_chance(hub->rng, 50));
        read_free(read);
        return true;
    }
    kept = find_kept(hub, read);
    if (kept != NULL && sim_chance(hub->rng, 70)) {
        answer(hub, read, kept->page, false);
        read_free(read);
        return true;
    }
    if (is_another(hub)) {
        answer(hub, read, NULL, true);
        read_free(read);
        return true;
    }
    see_head(hub, hub->redis->head);
    read->page = sim_redis_page(hub->redis, weft_str(read->what.data, read->what.len), read->from,
                                read->start, page_events);
    if (read->from != SIM_AFTER && read->ticket == read->sub->ticket && hub->o.begins != NULL)
        hub->o.begins(hub->o.ctx, read->sub, read->from, read->start);
    answer(hub, read, read->page, false);
    if (kept == NULL && read->from == SIM_AFTER && read->page->batch != NULL)
        LL_PREPEND(hub->kept, read);
    else
        read_free(read);
    return true;
}

/* ---- the mailbox ---- */

static void msg_free(struct sim_msg *m)
{
    weft_batch_unref(m->batch);
    weft_page_unref(m->page);
    free(m->history);
    free(m);
}

static void deliver(struct sim_hub *hub, const struct sim_msg *m)
{
    switch (m->kind) {
    case SIM_NOTHING:
        break;
    case SIM_FOLLOWED:
        sim_trace("hub %u: followed %s from %lu, head %lu\n", hub->o.index,
                  m->topic == SIM_ALL ? "all" : sim_topics[m->topic], (unsigned long)m->base,
                  (unsigned long)m->head.seq);
        weft_fanout_followed(hub->fo, m->topic == SIM_ALL ? weft_str("", 0) : sim_topic(m->topic),
                             m->base, m->head);
        break;
    case SIM_LIVE:
        sim_trace("hub %u: live %lu to %lu of %.*s\n", hub->o.index,
                  (unsigned long)m->batch->frames[0].id.seq,
                  (unsigned long)m->batch->frames[m->batch->n - 1].id.seq,
                  (int)m->batch->frames[0].topic_len,
                  m->batch->bytes + m->batch->frames[0].topic_off);
        weft_fanout_live(hub->fo, m->batch);
        break;
    case SIM_BROKEN:
        sim_trace("hub %u: broken up to %lu\n", hub->o.index, (unsigned long)m->base);
        weft_fanout_broken(hub->fo, m->from, m->base);
        break;
    case SIM_REDIS:
        sim_trace("hub %u: redis %s\n", hub->o.index, m->up ? "up" : "down");
        if (m->up)
            weft_fanout_up(hub->fo, m->history);
        else
            weft_fanout_down(hub->fo);
        break;
    case SIM_PAGE:
        if (m->ticket != m->sub->ticket || m->sub->hub != hub)
            break;
        if (m->page != NULL)
            sim_trace("hub %u: ticket %lu gets a page of %u up to %lu%s\n", hub->o.index,
                      (unsigned long)m->ticket, m->page->batch == NULL ? 0 : m->page->batch->n,
                      (unsigned long)m->page->upto.seq, m->page->more ? ", more" : "");
        if (m->page != NULL)
            weft_sub_page_arrived(&m->sub->sub, m->page);
        else
            weft_sub_page_failed(&m->sub->sub, m->unavailable);
        break;
    }
}

bool sim_hub_deliver(struct sim_hub *hub, uint32_t n)
{
    bool any = hub->mail != NULL;

    while (n-- > 0 && hub->mail != NULL) {
        struct sim_msg *m = hub->mail;

        hub->mail = m->next;
        deliver(hub, m);
        msg_free(m);
    }
    weft_fanout_flush(hub->fo);
    return any;
}

/* ---- Redis comes and goes ---- */

void sim_hub_up(struct sim_hub *hub)
{
    hub->history = sim_redis_history(hub->redis);
    hub->head = hub->history.head;
    hub->up = true;
    tell_redis(hub, true, false);
    for (uint32_t t = 0; t <= SIM_TOPICS; t++) {
        struct sim_follow *f = &hub->follows[t];

        *f = (struct sim_follow){.wanted = f->wanted, .subscribed = hub->asking && f->subscribed};
    }
    hub->asking = false;
}

void sim_hub_down(struct sim_hub *hub)
{
    while (hub->lines != NULL) {
        struct sim_line *line = hub->lines;

        hub->lines = line->next;
        free(line);
    }
    for (uint32_t t = 0; t <= SIM_TOPICS; t++)
        hub->follows[t].subscribed = hub->follows[t].asked_base = hub->follows[t].synced = false;
    forget_kept(hub);
    hub->asking = false;
    if (hub->up) {
        hub->up = false;
        tell_redis(hub, false, false);
    }
}

void sim_hub_behind(struct sim_hub *hub, bool behind)
{
    sim_trace("hub %u: is %sbehind\n", hub->o.index, behind ? "" : "not ");
    hub->behind = behind;
    if (behind || !hub->lost || !hub->up)
        return;
    hub->lost = false;
    tell_redis(hub, false, true);
    tell_redis(hub, true, true);
    for (uint32_t t = 0; t <= SIM_TOPICS; t++) {
        if (hub->follows[t].synced)
            tell(hub, t);
    }
}

/* ---- beginning and ending ---- */

static void ops_ready(void *ctx, struct weft_sub *sub)
{
    struct sim_hub *hub = ctx;

    hub->o.ready(hub->o.ctx, WEFT_CONTAINER_OF(sub, struct sim_sub, sub));
}

void sim_hub_init(struct sim_hub *hub, struct sim_redis *redis, const struct sim_hub_opts *opts)
{
    static const struct weft_fanout_ops ops = {ops_follow, ops_read, ops_ready};

    memset(hub, 0, sizeof(*hub));
    hub->o = *opts;
    hub->redis = redis;
    hub->rng = redis->rng;
    hub->metrics = weft_metrics_create(1);
    WEFT_ASSERT(hub->metrics != NULL);
    weft_batch_builder_init(&hub->bb);

    const struct weft_fanout_opts fo = {
        .ops = &ops,
        .ctx = hub,
        .shard = weft_metrics_shard(hub->metrics, 0),
        .ring_events = opts->ring_events,
        .ring_bytes = opts->ring_bytes,
        .linger_sweeps = opts->linger_sweeps,
        .hears_all = opts->partition,
        .latest_events = opts->latest_events,
        .latest_ms = opts->latest_ms,
        .held_bytes = opts->held_bytes,
    };
    WEFT_ASSERT(weft_fanout_create(&hub->fo, &fo) == 0);
}

void sim_hub_fini(struct sim_hub *hub)
{
    sim_hub_down(hub);
    while (hub->mail != NULL) {
        struct sim_msg *m = hub->mail;

        hub->mail = m->next;
        msg_free(m);
    }
    while (hub->reads != NULL) {
        struct sim_read *read = hub->reads;

        LL_DELETE(hub->reads, read);
        read_free(read);
    }
    weft_fanout_destroy(hub->fo);
    weft_batch_builder_fini(&hub->bb);
    weft_metrics_destroy(hub->metrics);
}

int sim_sub_begin(struct sim_sub *sub, struct sim_hub *hub, const struct weft_sub_opts *opts)
{
    sub->hub = hub;
    sub->ticket += 2;
    return weft_sub_init(&sub->sub, hub->fo, opts);
}

int sim_sub_retopic(struct sim_sub *sub, const struct weft_str *topics, size_t n, uint64_t now_ms)
{
    bool behind = sub->sub.behind;
    int rc;

    sub->ticket += 2;
    rc = weft_sub_retopic(&sub->sub, topics, n);
    if (rc == 0 && behind)
        weft_sub_blocked(&sub->sub, now_ms);
    return rc;
}

void sim_sub_end(struct sim_sub *sub)
{
    sub->ticket += 2;
    weft_sub_fini(&sub->sub);
    sub->hub = NULL;
}
