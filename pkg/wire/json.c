/*
 * One recursive descent over the text that checks and copies at once. The copy never gets ahead of
 * the text: it leaves out white space and changes nothing else. So one reservation of the text's
 * length is enough, and wherever eight bytes can be read, eight can be written.
 *
 * Duplicate keys: every open object has its keys on one stack, the innermost on top. Up to FEW_KEYS
 * each new key is compared with the object's others; larger objects are sorted when they close,
 * which stays n log n however the keys are chosen.
 */
#include "json_priv.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include <weft/base/assert.h>

#define FEW_KEYS   16
#define NUMBER_MAX 64
/* Around an event, and into it, a node puts no more than this. */
#define AROUND_DEPTH 8
#define AROUND_KEYS  64

struct key {
    const char *p; /* in the text, without quotes, escapes as they stand */
    uint32_t len;
    uint32_t hash; /* of the decoded key */
};

struct scan {
    const char *p;
    const char *end;
    char *out;
    unsigned depth_left;
    const char *wrong; /* set once: the first thing that is wrong, at p */
    struct weft_str wrong_key;
    size_t n_keys, max_keys;
    struct key keys[WEFT_JSON_MAX_KEYS + AROUND_KEYS]; /* not cleared: 65 KiB */
};

static bool scan_value(struct scan *s);

static bool fail(struct scan *s, const char *at, const char *what)
{
    s->p = at;
    s->wrong = what;
    return false;
}

static bool fail_here(struct scan *s, const char *what)
{
    return fail(s, s->p, s->p == s->end ? "the text ends too early" : what);
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

/* ---- strings ---------------------------------------------------------------------------------- */

#define BYTES(c) (0x0101010101010101U * (c))

/*
 * The index of the first byte of a little-endian word that is a quote, a backslash, a control byte
 * or not ASCII; 8 if there is none. Each term finds its bytes by a borrow into their top bit; a
 * borrow can spoil bytes above a found one, never below, so the lowest is right.
 */
static unsigned first_special(uint64_t word)
{
    uint64_t quote = word ^ BYTES('"');
    uint64_t backslash = word ^ BYTES('\\');
    uint64_t found = ((word - BYTES(0x20U)) & ~word) | ((quote - BYTES(1U)) & ~quote) |
                     ((backslash - BYTES(1U)) & ~backslash) | word;

    found &= BYTES(0x80U);
    return found == 0 ? 8 : (unsigned)__builtin_ctzll(found) / 8;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The four digits after \u. -1: not four hexadecimal digits. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t value = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);

        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* The length of the escape at p, a backslash; 0 and s->wrong if it is not one. */
static size_t check_escape(struct scan *s, const char *p)
{
    int32_t unit;

    if (s->end - p < 2) {
        fail(s, s->end, "the text ends too early");
        return 0;
    }
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return 2;
    case 'u':
        break;
    default:
        fail(s, p, "an unknown escape");
        return 0;
    }

    unit = hex4(p + 2, s->end);
    if (unit < 0) {
        fail(s, p, "\\u without four hexadecimal digits");
        return 0;
    }
    if (unit < 0xd800 || unit > 0xdfff)
        return 6;
    if (unit < 0xdc00 && s->end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
        int32_t low = hex4(p + 8, s->end);

        if (low >= 0xdc00 && low <= 0xdfff)
            return 12;
    }
    fail(s, p, "half of a surrogate pair");
    return 0;
}

/*
 * Copies sequences of three bytes, as most scripts of Asia are written, while at least four bytes
 * are left; stops at whatever it does not know.
 */
static size_t copy_triples(const char *p, const char *end, char *out)
{
    size_t n = 0;

    while (end - p - (ptrdiff_t)n >= 4) {
        uint32_t word;
        uint32_t lead;

        memcpy(&word, p + n, sizeof(word));
        word = le32toh(word);
        lead = word & 0xff;
        if ((word & 0x00c0c0f0U) != 0x008080e0U || lead == 0xe0 || lead == 0xed)
            break; /* E0 and ED have rules of their own */
        memcpy(out + n, p + n, 4);
        n += 3;
    }
    return n;
}

/* s->p is at the opening quote. *ret_raw: what stands between the quotes. */
static bool scan_string(struct scan *s, struct weft_str *ret_raw)
{
    const char *begin = s->p + 1;
    const char *p = begin;
    char *out = s->out;

    *out++ = '"';
    for (;;) {
        size_t n;

        while (s->end - p >= 8) {
            uint64_t word;
            unsigned plain;

            memcpy(&word, p, sizeof(word));
            memcpy(out, p, sizeof(word));
            plain = first_special(le64toh(word));
            p += plain;
            out += plain;
            if (plain < 8)
                break;
        }
        if (p == s->end)
            return fail(s, p, "the text ends too early");

        if (*p == '"') {
            break;
        } else if (*p == '\\') {
            n = check_escape(s, p);
            if (n == 0)
                return false;
        } else if ((*p & 0x80) != 0) {
            size_t triples = copy_triples(p, s->end, out);

            if (triples > 0) {
                p += triples;
                out += triples;
                continue;
            }
            n = weft_utf8_len(p, (size_t)(s->end - p));
            if (n == 0)
                return fail(s, p, "invalid UTF-8");
        } else if ((unsigned char)*p < 0x20) {
            return fail(s, p, "a control character inside a string");
        } else {
            n = 1;
        }
        memcpy(out, p, n);
        p += n;
        out += n;
    }
    *out++ = '"';
    s->out = out;
    s->p = p + 1;
    *ret_raw = weft_str(begin, (size_t)(p - begin));
    return true;
}

/* ---- keys ------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    return hash ^ hash >> 32;
}

static uint32_t hash_key(struct weft_str raw)
{
    uint64_t hash = 0;
    uint64_t word = 0;
    size_t i = 0;

    if (memchr(raw.p, '\\', raw.len) == NULL) {
        for (; i + 8 <= raw.len; i += 8) {
            memcpy(&word, raw.p + i, 8);
            hash = mix(hash, word);
        }
        word = 0;
        memcpy(&word, raw.p + i, raw.len - i);
    } else {
        /* The same over the decoded bytes, which are nowhere as such. */
        unsigned char pending[8 + 4];
        size_t n = 0;
        const char *p = raw.p;

        while (p < raw.p + raw.len) {
            char decoded[4];
            size_t len = weft_json_decode_one(&p, decoded);

            memcpy(pending + n, decoded, len);
            n += len;
            if (n >= 8) {
                memcpy(&word, pending, 8);
                hash = mix(hash, word);
                n -= 8;
                memmove(pending, pending + 8, n);
            }
        }
        word = 0;
        memcpy(&word, pending, n);
    }
    return (uint32_t)mix(hash, word);
}

/* The order of the decoded bytes, for keys of which one has escapes. */
static int compare_decoded(struct weft_str a, struct weft_str b)
{
    const char *ap = a.p;
    const char *bp = b.p;
    char ac[4];
    char bc[4];
    size_t an = 0, ai = 0;
    size_t bn = 0, bi = 0;

    for (;;) {
        if (ai == an) {
            an = ap < a.p + a.len ? weft_json_decode_one(&ap, ac) : 0;
            ai = 0;
        }
        if (bi == bn) {
            bn = bp < b.p + b.len ? weft_json_decode_one(&bp, bc) : 0;
            bi = 0;
        }
        if (an == 0 || bn == 0)
            return (an != 0) - (bn != 0);
        if (ac[ai] != bc[bi])
            return (unsigned char)ac[ai] < (unsigned char)bc[bi] ? -1 : 1;
        ai++;
        bi++;
    }
}

static int compare_keys(const struct key *a, const struct key *b)
{
    size_t common = a->len < b->len ? a->len : b->len;
    int order;

    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    if (memchr(a->p, '\\', a->len) != NULL || memchr(b->p, '\\', b->len) != NULL)
        return compare_decoded(weft_str(a->p, a->len), weft_str(b->p, b->len));
    order = memcmp(a->p, b->p, common);
    if (order != 0)
        return order;
    return (a->len > b->len) - (a->len < b->len);
}

static bool fail_duplicate(struct scan *s, const struct key *key)
{
    s->wrong_key = weft_str(key->p, key->len);
    return fail(s, key->p - 1, "duplicate key");
}

static void sift_down(struct key *keys, size_t root, size_t n)
{
    struct key sinking = keys[root];

    for (;;) {
        size_t child = 2 * root + 1;

        if (child >= n)
            break;
        if (child + 1 < n && compare_keys(&keys[child], &keys[child + 1]) < 0)
            child++;
        if (compare_keys(&sinking, &keys[child]) >= 0)
            break;
        keys[root] = keys[child];
        root = child;
    }
    keys[root] = sinking;
}

/* An object with many keys closes: heapsort, which needs no memory, then look at neighbours. */
static bool check_many(struct scan *s, struct key *keys, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift_down(keys, i, n);
    for (size_t left = n - 1; left > 0; left--) {
        struct key last = keys[left];

        keys[left] = keys[0];
        keys[0] = last;
        sift_down(keys, 0, left);
    }
    for (size_t i = 1; i < n; i++) {
        if (compare_keys(&keys[i - 1], &keys[i]) == 0)
            return fail_duplicate(s, keys[i - 1].p > keys[i].p ? &keys[i - 1] : &keys[i]);
    }
    return true;
}

/* An escaped NUL, which as a character of a value is like any other, but cuts keys short elsewhere. */
static bool has_nul(struct weft_str raw)
{
    for (size_t i = 0; i + 1 < raw.len; i++) {
        if (raw.p[i] == '\\') {
            i++;
            if (raw.len - i >= 5 && memcmp(raw.p + i, "u0000", 5) == 0)
                return true;
        }
    }
    return false;
}

/* first: where this object's keys begin on the stack. */
static bool add_key(struct scan *s, size_t first, struct weft_str raw)
{
    struct key key = {raw.p, (uint32_t)raw.len, hash_key(raw)};

    if (memchr(raw.p, '\\', raw.len) != NULL && has_nul(raw))
        return fail(s, raw.p - 1, "\\u0000 in a key");
    if (s->n_keys == s->max_keys)
        return fail(s, raw.p - 1, "too many keys are open at once");
    if (s->n_keys - first < FEW_KEYS) {
        for (size_t i = first; i < s->n_keys; i++) {
            if (s->keys[i].hash == key.hash && compare_keys(&s->keys[i], &key) == 0)
                return fail_duplicate(s, &key);
        }
    }
    s->keys[s->n_keys++] = key;
    return true;
}

/* ---- values ----------------------------------------------------------------------------------- */

/* Enters a container: counts the depth, copies the bracket. */
static bool enter(struct scan *s)
{
    if (s->depth_left == 0)
        return fail(s, s->p, "nested too deeply");
    s->depth_left--;
    *s->out++ = *s->p++;
    skip_space(s);
    return true;
}

static void leave(struct scan *s)
{
    s->depth_left++;
    *s->out++ = *s->p++;
}

static bool scan_member(struct scan *s, size_t first_key)
{
    struct weft_str key;

    if (s->p == s->end || *s->p != '"')
        return fail_here(s, "expected a key in quotes");
    if (!scan_string(s, &key) || !add_key(s, first_key, key))
        return false;
    skip_space(s);
    if (s->p == s->end || *s->p != ':')
        return fail_here(s, "expected \":\"");
    *s->out++ = *s->p++;
    skip_space(s);
    return scan_value(s);
}

/* s->p is at the opening brace or bracket. */
static bool scan_container(struct scan *s)
{
    bool object = *s->p == '{';
    char close = object ? '}' : ']';
    size_t first_key = s->n_keys;

    if (!enter(s))
        return false;
    if (s->p < s->end && *s->p == close) {
        leave(s);
        return true;
    }
    for (;;) {
        if (!(object ? scan_member(s, first_key) : scan_value(s)))
            return false;
        skip_space(s);
        if (s->p < s->end && *s->p == close)
            break;
        if (s->p == s->end || *s->p != ',')
            return fail_here(s, object ? "expected \",\" or \"}\"" : "expected \",\" or \"]\"");
        *s->out++ = *s->p++;
        skip_space(s);
    }
    if (s->n_keys - first_key > FEW_KEYS &&
        !check_many(s, s->keys + first_key, s->n_keys - first_key))
        return false;
    s->n_keys = first_key;
    leave(s);
    return true;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static bool scan_number(struct scan *s)
{
    const char *p = s->p;
    const char *digits;
    size_t len;

    if (*p == '-')
        p++;
    digits = p;
    p = skip_digits(p, s->end);
    if (p == digits)
        return fail(s, p, p == s->end ? "the text ends too early" : "expected a digit");
    if (*digits == '0' && p - digits > 1)
        return fail(s, digits, "a number with a leading zero");
    if (p < s->end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, s->end);
        if (p == digits)
            return fail(s, p, p == s->end ? "the text ends too early" : "expected a digit");
    }
    if (p < s->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < s->end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        p = skip_digits(p, s->end);
        if (p == digits)
            return fail(s, p, p == s->end ? "the text ends too early" : "expected a digit");
    }

    len = (size_t)(p - s->p);
    if (len > NUMBER_MAX)
        return fail_here(s, "a number of more than 64 characters");
    memcpy(s->out, s->p, len);
    s->out += len;
    s->p = p;
    return true;
}

static bool scan_literal(struct scan *s, struct weft_str literal)
{
    if ((size_t)(s->end - s->p) < literal.len || memcmp(s->p, literal.p, literal.len) != 0)
        return fail(s, s->p, "unexpected text");
    memcpy(s->out, literal.p, literal.len);
    s->out += literal.len;
    s->p += literal.len;
    return true;
}

static bool scan_value(struct scan *s)
{
    struct weft_str string;

    if (s->p == s->end)
        return fail_here(s, "expected a value");
    switch (*s->p) {
    case '"':
        return scan_string(s, &string);
    case '{':
    case '[':
        return scan_container(s);
    case 't':
        return scan_literal(s, WEFT_STR("true"));
    case 'f':
        return scan_literal(s, WEFT_STR("false"));
    case 'n':
        return scan_literal(s, WEFT_STR("null"));
    default:
        if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'))
            return scan_number(s);
        return fail_here(s, "unexpected text");
    }
}

static bool scan_text(struct scan *s)
{
    if (s->end - s->p >= 3 && memcmp(s->p, "\xef\xbb\xbf", 3) == 0)
        return fail_here(s, "a byte order mark");
    skip_space(s);
    if (!scan_value(s))
        return false;
    skip_space(s);
    return s->p == s->end || fail_here(s, "more text after the value");
}

static int minify(struct weft_buf *out, struct weft_str text, size_t offset, unsigned depth_limit,
                  size_t max_keys, struct weft_err *err)
{
    struct scan s;
    char *room;

    if (text.len == 0)
        text.p = ""; /* it may be NULL */
    room = text.len <= INT32_MAX ? weft_buf_reserve(out, text.len) : NULL;
    if (room == NULL)
        return weft_err_set(err, WEFT_ETOOBIG, "", "the JSON text is too large");

    s.p = text.p;
    s.end = text.p + text.len;
    s.out = room;
    s.depth_left = depth_limit;
    s.wrong = NULL;
    s.wrong_key = weft_str(NULL, 0);
    s.n_keys = 0;
    s.max_keys = max_keys;
    if (!scan_text(&s)) {
        size_t at = offset + (size_t)(s.p - text.p);

        *room = '\0';
        if (s.wrong_key.p != NULL)
            return weft_err_set(err, WEFT_EINVAL, "", "%s \"%.*s\" at byte %zu", s.wrong,
                                (int)(s.wrong_key.len < 100 ? s.wrong_key.len : 100), s.wrong_key.p,
                                at);
        return weft_err_set(err, WEFT_EINVAL, "", "%s at byte %zu", s.wrong, at);
    }
    *s.out = '\0';
    out->len += (size_t)(s.out - room);
    return 0;
}

int weft_json_minify_at(struct weft_buf *out, struct weft_str text, size_t offset,
                        unsigned depth_limit, struct weft_err *err)
{
    WEFT_ASSERT(depth_limit <= WEFT_JSON_MAX_DEPTH);
    return minify(out, text, offset, depth_limit, WEFT_JSON_MAX_KEYS, err);
}

int weft_json_minify_sent(struct weft_buf *out, struct weft_str text, struct weft_err *err)
{
    return minify(out, text, 0, WEFT_JSON_MAX_DEPTH + AROUND_DEPTH,
                  WEFT_JSON_MAX_KEYS + AROUND_KEYS, err);
}

int weft_json_minify(struct weft_buf *out, struct weft_str text, unsigned depth_limit,
                     struct weft_err *err)
{
    return weft_json_minify_at(out, text, 0, depth_limit, err);
}
