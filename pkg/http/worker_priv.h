/*
 * worker_priv - what the files of a worker share. All of it on the worker's thread (base/role.h).
 *
 *   worker.c     thread, loop, ticks, messages of the hub
 *   accept.c     listener, connection cap, running out of descriptors
 *   handshake.c  TLS, before h2o reads requests
 *   stall.c      cuts those who do not take their answers
 *   rawhead.c    refuses requests that two parsers could read in two ways
 *   router.c     method and path -> handler
 *   auth.c       who sends, and what he may do   revocations.c  tokens that are not good any more
 *   streams*.c   open streams, for those who want something of them
 *   respond.c    JSON answers, problems, CORS
 *   edge_priv.h  who is let in, and how it is written down
 *   fallback.c   problems instead of the answers that h2o makes itself
 *   subscribe.c  parameters of a subscription
 *   slow.c       which policy a slow subscriber has
 *   peer.c       the socket of a stream, once h2o has handed it over
 *   sse*.c       event streams         longpoll.c  the same as one answer
 *   ws*.c        WebSockets            peer.c      the client's end of them and of streams
 *   drain.c      sends all elsewhere   pace.c      when (pure)
 *   publish.c    publishing            publishing.c  what of it does not depend on HTTP
 *   read.c       history and topics
 *   ask.c        requests that another thread answers
 *   control.c    what the control thread answers: breakers.c, services.c
 *   slowest.c    who is slow, once a second      connections.c  ... for those who ask
 *   limits.c     buckets               admit.c     the limits of the API itself
 *   plain.c      page, health, metrics
 */
#ifndef WEFT_HTTP_WORKER_PRIV_H
#define WEFT_HTTP_WORKER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <h2o.h>

#include <weft/access/streams.h>
#include <weft/base/assert.h>
#include <weft/base/buf.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/config/config.h>
#include <weft/fabric/canary.h>
#include <weft/fabric/feature.h>
#include <weft/fabric/msg.h>
#include <weft/fanout/fanout.h>
#include <weft/guard/bucket.h>
#include <weft/http/board.h>
#include <weft/http/pace.h>
#include <weft/http/worker.h>
#include <weft/loop/mailbox.h>
#include <weft/loop/poller.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>
#include <weft/wire/form.h>
#include <weft/wire/query.h>

struct weft_checker;
struct weft_conn;
struct weft_grant;
struct weft_kept;
struct weft_route;
struct weft_stocks;
struct weft_take_msg;
struct weft_tls;
struct weft_wake;
struct weft_ws;

/* ---- tickets: who waits for an answer of the hub ---- */

/* Of those who were subscribed when the drain began. */
enum weft_drain_state {
    WEFT_DRAIN_NONE,
    WEFT_DRAIN_WAITS, /* its turn comes */
    WEFT_DRAIN_MOVES  /* it is to go: as soon as it has got what was begun */
};

/* Embedded in whatever waits; answers find it by its ticket. */
struct weft_waiting {
    struct weft_ticket ticket;
    void (*published)(struct weft_waiting *w, struct weft_published_msg *m);
    void (*page)(struct weft_waiting *w, struct weft_page_msg *m);
    void (*answer)(struct weft_waiting *w, struct weft_answer_msg *m);
    /* About once a second. May end the waiting. */
    void (*tick)(struct weft_waiting *w, uint64_t now_ms);
    /* Tokens were revoked: look whether yours is among them. NULL: it has none. May end the waiting. */
    void (*recheck)(struct weft_waiting *w);
    enum weft_drain_state drain; /* of a receiver */
    struct weft_handle *handle;  /* of an open stream; NULL: it cannot be asked for by name */
};

struct weft_standing;
struct weft_stream_ask;
struct weft_stream_result;

/* By which an open stream, or a subscription of a WebSocket, is reached from outside: /api/streams/{stream}. */
struct weft_handle {
    const struct weft_handle_ops *ops;
    struct weft_standing *standing; /* its token */
    uint64_t secret;                /* part of its name */
};

/* What may be wanted of it (streams_priv.h). Refusals go into the result, JSON into body. */
struct weft_handle_ops {
    void (*describe)(struct weft_handle *handle, struct weft_buf *body);
    void (*topics)(struct weft_handle *handle, const struct weft_stream_ask *ask,
                   struct weft_stream_result *result, struct weft_buf *body);
    void (*token)(struct weft_handle *handle, struct weft_grant *grant,
                  struct weft_stream_result *result, struct weft_buf *body);
    void (*close)(struct weft_handle *handle);
};

struct weft_slot {
    struct weft_waiting *waiting; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

struct weft_seen;
struct weft_stream_name;

/* ---- receivers: fanout's subscribers, as streams and long-polls ---- */

struct weft_receiver {
    struct weft_sub sub;
    struct weft_waiting waiting;
    struct weft_worker *worker;
    void (*ready)(struct weft_receiver *rx);
    void (*redis)(struct weft_receiver *rx, bool up);
    void (*move)(struct weft_receiver *rx); /* the client is to go on elsewhere */
    void (*stop)(struct weft_receiver *rx); /* the worker ends: it ends now */
    /* What it wants to read cannot be: a pattern matches more topics than one read may have. Ends it. */
    void (*too_many)(struct weft_receiver *rx);
    /* NULL for those that nobody looks for by name. describe appends a JSON object. */
    void (*name)(struct weft_receiver *rx, struct weft_stream_name *ret_name);
    void (*describe)(struct weft_receiver *rx, const struct weft_seen *seen, struct weft_buf *out);
};

/* ---- drain ---- */

struct weft_drain {
    struct weft_pace pace;
    uint32_t waits; /* receivers whose turn has not come */
    uint32_t at;    /* next slot to look at */
    bool began;
};

/* ---- who is slow: slowest.c ---- */

struct weft_stream_name {
    char stream[100];    /* as weft.open has it */
    char peer[64];       /* address:port */
    char request_id[65]; /* of the request that began it; "": not known */
};

/* How far a stream is behind, as of its tick. */
struct weft_seen {
    struct weft_ticket ticket;
    uint64_t lag;          /* weft_sub_lag() */
    uint64_t unsent_bytes; /* that its socket did not take */
    uint64_t behind_ms;    /* since it has had everything */
    uint64_t stalled_ms;   /* since its socket took a byte; 0: nothing is unsent */
};

/* One round of ticks. */
struct weft_round {
    uint64_t began_ms;
    uint64_t streams, polls, reading_log, lagging, stalled, unsent_bytes;
    size_t n;
    struct weft_seen slowest[WEFT_REPORT_STREAMS]; /* the slowest first */
};

/* Once in a struct: see weft_worker_of(). */
struct weft_context {
    h2o_context_t h2o; /* first: requests lead back to it */
    struct weft_worker *worker;
};

/* A second as the access log writes it. */
struct weft_second {
    int64_t at; /* Unix time */
    char text[24];
};

struct weft_worker {
    struct weft_parts parts;          /* first: features find theirs by the owner of the mailbox */
    struct weft_streams_part streams; /* const after start */
    /* Const after create; hub and control after start. */
    struct weft_worker_opts o;
    struct weft_mailbox *mb, *hub, *control;

    /* The creator's thread. */
    pthread_t thread;
    bool started;

    /* Any thread. */
    atomic_bool stop_asked, leaving, drain_asked;
    _Atomic(struct weft_tls *) next_tls; /* a reference that the worker takes; NULL: nothing new */
    uint32_t drain_period_ms;            /* const once drain_asked */
    atomic_uint drain_left; /* receivers that the drain has still to see gone; the worker writes */

    pthread_t owner; /* who has the rest: the creator, then run(), then who destroys the worker */
    struct weft_context ctx;
    h2o_globalconf_t globalconf;
    h2o_accept_ctx_t accept_ctx;
    h2o_socket_t *listener WEFT_OF_WORKER;
    struct weft_tls *tls WEFT_OF_WORKER; /* a reference; NULL: in the clear */
    bool accept_paused WEFT_OF_WORKER;
    uint64_t accept_resume_ms WEFT_OF_WORKER;
    size_t connections WEFT_OF_WORKER;          /* of this worker: h2o's and streams */
    struct weft_conn *conns WEFT_OF_WORKER;     /* h2o's (utlist DL) */
    struct weft_conn *lingering WEFT_OF_WORKER; /* h2o's no more (utlist DL) */
    uint64_t looked_ms WEFT_OF_WORKER; /* when it was last seen whether they take their answers */

    struct weft_wake *wake WEFT_OF_WORKER;
    struct weft_poller *poller WEFT_OF_WORKER;
    struct weft_fanout *fanout WEFT_OF_WORKER;
    struct weft_stocks *stocks;           /* the worker's, once it runs */
    struct weft_checker *checker;         /* const after create */
    uint64_t revoked_seen WEFT_OF_WORKER; /* version of the list when streams last were rechecked */
    struct weft_ws *sockets WEFT_OF_WORKER;  /* utlist DL: WebSockets */
    struct weft_ws *ws_turns WEFT_OF_WORKER; /* utlist DL: those that have something to do */
    struct weft_slot *slots WEFT_OF_WORKER;
    uint32_t n_slots WEFT_OF_WORKER;
    uint32_t free_slot WEFT_OF_WORKER;
    uint32_t n_waiting WEFT_OF_WORKER;
    uint32_t sweep_at WEFT_OF_WORKER; /* next slot to tick */
    uint64_t now_ms WEFT_OF_WORKER;   /* monotonic, at the beginning of the turn */
    uint64_t tick_ms WEFT_OF_WORKER;  /* of the last tick */
    uint64_t rng WEFT_OF_WORKER;
    struct weft_round round WEFT_OF_WORKER; /* the one under way */
    uint64_t warned_ms WEFT_OF_WORKER;      /* when a slow stream was last logged; 0: never */
    struct weft_buf scratch WEFT_OF_WORKER; /* for one answer or one write; empty between uses */
    struct weft_buf what WEFT_OF_WORKER;    /* the same, for the text of one read */
    struct weft_buf form WEFT_OF_WORKER;    /* the same, for the members of one body */
    struct weft_second second WEFT_OF_WORKER;
    struct weft_buf line WEFT_OF_WORKER;      /* the same, for one line of the access log */
    size_t most_connections WEFT_OF_WORKER;   /* since memory was last given back */
    size_t most_pattern_bytes WEFT_OF_WORKER; /* ... */
    uint64_t trim_at_ms WEFT_OF_WORKER;       /* 0: not due */
    struct weft_drain drain WEFT_OF_WORKER;
    bool stopping WEFT_OF_WORKER;
    bool shut WEFT_OF_WORKER;
    uint64_t stop_began_ms WEFT_OF_WORKER;
};

static inline struct weft_worker *weft_worker_of(h2o_req_t *req)
{
    return ((struct weft_context *)(void *)req->conn->ctx)->worker;
}

static inline struct weft_str weft_str_of(h2o_iovec_t iov)
{
    return weft_str(iov.base, iov.len);
}

/* ---- worker.c ---- */
void weft_ticket_take(struct weft_worker *worker, struct weft_waiting *w) WEFT_ON_WORKER;
void weft_ticket_free(struct weft_worker *worker, struct weft_waiting *w) WEFT_ON_WORKER;
/* Answers to what was asked before do not find it any more. */
void weft_ticket_renew(struct weft_worker *worker, struct weft_waiting *w) WEFT_ON_WORKER;
/* NULL: it has been freed. */
struct weft_waiting *weft_ticket_find(const struct weft_worker *worker, struct weft_ticket ticket)
    WEFT_ON_WORKER;

/* ---- accept.c ---- */
void weft_accept_start(struct weft_worker *worker) WEFT_ON_WORKER;
void weft_accept_tick(struct weft_worker *worker) WEFT_ON_WORKER;
void weft_accept_stop(struct weft_worker *worker) WEFT_ON_WORKER;
/* A connection that left h2o (a stream's) counts on until this. */
void weft_connection_kept(struct weft_worker *worker) WEFT_ON_WORKER;
void weft_connection_gone(struct weft_worker *worker) WEFT_ON_WORKER;
/* Ends the connections that h2o still has; it notices in the next turns. */
void weft_connections_shut(struct weft_worker *worker) WEFT_ON_WORKER;

/* ---- linger.c ---- */
/* req is answered before its body has come: what still comes is not to take the answer with it. */
void weft_linger_ask(h2o_req_t *req) WEFT_ON_WORKER;
void weft_linger_tick(struct weft_worker *worker) WEFT_ON_WORKER;

/* ---- stall.c ---- */
/* At each tick: ends connections that have taken nothing of an answer for http.write_stall_ms. */
void weft_connections_look(struct weft_worker *worker) WEFT_ON_WORKER;

/*
 * While a request waits for its answer. h2o stops reading then and begins again after it, two
 * epoll_ctl for each request; a socket that goes on being watched, but is not read, costs none,
 * since h2o applies only what has changed at the end of a turn. And a peer that leaves is noticed.
 * Each weft_watch needs its weft_unwatch before the request is answered; but nothing is read before weft_watch_over, when
 * h2o lets go of the request. One without a body lies in the socket's input until then, and the access log looks at
 * it last: what came in while the answer is on its way would move the input away from under it.
 */
struct weft_watcher {
    void (*gone)(struct weft_watcher *watcher); /* the peer has closed its side */
};
/* watcher may be NULL: nobody minds. */
void weft_watch(h2o_req_t *req, struct weft_watcher *watcher) WEFT_ON_WORKER;
/*
 * About once a second: has it left? With TLS its goodbye comes before its end, and at the goodbye it is not known yet.
 * In the clear, never: gone is called.
 */
bool weft_watch_again(h2o_req_t *req) WEFT_ON_WORKER;
void weft_unwatch(h2o_req_t *req) WEFT_ON_WORKER;
/* At the end of each request, watched or not. */
void weft_watch_over(h2o_req_t *req) WEFT_ON_WORKER;

/* ---- rawhead.c ---- */
/*
 * NULL: fine; else what is wrong with the head: request line to empty line, both included.
 * *ret_chunked: the body comes in chunks. Pure.
 */
const char *weft_rawhead_check(struct weft_str head, bool http11, bool *ret_chunked);

/* ---- router.c ---- */
#define WEFT_PATH_PARAMS 2

struct weft_call {
    h2o_req_t *req;
    struct weft_worker *worker;
    const struct weft_route *route;
    struct weft_str params[WEFT_PATH_PARAMS]; /* decoded, in the request's pool */
    const struct weft_query *query;           /* in the request's pool */
    bool as_get;                              /* whatever its method: a proxy asks (router.c) */
    struct weft_grant *grant; /* of its token; NULL: it has none. Lives as long as the request */
    const char *refused;      /* not NULL: it has a token that is no good, and why */
};

int weft_router_handle(h2o_handler_t *handler, h2o_req_t *req);
/* Is this its handler? */
bool weft_route_handles(const struct weft_route *route, void (*handle)(struct weft_call *call));
/* A call that had to wait before its handler was called. */
void weft_call_go_on(struct weft_call *call) WEFT_ON_WORKER;

/* ---- auth.c ---- */

/* What a route asks for. */
enum weft_right {
    WEFT_RIGHT_NONE,
    WEFT_RIGHT_READ, /* lists and states: anybody with a token */
    WEFT_RIGHT_SUBSCRIBE,
    WEFT_RIGHT_PUBLISH,
    WEFT_RIGHT_GUARD, /* breakers and buckets of calls: publishers, operators */
    WEFT_RIGHT_OPERATE,
    WEFT_RIGHT_OWN /* the handler looks itself */
};

struct weft_checker *weft_checker_create(const struct weft_config *cfg);
/* NULL is allowed. */
void weft_checker_destroy(struct weft_checker *checker);
/*
 * Checks a token, also against the list of revoked ones. *ret_grant is yours; NULL and WEFT_EINVAL: it is no good, and
 * err->message, which is for the client, says why.
 */
int weft_token_take(struct weft_worker *worker, struct weft_str token,
                    struct weft_grant **ret_grant, struct weft_err *err)
    WEFT_ON_WORKER WEFT_MUST_CHECK;
/* Looks for the request's token and checks it: sets grant, or refused, or neither. */
void weft_call_authenticate(struct weft_call *call) WEFT_ON_WORKER;
/* Answers 401 or 403 and returns false if the request may not do what needs this right. */
bool weft_call_permitted(struct weft_call *call, enum weft_right right) WEFT_ON_WORKER;
/* The same for one topic, or pattern; field is what names it in the request. */
bool weft_call_may_subscribe(struct weft_call *call, struct weft_str pattern, const char *field)
    WEFT_ON_WORKER;
/* With this grant (NULL: without a token), or since everybody may. */
bool weft_may_publish(const struct weft_worker *worker, const struct weft_grant *grant,
                      struct weft_str topic);
bool weft_may_subscribe(const struct weft_worker *worker, const struct weft_grant *grant,
                        struct weft_str pattern);
bool weft_is_operator(const struct weft_worker *worker, const struct weft_grant *grant);
/* 401; why: what is wrong with the token, NULL: there is none. */
void weft_respond_unauthorized(h2o_req_t *req, const char *why) WEFT_ON_WORKER;
/* 403; or 401 if there is no token, and one might help. */
void weft_respond_forbidden(struct weft_call *call, const char *field, const char *what)
    WEFT_ON_WORKER;

/* The token of what lives longer than its request: a stream, a socket, a poll. Embedded. */
struct weft_standing {
    struct weft_grant *grant; /* a reference; NULL: no token */
    bool told;                /* that it expires soon */
};

enum weft_standing_state {
    WEFT_STILL_GOOD,
    WEFT_EXPIRES_SOON, /* once: tell weft.expiring */
    WEFT_EXPIRED,
    WEFT_REVOKED
};

/* Takes a reference. */
void weft_standing_begin(struct weft_standing *standing, struct weft_grant *grant);
/* Another token instead. */
void weft_standing_renew(struct weft_standing *standing, struct weft_grant *grant);
void weft_standing_end(struct weft_standing *standing);
/* At each tick and recheck. */
enum weft_standing_state weft_standing_look(struct weft_standing *standing,
                                            const struct weft_worker *worker);
/* The members of weft.expiring: expires_ms, in_ms. */
void weft_expiring_print(struct weft_buf *out, const struct weft_standing *standing);
/* The member of weft.renewed: expires_ms, null: never. */
void weft_renewed_print(struct weft_buf *out, const struct weft_standing *standing);

/* ---- respond.c ---- */
void weft_respond(h2o_req_t *req, int status, const char *content_type, struct weft_str body)
    WEFT_ON_WORKER;
void weft_respond_json(h2o_req_t *req, int status, struct weft_str body) WEFT_ON_WORKER;
/* code: see the table in docs/api.md. field may be "". 503 gets Retry-After. */
void weft_respond_problem(h2o_req_t *req, int status, const char *code, const char *field,
                          const char *fmt, ...) WEFT_ON_WORKER
    __attribute__((format(printf, 5, 6)));
/* 400 or 413 from an err. */
void weft_respond_err(h2o_req_t *req, const struct weft_err *err) WEFT_ON_WORKER;
struct weft_str weft_header(h2o_req_t *req, const char *name) WEFT_ON_WORKER;
/* Is every query parameter one of allowed (NULL-terminated), or a token? If not, answers 400, returns false. */
bool weft_query_allow(struct weft_call *call, const char *const *allowed) WEFT_ON_WORKER;
/* A number lo..hi; the default if absent. Answers 400 and returns false if it is something else. */
bool weft_query_u32(struct weft_call *call, const char *name, uint32_t lo, uint32_t hi,
                    uint32_t def, uint32_t *ret_value) WEFT_ON_WORKER;
bool weft_query_id(struct weft_call *call, const char *name, bool *ret_has, struct weft_id *ret_id)
    WEFT_ON_WORKER;
/* The path's topic; answers 400 and returns false if it is none. */
bool weft_call_topic(struct weft_call *call, struct weft_str *ret_topic) WEFT_ON_WORKER;

/* ---- slow.c ---- */
/* The subscription's policy: its own word, or (p NULL) what the configuration says of its topics. WEFT_EINVAL. */
int weft_take_slow(const struct weft_config *cfg, struct weft_str word, struct weft_sub_opts *opts,
                   struct weft_err *err) WEFT_MUST_CHECK;
const char *weft_slow_word(unsigned slow);

/* ---- slowest.c ---- */
/* At each tick of a receiver. */
void weft_slowest_saw(struct weft_worker *worker, const struct weft_receiver *rx,
                      struct weft_seen seen) WEFT_ON_WORKER;
/* All have been ticked: tells the board, the gauges and the log, and begins anew. */
void weft_slowest_report(struct weft_worker *worker) WEFT_ON_WORKER;

/* ---- subscribe.c, sse.c, longpoll.c ---- */
struct weft_subscription {
    struct weft_sub_opts opts; /* points into the request's pool */
    struct weft_grant *grant;  /* of the request */
    bool named;
    uint32_t wait_ms, limit; /* long-poll */
};

/*
 * Each puts one part of a subscription into opts, whose topics and types point to room for http.max_topics and
 * WEFT_GLOBS_MAX of them. 0, or WEFT_EINVAL with the field that it is called there.
 */
int weft_take_topic(struct weft_sub_opts *opts, struct weft_str *room, uint32_t max,
                    struct weft_str topic, const char *field, struct weft_err *err) WEFT_MUST_CHECK;
int weft_take_type(struct weft_sub_opts *opts, struct weft_str *room, struct weft_str glob,
                   struct weft_err *err) WEFT_MUST_CHECK;
int weft_take_cursor(struct weft_sub_opts *opts, struct weft_str text, const char *field,
                     struct weft_err *err) WEFT_MUST_CHECK;
int weft_take_since(struct weft_sub_opts *opts, struct weft_str text, struct weft_err *err)
    WEFT_MUST_CHECK;

void weft_handle_events(struct weft_call *call) WEFT_ON_WORKER;
/* It is for an event stream, not for anything else. */
bool weft_call_is_stream(struct weft_call *call) WEFT_ON_WORKER;
void weft_sse_begin(struct weft_call *call, const struct weft_subscription *s) WEFT_ON_WORKER;
void weft_longpoll_begin(struct weft_call *call, const struct weft_subscription *s) WEFT_ON_WORKER;
void weft_gap_print(struct weft_buf *b, const struct weft_gap *gap);
/* fanout's ops, for receivers. */
extern const struct weft_fanout_ops weft_receiver_ops;
void weft_receiver_init(struct weft_receiver *rx, struct weft_worker *worker) WEFT_ON_WORKER;
void weft_receiver_fini(struct weft_receiver *rx) WEFT_ON_WORKER;

/* ---- streams.c, streams_act.c ---- */
uint64_t weft_stream_secret(void);
/* <node>-<worker>-<slot>-<secret>, at most 97 bytes. */
void weft_stream_id_print(const struct weft_worker *worker, const struct weft_waiting *w, char *out,
                          size_t size);
/* The same without its last part, as it may be written down: with all of it anybody can change a stream without a token. */
void weft_stream_id_hide(struct weft_buf *out, struct weft_str id);
struct weft_streams_part weft_streams_part_of(struct weft_worker *worker);
/*
 * Changes the receiver's topics as asked, if the grant allows it: body says what they are now, or result why not.
 * False: it was ended by that, and is to be destroyed.
 */
bool weft_receiver_retopic(struct weft_receiver *rx, const struct weft_grant *grant,
                           const struct weft_stream_ask *ask, struct weft_stream_result *result,
                           struct weft_buf *body) WEFT_ON_WORKER;
/* May a token with this grant take its place? */
bool weft_receiver_may_take(const struct weft_receiver *rx, const struct weft_grant *grant,
                            struct weft_stream_result *result) WEFT_ON_WORKER;
/* Counts what began without a subject with that of the grant. False: it has too many, result says so. */
bool weft_receiver_count(struct weft_worker *worker, struct weft_kept *kept,
                         const struct weft_grant *grant, struct weft_stream_result *result)
    WEFT_ON_WORKER;
void weft_handle_stream(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_stream_topics(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_stream_token(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_stream_close(struct weft_call *call) WEFT_ON_WORKER;

/* ---- revocations.c ---- */
void weft_handle_revocations(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_revocation_put(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_revocation_delete(struct weft_call *call) WEFT_ON_WORKER;

/* ---- drain.c ---- */
/* Not ready any more, and no connection is kept after its answer. */
bool weft_drain_is_leaving(const struct weft_worker *worker);
/* Once a turn: moves those whose time has come. */
void weft_drain_turn(struct weft_worker *worker) WEFT_ON_WORKER;
/* A receiver has gone. */
void weft_drain_gone(struct weft_worker *worker, const struct weft_waiting *w) WEFT_ON_WORKER;
/*
 * Answers a new stream while streams are moved away, or the worker stops: 200 and weft.moved. (With any other status an
 * EventSource would give up.) False: there is no drain.
 */
bool weft_drain_turned_away(struct weft_call *call, const struct weft_subscription *s)
    WEFT_ON_WORKER;
/* retry and weft.moved, as one SSE event appended to out. */
void weft_moved_print(struct weft_buf *out, const char *reason, uint32_t retry_ms, bool named);
/* When the next one that is moved may come back. */
uint32_t weft_moved_retry_ms(struct weft_worker *worker) WEFT_ON_WORKER;

/* Those who come now are told to go on elsewhere. */
bool weft_drain_is_moving(const struct weft_worker *worker);

/* ---- ws.c ---- */
void weft_handle_ws(struct weft_call *call) WEFT_ON_WORKER;
/* Once a turn, after the fanout's: those that have something to do. */
void weft_ws_turns(struct weft_worker *worker) WEFT_ON_WORKER;
/* Redis has gone or is back. */
void weft_ws_redis(struct weft_worker *worker) WEFT_ON_WORKER;
/* A drain moves those with subscriptions at their turn; the others go with this. */
void weft_ws_drain(struct weft_worker *worker) WEFT_ON_WORKER;
/* The worker stops: all are told, and those that cannot be are ended. */
void weft_ws_stop(struct weft_worker *worker) WEFT_ON_WORKER;

/* ---- ask.c ---- */
/*
 * Takes msg, asks whoever's mailbox that is, and answers the call by respond() when he does; 503 if he has too much to do. The
 * two places in msg that say who waits are filled in.
 */
void weft_ask(struct weft_call *call, struct weft_mailbox *to, struct weft_msg *msg,
              uint32_t *worker_index, struct weft_ticket *ticket,
              void (*respond)(h2o_req_t *req, const struct weft_answer_msg *m)) WEFT_ON_WORKER;
/*
 * Takes rq, which begins a feature's message, and answers the call with what the feature answers; 503 if
 * control has too much to do.
 */
void weft_control_ask(struct weft_call *call, struct weft_request *rq) WEFT_ON_WORKER;

/* ---- control.c ---- */
/* Status, headers, body or problem of m, for who waits himself. */
void weft_respond_answer(h2o_req_t *req, const struct weft_answer_msg *m) WEFT_ON_WORKER;
/*
 * The body, by weft/wire/form.h. Answers 400 or 413 and returns false if it is no good. Texts in *out
 * live until the next form of this worker.
 */
bool weft_call_form(struct weft_call *call, const struct weft_member *members, size_t n, void *out,
                    uint64_t *ret_seen) WEFT_ON_WORKER;

/* ---- limits.c ---- */
/* RateLimit and RateLimit-Policy of a bucket, and the older three; Retry-After if refused. */
void weft_limit_headers(h2o_req_t *req, struct weft_str name, const struct weft_bucket_told *told,
                        bool refused) WEFT_ON_WORKER;
/* Takes m and waits for a weft_taken_msg. False: control has too much to do, and nobody waits. */
bool weft_take_post(struct weft_worker *worker, struct weft_waiting *waiting,
                    struct weft_take_msg *m) WEFT_ON_WORKER;
void weft_handle_limits_list(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_limits_look(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_limits_set(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_limits_delete(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_limits_take(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_limits_take_several(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_limits_check(struct weft_call *call) WEFT_ON_WORKER;

/* ---- admit.c ---- */
/* May it pass now? If not, it was answered, or waits and goes on by itself. */
bool weft_admit(struct weft_call *call) WEFT_ON_WORKER;
/* Answers an event stream: 200 and weft.moved, to come back after retry_ms or later. */
void weft_turn_stream_away(struct weft_call *call, int64_t retry_ms) WEFT_ON_WORKER;

/*
 * The same for each message of a WebSocket. bucket: the name of its sender's, taken at the handshake (malloc'd; NULL:
 * there is no limit). *ret_retry_ms is set where it is refused.
 */
enum weft_admit {
    WEFT_ADMIT_YES,
    WEFT_ADMIT_NO,
    WEFT_ADMIT_WAITS /* waiting has a ticket and gets an answer: weft_admit_answered() */
};
char *weft_admit_bucket(struct weft_call *call) WEFT_ON_WORKER;
/* Of a token that came later. */
char *weft_admit_bucket_of(const struct weft_worker *worker, struct weft_str subject);
enum weft_admit weft_admit_message(struct weft_worker *worker, const char *bucket,
                                   struct weft_waiting *waiting, int64_t *ret_retry_ms)
    WEFT_ON_WORKER;
bool weft_admit_answered(struct weft_worker *worker, const char *bucket,
                         struct weft_answer_msg *answer, int64_t *ret_retry_ms) WEFT_ON_WORKER;

/* ---- fallback.c ---- */
void weft_fallback_register(h2o_hostconf_t *host);

/* ---- publishing.c ---- */
/* What the parts of a request are called by who sends it. */
struct weft_publish_names {
    const char *key, *producer_id, *producer_epoch, *producer_seq, *ack;
};

/*
 * Each puts its part into m: the producer before the key, both before the events; m->topic is set. 0, or the error that
 * the request is refused with: WEFT_EINVAL, WEFT_ETOOBIG.
 */
int weft_publish_take_producer(struct weft_publish_msg *m, struct weft_str id, uint64_t epoch,
                               uint64_t first, const struct weft_publish_names *names,
                               struct weft_err *err) WEFT_MUST_CHECK;
int weft_publish_take_key(struct weft_publish_msg *m, struct weft_str key,
                          const struct weft_publish_names *names, struct weft_err *err)
    WEFT_MUST_CHECK;
int weft_publish_take_ack(struct weft_publish_msg *m, struct weft_str ack,
                          const struct weft_publish_names *names, struct weft_err *err)
    WEFT_MUST_CHECK;
int weft_publish_take_events(struct weft_worker *worker, struct weft_publish_msg *m,
                             enum weft_body_kind kind, struct weft_str body,
                             const struct weft_ce_header *ce, size_t n_ce,
                             struct weft_str traceparent, const struct weft_publish_names *names,
                             struct weft_err *err) WEFT_ON_WORKER WEFT_MUST_CHECK;
/* May these be published, to the request's topic and to all of their own? If not, err names one of them. */
bool weft_publish_allowed(const struct weft_worker *worker, const struct weft_grant *grant,
                          const struct weft_publish_msg *m, struct weft_err *err);
/* Takes m; waiting gets a ticket and then the answer. False: the queue is full, and nobody waits. */
bool weft_publish_post(struct weft_worker *worker, struct weft_waiting *waiting,
                       struct weft_publish_msg *m) WEFT_ON_WORKER;
/* Members of an answer: `"ids":[…]`. */
void weft_published_ids(struct weft_buf *b, const struct weft_published_msg *m);

struct weft_refusal {
    int status;
    const char *code, *field;
    bool unwritten; /* said where `unavailable` alone would leave it open: nothing was written */
    char message[256];
};
/* False: the events were taken. */
bool weft_published_refused(const struct weft_published_msg *m,
                            const struct weft_publish_names *names, struct weft_refusal *ret);
void weft_respond_refusal(h2o_req_t *req, const struct weft_refusal *r) WEFT_ON_WORKER;

/* ---- publish.c, read.c, connections.c, plain.c ---- */
void weft_handle_publish(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_history(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_topic(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_topics(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_breakers(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_breaker(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_breaker_put(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_breaker_delete(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_breaker_acquire(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_breaker_report(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_breaker_force(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_connections(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_services(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_services_health(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_service(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_service_put(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_service_delete(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_service_metrics(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_service_start(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_service_stop(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_service_restart(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_nodes(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_healthz(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_readyz(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_metrics(struct weft_call *call) WEFT_ON_WORKER;
void weft_handle_asset(struct weft_call *call) WEFT_ON_WORKER;

#include "edge_priv.h"

#endif
