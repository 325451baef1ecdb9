/*
 * publish - what the two ways of publishing share: the target, the key and the ids that come back.
 */
#ifndef WEFT_CMD_PUBLISH_H
#define WEFT_CMD_PUBLISH_H

#include <stdbool.h>

#include "http.h"

#define PUBLISH_KEY_MAX 200 /* bytes of an Idempotency-Key, or of a Producer-Id */
#define PUBLISH_BATCH   100 /* lines of NDJSON in one request */

struct publish {
    struct http *http;
    const char *target;   /* /api/topics/…/events */
    const char *key;      /* --key or NULL */
    const char *producer; /* --producer or NULL */
    uint64_t epoch;       /* of the producer */
    uint64_t seq;         /* ... and the number of the next event */
    bool json;            /* print the server's answer instead of the ids */
    struct weft_buf answer;
};

/* Sends body and prints what came back. An enum exit_code: what became of the events, whether or not it could be printed. */
int publish_send(struct publish *pub, const char *content_type, const char *key,
                 struct weft_str body);

/* --ndjson: stdin, line by line, until its end. An enum exit_code. */
int publish_ndjson(struct publish *pub);

#endif
