/*
 * stage - the programs that the suite measures: a private Redis, nodes, bare writers.
 *
 * They live in a temporary folder, on loopback ports of their own, and are gone when the stage is.
 */
#ifndef WEFT_BENCH_STAGE_H
#define WEFT_BENCH_STAGE_H

#include <stdbool.h>

#include "bench.h"
#include "child.h"

#define STAGE_NODES 3

struct stage {
    char bin[512]; /* where weftd and weft-bare-writer are */
    char dir[256];
    uint64_t workers; /* of a node; 0: its default */
    struct child redis;
    struct child nodes[STAGE_NODES];
    struct child single, coalesce; /* bare writers */
};

/*
 * Makes the folder and starts Redis. bin: where weftd is; NULL: beside this program. False: said on stderr; stage_fini all the
 * same.
 */
bool stage_init(struct stage *stage, const char *bin, uint64_t workers);
void stage_fini(struct stage *stage);

/* Starts node i (below STAGE_NODES) afresh; *ret_bench is ready to be measured with. */
bool stage_node(struct stage *stage, unsigned i, struct bench *ret_bench);
/* The same for a bare writer. */
bool stage_bare(struct stage *stage, bool coalesce, struct bench *ret_bench);

#endif
