#include "swarm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/wire/ws.h>

#include "scan.h"

#define READ_SIZE   (256u << 10)
#define CARRY_MAX   (256u << 10) /* the longest chunk */
#define TARGET_MAX  16384
#define OPENING_MAX 256

static void sub_ready(struct io *io, uint32_t events);

void swarm_init(struct swarm *swarm)
{
    swarm->subs = calloc(swarm->n, sizeof(*swarm->subs));
    swarm->buffer = malloc(CARRY_MAX + READ_SIZE);
    WEFT_ASSERT(swarm->subs != NULL && swarm->buffer != NULL);
    for (uint32_t i = 0; i < swarm->n; i++) {
        struct sub *sub = &swarm->subs[i];

        sub->io = (struct io){.fd = -1, .ready = sub_ready};
        sub->swarm = swarm;
        sub->index = i;
        sub->server = i % swarm->n_servers;
    }
}

void swarm_fini(struct swarm *swarm)
{
    for (uint32_t i = 0; i < swarm->n; i++) {
        swarm_cut(swarm, &swarm->subs[i]);
        free(swarm->subs[i].got);
    }
    free(swarm->subs);
    free(swarm->buffer);
    swarm->subs = NULL;
    swarm->buffer = NULL;
}

static void note_trouble(struct swarm *swarm, const struct sub *sub, const char *what)
{
    if (swarm->trouble[0] == '\0')
        snprintf(swarm->trouble, sizeof(swarm->trouble), "subscriber %u at %.127s: %.300s",
                 sub->index, swarm->servers[sub->server].authority, what);
}

/* The counts follow the state; nothing else changes it. */
static void move(struct sub *sub, enum sub_state to)
{
    struct swarm *swarm = sub->swarm;

    swarm->opening -= sub->state == SUB_CONNECTING || sub->state == SUB_HEAD;
    swarm->open -= sub->state == SUB_OPEN;
    swarm->opening += to == SUB_CONNECTING || to == SUB_HEAD;
    swarm->open += to == SUB_OPEN;
    sub->state = to;
}

void swarm_cut(struct swarm *swarm, struct sub *sub)
{
    (void)swarm;
    if (sub->state == SUB_CLOSED)
        return;
    close(sub->io.fd);
    sub->io.fd = -1;
    free(sub->carry);
    sub->carry = NULL;
    sub->carry_len = sub->carry_cap = 0;
    move(sub, SUB_CLOSED);
}

void swarm_pause(struct swarm *swarm, struct sub *sub, bool on)
{
    if (sub->state == SUB_OPEN)
        poller_change(swarm->poller, &sub->io, on ? 0 : EPOLLIN);
}

/* It ended by itself. */
static void lose(struct sub *sub, uint64_t *counter, const char *what)
{
    ++*counter;
    note_trouble(sub->swarm, sub, what);
    swarm_cut(sub->swarm, sub);
}

void swarm_connect(struct swarm *swarm, struct sub *sub)
{
    WEFT_ASSERT(sub->state == SUB_CLOSED);
    sub->io.fd = server_connect(&swarm->servers[sub->server], sub->index);
    if (sub->io.fd < 0) {
        swarm->failures++;
        note_trouble(swarm, sub, strerror(errno));
        return;
    }
    sub->told = false;
    move(sub, SUB_CONNECTING);
    poller_add(swarm->poller, &sub->io, EPOLLOUT);
}

static void put_cursor(const struct sub *sub, struct weft_buf *out)
{
    char id[WEFT_ID_MAX_LEN];

    weft_buf_append(out, id, weft_id_print(id, sub->cursor));
}

/* False: it could not be sent. A fresh socket has room for it. */
static bool send_all(struct sub *sub, const struct weft_buf *out)
{
    WEFT_ASSERT(!out->toobig);
    if (send(sub->io.fd, out->data, out->len, MSG_NOSIGNAL) == (ssize_t)out->len)
        return true;
    lose(sub, &sub->swarm->failures, errno != 0 ? strerror(errno) : "cannot connect");
    return false;
}

/* The connection stands: ask for the stream. */
static void request(struct sub *sub)
{
    struct swarm *swarm = sub->swarm;
    struct weft_buf out;

    weft_buf_init(&out, TARGET_MAX);
    weft_buf_puts(&out, "GET ");
    if (swarm->ws)
        weft_buf_puts(&out, "/ws");
    else
        swarm->target(swarm->ctx, sub->index, &out);
    weft_buf_printf(&out, " HTTP/1.1\r\nHost: %s\r\n", swarm->servers[sub->server].authority);
    if (swarm->ws)
        weft_buf_puts(&out, "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    else
        weft_buf_puts(&out, "Accept: text/event-stream\r\n");
    /* 0-0 is a cursor too: that of an empty history. */
    if (!swarm->ws && sub->opens > 0) {
        weft_buf_puts(&out, "Last-Event-ID: ");
        put_cursor(sub, &out);
        weft_buf_puts(&out, "\r\n");
    }
    weft_buf_puts(&out, "\r\n");
    if (send_all(sub, &out)) {
        move(sub, SUB_HEAD);
        poller_change(swarm->poller, &sub->io, EPOLLIN);
    }
    weft_buf_fini(&out);
}

/* The topics of a target, `…?topic=a&topic=b`, as a JSON array; names have nothing to be escaped. */
static void put_topics(const struct weft_buf *target, struct weft_buf *out)
{
    static const char key[] = "topic=";
    const char *at = target->data, *end = target->data + target->len;
    const char *sep = "[";

    while ((at = memmem(at, (size_t)(end - at), key, sizeof(key) - 1)) != NULL) {
        size_t len;

        at += sizeof(key) - 1;
        len = strcspn(at, "&");
        weft_buf_puts(out, sep);
        weft_buf_json(out, weft_str(at, len));
        sep = ",";
    }
    weft_buf_puts(out, "]");
}

/* The WebSocket stands: subscribe. */
static bool subscribe(struct sub *sub)
{
    struct swarm *swarm = sub->swarm;
    struct weft_buf target, text, out;
    bool ok;

    weft_buf_init(&target, TARGET_MAX);
    weft_buf_init(&text, TARGET_MAX);
    weft_buf_init(&out, TARGET_MAX);
    swarm->target(swarm->ctx, sub->index, &target);
    weft_buf_puts(&text, "{\"op\":\"subscribe\",\"topics\":");
    put_topics(&target, &text);
    if (sub->opens > 0) {
        weft_buf_puts(&text, ",\"cursor\":\"");
        put_cursor(sub, &text);
        weft_buf_puts(&text, "\"");
    }
    weft_buf_puts(&text, "}");
    weft_ws_put_masked(&out, WEFT_WS_TEXT, true, sub->index, weft_str(text.data, text.len));
    ok = send_all(sub, &out);
    weft_buf_fini(&target);
    weft_buf_fini(&text);
    weft_buf_fini(&out);
    return ok;
}

static void answer_ping(struct sub *sub)
{
    struct weft_buf out;

    weft_buf_init(&out, 64);
    weft_ws_put_masked(&out, WEFT_WS_PONG, true, sub->index, weft_str(NULL, 0));
    (void)send(sub->io.fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    weft_buf_fini(&out);
}

static void keep(struct sub *sub, uint32_t n)
{
    if (sub->got_n == sub->got_cap) {
        sub->got_cap = sub->got_cap > 0 ? sub->got_cap * 2 : 64;
        sub->got = realloc(sub->got, sub->got_cap * sizeof(*sub->got));
        WEFT_ASSERT(sub->got != NULL);
    }
    sub->got[sub->got_n++] = n;
}

/*
 * The id of weft.open is where the stream stands: for one that resumes, the cursor that it came
 * with.
 */
static void opened(struct sub *sub, const struct scan_event *event)
{
    if (sub->state == SUB_HEAD)
        move(sub, SUB_OPEN);
    if (sub->opens > 0 && event->id.seq != sub->cursor.seq) {
        sub->swarm->moved++;
        note_trouble(sub->swarm, sub, "weft.open does not stand at the Last-Event-ID");
    }
    sub->opens++;
    sub->cursor = event->id;
}

static bool event_found(void *ctx, const struct scan_event *event)
{
    struct sub *sub = ctx;
    struct swarm *swarm = sub->swarm;

    switch (event->kind) {
    case SCAN_EVENT:
        sub->disorder += event->id.seq <= sub->cursor.seq;
        sub->cursor = event->id;
        swarm->delivered++;
        if (swarm->keep)
            keep(sub, event->n);
        if (swarm->latency != NULL && !sub->unmeasured && swarm->read_ns > event->sent_ns)
            hist_add(swarm->latency, swarm->read_ns - event->sent_ns);
        break;
    case SCAN_OPEN:
        opened(sub, event);
        break;
    case SCAN_GAP:
        swarm->gaps++;
        sub->gaps++;
        note_trouble(swarm, sub, "a gap was told");
        break;
    case SCAN_MOVED:
        sub->told = true;
        sub->retry_ms = (uint32_t)event->retry_ms;
        break;
    case SCAN_CONTROL:
        swarm->controls++;
        break;
    case SCAN_PING:
        answer_ping(sub);
        break;
    case SCAN_FOREIGN:
        swarm->foreign++;
        sub->cursor = event->id;
        break;
    }
    return true;
}

/* Steps over the answer's head. 0: it is not whole yet; -1: it is no stream. */
static long skip_head(struct sub *sub, const char *p, size_t len)
{
    const char *end = memmem(p, len, "\r\n\r\n", 4);
    char what[64];

    if (end == NULL)
        return 0;
    if (len > 12 && memcmp(p, sub->swarm->ws ? "HTTP/1.1 101" : "HTTP/1.1 200", 12) == 0)
        return end + 4 - p;
    snprintf(what, sizeof(what), "answer: %.*s", (int)strcspn(p, "\r"), p);
    note_trouble(sub->swarm, sub, what);
    return -1;
}

static void keep_carry(struct sub *sub, const char *p, size_t len)
{
    if (len > sub->carry_cap) {
        sub->carry_cap = len < 1024 ? 1024 : (uint32_t)len * 2;
        sub->carry = realloc(sub->carry, sub->carry_cap);
        WEFT_ASSERT(sub->carry != NULL);
    }
    if (len > 0)
        memcpy(sub->carry, p, len);
    sub->carry_len = (uint32_t)len;
}

static void take(struct sub *sub, const char *p, size_t len)
{
    struct swarm *swarm = sub->swarm;
    size_t used = 0;
    long n;

    /* Up to weft.open the head may still lie before the chunks. */
    if (sub->state == SUB_HEAD && len > 0 && p[0] == 'H') {
        n = skip_head(sub, p, len);
        if (n < 0) {
            lose(sub, &swarm->refused, "refused");
            return;
        }
        used = (size_t)n;
        if (n == 0) {
            keep_carry(sub, p, len);
            return;
        }
        if (swarm->ws && !subscribe(sub))
            return;
    }
    n = swarm->ws ? scan_frames(p + used, len - used, event_found, sub)
                  : scan_chunks(p + used, len - used, event_found, sub);
    if (n == SCAN_ENDED && sub->told) {
        swarm->sent_on++;
        swarm_cut(swarm, sub);
        return;
    }
    if (n < 0) {
        lose(sub, &swarm->cuts, n == SCAN_ENDED ? "the stream was ended" : "the stream is broken");
        return;
    }
    used += (size_t)n;
    if (len - used > CARRY_MAX)
        lose(sub, &swarm->cuts, "a chunk is too long");
    else
        keep_carry(sub, p + used, len - used);
}

static void sub_ready(struct io *io, uint32_t events)
{
    struct sub *sub = (struct sub *)io; /* its first member */
    struct swarm *swarm = sub->swarm;
    char *at = swarm->buffer + sub->carry_len;
    ssize_t n;

    if (sub->state == SUB_CLOSED)
        return;
    if (sub->state == SUB_CONNECTING) {
        errno = 0;
        if ((events & (EPOLLERR | EPOLLHUP)) != 0)
            lose(sub, &swarm->failures, "cannot connect");
        else
            request(sub);
        return;
    }
    n = recv(io->fd, at, READ_SIZE, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        lose(sub, &swarm->cuts, n == 0 ? "closed by the server" : strerror(errno));
        return;
    }
    swarm->read_ns = weft_clock_mono_ns();
    swarm->bytes += (uint64_t)n;
    if (sub->carry_len > 0)
        memcpy(swarm->buffer, sub->carry, sub->carry_len);
    take(sub, swarm->buffer, sub->carry_len + (size_t)n);
}

bool swarm_open_all(struct swarm *swarm, uint64_t timeout_ns)
{
    uint64_t until = weft_clock_mono_ns() + timeout_ns;
    uint32_t next = 0;

    while (swarm->open < swarm->n && weft_clock_mono_ns() < until) {
        for (; next < swarm->n && swarm->opening < OPENING_MAX; next++) {
            if (swarm->subs[next].state == SUB_CLOSED)
                swarm_connect(swarm, &swarm->subs[next]);
        }
        if (next == swarm->n && swarm->opening == 0)
            break;
        poller_turn(swarm->poller, 50000000);
    }
    return swarm->open == swarm->n;
}

bool swarm_await(struct swarm *swarm, uint64_t delivered, uint64_t until_ns)
{
    while (swarm->delivered < delivered && weft_clock_mono_ns() < until_ns)
        poller_turn(swarm->poller, 10000000);
    return swarm->delivered >= delivered;
}
