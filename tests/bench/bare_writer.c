/*
 * bare_writer - the yardstick: the least that a program can do to bring events from POST to SSE.
 *
 * One thread, one epoll loop, no Redis, no durability, no checks. It takes the requests of
 * weft-bench, and only those, keeps every topic as one run of the very bytes that a subscriber
 * gets, and writes them:
 *   --mode single    one write(2) for each event and subscriber
 *   --mode coalesce  one write(2) for each subscriber and turn of the loop, with all that is
 * pending so weft-bench measures it and weftd with the same client, connections, bytes and pace.
 * What weftd costs more than this is what weft costs; what both cost is the kernel.
 *
 *   POST /api/topics/{topic}/events   the events of the body; 201 with their ids
 *   GET  /api/events?topic=T[&since=earliest]   the stream; Last-Event-ID is understood
 *   GET  /stats, /readyz              its own CPU time, writes and deliveries
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TOPICS_MAX   16384 /* a power of two; half of it may be used */
#define NAME_MAX_LEN 200
#define TURN_EVENTS  512
#define REQUEST_MAX  (4u << 20)
#define LOG_FORGET   (64u << 20) /* a log that everybody has read is emptied when it is larger */
#define LOG_MAX      (2048ul << 20)

static const char STREAM_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Cache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n";

/* All events of a topic, formatted. Event i is bytes[ends[i - 1]..ends[i]). */
struct topic {
    char name[NAME_MAX_LEN + 1];
    char *bytes;
    size_t len, cap;
    size_t *ends;
    uint64_t *seqs;
    size_t n, n_cap;
    struct conn **subs;
    size_t n_subs, subs_cap;
    bool dirty; /* has events that this turn has not written yet */
};

struct conn {
    int fd;
    char *in;
    size_t in_len, in_cap;
    struct topic *topic; /* NULL: not a stream */
    size_t sub_index;
    size_t off;  /* into topic->bytes */
    size_t next; /* the event that off is in, or before */
    bool full;   /* the socket takes no more; waits for EPOLLOUT */
};

static struct {
    int epoll_fd;
    int listen_fd;
    bool coalesce;
    uint64_t seq;
    uint64_t deliveries; /* events whose last byte was written to a subscriber */
    uint64_t writes;
    uint64_t events;
    struct topic *table[TOPICS_MAX];
    struct topic *dirty[TOPICS_MAX];
    size_t n_topics, n_dirty;
} w;

static volatile sig_atomic_t stopping;

static void stop_asked(int signo)
{
    (void)signo;
    stopping = 1;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "weft-bare-writer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *grow(void *p, size_t *cap, size_t need, size_t size)
{
    size_t n = *cap > 0 ? *cap : 64;

    if (need <= *cap)
        return p;
    while (n < need)
        n *= 2;
    p = realloc(p, n * size);
    if (p == NULL || n * size > LOG_MAX)
        die("memory");
    *cap = n;
    return p;
}

static struct topic *topic_of(const char *name, size_t len)
{
    uint64_t hash = 14695981039346656037u;
    size_t i;

    if (len > NAME_MAX_LEN)
        return NULL;
    for (i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)name[i]) * 1099511628211u;
    for (i = hash % TOPICS_MAX; w.table[i] != NULL; i = (i + 1) % TOPICS_MAX) {
        if (strncmp(w.table[i]->name, name, len) == 0 && w.table[i]->name[len] == '\0')
            return w.table[i];
    }
    if (++w.n_topics > TOPICS_MAX / 2)
        die("too many topics");
    w.table[i] = calloc(1, sizeof(struct topic));
    if (w.table[i] == NULL)
        die("memory");
    memcpy(w.table[i]->name, name, len);
    return w.table[i];
}

static void conn_close(struct conn *conn)
{
    struct topic *topic = conn->topic;

    if (topic != NULL) {
        topic->subs[conn->sub_index] = topic->subs[--topic->n_subs];
        topic->subs[conn->sub_index]->sub_index = conn->sub_index;
    }
    close(conn->fd);
    free(conn->in);
    /* Never freed: the turn's list of ready connections may still name it. Bounded by the run. */
    conn->fd = -1;
    conn->in = NULL;
    conn->topic = NULL;
}

static void wait_for(struct conn *conn, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = conn};

    epoll_ctl(w.epoll_fd, EPOLL_CTL_MOD, conn->fd, &ev);
}

/* Writes what the subscriber lacks, as the mode has it. False: the connection is gone. */
static bool sub_write(struct conn *conn)
{
    struct topic *topic = conn->topic;
    bool was_full = conn->full;

    conn->full = false;
    while (conn->off < topic->len) {
        size_t end = w.coalesce ? topic->len : topic->ends[conn->next];
        ssize_t n = write(conn->fd, topic->bytes + conn->off, end - conn->off);

        w.writes++;
        if (n < 0 && errno == EAGAIN) {
            conn->full = true;
            break;
        }
        if (n < 0) {
            conn_close(conn);
            return false;
        }
        conn->off += (size_t)n;
        for (; conn->next < topic->n && topic->ends[conn->next] <= conn->off; conn->next++)
            w.deliveries++;
    }
    if (conn->full != was_full)
        wait_for(conn, conn->full ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return true;
}

static void topic_write(struct topic *topic)
{
    /* Backwards, because one that is closed is replaced by the last. */
    for (size_t i = topic->n_subs; i-- > 0;) {
        if (!topic->subs[i]->full)
            sub_write(topic->subs[i]);
    }
}

static void forget_if_read(struct topic *topic)
{
    if (topic->len < LOG_FORGET)
        return;
    for (size_t i = 0; i < topic->n_subs; i++) {
        if (topic->subs[i]->off < topic->len)
            return;
    }
    for (size_t i = 0; i < topic->n_subs; i++)
        topic->subs[i]->off = topic->subs[i]->next = 0;
    topic->len = topic->n = 0;
}

static uint64_t wall_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The bytes that weftd would send for this event: one chunk with one SSE event. */
static void append(struct topic *topic, uint64_t ms, const char *payload, size_t payload_len)
{
    size_t ends_cap = topic->n_cap; /* both tables grow alike */
    char *out;
    int n;

    topic->bytes = grow(topic->bytes, &topic->cap, topic->len + payload_len + 1024, 1);
    topic->ends = grow(topic->ends, &ends_cap, topic->n + 1, sizeof(size_t));
    topic->seqs = grow(topic->seqs, &topic->n_cap, topic->n + 1, sizeof(uint64_t));
    out = topic->bytes + topic->len;
    w.seq++;
    w.events++;
    n = snprintf(out + 8, payload_len + 1000,
                 "event: bench.event\nid: %llu-%llu\ndata: {\"id\":\"%llu-%llu\",\"topic\":\"%s\","
                 "\"type\":\"bench.event\",\"ts\":%llu,\"payload\":%.*s,\"node\":\"a\"}\n\n\r\n",
                 (unsigned long long)ms, (unsigned long long)w.seq, (unsigned long long)ms,
                 (unsigned long long)w.seq, topic->name, (unsigned long long)ms, (int)payload_len,
                 payload);
    snprintf(out, 8, "%06x\r", (unsigned)(n - 2));
    out[7] = '\n';
    topic->len += (size_t)n + 8;
    topic->ends[topic->n] = topic->len;
    topic->seqs[topic->n] = w.seq;
    topic->n++;
}

static void answer(struct conn *conn, const char *status, const char *body, size_t len)
{
    static char out[262144];
    int n = snprintf(out, sizeof(out),
                     "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
                     "%.*s",
                     status, len, (int)len, body);

    /* weft-bench has one request under way on a connection, so the socket has room. */
    if (n < 0 || (size_t)n >= sizeof(out) || write(conn->fd, out, (size_t)n) != n)
        conn_close(conn);
}

/* The body's events: weft-bench's payloads are flat objects without braces in strings. */
static void publish(struct conn *conn, struct topic *topic, const char *body, size_t len)
{
    static char ids[131072];
    static const char mark[] = "\"payload\":";
    const char *end = body + len;
    uint64_t ms = wall_ms();
    size_t ids_len = (size_t)snprintf(ids, sizeof(ids), "{\"ids\":[");

    forget_if_read(topic);
    for (;;) {
        const char *payload = memmem(body, (size_t)(end - body), mark, sizeof(mark) - 1);
        const char *close;

        if (payload == NULL || ids_len > sizeof(ids) - 64)
            break;
        payload += sizeof(mark) - 1;
        close = memchr(payload, '}', (size_t)(end - payload));
        if (close == NULL)
            break;
        append(topic, ms, payload, (size_t)(close - payload) + 1);
        ids_len += (size_t)snprintf(ids + ids_len, 64, "\"%llu-%llu\",", (unsigned long long)ms,
                                    (unsigned long long)w.seq);
        body = close;
    }
    ids_len -= ids[ids_len - 1] == ',';
    ids_len += (size_t)snprintf(ids + ids_len, 8, "]}");
    answer(conn, "201 Created", ids, ids_len);
    if (!w.coalesce) {
        topic_write(topic);
    } else if (!topic->dirty) {
        topic->dirty = true;
        w.dirty[w.n_dirty++] = topic;
    }
}

/* Where a stream begins: behind last_seq, at the beginning, or with what comes. */
static void subscribe(struct conn *conn, struct topic *topic, bool earliest, uint64_t last_seq)
{
    uint64_t seq = w.seq;
    char open[512], head[1024];
    int n;

    conn->next = earliest ? 0 : topic->n;
    if (last_seq > 0) {
        seq = last_seq;
        while (conn->next > 0 && topic->seqs[conn->next - 1] > last_seq)
            conn->next--;
    } else if (earliest) {
        seq = topic->n > 0 ? topic->seqs[0] - 1 : w.seq;
    }
    conn->off = conn->next > 0 ? topic->ends[conn->next - 1] : 0;

    n = snprintf(open, sizeof(open),
                 "retry: 1000\n\nevent: weft.open\nid: %llu-%llu\n"
                 "data: {\"stream\":\"0\",\"node\":\"a\",\"heartbeat_ms\":15000}\n\n",
                 (unsigned long long)wall_ms(), (unsigned long long)seq);
    n = snprintf(head, sizeof(head), "%s%06x\r\n%.*s\r\n", STREAM_HEAD, (unsigned)n, n, open);
    if (write(conn->fd, head, (size_t)n) != n) {
        conn_close(conn);
        return;
    }
    topic->subs = grow(topic->subs, &topic->subs_cap, topic->n_subs + 1, sizeof(struct conn *));
    conn->topic = topic;
    conn->sub_index = topic->n_subs;
    topic->subs[topic->n_subs++] = conn;
    free(conn->in);
    conn->in = NULL;
    conn->in_len = conn->in_cap = 0;
    sub_write(conn);
}

static void stats(struct conn *conn)
{
    struct timespec cpu;
    char body[512];
    uint64_t cpu_ns;
    int n;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    cpu_ns = (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec;
    n = snprintf(body, sizeof(body),
                 "{\"mode\":\"%s\",\"events\":%llu,\"deliveries\":%llu,\"writes\":%llu,"
                 "\"cpu_ns\":%llu,\"cpu_ns_per_delivery\":%llu}\n",
                 w.coalesce ? "coalesce" : "single", (unsigned long long)w.events,
                 (unsigned long long)w.deliveries, (unsigned long long)w.writes,
                 (unsigned long long)cpu_ns,
                 (unsigned long long)(w.deliveries > 0 ? cpu_ns / w.deliveries : 0));
    answer(conn, "200 OK", body, (size_t)n);
}

static uint64_t header_number(const char *head, const char *name, char after)
{
    const char *at = strcasestr(head, name);

    if (at == NULL)
        return 0;
    at += strlen(name);
    if (after != '\0')
        at = strchr(at, after);
    return at != NULL ? strtoull(at + (after != '\0'), NULL, 10) : 0;
}

/* One whole request: its head, NUL-terminated, and its body. */
static void request(struct conn *conn, char *head, const char *body, size_t body_len)
{
    static const char post[] = "POST /api/topics/", get[] = "GET /api/events?topic=";

    if (strncmp(head, post, sizeof(post) - 1) == 0) {
        const char *name = head + sizeof(post) - 1;
        struct topic *topic = topic_of(name, strcspn(name, "/ "));

        if (topic != NULL)
            publish(conn, topic, body, body_len);
    } else if (strncmp(head, get, sizeof(get) - 1) == 0) {
        const char *name = head + sizeof(get) - 1;
        struct topic *topic = topic_of(name, strcspn(name, "& "));
        bool earliest = strstr(head, "since=earliest") != NULL;

        if (topic != NULL)
            subscribe(conn, topic, earliest, header_number(head, "\nLast-Event-ID:", '-'));
    } else if (strncmp(head, "GET /stats ", 11) == 0 || strncmp(head, "GET /readyz ", 12) == 0) {
        stats(conn);
    } else {
        answer(conn, "404 Not Found", "{}", 2);
    }
}

static void conn_read(struct conn *conn)
{
    char *end;
    size_t head_len, body_len;
    ssize_t n;

    if (conn->topic != NULL) {
        char byte;

        n = read(conn->fd, &byte, 1);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            conn_close(conn);
        return;
    }
    conn->in = grow(conn->in, &conn->in_cap, conn->in_len + 4096, 1);
    n = read(conn->fd, conn->in + conn->in_len, conn->in_cap - conn->in_len - 1);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            conn_close(conn);
        return;
    }
    conn->in_len += (size_t)n;
    conn->in[conn->in_len] = '\0';
    end = memmem(conn->in, conn->in_len, "\r\n\r\n", 4);
    if (end == NULL || conn->in_len > REQUEST_MAX) {
        if (conn->in_len > REQUEST_MAX)
            conn_close(conn);
        return;
    }
    *end = '\0';
    head_len = (size_t)(end - conn->in) + 4;
    body_len = header_number(conn->in, "\nContent-Length:", '\0');
    if (conn->in_len < head_len + body_len) {
        *end = '\r';
        return;
    }
    conn->in_len = 0;
    request(conn, conn->in, conn->in + head_len, body_len);
}

static void accept_all(void)
{
    for (;;) {
        int fd = accept4(w.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct epoll_event ev = {.events = EPOLLIN};
        struct conn *conn;

        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        conn = calloc(1, sizeof(*conn));
        if (conn == NULL)
            die("memory");
        conn->fd = fd;
        ev.data.ptr = conn;
        epoll_ctl(w.epoll_fd, EPOLL_CTL_ADD, fd, &ev);
    }
}

static void turn(void)
{
    struct epoll_event ready[TURN_EVENTS];
    int n = epoll_wait(w.epoll_fd, ready, TURN_EVENTS, -1);

    for (int i = 0; i < n; i++) {
        struct conn *conn = ready[i].data.ptr;

        if (conn == NULL) {
            accept_all();
            continue;
        }
        if (conn->fd >= 0 && (ready[i].events & EPOLLOUT) != 0 && conn->topic != NULL)
            sub_write(conn);
        if (conn->fd >= 0 && (ready[i].events & ~(uint32_t)EPOLLOUT) != 0)
            conn_read(conn);
    }
    for (size_t i = 0; i < w.n_dirty; i++) {
        w.dirty[i]->dirty = false;
        topic_write(w.dirty[i]);
    }
    w.n_dirty = 0;
}

static uint16_t listen_on(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(addr);
    struct epoll_event ev = {.events = EPOLLIN};

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    w.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    w.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(w.listen_fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (w.epoll_fd < 0 || bind(w.listen_fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        listen(w.listen_fd, 4096) != 0 ||
        getsockname(w.listen_fd, (struct sockaddr *)&addr, &len) != 0 ||
        epoll_ctl(w.epoll_fd, EPOLL_CTL_ADD, w.listen_fd, &ev) != 0)
        die("listen");
    return ntohs(addr.sin_port);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    unsigned long port = 0;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--port") == 0)
            port = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--mode") == 0)
            w.coalesce = strcmp(argv[i + 1], "coalesce") == 0;
    }
    if (argc % 2 == 0 || port > 65535) {
        fputs("usage: weft-bare-writer [--port N] [--mode single|coalesce]\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop_asked}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = stop_asked}, NULL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    /* The same line as weftd's, so that the same eyes find the port. */
    printf("{\"event\":\"node.listening\",\"address\":\"127.0.0.1:%u\"}\n",
           listen_on((uint16_t)port));
    fflush(stdout);
    while (!stopping)
        turn();
    return 0;
}
