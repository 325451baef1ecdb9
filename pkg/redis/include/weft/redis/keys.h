/*
 * keys - every key, channel and function name of weft in Redis: the only place that knows them.
 *
 * docs/redis.md describes each with the redis-cli line that reads it.
 */
#ifndef WEFT_REDIS_KEYS_H
#define WEFT_REDIS_KEYS_H

#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/str.h>

#define WEFT_FN_LIBRARY "weft1"
#define WEFT_FN_PUBLISH "weft1_publish"
#define WEFT_FN_CANARY  "weft1_canary"
#define WEFT_FN_RETAIN  "weft1_retain"
#define WEFT_FN_TAKE    "weft1_lease_take"
#define WEFT_FN_RENEW   "weft1_lease_renew"
#define WEFT_FN_GIVE    "weft1_lease_give"

#define WEFT_FN_BUCKET_TAKE   "weft1_bucket_take"
#define WEFT_FN_BUCKET_LEASE  "weft1_bucket_lease"
#define WEFT_FN_BUCKET_LOOK   "weft1_bucket_look"
#define WEFT_FN_BUCKET_SET    "weft1_bucket_set"
#define WEFT_FN_BUCKET_DELETE "weft1_bucket_delete"

#define WEFT_FN_BREAKER_CONFIGURE "weft1_breaker_configure"
#define WEFT_FN_BREAKER_ACQUIRE   "weft1_breaker_acquire"
#define WEFT_FN_BREAKER_REPORT    "weft1_breaker_report"
#define WEFT_FN_BREAKER_FORCE     "weft1_breaker_force"
#define WEFT_FN_BREAKER_GIVE_BACK "weft1_breaker_give_back"
#define WEFT_FN_BREAKER_REMOVE    "weft1_breaker_remove"
#define WEFT_FN_BREAKER_READ      "weft1_breaker_read"

#define WEFT_FN_SERVICE_PUT     "weft1_service_put"
#define WEFT_FN_SERVICE_DELETE  "weft1_service_delete"
#define WEFT_FN_SERVICE_ORDER   "weft1_service_order"
#define WEFT_FN_SERVICE_CLAIM   "weft1_service_claim"
#define WEFT_FN_SERVICE_REPORT  "weft1_service_report"
#define WEFT_FN_SERVICE_LOST    "weft1_service_lost"
#define WEFT_FN_SERVICE_METRICS "weft1_service_metrics"
#define WEFT_FN_NODE_BEAT       "weft1_node_beat"

#define WEFT_FN_REVOKE "weft1_revoke"

/* The prefix is borrowed for the life of the struct. */
struct weft_keys {
    const char *prefix;
    uint32_t partition;
    /* Redis's channels know no databases: another one than 0 is in their names, `weft:db1:{0}:live`. */
    uint32_t db;
};

/* Each appends its name to b. */
void weft_key_head(struct weft_buf *b, const struct weft_keys *k);    /* weft:{0}:head */
void weft_key_topics(struct weft_buf *b, const struct weft_keys *k);  /* weft:{0}:topics */
void weft_key_removed(struct weft_buf *b, const struct weft_keys *k); /* weft:{0}:removed */
void weft_key_log(struct weft_buf *b, const struct weft_keys *k,
                  struct weft_str topic); /* weft:{0}:log:<topic> */
void weft_key_once(struct weft_buf *b, const struct weft_keys *k, struct weft_str topic,
                   struct weft_str key); /* weft:{0}:once:<topic>/<key> */
void weft_key_canary(struct weft_buf *b, const struct weft_keys *k); /* weft:{0}:canary */
void weft_chan_canary(struct weft_buf *b, const struct weft_keys *k,
                      struct weft_str node); /* weft:{0}:canary:<node> */
void weft_key_lease(struct weft_buf *b, const struct weft_keys *k,
                    const char *what); /* weft:lease:{<what>} */
void weft_key_fence(struct weft_buf *b, const struct weft_keys *k,
                    const char *what); /* weft:lease:{<what>}:fence */
void weft_key_producer(struct weft_buf *b, const struct weft_keys *k, struct weft_str topic,
                       struct weft_str id); /* weft:{0}:producer:<topic>/<id> */
void weft_chan_partition(struct weft_buf *b, const struct weft_keys *k); /* weft:{0}:live */
void weft_chan_topic(struct weft_buf *b, const struct weft_keys *k,
                     struct weft_str topic); /* weft:{0}:live:<topic> */

void weft_key_bucket(struct weft_buf *b, const struct weft_keys *k,
                     struct weft_str name);                            /* weft:bucket:{<name>} */
void weft_key_buckets(struct weft_buf *b, const struct weft_keys *k);  /* weft:buckets */
void weft_chan_buckets(struct weft_buf *b, const struct weft_keys *k); /* weft:buckets:live */
void weft_key_breakers(struct weft_buf *b, const struct weft_keys *k); /* weft:breakers */
/* weft:breaker:{<name>}, and with what = ":window", ":nodes", ":permits" what belongs to it. */
void weft_key_breaker(struct weft_buf *b, const struct weft_keys *k, struct weft_str name,
                      const char *what);
void weft_chan_breakers(struct weft_buf *b, const struct weft_keys *k); /* weft:breakers:live */

void weft_key_services(struct weft_buf *b, const struct weft_keys *k); /* weft:services */
void weft_key_service(struct weft_buf *b, const struct weft_keys *k,
                      const char *id); /* weft:service:{<id>} */
void weft_key_service_errors(struct weft_buf *b, const struct weft_keys *k,
                             const char *id); /* weft:service:{<id>}:errors */
void weft_chan_services(struct weft_buf *b, const struct weft_keys *k); /* weft:services:changed */
void weft_key_nodes(struct weft_buf *b, const struct weft_keys *k);     /* weft:nodes */
void weft_key_node(struct weft_buf *b, const struct weft_keys *k,
                   const char *id); /* weft:node:{<id>} */

void weft_key_revoked(struct weft_buf *b, const struct weft_keys *k); /* weft:{revoked} */
void weft_key_revoked_version(struct weft_buf *b,
                              const struct weft_keys *k);              /* weft:{revoked}:version */
void weft_chan_revoked(struct weft_buf *b, const struct weft_keys *k); /* weft:{revoked}:live */
void weft_chan_streams(struct weft_buf *b, const struct weft_keys *k,
                       const char *node); /* weft:streams:<node> */

#endif
