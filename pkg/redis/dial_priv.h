/*
 * dial_priv - begins to connect to a server: TCP with or without TLS, or a UNIX socket; host names
 * are resolved without blocking.
 */
#ifndef WEFT_REDIS_DIAL_PRIV_H
#define WEFT_REDIS_DIAL_PRIV_H

#include <stddef.h>

#include <weft/redis/url.h>

struct bufferevent;
struct event_base;
struct evdns_base;
struct weft_redis_tls;

struct weft_dialer {
    struct event_base *base;    /* borrowed */
    struct weft_redis_tls *tls; /* borrowed; NULL: without */
    struct evdns_base *dns;     /* made when a host name needs it */
};

/* A bufferevent for that host, not connected yet, so that callbacks can be set. NULL: cannot be made. */
struct bufferevent *weft_dialer_open(struct weft_dialer *d, const struct weft_redis_host *host);

/*
 * Begins to connect it to the UNIX socket `path`, or, if that is "", to host. The event callback
 * tells how it ends, perhaps before this returns. 0, or -1 with errno: not even begun.
 */
int weft_dialer_connect(struct weft_dialer *d, struct bufferevent *bev, const char *path,
                        const struct weft_redis_host *host);

/* In the event callback: why it failed. */
void weft_dialer_why(struct bufferevent *bev, short what, char *out, size_t size);

void weft_dialer_fini(struct weft_dialer *d);

#endif
