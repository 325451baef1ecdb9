/*
 * server - where to connect to: http:// addresses, IPv4 or IPv6, resolved once.
 *
 * Only loopback, unless it is allowed otherwise: a load generator that is pointed at somebody
 * else's machine by a slip does harm.
 */
#ifndef WEFT_BENCH_SERVER_H
#define WEFT_BENCH_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/socket.h>

#define SERVERS_MAX 8

struct server {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    char authority[128]; /* HOST:PORT, for the Host header */
    bool loopback4;      /* an address of 127.0.0.0/8: any other of them may be the source */
};

/* url: http://HOST:PORT. False: said on stderr. */
bool server_resolve(struct server *server, const char *url, bool allow_remote);

/*
 * A socket that connects to the server, or -1 with errno. number: of the connection; every 20,000
 * of them come from another source address, since one has no more ports than that.
 */
int server_connect(const struct server *server, uint32_t number);

/* So many descriptors will be open at once. False: the hard limit is lower, said on stderr. */
bool server_need_files(size_t n);

#endif
