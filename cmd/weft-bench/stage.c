#include "stage.h"

#include <errno.h>
#include <ftw.h>
#include <libgen.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <weft/base/clock.h>

#include "scrape.h"

#define START_TIMEOUT_MS 10000
#define PATH_SIZE        800

static void short_sleep(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* A port that nobody listens on; Redis takes it right after. */
static unsigned free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        addr.sin_port = 0;
    if (fd >= 0)
        close(fd);
    return ntohs(addr.sin_port);
}

static bool redis_answers(const char *socket_path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[8];
    bool ok;

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%.100s", socket_path);
    ok = fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
         write(fd, "PING\r\n", 6) == 6 && read(fd, answer, sizeof(answer)) == 7 &&
         memcmp(answer, "+PONG\r\n", 7) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Where the program is that PATH knows. */
static bool find_program(const char *name, char *out, size_t size)
{
    const char *path = getenv("PATH");

    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");

        snprintf(out, size, "%.*s/%s", (int)len, path, name);
        if (access(out, X_OK) == 0)
            return true;
        path += len;
        path += *path == ':';
    }
    args_complain("%s is not installed", name);
    return false;
}

static bool start_redis(struct stage *stage)
{
    char program[PATH_SIZE], port[16], unix_path[PATH_SIZE], log[PATH_SIZE];
    uint64_t until = weft_clock_mono_ms() + START_TIMEOUT_MS;

    if (!find_program("redis-server", program, sizeof(program)))
        return false;
    snprintf(port, sizeof(port), "%u", free_port());
    snprintf(unix_path, sizeof(unix_path), "%s/redis.sock", stage->dir);
    snprintf(log, sizeof(log), "%s/redis.log", stage->dir);

    /* clang-format off */
    const char *const argv[] = {
        program, "--port", port, "--bind", "127.0.0.1", "--unixsocket", unix_path,
        "--dir", stage->dir,
        "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", NULL};
    /* clang-format on */

    if (!child_start(&stage->redis, "redis-server", log, argv))
        return false;
    while (weft_clock_mono_ms() < until) {
        if (redis_answers(unix_path))
            return true;
        short_sleep();
    }
    args_complain("redis-server does not answer");
    child_show_log(&stage->redis);
    return false;
}

/* Beside this program. */
static bool find_bin(char *out, size_t size)
{
    char self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n <= 0)
        return false;
    self[n] = '\0';
    snprintf(out, size, "%s", dirname(self));
    return true;
}

bool stage_init(struct stage *stage, const char *bin, uint64_t workers)
{
    const char *tmp = getenv("TMPDIR");

    *stage = (struct stage){.workers = workers};
    if (bin != NULL)
        snprintf(stage->bin, sizeof(stage->bin), "%s", bin);
    else if (!find_bin(stage->bin, sizeof(stage->bin)))
        return false;
    snprintf(stage->dir, sizeof(stage->dir), "%.60s/weft-bench.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(stage->dir) == NULL) {
        args_complain("%s: %s", stage->dir, strerror(errno));
        stage->dir[0] = '\0';
        return false;
    }
    setenv("WEFT_ANONYMOUS", "all", 1);
    return start_redis(stage);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void stage_fini(struct stage *stage)
{
    child_stop(&stage->single);
    child_stop(&stage->coalesce);
    for (unsigned i = 0; i < STAGE_NODES; i++)
        child_stop(&stage->nodes[i]);
    child_stop(&stage->redis);
    if (stage->dir[0] != '\0')
        nftw(stage->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* After the start: where it listens. */
static bool make_bench(const struct stage *stage, struct child *child, struct bench *ret_bench)
{
    char address[128], url[160];

    if (!child_address(child, address, sizeof(address)))
        return false;
    *ret_bench = (struct bench){.n_servers = 1,
                                .server_pid = (uint64_t)child->pid,
                                .redis_pid = (uint64_t)stage->redis.pid,
                                .timeout_ms = BENCH_TIMEOUT_MS};
    snprintf(url, sizeof(url), "http://%s", address);
    return server_resolve(&ret_bench->servers[0], url, false);
}

bool stage_node(struct stage *stage, unsigned i, struct bench *ret_bench)
{
    uint64_t until = weft_clock_mono_ms() + START_TIMEOUT_MS;
    char program[PATH_SIZE], redis[PATH_SIZE], log[PATH_SIZE], workers[24], id[2];
    struct child *child = &stage->nodes[i];

    child_stop(child);
    snprintf(program, sizeof(program), "%s/weftd", stage->bin);
    snprintf(redis, sizeof(redis), "unix://%s/redis.sock", stage->dir);
    snprintf(log, sizeof(log), "%s/node-%u.log", stage->dir, i);
    snprintf(workers, sizeof(workers), "%llu", (unsigned long long)stage->workers);
    id[0] = (char)('a' + (char)i);
    id[1] = '\0';

    /* clang-format off */
    const char *const argv[] = {
        program, "--listen", "127.0.0.1:0", "--redis", redis, "--node-id", id,
        stage->workers > 0 ? "--workers" : NULL, workers, NULL};
    /* clang-format on */

    if (!child_start(child, "weftd", log, argv) || !make_bench(stage, child, ret_bench))
        return false;
    while (weft_clock_mono_ms() < until) {
        if (scrape_is_ok(&ret_bench->servers[0], "/readyz"))
            return true;
        short_sleep();
    }
    args_complain("weftd is not ready in time");
    child_show_log(child);
    return false;
}

bool stage_bare(struct stage *stage, bool coalesce, struct bench *ret_bench)
{
    char program[PATH_SIZE], log[PATH_SIZE];
    struct child *child = coalesce ? &stage->coalesce : &stage->single;

    child_stop(child);
    snprintf(program, sizeof(program), "%s/weft-bare-writer", stage->bin);
    snprintf(log, sizeof(log), "%s/bare-%s.log", stage->dir, coalesce ? "coalesce" : "single");

    const char *const argv[] = {program, "--mode", coalesce ? "coalesce" : "single", NULL};

    if (!child_start(child, "weft-bare-writer", log, argv) || !make_bench(stage, child, ret_bench))
        return false;
    ret_bench->redis_pid = 0;
    return true;
}
