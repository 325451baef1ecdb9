/*
 * tls_priv - the listener's certificate and keys: read at the start, and again when the files change or somebody asks.
 *
 * All of it on the main thread, which may block on files. What is read is handed to the workers; what cannot be taken is
 * told (log, tls.reload_failed) and counted, and what was in force before goes on.
 */
#ifndef WEFT_NODE_TLS_PRIV_H
#define WEFT_NODE_TLS_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>

struct weft_config;
struct weft_log;
struct weft_node_tls; /* opaque */
struct weft_shard;
struct weft_tls;
struct weft_worker;

struct weft_node_tls_opts {
    const struct weft_config *cfg; /* its tls is copied */
    struct weft_shard *shard;      /* borrowed; the main thread's */
    struct weft_log *log;          /* borrowed */
    uint64_t now_ms;
};

/* NULL in *ret_tls: the listener speaks in the clear. WEFT_EINVAL: err->field is one of tls.*. WEFT_ENOMEM. */
int weft_node_tls_create(struct weft_node_tls **ret_tls, const struct weft_node_tls_opts *opts,
                         struct weft_err *err) WEFT_MUST_CHECK;
/* For the workers; borrowed. NULL of NULL. */
struct weft_tls *weft_node_tls_current(const struct weft_node_tls *tls);
/* About once a second: looks at the files. NULL is allowed, here and below. */
void weft_node_tls_tick(struct weft_node_tls *tls, uint64_t now_ms,
                        struct weft_worker *const *workers, size_t n_workers);
/* Reads them now, with the parameters of cfg. */
void weft_node_tls_reload(struct weft_node_tls *tls, const struct weft_config *cfg,
                          struct weft_worker *const *workers, size_t n_workers);
void weft_node_tls_destroy(struct weft_node_tls *tls);

#endif
