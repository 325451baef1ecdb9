#include <weft/redis/url.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/str.h>

#define REDIS_PORT    6379
#define SENTINEL_PORT 26379

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
        if (!weft_str_take(&rest, "db=")) {
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

/* host[:port], or an IPv6 address in brackets. */
static int parse_host(struct weft_redis_host *ret_host, struct weft_str host, uint16_t port_or,
                      struct weft_err *err)
{
    struct weft_str port = weft_str(NULL, 0);
    uint64_t number = port_or;

    if (host.len > 0 && host.p[0] == '[') {
        const char *end = memchr(host.p, ']', host.len);

        if (end == NULL) {
            return weft_err_set(err, WEFT_EINVAL, "redis.url", "the IPv6 address lacks its ]");
        }
        port = weft_str(end + 1, host.len - (size_t)(end + 1 - host.p));
        host = weft_str(host.p + 1, (size_t)(end - host.p - 1));
        if (port.len > 0 && !weft_str_take(&port, ":")) {
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
    if (host.len == 0 || !decode(ret_host->name, sizeof(ret_host->name), host)) {
        return weft_err_set(err, WEFT_EINVAL, "redis.url", "it names no host");
    }
    ret_host->port = (uint16_t)number;
    return 0;
}

static int parse_tcp(struct weft_redis_url *url, struct weft_str rest, struct weft_err *err)
{
    struct weft_str host = rest;
    int rc;

    if (split(&rest, '/', false, &host) && rest.len > 0) {
        rc = parse_db(url, rest, err);
        if (rc != 0) {
            return rc;
        }
    }
    rc = parse_host(&url->host, host, REDIS_PORT, err);
    if (rc == 0) {
        (void)snprintf(url->label, sizeof(url->label), "%s:%u", url->host.name,
                       (unsigned)url->host.port);
    }
    return rc;
}

/* What follows the question mark. */
static int parse_sentinel_login(struct weft_redis_url *url, struct weft_str query,
                                struct weft_err *err)
{
    while (query.len > 0) {
        struct weft_str value = weft_str_before(&query, '&');
        bool fits;

        if (weft_str_take(&value, "sentinel_user=")) {
            fits = decode(url->sentinel_user, sizeof(url->sentinel_user), value);
        } else if (weft_str_take(&value, "sentinel_password=")) {
            fits = decode(url->sentinel_password, sizeof(url->sentinel_password), value);
        } else {
            return weft_err_set(
                err, WEFT_EINVAL, "redis.url",
                "only sentinel_user and sentinel_password may follow the question mark");
        }
        if (!fits) {
            return weft_err_set(err, WEFT_EINVAL, "redis.url",
                                "the Sentinels' user or password is too long or has a broken "
                                "%% escape");
        }
    }
    return 0;
}

/* host[:port],.../master[/db][?login] */
static int parse_sentinels(struct weft_redis_url *url, struct weft_str rest, struct weft_err *err)
{
    struct weft_str query = rest;
    struct weft_str hosts = rest;
    struct weft_str master;
    int rc = 0;

    if (split(&query, '?', false, &rest)) {
        rc = parse_sentinel_login(url, query, err);
    }
    if (rc != 0) {
        return rc;
    }
    master = rest;
    if (!split(&master, '/', false, &hosts)) {
        hosts = rest;
        master = weft_str(NULL, 0);
    }
    rest = weft_str_before(&master, '/');
    if (master.len > 0) {
        rc = parse_db(url, master, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (rest.len == 0 || !decode(url->master, sizeof(url->master), rest)) {
        return weft_err_set(err, WEFT_EINVAL, "redis.url",
                            "the master's name has to follow the Sentinels: "
                            "redis+sentinel://host,host/name");
    }
    do {
        if (url->n_sentinels == WEFT_REDIS_SENTINELS_MAX) {
            return weft_err_set(err, WEFT_EINVAL, "redis.url", "at most %d Sentinels can be named",
                                WEFT_REDIS_SENTINELS_MAX);
        }
        rc = parse_host(&url->sentinels[url->n_sentinels], weft_str_before(&hosts, ','),
                        SENTINEL_PORT, err);
        url->n_sentinels += rc == 0 ? 1 : 0;
    } while (rc == 0 && hosts.len > 0);
    (void)snprintf(url->label, sizeof(url->label), "the master %s", url->master);
    return rc;
}

static bool take_scheme(struct weft_str *s, const char *plain, const char *with_tls, bool *ret_tls)
{
    *ret_tls = weft_str_take(s, with_tls);
    return *ret_tls || weft_str_take(s, plain);
}

int weft_redis_url_parse(struct weft_redis_url *url, const char *text, struct weft_err *err)
{
    int (*parse)(struct weft_redis_url *, struct weft_str, struct weft_err *);
    struct weft_str rest = weft_str(text, strlen(text));
    struct weft_str who;

    memset(url, 0, sizeof(*url));
    if (weft_str_take(&rest, "unix://")) {
        parse = parse_unix;
    } else if (take_scheme(&rest, "redis://", "rediss://", &url->tls)) {
        parse = parse_tcp;
    } else if (take_scheme(&rest, "redis+sentinel://", "rediss+sentinel://", &url->tls)) {
        parse = parse_sentinels;
    } else {
        return weft_err_set(err, WEFT_EINVAL, "redis.url",
                            "it must begin with redis://, rediss://, redis+sentinel://, "
                            "rediss+sentinel:// or unix://");
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
    return parse(url, rest, err);
}

void weft_redis_url_of_sentinel(struct weft_redis_url *ret_url, const struct weft_redis_url *url,
                                size_t i)
{
    memset(ret_url, 0, sizeof(*ret_url));
    ret_url->host = url->sentinels[i];
    ret_url->tls = url->tls;
    memcpy(ret_url->user, url->sentinel_user, sizeof(ret_url->user));
    memcpy(ret_url->password, url->sentinel_password, sizeof(ret_url->password));
    (void)snprintf(ret_url->label, sizeof(ret_url->label), "%s:%u", ret_url->host.name,
                   (unsigned)ret_url->host.port);
}
