/*
 * conn - one connection to Redis on a libevent loop: commands in order, pushes apart, always coming back.
 *
 * It connects, says who we are (AUTH, SELECT, CLIENT SETNAME), makes sure that it is a master (ROLE) and that the
 * functions library is there if asked to, and tells its owner with `up`. When the connection ends for whatever reason (refused, closed, a command over its time,
 * silence) every waiting command's callback gets a NULL reply, the owner gets `down`, and it connects again
 * after a backoff with jitter. Host names are resolved without blocking.
 *
 * Everything runs on the loop's thread. It does not know topics, events or retries: whether a command may be
 * sent again is the caller's to decide.
 */
#ifndef WEFT_REDIS_CONN_H
#define WEFT_REDIS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/str.h>
#include <weft/redis/reply.h>
#include <weft/redis/url.h>

struct event_base;
struct weft_log;
struct weft_shard;
struct weft_redis_conn; /* opaque */
struct weft_redis_tls;

/* reply is NULL when the connection ended first: the command may or may not have been executed. */
typedef void weft_redis_replied(void *ctx, const struct weft_reply *reply);

struct weft_redis_conn_opts {
    struct event_base *base;          /* borrowed */
    const struct weft_redis_url *url; /* borrowed */
    struct weft_redis_tls *tls;       /* borrowed; NULL: without TLS */
    const char *name;                 /* CLIENT SETNAME; borrowed */
    const char *role; /* what it has to be: "master", "sentinel"; NULL: anything; borrowed */
    uint32_t connect_timeout_ms;
    uint32_t command_timeout_ms;
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    uint64_t seed;            /* of the jitter */
    bool subscriber;          /* replies are pushes: message, subscribe, unsubscribe */
    bool functions;           /* load the functions library before `up` */
    struct weft_shard *shard; /* borrowed */
    struct weft_log *log;     /* borrowed, may be NULL */

    void *ctx;
    void (*up)(void *ctx);
    void (*down)(void *ctx, const char *why);
    /* Before each connect: where it is now; false: nobody knows yet. NULL: where the URL says. */
    bool (*find)(void *find_ctx, struct weft_redis_host *ret_host);
    void *find_ctx;
    /* Subscriber connections only. */
    void (*message_arrived)(void *ctx, struct weft_str channel, struct weft_str payload);
    void (*subscribed)(void *ctx, struct weft_str channel, bool on);
    void (*pong)(void *ctx, struct weft_str token); /* may be NULL */
    /* After everything that had arrived was handed over. May be NULL. */
    void (*drained)(void *ctx);
};

/* Yours; starts to connect at once. WEFT_ENOMEM or WEFT_ESYS. */
int weft_redis_conn_create(struct weft_redis_conn **ret_cn, const struct weft_redis_conn_opts *opts)
    WEFT_MUST_CHECK;
/* Waiting commands get NULL replies; `down` is not called. NULL is allowed. */
void weft_redis_conn_destroy(struct weft_redis_conn *cn);

/* Ends the connection, if there is one, and makes it anew at once: it may be to another server then. */
void weft_redis_conn_reconnect(struct weft_redis_conn *cn, const char *why);

bool weft_redis_conn_is_up(const struct weft_redis_conn *cn);
size_t weft_redis_conn_waiting(const struct weft_redis_conn *cn);

/*
 * Sends one command. replied is called once for it, in the order of the commands (on a subscriber connection
 * replied must be NULL: what comes back are pushes). WEFT_EUNAVAILABLE when not up: replied is not called then.
 */
int weft_redis_send(struct weft_redis_conn *cn, weft_redis_replied *replied, void *ctx, size_t argc,
                    const struct weft_str *argv) WEFT_MUST_CHECK;

/*
 * On a subscriber connection: when `pong` brings the token (not empty), every message that Redis had published before
 * it took this PING has arrived. WEFT_EUNAVAILABLE when not up.
 */
int weft_redis_ping(struct weft_redis_conn *cn, struct weft_str token) WEFT_MUST_CHECK;

/* The answer to FCALL says that somebody has flushed the library: nothing was executed. */
bool weft_redis_function_missing(const struct weft_reply *reply);

/* Loads the functions library again (somebody flushed it); replied gets the reply of FUNCTION LOAD. */
int weft_redis_load_functions(struct weft_redis_conn *cn, weft_redis_replied *replied, void *ctx)
    WEFT_MUST_CHECK;

#endif
