/*
 * tls_priv - TLS of one connection.
 */
#ifndef WEFT_REDIS_TLS_PRIV_H
#define WEFT_REDIS_TLS_PRIV_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/redis/tls.h>

struct bufferevent;
struct event_base;

/*
 * A bufferevent that is not connected yet and will speak TLS with the server of this name or
 * address, closing what it holds when it is freed. NULL: out of memory, or host cannot be the name of
 * a server.
 */
struct bufferevent *weft_redis_tls_open(struct weft_redis_tls *tls, struct event_base *base,
                                        const char *host);

/*
 * In the callback of an error: why TLS refused, for the log. False: it was not TLS, out is as
 * before.
 */
bool weft_redis_tls_why(struct bufferevent *bev, char *out, size_t size);

#endif
