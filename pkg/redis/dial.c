#include "dial_priv.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>

#include "tls_priv.h"

static bool is_numeric(const char *host)
{
    unsigned char address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/*
 * libevent resolves in a blocking way when it is given no evdns base, and makes none if
 * /etc/resolv.conf is missing: then /etc/hosts has to do.
 */
static struct evdns_base *make_dns(struct event_base *base)
{
    struct evdns_base *dns =
        evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);

    if (dns == NULL) {
        dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (dns != NULL) {
            (void)evdns_base_load_hosts(dns, "/etc/hosts");
        }
    }
    return dns;
}

struct bufferevent *weft_dialer_open(struct weft_dialer *d, const struct weft_redis_host *host)
{
    return d->tls != NULL ? weft_redis_tls_open(d->tls, d->base, host->name)
                          : bufferevent_socket_new(d->base, -1, BEV_OPT_CLOSE_ON_FREE);
}

int weft_dialer_connect(struct weft_dialer *d, struct bufferevent *bev, const char *path,
                        const struct weft_redis_host *host)
{
    if (path[0] != '\0') {
        struct sockaddr_un sun = {.sun_family = AF_UNIX};

        memcpy(sun.sun_path, path, strlen(path) + 1);
        return bufferevent_socket_connect(bev, (struct sockaddr *)&sun, sizeof(sun));
    }
    if (!is_numeric(host->name) && d->dns == NULL) {
        d->dns = make_dns(d->base);
        if (d->dns == NULL) {
            return -1;
        }
    }
    return bufferevent_socket_connect_hostname(bev, is_numeric(host->name) ? NULL : d->dns,
                                               AF_UNSPEC, host->name, host->port);
}

void weft_dialer_why(struct bufferevent *bev, short what, char *out, size_t size)
{
    int error = EVUTIL_SOCKET_ERROR(); /* before anything else changes it */
    int dns = bufferevent_socket_get_dns_error(bev);

    if (weft_redis_tls_why(bev, out, size)) {
        return;
    }
    (void)snprintf(out, size, "%s",
                   (what & BEV_EVENT_EOF) != 0 || (dns == 0 && error == 0) ? "closed by Redis"
                   : dns != 0 ? evutil_gai_strerror(dns)
                              : evutil_socket_error_to_string(error));
}

void weft_dialer_fini(struct weft_dialer *d)
{
    if (d->dns != NULL) {
        evdns_base_free(d->dns, 1);
        d->dns = NULL;
    }
}
