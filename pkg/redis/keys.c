#include <weft/redis/keys.h>

static void start(struct weft_buf *b, const struct weft_keys *k, const char *rest)
{
    weft_buf_puts(b, k->prefix);
    weft_buf_append(b, ":{", 2);
    weft_buf_u64(b, k->partition);
    weft_buf_append(b, "}:", 2);
    weft_buf_puts(b, rest);
}

void weft_key_head(struct weft_buf *b, const struct weft_keys *k)
{
    start(b, k, "head");
}

void weft_key_topics(struct weft_buf *b, const struct weft_keys *k)
{
    start(b, k, "topics");
}

void weft_key_log(struct weft_buf *b, const struct weft_keys *k, struct weft_str topic)
{
    start(b, k, "log:");
    weft_buf_str(b, topic);
}

void weft_key_once(struct weft_buf *b, const struct weft_keys *k, struct weft_str topic,
                   struct weft_str key)
{
    start(b, k, "once:");
    weft_buf_str(b, topic);
    weft_buf_append(b, ":", 1);
    weft_buf_str(b, key);
}

void weft_chan_partition(struct weft_buf *b, const struct weft_keys *k)
{
    start(b, k, "live");
}

void weft_chan_topic(struct weft_buf *b, const struct weft_keys *k, struct weft_str topic)
{
    start(b, k, "live:");
    weft_buf_str(b, topic);
}

void weft_key_canary(struct weft_buf *b, const struct weft_keys *k)
{
    start(b, k, "canary");
}

void weft_chan_canary(struct weft_buf *b, const struct weft_keys *k, struct weft_str node)
{
    start(b, k, "canary:");
    weft_buf_str(b, node);
}
