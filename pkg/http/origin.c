#include "edge_priv.h"

#include <string.h>

/*
 * Where a page comes from that has a browser ask us. Only browsers send Origin, and no script can forge it: without
 * one nobody acts for somebody else.
 */

/* Cuts `:port` off; the port's text, or the default's. */
static struct weft_str cut_port(struct weft_str *hostport, struct weft_str def)
{
    const char *colon = hostport->len == 0 ? NULL : memrchr(hostport->p, ':', hostport->len);
    struct weft_str port;

    if (colon == NULL ||
        memchr(colon, ']', hostport->len - (size_t)(colon - hostport->p)) != NULL) {
        return def; /* none, or one inside [IPv6] */
    }
    port = weft_str(colon + 1, hostport->len - (size_t)(colon + 1 - hostport->p));
    hostport->len = (size_t)(colon - hostport->p);
    return port.len == 0 ? def : port;
}

bool weft_origin_is_host(struct weft_str origin, struct weft_str host)
{
    struct weft_str def = WEFT_STR("80");
    struct weft_str origin_port, host_port;

    if (weft_str_take(&origin, "https://")) {
        def = WEFT_STR("443");
    } else if (!weft_str_take(&origin, "http://")) {
        return false; /* `null` among others */
    }
    origin_port = cut_port(&origin, def);
    host_port = cut_port(&host, def);
    return origin.len > 0 && weft_str_ieq(origin, host) && weft_str_eq(origin_port, host_port);
}

enum weft_origin weft_origin_of(struct weft_str origin, const struct weft_config_list *allowed)
{
    enum weft_origin found = WEFT_ORIGIN_FOREIGN;

    for (size_t i = 0; i < allowed->len && origin.p != NULL; i++) {
        const char *item = allowed->items[i];

        if (weft_str_eq(origin, weft_str(item, strlen(item)))) {
            return WEFT_ORIGIN_NAMED;
        }
        if (strcmp(item, "*") == 0) {
            found = WEFT_ORIGIN_ANY;
        }
    }
    return found;
}

/* Of the page behind the request; NAMED for our own and for nobody's. */
static enum weft_origin origin_of(h2o_req_t *req, const struct weft_config *cfg) WEFT_ON_WORKER
{
    ssize_t first = h2o_find_header_by_str(&req->headers, H2O_STRLIT("origin"), -1);
    struct weft_str origin;

    if (first == -1) {
        return WEFT_ORIGIN_NAMED;
    }
    if (h2o_find_header_by_str(&req->headers, H2O_STRLIT("origin"), first) != -1) {
        return WEFT_ORIGIN_FOREIGN; /* no browser sends two: which one it is nobody knows */
    }
    origin = weft_str_of(req->headers.entries[first].value);
    return weft_origin_is_host(origin, weft_str_of(req->input.authority))
               ? WEFT_ORIGIN_NAMED
               : weft_origin_of(origin, &cfg->http.cors_origins);
}

bool weft_origin_allowed(h2o_req_t *req, const struct weft_config *cfg)
{
    return origin_of(req, cfg) != WEFT_ORIGIN_FOREIGN;
}

bool weft_origin_lends(h2o_req_t *req, const struct weft_config *cfg)
{
    return origin_of(req, cfg) == WEFT_ORIGIN_NAMED;
}
