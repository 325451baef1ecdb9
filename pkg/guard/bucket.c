#include <weft/guard/bucket.h>

#include <string.h>

void weft_bucket_init(struct weft_bucket *b, const struct weft_bucket_conf *conf, int64_t now_ms)
{
    memset(b, 0, sizeof(*b));
    b->conf = *conf;
    b->tokens = conf->capacity * WEFT_TOKEN;
    b->at_ms = now_ms;
}

/* What has come in until now. If the clock went back, filling goes on from the new time. */
static void fill(struct weft_bucket *b, int64_t now_ms)
{
    if (now_ms > b->at_ms) {
        int64_t missing = b->conf.capacity * WEFT_TOKEN - b->tokens;
        int64_t passed = now_ms - b->at_ms;

        /* Compared as times, since the product may be too large. */
        b->tokens += passed > missing / b->conf.rate ? missing : passed * b->conf.rate;
    }
    b->at_ms = now_ms;
}

void weft_bucket_change(struct weft_bucket *b, const struct weft_bucket_conf *conf, int64_t now_ms)
{
    fill(b, now_ms);
    b->conf = *conf;
    if (b->tokens > conf->capacity * WEFT_TOKEN) {
        b->tokens = conf->capacity * WEFT_TOKEN;
    }
}

static enum weft_stands stands(const struct weft_bucket *b, int64_t tokens)
{
    if (tokens <= b->tokens / WEFT_TOKEN) {
        return WEFT_STANDS_ENOUGH;
    }
    if (b->conf.dry_run) {
        return WEFT_STANDS_DRY;
    }
    return tokens > b->conf.capacity ? WEFT_STANDS_NEVER : WEFT_STANDS_SHORT;
}

bool weft_bucket_take(struct weft_bucket_item *items, size_t n, int64_t now_ms)
{
    bool all = true;

    for (size_t i = 0; i < n; i++) {
        if (items[i].bucket == NULL) {
            items[i].stands = WEFT_STANDS_MISSING;
        } else {
            fill(items[i].bucket, now_ms);
            items[i].stands = stands(items[i].bucket, items[i].tokens);
        }
        all = all && (items[i].stands == WEFT_STANDS_ENOUGH || items[i].stands == WEFT_STANDS_DRY);
    }
    for (size_t i = 0; i < n && all; i++) {
        if (items[i].stands == WEFT_STANDS_ENOUGH) {
            items[i].bucket->tokens -= items[i].tokens * WEFT_TOKEN;
        } else {
            items[i].bucket->would_refuse++;
        }
    }
    return all;
}

static int64_t ms_until(const struct weft_bucket *b, int64_t millionths)
{
    return (millionths - b->tokens + b->conf.rate - 1) / b->conf.rate;
}

void weft_bucket_tell(struct weft_bucket_told *ret_told, const struct weft_bucket_item *item)
{
    const struct weft_bucket *b = item->bucket;
    bool waits = item->stands == WEFT_STANDS_SHORT ||
                 (item->stands == WEFT_STANDS_DRY && item->tokens <= b->conf.capacity);

    ret_told->stands = item->stands;
    ret_told->remaining = b->tokens / WEFT_TOKEN;
    ret_told->retry_ms = waits ? ms_until(b, item->tokens * WEFT_TOKEN) : 0;
    ret_told->reset_ms = ms_until(b, b->conf.capacity * WEFT_TOKEN);
    ret_told->conf = b->conf;
}
