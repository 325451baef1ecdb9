#include <weft/wire/query.h>

#include <stdint.h>

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

/* NULL: good; else what is wrong. Decoded text is never longer than what it came from. */
static const char *decode(struct weft_str s, bool plus_is_space, char *out,
                          struct weft_str *ret_decoded)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            int high = s.len - i > 2 ? hex_digit(s.p[i + 1]) : -1;
            int low = s.len - i > 2 ? hex_digit(s.p[i + 2]) : -1;

            if (high < 0 || low < 0)
                return "a % is not followed by two hexadecimal digits";
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[n++] = c;
    }
    *ret_decoded = weft_str(out, n);
    if (!weft_str_printable(*ret_decoded))
        return "control characters and invalid UTF-8 are not allowed";
    return NULL;
}

/* A piece of the text as it was sent, for the error's field: it could not be decoded. */
static int fail(struct weft_err *err, struct weft_str raw, const char *what)
{
    char name[sizeof(((struct weft_err *)NULL)->field)];
    size_t n = raw.len < sizeof(name) - 1 ? raw.len : sizeof(name) - 1;

    for (size_t i = 0; i < n; i++)
        name[i] = raw.p[i] != '\0' ? raw.p[i] : '?';
    name[n] = '\0';
    return weft_err_set(err, WEFT_EINVAL, name, "%s", what);
}

static int parse_param(struct weft_param *param, struct weft_str pair, char **scratch,
                       struct weft_err *err)
{
    const char *equals = memchr(pair.p, '=', pair.len);
    struct weft_str key = pair;
    struct weft_str value = {pair.p + pair.len, 0};
    const char *wrong;

    if (equals != NULL) {
        key.len = (size_t)(equals - pair.p);
        value = weft_str(equals + 1, pair.len - key.len - 1);
    }
    if (key.len == 0)
        return weft_err_set(err, WEFT_EINVAL, "query", "a query parameter has no name");

    wrong = decode(key, true, *scratch, &param->key);
    if (wrong == NULL) {
        *scratch += param->key.len;
        key = param->key;
        wrong = decode(value, true, *scratch, &param->value);
        *scratch += wrong == NULL ? param->value.len : 0;
    }
    return wrong == NULL ? 0 : fail(err, key, wrong);
}

int weft_query_parse(struct weft_query *q, struct weft_str text, char *scratch,
                     struct weft_err *err)
{
    const char *p = text.p;
    size_t left = text.len;

    q->n = 0;
    while (left > 0) {
        const char *amp = memchr(p, '&', left);
        struct weft_str pair = {p, amp != NULL ? (size_t)(amp - p) : left};

        if (pair.len > 0) {
            int rc;

            if (q->n == WEFT_QUERY_MAX_PARAMS)
                return weft_err_set(err, WEFT_EINVAL, "query", "more than %d query parameters",
                                    WEFT_QUERY_MAX_PARAMS);
            rc = parse_param(&q->params[q->n], pair, &scratch, err);
            if (rc != 0)
                return rc;
            q->n++;
        }
        p += pair.len;
        left -= pair.len;
        if (left > 0) { /* the & */
            p++;
            left--;
        }
    }
    return 0;
}

struct weft_str weft_query_get(const struct weft_query *q, const char *key)
{
    struct weft_str wanted = {key, strlen(key)};

    for (size_t i = 0; i < q->n; i++) {
        if (weft_str_eq(q->params[i].key, wanted))
            return q->params[i].value;
    }
    return weft_str(NULL, 0);
}

bool weft_segment_decode(struct weft_str segment, char *out, struct weft_str *ret_decoded)
{
    struct weft_str decoded;

    if (decode(segment, false, out, &decoded) != NULL)
        return false;
    *ret_decoded = decoded;
    return true;
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

size_t weft_percent_encode(char *out, size_t cap, struct weft_str s)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (is_unreserved(s.p[i])) {
            if (n == cap)
                return 0;
            out[n++] = s.p[i];
        } else {
            if (cap - n < 3)
                return 0;
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    return n;
}
