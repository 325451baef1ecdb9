#include "address_priv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <h2o.h>

union sender {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage all;
};

bool weft_address_print(char *out, int family, const void *address)
{
    struct in6_addr net;

    out[0] = '\0';
    if (family == AF_INET6) {
        memcpy(&net, address, sizeof(net));
        if (IN6_IS_ADDR_V4MAPPED(&net)) {
            return inet_ntop(AF_INET, &net.s6_addr[12], out, WEFT_ADDRESS_MAX) != NULL;
        }
        memset(&net.s6_addr[8], 0, 8);
        return inet_ntop(AF_INET6, &net, out, WEFT_ADDRESS_MAX) != NULL;
    }
    return family == AF_INET && inet_ntop(AF_INET, address, out, WEFT_ADDRESS_MAX) != NULL;
}

static bool is_port(struct weft_str s)
{
    uint64_t port;

    return weft_str_u64(s, &port) && port <= UINT16_MAX;
}

/* Cuts brackets and port. False: there is something else. */
static bool cut_port(struct weft_str *text)
{
    const char *close;
    const char *colon;

    if (text->len > 0 && text->p[0] == '[') {
        struct weft_str behind;

        close = memchr(text->p, ']', text->len);
        if (close == NULL) {
            return false;
        }
        behind = weft_str(close + 1, text->len - (size_t)(close + 1 - text->p));
        *text = weft_str(text->p + 1, (size_t)(close - text->p) - 1);
        return memchr(text->p, ':', text->len) != NULL && /* only IPv6 stands in brackets */
               (behind.len == 0 || (weft_str_take(&behind, ":") && is_port(behind)));
    }
    colon = text->len == 0 ? NULL : memchr(text->p, ':', text->len);
    if (colon != NULL && memrchr(text->p, ':', text->len) == colon) { /* one: no IPv6 */
        size_t at = (size_t)(colon - text->p);

        if (!is_port(weft_str(colon + 1, text->len - at - 1))) {
            return false;
        }
        text->len = at;
    }
    return true;
}

bool weft_address_parse(char *out, struct weft_str text)
{
    unsigned char address[sizeof(struct in6_addr)];
    char copy[INET6_ADDRSTRLEN];

    out[0] = '\0';
    if (!cut_port(&text) || text.len == 0 || text.len >= sizeof(copy) ||
        memchr(text.p, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, address) == 1) {
        return weft_address_print(out, AF_INET, address);
    }
    return inet_pton(AF_INET6, copy, address) == 1 && weft_address_print(out, AF_INET6, address);
}

bool weft_address_last(struct weft_str *rest, struct weft_str *ret_element)
{
    const char *comma;
    size_t at;

    if (rest->p == NULL) {
        return false;
    }
    comma = rest->len == 0 ? NULL : memrchr(rest->p, ',', rest->len);
    at = comma == NULL ? 0 : (size_t)(comma - rest->p) + 1;
    *ret_element = weft_str_trim(weft_str(rest->p + at, rest->len - at));
    *rest = comma == NULL ? weft_str(NULL, 0) : weft_str(rest->p, at - 1);
    return true;
}

struct weft_str weft_address_element(const h2o_req_t *req, uint32_t proxies)
{
    uint32_t from_right = proxies;

    for (size_t i = req->headers.size; i > 0 && from_right > 0; i--) {
        const h2o_header_t *h = &req->headers.entries[i - 1];
        struct weft_str rest = weft_str(h->value.base, h->value.len);
        struct weft_str element;

        if (!weft_str_ieq(weft_str(h->name->base, h->name->len), WEFT_STR("x-forwarded-for"))) {
            continue;
        }
        while (weft_address_last(&rest, &element)) {
            if (--from_right == 0) {
                return element;
            }
        }
    }
    return weft_str(NULL, 0);
}

bool weft_address_forwarded(const h2o_req_t *req, uint32_t proxies, char *out)
{
    return weft_address_parse(out, weft_address_element(req, proxies));
}

static bool print_sender(char *out, const union sender *peer)
{
    return peer->any.sa_family == AF_INET
               ? weft_address_print(out, AF_INET, &peer->v4.sin_addr)
               : weft_address_print(out, peer->any.sa_family, &peer->v6.sin6_addr);
}

bool weft_address_of_peer(h2o_socket_t *sock, char *out)
{
    union sender peer = {.v6 = {0}};

    out[0] = '\0';
    return h2o_socket_getpeername(sock, &peer.any) > 0 && print_sender(out, &peer);
}

void weft_address_of(h2o_req_t *req, uint32_t proxies, char *out)
{
    union sender peer = {.v6 = {0}};

    if (proxies > 0 && weft_address_forwarded(req, proxies, out)) {
        return;
    }
    out[0] = '\0';
    if (req->conn->callbacks->get_peername(req->conn, &peer.any) > 0) {
        (void)print_sender(out, &peer);
    }
}

void weft_address_name_peer(h2o_socket_t *sock, char *out)
{
    union sender peer = {.v6 = {0}};
    char host[INET6_ADDRSTRLEN] = "";

    out[0] = '\0';
    if (h2o_socket_getpeername(sock, &peer.any) == 0) {
        return;
    }
    if (peer.any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &peer.v4.sin_addr, host, sizeof(host));
        (void)snprintf(out, WEFT_PEER_NAME_MAX, "%s:%u", host, (unsigned)ntohs(peer.v4.sin_port));
    } else if (peer.any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &peer.v6.sin6_addr, host, sizeof(host));
        (void)snprintf(out, WEFT_PEER_NAME_MAX, "[%s]:%u", host,
                       (unsigned)ntohs(peer.v6.sin6_port));
    }
}
