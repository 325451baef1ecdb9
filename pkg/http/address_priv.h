/*
 * address - who is behind a connection, as limits count it: an IPv4 address, or the /64 of an IPv6
 * one, which one host has to itself. Pure, but for the last two.
 */
#ifndef WEFT_HTTP_ADDRESS_PRIV_H
#define WEFT_HTTP_ADDRESS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/role.h>
#include <weft/base/str.h>

struct st_h2o_req_t;
struct st_h2o_socket_t;

#define WEFT_ADDRESS_MAX   48 /* with its NUL */
#define WEFT_PEER_NAME_MAX 64 /* address:port, with its NUL */

/* family: AF_INET or AF_INET6; address: in_addr or in6_addr. False: another family, out is "". */
bool weft_address_print(char *out, int family, const void *address);
/*
 * An element of X-Forwarded-For: an address, with a port perhaps (`192.0.2.1:80`, `[2001:db8::1]`,
 * `[2001:db8::1]:80`). False: it is none, out is "".
 */
bool weft_address_parse(char *out, struct weft_str text);
/*
 * Steps through a list that is parted by commas from its end: *rest begins as the whole, the elements
 * come trimmed. False: there is no more.
 */
bool weft_address_last(struct weft_str *rest, struct weft_str *ret_element);

/* The element that the outermost of so many proxies has put into X-Forwarded-For, as it came; p NULL: none. */
struct weft_str weft_address_element(const struct st_h2o_req_t *req, uint32_t proxies)
    WEFT_ON_WORKER;
/* The address in it. False: nothing that is one. */
bool weft_address_forwarded(const struct st_h2o_req_t *req, uint32_t proxies, char *out)
    WEFT_ON_WORKER;
/* The sender's: forwarded if there are proxies, else the peer's; "" if even that is not known. */
void weft_address_of(struct st_h2o_req_t *req, uint32_t proxies, char *out) WEFT_ON_WORKER;
/* Of a connection itself; false: not known, out is "". */
bool weft_address_of_peer(struct st_h2o_socket_t *sock, char *out) WEFT_ON_WORKER;
/* The peer with its port, for people; "" if it is not known. At least WEFT_PEER_NAME_MAX. */
void weft_address_name_peer(struct st_h2o_socket_t *sock, char *out) WEFT_ON_WORKER;

#endif
