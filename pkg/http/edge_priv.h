/*
 * edge_priv - a worker's side of the edge. All of it on the worker's thread, but for what is said to be pure.
 *
 *   edge.c       what the node's workers share; request ids, limits of heads, headers of all answers
 *   kept.c       what a stream takes along: where it is counted, and its lines of the access log
 *   access.c     the access log's lines
 *   address.c    who is behind a connection      origin.c  which page is behind a request
 *   gate.c       how fast connections are taken
 */
#ifndef WEFT_HTTP_EDGE_PRIV_H
#define WEFT_HTTP_EDGE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/str.h>
#include <weft/http/edge.h>

#include "address_priv.h"
#include "gate_priv.h"
#include "worker_priv.h"

struct weft_sink;
struct weft_tally;
struct weft_tally_name;

struct weft_edge {
    uint32_t max_connections; /* const after create, as the pointers are */
    struct weft_tally *tally; /* `address <address>` and `subject <subject>` */
    struct weft_sink *access; /* NULL: there is no access log */
    struct weft_gate accepts; /* any thread */
};

/* ---- edge.c ---- */

/* What is known of the request that a connection has now. Texts are in the request's pool. */
struct weft_asked {
    struct weft_str id;
    struct weft_str traceparent; /* valid; p NULL: none */
    struct weft_str subject;     /* of its token; p NULL: none */
    const char *stream;          /* `sse`, `websocket`: it left h2o as this; NULL: it did not */
    uint64_t began_ns;
};

/* A connection while h2o has it, as the edge sees it. */
struct weft_door {
    struct weft_tally_name *address; /* where it is counted; NULL: it is not */
    struct weft_asked asked;         /* id.p NULL: nothing was asked yet */
};

/* accept.c: of the request's connection. */
struct weft_door *weft_door_of(h2o_req_t *req) WEFT_ON_WORKER;
/* Begins at its first call for a request; ends when the access log has seen the request. */
struct weft_asked *weft_asked_of(h2o_req_t *req) WEFT_ON_WORKER;
/* Whoever has checked the request's token says here whose it is. Copied. */
void weft_asked_by(h2o_req_t *req, struct weft_str subject) WEFT_ON_WORKER;
/* 1 to 64 of A-Z a-z 0-9 . _ -: an id that a client may choose. Pure. */
bool weft_request_id_valid(struct weft_str id);

/* X-Request-Id, CORS and what else stands on every answer: once, before it is sent, also for streams. */
void weft_answer_headers(h2o_req_t *req) WEFT_ON_WORKER;
/* The answer to a preflight says more; methods as for Allow. Before weft_answer_headers(). */
void weft_answer_preflight(h2o_req_t *req, h2o_iovec_t methods) WEFT_ON_WORKER;

/* Answers 414 or 431 and returns false if head or URL are over their limits. */
bool weft_edge_head_fits(h2o_req_t *req, size_t head_bytes) WEFT_ON_WORKER;
/*
 * Answers 403 and returns false if the page of another origin has a browser change something here, and
 * the browser would lend it what it has: a cookie, a password that it knows, or its place in the network. A
 * bearer token is the page's own, and was allowed in a preflight.
 */
bool weft_edge_origin_ok(h2o_req_t *req) WEFT_ON_WORKER;

/* ---- origin.c ---- */

enum weft_origin {
    WEFT_ORIGIN_FOREIGN,
    WEFT_ORIGIN_ANY,  /* http.cors_origins has `*` */
    WEFT_ORIGIN_NAMED /* it has this one */
};

/* Pure. origin.p NULL: FOREIGN. */
enum weft_origin weft_origin_of(struct weft_str origin, const struct weft_config_list *allowed);
/* Pure: is the origin of a page that `Host: host` has delivered? Schemes do not count, a proxy may end TLS. */
bool weft_origin_is_host(struct weft_str origin, struct weft_str host);
/* May the page behind this request act here? True without an Origin: nobody's page is. */
bool weft_origin_allowed(h2o_req_t *req, const struct weft_config *cfg) WEFT_ON_WORKER;

/* The same with what the browser has of its user, a cookie: that `*` does not allow. */
bool weft_origin_lends(h2o_req_t *req, const struct weft_config *cfg) WEFT_ON_WORKER;

/* ---- kept.c ---- */

/* What a connection that leaves h2o takes along. Zeroed: nothing. */
struct weft_kept {
    struct weft_tally_name *address, *subject; /* where it is counted; NULL: it is not */
    char *request_id;                          /* malloc'd */
    char *about; /* the access log's fields of the request; NULL: none */
    uint64_t began_ns;
};

/*
 * Before h2o_http1_upgrade. as: `sse`, `websocket`. False: this address or subject has too many already, and was told so
 * (weft.moved for an event stream, else 429); *kept is empty.
 */
bool weft_kept_begin(struct weft_call *call, const char *as, struct weft_kept *kept) WEFT_ON_WORKER;
/*
 * It has a token of this subject now. If it began without one it is counted from now on; false: the subject has too many
 * already, and nothing is changed.
 */
bool weft_kept_subject(struct weft_worker *worker, struct weft_kept *kept, struct weft_str subject)
    WEFT_ON_WORKER;
/* It is over; safe on an empty one. reason: a word for the access log. */
void weft_kept_end(struct weft_worker *worker, struct weft_kept *kept, const char *as,
                   uint64_t bytes, uint64_t events, const char *reason) WEFT_ON_WORKER;

/* ---- access.c ---- */

/* A line for each request of the path's, and the end of weft_asked. */
void weft_access_register(h2o_pathconf_t *path);
/* The fields of the request that all its lines have: malloc'd; NULL: there is no access log. */
char *weft_access_about(h2o_req_t *req) WEFT_ON_WORKER;
void weft_access_stream_end(struct weft_worker *worker, const char *about, const char *as,
                            uint64_t lived_ns, uint64_t bytes, uint64_t events, const char *reason)
    WEFT_ON_WORKER;
/*
 * Appends a query to out, at most max bytes: values only of parameters that say what is asked for,
 * `***` for all others, since a secret may be in any of them. Pure.
 */
void weft_access_query(struct weft_buf *out, struct weft_str query, size_t max);

#endif
