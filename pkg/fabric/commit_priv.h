/*
 * commit_priv - the parts of the committer: how publishes become calls of weft1_publish, and how
 * its answers are read.
 *
 *   commit.c         the queue, calls in flight, what is sent back
 *   commit_args.c    the arguments of one call
 *   commit_answer.c  what the function says about one request
 */
#ifndef WEFT_FABRIC_COMMIT_PRIV_H
#define WEFT_FABRIC_COMMIT_PRIV_H

#include <weft/base/buf.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/fabric/msg.h>

struct weft_hub;

/* ---- commit_args.c ---- */

/* A publish on its way through a call. */
struct weft_call_request {
    struct weft_publish_msg *m;        /* owned; NULL: answered */
    struct weft_published_msg *answer; /* made, but held until replicas have it; owned */
    uint64_t origin;
    uint32_t order; /* requests of one order stay as they arrived, the others may be moved */
    uint32_t place; /* of arrival */
};

struct weft_piece {
    size_t off, len;
};

struct weft_call_topic {
    struct weft_str name;
    uint32_t slot;
};

/* Scratch in which the arguments of one call are put together, kept between calls. */
struct weft_call_args {
    struct weft_buf text; /* keys and numbers */
    struct weft_piece *args;
    const char **ptrs; /* where an argument lies when it is not in text; NULL: in text */
    size_t n_args, args_cap;
    struct weft_str *argv; /* the result */
    size_t argv_cap;
    uint32_t *table; /* of topics by name; 0: free; else 1 + index in topics */
    struct weft_call_topic *topics;
    size_t n_topics, topics_cap;
    struct weft_buf names; /* of once and producer keys, one after the other */
    struct weft_piece *keys;
    size_t n_keys, keys_cap;
};

/* WEFT_ENOMEM. */
int weft_call_args_init(struct weft_call_args *x) WEFT_MUST_CHECK;
void weft_call_args_fini(struct weft_call_args *x);

/* The topic's index since the last weft_call_forget_topics, from 0; a new one is added. */
uint32_t weft_call_topic_index(struct weft_call_args *x, struct weft_str name);
void weft_call_forget_topics(struct weft_call_args *x);

/* x->argv[0 .. n_args-1] is the command for these requests; it borrows from them. */
void weft_call_args_build(struct weft_call_args *x, const struct weft_hub *hub,
                          const struct weft_call_request *requests, size_t n);

/* How many strings of the reply are this request's. CloudEvents have a key each. */
size_t weft_call_parts(const struct weft_publish_msg *m);

/* Room for `need` items of `size` in list; returns where it lies now. */
void *weft_grown(void *list, size_t *cap, size_t need, size_t size);

/* ---- commit_answer.c ---- */

struct weft_verdict {
    enum weft_published_rc rc; /* OK, REPLAYED, DUPLICATE, FENCED, OUT_OF_ORDER or REFUSED */
    struct weft_id_run run;    /* of OK and REPLAYED; else empty */
    uint64_t number;           /* of FENCED and OUT_OF_ORDER */
    struct weft_str why;       /* of REFUSED; lies in the text */
};

/* Reads one string of weft1_publish's reply (docs/redis.md). False: it makes no sense. Pure. */
bool weft_verdict_parse(struct weft_verdict *ret_v, struct weft_str text);

#endif
