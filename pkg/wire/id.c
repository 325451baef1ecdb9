#include <weft/wire/id.h>

/* Takes a decimal number without leading zeros off *p; false on overflow or if there is none. */
static bool take_u64(const char **p, const char *end, uint64_t *ret_value)
{
    const char *at = *p;
    uint64_t value;

    if (at == end || *at < '0' || *at > '9')
        return false;
    value = (uint64_t)(*at++ - '0');
    if (value == 0) {
        *ret_value = 0;
        *p = at;
        return at == end || *at < '0' || *at > '9';
    }
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    }
    *ret_value = value;
    *p = at;
    return true;
}

bool weft_id_parse(struct weft_str s, struct weft_id *ret_id)
{
    const char *p = s.p;
    const char *end;
    struct weft_id id;

    if (s.len == 0)
        return false;
    end = p + s.len;
    if (!take_u64(&p, end, &id.ms))
        return false;
    if (p == end || *p++ != '-')
        return false;
    if (!take_u64(&p, end, &id.seq) || p != end)
        return false;
    *ret_id = id;
    return true;
}

size_t weft_id_print(char *out, struct weft_id id)
{
    size_t n = weft_u64_print(out, id.ms);

    out[n++] = '-';
    return n + weft_u64_print(out + n, id.seq);
}
