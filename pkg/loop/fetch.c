#include <weft/loop/fetch.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <event2/event.h>

#include <weft/base/assert.h>

/*
 * libcurl tells which sockets it wants watched and when it wants to be called; libevent does it. Handles are
 * taken out of the multi handle only from here, never inside one of curl's callbacks.
 */

struct weft_fetch {
    struct weft_fetcher *fetcher;
    struct weft_fetch *prev, *next;
    CURL *easy;
    void *ctx;
    void (*done)(void *ctx, const struct weft_fetched *fetched);
    size_t left;   /* of the body */
    bool body_cut; /* there was more: the transfer was ended for that */
    char why[CURL_ERROR_SIZE];
};

struct weft_fetcher {
    struct event_base *base;
    CURLM *multi;
    struct event *timer;
    struct weft_fetch *first;
    size_t n, parallel;
    const char *user_agent;
};

/* ---- how it ended ---- */

static void unlink_fetch(struct weft_fetch *fetch)
{
    struct weft_fetcher *fetcher = fetch->fetcher;

    if (fetch->prev != NULL) {
        fetch->prev->next = fetch->next;
    } else {
        fetcher->first = fetch->next;
    }
    if (fetch->next != NULL) {
        fetch->next->prev = fetch->prev;
    }
    fetcher->n--;
}

static void free_fetch(struct weft_fetch *fetch)
{
    unlink_fetch(fetch);
    (void)curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
    curl_easy_cleanup(fetch->easy);
    free(fetch);
}

static uint64_t latency_ns(CURL *easy)
{
    curl_off_t us = 0;

    if (curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &us) != CURLE_OK || us <= 0) {
        (void)curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &us);
    }
    return us > 0 ? (uint64_t)us * 1000 : 0;
}

static void finish(struct weft_fetch *fetch, CURLcode code)
{
    struct weft_fetched fetched = {.latency_ns = latency_ns(fetch->easy)};
    void (*done)(void *ctx, const struct weft_fetched *fetched) = fetch->done;
    void *ctx = fetch->ctx;
    char why[CURL_ERROR_SIZE];
    long status = 0;

    (void)curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && fetch->body_cut)) {
        fetched.status = (int)status;
    } else {
        memcpy(why, fetch->why, sizeof(why));
        fetched.why = why[0] != '\0' ? why : curl_easy_strerror(code);
    }
    free_fetch(fetch);
    done(ctx, &fetched);
}

static void look_for_ends(struct weft_fetcher *fetcher)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(fetcher->multi, &left)) != NULL) {
        if (msg->msg == CURLMSG_DONE) {
            CURLcode code = msg->data.result; /* msg dies with the handle */
            char *fetch = NULL;

            (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &fetch);
            finish((struct weft_fetch *)(void *)fetch, code);
        }
    }
}

/* ---- between the two libraries ---- */

static void act(struct weft_fetcher *fetcher, curl_socket_t fd, int mask)
{
    int running;

    (void)curl_multi_socket_action(fetcher->multi, fd, mask, &running);
    look_for_ends(fetcher);
}

static void socket_ready(evutil_socket_t fd, short what, void *ctx)
{
    int mask = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
               ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);

    act(ctx, fd, mask);
}

static void timer_fired(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

/* Each socket has one event, made anew when the direction changes. */
static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct weft_fetcher *fetcher = ctx;
    struct event *event = socket_ctx;
    short events = EV_PERSIST;

    (void)easy;
    if (event != NULL) {
        event_free(event);
        event = NULL;
    }
    if (what != CURL_POLL_REMOVE) {
        events = (short)(events | ((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
                         ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0));
        event = event_new(fetcher->base, fd, events, socket_ready, fetcher);
        if (event != NULL && event_add(event, NULL) != 0) {
            event_free(event);
            event = NULL; /* then the timeout ends it */
        }
    }
    (void)curl_multi_assign(fetcher->multi, fd, event);
    return 0;
}

static int timer_wanted(CURLM *multi, long ms, void *ctx)
{
    struct weft_fetcher *fetcher = ctx;
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    (void)multi;
    if (ms < 0) {
        (void)event_del(fetcher->timer);
    } else {
        (void)event_add(fetcher->timer, &tv);
    }
    return 0;
}

static size_t body_came(char *bytes, size_t size, size_t n, void *ctx)
{
    struct weft_fetch *fetch = ctx;

    (void)bytes;
    n *= size;
    if (n > fetch->left) {
        fetch->body_cut = true;
        return 0; /* CURLE_WRITE_ERROR */
    }
    fetch->left -= n;
    return n;
}

/* ---- start ---- */

static bool configure(struct weft_fetch *fetch, const struct weft_fetch_opts *opts)
{
    CURL *easy = fetch->easy;
    bool ok = true;

#define SET(option, value) ok = curl_easy_setopt(easy, option, value) == CURLE_OK && ok
    SET(CURLOPT_URL, opts->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* the thread that looks up a name is not waited for */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)opts->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)opts->timeout_ms);
    SET(CURLOPT_FRESH_CONNECT, 1L); /* whether it takes connections is a part of the question */
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, fetch->fetcher->user_agent);
    SET(CURLOPT_WRITEFUNCTION, body_came);
    SET(CURLOPT_WRITEDATA, fetch);
    SET(CURLOPT_ERRORBUFFER, fetch->why);
    SET(CURLOPT_PRIVATE, fetch);
#undef SET
    return ok;
}

int weft_fetch_start(struct weft_fetch **ret_fetch, struct weft_fetcher *fetcher,
                     const struct weft_fetch_opts *opts)
{
    struct weft_fetch *fetch;

    if (fetcher->n >= fetcher->parallel) {
        return WEFT_EFULL;
    }
    fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL) {
        return WEFT_ENOMEM;
    }
    fetch->fetcher = fetcher;
    fetch->ctx = opts->ctx;
    fetch->done = opts->done;
    fetch->left = opts->body_bytes;
    fetch->easy = curl_easy_init();
    if (fetch->easy == NULL) {
        free(fetch);
        return WEFT_ENOMEM;
    }
    if (!configure(fetch, opts) ||
        curl_multi_add_handle(fetcher->multi, fetch->easy) != CURLM_OK) { /* begins by the timer */
        curl_easy_cleanup(fetch->easy);
        free(fetch);
        return WEFT_EINVAL;
    }
    fetch->next = fetcher->first;
    if (fetch->next != NULL) {
        fetch->next->prev = fetch;
    }
    fetcher->first = fetch;
    fetcher->n++;
    *ret_fetch = fetch;
    return 0;
}

void weft_fetch_cancel(struct weft_fetch *fetch)
{
    free_fetch(fetch);
}

/* ---- life ---- */

int weft_fetcher_create(struct weft_fetcher **ret_fetcher, struct event_base *base, size_t parallel,
                        const char *user_agent)
{
    struct weft_fetcher *fetcher = calloc(1, sizeof(*fetcher));

    if (fetcher == NULL) {
        return WEFT_ENOMEM;
    }
    fetcher->base = base;
    fetcher->parallel = parallel;
    fetcher->user_agent = user_agent;
    fetcher->multi = curl_multi_init();
    fetcher->timer = evtimer_new(base, timer_fired, fetcher);
    if (fetcher->multi == NULL || fetcher->timer == NULL) {
        weft_fetcher_destroy(fetcher);
        return WEFT_ENOMEM;
    }
    (void)curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    (void)curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
    (void)curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    (void)curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
    *ret_fetcher = fetcher;
    return 0;
}

void weft_fetcher_destroy(struct weft_fetcher *fetcher)
{
    if (fetcher == NULL) {
        return;
    }
    while (fetcher->first != NULL) {
        free_fetch(fetcher->first);
    }
    if (fetcher->multi != NULL) {
        (void)curl_multi_cleanup(fetcher->multi); /* may still unwatch sockets and the timer */
    }
    if (fetcher->timer != NULL) {
        event_free(fetcher->timer);
    }
    free(fetcher);
}
