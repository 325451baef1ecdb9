/*
 * private_redis - the redis-server of `weftd dev`: a child process on a UNIX socket in the data folder,
 * with an append-only file, ended with its parent however that ends.
 */
#ifndef WEFT_NODE_PRIVATE_REDIS_H
#define WEFT_NODE_PRIVATE_REDIS_H

#include <stdbool.h>
#include <sys/types.h>

#include <weft/base/err.h>

struct weft_private_redis {
    pid_t pid;
    char url[160]; /* unix://… */
};

/*
 * Makes the folder if needed and starts `program` there. WEFT_ENOTFOUND: no such program (err says what to install);
 * WEFT_ECONFLICT: another one runs on this folder; WEFT_ESYS.
 */
int weft_private_redis_start(struct weft_private_redis *pr, const char *program, const char *data,
                             struct weft_err *err) WEFT_MUST_CHECK;
/* SIGTERM, so that it writes its file, and waits some seconds for it. */
void weft_private_redis_stop(struct weft_private_redis *pr);

#endif
