#include <weft/loop/wake.h>

#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>
#include <h2o.h>

#include <weft/loop/mailbox.h>

struct weft_wake {
    struct weft_mailbox *mb;
    void (*after)(void *owner);
    void *owner;
    struct event *event; /* one of the two */
    h2o_socket_t *sock;
};

static void drain(struct weft_wake *wake)
{
    (void)weft_mailbox_drain(wake->mb);
    if (wake->after != NULL) {
        wake->after(wake->owner);
    }
}

static void event_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    drain(ctx);
}

static void sock_readable(h2o_socket_t *sock, const char *err)
{
    if (err == NULL) {
        drain(sock->data);
    }
}

static struct weft_wake *create(struct weft_mailbox *mb, void (*after)(void *owner), void *owner)
{
    struct weft_wake *wake = calloc(1, sizeof(*wake));

    if (wake != NULL) {
        wake->mb = mb;
        wake->after = after;
        wake->owner = owner;
    }
    return wake;
}

int weft_wake_on_event(struct weft_wake **ret_wake, struct event_base *base,
                       struct weft_mailbox *mb, void (*after)(void *owner), void *owner)
{
    struct weft_wake *wake = create(mb, after, owner);

    if (wake == NULL) {
        return WEFT_ENOMEM;
    }
    wake->event = event_new(base, weft_mailbox_fd(mb), EV_READ | EV_PERSIST, event_readable, wake);
    if (wake->event == NULL || event_add(wake->event, NULL) != 0) {
        weft_wake_destroy(wake);
        return WEFT_ESYS;
    }
    *ret_wake = wake;
    return 0;
}

int weft_wake_on_h2o(struct weft_wake **ret_wake, struct st_h2o_evloop_t *loop,
                     struct weft_mailbox *mb, void (*after)(void *owner), void *owner)
{
    struct weft_wake *wake = create(mb, after, owner);
    int fd;

    if (wake == NULL) {
        return WEFT_ENOMEM;
    }
    fd = dup(weft_mailbox_fd(mb)); /* h2o closes what it is given */
    if (fd < 0) {
        free(wake);
        return WEFT_ESYS;
    }
    wake->sock = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    wake->sock->data = wake;
    h2o_socket_read_start(wake->sock, sock_readable);
    *ret_wake = wake;
    return 0;
}

void weft_wake_destroy(struct weft_wake *wake)
{
    if (wake == NULL) {
        return;
    }
    if (wake->event != NULL) {
        event_free(wake->event);
    }
    if (wake->sock != NULL) {
        h2o_socket_close(wake->sock);
    }
    free(wake);
}
