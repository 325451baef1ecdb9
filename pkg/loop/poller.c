#include <weft/loop/poller.h>

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <h2o.h>

#include <weft/base/assert.h>

#define EVENTS_MAX 256

struct weft_poller {
    int fd;
    h2o_socket_t *sock;
    struct epoll_event events[EVENTS_MAX]; /* of the turn */
    int n;
};

static void set_ready(h2o_socket_t *sock, const char *err)
{
    struct weft_poller *poller = sock->data;

    if (err != NULL) {
        return;
    }
    poller->n = epoll_wait(poller->fd, poller->events, EVENTS_MAX, 0);
    for (int i = 0; i < poller->n; i++) {
        struct weft_poll *poll = poller->events[i].data.ptr;
        uint32_t what = poller->events[i].events;

        if (poll != NULL) { /* NULL: removed in this turn */
            poll->ready(poll, (what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0,
                        (what & EPOLLOUT) != 0);
        }
    }
    poller->n = 0; /* more than EVENTS_MAX ready: the set stays readable, the loop comes back */
}

int weft_poller_create(struct weft_poller **ret_poller, struct st_h2o_evloop_t *loop)
{
    struct weft_poller *poller = calloc(1, sizeof(*poller));

    if (poller == NULL) {
        return WEFT_ENOMEM;
    }
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0) {
        free(poller);
        return WEFT_ESYS;
    }
    poller->sock = h2o_evloop_socket_create(loop, poller->fd, H2O_SOCKET_FLAG_DONT_READ);
    poller->sock->data = poller;
    h2o_socket_read_start(poller->sock, set_ready);
    *ret_poller = poller;
    return 0;
}

void weft_poller_destroy(struct weft_poller *poller)
{
    if (poller == NULL) {
        return;
    }
    h2o_socket_close(poller->sock); /* closes the descriptor */
    free(poller);
}

int weft_poller_add(struct weft_poller *poller, struct weft_poll *poll)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = poll};

    return epoll_ctl(poller->fd, EPOLL_CTL_ADD, poll->fd, &ev) == 0 ? 0 : WEFT_ESYS;
}

void weft_poller_remove(struct weft_poller *poller, struct weft_poll *poll)
{
    (void)epoll_ctl(poller->fd, EPOLL_CTL_DEL, poll->fd, NULL);
    for (int i = 0; i < poller->n; i++) {
        if (poller->events[i].data.ptr == poll) {
            poller->events[i].data.ptr = NULL;
        }
    }
}
