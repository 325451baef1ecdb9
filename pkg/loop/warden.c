#include <weft/loop/warden.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * One process, one command, a loop over two descriptors. When it is over (the command has ended, or
 * the leash has) the rest is ended too, and only then the node is told.
 */

#define USAGE_EXIT 2
#define SWEEP_MS   10 /* between two looks for what is left */

struct warden {
    pid_t pid; /* of the command; its process group */
    bool ended;
    int signals;  /* a signalfd */
    bool leashed; /* the node is there */
    long grace_ms;
    unsigned long long files; /* 0: as it is */
};

static long long now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void tell(enum weft_warden_news_kind kind, int value)
{
    struct weft_warden_news news = {.kind = (int32_t)kind, .value = value};
    ssize_t n = send(WEFT_WARDEN_LEASH, &news, sizeof(news), MSG_NOSIGNAL);

    (void)n; /* nobody is there: then the leash says so */
}

/* ---- the command ---- */

/* The node has raised its own; programs that close every number, or select(), take that badly. */
static void limit_files(unsigned long long files)
{
    struct rlimit limit;

    if (files > 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && files < limit.rlim_cur) {
        limit.rlim_cur = (rlim_t)files;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* In the child: becomes the command, or writes errno to the pipe. */
static _Noreturn void become(const struct warden *w, char **argv, pid_t parent, int report)
{
    sigset_t none;
    int why = ECANCELED;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (int sig = 1; sig < SIGRTMIN; sig++) {
        (void)signal(sig, SIG_DFL); /* the node ignores some, and so may who started it */
    }
    limit_files(w->files);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) { /* else it died before prctl, and will not be noticed any more */
        (void)execvp(argv[0], argv);
        why = errno;
    }
    ssize_t n = write(report, &why, sizeof(why));
    (void)n;
    _exit(127);
}

/* 0, or the errno. */
static int start(struct warden *w, char **argv)
{
    pid_t parent = getpid();
    int report[2];
    int why = 0;
    ssize_t n;

    if (pipe2(report, O_CLOEXEC) != 0) {
        return errno;
    }
    w->pid = fork();
    if (w->pid == 0) {
        become(w, argv, parent, report[1]);
    }
    why = w->pid < 0 ? errno : 0;
    (void)close(report[1]);
    if (w->pid > 0) {
        (void)setpgid(w->pid, w->pid); /* whoever comes first; no signal may miss it */
        do {
            n = read(report[0], &why, sizeof(why)); /* end of file: it runs */
        } while (n < 0 && errno == EINTR);
        if (n == (ssize_t)sizeof(why)) {
            (void)waitpid(w->pid, NULL, 0);
            w->pid = 0;
        }
    }
    (void)close(report[0]);
    return why;
}

/* ---- what came from it ---- */

/*
 * Sends sig (0: none) to every child of the warden but the command, and takes leave of those that have ended: they
 * are orphans of the command's tree. True: there was one. Though it has ended by now, what it had for children may have
 * come to the warden after the list was read.
 */
static bool sweep(const struct warden *w, int sig)
{
    char path[64];
    bool any = false;
    long pid;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    f = fopen(path, "re");
    if (f == NULL) {
        return false; /* a kernel without it: the process group has to do */
    }
    while (fscanf(f, "%ld", &pid) == 1) { /* NOLINT(cert-err34-c): the kernel wrote it */
        if ((pid_t)pid != w->pid) {
            (void)kill((pid_t)pid, sig);
            (void)waitpid((pid_t)pid, NULL, WNOHANG);
            any = true;
        }
    }
    (void)fclose(f);
    return any;
}

/* Looks, and leaves it a zombie: its number, which is the group's, cannot become another's meanwhile. */
static bool has_ended(const struct warden *w)
{
    siginfo_t info = {.si_pid = 0};

    if (waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
        return errno == ECHILD;
    }
    return info.si_pid != 0;
}

static void signal_group(const struct warden *w, int sig)
{
    pid_t group = getpgid(w->pid);

    (void)kill(-w->pid, sig);
    if (group >= 0 && group != w->pid) {
        (void)kill(w->pid, sig); /* it has left its own group */
    }
}

/*
 * Nothing is left when it returns: each round kills what the last one has orphaned, and the last has found nobody, with
 * the command dead before it looked. Returns the command's status.
 */
static int end_all(const struct warden *w)
{
    static const struct timespec nap = {.tv_sec = 0, .tv_nsec = SWEEP_MS * 1000000L};
    int status = 0;

    for (;;) {
        bool over;

        signal_group(w, SIGKILL);
        over = has_ended(w);
        if (!sweep(w, SIGKILL) && over) {
            (void)waitpid(w->pid, &status, 0);
            return status;
        }
        (void)nanosleep(&nap, NULL);
    }
}

/* ---- the loop ---- */

static void leash_readable(struct warden *w)
{
    char order;
    ssize_t n = recv(WEFT_WARDEN_LEASH, &order, 1, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        w->leashed = false;
    } else if (order == WEFT_WARDEN_TERM) {
        signal_group(w, SIGTERM);
    } else if (order == WEFT_WARDEN_KILL) {
        signal_group(w, SIGKILL); /* what has left the group goes when the command has ended */
    }
}

/* Whoever signals the warden means the command. */
static void signal_arrived(struct warden *w)
{
    struct signalfd_siginfo info;

    if (read(w->signals, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return;
    }
    if (info.ssi_signo == SIGCHLD) {
        w->ended = has_ended(w);
        (void)sweep(w, 0);
    } else {
        signal_group(w, (int)info.ssi_signo);
    }
}

/* Until the command has ended; without the node it is asked to end, and gets some time for it. */
static void watch(struct warden *w)
{
    long long until = -1;

    while (!w->ended) {
        struct pollfd fds[] = {
            {.fd = w->leashed ? WEFT_WARDEN_LEASH : -1, .events = POLLIN},
            {.fd = w->signals, .events = POLLIN},
        };
        long long left = until < 0 ? -1 : until - now_ms();

        if (until >= 0 && left <= 0) {
            return;
        }
        (void)poll(fds, 2, (int)left);
        if (fds[1].revents != 0) {
            signal_arrived(w);
        }
        if (fds[0].revents != 0) {
            leash_readable(w);
            if (!w->leashed) {
                signal_group(w, SIGTERM);
                until = now_ms() + w->grace_ms;
            }
        }
    }
}

static int take_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Only the command writes to these: their end means that nothing of it is left. */
static void let_go_of_output(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (null >= 0) {
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        (void)close(null);
    }
}

int weft_warden_main(int argc, char **argv)
{
    struct warden w = {.leashed = true};
    int why;

    if (argc < 6 || strcmp(argv[4], "--") != 0 || fcntl(WEFT_WARDEN_LEASH, F_GETFD) < 0) {
        (void)fprintf(stderr, "%s: a node starts this for the commands that it supervises\n",
                      WEFT_WARDEN_WORD);
        return USAGE_EXIT;
    }
    w.grace_ms = strtol(argv[2], NULL, 10);
    w.files = strtoull(argv[3], NULL, 10);
    (void)close_range(WEFT_WARDEN_LEASH + 1, ~0U, 0);
    (void)fcntl(WEFT_WARDEN_LEASH, F_SETFD, FD_CLOEXEC);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* if it was ignored: how the command ends is to be seen */
    w.signals = take_signals();

    why = w.signals < 0 ? errno : start(&w, argv + 5);
    let_go_of_output();
    if (why != 0) {
        tell(WEFT_WARDEN_FAILED, why);
        return EXIT_FAILURE;
    }
    tell(WEFT_WARDEN_STARTED, (int)w.pid);
    watch(&w);
    tell(WEFT_WARDEN_EXITED, end_all(&w));
    return EXIT_SUCCESS;
}
