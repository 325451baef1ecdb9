/*
 * http - one request and its whole answer.
 *
 * A node that cannot be reached, or that says 503, is left for the next one of the list. A request
 * whose fate is unknown (sent, but no answer came, or a 503 that leaves it open) is only repeated if
 * that cannot do harm.
 */
#ifndef WEFT_CMD_HTTP_H
#define WEFT_CMD_HTTP_H

#include <stdbool.h>

#include <weft/base/buf.h>

#include "servers.h"

struct http; /* opaque */

struct http_request {
    const char *target;       /* path and query */
    const char *method;       /* NULL: GET without content_type, else POST */
    const char *content_type; /* NULL: no body */
    const char *key;          /* Idempotency-Key or NULL */
    const char *producer;     /* Producer-Id or NULL; then with epoch and first */
    uint64_t epoch, first;
    struct weft_str body;
};

/* Yours; keeps its connection between calls. servers is borrowed. */
struct http *http_create(struct servers *servers);
void http_destroy(struct http *http);

/*
 * An enum exit_code. EXIT_DONE: the status was 2xx and *answer, initialised by the caller, holds
 * the body; otherwise what went wrong has been said on stderr.
 */
int http_call(struct http *http, const struct http_request *rq, struct weft_buf *answer);

/* Appends s to a target, percent-encoded. */
void http_encode(struct weft_buf *target, const char *s);

#endif
