/*
 * services - what is registered with weft: probed over HTTP by one node at a time, or run below this node; and the
 * list of nodes.
 *
 * The truth is in Redis: a hash for each service, written by whoever registers it, gives orders, or has claimed
 * it. Each node reads all of them, when it is told of a change and every so often anyway, and does what is its
 * part. A node without Redis goes on with what it does, and tells later.
 *
 * It does not know breakers (it asks by a table that node fills in), nor HTTP. Everything runs on the control thread
 * but the making of requests.
 */
#ifndef WEFT_SERVICE_SERVICES_H
#define WEFT_SERVICE_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/fabric/feature.h>
#include <weft/service/definition.h>
#include <weft/telemetry/labels.h>

struct weft_services; /* opaque */

/* What guards a service. All on the control thread. */
struct weft_service_guard {
    /* May it be started? Answered by weft_services_allowed() with this ticket, at once or later. */
    void (*ask)(const struct weft_feature_env *env, const char *id, uint64_t ticket);
    /* How it went. permit: what the answer came with, taken back; NULL: an observation without one. */
    void (*report)(const struct weft_feature_env *env, const char *id, void *permit, bool success);
    /* Nobody has used it, and it says nothing of the service. Taken back. */
    void (*unused)(const struct weft_feature_env *env, void *permit);
};

/* How busy this node is. */
struct weft_node_load {
    uint64_t connections, subscribers, deliveries;
    double cpu_seconds;
    uint64_t resident_bytes;
};

struct weft_services_opts {
    const struct weft_service_guard *guard; /* borrowed */
    struct weft_labels *labels;             /* borrowed; metrics of services */
    const char *address;                    /* borrowed: where this node listens */
    const char *version;                    /* borrowed */
    uint64_t files; /* open files that a command may have; 0: as many as the node */
    const void *load_ctx;
    void (*load)(const void *load_ctx, struct weft_node_load *ret_load);
};

/* Yours; env and opts are borrowed. WEFT_ENOMEM, WEFT_ESYS. */
int weft_services_create(struct weft_services **ret_svs, const struct weft_feature_env *env,
                         const struct weft_services_opts *opts) WEFT_MUST_CHECK WEFT_ON_CONTROL;
/* After the connections. What still runs is killed. NULL is allowed. */
void weft_services_destroy(struct weft_services *svs) WEFT_ON_CONTROL;

/* A message of the services' channel. */
void weft_services_message(struct weft_services *svs, struct weft_str payload) WEFT_ON_CONTROL;
void weft_services_up(struct weft_services *svs) WEFT_ON_CONTROL;
void weft_services_down(struct weft_services *svs) WEFT_ON_CONTROL;
/* Ends what this node runs, gives away what it probes, and leaves the list of nodes. Returns how long that may take, ms. */
uint64_t weft_services_stop(struct weft_services *svs) WEFT_ON_CONTROL;
/* All of that is done. */
bool weft_services_is_quiet(struct weft_services *svs) WEFT_ON_CONTROL;

/* The answer to guard->ask. permit: given back by guard->report or ->unused. */
void weft_services_allowed(struct weft_services *svs, uint64_t ticket, bool allowed,
                           void *permit) WEFT_ON_CONTROL;

/* Metrics of services, for weft_labels_create(). */
extern const struct weft_label_column weft_service_columns[];
extern const size_t weft_service_columns_len;

/* ---- requests: made on any thread, posted to control; never NULL ---- */

enum weft_service_ask {
    WEFT_SERVICE_ASK_GET,
    WEFT_SERVICE_ASK_METRICS,
    WEFT_SERVICE_ASK_DELETE,
    WEFT_SERVICE_ASK_START,
    WEFT_SERVICE_ASK_STOP,
    WEFT_SERVICE_ASK_RESTART
};

/* id is valid. */
struct weft_request *weft_services_ask(enum weft_service_ask what, struct weft_str id);
/* body as it came: it is checked on the way, err names the member. NULL then. */
struct weft_request *weft_services_ask_put(struct weft_str id, struct weft_str body,
                                           struct weft_err *err);

enum weft_services_list { WEFT_SERVICES_LIST, WEFT_SERVICES_HEALTH, WEFT_SERVICES_NODES };

/* after: the id to go on behind, or empty; limit: for LIST alone. */
struct weft_request *weft_services_ask_list(enum weft_services_list what, struct weft_str after,
                                            uint32_t limit);

#endif
