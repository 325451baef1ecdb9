#include <weft/redis/keys.h>

static void tag(struct weft_buf *b, const struct weft_keys *k, const char *rest)
{
    weft_buf_append(b, ":{", 2);
    weft_buf_u64(b, k->partition);
    weft_buf_append(b, "}:", 2);
    weft_buf_puts(b, rest);
}

static void start(struct weft_buf *b, const struct weft_keys *k, const char *rest)
{
    weft_buf_puts(b, k->prefix);
    tag(b, k, rest);
}

/* Of every channel. */
static void chan(struct weft_buf *b, const struct weft_keys *k)
{
    weft_buf_puts(b, k->prefix);
    if (k->db != 0) {
        weft_buf_puts(b, ":db");
        weft_buf_u64(b, k->db);
    }
}

void weft_key_head(struct weft_buf *b, const struct weft_keys *k)
{
    start(b, k, "head");
}

void weft_key_topics(struct weft_buf *b, const struct weft_keys *k)
{
    start(b, k, "topics");
}

void weft_key_removed(struct weft_buf *b, const struct weft_keys *k)
{
    start(b, k, "removed");
}

void weft_key_log(struct weft_buf *b, const struct weft_keys *k, struct weft_str topic)
{
    start(b, k, "log:");
    weft_buf_str(b, topic);
}

/* A topic has no slash: the first one ends it, whatever the name has. */
static void of_topic(struct weft_buf *b, const struct weft_keys *k, const char *kind,
                     struct weft_str topic, struct weft_str name)
{
    start(b, k, kind);
    weft_buf_str(b, topic);
    weft_buf_append(b, "/", 1);
    weft_buf_str(b, name);
}

void weft_key_once(struct weft_buf *b, const struct weft_keys *k, struct weft_str topic,
                   struct weft_str key)
{
    of_topic(b, k, "once:", topic, key);
}

void weft_key_producer(struct weft_buf *b, const struct weft_keys *k, struct weft_str topic,
                       struct weft_str id)
{
    of_topic(b, k, "producer:", topic, id);
}

void weft_key_lease(struct weft_buf *b, const struct weft_keys *k, const char *what)
{
    weft_buf_puts(b, k->prefix);
    weft_buf_puts(b, ":lease:{");
    weft_buf_puts(b, what);
    weft_buf_append(b, "}", 1);
}

void weft_key_fence(struct weft_buf *b, const struct weft_keys *k, const char *what)
{
    weft_key_lease(b, k, what);
    weft_buf_puts(b, ":fence");
}

void weft_chan_partition(struct weft_buf *b, const struct weft_keys *k)
{
    chan(b, k);
    tag(b, k, "live");
}

void weft_chan_topic(struct weft_buf *b, const struct weft_keys *k, struct weft_str topic)
{
    chan(b, k);
    tag(b, k, "live:");
    weft_buf_str(b, topic);
}

void weft_key_canary(struct weft_buf *b, const struct weft_keys *k)
{
    start(b, k, "canary");
}

void weft_chan_canary(struct weft_buf *b, const struct weft_keys *k, struct weft_str node)
{
    chan(b, k);
    tag(b, k, "canary:");
    weft_buf_str(b, node);
}

void weft_key_breakers(struct weft_buf *b, const struct weft_keys *k)
{
    weft_buf_puts(b, k->prefix);
    weft_buf_puts(b, ":breakers");
}

void weft_key_bucket(struct weft_buf *b, const struct weft_keys *k, struct weft_str name)
{
    weft_buf_puts(b, k->prefix);
    weft_buf_puts(b, ":bucket:{");
    weft_buf_str(b, name);
    weft_buf_append(b, "}", 1);
}

void weft_key_buckets(struct weft_buf *b, const struct weft_keys *k)
{
    weft_buf_puts(b, k->prefix);
    weft_buf_puts(b, ":buckets");
}

void weft_chan_buckets(struct weft_buf *b, const struct weft_keys *k)
{
    chan(b, k);
    weft_buf_puts(b, ":buckets:live");
}

void weft_key_breaker(struct weft_buf *b, const struct weft_keys *k, struct weft_str name,
                      const char *what)
{
    weft_buf_puts(b, k->prefix);
    weft_buf_puts(b, ":breaker:{");
    weft_buf_str(b, name);
    weft_buf_append(b, "}", 1);
    weft_buf_puts(b, what);
}

void weft_chan_breakers(struct weft_buf *b, const struct weft_keys *k)
{
    chan(b, k);
    weft_buf_puts(b, ":breakers:live");
}

/* ---- services and nodes ---- */

static void plain(struct weft_buf *b, const struct weft_keys *k, const char *rest)
{
    weft_buf_puts(b, k->prefix);
    weft_buf_puts(b, rest);
}

static void tagged(struct weft_buf *b, const struct weft_keys *k, const char *kind, const char *id)
{
    plain(b, k, kind);
    weft_buf_append(b, "{", 1);
    weft_buf_puts(b, id);
    weft_buf_append(b, "}", 1);
}

void weft_key_services(struct weft_buf *b, const struct weft_keys *k)
{
    plain(b, k, ":services");
}

void weft_key_service(struct weft_buf *b, const struct weft_keys *k, const char *id)
{
    tagged(b, k, ":service:", id);
}

void weft_key_service_errors(struct weft_buf *b, const struct weft_keys *k, const char *id)
{
    weft_key_service(b, k, id);
    weft_buf_puts(b, ":errors");
}

void weft_chan_services(struct weft_buf *b, const struct weft_keys *k)
{
    chan(b, k);
    weft_buf_puts(b, ":services:changed");
}

void weft_key_nodes(struct weft_buf *b, const struct weft_keys *k)
{
    plain(b, k, ":nodes");
}

void weft_key_node(struct weft_buf *b, const struct weft_keys *k, const char *id)
{
    tagged(b, k, ":node:", id);
}

/* ---- access ---- */

void weft_key_revoked(struct weft_buf *b, const struct weft_keys *k)
{
    plain(b, k, ":{revoked}");
}

void weft_key_revoked_version(struct weft_buf *b, const struct weft_keys *k)
{
    plain(b, k, ":{revoked}:version");
}

void weft_chan_revoked(struct weft_buf *b, const struct weft_keys *k)
{
    chan(b, k);
    weft_buf_puts(b, ":{revoked}:live");
}

void weft_chan_streams(struct weft_buf *b, const struct weft_keys *k, const char *node)
{
    chan(b, k);
    weft_buf_puts(b, ":streams:");
    weft_buf_puts(b, node);
}
