/*
 * proc - what a process has used so far, read from /proc.
 */
#ifndef WEFT_BENCH_PROC_H
#define WEFT_BENCH_PROC_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Nanoseconds of CPU of all its threads (schedstat; utime + stime, in ticks of 10 ms, where the
 * kernel has none). pid 0 stands for a process that nobody named: 0.
 */
uint64_t proc_cpu_ns(uint64_t pid);

/* This process. */
uint64_t proc_own_cpu_ns(void);

/* Resident memory in KiB; 0 if the process is gone. */
uint64_t proc_rss_kib(uint64_t pid);

/* Whether there is such a process; false is said on stderr, with the name of the option. */
bool proc_exists(uint64_t pid, const char *option);

#endif
