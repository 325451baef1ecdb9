#include "scrape.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX (4u << 20)
#define TIMEOUT_MS 5000

static bool wait_for(int fd, short events)
{
    struct pollfd in = {.fd = fd, .events = events};

    return poll(&in, 1, TIMEOUT_MS) == 1;
}

/*
 * Chunk headers may stand between the lines; a metric is looked for at the beginning of a line, so
 * they do no harm.
 */
bool scrape_read(struct scrape *scrape, const struct server *server)
{
    static const char request[] =
        "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
    int fd = server_connect(server, 0);
    ssize_t n = -1;

    weft_buf_init(&scrape->text, ANSWER_MAX);
    if (fd < 0)
        return false;
    if (wait_for(fd, POLLOUT))
        n = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
    while (n > 0) {
        char *room = weft_buf_reserve(&scrape->text, 65536);

        if (room == NULL || !wait_for(fd, POLLIN))
            break;
        n = recv(fd, room, 65536, 0);
        if (n > 0)
            scrape->text.len += (size_t)n;
    }
    close(fd);
    if (scrape->text.len < 12 || memcmp(scrape->text.data, "HTTP/1.1 200", 12) != 0) {
        weft_buf_fini(&scrape->text);
        return false;
    }
    scrape->text.data[scrape->text.len] = '\0';
    return true;
}

void scrape_fini(struct scrape *scrape)
{
    weft_buf_fini(&scrape->text);
}

double scrape_value(const struct scrape *scrape, const char *name)
{
    const char *at = scrape->text.data;
    size_t len = strlen(name);

    while (at != NULL && (at = strstr(at, name)) != NULL) {
        if (at > scrape->text.data && at[-1] == '\n' && at[len] == ' ')
            return strtod(at + len, NULL);
        at += len;
    }
    return 0;
}
