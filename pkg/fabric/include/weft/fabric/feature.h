/*
 * feature - what a feature of the control thread (breakers, buckets, services, …) gets to work with,
 * and how it and its part on each worker say things to each other.
 *
 * A feature is a library that knows neither HTTP nor the others. It has one object on the control
 * thread, which node creates (node/features.c), and may have one on each worker (a cache). Both are
 * found through the owner of the mailbox, whose first member is a struct weft_parts:
 *
 *   worker -> control   the feature's own message that begins with a struct weft_request; its
 *                       deliver finds the feature with weft_part(owner, …). Refused when the mailbox
 *                       is full.
 *   control -> worker   weft_feature_answer() to a request; weft_feature_tell() for the feature's own
 *                       messages to its part on a worker. Never refused: answers are as many as
 *                       requests, and a feature bounds what it tells.
 *
 * Everything here runs on the control thread unless it says something else.
 */
#ifndef WEFT_FABRIC_FEATURE_H
#define WEFT_FABRIC_FEATURE_H

#include <stddef.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/fabric/msg.h>

struct event_base;
struct weft_config;
struct weft_keys;
struct weft_log;
struct weft_mailbox;
struct weft_publisher;
struct weft_redis_conn;
struct weft_shard;

enum weft_part_of {
    WEFT_PART_PUBLISHER, /* control only */
    WEFT_PART_BREAKERS,
    WEFT_PART_BUCKETS,
    WEFT_PART_SERVICES,
    WEFT_PART_REVOCATIONS, /* control only */
    WEFT_PART_STREAMS,
    WEFT_PARTS
};

/* First member of what owns the mailbox of a worker or of control. */
struct weft_parts {
    void *of[WEFT_PARTS];
};

/* The thread of the mailbox. NULL: it has none. */
static inline void *weft_part(void *owner, enum weft_part_of part)
{
    return ((struct weft_parts *)owner)->of[part];
}

/* ---- what a feature gets; all borrowed, as long as it lives ---- */

struct weft_feature_env {
    struct event_base *base;    /* for weft/loop/timer.h */
    struct weft_redis_conn *cn; /* commands; NULL once the thread ends */
    const struct weft_keys *keys;
    const struct weft_config *cfg;
    const char *node_id;
    struct weft_shard *shard;
    struct weft_log *log;
    uint64_t seed; /* each feature its own */
    struct weft_publisher *publisher;
    const struct weft_parts *parts; /* of control: how node lets one feature ask another */
    void *own;                      /* what node has made for this feature alone; or NULL */
    struct weft_mailbox *const *workers;
    size_t n_workers;
    const struct weft_worker_ops *ops; /* what workers do with answers */
};

/* ---- worker -> control ---- */

/* First member of a request. Made on the worker; whoever delivers it frees it. */
struct weft_request {
    struct weft_msg msg;
    uint32_t worker;
    struct weft_ticket ticket;
};

/* ---- control -> worker ---- */

/* A new answer to a request with this status; without body, headers and problem. Never NULL. */
struct weft_answer_msg *weft_answer_to(const struct weft_request *rq, uint16_t status);
/* Takes the bytes of b, JSON. */
void weft_answer_body(struct weft_answer_msg *a, struct weft_buf *b);
/* name is static text, in lower case. Beyond WEFT_ANSWER_HEADERS_MAX it is a bug. */
void weft_answer_header(struct weft_answer_msg *a, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Makes it a problem+json: code as in docs/api.md, field may be "". Both static text. */
void weft_answer_problem(struct weft_answer_msg *a, const char *code, const char *field,
                         const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Takes a. */
void weft_feature_answer(const struct weft_feature_env *env, const struct weft_request *rq,
                         struct weft_answer_msg *a) WEFT_ON_CONTROL;
/* Takes msg, whose ops are the feature's. */
void weft_feature_tell(const struct weft_feature_env *env, size_t worker,
                       struct weft_msg *msg) WEFT_ON_CONTROL;

#endif
