/*
 * url - where Redis is and who we are there.
 *
 *   redis://[user[:password]@]host[:port][/db]         rediss:// the same with TLS
 *   unix:///path/to/socket[?db=n]                      (user:password@ allowed before the path)
 *   redis+sentinel://[user[:password]@]host[:port],host[:port].../master[/db]
 *       [?sentinel_user=..&sentinel_password=..]       rediss+sentinel:// the same with TLS
 *
 * In the last form the hosts are those of Sentinels, which know where the server called `master`
 * is; user and password are for Redis, those behind the question mark for the Sentinels.
 */
#ifndef WEFT_REDIS_URL_H
#define WEFT_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>

#define WEFT_REDIS_SENTINELS_MAX 16

/* A host name or an address without brackets, and a port. */
struct weft_redis_host {
    char name[256];
    uint16_t port;
};

struct weft_redis_url {
    struct weft_redis_host host; /* name "": a UNIX socket, or Sentinels know */
    char path[108];              /* of a UNIX socket */
    char user[128];
    char password[256];
    uint32_t db;
    bool tls;        /* to Redis and to the Sentinels */
    char label[300]; /* for logs: without user and password */

    struct weft_redis_host sentinels[WEFT_REDIS_SENTINELS_MAX];
    size_t n_sentinels; /* 0: no Sentinels */
    char master[128];   /* the name that they know the server by */
    char sentinel_user[128];
    char sentinel_password[256];
};

/* WEFT_EINVAL with a sentence that does not repeat the password. */
int weft_redis_url_parse(struct weft_redis_url *url, const char *text, struct weft_err *err)
    WEFT_MUST_CHECK;

/* The URL of one of its Sentinels: where it is and who we are there. */
void weft_redis_url_of_sentinel(struct weft_redis_url *ret_url, const struct weft_redis_url *url,
                                size_t i);

#endif
