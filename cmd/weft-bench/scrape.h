/*
 * scrape - counters of a node, from its /metrics.
 */
#ifndef WEFT_BENCH_SCRAPE_H
#define WEFT_BENCH_SCRAPE_H

#include <stdbool.h>

#include <weft/base/buf.h>

#include "server.h"

struct scrape {
    struct weft_buf text;
};

/* Reads /metrics now, blocking. False: there is none; all values are 0 then. */
bool scrape_read(struct scrape *scrape, const struct server *server);
void scrape_fini(struct scrape *scrape);

/* GET: the whole answer with its head; *out, initialised, stays empty if it is not 200. Blocking. */
bool scrape_get(const struct server *server, const char *path, struct weft_buf *out);

/* Whether GET path answers 200 now. */
bool scrape_is_ok(const struct server *server, const char *path);

/* The value of a metric without labels; 0 if absent. */
double scrape_value(const struct scrape *scrape, const char *name);

#endif
