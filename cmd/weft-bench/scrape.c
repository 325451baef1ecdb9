#include "scrape.h"

#include <poll.h>
#include <stdio.h>
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

static bool begins_with_200(const struct weft_buf *text)
{
    return text->len >= 12 && memcmp(text->data, "HTTP/1.1 200", 12) == 0;
}

bool scrape_get(const struct server *server, const char *path, struct weft_buf *out)
{
    char request[256];
    int len = snprintf(request, sizeof(request),
                       "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", path);
    int fd = server_connect(server, 0);
    ssize_t n = -1;

    if (fd < 0)
        return false;
    if (wait_for(fd, POLLOUT))
        n = send(fd, request, (size_t)len, MSG_NOSIGNAL);
    while (n > 0) {
        char *room = weft_buf_reserve(out, 65536);

        if (room == NULL || !wait_for(fd, POLLIN))
            break;
        n = recv(fd, room, 65536, 0);
        if (n > 0)
            out->len += (size_t)n;
        /* Whoever does not know the path may not close the connection either. */
        if (out->len >= 12 && !begins_with_200(out))
            break;
    }
    close(fd);
    if (begins_with_200(out)) {
        out->data[out->len] = '\0';
        return true;
    }
    weft_buf_clear(out);
    return false;
}

/*
 * Chunk headers may stand between the lines; a metric is looked for at the beginning of a line,
 * so they do no harm.
 */
bool scrape_read(struct scrape *scrape, const struct server *server)
{
    weft_buf_init(&scrape->text, ANSWER_MAX);
    return scrape_get(server, "/metrics", &scrape->text);
}

bool scrape_is_ok(const struct server *server, const char *path)
{
    struct weft_buf text;
    bool ok;

    weft_buf_init(&text, ANSWER_MAX);
    ok = scrape_get(server, path, &text);
    weft_buf_fini(&text);
    return ok;
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
