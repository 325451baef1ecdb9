/*
 * bench - what every scenario is given: the servers, whose CPU to watch, and how long it may take.
 *
 * A scenario is a plan (its options) and a function that carries it out and fills a report. It
 * starts no process. Everything is bounded: in number by the plan, in time by timeout_ms.
 */
#ifndef WEFT_BENCH_BENCH_H
#define WEFT_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "args.h"
#include "report.h"
#include "server.h"

struct bench {
    struct server servers[SERVERS_MAX];
    uint32_t n_servers;
    uint64_t server_pid; /* 0: not known */
    uint64_t redis_pid;
    uint64_t timeout_ms;
};

/* The options that all scenarios share. */
struct bench_options {
    struct args_list urls;
    uint64_t server_pid, redis_pid, timeout_ms;
    bool allow_remote;
    bool json;
};

#define BENCH_TIMEOUT_MS 120000

/* clang-format off */
#define BENCH_OPTIONS(o) \
    ARG_IS_LIST("url", "URL", &(o)->urls, "the server (default: http://127.0.0.1:8080)"), \
    ARG_IS_NUMBER("server-pid", 1, 4194304, &(o)->server_pid, \
                  "measure the CPU and memory of this process"), \
    ARG_IS_NUMBER("redis-pid", 1, 4194304, &(o)->redis_pid, "and of its Redis"), \
    ARG_IS_SECONDS("timeout", &(o)->timeout_ms, "give up after so long (default: 120)"), \
    ARG_IS_FLAG("allow-remote", &(o)->allow_remote, "the server may be another machine"), \
    ARG_IS_FLAG("json", &(o)->json, "print one JSON object")
/* clang-format on */

struct publish_plan {
    uint64_t connections, count, batch, size, topics;
};
#define PUBLISH_PLAN                                                           \
    {                                                                          \
        .connections = 1, .count = 20000, .batch = 1, .size = 128, .topics = 1 \
    }
void publish_measure(const struct bench *bench, const struct publish_plan *plan,
                     struct report *report);

struct fanout_plan {
    uint64_t subscribers, topics, events, rate, connections, batch, size;
    uint64_t
        window; /* at full speed: events published but not yet delivered to all; 0: any number */
    bool ws;    /* over WebSockets */
};
#define FANOUT_PLAN                                                                     \
    {                                                                                   \
        .subscribers = 100, .topics = 1, .events = 1000, .rate = 100, .connections = 1, \
        .batch = 1, .size = 128, .window = 512                                          \
    }
void fanout_measure(const struct bench *bench, const struct fanout_plan *plan,
                    struct report *report);

struct idle_plan {
    uint64_t subscribers, topics;
    bool ws; /* WebSockets */
};
#define IDLE_PLAN                          \
    {                                      \
        .subscribers = 1000, .topics = 100 \
    }
void idle_measure(const struct bench *bench, const struct idle_plan *plan, struct report *report);

struct replay_plan {
    uint64_t subscribers, events, size;
};
#define REPLAY_PLAN                                     \
    {                                                   \
        .subscribers = 200, .events = 1000, .size = 128 \
    }
void replay_measure(const struct bench *bench, const struct replay_plan *plan,
                    struct report *report);

struct storm_plan {
    uint64_t subscribers, topics, events, rate, spread_ms, seed;
};
#define STORM_PLAN                                                                         \
    {                                                                                      \
        .subscribers = 1000, .topics = 10, .events = 2000, .rate = 500, .spread_ms = 1000, \
        .seed = 1                                                                          \
    }
void storm_measure(const struct bench *bench, const struct storm_plan *plan, struct report *report);

struct churn_plan {
    uint64_t subscribers, topics, events, rate, connections, life_ms, away_ms, seed;
};
#define CHURN_PLAN                                                                         \
    {                                                                                      \
        .subscribers = 200, .topics = 20, .events = 20000, .rate = 2000, .connections = 4, \
        .life_ms = 500, .away_ms = 50, .seed = 1                                           \
    }
void churn_measure(const struct bench *bench, const struct churn_plan *plan, struct report *report);

struct resume_plan {
    uint64_t events, workers;
};
#define RESUME_PLAN                     \
    {                                   \
        .events = 1000000, .workers = 0 \
    }

struct roll_plan {
    uint64_t subscribers, topics, rate, connections, period_ms, max_per_s, workers, timeout_ms,
        seed;
};
#define ROLL_PLAN                                                                             \
    {                                                                                         \
        .subscribers = 3000, .topics = 30, .rate = 100, .connections = 4, .period_ms = 10000, \
        .timeout_ms = 180000, .seed = 1                                                       \
    }
struct stall_plan {
    uint64_t subscribers, stalled, topics, events, rate, size;
    const char *slow; /* the policy */
};
#define STALL_PLAN                                                                    \
    {                                                                                 \
        .subscribers = 1000, .stalled = 500, .topics = 1, .events = 500, .rate = 100, \
        .size = 1024, .slow = "replay"                                                \
    }
void stall_measure(const struct bench *bench, const struct stall_plan *plan, struct report *report);

struct ws_plan {
    uint64_t subscribers, events, rate, batch, size, rounds, idle;
};
#define WS_PLAN                                                                               \
    {                                                                                         \
        .subscribers = 1000, .events = 300, .rate = 50, .batch = 1, .size = 128, .rounds = 3, \
        .idle = 2000                                                                          \
    }

/* The commands: argv[0] is the name; they return the exit code. */
int publish_run(int argc, char **argv);
int fanout_run(int argc, char **argv);
int idle_run(int argc, char **argv);
int replay_run(int argc, char **argv);
int storm_run(int argc, char **argv);
int churn_run(int argc, char **argv);
int resume_run(int argc, char **argv);
int roll_run(int argc, char **argv);
int guard_run(int argc, char **argv);
int limits_run(int argc, char **argv);
int token_run(int argc, char **argv);
int stall_run(int argc, char **argv);
int ws_run(int argc, char **argv);
int suite_run(int argc, char **argv);

enum { BENCH_GOOD = 0, BENCH_FAILED = 1, BENCH_USAGE = 2 };

/*
 * Parses a command's options and makes *bench of the shared ones. about: the help's first lines. 0,
 * or what the command has to return at once in *ret_code.
 */
bool bench_begin(struct bench *bench, struct bench_options *opt, const struct arg *table,
                 const char *about, int argc, char **argv, int *ret_code);

/* Prints the report; the exit code. */
int bench_end(const struct report *report, bool json);

#endif
