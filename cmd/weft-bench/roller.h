/*
 * roller - restarts nodes of a stage while the clients' loop goes on: a thread that waits for a
 * node's end and for the new one to be ready.
 *
 * One restart at a time. The nodes get SIGTERM when the thread that started them ends, so it lives as
 * long as they do: roller_fini after stage_fini.
 */
#ifndef WEFT_BENCH_ROLLER_H
#define WEFT_BENCH_ROLLER_H

#include <pthread.h>
#include <stdatomic.h>

#include "stage.h"

enum roller_state { ROLLER_IDLE, ROLLER_ASKED, ROLLER_BACK, ROLLER_FAILED, ROLLER_QUIT };

struct roller {
    struct stage *stage;
    uint64_t stop_timeout_ms;
    pthread_t thread;
    atomic_int state; /* enum roller_state: who moves it on hands the rest over */
    unsigned node;
    struct server server; /* BACK: where the node listens now */
    uint64_t stop_ms;     /* BACK: from SIGTERM to its end */
};

void roller_init(struct roller *roller, struct stage *stage, uint64_t stop_timeout_ms);
void roller_fini(struct roller *roller);

/* When IDLE: SIGTERM for the node, then a new one. */
void roller_restart(struct roller *roller, unsigned node);
/* ASKED until it is BACK or FAILED (said on stderr); from then on it is IDLE. */
enum roller_state roller_look(struct roller *roller);
/* Until nothing is under way. */
void roller_await(struct roller *roller);

#endif
