/*
 * The breaker in Lua, on a real Redis, and its twin in C: 10,000 random schedules of calls, results, permits, forces and
 * changes of configuration, in virtual time, with a clock that goes back at times. After every step both say the same of
 * everything. A breaker that is removed is made again at once; no permit is ever given twice.
 *
 * WEFT_SEED replays a run, WEFT_SCHEDULES makes it longer or shorter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hiredis.h>

#include <weft/base/random.h>
#include <weft/guard/breaker.h>

#include "../../../pkg/redis/functions_priv.h"

#define STEPS     60
#define NODES     4
#define START_MS  UINT64_C(1795314948000)
#define ARGS_MAX  32
#define REMOVED   "1"
#define SEED_STEP UINT64_C(0x9e3779b97f4a7c15)

static char folder[] = "/tmp/weft-breaker-XXXXXX";
static char sock[64];
static pid_t server;
static redisContext *cn;

static int start_redis(void **state)
{
    struct timespec nap = {.tv_nsec = 20000000};

    assert_non_null(mkdtemp(folder));
    (void)snprintf(sock, sizeof(sock), "%s/redis.sock", folder);
    server = fork();
    if (server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", sock, "--save",
                     "", "--dir", folder, "--logfile", "redis.log", NULL);
        _exit(127);
    }
    for (int i = 0; i < 500; i++) {
        cn = redisConnectUnix(sock);
        if (cn != NULL && cn->err == 0) {
            redisReply *r = redisCommand(cn, "FUNCTION LOAD %b", weft_redis_functions_source,
                                         weft_redis_functions_source_len);

            assert_non_null(r);
            assert_string_equal(r->str, "weft1");
            freeReplyObject(r);
            return 0;
        }
        redisFree(cn);
        cn = NULL;
        (void)nanosleep(&nap, NULL);
    }
    return -1;
}

static int stop_redis(void **state)
{
    char path[96];

    redisFree(cn);
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    (void)snprintf(path, sizeof(path), "%s/redis.log", folder);
    (void)unlink(path);
    (void)unlink(sock);
    (void)rmdir(folder);
    return 0;
}

/* ---- the same step for both ---- */

struct schedule {
    uint64_t rng;
    uint64_t seed;
    uint64_t now;
    uint64_t newest; /* the clock may have gone back since */
    struct weft_breaker *model;
    struct weft_permit permits[STEPS]; /* that the model gave */
    size_t n_permits;
    char expected[2 * STEPS + 2][320]; /* what Redis has to say to each step */
    size_t n;
};

static uint64_t below(struct schedule *s, uint64_t n)
{
    return weft_random_next(&s->rng) % n;
}

static uint64_t pick(struct schedule *s, const uint64_t *list, size_t n)
{
    return list[below(s, n)];
}

#define PICK(s, ...)                           \
    pick((s), (const uint64_t[]){__VA_ARGS__}, \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* FCALL name, 4 keys, the channel and the breaker's name, then args; the time comes last. */
static void call(struct schedule *s, const char *function, size_t n,
                 char args[][WEFT_PERMIT_MAX_LEN])
{
    const char *argv[ARGS_MAX] = {"FCALL",   function,    "4",        "b", "b:window",
                                  "b:nodes", "b:permits", "breakers", "b"};
    char now[24];
    size_t argc = 9;

    for (size_t i = 0; i < n; i++) {
        argv[argc++] = args[i];
    }
    (void)snprintf(now, sizeof(now), "%llu", (unsigned long long)s->now);
    argv[argc++] = now;
    assert_int_equal(redisAppendCommandArgv(cn, (int)argc, argv, NULL), REDIS_OK);
}

static void put_u64(char out[WEFT_PERMIT_MAX_LEN], uint64_t v)
{
    (void)snprintf(out, 24, "%llu", (unsigned long long)v);
}

/* `<head> <line>` */
static void expect(struct schedule *s, const char *head)
{
    struct weft_breaker_view view;
    struct weft_buf b;

    weft_buf_init(&b, 300);
    weft_buf_puts(&b, head);
    weft_breaker_view(s->model, s->now, &view);
    weft_breaker_view_print(&b, &view);
    assert_false(b.toobig);
    memcpy(s->expected[s->n++], b.data, b.len + 1);
    weft_buf_fini(&b);
}

static void configure(struct schedule *s, bool new)
{
    struct weft_breaker_config cfg;
    char args[11][WEFT_PERMIT_MAX_LEN];

    weft_breaker_config_init(&cfg);
    cfg.mode = (unsigned)below(s, 2);
    cfg.without_redis = (unsigned)below(s, 3);
    cfg.failure_threshold = 1 + below(s, 6);
    cfg.failure_rate = PICK(s, 1, 10, 33, 50, 67, 100);
    cfg.min_calls = 1 + below(s, 12);
    cfg.success_threshold = 1 + below(s, 4);
    cfg.timeout_ms = PICK(s, 1, 100, 2500, 30000);
    cfg.time_window_ms = PICK(s, 1000, 1001, 5000, 60000);
    cfg.half_open_permits = 1 + below(s, 4);
    cfg.permit_ms = PICK(s, 10, 700, 10000);
    cfg.quorum = 1 + below(s, 3);
    (void)snprintf(args[0], 24, "%s", weft_breaker_mode_words[cfg.mode]);
    put_u64(args[1], cfg.failure_threshold);
    put_u64(args[2], cfg.failure_rate);
    put_u64(args[3], cfg.min_calls);
    put_u64(args[4], cfg.success_threshold);
    put_u64(args[5], cfg.timeout_ms);
    put_u64(args[6], cfg.time_window_ms);
    put_u64(args[7], cfg.half_open_permits);
    put_u64(args[8], cfg.permit_ms);
    put_u64(args[9], cfg.quorum);
    (void)snprintf(args[10], 24, "%s", weft_without_words[cfg.without_redis]);
    call(s, "weft1_breaker_configure", 11, args);
    if (new) {
        s->model = weft_breaker_create(&cfg, s->now);
    } else {
        weft_breaker_configure(s->model, &cfg, s->now);
    }
    expect(s, new ? "1 " : "0 ");
}

static void acquire(struct schedule *s)
{
    struct weft_breaker_answer a;
    char permit[WEFT_PERMIT_MAX_LEN];
    char head[100];

    call(s, "weft1_breaker_acquire", 0, NULL);
    weft_breaker_acquire(s->model, s->now, &a);
    (void)weft_permit_print(permit, a.permit);
    (void)snprintf(head, sizeof(head), "%d %s %llu ", a.allowed, permit,
                   (unsigned long long)a.wait_ms);
    expect(s, head);
    if (a.permit.number > 0) {
        for (size_t i = 0; i < s->n_permits; i++) {
            assert_false(s->permits[i].epoch == a.permit.epoch &&
                         s->permits[i].number == a.permit.number);
        }
        s->permits[s->n_permits++] = a.permit;
    }
}

static void report(struct schedule *s)
{
    struct weft_breaker_view view;
    uint32_t node = (uint32_t)below(s, NODES);
    uint64_t good = PICK(s, 0, 0, 1, 2, 10);
    uint64_t bad = PICK(s, 0, 1, 1, 1, 2, 4);
    uint64_t epoch;
    char args[6][WEFT_PERMIT_MAX_LEN] = {{0}};

    weft_breaker_view(s->model, s->now, &view);
    epoch = PICK(s, 0, view.epoch, view.epoch, view.epoch, view.epoch - 1);
    (void)snprintf(args[0], 24, "node-%u", node);
    put_u64(args[1], epoch);
    put_u64(args[2], good);
    put_u64(args[3], bad);
    call(s, "weft1_breaker_report", 6, args);
    expect(s, weft_breaker_report(s->model, node, epoch, good, bad, s->now) ? "1 " : "0 ");
}

/* Mostly one that was given a short while ago. */
static struct weft_permit some_permit(struct schedule *s)
{
    if (s->n_permits > 0 && below(s, 20) > 0) {
        return s->permits[s->n_permits - 1 - below(s, s->n_permits < 5 ? s->n_permits : 5)];
    }
    return (struct weft_permit){s->now + below(s, 3), 1};
}

static void give_back(struct schedule *s)
{
    struct weft_permit permit = some_permit(s);
    char args[1][WEFT_PERMIT_MAX_LEN];

    (void)weft_permit_print(args[0], permit);
    call(s, "weft1_breaker_give_back", 1, args);
    expect(s, weft_breaker_give_back(s->model, permit) ? "1 " : "0 ");
}

static void settle(struct schedule *s)
{
    struct weft_permit permit = some_permit(s);
    bool success = below(s, 3) > 0;
    char args[6][WEFT_PERMIT_MAX_LEN] = {"node-0", "0", "0", "0"};

    (void)weft_permit_print(args[4], permit);
    (void)snprintf(args[5], sizeof(args[5]), "%s", success ? "success" : "failure");
    call(s, "weft1_breaker_report", 6, args);
    expect(s, weft_breaker_settle(s->model, permit, success, s->now) ? "1 " : "0 ");
}

static void force(struct schedule *s)
{
    unsigned f = (unsigned)PICK(s, WEFT_BREAKER_FORCE_OPEN, WEFT_BREAKER_FORCE_CLOSED,
                                WEFT_BREAKER_FORCE_DISABLED, WEFT_BREAKER_FORCE_AUTO,
                                WEFT_BREAKER_FORCE_AUTO, WEFT_BREAKER_FORCE_AUTO);
    char args[1][WEFT_PERMIT_MAX_LEN];

    (void)snprintf(args[0], 24, "%s", weft_breaker_force_words[f]);
    call(s, "weft1_breaker_force", 1, args);
    expect(s, weft_breaker_force(s->model, (enum weft_breaker_force)f, s->now) ? "1 " : "0 ");
}

/* Removed, and made again; by a clock that has passed all that it has shown before. */
static void make_again(struct schedule *s)
{
    s->now = s->newest + 100;
    call(s, "weft1_breaker_remove", 0, NULL);
    (void)snprintf(s->expected[s->n++], sizeof(s->expected[0]), "%s", REMOVED);
    weft_breaker_destroy(s->model);
    configure(s, true);
}

/* ---- comparing ---- */

static void check(const struct schedule *s, size_t step, const redisReply *r)
{
    char said[400] = REMOVED " ";
    size_t len = r->type == REDIS_REPLY_INTEGER ? strlen(said) : 0;

    if (r->type == REDIS_REPLY_ERROR) {
        fail_msg("seed %llu, step %zu: %s", (unsigned long long)s->seed, step, r->str);
    }
    for (size_t i = 0; i < r->elements; i++) {
        const redisReply *e = r->element[i];

        len += (size_t)(e->type == REDIS_REPLY_INTEGER
                            ? snprintf(said + len, sizeof(said) - len, "%lld ", e->integer)
                            : snprintf(said + len, sizeof(said) - len, "%s ", e->str));
        assert_true(len < sizeof(said));
    }
    said[len > 0 ? len - 1 : 0] = '\0';
    if (strcmp(said, s->expected[step]) != 0) {
        fail_msg("seed %llu, step %zu:\n Redis %s\n model %s", (unsigned long long)s->seed, step,
                 said, s->expected[step]);
    }
}

static void run(uint64_t seed)
{
    static struct schedule s;
    size_t steps = 0;
    redisReply *r;

    memset(&s, 0, sizeof(s));
    s.seed = seed;
    s.rng = seed | 1;
    s.now = START_MS + below(&s, 1000);
    configure(&s, true);
    while (++steps < STEPS) {
        s.now += PICK(&s, 0, 0, 1, 5, 90, 400, 1000, 2600, 31000);
        s.newest = s.now > s.newest ? s.now : s.newest;
        if (below(&s, 30) == 0) {
            s.now -= PICK(&s, 1, 7, 90, 2600, 31000, 3600000);
        }
        switch (below(&s, 22)) {
        case 0:
            force(&s);
            break;
        case 1:
            configure(&s, false);
            break;
        case 2:
        case 3:
        case 4:
        case 5:
        case 6:
        case 7:
            report(&s);
            break;
        case 8:
        case 9:
        case 10:
        case 11:
            settle(&s);
            break;
        case 12:
            give_back(&s);
            break;
        case 13:
            if (below(&s, 4) == 0) {
                make_again(&s);
            }
            break;
        default:
            acquire(&s);
            break;
        }
    }
    call(&s, "weft1_breaker_remove", 0, NULL);
    for (size_t i = 0; i < s.n; i++) {
        assert_int_equal(redisGetReply(cn, (void **)&r), REDIS_OK);
        check(&s, i, r);
        freeReplyObject(r);
    }
    assert_int_equal(redisGetReply(cn, (void **)&r), REDIS_OK);
    assert_int_equal(r->integer, 1);
    freeReplyObject(r);
    weft_breaker_destroy(s.model);
}

static uint64_t number_of(const char *name, uint64_t def)
{
    const char *text = getenv(name);

    return text == NULL ? def : strtoull(text, NULL, 10);
}

static void redis_never_differs_from_the_model(void **state)
{
    uint64_t seed = number_of("WEFT_SEED", (uint64_t)time(NULL));
    uint64_t n = number_of("WEFT_SCHEDULES", 10000);

    print_message("WEFT_SEED=%llu\n", (unsigned long long)seed);
    for (uint64_t i = 0; i < n; i++) {
        run(seed + i * SEED_STEP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_never_differs_from_the_model),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
