#include "pubs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>

#include "scan.h"

#define HEAD_MAX   1024
#define RESENT_MAX 1000 /* in all: servers that go away in order do not need as many */
#define IN_MAX     (64u << 10)

/* The payload as scan.c expects it, and where its numbers stand. */
static const char EVENT_BEGIN[] =
    "{\"type\":\"bench.event\",\"payload\":{\"n\":\"0000000000\",\"t\":\""
    "0000000000000000000\",\"pad\":\"";
static const char EVENT_END[] = "\"}}";
#define N_OFF       (sizeof("{\"type\":\"bench.event\",\"payload\":{\"n\":\"") - 1)
#define T_OFF       (N_OFF + SCAN_N_DIGITS + sizeof("\",\"t\":\"") - 1)
#define PAYLOAD_OFF (sizeof("{\"type\":\"bench.event\",\"payload\":") - 1)

static void pub_ready(struct io *io, uint32_t events);

static const struct server *server_of(const struct pub *pub)
{
    return &pub->pubs->servers[pub->server];
}

static void fail(struct pubs *pubs, const char *what, const char *more, size_t more_len)
{
    pubs->failed = true;
    if (pubs->trouble[0] == '\0')
        snprintf(pubs->trouble, sizeof(pubs->trouble), "publish: %s%.*s", what,
                 (int)(more_len < 300 ? more_len : 300), more);
}

static void fail_errno(struct pubs *pubs)
{
    const char *text = strerror(errno);

    fail(pubs, "", text, strlen(text));
}

static void make_event(struct pubs *pubs)
{
    size_t begin = sizeof(EVENT_BEGIN) - 1, end = sizeof(EVENT_END) - 1;
    size_t bare = begin + end - 1 -
                  PAYLOAD_OFF; /* a payload without padding; the last brace is the event's */
    size_t pad = pubs->payload_bytes > bare ? pubs->payload_bytes - bare : 0;

    pubs->event_len = begin + pad + end;
    pubs->event = malloc(pubs->event_len);
    WEFT_ASSERT(pubs->event != NULL);
    memcpy(pubs->event, EVENT_BEGIN, begin);
    memset(pubs->event + begin, 'x', pad);
    memcpy(pubs->event + begin + pad, EVENT_END, end);
}

/* Waits for the connections, so that connecting is not part of what is measured. */
static bool await_connected(struct pubs *pubs)
{
    uint64_t until = weft_clock_mono_ns() + 5000000000;

    for (uint32_t i = 0; i < pubs->connections; i++) {
        struct pub *pub = &pubs->pubs[i];

        while (pub->busy && !pubs->failed) {
            if (weft_clock_mono_ns() > until)
                fail(pubs, "cannot connect in time", "", 0);
            poller_turn(pubs->poller, 10000000);
        }
    }
    return !pubs->failed;
}

/* pub->busy until it is connected. */
static bool begin_connect(struct pub *pub)
{
    struct pubs *pubs = pub->pubs;
    uint32_t i = (uint32_t)(pub - pubs->pubs);

    pub->io = (struct io){.fd = server_connect(server_of(pub), i), .ready = pub_ready};
    if (pub->io.fd < 0) {
        fail_errno(pubs);
        return false;
    }
    pub->busy = true;
    pub->out_len = 0;
    poller_add(pubs->poller, &pub->io, EPOLLOUT);
    return true;
}

bool pubs_init(struct pubs *pubs)
{
    make_event(pubs);
    pubs->limit = pubs->record->n;
    pubs->pubs = calloc(pubs->connections, sizeof(*pubs->pubs));
    WEFT_ASSERT(pubs->pubs != NULL);
    for (uint32_t i = 0; i < pubs->connections; i++)
        pubs->pubs[i].io.fd = -1;
    for (uint32_t i = 0; i < pubs->connections; i++) {
        struct pub *pub = &pubs->pubs[i];

        pub->pubs = pubs;
        pub->server = i % pubs->n_servers;
        pub->out = malloc(HEAD_MAX + (pubs->event_len + 1) * pubs->record->batch + 2);
        pub->in = malloc(IN_MAX);
        WEFT_ASSERT(pub->out != NULL && pub->in != NULL);
        if (!begin_connect(pub))
            return false;
    }
    return await_connected(pubs);
}

void pubs_fini(struct pubs *pubs)
{
    for (uint32_t i = 0; pubs->pubs != NULL && i < pubs->connections; i++) {
        if (pubs->pubs[i].io.fd >= 0)
            close(pubs->pubs[i].io.fd);
        free(pubs->pubs[i].out);
        free(pubs->pubs[i].in);
    }
    free(pubs->pubs);
    free(pubs->event);
    pubs->pubs = NULL;
    pubs->event = NULL;
}

static void put_digits(char *out, uint64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* When the rate wants event n to be sent. */
static uint64_t due_ns(const struct pubs *pubs, uint32_t n)
{
    return pubs->begin_ns + n / pubs->rate * 1000000000 + n % pubs->rate * 1000000000 / pubs->rate;
}

static void make_request(struct pub *pub)
{
    struct pubs *pubs = pub->pubs;
    bool array = pubs->record->batch > 1;
    size_t body = (pubs->event_len + 1) * pub->n - 1 + (array ? 2 : 0);
    struct weft_buf topic;
    char key[64] = "";
    char *at;
    int head;

    if (pubs->moves)
        snprintf(key, sizeof(key), "Idempotency-Key: %s-%u\r\n", pubs->record->run, pub->first);
    weft_buf_init(&topic, 256);
    record_topic(pubs->record, record_topic_of(pubs->record, pub->first), &topic);
    head = snprintf(pub->out, HEAD_MAX,
                    "POST /api/topics/%s/events HTTP/1.1\r\nHost: %s\r\n%s"
                    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                    topic.data, server_of(pub)->authority, key, body);
    weft_buf_fini(&topic);
    WEFT_ASSERT(head > 0 && head < HEAD_MAX);

    at = pub->out + head;
    /*
     * With a rate it counts from when it was due: who sent something at that pace would have waited since then, also while
     * every connection waited for a server that stood still.
     */
    pub->sent_ns = pubs->rate > 0 ? due_ns(pubs, pub->first) : weft_clock_mono_ns();
    if (array)
        *at++ = '[';
    for (uint32_t i = 0; i < pub->n; i++) {
        if (i > 0)
            *at++ = ',';
        memcpy(at, pubs->event, pubs->event_len);
        put_digits(at + N_OFF, pub->first + i, SCAN_N_DIGITS);
        put_digits(at + T_OFF, pub->sent_ns, SCAN_T_DIGITS);
        at += pubs->event_len;
    }
    if (array)
        *at++ = ']';
    pub->out_len = (size_t)(at - pub->out);
    pub->out_sent = 0;
    pub->in_len = 0;
}

/* The server is gone, or this connection: the next one, and there once more what was not answered. */
static void move_on(struct pub *pub)
{
    struct pubs *pubs = pub->pubs;

    if (pub->n > 0 && ++pubs->resent > RESENT_MAX) {
        fail(pubs, "requests were lost again and again", "", 0);
        return;
    }
    close(pub->io.fd);
    pub->server = (pub->server + 1) % pubs->n_servers;
    begin_connect(pub);
}

static void flush(struct pub *pub)
{
    while (pub->out_sent < pub->out_len) {
        ssize_t n =
            send(pub->io.fd, pub->out + pub->out_sent, pub->out_len - pub->out_sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            poller_change(pub->pubs->poller, &pub->io, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            if (pub->pubs->moves)
                move_on(pub);
            else
                fail_errno(pub->pubs);
            return;
        }
        pub->out_sent += (size_t)n;
    }
}

/* Events that the rate has allowed so far. */
static uint64_t allowance(const struct pubs *pubs, uint64_t now)
{
    uint64_t past = now - pubs->begin_ns;

    if (pubs->rate == 0)
        return UINT64_MAX;
    /* Seconds and the rest apart: the product of a long run would not fit. */
    return past / 1000000000 * pubs->rate + past % 1000000000 * pubs->rate / 1000000000 +
           pubs->record->batch;
}

void pubs_pump(struct pubs *pubs)
{
    uint64_t allowed;

    if (pubs->failed || pubs->idle == NULL || pubs->next >= pubs->limit)
        return;
    if (pubs->begin_ns == 0)
        pubs->begin_ns = weft_clock_mono_ns();
    allowed = pubs->rate > 0 ? allowance(pubs, weft_clock_mono_ns()) : UINT64_MAX;
    while (pubs->idle != NULL && pubs->next < pubs->limit && !pubs->failed) {
        struct pub *pub = pubs->idle;
        uint32_t left = pubs->record->n - pubs->next;
        uint32_t n = left < pubs->record->batch ? left : pubs->record->batch;

        if (pubs->next + n > allowed)
            return;
        pubs->idle = pub->next_idle;
        pub->busy = true;
        pub->first = pubs->next;
        pub->n = n;
        pubs->next += n;
        make_request(pub);
        flush(pub);
    }
}

uint64_t pubs_wait_ns(const struct pubs *pubs, uint64_t most_ns)
{
    uint64_t due, now;

    if (pubs->rate == 0 || pubs->begin_ns == 0 || pubs->idle == NULL || pubs->next >= pubs->limit)
        return most_ns;
    due = due_ns(pubs, pubs->next);
    now = weft_clock_mono_ns();
    if (due <= now)
        return 0;
    return due - now < most_ns ? due - now : most_ns;
}

/* `"<ms>-<seq>"` for each event, in order. False: there are more or fewer, or something else. */
static bool take_ids(struct pub *pub, const char *p, const char *end)
{
    uint32_t i = 0;

    p = memchr(p, '[', (size_t)(end - p));
    while (p != NULL && i < pub->n) {
        const char *dash;
        uint64_t seq = 0;

        p = memchr(p, '"', (size_t)(end - p));
        dash = p != NULL ? memchr(p, '-', (size_t)(end - p)) : NULL;
        if (dash == NULL)
            return false;
        for (p = dash + 1; p < end && *p >= '0' && *p <= '9'; p++)
            seq = seq * 10 + (uint64_t)(*p - '0');
        if (p == end || *p != '"' || seq == 0)
            return false;
        pub->pubs->record->seqs[pub->first + i++] = seq;
        p++;
    }
    return p != NULL && p < end && *p == ']';
}

/* Whether the answer is whole; *ret_body and *ret_end are its body then. */
static bool answer_is_whole(const struct pub *pub, const char **ret_body, const char **ret_end)
{
    static const char name[] = "content-length:";
    const char *head_end = memmem(pub->in, pub->in_len, "\r\n\r\n", 4);
    const char *at = pub->in;
    size_t length = 0;

    if (head_end == NULL)
        return false;
    do {
        at = memchr(at, '\n', (size_t)(head_end - at));
        if (at == NULL) {
            fail(pub->pubs, "an answer without Content-Length: ", pub->in, pub->in_len);
            return false;
        }
        at++;
    } while (strncasecmp(at, name, sizeof(name) - 1) != 0);
    for (at += sizeof(name) - 1; at < head_end && *at != '\r'; at++) {
        if (*at >= '0' && *at <= '9')
            length = length * 10 + (size_t)(*at - '0');
    }
    *ret_body = head_end + 4;
    *ret_end = *ret_body + length;
    return (size_t)(*ret_end - pub->in) <= pub->in_len;
}

static void answer_arrived(struct pub *pub, const char *body, const char *end)
{
    struct pubs *pubs = pub->pubs;

    if (pub->in_len < 12 || memcmp(pub->in, "HTTP/1.1 201", 12) != 0) {
        fail(pubs, "not 201 but ", pub->in, pub->in_len);
        return;
    }
    if (!take_ids(pub, body, end)) {
        fail(pubs, "not the ids of all events: ", body, (size_t)(end - body));
        return;
    }
    pubs->acked += pub->n;
    pubs->end_ns = weft_clock_mono_ns();
    if (pubs->latency != NULL)
        hist_add(pubs->latency, pubs->end_ns - pub->sent_ns);
    pub->n = 0;
    pub->busy = false;
    pub->next_idle = pubs->idle;
    pubs->idle = pub;
    /* At full speed the next request need not wait for the end of the turn. */
    if (pubs->rate == 0)
        pubs_pump(pubs);
}

static void writable(struct pub *pub, uint32_t events)
{
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        if (pub->pubs->moves)
            move_on(pub);
        else
            fail(pub->pubs, "cannot connect", "", 0);
        return;
    }
    poller_change(pub->pubs->poller, &pub->io, EPOLLIN);
    if (pub->out_len == 0 && pub->n > 0) { /* a new connection, for an old request */
        make_request(pub);
        flush(pub);
    } else if (pub->out_len == 0) { /* it was the connection that was waited for */
        pub->busy = false;
        pub->next_idle = pub->pubs->idle;
        pub->pubs->idle = pub;
    } else {
        flush(pub);
    }
}

/* A connection without a request may be closed by the server at any time. */
static void connect_again(struct pub *pub)
{
    struct pub **link = &pub->pubs->idle;

    while (*link != pub)
        link = &(*link)->next_idle;
    *link = pub->next_idle;
    if (pub->pubs->moves) {
        move_on(pub);
    } else {
        close(pub->io.fd);
        begin_connect(pub);
    }
}

static void pub_ready(struct io *io, uint32_t events)
{
    struct pub *pub = (struct pub *)io; /* its first member */
    struct pubs *pubs = pub->pubs;
    const char *body, *end;
    int fd = io->fd;
    ssize_t n;

    if ((events & EPOLLOUT) != 0)
        writable(pub, events);
    if ((events & ~(uint32_t)EPOLLOUT) == 0 || pubs->failed || io->fd != fd)
        return;
    n = recv(io->fd, pub->in + pub->in_len, IN_MAX - pub->in_len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        if (!pub->busy)
            connect_again(pub);
        else if (pubs->moves)
            move_on(pub);
        else if (n == 0)
            fail(pubs, "closed by the server", "", 0);
        else
            fail_errno(pubs);
        return;
    }
    pub->in_len += (size_t)n;
    if (answer_is_whole(pub, &body, &end))
        answer_arrived(pub, body, end);
    else if (pub->in_len == IN_MAX)
        fail(pubs, "the answer is too long", "", 0);
}

bool pubs_run(struct pubs *pubs, uint64_t until_ns)
{
    while (!pubs_are_done(pubs) && weft_clock_mono_ns() < until_ns) {
        pubs_pump(pubs);
        poller_turn(pubs->poller, pubs_wait_ns(pubs, 10000000));
    }
    return pubs->acked == pubs->record->n;
}
