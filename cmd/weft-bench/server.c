#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "args.h"

#define PORTS_OF_A_SOURCE 20000
#define FILES_OF_OUR_OWN  64

static bool is_loopback(const struct server *server, const struct addrinfo *info)
{
    if (info->ai_family == AF_INET)
        return server->loopback4;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&server->addr)->sin6_addr);
}

static bool take(struct server *server, const char *url, const struct addrinfo *info,
                 bool allow_remote)
{
    memcpy(&server->addr, info->ai_addr, info->ai_addrlen);
    server->addr_len = info->ai_addrlen;
    server->loopback4 =
        info->ai_family == AF_INET &&
        ntohl(((const struct sockaddr_in *)&server->addr)->sin_addr.s_addr) >> 24 == 127;
    if (allow_remote || is_loopback(server, info))
        return true;
    args_complain("--url: %s is not a loopback address (--allow-remote if you mean it)", url);
    return false;
}

/* HOST and PORT of http://HOST:PORT[/]; [HOST] for IPv6. */
static bool split(struct server *server, const char *url, char *host, size_t size,
                  const char **port)
{
    const char *authority = url + 7;
    size_t len;
    char *colon;

    if (strncmp(url, "http://", 7) != 0)
        return false;
    len = strcspn(authority, "/");
    if (len == 0 || len >= sizeof(server->authority) || len >= size)
        return false;
    memcpy(server->authority, authority, len);
    server->authority[len] = '\0';
    colon = strrchr(server->authority, ':');
    if (colon == NULL || strchr(colon, ']') != NULL)
        return false;
    *port = colon + 1;
    len = (size_t)(colon - server->authority);
    if (server->authority[0] == '[' && len > 2 && server->authority[len - 1] == ']') {
        memcpy(host, server->authority + 1, len - 2);
        host[len - 2] = '\0';
    } else {
        memcpy(host, server->authority, len);
        host[len] = '\0';
    }
    return host[0] != '\0' && **port != '\0';
}

bool server_resolve(struct server *server, const char *url, bool allow_remote)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *info = NULL;
    const char *port;
    char host[256];
    bool good;
    int rc;

    if (!split(server, url, host, sizeof(host), &port)) {
        args_complain("--url: http://HOST:PORT is needed, not '%s'", url);
        return false;
    }
    rc = getaddrinfo(host, port, &hints, &info);
    if (rc != 0) {
        args_complain("--url: %s: %s", url, gai_strerror(rc));
        return false;
    }
    good = take(server, url, info, allow_remote);
    freeaddrinfo(info);
    return good;
}

static int bind_source(int fd, uint32_t number)
{
    struct sockaddr_in from = {.sin_family = AF_INET};

    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number / PORTS_OF_A_SOURCE);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    return bind(fd, (const struct sockaddr *)&from, sizeof(from));
}

int server_connect(const struct server *server, uint32_t number)
{
    int fd = socket(server->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if ((server->loopback4 && number >= PORTS_OF_A_SOURCE && bind_source(fd, number) != 0) ||
        (connect(fd, (const struct sockaddr *)&server->addr, server->addr_len) != 0 &&
         errno != EINPROGRESS)) {
        int err = errno;

        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

bool server_need_files(size_t n)
{
    struct rlimit files;

    n += FILES_OF_OUR_OWN;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= n)
        return true;
    if (files.rlim_max < n) {
        args_complain("%zu descriptors are needed, but the hard limit is %llu (ulimit -Hn)", n,
                      (unsigned long long)files.rlim_max);
        return false;
    }
    files.rlim_cur = files.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) == 0;
}
