/*
 * GET against a server in a thread that answers as its script says: status and body, slowly, never, garbage.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <event2/event.h>

#include <weft/loop/fetch.h>

#define HEAD(status) "HTTP/1.1 " status "\r\nConnection: close\r\n"

/* Writes the answer, then `more` again and again until the peer is gone; NULL: says nothing and waits for that. */
static const struct script {
    const char *name;
    const char *answer;
    const char *more;
    int status;
    const char *why; /* a part of it */
} scripts[] = {
    {"fine", HEAD("200 OK") "Content-Length: 2\r\n\r\nok", NULL, 200, NULL},
    {"bad", HEAD("503 Sorry") "Content-Length: 0\r\n\r\n", NULL, 503, NULL},
    {"elsewhere", HEAD("302 Found") "Location: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
     NULL, 302, NULL},
    {"endless body", HEAD("200 OK") "\r\n", "01234567890123456789012345678901234567890123456789",
     200, NULL},
    {"silent", NULL, NULL, 0, "timed out"},
    {"half a head", "HTTP/1.1 200 OK\r\nX: ", NULL, 0, "timed out"},
    {"endless head", "HTTP/1.1 200 OK\r\n", "X-A: 0123456789012345678901234567890123456789\r\n", 0,
     ""},
    {"garbage", "220 mail here\r\n\r\n", NULL, 0, ""},
};

static int listener;
static uint16_t port;
static const struct script
    *_Atomic script; /* set before the request; the server's thread reads it */

static void serve_one(int fd)
{
    const struct script *s;
    char bytes[4096];

    if (read(fd, bytes, sizeof(bytes)) <= 0) {
        return;
    }
    s = script;
    if (s->answer != NULL && write(fd, s->answer, strlen(s->answer)) < 0) {
        return;
    }
    while (s->more != NULL && send(fd, s->more, strlen(s->more), MSG_NOSIGNAL) > 0) {
    }
    if (s->status == 0 && s->why[0] != '\0') {
        (void)!read(fd, bytes, sizeof(bytes)); /* until the client has gone */
    }
}

static void *serve(void *arg)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0) {
            return arg;
        }
        serve_one(fd);
        close(fd);
    }
}

/* In place of the system's: a name server that says nothing until it is let go, or for five seconds. */
static sem_t let_go;
static atomic_bool name_looked_up;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    struct timespec until;

    (void)name;
    (void)service;
    (void)hints;
    (void)found;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    (void)sem_timedwait(&let_go, &until);
    name_looked_up = true;
    return EAI_FAIL;
}

struct answer {
    struct event_base *base;
    int n;
    int status;
    char why[CURL_ERROR_SIZE];
    uint64_t latency_ns;
};

static void done(void *ctx, const struct weft_fetched *fetched)
{
    struct answer *answer = ctx;

    answer->n++;
    answer->status = fetched->status;
    answer->latency_ns = fetched->latency_ns;
    (void)snprintf(answer->why, sizeof(answer->why), "%s",
                   fetched->why != NULL ? fetched->why : "");
    event_base_loopbreak(answer->base);
}

static struct event_base *base;
static struct weft_fetcher *fetcher;

static struct weft_fetch_opts to(struct answer *answer, const char *url)
{
    struct weft_fetch_opts o = {.url = url,
                                .connect_timeout_ms = 2000,
                                .timeout_ms = 300,
                                .body_bytes = 10000,
                                .ctx = answer,
                                .done = done};

    memset(answer, 0, sizeof(*answer));
    answer->base = base;
    return o;
}

static const char *url_of(char *url, size_t size, uint16_t to_port)
{
    (void)snprintf(url, size, "http://127.0.0.1:%u/health", to_port);
    return url;
}

static void every_answer_becomes_a_result(void **state)
{
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        struct weft_fetch *fetch;
        struct answer answer;
        char url[64];
        struct weft_fetch_opts o = to(&answer, url_of(url, sizeof(url), port));

        print_message("  %s\n", scripts[i].name);
        if (scripts[i].status != 0) {
            o.timeout_ms = 60000; /* whatever the machine is busy with */
        }
        script = &scripts[i];
        assert_int_equal(weft_fetch_start(&fetch, fetcher, &o), 0);
        while (answer.n == 0) {
            event_base_dispatch(base);
        }
        assert_int_equal(answer.status, scripts[i].status);
        if (scripts[i].status == 0) {
            assert_true(answer.why[0] != '\0');
            assert_non_null(strstr(answer.why, scripts[i].why));
        } else {
            assert_string_equal(answer.why, "");
            assert_true(answer.latency_ns > 0);
        }
    }
}

static void who_does_not_listen_is_told(void **state)
{
    struct weft_fetch *fetch;
    struct answer answer;
    char url[64];
    struct weft_fetch_opts o = to(&answer, url_of(url, sizeof(url), 1));

    assert_int_equal(weft_fetch_start(&fetch, fetcher, &o), 0);
    event_base_dispatch(base);
    assert_int_equal(answer.status, 0);
    assert_true(answer.why[0] != '\0');
}

static void a_name_that_is_not_found_in_time_is_not_waited_for(void **state)
{
    struct weft_fetch *fetch;
    struct answer answer;
    struct weft_fetch_opts o = to(&answer, "http://slow.test/");

    assert_int_equal(weft_fetch_start(&fetch, fetcher, &o), 0);
    while (answer.n == 0) {
        event_base_dispatch(base);
    }
    assert_false(name_looked_up);
    assert_int_equal(answer.status, 0);
    assert_non_null(strstr(answer.why, "timed out"));
    (void)sem_post(&let_go);
    while (!name_looked_up) {
        (void)usleep(1000);
    }
}

static void other_schemes_do_not_leave_the_node(void **state)
{
    static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/",
                                       "gopher://127.0.0.1/", "dict://127.0.0.1/", "nonsense://x"};

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct weft_fetch *fetch;
        struct answer answer;
        struct weft_fetch_opts o = to(&answer, urls[i]);

        assert_int_equal(weft_fetch_start(&fetch, fetcher, &o), 0);
        event_base_dispatch(base);
        assert_int_equal(answer.n, 1);
        assert_int_equal(answer.status, 0);
    }
}

static void too_many_are_refused_and_one_can_be_given_up(void **state)
{
    struct weft_fetch *fetches[3];
    struct answer answer;
    char url[64];
    struct weft_fetch_opts o = to(&answer, url_of(url, sizeof(url), port));

    script = &scripts[4];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_fetch_start(&fetches[i], fetcher, &o), 0);
    }
    assert_int_equal(weft_fetch_start(&fetches[2], fetcher, &o), WEFT_EFULL);
    event_base_loop(base, EVLOOP_ONCE);
    weft_fetch_cancel(fetches[0]);
    assert_int_equal(weft_fetch_start(&fetches[2], fetcher, &o), 0);
    /* The other two are given up by destroy. */
    assert_int_equal(answer.n, 0);
}

static int setup(void **state)
{
    base = event_base_new();
    return weft_fetcher_create(&fetcher, base, 2, "weft-test");
}

static int teardown(void **state)
{
    weft_fetcher_destroy(fetcher);
    event_base_free(base);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_answer_becomes_a_result, setup, teardown),
        cmocka_unit_test_setup_teardown(who_does_not_listen_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_is_not_found_in_time_is_not_waited_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(other_schemes_do_not_leave_the_node, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_are_refused_and_one_can_be_given_up, setup,
                                        teardown),
    };
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(in);
    pthread_t thread;
    int failed;

    (void)sem_init(&let_go, 0, 0);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&in, sizeof(in)) != 0 || listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&in, &len) != 0 ||
        pthread_create(&thread, NULL, serve, NULL) != 0) {
        return 1;
    }
    port = ntohs(in.sin_port);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
    curl_global_cleanup();
    return failed;
}
