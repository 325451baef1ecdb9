/*
 * child - programs that the suite starts and ends, each by its pid.
 *
 * What a child prints goes to a file, so that it never waits for us. Children get SIGTERM when the
 * suite ends in any way.
 */
#ifndef WEFT_BENCH_CHILD_H
#define WEFT_BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILDREN_MAX 8

struct child {
    const char *name;
    pid_t pid; /* 0: not running */
    char log[512];
};

/* Starts argv[0] with stdout and stderr in log. False: said on stderr. */
bool child_start(struct child *child, const char *name, const char *log, const char *const argv[]);

/* Waits for the line of the log that tells where it listens; HOST:PORT in ret_address. */
bool child_address(struct child *child, char *ret_address, size_t size);

/* SIGTERM, then SIGKILL after some seconds; waits. Accepts one that does not run. */
void child_stop(struct child *child);
/* The same with a time of one's own. False: it was killed. */
bool child_stop_in(struct child *child, uint64_t timeout_ms);

/* The end of its log, on stderr: after it failed. */
void child_show_log(const struct child *child);

#endif
