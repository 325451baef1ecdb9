/*
 * weft tail - follow topics, through any interruption.
 *
 * The cursor is the id of the last event that was printed and flushed, or what the node has said behind
 * it (at first that of weft.open); every new connection, to whatever node, begins there. So an event is
 * printed once, however often the stream is cut.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <poll.h>

#include <jansson.h>

#include <weft/base/clock.h>

#include "args.h"
#include "backoff.h"
#include "commands.h"
#include "cursor_file.h"
#include "exits.h"
#include "http.h"
#include "output.h"
#include "stream.h"

#define SILENCE_BEFORE_OPEN_MS 15000
#define TARGET_MAX             65536

struct tail_options {
    struct args_list types;
    const char *since;
    const char *last_event_id;
    const char *cursor_file;
    uint64_t count;
    uint64_t retry_max_ms;
    uint64_t give_up_ms; /* 0: never */
    bool control;
    bool fail_on_gap;
};

struct tail {
    const struct tail_options *opt;
    struct servers servers;
    struct stream stream;
    char cursor[CURSOR_MAX];
    uint64_t printed;
    bool opened;       /* the present stream has begun */
    unsigned failures; /* tries since the last stream that began */
    int code;          /* when stream.done */
};

static void print_help(const struct arg *table)
{
    puts("usage: weft tail TOPIC... [options]\n"
         "\n"
         "Prints every event of the topics (a last `*` stands for any rest) as a JSON line, as it\n"
         "comes. After a cut it connects again, to the next address of --url, and goes on behind\n"
         "the last event it printed. What happens to the connection is told on stderr.\n");
    args_print(table);
    puts("\nexit codes: 0 ended by --count, a signal or a reader that went away,\n"
         "            1 the server refused, 2 wrong usage, 3 a gap (--fail-on-gap),\n"
         "            4 no server could be reached (--give-up)");
}

static void finish(struct tail *tail, int code)
{
    tail->stream.done = true;
    tail->code = code;
}

/* False: it is over. */
static bool move_cursor(struct tail *tail, struct weft_str id)
{
    if (id.len == 0 || id.len >= CURSOR_MAX)
        return true;
    memcpy(tail->cursor, id.p, id.len);
    tail->cursor[id.len] = '\0';
    if (!cursor_valid(tail->cursor)) {
        args_complain("the server sent something else than an event id");
        finish(tail, EXIT_REFUSED);
        return false;
    }
    if (tail->opt->cursor_file != NULL &&
        !cursor_file_write(tail->opt->cursor_file, tail->cursor)) {
        finish(tail, EXIT_REFUSED);
        return false;
    }
    return true;
}

/* Events came late, or were of other types, or the stream began in the past and has had none yet. */
static void id_arrived(void *ctx, struct weft_str id)
{
    (void)move_cursor(ctx, id);
}

/* Ends the tail if the line cannot be had out. */
static bool print_line(struct tail *tail, struct weft_str head, struct weft_str body)
{
    output_line(head, body);
    if (output_flush() != OUTPUT_OK)
        finish(tail, output_exit());
    return output_is_open();
}

/* --control: the control event's own data, with its type put in front of its members. */
static bool print_control(struct tail *tail, struct weft_str type, struct weft_str data)
{
    size_t members = 1;
    char head[256];
    int n;

    if (data.p == NULL || data.len < 2 || data.p[0] != '{')
        return true;
    while (members < data.len && strchr(" \t\r\n", data.p[members]) != NULL)
        members++;
    n = snprintf(head, sizeof(head), "{\"type\":\"%.*s\"%s", (int)type.len, type.p,
                 data.p[members] == '}' ? "" : ",");
    if (n < 0 || (size_t)n >= sizeof(head))
        return true;
    return print_line(tail, weft_str(head, (size_t)n),
                      weft_str(data.p + members, data.len - members));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "?";
}

static void opened(struct tail *tail, const json_t *data, struct weft_str id)
{
    json_int_t heartbeat_ms = json_integer_value(json_object_get(data, "heartbeat_ms"));

    tail->opened = true;
    tail->failures = 0;
    /* Two heartbeats may be missed, and some more for a slow network. */
    if (heartbeat_ms > 0)
        tail->stream.silence_ms = (uint64_t)heartbeat_ms * 5 / 2;
    /* A stream that begins in the past has no id until its first event. */
    args_complain("connected to %s (node %s)%s%.*s", servers_current(&tail->servers),
                  text_of(data, "node"), id.len > 0 ? ", behind " : "", (int)id.len,
                  id.len > 0 ? id.p : "");
}

static void gap_told(struct tail *tail, const json_t *data)
{
    const char *next = json_string_value(json_object_get(data, "next"));

    args_complain("gap in topic %s: the events after %s are gone (%s), it goes on with %s",
                  text_of(data, "topic"), text_of(data, "after"), text_of(data, "reason"),
                  next != NULL ? next : "what comes");
    if (tail->opt->fail_on_gap)
        finish(tail, EXIT_GAP);
}

static void control_arrived(struct tail *tail, struct weft_str type, struct weft_str id,
                            struct weft_str text)
{
    json_t *data = json_loadb(text.p != NULL ? text.p : "", text.len, 0, NULL);

    if (tail->opt->control && !print_control(tail, type, text)) {
        /* It is over. */
    } else if (weft_str_eq(type, WEFT_STR("weft.open"))) {
        opened(tail, data, id);
        (void)move_cursor(tail, id);
    } else if (weft_str_eq(type, WEFT_STR("weft.gap"))) {
        gap_told(tail, data);
    } else if (weft_str_eq(type, WEFT_STR("weft.degraded"))) {
        args_complain("the node has lost Redis; what is published meanwhile will come later");
    } else if (weft_str_eq(type, WEFT_STR("weft.recovered"))) {
        args_complain("the node has Redis again");
    } else if (weft_str_eq(type, WEFT_STR("weft.moved"))) {
        args_complain("the node sends its clients elsewhere (%s)", text_of(data, "reason"));
    } else {
        args_complain("%.*s", (int)type.len, type.p);
    }
    json_decref(data);
}

static void event_arrived(void *ctx, struct weft_str type, struct weft_str last_id,
                          struct weft_str data)
{
    struct tail *tail = ctx;

    if (type.len > 5 && memcmp(type.p, "weft.", 5) == 0) {
        control_arrived(tail, type, last_id, data);
        return;
    }
    if (!print_line(tail, WEFT_STR(""), data))
        return;
    tail->printed++;
    if (move_cursor(tail, last_id) && tail->printed == tail->opt->count)
        finish(tail, EXIT_DONE);
}

/* False: a signal came meanwhile. */
static bool pause_for(int signal_fd, uint64_t ms)
{
    uint64_t until = weft_clock_mono_ms() + ms;

    for (;;) {
        struct pollfd in = {.fd = signal_fd, .events = POLLIN};
        uint64_t now = weft_clock_mono_ms();

        if (now >= until)
            return true;
        if (poll(&in, 1, (int)(until - now)) > 0)
            return false;
    }
}

static uint64_t random_u64(void)
{
    uint64_t value = 0;

    if (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
        value = weft_clock_mono_ms();
    return value;
}

/* After a cut: how long to wait. The next try goes to the next address. */
static uint64_t next_pause(struct tail *tail)
{
    const struct tail_options *opt = tail->opt;
    uint64_t ms =
        backoff_ms(tail->failures, tail->stream.retry_ms, opt->retry_max_ms, random_u64());
    int64_t after = tail->stream.retry_after_ms;

    if (after > 0 && (uint64_t)after > ms)
        ms = (uint64_t)after < opt->retry_max_ms ? (uint64_t)after : opt->retry_max_ms;
    tail->failures++;
    servers_rotate(&tail->servers);
    return ms;
}

static int follow(struct tail *tail, const char *target)
{
    char url[SERVERS_URL_MAX + TARGET_MAX];
    uint64_t lost_ms = weft_clock_mono_ms();

    for (;;) {
        const char *server = servers_current(&tail->servers);
        uint64_t ms;

        snprintf(url, sizeof(url), "%s%s", server, target);
        tail->opened = false;
        tail->stream.silence_ms = SILENCE_BEFORE_OPEN_MS;
        switch (stream_run(&tail->stream, url, tail->cursor)) {
        case STREAM_DONE:
            return tail->code;
        case STREAM_SIGNAL:
            return EXIT_DONE;
        case STREAM_REFUSED:
            return EXIT_REFUSED;
        case STREAM_UNREACHABLE:
        case STREAM_CUT:
            break;
        }
        if (tail->opened)
            lost_ms = weft_clock_mono_ms();
        if (tail->opt->give_up_ms > 0 && weft_clock_mono_ms() - lost_ms >= tail->opt->give_up_ms) {
            args_complain("%s: %s; giving up", server, tail->stream.reason);
            return EXIT_UNREACHABLE;
        }
        ms = next_pause(tail);
        args_complain("%s: %s; trying %s in %.1f s", server, tail->stream.reason,
                      servers_current(&tail->servers), (double)ms / 1000);
        if (!pause_for(tail->stream.signal_fd, ms))
            return EXIT_DONE;
    }
}

static void add_param(struct weft_buf *target, char mark, const char *name, const char *value)
{
    weft_buf_printf(target, "%c%s=", mark, name);
    http_encode(target, value);
}

static bool make_target(struct weft_buf *target, const struct args_list *topics,
                        const struct tail_options *opt)
{
    weft_buf_puts(target, "/api/events");
    for (size_t i = 0; i < topics->n; i++)
        add_param(target, i == 0 ? '?' : '&', "topic", topics->items[i]);
    for (size_t i = 0; i < opt->types.n; i++)
        add_param(target, '&', "types", opt->types.items[i]);
    /* The cursor wins over it on the server, so it may stay when connecting again. */
    if (opt->since != NULL)
        add_param(target, '&', "since", opt->since);
    if (target->toobig)
        args_complain("the topics and types are too long");
    return !target->toobig;
}

/* From the file if it holds one, else from the option. */
static bool begin_cursor(struct tail *tail)
{
    const struct tail_options *opt = tail->opt;

    if (opt->last_event_id != NULL && !cursor_valid(opt->last_event_id)) {
        args_complain("--last-event-id: an event id is needed, not '%s'", opt->last_event_id);
        return false;
    }
    if (opt->cursor_file != NULL && !cursor_file_read(opt->cursor_file, tail->cursor))
        return false;
    if (tail->cursor[0] == '\0' && opt->last_event_id != NULL)
        snprintf(tail->cursor, sizeof(tail->cursor), "%s", opt->last_event_id);
    return true;
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(struct tail *tail, const struct args_list *topics)
{
    struct weft_buf target;
    int code = EXIT_USAGE;

    weft_buf_init(&target, TARGET_MAX - 1);
    if (make_target(&target, topics, tail->opt) && begin_cursor(tail)) {
        tail->stream.event_arrived = event_arrived;
        tail->stream.id_arrived = id_arrived;
        tail->stream.ctx = tail;
        tail->stream.servers = &tail->servers;
        tail->stream.signal_fd = open_signals();
        if (tail->stream.signal_fd < 0) {
            args_complain("signals: %s", strerror(errno));
            code = EXIT_REFUSED;
        } else {
            output_interruptible(tail->stream.signal_fd);
            code = follow(tail, target.data);
            close(tail->stream.signal_fd);
        }
    }
    weft_buf_fini(&target);
    return code;
}

int tail_run(int argc, char **argv)
{
    struct tail_options opt = {.retry_max_ms = BACKOFF_CAP_MS};
    struct tail tail = {.opt = &opt};
    struct args_list topics;
    struct servers_given given = {.ca = NULL};
    const struct arg table[] = {
        ARG_IS_LIST("types", "GLOB", &opt.types,
                    "only events whose type matches, e.g. task.*; any number of times"),
        ARG_IS_STRING("since", "WHEN", &opt.since,
                      "begin in the past: earliest, an event id, a time in ms, or -5m"),
        ARG_IS_STRING("last-event-id", "ID", &opt.last_event_id, "begin behind this event"),
        ARG_IS_STRING("cursor-file", "FILE", &opt.cursor_file,
                      "keep the id of the last printed event there, and begin behind it\n"
                      "if there is one (it wins over the two options above)"),
        ARG_IS_NUMBER("count", 1, UINT64_MAX, &opt.count, "end after so many events"),
        ARG_IS_FLAG("control", &opt.control, "print weft's own events (weft.gap, ...) as well"),
        ARG_IS_FLAG("fail-on-gap", &opt.fail_on_gap, "end with 3 when events are gone for good"),
        ARG_IS_SECONDS("retry-max", &opt.retry_max_ms,
                       "longest pause between two tries (default: 30)"),
        ARG_IS_SECONDS("give-up", &opt.give_up_ms,
                       "end with 4 after so long without a stream (default: never)"),
        ARGS_ARE_SERVERS(&given),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 1, 100, &topics)) {
    case ARGS_HELP:
        print_help(table);
        return EXIT_DONE;
    case ARGS_BAD:
        return EXIT_USAGE;
    case ARGS_OK:
        break;
    }
    if (!servers_init(&tail.servers, &given))
        return EXIT_USAGE;
    return run(&tail, &topics);
}
