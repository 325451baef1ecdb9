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

#include <weft/auth/keychain.h>
#include <weft/auth/revoked.h>
#include <weft/base/assert.h>
#include <weft/base/clock.h>
#include <weft/config/config.h>
#include <weft/fabric/canary.h>
#include <weft/fabric/hub.h>
#include <weft/http/board.h>
#include <weft/http/edge.h>
#include <weft/http/pace.h>
#include <weft/http/worker.h>
#include <weft/service/services.h>
#include <weft/telemetry/labels.h>
#include <weft/telemetry/log.h>
#include <weft/telemetry/metrics.h>

#include "control_priv.h"
#include "keys_priv.h"
#include "tls_priv.h"

#define BACKLOG         4096
#define BRIEF_PERIOD_MS 1000
/* A worker begins its drain within a tick, and the last one moved has to get its bytes. */
#define SLACK_MS 200
/* Services that have metrics of their own in /metrics; the others are one, `other`. */
#define SERVICES_SHOWN 100

struct weft_node {
    const struct weft_config *cfg;
    struct weft_log *log;
    char id[65];
    char address[300];
    atomic_uint connections;
    struct weft_canaries canaries;
    struct weft_board *board;
    struct weft_edge *edge;
    struct weft_keychain *keychain; /* the main thread renews it */
    struct weft_revoked *revoked;   /* control keeps it */
    struct weft_metrics
        *metrics; /* shard 0: hub; 1..: workers; then control, the access log, and main */
    struct weft_shard *shard;  /* main's */
    struct weft_node_tls *tls; /* NULL: the listener speaks in the clear */
    uint32_t n_workers;
    struct weft_worker *workers[WEFT_WORKERS_MAX];
    struct weft_mailbox *mailboxes[WEFT_WORKERS_MAX];
    struct weft_hub *hub;
    struct weft_control *control;
    struct weft_labels *labels; /* metrics of services */
    struct weft_services_opts services;

    /* The drain: when it was asked for, when the moves began, until when they last. 0: not yet. */
    uint64_t leave_ms, drain_ms, drain_end_ms;
    bool brief;
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

/* As many as the process may have. Returns how many; ret_before: how many it was started with, 0: nobody knows. */
static uint64_t raise_descriptors(uint64_t *ret_before)
{
    struct rlimit rl;

    *ret_before = 0;
    if (getrlimit(RLIMIT_NOFILE, &rl) != 0) {
        return UINT64_MAX;
    }
    *ret_before = rl.rlim_cur;
    if (rl.rlim_cur < rl.rlim_max) {
        rl.rlim_cur = rl.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &rl) != 0) {
            return *ret_before;
        }
    }
    return rl.rlim_cur;
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

/* How busy it is. Any thread. */
static void load_of(const void *ctx, struct weft_node_load *ret_load)
{
    const struct weft_node *node = ctx;
    struct rusage usage = {0};
    int64_t subscribers = weft_metrics_gauge(node->metrics, WEFT_G_SUBSCRIBERS);

    (void)getrusage(RUSAGE_SELF, &usage);
    ret_load->connections = atomic_load(&node->connections);
    ret_load->subscribers = subscribers > 0 ? (uint64_t)subscribers : 0;
    ret_load->deliveries = weft_metrics_counter(node->metrics, WEFT_M_DELIVERIES);
    ret_load->cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    ret_load->resident_bytes = weft_process_resident_bytes();
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
            .n_workers = node->n_workers,
            .listen_fd = fd,
            .metrics = node->metrics,
            .labels = node->labels,
            .shard = weft_metrics_shard(node->metrics, i + 1),
            .log = node->log,
            .connections = &node->connections,
            .canaries = &node->canaries,
            .board = node->board,
            .edge = node->edge,
            .keychain = node->keychain,
            .revoked = node->revoked,
            .tls = weft_node_tls_current(node->tls),
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

static void log_keys(struct weft_node *node)
{
    struct weft_keyring *keys = weft_keychain_get(node->keychain);

    if (keys != NULL) {
        weft_log(node->log, WEFT_LOG_INFO, "keys.loaded", WEFT_U("keys", weft_keyring_count(keys)),
                 WEFT_U("skipped", weft_keyring_skipped(keys)));
    }
    weft_keyring_unref(keys);
}

/* At the beginning: without them there is no node. */
static int read_keys(struct weft_node *node, struct weft_err *err)
{
    int rc = weft_node_keys_read(node->keychain, node->cfg, err);

    if (rc == 0 && node->cfg->auth.jwks[0] != '\0') {
        log_keys(node);
    }
    return rc;
}

int weft_node_create(struct weft_node **ret_node, const struct weft_config *cfg,
                     struct weft_log *log, struct weft_err *err)
{
    struct weft_node *node = calloc(1, sizeof(*node));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t descriptors;
    uint64_t started_with;
    int rc;

    if (node == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    descriptors = raise_descriptors(&started_with);
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
    node->metrics = weft_metrics_create(node->n_workers + 4);
    if (node->metrics == NULL || weft_board_create(&node->board, node->n_workers) != 0) {
        weft_node_destroy(node);
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    node->keychain = weft_keychain_create();
    node->revoked = weft_revoked_create(cfg->auth.revoked_max);
    if (node->keychain == NULL || node->revoked == NULL) {
        weft_node_destroy(node);
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    weft_metrics_watch_log(node->metrics, log);
    node->shard = weft_metrics_shard(node->metrics, node->n_workers + 3);
    rc = read_keys(node, err);
    if (rc != 0) {
        weft_node_destroy(node);
        return rc;
    }
    node->labels = weft_labels_create("service", weft_service_columns, weft_service_columns_len,
                                      SERVICES_SHOWN);
    if (node->labels == NULL) {
        weft_node_destroy(node);
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    node->services = (struct weft_services_opts){.guard = &weft_service_guard,
                                                 .labels = node->labels,
                                                 .address = node->address,
                                                 .version = WEFT_VERSION,
                                                 .files = started_with,
                                                 .load_ctx = node,
                                                 .load = load_of};
    /* First: what is wrong with the configuration of Redis is told before there is a listener. */
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
    struct weft_node_tls_opts tls = {
        .cfg = cfg, .shard = node->shard, .log = log, .now_ms = weft_clock_mono_ms()};

    rc = weft_hub_create(&node->hub, &o, err);
    if (rc == 0) {
        rc = weft_edge_create(&node->edge, cfg, descriptors,
                              weft_metrics_shard(node->metrics, node->n_workers + 2), log, err);
    }
    if (rc == 0) {
        rc = weft_node_tls_create(&node->tls, &tls, err);
    }
    if (rc == 0) {
        rc = create_workers(node, err);
    }
    if (rc == 0) {
        struct weft_control_opts control = {
            .cfg = cfg,
            .node_id = node->id,
            .ops = weft_worker_message_ops(),
            .hub = weft_hub_mailbox(node->hub),
            .workers = node->mailboxes,
            .n_workers = node->n_workers,
            .shard = weft_metrics_shard(node->metrics, node->n_workers + 1),
            .log = log,
            .services = &node->services,
            .revoked = node->revoked,
            .seed = random_seed(),
        };

        rc = weft_control_create(&node->control, &control, err);
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
        rc = weft_worker_start(node->workers[i], weft_hub_mailbox(node->hub),
                               weft_control_mailbox(node->control));
    }
    if (rc == 0) {
        rc = weft_hub_start(node->hub);
    }
    if (rc == 0) {
        rc = weft_control_start(node->control);
    }
    if (rc != 0) {
        return weft_err_set(err, rc, "", "a thread cannot be started");
    }
    weft_log(node->log, WEFT_LOG_INFO, "node.listening", WEFT_S("address", node->address),
             WEFT_B("tls", node->tls != NULL), WEFT_U("workers", node->n_workers));
    return 0;
}

static void look_for_keys(struct weft_node *node)
{
    struct weft_err err;

    if (node->cfg->auth.jwks[0] == '\0') {
        return;
    }
    switch (weft_keychain_poll(node->keychain, node->cfg->auth.jwks, &err)) {
    case WEFT_KEYCHAIN_SAME:
        break;
    case WEFT_KEYCHAIN_CHANGED:
        log_keys(node);
        break;
    case WEFT_KEYCHAIN_WRONG:
        /* The keys from before are still good. */
        weft_log(node->log, WEFT_LOG_ERROR, "keys.reload_failed", WEFT_S("field", err.field),
                 WEFT_S("why", err.message));
        break;
    }
}

void weft_node_look(struct weft_node *node)
{
    look_for_keys(node);
    weft_node_tls_tick(node->tls, weft_clock_mono_ms(), node->workers, node->n_workers);
}

const char *weft_node_address(const struct weft_node *node)
{
    return node->address;
}

static void tell_unreloadable(void *arg, const char *name, bool reload)
{
    struct weft_node *node = arg;

    if (!reload) {
        weft_log(node->log, WEFT_LOG_WARN, "config.needs_restart", WEFT_S("field", name));
    }
}

void weft_node_reload(struct weft_node *node, const struct weft_config *fresh)
{
    bool with_tls = fresh->tls.cert[0] != '\0';

    (void)weft_config_diff(node->cfg, fresh, tell_unreloadable, node);
    weft_log_set_level(node->log, (enum weft_log_level)fresh->log.level);
    if (with_tls != (node->tls != NULL)) { /* a listener speaks one of both for its life */
        tell_unreloadable(node, "tls.cert", false);
    } else {
        weft_node_tls_reload(node->tls, fresh, node->workers, node->n_workers);
    }
    weft_count(node->shard, WEFT_M_CONFIG_RELOADS, 1);
    weft_log(node->log, WEFT_LOG_INFO, "config.reloaded", WEFT_S("address", node->address));
}

void weft_node_reload_failed(struct weft_node *node, const struct weft_err *why)
{
    weft_count(node->shard, WEFT_M_CONFIG_RELOADS_FAILED, 1);
    weft_log(node->log, WEFT_LOG_ERROR, "config.reload_failed", WEFT_S("field", why->field),
             WEFT_S("why", why->message));
}

bool weft_node_is_ready(const struct weft_node *node)
{
    return weft_canaries_age_ms(&node->canaries, weft_clock_mono_ns()) <=
           node->cfg->canary.max_age_ms;
}

void weft_node_reopen(struct weft_node *node)
{
    weft_edge_reopen(node->edge);
}

/* One period for all workers, by the streams of the whole node. */
static void begin_moves(struct weft_node *node, uint64_t now_ms)
{
    int64_t gauge = weft_metrics_gauge(node->metrics, WEFT_G_SUBSCRIBERS);
    uint64_t n = gauge > 0 ? (uint64_t)gauge : 0;
    uint32_t period_ms = weft_pace_period_ms(
        n, node->cfg->drain.period_ms, node->cfg->drain.max_per_s, node->cfg->drain.period_max_ms);

    if (node->brief && period_ms > BRIEF_PERIOD_MS) {
        period_ms = BRIEF_PERIOD_MS;
    }
    node->drain_ms = now_ms;
    node->drain_end_ms = now_ms + period_ms + SLACK_MS;
    for (uint32_t i = 0; i < node->n_workers; i++) {
        weft_worker_drain(node->workers[i], period_ms);
    }
    weft_log(node->log, WEFT_LOG_INFO, "node.draining", WEFT_U("subscribers", n),
             WEFT_U("period_ms", period_ms));
}

static uint32_t undrained(const struct weft_node *node)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < node->n_workers; i++) {
        sum += weft_worker_undrained(node->workers[i]);
    }
    return sum;
}

void weft_node_drain(struct weft_node *node, bool brief)
{
    node->leave_ms = weft_clock_mono_ms();
    node->brief = brief;
    for (uint32_t i = 0; i < node->n_workers; i++) {
        weft_worker_leave(node->workers[i]);
    }
    (void)weft_node_is_drained(node);
}

bool weft_node_is_drained(struct weft_node *node)
{
    uint64_t now_ms = weft_clock_mono_ms();

    if (node->drain_ms == 0) {
        if (!node->brief && now_ms - node->leave_ms < node->cfg->drain.grace_ms) {
            return false;
        }
        begin_moves(node, now_ms);
    }
    return now_ms >= node->drain_end_ms || undrained(node) == 0;
}

void weft_node_stop(struct weft_node *node)
{
    if (node->drain_ms != 0) {
        weft_log(node->log, WEFT_LOG_INFO, "node.drained", WEFT_U("left", undrained(node)),
                 WEFT_U("ms", weft_clock_mono_ms() - node->leave_ms));
    }
    /* Workers first: what they have asked of the hub is still answered. */
    for (uint32_t i = 0; i < node->n_workers; i++) {
        weft_worker_stop(node->workers[i]);
    }
    for (uint32_t i = 0; i < node->n_workers; i++) {
        weft_worker_join(node->workers[i]);
    }
    weft_control_stop(node->control);
    weft_hub_stop(node->hub);
    weft_log(node->log, WEFT_LOG_INFO, "node.stopped", WEFT_S("address", node->address));
}

void weft_node_destroy(struct weft_node *node)
{
    if (node == NULL) {
        return;
    }
    weft_control_destroy(node->control);
    weft_hub_destroy(node->hub);
    for (uint32_t i = 0; i < node->n_workers; i++) {
        weft_worker_destroy(node->workers[i]);
    }
    weft_edge_destroy(node->edge);
    weft_node_tls_destroy(node->tls);
    weft_board_destroy(node->board);
    weft_keychain_destroy(node->keychain);
    weft_revoked_destroy(node->revoked);
    weft_labels_destroy(node->labels);
    weft_metrics_destroy(node->metrics);
    free(node);
}
