/*
 * sentinel_priv - what Sentinels say, read; and whom of them to believe. Pure.
 */
#ifndef WEFT_REDIS_SENTINEL_PRIV_H
#define WEFT_REDIS_SENTINEL_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/str.h>
#include <weft/redis/reply.h>
#include <weft/redis/url.h>

/* Answer of SENTINEL GET-MASTER-ADDR-BY-NAME. False: nil, an error, or not an address. */
bool weft_sentinel_read_address(const struct weft_reply *reply, struct weft_redis_host *ret_host);

/* config-epoch in the answer of SENTINEL MASTER. False: not there. */
bool weft_sentinel_read_epoch(const struct weft_reply *reply, uint64_t *ret_epoch);

/* Whether a message on +switch-master is about this master: `<name> <ip> <port> <ip> <port>`. */
bool weft_sentinel_read_switch(struct weft_str message, const char *master);

/* What is believed. Zeroed but for n it knows nothing. */
struct weft_sentinel_view {
    size_t n; /* of Sentinels, at most 64 */
    bool known;
    struct weft_redis_host host;
    uint64_t epoch;
    size_t by;         /* the Sentinel that said it */
    uint64_t by_ns;    /* when it last did */
    uint64_t older;    /* bits: who has said something older since anybody said what is believed */
    uint64_t older_ns; /* when the first of them did */
};

/* Sentinel `by` named this address. True: it is believed, and not the one before. */
bool weft_sentinel_view_hear(struct weft_sentinel_view *v, size_t by,
                             const struct weft_redis_host *host, uint64_t epoch, uint64_t now_ns);

#endif
