/*
 * print_priv - JSON of services and nodes, from what HGETALL gave. Pure.
 */
#ifndef WEFT_SERVICE_PRINT_PRIV_H
#define WEFT_SERVICE_PRINT_PRIV_H

#include <weft/base/buf.h>
#include <weft/redis/reply.h>

/* One service: definition and how it is. */
void weft_print_service(struct weft_buf *b, const struct weft_reply *hash);
/* Its counters; errors: its list, newest first. */
void weft_print_metrics(struct weft_buf *b, const struct weft_reply *hash,
                        const struct weft_reply *errors);

enum weft_verdict { WEFT_VERDICT_HEALTHY, WEFT_VERDICT_UNHEALTHY, WEFT_VERDICT_OTHER };

/* {"name":…,"status":…,"latency":…}; OTHER: it is not to be judged (not known yet, or stopped). */
enum weft_verdict weft_print_health(struct weft_buf *b, const struct weft_reply *hash);

void weft_print_node(struct weft_buf *b, const struct weft_reply *hash);

#endif
