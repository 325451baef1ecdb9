/*
 * sim_judge - what a client's program (sim_client.c) shows the one that judges what it got.
 */
#ifndef WEFT_SIM_JUDGE_H
#define WEFT_SIM_JUDGE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim_client.h"

#define BAD(c, ...)                              \
    do {                                         \
        print_error("client %u: ", (c)->number); \
        print_error(__VA_ARGS__);                \
        fail();                                  \
    } while (0)

void sim_judge_opened(struct sim_client *c);
/* It is told gaps. */
void sim_judge_gaps(struct sim_client *c);
void sim_judge_event(struct sim_client *c, const struct weft_batch *batch, uint32_t i);
/* It has gone, with its cursor: every event up to there has come, or never will. */
void sim_judge_left(struct sim_client *c);

#endif
