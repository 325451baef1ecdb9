/*
 * url - where Redis is and who we are there.
 *
 *   redis://[user[:password]@]host[:port][/db]
 *   unix:///path/to/socket[?db=n]          (user:password@ allowed before the path)
 */
#ifndef WEFT_REDIS_URL_H
#define WEFT_REDIS_URL_H

#include <stdint.h>

#include <weft/base/err.h>

struct weft_redis_url {
    char host[256];
    uint16_t port;
    char path[108]; /* of a UNIX socket; then host is empty */
    char user[128];
    char password[256];
    uint32_t db;
    char label[300]; /* for logs: without user and password */
};

/* WEFT_EINVAL with a sentence that does not repeat the password. */
int weft_redis_url_parse(struct weft_redis_url *url, const char *text, struct weft_err *err)
    WEFT_MUST_CHECK;

#endif
