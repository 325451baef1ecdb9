/*
 * node - one weftd: builds everything in order, serves, takes it down in reverse.
 *
 * create -> start -> (serve) -> drain -> stop -> destroy, all from one thread, which handles the process's signals.
 */
#ifndef WEFT_NODE_NODE_H
#define WEFT_NODE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/err.h>

struct weft_config;
struct weft_log;
struct weft_node; /* opaque */

/* cfg and log are borrowed. WEFT_EINVAL, WEFT_ESYS, WEFT_ENOMEM with a sentence in err. Binds its sockets. */
int weft_node_create(struct weft_node **ret_node, const struct weft_config *cfg,
                     struct weft_log *log, struct weft_err *err) WEFT_MUST_CHECK;
/*
 * What create would refuse of the files and addresses that the configuration names: nothing is bound, nobody is asked. A
 * certificate that is not valid now is told to log.
 */
int weft_node_check(const struct weft_config *cfg, struct weft_log *log, struct weft_err *err)
    WEFT_MUST_CHECK;
/* Starts its threads. */
int weft_node_start(struct weft_node *node, struct weft_err *err) WEFT_MUST_CHECK;
/*
 * About once a second, and when somebody says that there is something new (SIGHUP): reads the files again that have
 * changed. What is wrong is logged, and then what was there before stays.
 */
void weft_node_look(struct weft_node *node);
/* host:port as bound (the real port where 0 was asked for); borrowed. */
const char *weft_node_address(const struct weft_node *node);
/*
 * Somebody has asked for the configuration to be read again, and this is it; borrowed for the call. Takes the parameters that
 * say *reload*; of others that differ it tells that they need a restart. May block on files.
 */
void weft_node_reload(struct weft_node *node, const struct weft_config *fresh);
/* The same, but it is wrong: told and counted, and nothing changes. */
void weft_node_reload_failed(struct weft_node *node, const struct weft_err *why);
/* Whether events arrive, as /readyz says it. Any thread. */
bool weft_node_is_ready(const struct weft_node *node);
/* Any thread: files that it writes were moved away (SIGHUP). */
void weft_node_reopen(struct weft_node *node);
/*
 * The node is not ready from now on; after drain.grace_ms its streams are moved away one after another, while all else
 * is served. brief: without that time, and within a second. Returns at once.
 */
void weft_node_drain(struct weft_node *node, bool brief);
/*
 * To be asked some ten times a second after weft_node_drain(), which goes on in it. True: no stream is left, or the
 * period is over; it is time to stop.
 */
bool weft_node_is_drained(struct weft_node *node);
/* Ends its threads and waits for them; after a drain or without one. */
void weft_node_stop(struct weft_node *node);
/* NULL is allowed. */
void weft_node_destroy(struct weft_node *node);

/* A node id from configuration, or made from host name and pid. out: at least 65 bytes. */
void weft_node_make_id(const char *configured, char *out);

#endif
