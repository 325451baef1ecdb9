#include "ws_priv.h"

#include <stdlib.h>
#include <string.h>

#include <h2o/http1.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <weft/base/assert.h>

/*
 * The handshake (RFC 6455, 4.2). What is wrong with it is a problem as of any request; after it there are only close codes.
 */

#define KEY_LEN    24 /* base64 of 16 bytes */
#define ACCEPT_LEN 28 /* ... of 20 */

static bool refuse(struct weft_call *call, int status, const char *code, const char *field,
                   const char *why) WEFT_ON_WORKER
{
    weft_count(call->worker->o.shard,
               status == 403 ? WEFT_M_WS_REFUSED_ORIGIN : WEFT_M_WS_REFUSED_HANDSHAKE, 1);
    weft_respond_problem(call->req, status, code, field, "%s", why);
    return false;
}

static void add_header(h2o_req_t *req, const char *name, const char *value)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 0, NULL, value,
                          strlen(value));
}

/* The next element of a header that is a list and may be there several times. *at begins as -1. */
struct elements {
    h2o_req_t *req;
    const char *name;
    ssize_t at;
    struct weft_str rest;
};

static bool next_element(struct elements *e, struct weft_str *ret)
{
    while (e->rest.len == 0) {
        e->at = h2o_find_header_by_str(&e->req->headers, e->name, strlen(e->name), e->at);
        if (e->at == -1) {
            return false;
        }
        e->rest = weft_str_of(e->req->headers.entries[e->at].value);
    }
    *ret = weft_str_trim(weft_str_before(&e->rest, ','));
    return true;
}

/* h2o only keeps Upgrade where Connection names it. */
static bool upgrade_lists(h2o_req_t *req)
{
    struct weft_str rest = weft_str_of(req->upgrade);

    while (rest.len > 0) {
        if (weft_str_ieq(weft_str_trim(weft_str_before(&rest, ',')), WEFT_STR("websocket"))) {
            return true;
        }
    }
    return false;
}

/* 16 bytes in base64: what they are does not matter. */
static bool key_is_good(struct weft_str key)
{
    if (key.len != KEY_LEN || key.p[KEY_LEN - 1] != '=' || key.p[KEY_LEN - 2] != '=') {
        return false;
    }
    for (size_t i = 0; i < KEY_LEN - 2; i++) {
        char c = key.p[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '+' || c == '/')) {
            return false;
        }
    }
    return true;
}

struct offer {
    bool any, ours;
    struct weft_str token; /* p NULL: none */
};

static struct offer offer_of(h2o_req_t *req)
{
    struct elements e = {req, "sec-websocket-protocol", -1, {NULL, 0}};
    struct offer offer = {.any = false};
    struct weft_str one;

    while (next_element(&e, &one)) {
        offer.any = true;
        offer.ours = offer.ours || weft_str_eq(one, WEFT_STR(WEFT_WS_PROTOCOL_V1));
        if (weft_str_take(&one, "weft.token.")) {
            offer.token = one;
        }
    }
    return offer;
}

static bool check(struct weft_call *call, const struct offer *offer) WEFT_ON_WORKER
{
    static const char *const known[] = {NULL};
    h2o_req_t *req = call->req;

    if (!weft_query_allow(call, known)) {
        weft_count(call->worker->o.shard, WEFT_M_WS_REFUSED_HANDSHAKE, 1);
        return false;
    }
    if (!h2o_memis(req->input.method.base, req->input.method.len, H2O_STRLIT("GET")) ||
        req->version < 0x101 || req->entity.len > 0) {
        return refuse(call, 400, "invalid", "",
                      "a WebSocket begins with a GET of HTTP/1.1 without body");
    }
    if (!upgrade_lists(req)) {
        add_header(req, "upgrade", "websocket");
        return refuse(call, 426, "upgrade_required", "Upgrade",
                      "there are only WebSockets here: Connection: Upgrade, Upgrade: websocket");
    }
    if (!weft_str_eq(weft_header(req, "sec-websocket-version"), WEFT_STR("13"))) {
        add_header(req, "sec-websocket-version", "13");
        return refuse(call, 426, "upgrade_required", "Sec-WebSocket-Version", "it must be 13");
    }
    if (!key_is_good(weft_header(req, "sec-websocket-key"))) {
        return refuse(call, 400, "invalid", "Sec-WebSocket-Key", "it must be 16 bytes in base64");
    }
    /* Pages of other origins can open a WebSocket here without asking, unlike a request (RFC 6455, 10.2). */
    if (!weft_origin_allowed(req, call->worker->o.cfg)) {
        return refuse(call, 403, "forbidden", "Origin",
                      "pages of this origin may not (http.cors_origins)");
    }
    if (offer->any && !offer->ours) {
        return refuse(call, 400, "invalid", "Sec-WebSocket-Protocol",
                      "of those offered one must be " WEFT_WS_PROTOCOL_V1);
    }
    return true;
}

static const char *accept_of(h2o_req_t *req, struct weft_str key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[KEY_LEN + sizeof(guid) - 1];
    unsigned char digest[SHA_DIGEST_LENGTH];
    char *out = h2o_mem_alloc_pool(&req->pool, ACCEPT_LEN + 1);

    memcpy(text, key.p, KEY_LEN);
    memcpy(text + KEY_LEN, guid, sizeof(guid) - 1);
    (void)SHA1(text, sizeof(text), digest);
    WEFT_ASSERT(EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest)) == ACCEPT_LEN);
    return out;
}

void weft_handle_ws(struct weft_call *call)
{
    struct offer offer = offer_of(call->req);
    h2o_req_t *req = call->req;
    struct weft_ws *ws;

    if (!check(call, &offer)) {
        return;
    }
    ws = weft_ws_create(call->worker);
    if (ws == NULL) {
        weft_respond_problem(req, 503, "busy", "", "out of memory");
        return;
    }
    if (!weft_ws_caller_take(ws, call, offer.token)) {
        weft_ws_discard(ws);
        return;
    }
    if (!weft_kept_begin(call, "websocket", &ws->kept)) {
        weft_ws_discard(ws);
        return;
    }
    req->res.status = 101;
    req->res.reason = "Switching Protocols";
    add_header(req, "upgrade", "websocket");
    add_header(req, "sec-websocket-accept", accept_of(req, weft_header(req, "sec-websocket-key")));
    if (offer.ours) {
        add_header(req, "sec-websocket-protocol", WEFT_WS_PROTOCOL_V1);
    }
    weft_answer_headers(req);
    weft_count(call->worker->o.shard, WEFT_M_HTTP_REQUESTS, 1);
    h2o_http1_upgrade(req, NULL, 0, weft_ws_head_sent, ws);
}
