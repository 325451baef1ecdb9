#include "output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <weft/base/buf.h>

#include "args.h"
#include "exits.h"

#define WAITING_MAX (1u << 30)
#define LARGE       65536

/* There is one stdout, hence one of these. */
static struct {
    struct weft_buf waiting;
    int signal_fd;
    int failed_errno;
    enum output_result result;
} out = {.waiting = {.max = WAITING_MAX}, .signal_fd = -1};

void output_interruptible(int signal_fd)
{
    out.signal_fd = signal_fd;
}

void output_line(struct weft_str head, struct weft_str body)
{
    weft_buf_str(&out.waiting, head);
    while (body.len > 0) {
        const char *lf = memchr(body.p, '\n', body.len);
        size_t len = lf != NULL ? (size_t)(lf - body.p) : body.len;

        weft_buf_append(&out.waiting, body.p, len);
        if (lf != NULL) {
            weft_buf_puts(&out.waiting, " ");
            len++;
        }
        body.p += len;
        body.len -= len;
    }
    weft_buf_puts(&out.waiting, "\n");
}

static enum output_result failed(int err)
{
    out.failed_errno = err;
    out.result = OUTPUT_FAILED;
    if (err != EPIPE)
        args_complain("stdout: %s", strerror(err));
    return OUTPUT_FAILED;
}

/*
 * A pipe that polls as writable takes PIPE_BUF bytes without blocking, so a stalled reader is met
 * in here only.
 */
static bool may_write(void)
{
    struct pollfd fds[2] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                            {.fd = out.signal_fd, .events = POLLIN}};

    do {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return true; /* let write(2) tell what is wrong */
    } while (fds[0].revents == 0 && fds[1].revents == 0);
    return fds[0].revents != 0;
}

enum output_result output_flush(void)
{
    const char *p = out.waiting.data;
    size_t left = out.waiting.len;

    if (out.result == OUTPUT_OK && out.waiting.toobig)
        return failed(EMSGSIZE);
    while (left > 0 && out.result == OUTPUT_OK) {
        size_t piece = out.signal_fd >= 0 && left > PIPE_BUF ? PIPE_BUF : left;
        ssize_t n;

        if (out.signal_fd >= 0 && !may_write()) {
            out.result = OUTPUT_INTERRUPTED;
            break;
        }
        n = write(STDOUT_FILENO, p, piece);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return failed(errno);
        if (n > 0) {
            p += n;
            left -= (size_t)n;
        }
    }
    weft_buf_clear(&out.waiting);
    return out.result;
}

enum output_result output_flush_if_large(void)
{
    return out.waiting.len >= LARGE ? output_flush() : out.result;
}

bool output_is_open(void)
{
    return out.result == OUTPUT_OK;
}

int output_exit(void)
{
    return out.result == OUTPUT_FAILED && out.failed_errno != EPIPE ? EXIT_REFUSED : EXIT_DONE;
}
