#include <weft/wire/since.h>

#include <weft/base/assert.h>

/* Redis's scripts count in doubles: beyond this, times would not be exact. */
#define TIME_MAX_MS ((1ULL << 53) - 1)

static const struct {
    struct weft_str suffix;
    uint64_t ms;
} units[] = {
    /* "ms" before "s": the first suffix that fits is taken. */
    {{"ms", 2}, 1},
    {{"s", 1}, 1000},
    {{"m", 1}, 60 * 1000},
    {{"h", 1}, 60 * 60 * 1000},
    {{"d", 1}, 24 * 60 * 60 * 1000},
};

static int parse_ago(struct weft_str s, uint64_t *ret_ms)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(units); i++) {
        struct weft_str suffix = units[i].suffix;
        uint64_t n;

        if (s.len < suffix.len || memcmp(s.p + s.len - suffix.len, suffix.p, suffix.len) != 0)
            continue;
        s.len -= suffix.len;
        if (!weft_str_u64(s, &n) || n > TIME_MAX_MS / units[i].ms)
            return WEFT_EINVAL;
        *ret_ms = n * units[i].ms;
        return 0;
    }
    return WEFT_EINVAL;
}

int weft_since_parse(struct weft_str s, struct weft_since *ret_since)
{
    struct weft_since since = {WEFT_SINCE_EARLIEST, {0, 0}};
    int rc = 0;

    if (weft_str_eq(s, WEFT_STR("earliest"))) {
        since.kind = WEFT_SINCE_EARLIEST;
    } else if (s.len > 0 && s.p[0] == '-') {
        since.kind = WEFT_SINCE_AGO;
        rc = parse_ago(weft_str(s.p + 1, s.len - 1), &since.id.ms);
    } else if (weft_id_parse(s, &since.id)) {
        since.kind = WEFT_SINCE_ID;
    } else {
        since.kind = WEFT_SINCE_TIME;
        if (!weft_str_u64(s, &since.id.ms) || since.id.ms > TIME_MAX_MS)
            rc = WEFT_EINVAL;
    }
    if (rc == 0)
        *ret_since = since;
    return rc;
}
