#include <weft/node/private_redis.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_TRIES  100 /* of 50 ms */
#define START_TRIES 200 /* of 10 ms */

static void nap_ms(long ms)
{
    struct timespec ts = {.tv_sec = 0, .tv_nsec = ms * 1000000};

    (void)nanosleep(&ts, NULL);
}

static bool somebody_listens(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes;

    if (fd < 0) {
        return false;
    }
    memcpy(sun.sun_path, path, strlen(path) + 1);
    yes = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0;
    (void)close(fd);
    return yes;
}

/* In the child: becomes redis-server, or writes errno to the pipe. */
static _Noreturn void become(const char *program, const char *folder, const char *sock,
                             pid_t parent, int report)
{
    char *argv[] = {(char *)(uintptr_t)program,      (char *)(uintptr_t) "--port",
                    (char *)(uintptr_t) "0",         (char *)(uintptr_t) "--unixsocket",
                    (char *)(uintptr_t)sock,         (char *)(uintptr_t) "--unixsocketperm",
                    (char *)(uintptr_t) "700",       (char *)(uintptr_t) "--dir",
                    (char *)(uintptr_t)folder,       (char *)(uintptr_t) "--appendonly",
                    (char *)(uintptr_t) "yes",       (char *)(uintptr_t) "--appendfsync",
                    (char *)(uintptr_t) "everysec",  (char *)(uintptr_t) "--save",
                    (char *)(uintptr_t) "",          (char *)(uintptr_t) "--daemonize",
                    (char *)(uintptr_t) "no",        (char *)(uintptr_t) "--logfile",
                    (char *)(uintptr_t) "redis.log", NULL};
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0,
                  0); /* Ctrl-C is the node's to handle; it ends us when its streams are closed */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent) {
        int null = open("/dev/null", O_RDWR);

        if (null >= 0) {
            (void)dup2(null, STDIN_FILENO);
            (void)dup2(null, STDOUT_FILENO);
        }
        (void)execvp(program, argv);
    }
    int why = errno;
    ssize_t n = write(report, &why, sizeof(why));
    (void)n;
    _exit(127);
}

int weft_private_redis_start(struct weft_private_redis *pr, const char *program, const char *data,
                             struct weft_err *err)
{
    char folder[PATH_MAX];
    char sock[PATH_MAX];
    pid_t parent = getpid();
    int report[2];
    int why = 0;

    memset(pr, 0, sizeof(*pr));
    if (mkdir(data, 0700) != 0 && errno != EEXIST) {
        return weft_err_set(err, WEFT_ESYS, "dev.data", "cannot make the folder %s: %s", data,
                            strerror(errno));
    }
    if (realpath(data, folder) == NULL ||
        (size_t)snprintf(sock, sizeof(sock), "%s/redis.sock", folder) >= sizeof(sock) ||
        strlen(sock) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        return weft_err_set(err, WEFT_EINVAL, "dev.data",
                            "the path of the data folder is too long for a UNIX socket");
    }
    if (somebody_listens(sock)) {
        return weft_err_set(err, WEFT_ECONFLICT, "dev.data", "another node runs on the folder %s",
                            data);
    }
    if (pipe2(report, O_CLOEXEC) != 0) {
        return weft_err_set(err, WEFT_ESYS, "", "no pipe: %s", strerror(errno));
    }
    pr->pid = fork();
    if (pr->pid == 0) {
        become(program, folder, sock, parent, report[1]);
    }
    (void)close(report[1]);
    if (pr->pid < 0) {
        (void)close(report[0]);
        return weft_err_set(err, WEFT_ESYS, "", "no process: %s", strerror(errno));
    }
    ssize_t n = read(report[0], &why, sizeof(why)); /* end of file: it was started */
    (void)close(report[0]);
    if (n == (ssize_t)sizeof(why)) {
        (void)waitpid(pr->pid, NULL, 0);
        pr->pid = 0;
        return weft_err_set(
            err, WEFT_ENOTFOUND, "dev.redis_server",
            "cannot start %s: %s; install it (on Debian: apt-get install redis-server) or run "
            "weftd, without dev, with --redis URL",
            program, strerror(why));
    }
    /* The node would go on trying: this saves it the warnings. */
    for (int i = 0; i < START_TRIES && !somebody_listens(sock); i++) {
        nap_ms(10);
    }
    memcpy(pr->url, "unix://", sizeof("unix://"));
    memcpy(pr->url + strlen(pr->url), sock,
           strlen(sock) + 1); /* at most 107 bytes, checked above */
    return 0;
}

void weft_private_redis_stop(struct weft_private_redis *pr)
{
    if (pr->pid <= 0) {
        return;
    }
    (void)kill(pr->pid, SIGTERM);
    for (int i = 0; i < STOP_TRIES; i++) {
        if (waitpid(pr->pid, NULL, WNOHANG) != 0) {
            pr->pid = 0;
            return;
        }
        nap_ms(50);
    }
    (void)kill(pr->pid, SIGKILL);
    (void)waitpid(pr->pid, NULL, 0);
    pr->pid = 0;
}
