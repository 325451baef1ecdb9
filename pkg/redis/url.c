#include <weft/redis/url.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/str.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes s into out (cap bytes with the NUL). False: broken escape, NUL inside, or too long. */
static bool decode(char *out, size_t cap, struct weft_str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        int c = (unsigned char)s.p[i];

        if (c == '%') {
            int hi = i + 2 < s.len ? hex(s.p[i + 1]) : -1;
            int lo = hi >= 0 ? hex(s.p[i + 2]) : -1;

            if (lo < 0) {
                return false;
            }
            c = hi * 16 + lo;
            i += 2;
        }
        if (c == 0 || n + 1 >= cap) {
            return false;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

static bool take_prefix(struct weft_str *s, const char *prefix)
{
    size_t n = strlen(prefix);

    if (s->len < n || memcmp(s->p, prefix, n) != 0) {
        return false;
    }
    s->p += n;
    s->len -= n;
    return true;
}

/* Splits s at the first (or last) sep: left part returned, the right part left in *s. False if there is none. */
static bool split(struct weft_str *s, char sep, bool last, struct weft_str *ret_left)
{
    const char *at = s->len == 0 ? NULL
                     : last      ? memrchr(s->p, sep, s->len)
                                 : memchr(s->p, sep, s->len);

    if (at == NULL) {
        return false;
    }
    *ret_left = weft_str(s->p, (size_t)(at - s->p));
    s->len -= ret_left->len + 1;
    s->p = at + 1;
    return true;
}

static int parse_db(struct weft_redis_url *url, struct weft_str text, struct weft_err *err)
{
    uint64_t db;

    if (!weft_str_u64(text, &db) || db > 65535) {
        return weft_err_set(err, WEFT_EINVAL, "redis.url", "the database must be a number");
    }
    url->db = (uint32_t)db;
    return 0;
}

static int parse_unix(struct weft_redis_url *url, struct weft_str rest, struct weft_err *err)
{
    struct weft_str path = rest;

    if (split(&rest, '?', false, &path)) {
        if (!take_prefix(&rest, "db=")) {
            return weft_err_set(err, WEFT_EINVAL, "redis.url",
                                "only ?db=<number> may follow the path");
        }
        int rc = parse_db(url, rest, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (path.len == 0 || path.p[0] != '/' || !decode(url->path, sizeof(url->path), path)) {
        return weft_err_set(err, WEFT_EINVAL, "redis.url",
                            "a UNIX socket needs an absolute path of at most 107 bytes");
    }
    (void)snprintf(url->label, sizeof(url->label), "unix://%s", url->path);
    return 0;
}

static int parse_tcp(struct weft_redis_url *url, struct weft_str rest, struct weft_err *err)
{
    struct weft_str host = rest;
    struct weft_str port = weft_str(NULL, 0);
    uint64_t number = 6379;
    bool has_db = split(&rest, '/', false, &host);

    if (has_db && rest.len > 0) {
        int rc = parse_db(url, rest, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (host.len > 0 && host.p[0] == '[') { /* an IPv6 address in brackets */
        const char *end = memchr(host.p, ']', host.len);

        if (end == NULL) {
            return weft_err_set(err, WEFT_EINVAL, "redis.url", "the IPv6 address lacks its ]");
        }
        port = weft_str(end + 1, host.len - (size_t)(end + 1 - host.p));
        host = weft_str(host.p + 1, (size_t)(end - host.p - 1));
        if (port.len > 0 && !take_prefix(&port, ":")) {
            return weft_err_set(err, WEFT_EINVAL, "redis.url", "only :port may follow the address");
        }
    } else {
        struct weft_str left;

        port = host;
        if (split(&port, ':', true, &left)) {
            host = left;
        } else {
            port = weft_str(NULL, 0);
        }
    }
    if (port.p != NULL && port.len > 0 &&
        (!weft_str_u64(port, &number) || number == 0 || number > 65535)) {
        return weft_err_set(err, WEFT_EINVAL, "redis.url", "the port must be 1 to 65535");
    }
    if (host.len == 0 || !decode(url->host, sizeof(url->host), host)) {
        return weft_err_set(err, WEFT_EINVAL, "redis.url", "it names no host");
    }
    url->port = (uint16_t)number;
    (void)snprintf(url->label, sizeof(url->label), "%s:%u", url->host, (unsigned)url->port);
    return 0;
}

int weft_redis_url_parse(struct weft_redis_url *url, const char *text, struct weft_err *err)
{
    struct weft_str rest = weft_str(text, strlen(text));
    struct weft_str who;
    bool local;

    memset(url, 0, sizeof(*url));
    if (take_prefix(&rest, "unix://")) {
        local = true;
    } else if (take_prefix(&rest, "redis://")) {
        local = false;
    } else {
        return weft_err_set(err, WEFT_EINVAL, "redis.url",
                            "it must begin with redis:// or unix://");
    }
    if (split(&rest, '@', true, &who)) {
        struct weft_str user;
        struct weft_str password = who;

        if (!split(&password, ':', false, &user)) { /* no colon: a user without password */
            user = who;
            password = weft_str(NULL, 0);
        }
        if (!decode(url->user, sizeof(url->user), user) ||
            !decode(url->password, sizeof(url->password), password)) {
            return weft_err_set(err, WEFT_EINVAL, "redis.url",
                                "user or password is too long or has a broken %% escape");
        }
    }
    return local ? parse_unix(url, rest, err) : parse_tcp(url, rest, err);
}
