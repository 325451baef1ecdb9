/*
 * streams_priv - requests for a stream that lives somewhere in the cluster: what they say as text.
 *
 *   streams.c        the API: reads the request, asks, answers
 *   streams_act.c    the stream's worker: looks whether it may be done, and does it
 *   streams_text.c   both texts
 */
#ifndef WEFT_HTTP_STREAMS_PRIV_H
#define WEFT_HTTP_STREAMS_PRIV_H

#include "worker_priv.h"

#include <weft/auth/grant.h>

enum weft_stream_op { WEFT_STREAM_LOOK, WEFT_STREAM_TOPICS, WEFT_STREAM_TOKEN, WEFT_STREAM_CLOSE };

/* A request. Texts are borrowed from whoever made it. */
struct weft_stream_ask {
    enum weft_stream_op op;
    uint32_t slot;
    uint64_t secret;
    struct weft_grant *caller; /* who asks; NULL: somebody without a token */
    bool operates;             /* ... and may do anything */
    struct weft_str *add, *remove;
    size_t n_add, n_remove;
};

/* What became of it. */
struct weft_stream_result {
    int status;
    struct weft_str code; /* not "": a problem */
    struct weft_str field;
    struct weft_str detail;
    struct weft_str body; /* JSON */
};

/* Appends it. */
void weft_stream_ask_print(struct weft_buf *b, const struct weft_stream_ask *ask);
void weft_stream_result_print(struct weft_buf *b, const struct weft_stream_result *result);

/*
 * What another node has written, which may be anything: false, and nothing is to be freed. pool has what ask and result
 * point to; ask->caller is yours.
 */
bool weft_stream_ask_parse(struct weft_stream_ask *ask, struct weft_str text, h2o_mem_pool_t *pool);
bool weft_stream_result_parse(struct weft_stream_result *result, struct weft_str text,
                              h2o_mem_pool_t *pool);

#endif
