#include <weft/loop/timer.h>

#include <stdlib.h>

#include <event2/event.h>

struct weft_timer {
    struct event *event;
    void (*due)(void *ctx);
    void *ctx;
};

static void fired(evutil_socket_t fd, short what, void *arg)
{
    struct weft_timer *timer = arg;

    (void)fd;
    (void)what;
    timer->due(timer->ctx);
}

int weft_timer_create(struct weft_timer **ret_timer, struct event_base *base,
                      void (*due)(void *ctx), void *ctx)
{
    struct weft_timer *timer = calloc(1, sizeof(*timer));

    if (timer == NULL) {
        return WEFT_ENOMEM;
    }
    timer->due = due;
    timer->ctx = ctx;
    timer->event = evtimer_new(base, fired, timer);
    if (timer->event == NULL) {
        free(timer);
        return WEFT_ENOMEM;
    }
    *ret_timer = timer;
    return 0;
}

void weft_timer_destroy(struct weft_timer *timer)
{
    if (timer != NULL) {
        event_free(timer->event);
        free(timer);
    }
}

void weft_timer_set(struct weft_timer *timer, uint32_t ms)
{
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

    (void)event_add(timer->event, &tv);
}

void weft_timer_cancel(struct weft_timer *timer)
{
    (void)event_del(timer->event);
}

bool weft_timer_is_set(const struct weft_timer *timer)
{
    return event_pending(timer->event, EV_TIMEOUT, NULL) != 0;
}
