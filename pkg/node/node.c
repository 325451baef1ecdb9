#include <weft/node/node.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/fabric/canary.h>
#include <weft/fabric/hub.h>
#include <weft/http/worker.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#define BACKLOG 4096

struct weft_node {
    const struct weft_config *cfg;
    struct weft_log *log;
    char id[65];
    char address[300];
    atomic_uint connections;
    struct weft_canaries canaries;
    struct weft_metrics *metrics; /* shard 0: hub; 1..: workers */
    uint32_t n_workers;
    struct weft_worker *workers[WEFT_WORKERS_MAX];
    struct weft_mailbox *mailboxes[WEFT_WORKERS_MAX];
    struct weft_hub *hub;
};

void weft_node_make_id(const char *configured, char *out)
{
    char host[40] = "node";
    int n;

    if (configured[0] != '\0') {
        (void)snprintf(out, 65, "%s", configured);
        return;
    }
    (void)gethostname(host, sizeof(host) - 1);
    for (char *c = host; *c != '\0'; c++) {
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", *c) ==
            NULL) {
            *c = '-';
        }
    }
    n = snprintf(out, 65, "%s-%ld", host, (long)getpid());
    WEFT_ASSERT(n > 0 && n < 65);
}

static void raise_descriptors(void)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
        rl.rlim_cur = rl.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &rl);
    }
}

/* One listening socket; port 0 is replaced by the one that the system chose, so that the next ones share it. */
static int listen_on(const char *host, uint16_t *port, struct weft_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {.v6 = {0}};
    socklen_t bound_len = sizeof(bound);
    char service[8];
    int one = 1;
    int fd = -1;
    int rc;

    (void)snprintf(service, sizeof(service), "%u", (unsigned)*port);
    rc = getaddrinfo(host[0] == '\0' ? NULL : host, service, &hints, &found);
    if (rc != 0) {
        return weft_err_set(err, WEFT_EINVAL, "http.listen", "%s: %s", host, gai_strerror(rc));
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &bound.any, &bound_len) != 0) {
        rc = weft_err_set(err, WEFT_ESYS, "http.listen", "cannot listen on %s:%s: %s", host,
                          service, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        freeaddrinfo(found);
        return rc;
    }
    *port = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
    freeaddrinfo(found);
    return fd;
}

/*
 * SO_REUSEPORT lets the workers share the port, and would as well let a second node of the same user slip in beside
 * us: a plain bind finds out whether the port is free.
 */
static int check_port_free(const char *host, uint16_t port, struct weft_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char service[8];
    int one = 1;
    int rc = 0;

    (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
    if (port == 0 || getaddrinfo(host[0] == '\0' ? NULL : host, service, &hints, &found) != 0) {
        return 0; /* listen_on() tells */
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, found->ai_addr, found->ai_addrlen) != 0) {
            rc = weft_err_set(err, WEFT_ESYS, "http.listen", "cannot listen on %s:%s: %s", host,
                              service, strerror(errno));
        }
        (void)close(fd);
    }
    freeaddrinfo(found);
    return rc;
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    ssize_t n = getrandom(&seed, sizeof(seed), 0);

    (void)n;
    return seed;
}

static int create_workers(struct weft_node *node, struct weft_err *err)
{
    char host[256];
    uint16_t port;
    int rc = weft_config_split_listen(node->cfg->http.listen, host, sizeof(host), &port);

    if (rc != 0) {
        return weft_err_set(err, rc, "http.listen", "it must be HOST:PORT");
    }
    rc = check_port_free(host, port, err);
    for (uint32_t i = 0; i < node->n_workers && rc == 0; i++) {
        int fd = listen_on(host, &port, err);
        struct weft_worker_opts o = {
            .cfg = node->cfg,
            .node_id = node->id,
            .index = i,
            .listen_fd = fd,
            .metrics = node->metrics,
            .shard = weft_metrics_shard(node->metrics, i + 1),
            .log = node->log,
            .connections = &node->connections,
            .canaries = &node->canaries,
            .seed = random_seed(),
        };

        if (fd < 0) {
            return fd;
        }
        rc = weft_worker_create(&node->workers[i], &o);
        if (rc != 0) {
            return weft_err_set(err, rc, "", "a worker cannot start: %s", weft_err_text(rc));
        }
        node->mailboxes[i] = weft_worker_mailbox(node->workers[i]);
    }
    (void)snprintf(node->address, sizeof(node->address),
                   strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
    return rc;
}

int weft_node_create(struct weft_node **ret_node, const struct weft_config *cfg,
                     struct weft_log *log, struct weft_err *err)
{
    struct weft_node *node = calloc(1, sizeof(*node));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int rc;

    if (node == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    raise_descriptors();
    node->cfg = cfg;
    node->log = log;
    node->n_workers = cfg->node.workers != 0 ? cfg->node.workers
                      : cores > 2            ? (uint32_t)cores - 1
                                             : 1;
    if (node->n_workers > WEFT_WORKERS_MAX) {
        node->n_workers = WEFT_WORKERS_MAX;
    }
    node->canaries.n = node->n_workers;
    weft_node_make_id(cfg->node.id, node->id);
    node->metrics = weft_metrics_create(node->n_workers + 1);
    if (node->metrics == NULL) {
        weft_node_destroy(node);
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    weft_metrics_watch_log(node->metrics, log);
    rc = create_workers(node, err);
    if (rc == 0) {
        struct weft_hub_opts o = {
            .cfg = cfg,
            .ops = weft_worker_message_ops(),
            .workers = node->mailboxes,
            .n_workers = node->n_workers,
            .node_id = node->id,
            .canaries = &node->canaries,
            .shard = weft_metrics_shard(node->metrics, 0),
            .log = log,
            .seed = random_seed(),
        };

        rc = weft_hub_create(&node->hub, &o, err);
    }
    if (rc != 0) {
        weft_node_destroy(node);
        return rc;
    }
    *ret_node = node;
    return 0;
}

int weft_node_start(struct weft_node *node, struct weft_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; i < node->n_workers && rc == 0; i++) {
        rc = weft_worker_start(node->workers[i], weft_hub_mailbox(node->hub));
    }
    if (rc == 0) {
        rc = weft_hub_start(node->hub);
    }
    if (rc != 0) {
        return weft_err_set(err, rc, "", "a thread cannot be started");
    }
    weft_log(node->log, WEFT_LOG_INFO, "node.listening", WEFT_S("address", node->address),
             WEFT_U("workers", node->n_workers));
    return 0;
}

const char *weft_node_address(const struct weft_node *node)
{
    return node->address;
}

bool weft_node_is_ready(const struct weft_node *node)
{
    return weft_canaries_age_ms(&node->canaries, weft_clock_mono_ns()) <=
           node->cfg->canary.max_age_ms;
}

void weft_node_stop(struct weft_node *node)
{
    /* Workers first: what they have asked of the hub is still answered. */
    for (uint32_t i = 0; i < node->n_workers; i++) {
        weft_worker_stop(node->workers[i]);
    }
    for (uint32_t i = 0; i < node->n_workers; i++) {
        weft_worker_join(node->workers[i]);
    }
    weft_hub_stop(node->hub);
    weft_log(node->log, WEFT_LOG_INFO, "node.stopped", WEFT_S("address", node->address));
}

void weft_node_destroy(struct weft_node *node)
{
    if (node == NULL) {
        return;
    }
    weft_hub_destroy(node->hub);
    for (uint32_t i = 0; i < node->n_workers; i++) {
        weft_worker_destroy(node->workers[i]);
    }
    weft_metrics_destroy(node->metrics);
    free(node);
}
