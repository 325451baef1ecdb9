/*
 * refusal_priv - an error answer of Redis: what it means for the node, and whether it is worth a line. Pure.
 */
#ifndef WEFT_FABRIC_REFUSAL_PRIV_H
#define WEFT_FABRIC_REFUSAL_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/str.h>

struct weft_refusal {
    const char *start; /* of the error */
    const char *why;   /* for the publisher: one sentence */
    bool leave;        /* this server is not the master any more: nothing was written */
    bool unsure;       /* it may have come from within a call, behind something that was written */
};

/* Static. Never NULL. */
const struct weft_refusal *weft_refusal_of(struct weft_str error);

/* Errors come in thousands when they come. Zeroed it is ready. */
struct weft_refusal_log {
    struct {
        uint64_t hash;
        uint64_t ns;
    } told[8];
};

/* True for the first such error in a while. */
bool weft_refusal_is_news(struct weft_refusal_log *log, struct weft_str error, uint64_t now_ns);

#endif
