#include <weft/loop/child.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include <weft/base/assert.h>
#include <weft/loop/lines.h>
#include <weft/loop/warden.h>

/*
 * Three descriptors are read: the leash (news of the warden), and the two ends of the command's output; a fourth,
 * the warden's pidfd, becomes readable when it has ended. `ended` is told when all of them are over: a warden
 * ends after everything that could write. One that was killed does not, and its command's output ends with it. The warden is
 * waited for by its pid, so that nobody else's children are taken away, nor ours by anybody.
 *
 * posix_spawn, not fork: the node's threads and memory do not matter then.
 */

#define READ_BYTES  16384
#define DRAIN_READS 4 /* together what a pipe holds */

enum part { PART_OUT, PART_ERR, PART_LEASH, PART_WARDEN, PARTS };

struct weft_child {
    struct weft_child_opts o;
    pid_t warden;
    pid_t pid; /* of the command, once it has started */
    int fds[PARTS];
    struct event *events[PARTS];
    struct weft_lines lines[2]; /* PART_OUT, PART_ERR */
    int why, status;
    bool told; /* by the warden, how it ended */
};

/* ---- its descriptors ---- */

static void close_part(struct weft_child *child, enum part part)
{
    if (child->events[part] != NULL) {
        event_free(child->events[part]);
        child->events[part] = NULL;
    }
    if (child->fds[part] >= 0) {
        (void)close(child->fds[part]);
        child->fds[part] = -1;
    }
}

static bool is_over(const struct weft_child *child)
{
    bool over = true;

    for (int i = 0; i < PARTS; i++) {
        over = over && child->fds[i] < 0;
    }
    return over;
}

static void part_over(struct weft_child *child, enum part part)
{
    close_part(child, part);
    if (is_over(child)) {
        child->o.ended(child->o.ctx, child->why, child->status);
    }
}

struct line_ctx {
    struct weft_child *child;
    bool from_err;
};

static void line_came(void *ctx, struct weft_str line, bool cut)
{
    const struct line_ctx *l = ctx;

    l->child->o.line(l->child->o.ctx, l->from_err, line, cut);
}

/* One read for each turn of the loop, so that a command that shouts does not hold it up. */
static void output_readable(struct weft_child *child, enum part part)
{
    struct line_ctx l = {.child = child, .from_err = part == PART_ERR};
    char bytes[READ_BYTES];
    ssize_t n = read(child->fds[part], bytes, sizeof(bytes));

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n > 0) {
        weft_lines_feed(&child->lines[part], weft_str(bytes, (size_t)n), line_came, &l);
        return;
    }
    weft_lines_end(&child->lines[part], line_came, &l);
    part_over(child, part);
}

/* Lines come after `started`: what the command writes before that waits in the pipes. */
static void hear_output(struct weft_child *child)
{
    for (int i = PART_OUT; i <= PART_ERR; i++) {
        if (child->events[i] != NULL && event_add(child->events[i], NULL) != 0) {
            close_part(child, (enum part)i);
        }
    }
}

static void leash_readable(struct weft_child *child)
{
    struct weft_warden_news news;
    ssize_t n = recv(child->fds[PART_LEASH], &news, sizeof(news), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n != (ssize_t)sizeof(news)) {
        part_over(child, PART_LEASH);
        return;
    }
    if (news.kind == WEFT_WARDEN_STARTED) {
        child->pid = news.value;
        child->o.started(child->o.ctx, child->pid);
        hear_output(child);
    } else {
        child->told = true;
        child->why = news.kind == WEFT_WARDEN_FAILED ? news.value : 0;
        child->status = news.kind == WEFT_WARDEN_EXITED ? news.value : 0;
        hear_output(child);
    }
}

/* What is there now: its end may be far away, or never come. */
static void end_output(struct weft_child *child, enum part part)
{
    struct line_ctx l = {.child = child, .from_err = part == PART_ERR};

    for (int i = 0; i < DRAIN_READS && child->fds[part] >= 0; i++) {
        output_readable(child, part);
    }
    if (child->fds[part] >= 0) {
        weft_lines_end(&child->lines[part], line_came, &l);
        close_part(child, part);
    }
}

/*
 * The last news of one that was killed are not there: its command was killed by the kernel, its group is by us. What
 * had left the group lives, and may hold the pipes for as long as it likes.
 */
static void warden_ended(struct weft_child *child)
{
    if (child->warden > 0) {
        (void)waitpid(child->warden, NULL, WNOHANG);
    }
    child->warden = 0;
    while (child->fds[PART_LEASH] >= 0 && !child->told) {
        struct weft_warden_news news;

        if (recv(child->fds[PART_LEASH], &news, sizeof(news), MSG_DONTWAIT | MSG_PEEK) !=
            (ssize_t)sizeof(news)) {
            break;
        }
        leash_readable(child);
    }
    if (!child->told) {
        child->status = SIGKILL;
        if (child->pid > 0) {
            (void)kill(-child->pid, SIGKILL);
        }
        end_output(child, PART_OUT);
        end_output(child, PART_ERR);
    }
    part_over(child, PART_WARDEN);
}

static void out_came(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    output_readable(ctx, PART_OUT);
}

static void err_came(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    output_readable(ctx, PART_ERR);
}

static void leash_came(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    leash_readable(ctx);
}

static void warden_came(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    warden_ended(ctx);
}

static int watch(struct weft_child *child)
{
    static const event_callback_fn came[PARTS] = {out_came, err_came, leash_came, warden_came};

    for (int i = 0; i < PARTS; i++) {
        child->events[i] =
            event_new(child->o.base, child->fds[i], EV_READ | EV_PERSIST, came[i], child);
        if (child->events[i] == NULL) {
            return WEFT_ENOMEM;
        }
    }
    return event_add(child->events[PART_LEASH], NULL) == 0 &&
                   event_add(child->events[PART_WARDEN], NULL) == 0
               ? 0
               : WEFT_ENOMEM;
}

/* ---- start ---- */

static int spawn(struct weft_child *child, int out, int err, int leash)
{
    extern char **environ;
    char grace[16];
    char files[24];
    char *argv[WEFT_CHILD_ARGS_MAX + 7];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    size_t n = 0;
    int rc;

    (void)snprintf(grace, sizeof(grace), "%u", child->o.grace_ms);
    (void)snprintf(files, sizeof(files), "%llu", (unsigned long long)child->o.files);
    argv[n++] = (char *)(uintptr_t)(child->o.warden != NULL ? child->o.warden : "weftd");
    argv[n++] = (char *)(uintptr_t)WEFT_WARDEN_WORD;
    argv[n++] = (char *)(uintptr_t)child->o.name;
    argv[n++] = grace;
    argv[n++] = files;
    argv[n++] = (char *)(uintptr_t) "--";
    for (size_t i = 0; child->o.argv[i] != NULL; i++) {
        WEFT_ASSERT(i < WEFT_CHILD_ARGS_MAX);
        argv[n++] = (char *)(uintptr_t)child->o.argv[i];
    }
    argv[n] = NULL;

    /* The pipes are above the four numbers that they get: dup2 does not take one for another. */
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, leash, WEFT_WARDEN_LEASH);
    (void)posix_spawnattr_init(&attr);
    (void)sigemptyset(&none);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setpgroup(&attr, 0); /* Ctrl-C is the node's to handle */
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    rc = posix_spawn(&child->warden, child->o.warden != NULL ? child->o.warden : "/proc/self/exe",
                     &actions, &attr, argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (rc != 0) {
        child->warden = 0;
    }
    return rc;
}

/*
 * Where SIGCHLD is ignored nobody keeps a process that has ended, and it may have ended by now: then a descriptor
 * that is readable at once stands for it, and the news it left on the leash are heard as always.
 */
static int watch_warden(struct weft_child *child)
{
    int fd = (int)syscall(SYS_pidfd_open, child->warden, 0); /* close-on-exec */

    if (fd < 0 && errno == ESRCH) {
        child->warden = 0;
        fd = eventfd(1, EFD_CLOEXEC);
    }
    child->fds[PART_WARDEN] = fd;
    return fd < 0 ? errno : 0;
}

/* A descriptor above those that are given to the warden. Closes fd. */
static int lift(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, WEFT_WARDEN_LEASH + 1);

    (void)close(fd);
    return high;
}

/* ends: what the warden gets. 0, or an errno; what was opened is closed by destroy and the caller. */
static int open_parts(struct weft_child *child, int ends[3])
{
    int pair[2];

    for (int i = PART_OUT; i <= PART_ERR; i++) {
        if (pipe2(pair, O_CLOEXEC) != 0) {
            return errno;
        }
        child->fds[i] = pair[0];
        (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
        ends[i] = lift(pair[1]);
        if (ends[i] < 0) {
            return errno;
        }
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return errno;
    }
    child->fds[PART_LEASH] = pair[0];
    ends[PART_LEASH] = lift(pair[1]);
    return ends[PART_LEASH] < 0 ? errno : 0;
}

int weft_child_create(struct weft_child **ret_child, const struct weft_child_opts *opts,
                      struct weft_err *err)
{
    struct weft_child *child = calloc(1, sizeof(*child));
    int ends[3] = {-1, -1, -1};
    int rc;

    if (child == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "", "out of memory");
    }
    child->o = *opts;
    for (int i = 0; i < PARTS; i++) {
        child->fds[i] = -1;
    }
    for (int i = 0; i < 2; i++) {
        weft_lines_init(&child->lines[i], opts->line_bytes);
    }
    rc = open_parts(child, ends);
    if (rc == 0) {
        rc = spawn(child, ends[PART_OUT], ends[PART_ERR], ends[PART_LEASH]);
    }
    for (int i = 0; i < 3; i++) {
        if (ends[i] >= 0) {
            (void)close(ends[i]);
        }
    }
    if (rc == 0) {
        rc = watch_warden(child);
    }
    if (rc == 0 && watch(child) != 0) {
        rc = ENOMEM;
    }
    if (rc != 0) {
        weft_child_destroy(child);
        return weft_err_set(err, WEFT_ESYS, "", "no process: %s", strerror(rc));
    }
    child->o.argv = NULL;
    child->o.name = NULL;
    *ret_child = child;
    return 0;
}

/* ---- end ---- */

static void order(const struct weft_child *child, enum weft_warden_order what)
{
    char byte = (char)what;

    if (child->fds[PART_LEASH] >= 0) {
        ssize_t n = send(child->fds[PART_LEASH], &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);

        (void)n; /* the warden is ending */
    }
}

void weft_child_term(struct weft_child *child)
{
    order(child, WEFT_WARDEN_TERM);
}

void weft_child_kill(struct weft_child *child)
{
    order(child, WEFT_WARDEN_KILL);
}

void weft_child_destroy(struct weft_child *child)
{
    if (child == NULL) {
        return;
    }
    order(child, WEFT_WARDEN_KILL);
    for (int i = 0; i < PARTS; i++) {
        close_part(child, (enum part)i);
    }
    if (child->warden > 0) {
        (void)waitpid(child->warden, NULL, 0);
    }
    for (int i = 0; i < 2; i++) {
        weft_lines_fini(&child->lines[i]);
    }
    free(child);
}
