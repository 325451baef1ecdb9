/*
 * weftd - a node of weft.
 *
 *   weftd [flags]        a node on the Redis of --redis
 *   weftd dev [flags]    a node with a redis-server of its own, on loopback, open to everybody there
 *
 * SIGTERM and SIGINT end it. SIGHUP has a node read its configuration again; `weftd dev` ends with its terminal.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include <weft/config/config.h>
#include <weft/http/worker.h>
#include <weft/loop/warden.h>
#include <weft/node/node.h>
#include <weft/node/private_redis.h>
#include <weft/telemetry/log.h>

enum { EXIT_USAGE = 2 };

static void usage(FILE *out)
{
    (void)fprintf(
        out,
        "Usage: weftd [flags]       a node on the Redis of --redis\n"
        "       weftd dev [flags]   a node with its own redis-server, on loopback only, no tokens\n\n"
        "  --check          check the configuration and end\n"
        "  --print          print the effective configuration and end\n"
        "  --print-routes   print every method and path and end\n"
        "  --version, --help\n\n");
    weft_config_usage(out);
}

static int complain(const struct weft_err *err)
{
    if (err->field[0] != '\0') {
        (void)fprintf(stderr, "weftd: %s: %s\n", err->field, err->message);
    } else {
        (void)fprintf(stderr, "weftd: %s\n", err->message);
    }
    return EXIT_FAILURE;
}

/* The three lines; --url only where the CLI's default is another. */
static void next_steps(const char *address, bool tls, const char *data)
{
    const char *colon = strrchr(address, ':');
    const char *scheme = tls ? "https" : "http";
    char flag[320] = "";

    if (tls || colon == NULL || strcmp(colon, ":8080") != 0) {
        (void)snprintf(flag, sizeof(flag), " --url %s://%s", scheme, address);
    }

    (void)printf("\nweft is running; its data is in %s. Type next, in another terminal:\n\n"
                 "  build/bin/weft tail demo%s\n"
                 "  build/bin/weft publish demo greeting.said '{\"text\":\"hello\"}'%s\n"
                 "  xdg-open %s://%s/        (or open this address in a browser)\n"
                 "  redis-cli -s %s/redis.sock\n\n"
                 "Ctrl-C ends it.\n\n",
                 data, flag, flag, scheme, address, data);
    (void)fflush(stdout);
}

static bool is_end(int sig)
{
    return sig == SIGTERM || sig == SIGINT;
}

static void log_end(struct weft_log *log, int sig)
{
    weft_log(log, WEFT_LOG_INFO, "node.stopping",
             WEFT_S("signal", sig == SIGTERM ? "TERM" : "INT"));
}

/*
 * SIGTERM comes from whoever runs the node and means an orderly end; SIGINT from a person who waits: a short one. The
 * second of either, or the end of the private Redis, ends it at once.
 */
static void drain(struct weft_node *node, struct weft_log *log, const sigset_t *signals, int sig,
                  const struct weft_private_redis *redis)
{
    static const struct timespec look = {.tv_sec = 0, .tv_nsec = 20 * 1000 * 1000};

    log_end(log, sig);
    weft_node_drain(node, sig == SIGINT);
    while (!weft_node_is_drained(node)) {
        sig = sigtimedwait(signals, NULL, &look);
        if (is_end(sig)) {
            log_end(log, sig);
            return;
        }
        if (sig == SIGCHLD && redis->pid > 0 && waitpid(redis->pid, NULL, WNOHANG) == redis->pid) {
            return;
        }
    }
}

/* What the program was called with, which is what the configuration comes from. */
struct call {
    int argc;
    char **argv;
    char **envp;
};

static void reload(struct weft_node *node, const struct call *call)
{
    struct weft_config_cmdline cmd = {0};
    struct weft_config fresh;
    struct weft_err err = {0};

    if (weft_config_defaults(&fresh, WEFT_CONFIG_NODE) != 0) {
        (void)weft_err_set(&err, WEFT_ENOMEM, "", "out of memory");
        weft_node_reload_failed(node, &err);
        return;
    }
    if (weft_config_load(&fresh, call->argc, call->argv, call->envp, &cmd, &err) != 0) {
        weft_node_reload_failed(node, &err);
    } else {
        weft_node_reload(node, &fresh);
    }
    weft_config_fini(&fresh);
}

/*
 * Serves until a signal ends it, and drains. data: the folder of `weftd dev`, or NULL. Returns the exit code.
 */
static int serve(struct weft_node *node, const struct weft_config *cfg, struct weft_log *log,
                 const sigset_t *signals, const struct weft_private_redis *redis,
                 const struct call *call, const char *data)
{
    static const struct timespec soon = {.tv_sec = 0, .tv_nsec = 50 * 1000 * 1000};
    static const struct timespec look = {.tv_sec = 1, .tv_nsec = 0};
    bool ready = false;

    for (;;) {
        int sig = sigtimedwait(signals, NULL, ready ? &look : &soon);

        if (sig == SIGHUP) {
            weft_node_reopen(node);
            reload(node, call);
        }
        weft_node_look(node);
        if (is_end(sig)) {
            drain(node, log, signals, sig, redis);
            return EXIT_SUCCESS;
        }
        if (sig == SIGCHLD && redis->pid > 0 && waitpid(redis->pid, NULL, WNOHANG) == redis->pid) {
            (void)fprintf(
                stderr,
                "weftd: the private redis-server has ended; its log is redis.log in the data folder\n");
            return EXIT_FAILURE;
        }
        if (!ready && weft_node_is_ready(node)) {
            ready = true;
            weft_log(log, WEFT_LOG_INFO, "node.ready", WEFT_S("address", weft_node_address(node)));
            if (data != NULL) {
                next_steps(weft_node_address(node), cfg->tls.cert[0] != '\0', data);
            }
        }
    }
}

/* `weftd dev` lets everybody do everything, so it must not be reachable from elsewhere. */
static bool is_loopback(const char *listen)
{
    char host[256];
    uint16_t port;

    return weft_config_split_listen(listen, host, sizeof(host), &port) == 0 &&
           (strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
            strcmp(host, "localhost") == 0);
}

static bool names_a_redis(const struct weft_config *cfg)
{
    struct weft_config plain;
    bool yes = weft_config_defaults(&plain, WEFT_CONFIG_DEV) == 0 &&
               strcmp(cfg->redis.url, plain.redis.url) != 0;

    weft_config_fini(&plain);
    return yes;
}

static struct weft_log *log_of(const struct weft_config *cfg)
{
    char id[65];

    weft_node_make_id(cfg->node.id, id);
    return weft_log_create(STDERR_FILENO, (enum weft_log_level)cfg->log.level,
                           (enum weft_log_format)cfg->log.format, id);
}

static int check(const struct weft_config *cfg)
{
    struct weft_log *log = log_of(cfg);
    struct weft_err err = {0};
    int rc = weft_node_check(cfg, log, &err);

    if (rc != 0) {
        (void)complain(&err);
    }
    weft_log_destroy(log);
    return rc == 0 ? EXIT_SUCCESS : EXIT_USAGE;
}

static int run(const struct weft_config *cfg, bool dev, const struct call *call)
{
    struct weft_private_redis redis = {.pid = 0};
    struct weft_config effective = *cfg; /* borrows its strings */
    struct weft_node *node = NULL;
    struct weft_err err = {0};
    struct weft_log *log;
    sigset_t signals;
    int rc = EXIT_FAILURE;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        (void)fprintf(stderr, "weftd: libcurl cannot be started\n");
        return EXIT_FAILURE;
    }
    /* Threads inherit the mask: only this one takes signals. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGCHLD);
    if (!dev) {
        (void)signal(SIGHUP, SIG_DFL); /* nohup ignores it: then it would not come */
        (void)sigaddset(&signals, SIGHUP);
    }
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);

    log = log_of(cfg);
    if (dev) {
        if (weft_private_redis_start(&redis, cfg->dev.redis_server, cfg->dev.data, &err) != 0) {
            weft_log_destroy(log);
            return complain(&err);
        }
        effective.redis.url = redis.url;
    }
    if (weft_node_create(&node, &effective, log, &err) != 0 || weft_node_start(node, &err) != 0) {
        (void)complain(&err);
    } else {
        rc = serve(node, cfg, log, &signals, &redis, call, dev ? cfg->dev.data : NULL);
        weft_node_stop(node);
    }
    weft_node_destroy(node);
    weft_private_redis_stop(&redis);
    weft_log_destroy(log);
    curl_global_cleanup();
    return rc;
}

int main(int argc, char **argv, char **envp)
{
    bool dev = argc > 1 && strcmp(argv[1], "dev") == 0;
    struct weft_config_cmdline cmd = {0};
    struct weft_config cfg;
    struct weft_err err = {0};
    int rc;

    if (argc > 1 && strcmp(argv[1], WEFT_WARDEN_WORD) == 0) {
        return weft_warden_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "--print-routes") == 0) {
        weft_routes_print(stdout);
        return EXIT_SUCCESS;
    }
    if (dev) {
        argc--;
        argv++;
    }
    if (weft_config_defaults(&cfg, dev ? WEFT_CONFIG_DEV : WEFT_CONFIG_NODE) != 0) {
        (void)fprintf(stderr, "weftd: out of memory\n");
        return EXIT_FAILURE;
    }
    if (weft_config_load(&cfg, argc, argv, envp, &cmd, &err) != 0) {
        (void)complain(&err);
        rc = EXIT_USAGE;
    } else if (cmd.help) {
        usage(stdout);
        rc = EXIT_SUCCESS;
    } else if (cmd.version) {
        (void)printf("weftd %s\n", WEFT_VERSION);
        rc = EXIT_SUCCESS;
    } else if (cmd.first_word < argc) {
        (void)fprintf(stderr, "weftd: %s: what is that? See weftd --help\n", argv[cmd.first_word]);
        rc = EXIT_USAGE;
    } else if (dev && cfg.auth.anonymous != WEFT_ANONYMOUS_NONE && !is_loopback(cfg.http.listen)) {
        (void)fprintf(stderr, "weftd: http.listen: weftd dev asks for no tokens, so it listens on "
                              "loopback only\n");
        rc = EXIT_USAGE;
    } else if (dev && names_a_redis(&cfg)) {
        (void)fprintf(stderr, "weftd: redis.url: weftd dev starts a Redis of its own; for another "
                              "one leave the word dev away\n");
        rc = EXIT_USAGE;
    } else if (cmd.print) {
        rc = weft_config_print(&cfg, stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    } else if (cfg.auth.anonymous == WEFT_ANONYMOUS_NONE && cfg.auth.jwks[0] == '\0') {
        (void)fprintf(
            stderr,
            "weftd: auth.jwks: nobody could use this node. Give it keys that tokens are checked with "
            "(auth.jwks, WEFT_JWKS), or say what may be done without a token (auth.anonymous, "
            "WEFT_ANONYMOUS: subscribe, publish or all)\n");
        rc = EXIT_USAGE;
    } else if (cmd.check) {
        rc = check(&cfg);
    } else {
        rc = run(&cfg, dev, &(struct call){argc, argv, envp});
    }
    weft_config_fini(&cfg);
    return rc;
}
