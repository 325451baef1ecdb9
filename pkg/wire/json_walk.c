/*
 * Reads text that json.c has validated and minified: no check here is for the text's sake.
 */
#include "json_priv.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include <weft/base/assert.h>

struct weft_json weft_json_value(struct weft_str minified)
{
    struct weft_json v = {WEFT_JSON_NUMBER, minified};

    WEFT_ASSERT(minified.len > 0);
    switch (minified.p[0]) {
    case '{':
        v.kind = WEFT_JSON_OBJECT;
        break;
    case '[':
        v.kind = WEFT_JSON_ARRAY;
        break;
    case '"':
        v.kind = WEFT_JSON_STRING;
        break;
    case 't':
    case 'f':
        v.kind = WEFT_JSON_BOOL;
        break;
    case 'n':
        v.kind = WEFT_JSON_NULL;
        break;
    default:
        break;
    }
    return v;
}

#define BYTES(c) (0x0101010101010101U * (c))

/* p: behind the opening quote. Returns the closing one. */
static const char *find_quote(const char *p, const char *end)
{
    for (;;) {
        while (end - p >= 8) {
            uint64_t word;
            uint64_t quote;
            uint64_t backslash;
            uint64_t found;

            memcpy(&word, p, sizeof(word));
            word = le64toh(word);
            quote = word ^ BYTES('"');
            backslash = word ^ BYTES('\\');
            found = (((quote - BYTES(1U)) & ~quote) | ((backslash - BYTES(1U)) & ~backslash)) &
                    BYTES(0x80U);
            if (found != 0) {
                p += __builtin_ctzll(found) / 8;
                break;
            }
            p += 8;
        }
        WEFT_ASSERT(p < end);
        if (*p == '"')
            return p;
        p += *p == '\\' ? 2 : 1;
    }
}

static const char *skip_container(const char *p, const char *end)
{
    unsigned depth = 0;

    for (; p < end; p++) {
        switch (*p) {
        case '"':
            p = find_quote(p + 1, end);
            break;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (--depth == 0)
                return p + 1;
            break;
        default:
            break;
        }
    }
    return p;
}

static const char *skip_value(const char *p, const char *end)
{
    switch (*p) {
    case '"':
        return find_quote(p + 1, end) + 1;
    case '{':
    case '[':
        return skip_container(p, end);
    default:
        while (p < end && *p != ',' && *p != '}' && *p != ']')
            p++;
        return p;
    }
}

void weft_json_begin(struct weft_json_iter *it, struct weft_json v)
{
    WEFT_ASSERT(v.kind == WEFT_JSON_OBJECT || v.kind == WEFT_JSON_ARRAY);
    WEFT_ASSERT(v.raw.len >= 2);
    it->p = v.raw.p + 1;
    it->end = v.raw.p + v.raw.len - 1; /* the closing brace or bracket */
    it->object = v.kind == WEFT_JSON_OBJECT;
}

bool weft_json_next(struct weft_json_iter *it, struct weft_str *ret_key,
                    struct weft_json *ret_value)
{
    const char *p = it->p;

    if (p == it->end)
        return false;
    if (*p == ',')
        p++;
    if (it->object) {
        const char *quote = find_quote(p + 1, it->end);

        *ret_key = weft_str(p + 1, (size_t)(quote - p - 1));
        p = quote + 2; /* the quote, the colon */
    }
    it->p = skip_value(p, it->end);
    *ret_value = weft_json_value(weft_str(p, (size_t)(it->p - p)));
    return true;
}

bool weft_json_raw_eq(struct weft_str raw, struct weft_str decoded)
{
    const char *p = raw.p;
    size_t at = 0;

    /* An escape is longer than what it stands for: mostly the lengths decide. */
    if (raw.len <= decoded.len)
        return weft_str_eq(raw, decoded) && (raw.len == 0 || memchr(raw.p, '\\', raw.len) == NULL);
    if (memchr(raw.p, '\\', raw.len) == NULL)
        return false;
    while (p < raw.p + raw.len) {
        char out[4];
        size_t n = weft_json_decode_one(&p, out);

        if (decoded.len - at < n || memcmp(decoded.p + at, out, n) != 0)
            return false;
        at += n;
    }
    return at == decoded.len;
}

bool weft_json_get(struct weft_json object, const char *key, struct weft_json *ret_value)
{
    struct weft_str wanted = {key, strlen(key)};
    struct weft_json_iter it;
    struct weft_json value;
    struct weft_str found = {NULL, 0}; /* stays so in an array, which has no keys */

    weft_json_begin(&it, object);
    while (weft_json_next(&it, &found, &value)) {
        if (weft_json_raw_eq(found, wanted)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static uint32_t hex4(const char *p)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        uint32_t c = (unsigned char)p[i];

        value = value << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

static size_t put_utf8(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t weft_json_decode_one(const char **p, char out[4])
{
    const char *at = *p;
    uint32_t unit;

    if (*at != '\\') {
        out[0] = *at;
        *p = at + 1;
        return 1;
    }
    *p = at + 2;
    switch (at[1]) {
    case 'b':
        out[0] = '\b';
        return 1;
    case 'f':
        out[0] = '\f';
        return 1;
    case 'n':
        out[0] = '\n';
        return 1;
    case 'r':
        out[0] = '\r';
        return 1;
    case 't':
        out[0] = '\t';
        return 1;
    case 'u':
        break;
    default: /* quote, backslash, slash stand for themselves */
        out[0] = at[1];
        return 1;
    }

    unit = hex4(at + 2);
    *p = at + 6;
    if (unit >= 0xd800 && unit < 0xdc00) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + (hex4(at + 8) - 0xdc00);
        *p = at + 12;
    }
    return put_utf8(out, unit);
}

struct weft_str weft_json_text(struct weft_json string, char *out)
{
    const char *p = string.raw.p + 1;
    const char *end = string.raw.p + string.raw.len - 1;
    size_t n = 0;

    WEFT_ASSERT(string.kind == WEFT_JSON_STRING);
    while (p < end) {
        char decoded[4];
        size_t len = weft_json_decode_one(&p, decoded);

        memcpy(out + n, decoded, len);
        n += len;
    }
    return weft_str(out, n);
}

bool weft_json_int(struct weft_json number, int64_t *ret_value)
{
    struct weft_str s = number.raw;
    bool negative = s.p[0] == '-';
    uint64_t magnitude;

    if (negative)
        s = weft_str(s.p + 1, s.len - 1);
    if (!weft_str_u64(s, &magnitude))
        return false; /* a fraction, an exponent, or too large */
    if (negative) {
        if (magnitude > (uint64_t)INT64_MAX + 1)
            return false;
        *ret_value = magnitude == (uint64_t)INT64_MAX + 1 ? INT64_MIN : -(int64_t)magnitude;
        return true;
    }
    if (magnitude > INT64_MAX)
        return false;
    *ret_value = (int64_t)magnitude;
    return true;
}
