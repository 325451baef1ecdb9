/*
 * poller - one epoll loop for all connections of the client.
 *
 * Level-triggered; one thread. It owns no descriptor but its own.
 */
#ifndef WEFT_BENCH_POLLER_H
#define WEFT_BENCH_POLLER_H

#include <stdbool.h>
#include <stdint.h>

/* Embed it; ready() is called when the descriptor is. It may close this connection, not others. */
struct io {
    int fd;
    void (*ready)(struct io *io, uint32_t events);
};

struct poller {
    int epoll_fd;
};

void poller_init(struct poller *poller);
void poller_fini(struct poller *poller);

void poller_add(struct poller *poller, struct io *io, uint32_t events);
void poller_change(struct poller *poller, struct io *io, uint32_t events);

/* One turn: waits until something is ready, at most wait_ns, and serves all that is. */
void poller_turn(struct poller *poller, uint64_t wait_ns);

#endif
