#include "config_priv.h"

#include <weft/config/retention.h>

#include <stdio.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

static bool all_of(const char *value, const char *allowed)
{
    return value[strspn(value, allowed)] == '\0';
}

static bool starts_with(const char *value, const char *start)
{
    return strncmp(value, start, strlen(start)) == 0;
}

static const char *check_any(const char *value)
{
    (void)value;
    return NULL;
}

static const char *check_not_empty(const char *value)
{
    return value[0] == '\0' ? "must not be empty" : NULL;
}

static const char *check_node_id(const char *value)
{
    if (strlen(value) > 64 || !all_of(value, LOWER UPPER DIGIT "._-"))
        return "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -";
    return NULL;
}

static const char *check_prefix(const char *value)
{
    size_t len = strlen(value);

    if (len < 1 || len > 32 || !all_of(value, LOWER UPPER DIGIT "_-"))
        return "must be 1 to 32 of the characters A-Z a-z 0-9 _ -";
    return NULL;
}

static const char *check_listen(const char *value)
{
    char host[256];
    uint16_t port;

    if (weft_config_split_listen(value, host, sizeof(host), &port))
        return "must be HOST:PORT, for example 0.0.0.0:8080 or [::1]:8080";
    return NULL;
}

/* A cookie's name (RFC 6265), of the plainer characters. */
static const char *check_cookie(const char *value)
{
    if (value[0] != '\0' && (strlen(value) > 64 || !all_of(value, LOWER UPPER DIGIT "._-")))
        return "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, or empty";
    return NULL;
}

/* An origin as browsers send it: lower case, no path. */
static const char *check_origin(const char *value)
{
    static const char why[] =
        "must be * or an origin such as https://app.example.org, in lower case and without a path";
    const char *host = strstr(value, "://");

    if (strcmp(value, "*") == 0)
        return NULL;
    if (!host || host == value || strspn(value, LOWER DIGIT "+.-") != (size_t)(host - value))
        return why;
    host += 3;
    if (host[0] == '\0' || !all_of(host, LOWER DIGIT ".-_:[]"))
        return why;
    return NULL;
}

/* Only how it begins; pkg/redis/url.h reads it. */
static const char *check_redis_url(const char *value)
{
    static const char *const starts[] = {"redis://", "rediss://", "redis+sentinel://",
                                         "rediss+sentinel://", "unix:///"};

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (starts_with(value, starts[i]) && value[strlen(starts[i])] != '\0')
            return NULL;
    return "must be redis://[user:password@]host[:port][/db], rediss:// likewise, "
           "unix:///path/to.sock[?db=n] or redis+sentinel://host,host/master";
}

static const char *check_retention(const char *value)
{
    struct weft_retention_rule rule;
    const char *why = NULL;

    return weft_retention_rule_parse(&rule, value, &why) == 0 ? NULL : why;
}

/* A topic or pattern as wire/name.h has it, which is above this library. */
static const char *check_slow_policy(const char *value)
{
    const char *equals = strrchr(value, '=');
    size_t len = equals ? (size_t)(equals - value) : 0;
    size_t plain = strspn(value, LOWER UPPER DIGIT "._:-");

    if (!equals || len < 1 || len > 200 ||
        (plain != len && (plain + 1 != len || value[plain] != '*')))
        return "must be PATTERN=POLICY, for example tick:*=latest";
    equals++;
    if (strcmp(equals, "replay") != 0 && strcmp(equals, "latest") != 0 &&
        strcmp(equals, "close") != 0)
        return "must be PATTERN=replay, PATTERN=latest or PATTERN=close";
    return NULL;
}

const struct weft_param_rule weft_rule_any = {.check = check_any};
const struct weft_param_rule weft_rule_not_empty = {.check = check_not_empty};
const struct weft_param_rule weft_rule_node_id = {.check = check_node_id};
const struct weft_param_rule weft_rule_prefix = {.check = check_prefix};
const struct weft_param_rule weft_rule_listen = {.check = check_listen};
const struct weft_param_rule weft_rule_cookie = {.check = check_cookie};
const struct weft_param_rule weft_rule_origin = {.check = check_origin};
const struct weft_param_rule weft_rule_slow_policy = {.check = check_slow_policy};
const struct weft_param_rule weft_rule_redis_url = {.check = check_redis_url, .secret = true};
const struct weft_param_rule weft_rule_retention = {.check = check_retention};

int weft_config_split_listen(const char *listen, char *ret_host, size_t host_size,
                             uint16_t *ret_port)
{
    const char *colon = strrchr(listen, ':');
    const char *host = listen;
    unsigned port = 0;
    size_t len;

    if (!colon || colon == listen)
        return WEFT_EINVAL;
    len = (size_t)(colon - listen);
    if (host[0] == '[') {
        if (len < 3 || host[len - 1] != ']')
            return WEFT_EINVAL;
        host++;
        len -= 2;
        if (strspn(host, LOWER UPPER DIGIT ":.%") != len)
            return WEFT_EINVAL;
    } else if (strspn(host, LOWER UPPER DIGIT ".-_") != len) {
        return WEFT_EINVAL;
    }
    if (len >= host_size)
        return WEFT_EINVAL;

    if (colon[1] == '\0' || strlen(colon + 1) > 5 || !all_of(colon + 1, DIGIT))
        return WEFT_EINVAL;
    for (const char *c = colon + 1; *c; c++)
        port = port * 10 + (unsigned)(*c - '0');
    if (port > UINT16_MAX)
        return WEFT_EINVAL;

    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    *ret_port = (uint16_t)port;
    return 0;
}

/*
 * What stands before the last '@' is "user:password", "user" or, as redis-cli takes it, the
 * password alone; a password may hold '/' and '@' unescaped. So only a user name that is
 * followed by ':' is shown. A path of a socket has no such part. Behind the password for the Sentinels nothing
 * is shown.
 */
void weft_config_redact_url(const char *url, char *out, size_t size)
{
    static const char word[] = "sentinel_password=";
    const char *start = strstr(url, "://");
    const char *second = strstr(url, word);
    const char *end = second ? second + strlen(word) : url + strlen(url);
    const char *tail = second ? "***" : "";
    const char *at;
    const char *colon;
    int user;

    start = start ? start + 3 : url;
    at = memrchr(url, '@', (size_t)(end - url));
    if (!at || at < start || start[0] == '/') {
        snprintf(out, size, "%.*s%s", (int)(end - url), url, tail);
        return;
    }
    colon = memchr(start, ':', (size_t)(at - start));
    user = colon ? (int)(colon + 1 - start) : 0;
    snprintf(out, size, "%.*s%.*s***%.*s%s", (int)(start - url), url, user, start, (int)(end - at),
             at, tail);
}
