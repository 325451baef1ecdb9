/*
 * control_priv - the control thread: work that is not on an event's way and may be slow.
 *
 * One thread with a libevent loop and a Redis connection of its own, so that nothing that happens
 * here holds up a publish. What it does are
 *   jobs (jobs.c), each with a name: a job runs on that node of the cluster that holds the lease of this
 *   name, and ends at once when the node loses it;
 *   features (features.c), on every node: they answer requests of the workers, and hear each a channel of Redis, on
 *   a second connection.
 */
#ifndef WEFT_NODE_CONTROL_PRIV_H
#define WEFT_NODE_CONTROL_PRIV_H

#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/fabric/feature.h>
#include <weft/redis/keys.h>

struct event_base;
struct weft_config;
struct weft_control; /* opaque */
struct weft_log;
struct weft_redis_conn;
struct weft_revoked;
struct weft_service_guard;
struct weft_services_opts;
struct weft_shard;

struct weft_control_opts {
    const struct weft_config *cfg;       /* borrowed */
    const char *node_id;                 /* borrowed */
    const struct weft_worker_ops *ops;   /* borrowed: what workers do with answers */
    struct weft_mailbox *hub;            /* borrowed */
    struct weft_mailbox *const *workers; /* borrowed */
    size_t n_workers;
    struct weft_shard *shard;                  /* borrowed; its own */
    struct weft_log *log;                      /* borrowed */
    const struct weft_services_opts *services; /* borrowed; what services need of the node */
    struct weft_revoked *revoked;              /* borrowed; control alone changes it */
    uint64_t seed;                             /* of jitter */
};

/* Yours. WEFT_EINVAL (err names the parameter), WEFT_ENOMEM, WEFT_ESYS. The node's thread, as all below. */
int weft_control_create(struct weft_control **ret_control, const struct weft_control_opts *opts,
                        struct weft_err *err) WEFT_MUST_CHECK;
int weft_control_start(struct weft_control *control) WEFT_MUST_CHECK;
/* Where workers post to. */
struct weft_mailbox *weft_control_mailbox(struct weft_control *control);
/*
 * Gives the leases back, lets the features stop, and ends the thread; waits for it, half a second for Redis at most, and for
 * as long as the commands of services may take to stop.
 */
void weft_control_stop(struct weft_control *control);
/* After stop. NULL is allowed. */
void weft_control_destroy(struct weft_control *control);

/* ---- jobs ---- */

/* What a job gets to work with. All borrowed, as long as the job lives. */
struct weft_job_env {
    struct event_base *base;
    struct weft_redis_conn *cn;
    const struct weft_config *cfg;
    struct weft_shard *shard;
    struct weft_log *log;
};

/* One row for each job; self is what create gave. All on the control thread. */
struct weft_job {
    const char *name; /* of the lease */
    int (*create)(void **ret_self, const struct weft_job_env *env, struct weft_err *err);
    void (*begin)(void *self);   /* the lease is ours */
    void (*end)(void *self);     /* ... and not any more: nothing is sent from now on */
    void (*destroy)(void *self); /* after the connection was destroyed */
};

extern const struct weft_job weft_jobs[];
extern const size_t weft_jobs_len;

#define WEFT_JOBS_MAX 8

/* ---- features ---- */

/* One row for each feature; self is what create gave. All on the control thread. */
struct weft_feature {
    const char *name;
    enum weft_part_of part;
    int (*create)(void **ret_self, const struct weft_feature_env *env, struct weft_err *err);
    /* Appends the channel that it hears; node: for those of which each node has its own. NULL: none. */
    void (*channel)(struct weft_buf *b, const struct weft_keys *keys, const char *node);
    void (*message)(void *self, struct weft_str payload);
    /*
     * Up: commands are taken, and from now on every message comes. Down: it is not so any more; answers that have
     * not come come as NULL. NULL: it does not mind.
     */
    void (*up)(void *self);
    void (*down)(void *self);
    void (*destroy)(void *self); /* after the connections were destroyed */
    /*
     * The thread ends soon: no new work. Returns for how many ms it may take at most until is_quiet() says that what is
     * under way is done. NULL: nothing has to be done.
     */
    uint64_t (*stop)(void *self);
    bool (*is_quiet)(void *self);
};

/* Breakers for services: neither library knows the other (service_guard.c). */
extern const struct weft_service_guard weft_service_guard;

extern const struct weft_feature weft_features[];
extern const size_t weft_features_len;

#define WEFT_FEATURES_MAX 8

#endif
