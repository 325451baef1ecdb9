#include "poller.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <weft/base/assert.h>

#define TURN_EVENTS 512

void poller_init(struct poller *poller)
{
    poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    WEFT_ASSERT(poller->epoll_fd >= 0);
}

void poller_fini(struct poller *poller)
{
    close(poller->epoll_fd);
}

static void control(struct poller *poller, int op, struct io *io, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = io};

    WEFT_ASSERT(epoll_ctl(poller->epoll_fd, op, io->fd, &ev) == 0);
}

void poller_add(struct poller *poller, struct io *io, uint32_t events)
{
    control(poller, EPOLL_CTL_ADD, io, events);
}

void poller_change(struct poller *poller, struct io *io, uint32_t events)
{
    control(poller, EPOLL_CTL_MOD, io, events);
}

void poller_turn(struct poller *poller, uint64_t wait_ns)
{
    struct epoll_event ready[TURN_EVENTS];
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                            .tv_nsec = (long)(wait_ns % 1000000000)};
    int n = epoll_pwait2(poller->epoll_fd, ready, TURN_EVENTS, &wait, NULL);

    if (n < 0 && errno == ENOSYS) /* before Linux 5.11: rounded up to a millisecond */
        n = epoll_wait(poller->epoll_fd, ready, TURN_EVENTS, (int)((wait_ns + 999999) / 1000000));
    for (int i = 0; i < n; i++) {
        struct io *io = ready[i].data.ptr;

        io->ready(io, ready[i].events);
    }
}
