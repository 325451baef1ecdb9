#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weft/base/buf.h>
#include <weft/base/clock.h>

#include "args.h"

#define START_TIMEOUT_MS 10000
#define STOP_TIMEOUT_MS  10000
#define POLL_MS          10
#define LOG_MAX          (1u << 20)

static void sleep_ms(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

/* In the child; argv[0] is run or the child ends. */
static _Noreturn void become(const char *log, const char *const argv[], pid_t parent)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int in = open("/dev/null", O_RDONLY);

    /* The parent may have ended before the request was in force. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (fd >= 0 && in >= 0 && getppid() == parent) {
        dup2(in, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        /* execv's type is older than const. */
        execv(argv[0], (char *const *)(uintptr_t)argv);
        dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    }
    _exit(127);
}

bool child_start(struct child *child, const char *name, const char *log, const char *const argv[])
{
    pid_t parent = getpid();

    *child = (struct child){.name = name};
    snprintf(child->log, sizeof(child->log), "%s", log);
    child->pid = fork();
    if (child->pid == 0)
        become(log, argv, parent);
    if (child->pid > 0)
        return true;
    args_complain("%s: %s", name, strerror(errno));
    child->pid = 0;
    return false;
}

static void read_log(const struct child *child, struct weft_buf *out)
{
    int fd = open(child->log, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;

    weft_buf_clear(out);
    while (fd >= 0 && n > 0) {
        char *room = weft_buf_reserve(out, 16384);

        if (room == NULL)
            break;
        n = read(fd, room, 16384);
        if (n > 0)
            out->len += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    if (out->data != NULL)
        out->data[out->len] = '\0';
}

/* "address":"HOST:PORT" of the line with "event":"node.listening". */
static bool find_address(const char *text, char *ret_address, size_t size)
{
    static const char mark[] = "\"address\":\"";
    const char *at = text != NULL ? strstr(text, "\"node.listening\"") : NULL;
    const char *line_end = at != NULL ? strchr(at, '\n') : NULL;
    size_t len;

    at = line_end != NULL ? strstr(at, mark) : NULL;
    if (at == NULL || at > line_end)
        return false;
    at += sizeof(mark) - 1;
    len = strcspn(at, "\"");
    if (len >= size)
        return false;
    memcpy(ret_address, at, len);
    ret_address[len] = '\0';
    return true;
}

static bool has_ended(struct child *child)
{
    if (waitpid(child->pid, NULL, WNOHANG) != child->pid)
        return false;
    child->pid = 0;
    return true;
}

bool child_address(struct child *child, char *ret_address, size_t size)
{
    uint64_t until = weft_clock_mono_ms() + START_TIMEOUT_MS;
    struct weft_buf text;
    bool found = false, ended = false;

    weft_buf_init(&text, LOG_MAX);
    while (!found && !ended && weft_clock_mono_ms() < until) {
        sleep_ms(POLL_MS);
        ended = has_ended(child);
        read_log(child, &text);
        found = find_address(text.data, ret_address, size);
    }
    weft_buf_fini(&text);
    if (!found) {
        args_complain("%s does not tell where it listens", child->name);
        child_show_log(child);
    }
    return found;
}

bool child_stop_in(struct child *child, uint64_t timeout_ms)
{
    uint64_t until = weft_clock_mono_ms() + timeout_ms;

    if (child->pid <= 0)
        return true;
    kill(child->pid, SIGTERM);
    while (!has_ended(child)) {
        if (weft_clock_mono_ms() > until) {
            args_complain("%s does not end; killed", child->name);
            kill(child->pid, SIGKILL);
            waitpid(child->pid, NULL, 0);
            child->pid = 0;
            return false;
        }
        sleep_ms(POLL_MS);
    }
    return true;
}

void child_stop(struct child *child)
{
    child_stop_in(child, STOP_TIMEOUT_MS);
}

void child_show_log(const struct child *child)
{
    struct weft_buf text;

    weft_buf_init(&text, LOG_MAX);
    read_log(child, &text);
    if (text.len > 0)
        fprintf(stderr, "--- %s printed:\n%s---\n", child->name,
                text.data + (text.len > 4000 ? text.len - 4000 : 0));
    weft_buf_fini(&text);
}
