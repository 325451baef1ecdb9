#include <weft/base/str.h>

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

int weft_str_cmp(struct weft_str a, struct weft_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = a.p == NULL || b.p == NULL ? 0 : memcmp(a.p, b.p, n);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

struct weft_str weft_str_before(struct weft_str *rest, char sep)
{
    struct weft_str left = *rest;
    const char *at = left.len == 0 ? NULL : memchr(left.p, sep, left.len);

    if (at == NULL) {
        rest->len = 0;
        return left;
    }
    left.len = (size_t)(at - left.p);
    rest->p = at + 1;
    rest->len -= left.len + 1;
    return left;
}

bool weft_str_starts(struct weft_str s, const char *prefix)
{
    size_t n = strlen(prefix);

    return s.len >= n && (n == 0 || memcmp(s.p, prefix, n) == 0);
}

bool weft_str_take(struct weft_str *rest, const char *prefix)
{
    size_t n = strlen(prefix);

    if (!weft_str_starts(*rest, prefix)) {
        return false;
    }
    rest->p += n;
    rest->len -= n;
    return true;
}

struct weft_str weft_str_trim(struct weft_str s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

bool weft_str_ieq(struct weft_str a, struct weft_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

bool weft_str_u64(struct weft_str s, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';

        if (digit > 9)
            return false;
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

/* "00" to "99": two digits for each division. */
static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

size_t weft_u64_print(char *out, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    while (v >= 100) {
        at -= 2;
        memcpy(digits + at, digit_pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        memcpy(digits + at, digit_pairs + v * 2, 2);
    } else {
        digits[--at] = (char)('0' + v);
    }
    memcpy(out, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t weft_utf8_len(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;

    if (u[0] < 0x80)
        return 1;
    if (u[0] < 0xc2) /* a tail byte, or an overlong form of ASCII */
        return 0;
    if (u[0] < 0xe0)
        return n >= 2 && is_tail(u[1]) ? 2 : 0;
    if (u[0] < 0xf0) {
        if (n < 3 || !is_tail(u[1]) || !is_tail(u[2]))
            return 0;
        if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] >= 0xa0))
            return 0; /* overlong; a surrogate */
        return 3;
    }
    if (u[0] < 0xf5) {
        if (n < 4 || !is_tail(u[1]) || !is_tail(u[2]) || !is_tail(u[3]))
            return 0;
        if ((u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] >= 0x90))
            return 0; /* overlong; above U+10FFFF */
        return 4;
    }
    return 0;
}

bool weft_str_printable(struct weft_str s)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = weft_utf8_len(s.p + i, s.len - i);

        if (n == 0 || (n == 1 && ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)))
            return false;
        i += n;
    }
    return true;
}

uint64_t weft_hash64(const void *p, size_t len)
{
    const unsigned char *u = p;
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < len; i++) {
        hash ^= u[i];
        hash *= 0x100000001b3U;
    }
    return hash;
}
