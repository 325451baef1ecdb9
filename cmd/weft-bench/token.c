/*
 * weft-bench token - what it costs to check a token, for each algorithm, and to ask a grant.
 *
 * In this process, without a server: all that a worker does for a token that it has not seen, JSON and
 * claims included, from a token of the usual size. CPU time, the median of several runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/auth/sign.h>
#include <weft/auth/token.h>
#include <weft/base/assert.h>
#include <weft/base/clock.h>

#include "bench.h"

#define RUNS    5
#define TEXT    65536
#define GRANTS  1000
#define SIGNING "HS256", "RS256", "PS256", "ES256", "ES384", "ES512"

struct subject {
    struct weft_buf keys, token;
    struct weft_keyring *ring;
    struct weft_token_policy policy;
};

static void begin(struct subject *s, const char *alg)
{
    struct weft_buf claims;

    weft_buf_init(&s->keys, TEXT);
    weft_buf_init(&s->token, TEXT);
    weft_buf_init(&claims, TEXT);
    s->policy = (struct weft_token_policy){.now_ms = weft_clock_wall_ms(), .needs_expiry = true};
    weft_buf_printf(&claims,
                    "{\"sub\":\"shop\",\"jti\":\"0123456789abcdef\",\"exp\":%lld,\"weft\":"
                    "{\"publish\":[\"orders\",\"shop:*\"],\"subscribe\":[\"*:log\",\"shop:*\"]}}",
                    (long long)s->policy.now_ms / 1000 + 3600);
    WEFT_ASSERT(weft_sign_make_key(&s->keys, weft_str(alg, strlen(alg)), WEFT_STR("k"), NULL) == 0);
    WEFT_ASSERT(weft_token_sign(&s->token, weft_str(s->keys.data, s->keys.len), WEFT_STR(""),
                                WEFT_STR(""), weft_str(claims.data, claims.len), NULL) == 0);
    WEFT_ASSERT(weft_keyring_parse(&s->ring, weft_str(s->keys.data, s->keys.len), NULL) == 0);
    weft_buf_fini(&claims);
}

static void end(struct subject *s)
{
    weft_keyring_unref(s->ring);
    weft_buf_fini(&s->keys);
    weft_buf_fini(&s->token);
}

static struct weft_grant *check(const struct subject *s)
{
    struct weft_grant *grant = NULL;

    WEFT_ASSERT(weft_token_check(s->ring, weft_str(s->token.data, s->token.len), &s->policy, &grant,
                                 NULL) == 0);
    return grant;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Of this thread: others on the machine do not count. */
static double cpu_us(void)
{
    struct timespec now;

    WEFT_ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double median_us(const struct subject *s, uint64_t count,
                        void (*once)(const struct subject *))
{
    double us[RUNS];

    for (size_t run = 0; run < RUNS; run++) {
        double from_us = cpu_us();

        for (uint64_t i = 0; i < count; i++)
            once(s);
        us[run] = (cpu_us() - from_us) / (double)count;
    }
    qsort(us, RUNS, sizeof(us[0]), ascending);
    return us[RUNS / 2];
}

static void check_once(const struct subject *s)
{
    weft_grant_unref(check(s));
}

static void ask_many(const struct subject *s)
{
    struct weft_grant *grant = check(s);

    for (int i = 0; i < GRANTS; i++)
        WEFT_ASSERT(weft_grant_may_subscribe(grant, WEFT_STR("shop:42:*")) &&
                    !weft_grant_may_publish(grant, WEFT_STR("other")));
    weft_grant_unref(grant);
}

int token_run(int argc, char **argv)
{
    static const char *const algs[] = {SIGNING};
    static const char *const labels[] = {
        "HS256, CPU us a check", "RS256", "PS256", "ES256", "ES384", "ES512"};
    static const char *const keys[] = {"us_hs256", "us_rs256", "us_ps256",
                                       "us_es256", "us_es384", "us_es512"};
    struct args_list words;
    struct report report;
    struct subject s;
    uint64_t count = 1000;
    bool json = false;
    double check_us;
    const struct arg table[] = {
        ARG_IS_NUMBER("count", 1, 1000000, &count, "checks in each of five runs (default: 1000)"),
        ARG_IS_FLAG("json", &json, "print one JSON object"),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 0, 0, &words)) {
    case ARGS_HELP:
        puts("usage: weft-bench token [options]\n");
        args_print(table);
        return BENCH_GOOD;
    case ARGS_BAD:
        return BENCH_USAGE;
    case ARGS_OK:
        break;
    }
    report_init(&report, "token");
    for (size_t i = 0; i < WEFT_COUNT_OF(algs); i++) {
        begin(&s, algs[i]);
        report_add(&report, keys[i], labels[i], median_us(&s, count, check_once), 1);
        end(&s);
    }
    begin(&s, "HS256");
    check_us = median_us(&s, count, check_once);
    report_add(&report, "us_asks", "us of two questions to a grant",
               (median_us(&s, count / 10 + 1, ask_many) - check_us) / GRANTS, 3);
    end(&s);
    report_print(&report, json);
    return BENCH_GOOD;
}
