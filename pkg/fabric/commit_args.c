#include "commit_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

#include "hub_priv.h"

/*
 * The arguments of FCALL weft1_publish for a list of requests: pkg/redis/functions/publish.lua says
 * what they are. Topics and keys are named once in a call; requests and events point to them by
 * index. What lies in a request already is not copied.
 */

#define TABLE_SIZE 16384 /* of topics by name; a power of two, never more than half full */

void *weft_grown(void *list, size_t *cap, size_t need, size_t size)
{
    if (need > *cap) {
        size_t more = *cap == 0 ? 256 : *cap * 2;

        more = more < need ? need : more;
        list = realloc(list, more * size);
        WEFT_ASSERT(list != NULL);
        *cap = more;
    }
    return list;
}

/* CloudEvents carry an idempotency key each; other requests have at most one key. */
static bool keyed_singly(const struct weft_publish_msg *m)
{
    return m->key_kind == WEFT_PUBLISH_KEY_NONE && m->events.list[0].once_len > 0;
}

size_t weft_call_parts(const struct weft_publish_msg *m)
{
    return keyed_singly(m) ? m->events.n : 1;
}

/* ---- one argument ---- */

static void arg_text(struct weft_call_args *x, size_t from)
{
    size_t args_cap = x->args_cap;

    x->args = weft_grown(x->args, &args_cap, x->n_args + 1, sizeof(*x->args));
    x->ptrs = weft_grown(x->ptrs, &x->args_cap, x->n_args + 1, sizeof(*x->ptrs));
    x->ptrs[x->n_args] = NULL;
    x->args[x->n_args].off = from;
    x->args[x->n_args++].len = x->text.len - from;
}

static void arg_u64(struct weft_call_args *x, uint64_t v)
{
    size_t from = x->text.len;

    weft_buf_u64(&x->text, v);
    arg_text(x, from);
}

static void arg_str(struct weft_call_args *x, struct weft_str s)
{
    arg_text(x, x->text.len);
    x->ptrs[x->n_args - 1] = s.p;
    x->args[x->n_args - 1].len = s.len;
}

/* ---- topics and keys ---- */

uint32_t weft_call_topic_index(struct weft_call_args *x, struct weft_str name)
{
    uint32_t slot;

    if (x->n_topics > 0 && weft_str_eq(x->topics[x->n_topics - 1].name, name)) {
        return (uint32_t)x->n_topics - 1;
    }
    slot = (uint32_t)weft_hash64(name.p, name.len) & (TABLE_SIZE - 1);
    while (x->table[slot] != 0) {
        if (weft_str_eq(x->topics[x->table[slot] - 1].name, name)) {
            return x->table[slot] - 1;
        }
        slot = (slot + 1) & (TABLE_SIZE - 1);
    }
    x->topics = weft_grown(x->topics, &x->topics_cap, x->n_topics + 1, sizeof(*x->topics));
    x->topics[x->n_topics].name = name;
    x->topics[x->n_topics].slot = slot;
    x->table[slot] = (uint32_t)++x->n_topics;
    return (uint32_t)x->n_topics - 1;
}

void weft_call_forget_topics(struct weft_call_args *x)
{
    for (size_t i = 0; i < x->n_topics; i++) {
        x->table[x->topics[i].slot] = 0;
    }
    x->n_topics = 0;
}

static void add_key(struct weft_call_args *x, const struct weft_keys *keys,
                    const struct weft_publish_msg *m, struct weft_str name)
{
    struct weft_str topic = weft_str(m->topic, strlen(m->topic));
    size_t from = x->names.len;

    if (m->key_kind == WEFT_PUBLISH_KEY_PRODUCER) {
        weft_key_producer(&x->names, keys, topic, name);
    } else {
        weft_key_once(&x->names, keys, topic, name);
    }
    x->keys = weft_grown(x->keys, &x->keys_cap, x->n_keys + 1, sizeof(*x->keys));
    x->keys[x->n_keys].off = from;
    x->keys[x->n_keys++].len = x->names.len - from;
}

/* The requests in order, so that topics and keys get their places. */
static void collect(struct weft_call_args *x, const struct weft_keys *keys,
                    const struct weft_call_request *requests, size_t n)
{
    weft_call_forget_topics(x);
    weft_buf_clear(&x->names);
    x->n_keys = 0;
    for (size_t i = 0; i < n; i++) {
        const struct weft_publish_msg *m = requests[i].m;

        for (size_t e = 0; e < m->events.n; e++) {
            const struct weft_event *ev = &m->events.list[e];
            struct weft_str topic;
            uint32_t pos = 0;

            while (weft_event_next_topic(&m->events, ev, &pos, &topic)) {
                (void)weft_call_topic_index(x, topic);
            }
        }
        if (keyed_singly(m)) {
            for (size_t e = 0; e < m->events.n; e++) {
                const struct weft_event *ev = &m->events.list[e];

                add_key(x, keys, m, weft_str(m->events.bytes.data + ev->once_off, ev->once_len));
            }
        } else if (m->key_kind != WEFT_PUBLISH_KEY_NONE) {
            add_key(x, keys, m, weft_str(m->key, m->key_len));
        }
    }
}

/* ---- requests ---- */

static void add_event(struct weft_call_args *x, const struct weft_publish_msg *m,
                      const struct weft_event *ev)
{
    struct weft_str topic;
    uint32_t pos = 0;
    size_t from;

    arg_str(x, weft_event_type(&m->events, ev));
    arg_str(x, weft_event_envelope(&m->events, ev));
    from = x->text.len;
    while (weft_event_next_topic(&m->events, ev, &pos, &topic)) {
        if (x->text.len > from) {
            weft_buf_append(&x->text, ",", 1);
        }
        weft_buf_u64(&x->text, weft_call_topic_index(x, topic) + 1);
    }
    arg_text(x, from);
}

/* Index of its once key, of its producer key, number of events. *key: of the last key given out. */
static void add_head(struct weft_call_args *x, const struct weft_publish_msg *m, uint64_t *key,
                     size_t n)
{
    bool producer = m->key_kind == WEFT_PUBLISH_KEY_PRODUCER;
    bool once = !producer && (m->key_kind == WEFT_PUBLISH_KEY_ONCE || keyed_singly(m));

    arg_u64(x, once ? ++*key : 0);
    arg_u64(x, producer ? ++*key : 0);
    if (producer) {
        arg_u64(x, m->epoch);
        arg_u64(x, m->first);
    }
    arg_u64(x, n);
}

static void add_requests(struct weft_call_args *x, const struct weft_call_request *requests,
                         size_t n)
{
    uint64_t key = 0;

    for (size_t i = 0; i < n; i++) {
        const struct weft_publish_msg *m = requests[i].m;
        bool singly = keyed_singly(m);

        if (!singly) {
            add_head(x, m, &key, m->events.n);
        }
        for (size_t e = 0; e < m->events.n; e++) {
            if (singly) {
                add_head(x, m, &key, 1);
            }
            add_event(x, m, &m->events.list[e]);
        }
    }
}

void weft_call_args_build(struct weft_call_args *x, const struct weft_hub *hub,
                          const struct weft_call_request *requests, size_t n)
{
    const struct weft_config *cfg = hub->o.cfg;
    size_t from;

    weft_buf_clear(&x->text);
    x->n_args = 0;
    collect(x, &hub->keys, requests, n);

    arg_str(x, WEFT_STR("FCALL"));
    arg_str(x, WEFT_STR(WEFT_FN_PUBLISH));
    arg_u64(x, 2 + x->n_topics + x->n_keys);
    from = x->text.len;
    weft_key_head(&x->text, &hub->keys);
    arg_text(x, from);
    from = x->text.len;
    weft_key_topics(&x->text, &hub->keys);
    arg_text(x, from);
    for (size_t i = 0; i < x->n_topics; i++) {
        from = x->text.len;
        weft_key_log(&x->text, &hub->keys, x->topics[i].name);
        arg_text(x, from);
    }
    for (size_t i = 0; i < x->n_keys; i++) {
        arg_str(x, weft_str(x->names.data + x->keys[i].off, x->keys[i].len));
    }
    arg_str(x, weft_str(hub->channel.data, hub->channel.len));
    arg_u64(x, cfg->publish.idempotency_ttl_ms);
    arg_u64(x, cfg->publish.producer_ttl_ms);
    arg_u64(x, x->n_topics);
    for (size_t i = 0; i < x->n_topics; i++) {
        arg_str(x, x->topics[i].name);
    }
    for (size_t i = 0; i < x->n_topics; i++) {
        arg_u64(x, weft_retention_of(&hub->retention, x->topics[i].name).max_events);
    }
    add_requests(x, requests, n);
    WEFT_ASSERT(!x->text.toobig && !x->names.toobig);

    x->argv = weft_grown(x->argv, &x->argv_cap, x->n_args, sizeof(*x->argv));
    for (size_t i = 0; i < x->n_args; i++) {
        x->argv[i] = weft_str(x->ptrs[i] != NULL ? x->ptrs[i] : x->text.data + x->args[i].off,
                              x->args[i].len);
    }
}

/* ---- life ---- */

int weft_call_args_init(struct weft_call_args *x)
{
    memset(x, 0, sizeof(*x));
    weft_buf_init(&x->text, (size_t)64 * 1024 * 1024);
    weft_buf_init(&x->names, (size_t)64 * 1024 * 1024);
    x->table = calloc(TABLE_SIZE, sizeof(*x->table));
    return x->table == NULL ? WEFT_ENOMEM : 0;
}

void weft_call_args_fini(struct weft_call_args *x)
{
    weft_buf_fini(&x->text);
    weft_buf_fini(&x->names);
    free(x->args);
    free(x->ptrs);
    free(x->argv);
    free(x->table);
    free(x->topics);
    free(x->keys);
}
