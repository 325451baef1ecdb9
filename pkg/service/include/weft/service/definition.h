/*
 * definition - what somebody registers: which service it is, and how it is probed or run.
 *
 * One table of members reads it from a request body and from the hash in Redis, and prints it as JSON and as fields
 * of the hash, so that all four have the same names and the same rules. Pure: whether a program may be run, or is
 * there, is for others to say.
 */
#ifndef WEFT_SERVICE_DEFINITION_H
#define WEFT_SERVICE_DEFINITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/str.h>
#include <weft/wire/json.h>

#define WEFT_SERVICE_ID_MAX   64 /* of A-Z a-z 0-9 . _ - */
#define WEFT_SERVICE_ARGS_MAX 60

enum weft_service_kind { WEFT_SERVICE_URL, WEFT_SERVICE_COMMAND };

enum weft_service_restart {
    WEFT_RESTART_ALWAYS,     /* whenever it ends by itself */
    WEFT_RESTART_ON_FAILURE, /* unless it ended with 0 */
    WEFT_RESTART_NEVER
};

struct weft_service_def {
    unsigned kind;
    struct weft_str version; /* of the service; for people */
    struct weft_json labels; /* an object of strings */
    struct weft_str run_on;  /* the node that runs or probes it; "": whichever */

    /* url */
    struct weft_str url;
    uint64_t interval_ms; /* from one probe to the next */
    uint64_t timeout_ms, connect_timeout_ms;
    uint64_t unhealthy_after, healthy_after; /* probes in a row */

    /* command */
    struct weft_json command; /* program and arguments, an array of strings */
    unsigned restart;
    bool autostart;
    uint64_t backoff_min_ms, backoff_max_ms; /* between restarts; it doubles */
    uint64_t start_ms;                       /* one that has lived so long has started */
    uint64_t stop_timeout_ms;                /* between TERM and KILL */

    /* What the texts above point into, and the command as execvp() wants it. Owned. */
    struct weft_buf bytes;
    char *args;
    const char *argv[WEFT_SERVICE_ARGS_MAX + 1];
    size_t argc;
};

bool weft_service_id_valid(struct weft_str id);

/*
 * From a request body; *def need not be initialised, and is to be given to fini whatever comes back. WEFT_EINVAL,
 * WEFT_ETOOBIG: err names the member.
 */
int weft_service_def_read(struct weft_service_def *def, struct weft_str body, struct weft_err *err)
    WEFT_MUST_CHECK;
void weft_service_def_fini(struct weft_service_def *def);

/* From the fields of the hash: value(ctx, name) gives a field's text, {NULL, 0} if it is not there. As read. */
int weft_service_def_load(struct weft_service_def *def,
                          struct weft_str (*value)(void *ctx, const char *name), void *ctx,
                          struct weft_err *err) WEFT_MUST_CHECK;

/* The fields of the hash, one after the other: name, and the value appended to out. NULL at the end. */
const char *weft_service_def_field(const struct weft_service_def *def, size_t i,
                                   struct weft_buf *out);
/* `"kind":"url",…`: the members that its kind has, without braces. */
void weft_service_def_print(const struct weft_service_def *def, struct weft_buf *out);

#endif
