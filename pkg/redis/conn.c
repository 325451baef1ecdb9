#include <weft/redis/conn.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#include "dial_priv.h"
#include "functions_priv.h"
#include "reply_priv.h"
#include "retry_priv.h"

/*
 * States; each is left only by the moves in the right column.
 *
 *   RESTING     waiting out a backoff            -> CONNECTING (timer)
 *   CONNECTING  connect, TLS handshake under way -> GREETING (connected), RESTING (error, connect timer)
 *   GREETING    AUTH, ROLE, SELECT, FUNCTION ... -> UP (all answered), RESTING
 *   UP          owner may send                   -> RESTING
 *
 * Nothing is freed inside a callback of libevent that still uses it: dropping a connection frees its
 * bufferevent at once (libevent allows that in its event and read callbacks), and the code returns
 * right after, by the `bev == NULL` checks.
 */
enum state { RESTING, CONNECTING, GREETING, UP };

#define TICK_MS      200
#define WAITING_MAX  262144
#define READ_CHUNK   65536
#define UNKNOWN_TOLD 4 /* attempts without an address, after which it is worth a line */

struct waiting {
    weft_redis_replied *replied;
    void *ctx;
    uint64_t sent_ns;
};

struct weft_redis_conn {
    struct weft_redis_conn_opts o;
    enum state state;
    struct bufferevent *bev;
    struct weft_dialer dialer;
    char label[300];    /* of the address in use, for logs */
    struct event *tick; /* timeouts, keepalive */
    struct event *rest; /* end of the backoff */
    struct redisReader *reader;
    struct weft_arena arena;
    struct waiting *fifo; /* ring; cap is a power of two */
    size_t fifo_cap;
    size_t fifo_head;
    size_t fifo_len;
    struct weft_retry retry;
    uint64_t state_ns;    /* when the state was entered */
    uint64_t heard_ns;    /* when bytes last arrived */
    bool ping_unanswered; /* of a subscriber: its pings have no place in the fifo */
    uint64_t ping_ns;
    const char **args; /* scratch of write_command */
    size_t *arg_lens;
    size_t args_cap;
};

static void connect_now(struct weft_redis_conn *cn);

static void fifo_push(struct weft_redis_conn *cn, weft_redis_replied *replied, void *ctx)
{
    if (cn->fifo_len == cn->fifo_cap) {
        size_t cap = cn->fifo_cap == 0 ? 64 : cn->fifo_cap * 2;
        struct waiting *fifo = calloc(cap, sizeof(*fifo));

        WEFT_ASSERT(fifo != NULL);
        for (size_t i = 0; i < cn->fifo_len; i++) {
            fifo[i] = cn->fifo[(cn->fifo_head + i) & (cn->fifo_cap - 1)];
        }
        free(cn->fifo);
        cn->fifo = fifo;
        cn->fifo_cap = cap;
        cn->fifo_head = 0;
    }
    struct waiting *w = &cn->fifo[(cn->fifo_head + cn->fifo_len) & (cn->fifo_cap - 1)];
    w->replied = replied;
    w->ctx = ctx;
    w->sent_ns = weft_clock_mono_ns();
    cn->fifo_len++;
}

static struct waiting fifo_pop(struct weft_redis_conn *cn)
{
    struct waiting w = cn->fifo[cn->fifo_head];

    cn->fifo_head = (cn->fifo_head + 1) & (cn->fifo_cap - 1);
    cn->fifo_len--;
    return w;
}

static void rest_for(struct weft_redis_conn *cn, uint64_t wait_ms)
{
    struct timeval tv = {(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000 * 1000)};

    (void)event_add(cn->rest, &tv);
}

/* Ends what there is and rests for a while. The owner hears `down` if it had heard `up`. */
static void drop(struct weft_redis_conn *cn, const char *why)
{
    uint64_t now = weft_clock_mono_ns();
    bool was_up = cn->state == UP;
    bool tell = was_up && !weft_retry_is_suspect(&cn->retry, now);
    uint64_t wait_ms = weft_retry_failed(&cn->retry);

    if (cn->bev != NULL) {
        bufferevent_free(cn->bev);
        cn->bev = NULL;
    }
    if (cn->reader != NULL) {
        redisReaderFree(cn->reader);
        cn->reader = NULL;
    }
    weft_arena_reset(&cn->arena);
    cn->state = RESTING;
    cn->state_ns = now;
    cn->ping_unanswered = false;
    rest_for(cn, wait_ms);

    tell = tell || weft_retry_is_news(&cn->retry, why);
    weft_log(cn->o.log, tell ? WEFT_LOG_WARN : WEFT_LOG_DEBUG,
             was_up ? "redis.disconnected" : "redis.unreachable", WEFT_S("connection", cn->o.name),
             WEFT_S("address", cn->label), WEFT_S("why", why), WEFT_U("retry_ms", wait_ms));
    if (was_up) {
        weft_count(cn->o.shard, WEFT_M_REDIS_DISCONNECTS, 1);
        cn->o.down(cn->o.ctx, why);
    } else {
        weft_count(cn->o.shard, WEFT_M_REDIS_ERRORS, 1);
    }
    /* After `down`, so that an owner that looks sees the connection away; callbacks may not send now. */
    while (cn->fifo_len > 0) {
        struct waiting w = fifo_pop(cn);

        if (w.replied != NULL) {
            w.replied(w.ctx, NULL);
        }
    }
    if (cn->o.drained != NULL) {
        cn->o.drained(cn->o.ctx); /* what these answers made must go out now */
    }
}

/* Redis said no to what we cannot do without; text is Redis's. */
static void refused(struct weft_redis_conn *cn, const char *what, struct weft_str text)
{
    uint64_t now = weft_clock_mono_ns();
    char why[160];

    (void)snprintf(why, sizeof(why), "%s: %.*s", what, (int)text.len, text.p);
    if (weft_retry_is_news(&cn->retry, why)) {
        weft_log(cn->o.log, WEFT_LOG_ERROR, "redis.refused", WEFT_S("connection", cn->o.name),
                 WEFT_S("address", cn->label), WEFT_S("user", cn->o.url->user), WEFT_S("to", what),
                 WEFT_SN("error", text.p, text.len));
    }
    if (cn->state == UP) {
        weft_retry_refused(&cn->retry, now);
    }
    drop(cn, why);
}

static void free_command(const void *command, size_t len, void *ctx)
{
    (void)len;
    (void)ctx;
    free((void *)(uintptr_t)command); /* what redisFreeCommand does; libevent's callback is const */
}

/*
 * Sends at once what the socket takes: a bufferevent would wait for the loop to tell that it may be written,
 * three system calls and a turn of the loop later. Only the rest goes through it; with TLS, everything.
 */
static void write_command(struct weft_redis_conn *cn, size_t argc, const struct weft_str *argv)
{
    struct evbuffer *out = bufferevent_get_output(cn->bev);
    char *command = NULL;
    ssize_t sent = 0;
    int len;

    if (argc > cn->args_cap) {
        free(cn->args);
        free(cn->arg_lens);
        cn->args_cap = argc * 2;
        cn->args = calloc(cn->args_cap, sizeof(*cn->args));
        cn->arg_lens = calloc(cn->args_cap, sizeof(*cn->arg_lens));
        WEFT_ASSERT(cn->args != NULL && cn->arg_lens != NULL);
    }
    for (size_t i = 0; i < argc; i++) {
        cn->args[i] = argv[i].p == NULL ? "" : argv[i].p;
        cn->arg_lens[i] = argv[i].len;
    }
    len = redisFormatCommandArgv(&command, (int)argc, cn->args, cn->arg_lens);
    WEFT_ASSERT(len > 0);
    if (evbuffer_get_length(out) == 0 && cn->o.tls == NULL) {
        sent = send(bufferevent_getfd(cn->bev), command, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            sent = 0; /* full, or broken: then the bufferevent will tell */
        }
    }
    if (sent == len) {
        redisFreeCommand(command);
    } else if (sent == 0) {
        WEFT_ASSERT(evbuffer_add_reference(out, command, (size_t)len, free_command, NULL) == 0);
    } else {
        WEFT_ASSERT(evbuffer_add(out, command + sent, (size_t)(len - sent)) == 0);
        redisFreeCommand(command);
    }
}

static void now_up(struct weft_redis_conn *cn)
{
    uint64_t now = weft_clock_mono_ns();
    bool suspect = weft_retry_is_suspect(&cn->retry, now);

    cn->state = UP;
    cn->state_ns = now;
    weft_retry_worked(&cn->retry, now);
    weft_count(cn->o.shard, WEFT_M_REDIS_CONNECTS, 1);
    weft_log(cn->o.log, suspect ? WEFT_LOG_DEBUG : WEFT_LOG_INFO, "redis.connected",
             WEFT_S("connection", cn->o.name), WEFT_S("address", cn->label));
    cn->o.up(cn->o.ctx);
}

/* A step of the greeting was answered. The last one has this as its context's end: the fifo is empty then. */
static void greeting_answered(void *ctx, const struct weft_reply *reply)
{
    struct weft_redis_conn *cn = ctx;

    if (reply == NULL || cn->state != GREETING) {
        return;
    }
    if (weft_reply_is_error(reply)) {
        refused(cn, "greeting", reply->str);
        return;
    }
    if (cn->fifo_len == 0) {
        now_up(cn);
    }
}

/* A replica would take our reads and answer with the past; a master that was demoted is one. */
static void role_answered(void *ctx, const struct weft_reply *reply)
{
    struct weft_redis_conn *cn = ctx;
    struct weft_str role = weft_reply_str(weft_reply_at(reply, 0));
    char why[96];

    if (reply != NULL && cn->state == GREETING && !weft_reply_is_error(reply) &&
        !weft_str_eq(role, weft_str(cn->o.role, strlen(cn->o.role)))) {
        (void)snprintf(why, sizeof(why), "its role is %.*s, not %s", (int)role.len,
                       role.len == 0 ? "" : role.p, cn->o.role);
        drop(cn, why);
        return;
    }
    greeting_answered(cn, reply);
}

static void greet_with(struct weft_redis_conn *cn, size_t argc, const struct weft_str *argv)
{
    write_command(cn, argc, argv);
    fifo_push(cn, greeting_answered, cn);
}

static struct weft_str text(const char *s)
{
    return weft_str(s, strlen(s));
}

static void greet(struct weft_redis_conn *cn)
{
    const struct weft_redis_url *url = cn->o.url;

    cn->state = GREETING;
    cn->state_ns = cn->heard_ns = weft_clock_mono_ns();
    if (url->user[0] != '\0' && url->password[0] != '\0') {
        struct weft_str argv[] = {WEFT_STR("AUTH"), text(url->user), text(url->password)};
        greet_with(cn, 3, argv);
    } else if (url->password[0] != '\0') {
        struct weft_str argv[] = {WEFT_STR("AUTH"), text(url->password)};
        greet_with(cn, 2, argv);
    }
    if (cn->o.role != NULL) {
        struct weft_str argv[] = {WEFT_STR("ROLE")};
        write_command(cn, 1, argv);
        fifo_push(cn, role_answered, cn);
    }
    if (url->db != 0) {
        char db[20];
        struct weft_str argv[] = {WEFT_STR("SELECT"), weft_str(db, weft_u64_print(db, url->db))};
        greet_with(cn, 2, argv);
    }
    if (cn->o.functions) {
        struct weft_str argv[] = {
            WEFT_STR("FUNCTION"), WEFT_STR("LOAD"), WEFT_STR("REPLACE"),
            weft_str(weft_redis_functions_source, weft_redis_functions_source_len)};
        greet_with(cn, 4, argv);
        weft_count(cn->o.shard, WEFT_M_FUNCTION_LOADS, 1);
    }
    /* Last: its answer means that everything before it was taken. */
    struct weft_str argv[] = {WEFT_STR("CLIENT"), WEFT_STR("SETNAME"), text(cn->o.name)};
    greet_with(cn, 3, argv);
}

/* One complete push of a subscriber connection. */
static void push_arrived(struct weft_redis_conn *cn, const struct weft_reply *reply)
{
    struct weft_str kind = weft_reply_str(weft_reply_at(reply, 0));
    struct weft_str channel = weft_reply_str(weft_reply_at(reply, 1));

    if (weft_str_eq(kind, WEFT_STR("message"))) {
        cn->o.message_arrived(cn->o.ctx, channel, weft_reply_str(weft_reply_at(reply, 2)));
    } else if (weft_str_eq(kind, WEFT_STR("subscribe"))) {
        cn->o.subscribed(cn->o.ctx, channel, true);
    } else if (weft_str_eq(kind, WEFT_STR("unsubscribe"))) {
        cn->o.subscribed(cn->o.ctx, channel, false);
    } else if (weft_str_eq(kind, WEFT_STR("pong")) || reply->kind == WEFT_REPLY_STATUS ||
               reply->kind == WEFT_REPLY_STRING) { /* a string: while nothing is subscribed */
        struct weft_str token = reply->kind == WEFT_REPLY_STRING ? reply->str : channel;

        cn->ping_unanswered = false;
        if (token.len > 0 && cn->o.pong != NULL) {
            cn->o.pong(cn->o.ctx, token);
        }
    } else if (weft_reply_is_error(reply)) {
        refused(cn, "SUBSCRIBE", reply->str); /* NOPERM */
    } else {
        drop(cn, "an unexpected push");
    }
}

static void reply_arrived(struct weft_redis_conn *cn, const struct weft_reply *reply)
{
    if (cn->o.subscriber && cn->state == UP) {
        push_arrived(cn, reply);
        return;
    }
    if (cn->fifo_len == 0) {
        drop(cn, "a reply that nobody asked for");
        return;
    }
    struct waiting w = fifo_pop(cn);
    weft_observe_ns(cn->o.shard, WEFT_H_REDIS_ROUNDTRIP, weft_clock_mono_ns() - w.sent_ns);
    if (weft_reply_is_error(reply)) {
        weft_count(cn->o.shard, WEFT_M_REDIS_ERRORS, 1);
    }
    if (w.replied != NULL) {
        w.replied(w.ctx, reply);
    }
}

static void bytes_arrived(struct bufferevent *bev, void *ctx)
{
    struct weft_redis_conn *cn = ctx;
    struct evbuffer *in = bufferevent_get_input(bev);

    cn->heard_ns = weft_clock_mono_ns();
    while (cn->bev == bev && evbuffer_get_length(in) > 0) {
        size_t n = evbuffer_get_contiguous_space(in);

        if (n > READ_CHUNK) {
            n = READ_CHUNK;
        }
        if (redisReaderFeed(cn->reader, (const char *)evbuffer_pullup(in, (ev_ssize_t)n), n) !=
            REDIS_OK) {
            drop(cn, "out of memory"); /* not its errstr: the reader ends with the connection */
            return;
        }
        evbuffer_drain(in, n);
        for (;;) {
            void *reply = NULL;

            if (redisReaderGetReply(cn->reader, &reply) != REDIS_OK) {
                drop(cn, cn->arena.failed ? "out of memory" : "it does not speak the protocol");
                return;
            }
            if (reply == NULL) {
                break;
            }
            reply_arrived(cn, reply);
            if (cn->bev != bev) { /* dropped meanwhile, reader and arena are gone */
                return;
            }
            weft_arena_reset(&cn->arena);
        }
    }
    if (cn->o.drained != NULL && cn->state == UP) {
        cn->o.drained(cn->o.ctx);
    }
}

static void event_happened(struct bufferevent *bev, short what, void *ctx)
{
    struct weft_redis_conn *cn = ctx;

    if ((what & BEV_EVENT_CONNECTED) != 0) {
        int fd = bufferevent_getfd(cn->bev);
        int one = 1;

        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* fails on AF_UNIX */
        greet(cn);
        return;
    }
    char why[160];
    weft_dialer_why(bev, what, why, sizeof(why));
    drop(cn, why);
}

static void connect_now(struct weft_redis_conn *cn)
{
    const struct weft_redis_url *url = cn->o.url;
    struct weft_redis_host host = url->host;

    WEFT_ASSERT(cn->state == RESTING && cn->bev == NULL);
    if (cn->o.find != NULL) {
        if (!cn->o.find(cn->o.find_ctx, &host)) {
            rest_for(cn, weft_retry_failed(&cn->retry)); /* or until the owner says reconnect */
            if (cn->retry.failures == UNKNOWN_TOLD) {
                weft_log(cn->o.log, WEFT_LOG_WARN, "redis.unreachable",
                         WEFT_S("connection", cn->o.name), WEFT_S("address", cn->label),
                         WEFT_S("why", "nobody has said where it is"));
            }
            return;
        }
        (void)snprintf(cn->label, sizeof(cn->label), "%s:%u", host.name, (unsigned)host.port);
    }
    cn->state = CONNECTING;
    cn->state_ns = weft_clock_mono_ns();
    cn->arena.failed = false;
    cn->reader = weft_reply_reader(&cn->arena);
    cn->bev = weft_dialer_open(&cn->dialer, &host);
    if (cn->reader == NULL || cn->bev == NULL) {
        drop(cn, "out of memory");
        return;
    }
    bufferevent_setcb(cn->bev, bytes_arrived, NULL, event_happened, cn);
    bufferevent_set_max_single_read(cn->bev, 4 * READ_CHUNK);
    bufferevent_set_max_single_write(cn->bev, 4 * READ_CHUNK);
    (void)bufferevent_enable(cn->bev, EV_READ | EV_WRITE);
    if (weft_dialer_connect(&cn->dialer, cn->bev, url->path, &host) != 0 &&
        cn->state == CONNECTING) { /* else the event callback has told already */
        drop(cn, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    }
}

static void rested(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    connect_now(ctx);
}

static void pong_arrived(void *ctx, const struct weft_reply *reply)
{
    (void)ctx;
    (void)reply;
}

/* Timeouts and, when nothing was heard for a while, a PING: a peer that is stopped or cut off is noticed. */
static void ticked(evutil_socket_t fd, short what, void *ctx)
{
    struct weft_redis_conn *cn = ctx;
    uint64_t now = weft_clock_mono_ns();
    uint64_t command_ns = (uint64_t)cn->o.command_timeout_ms * 1000000;
    uint64_t connect_ns = (uint64_t)cn->o.connect_timeout_ms * 1000000;
    static const struct weft_str ping[] = {{"PING", 4}};

    (void)fd;
    (void)what;
    if (cn->state == CONNECTING || cn->state == GREETING) {
        if (now - cn->state_ns > connect_ns) {
            weft_count(cn->o.shard, WEFT_M_REDIS_TIMEOUTS, 1);
            drop(cn, "no connection in time");
        }
        return;
    }
    if (cn->state != UP) {
        return;
    }
    if ((cn->fifo_len > 0 && now - cn->fifo[cn->fifo_head].sent_ns > command_ns) ||
        (cn->ping_unanswered && now - cn->ping_ns > command_ns)) {
        weft_count(cn->o.shard, WEFT_M_REDIS_TIMEOUTS, 1);
        drop(cn, "no answer in time");
        return;
    }
    if (now - cn->heard_ns > command_ns / 2 && cn->fifo_len == 0 && !cn->ping_unanswered) {
        write_command(cn, 1, ping);
        if (cn->o.subscriber) {
            cn->ping_unanswered = true;
            cn->ping_ns = now;
        } else {
            fifo_push(cn, pong_arrived, NULL);
        }
    }
}

int weft_redis_conn_create(struct weft_redis_conn **ret_cn, const struct weft_redis_conn_opts *opts)
{
    static const struct timeval tick = {0, TICK_MS * 1000};
    static const struct timeval at_once = {0, 0};
    struct weft_redis_conn *cn = calloc(1, sizeof(*cn));

    if (cn == NULL) {
        return WEFT_ENOMEM;
    }
    cn->o = *opts;
    cn->state = RESTING;
    cn->retry = (struct weft_retry){
        .min_ms = opts->backoff_min_ms, .max_ms = opts->backoff_max_ms, .rng = opts->seed | 1};
    cn->dialer = (struct weft_dialer){.base = opts->base, .tls = opts->tls};
    (void)snprintf(cn->label, sizeof(cn->label), "%s", opts->url->label);
    cn->tick = event_new(opts->base, -1, EV_PERSIST, ticked, cn);
    cn->rest = event_new(opts->base, -1, 0, rested, cn);
    if (cn->tick == NULL || cn->rest == NULL || event_add(cn->tick, &tick) != 0 ||
        event_add(cn->rest, &at_once) != 0) {
        weft_redis_conn_destroy(cn);
        return WEFT_ESYS;
    }
    *ret_cn = cn;
    return 0;
}

void weft_redis_conn_destroy(struct weft_redis_conn *cn)
{
    if (cn == NULL) {
        return;
    }
    while (cn->fifo_len > 0) {
        struct waiting w = fifo_pop(cn);

        if (w.replied != NULL) {
            w.replied(w.ctx, NULL);
        }
    }
    if (cn->bev != NULL) {
        bufferevent_free(cn->bev);
    }
    if (cn->reader != NULL) {
        redisReaderFree(cn->reader);
    }
    weft_arena_fini(&cn->arena);
    if (cn->tick != NULL) {
        event_free(cn->tick);
    }
    if (cn->rest != NULL) {
        event_free(cn->rest);
    }
    weft_dialer_fini(&cn->dialer);
    free(cn->fifo);
    free(cn->args);
    free(cn->arg_lens);
    free(cn);
}

bool weft_redis_conn_is_up(const struct weft_redis_conn *cn)
{
    return cn->state == UP;
}

void weft_redis_conn_reconnect(struct weft_redis_conn *cn, const char *why)
{
    if (cn->state != RESTING) {
        drop(cn, why);
    }
    cn->retry.failures = 0;
    rest_for(cn, 0);
}

size_t weft_redis_conn_waiting(const struct weft_redis_conn *cn)
{
    return cn->fifo_len;
}

int weft_redis_send(struct weft_redis_conn *cn, weft_redis_replied *replied, void *ctx, size_t argc,
                    const struct weft_str *argv)
{
    if (cn->state != UP) {
        return WEFT_EUNAVAILABLE;
    }
    if (cn->fifo_len >= WAITING_MAX) {
        return WEFT_EFULL;
    }
    WEFT_ASSERT(!cn->o.subscriber || replied == NULL);
    write_command(cn, argc, argv);
    if (!cn->o.subscriber) {
        fifo_push(cn, replied, ctx);
    }
    return 0;
}

int weft_redis_ping(struct weft_redis_conn *cn, struct weft_str token)
{
    struct weft_str argv[] = {WEFT_STR("PING"), token};

    WEFT_ASSERT(cn->o.subscriber && token.len > 0);
    return weft_redis_send(cn, NULL, NULL, 2, argv);
}

int weft_redis_load_functions(struct weft_redis_conn *cn, weft_redis_replied *replied, void *ctx)
{
    struct weft_str argv[] = {
        WEFT_STR("FUNCTION"), WEFT_STR("LOAD"), WEFT_STR("REPLACE"),
        weft_str(weft_redis_functions_source, weft_redis_functions_source_len)};

    weft_count(cn->o.shard, WEFT_M_FUNCTION_LOADS, 1);
    return weft_redis_send(cn, replied, ctx, 4, argv);
}

bool weft_redis_function_missing(const struct weft_reply *reply)
{
    return weft_reply_is_error(reply) && weft_str_starts(reply->str, "ERR Function not found");
}
