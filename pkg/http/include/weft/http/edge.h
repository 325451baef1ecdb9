/*
 * edge - what the workers of a node share where connections come in: who holds how many of them, how
 * fast they are taken, and the access log.
 */
#ifndef WEFT_HTTP_EDGE_H
#define WEFT_HTTP_EDGE_H

#include <stdint.h>

#include <weft/base/err.h>

struct weft_config;
struct weft_edge; /* opaque */
struct weft_log;
struct weft_shard;

/*
 * Yours. cfg and log are borrowed; shard: of the access log's thread alone, borrowed. descriptors:
 * that the process may have open; where they are too few for http.max_connections fewer are taken,
 * and the log says so. WEFT_ENOMEM, WEFT_ESYS with a sentence in err.
 */
int weft_edge_create(struct weft_edge **ret_edge, const struct weft_config *cfg,
                     uint64_t descriptors, struct weft_shard *shard, struct weft_log *log,
                     struct weft_err *err) WEFT_MUST_CHECK;
/* Any thread: the access log's file was moved away. */
void weft_edge_reopen(struct weft_edge *edge);
/* After the workers. NULL is allowed. */
void weft_edge_destroy(struct weft_edge *edge);

#endif
