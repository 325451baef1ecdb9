#include <weft/wire/name.h>

enum {
    IN_TYPE = 1,
    IN_TOPIC = 2,
};

/* Designated ranges are a GNU extension that both compilers have. */
__extension__ static const unsigned char classes[256] = {
    ['A' ... 'Z'] = IN_TYPE | IN_TOPIC,
    ['a' ... 'z'] = IN_TYPE | IN_TOPIC,
    ['0' ... '9'] = IN_TYPE | IN_TOPIC,
    ['.'] = IN_TYPE | IN_TOPIC,
    ['_'] = IN_TYPE | IN_TOPIC,
    ['-'] = IN_TYPE | IN_TOPIC,
    [':'] = IN_TOPIC,
};

static bool all_of(struct weft_str s, unsigned char class)
{
    unsigned char common = class;

    for (size_t i = 0; i < s.len; i++)
        common &= classes[(unsigned char)s.p[i]];
    return common != 0;
}

bool weft_topic_valid(struct weft_str s)
{
    return s.len > 0 && s.len <= WEFT_NAME_MAX && all_of(s, IN_TOPIC);
}

bool weft_pattern_valid(struct weft_str s)
{
    if (s.len == 0 || s.len > WEFT_NAME_MAX)
        return false;
    if (weft_pattern_is_wildcard(s))
        s.len--;
    return all_of(s, IN_TOPIC);
}

bool weft_pattern_is_wildcard(struct weft_str s)
{
    return s.len > 0 && s.p[s.len - 1] == '*';
}

bool weft_pattern_match(struct weft_str pattern, struct weft_str topic)
{
    if (!weft_pattern_is_wildcard(pattern))
        return weft_str_eq(pattern, topic);
    return topic.len >= pattern.len - 1 && memcmp(pattern.p, topic.p, pattern.len - 1) == 0;
}

bool weft_type_valid(struct weft_str s)
{
    unsigned char common = IN_TYPE;
    char before = '.';

    if (s.len == 0 || s.len > WEFT_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        common &= classes[(unsigned char)s.p[i]];
        if (s.p[i] == '.' && before == '.') /* an empty part, or a dot in front */
            return false;
        before = s.p[i];
    }
    return common != 0 && before != '.';
}

bool weft_type_reserved(struct weft_str s)
{
    return s.len >= 5 && memcmp(s.p, "weft.", 5) == 0;
}

bool weft_type_glob_valid(struct weft_str s)
{
    if (s.len == 0 || s.len > WEFT_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] != '*' && (classes[(unsigned char)s.p[i]] & IN_TYPE) == 0)
            return false;
    }
    return true;
}

/*
 * Greedy: on a mismatch the last `*` takes one byte more. An earlier `*` never has to be looked at
 * again, because a later one could take whatever it would give up.
 */
bool weft_type_glob_match(struct weft_str glob, struct weft_str type)
{
    size_t g = 0;
    size_t t = 0;
    size_t after_star = 0; /* 1 + index of the last `*`; 0: none yet */
    size_t retry = 0;

    while (t < type.len) {
        if (g < glob.len && glob.p[g] == '*') {
            after_star = ++g;
            retry = t;
            if (g == glob.len)
                return true;
        } else if (g < glob.len && glob.p[g] == type.p[t]) {
            g++;
            t++;
        } else if (after_star > 0) {
            g = after_star;
            t = ++retry;
        } else {
            return false;
        }
    }
    while (g < glob.len && glob.p[g] == '*')
        g++;
    return g == glob.len;
}
