#include "buckets_priv.h"

#define NUMBERS 7 /* of bucket_tell */

enum { FLAG_LEASED = 1, FLAG_DRY = 2, FLAG_CLOSED = 4, FLAG_LOCAL = 8 };

void weft_bucket_rate_print(struct weft_buf *b, int64_t rate)
{
    weft_buf_u64(b, (uint64_t)(rate / 1000));
    if (rate % 1000 != 0) {
        char text[8] = {'.', (char)('0' + rate / 100 % 10), (char)('0' + rate / 10 % 10),
                        (char)('0' + rate % 10)};
        size_t n = 4;

        while (text[n - 1] == '0') {
            n--;
        }
        weft_buf_append(b, text, n);
    }
}

bool weft_bucket_told_read(const struct weft_reply *array, size_t at,
                           struct weft_bucket_told *ret_told)
{
    int64_t v[NUMBERS];

    for (size_t i = 0; i < NUMBERS; i++) {
        const struct weft_reply *item = weft_reply_at(array, at + i);

        if (item == NULL || item->kind != WEFT_REPLY_INTEGER || item->integer < 0) {
            return false;
        }
        v[i] = item->integer;
    }
    if (v[0] > WEFT_STANDS_BROKEN) {
        return false;
    }
    *ret_told = (struct weft_bucket_told){
        .stands = (enum weft_stands)v[0],
        .remaining = v[1],
        .retry_ms = v[2],
        .reset_ms = v[3],
        .conf = {.capacity = v[4],
                 .rate = v[5],
                 .leased = (v[6] & FLAG_LEASED) != 0,
                 .dry_run = (v[6] & FLAG_DRY) != 0,
                 .without_redis = (v[6] & FLAG_CLOSED) != 0  ? WEFT_WITHOUT_CLOSED
                                  : (v[6] & FLAG_LOCAL) != 0 ? WEFT_WITHOUT_LOCAL
                                                             : WEFT_WITHOUT_OPEN}};
    return true;
}

void weft_bucket_json(struct weft_buf *b, struct weft_str name, const struct weft_bucket_told *told,
                      uint64_t would_refuse)
{
    weft_buf_puts(b, "{\"bucket\":");
    weft_buf_json(b, name);
    weft_buf_printf(b, ",\"capacity\":%lld,\"refill_per_s\":", (long long)told->conf.capacity);
    weft_bucket_rate_print(b, told->conf.rate);
    weft_buf_printf(b,
                    ",\"mode\":\"%s\",\"dry_run\":%s,\"without_redis\":\"%s\",\"remaining\":%lld,"
                    "\"reset_ms\":%lld,\"would_refuse\":%llu}",
                    told->conf.leased ? "leased" : "exact", told->conf.dry_run ? "true" : "false",
                    weft_without_words[told->conf.without_redis], (long long)told->remaining,
                    (long long)told->reset_ms, (unsigned long long)would_refuse);
}
