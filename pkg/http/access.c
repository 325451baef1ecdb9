#include "edge_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/base/clock.h>
#include <weft/telemetry/sink.h>

/*
 * A request's line is made when h2o lets go of the request: when its answer was sent or its connection has gone, or when
 * the connection leaves h2o as a stream, which gets a second line at its end.
 *
 * Each text has a bound, so that a line always fits (WEFT_SINK_LINE_MAX).
 */

#define PATH_MAX_BYTES    1000
#define QUERY_MAX_BYTES   1000
#define AGENT_MAX_BYTES   256
#define SUBJECT_MAX_BYTES 256
#define METHOD_MAX_BYTES  32
#define LINE_BUF          ((size_t)32 * 1024) /* for texts before they are cut */

/* ---- texts ---- */

/* As JSON, at most max bytes between its quotes. */
static void put_text(struct weft_buf *b, struct weft_str s, size_t max)
{
    size_t from = b->len;

    s.len = s.len < max ? s.len : max;
    weft_buf_json(b, s);
    if (b->len - from > max + 2) { /* escapes, of six bytes at most */
        b->len = from;
        s.len = s.len < max / 6 ? s.len : max / 6;
        weft_buf_json(b, s);
    }
}

static void put_field(struct weft_buf *b, const char *key, struct weft_str s, size_t max)
{
    if (s.len > 0) {
        weft_buf_puts(b, ",\"");
        weft_buf_puts(b, key);
        weft_buf_puts(b, "\":");
        put_text(b, s, max);
    }
}

static bool is_name(struct weft_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-')) {
            return false;
        }
    }
    return s.len > 0 && s.len <= 32;
}

static bool is_harmless(struct weft_str name)
{
    static const char *const names[] = {"topic", "types",   "since", "lastEventId",
                                        "named", "wait_ms", "limit", "slow",
                                        "after", "before",  "ack",   "format"};

    for (size_t i = 0; i < WEFT_COUNT_OF(names); i++) {
        if (weft_str_eq(name, weft_str(names[i], strlen(names[i])))) {
            return true;
        }
    }
    return false;
}

void weft_access_query(struct weft_buf *out, struct weft_str query, size_t max)
{
    size_t from = out->len;

    while (query.len > 0) {
        struct weft_str value = weft_str_before(&query, '&');
        struct weft_str whole = value;
        struct weft_str name = weft_str_before(&value, '=');
        bool has_value = name.len < whole.len;
        bool plain = is_harmless(name);

        if (!is_name(name)) {
            name = WEFT_STR("***"); /* a secret may have been put in its place */
        }
        if (!plain) {
            value = WEFT_STR("***");
        }
        if (out->len - from + name.len + value.len + 8 > max) {
            weft_buf_puts(out, out->len > from ? "&..." : "...");
            return;
        }
        weft_buf_puts(out, out->len > from ? "&" : "");
        weft_buf_str(out, name);
        if (has_value) {
            weft_buf_puts(out, "=");
            weft_buf_str(out, value);
        }
    }
}

/* The calendar is asked once a second. */
static void put_time(struct weft_worker *worker, struct weft_buf *b) WEFT_ON_WORKER
{
    struct weft_second *second = &worker->second;
    int64_t now = weft_clock_wall_ms();
    char ms[4] = {(char)('0' + now % 1000 / 100), (char)('0' + now % 100 / 10),
                  (char)('0' + now % 10), '\0'};

    if (second->at != now / 1000 || second->text[0] == '\0') {
        time_t seconds = (time_t)(now / 1000);
        struct tm tm;

        (void)gmtime_r(&seconds, &tm);
        (void)strftime(second->text, sizeof(second->text), "%Y-%m-%dT%H:%M:%S.", &tm);
        second->at = now / 1000;
    }
    weft_buf_puts(b, "{\"time\":\"");
    weft_buf_puts(b, second->text);
    weft_buf_puts(b, ms);
    weft_buf_puts(b, "Z\"");
}

static void put_duration(struct weft_buf *b, uint64_t ns)
{
    weft_buf_printf(b, ",\"duration_ms\":%" PRIu64 ".%03" PRIu64, ns / 1000000, ns / 1000 % 1000);
}

/* ---- lines ---- */

static void put_path(struct weft_buf *b, struct weft_str path)
{
    struct weft_str rest = path;
    struct weft_str name;
    struct weft_buf shown;

    if (!weft_str_take(&rest, "/api/streams/")) {
        put_field(b, "path", path, PATH_MAX_BYTES);
        return;
    }
    name = weft_str_before(&rest, '/');
    weft_buf_init(&shown, PATH_MAX_BYTES + 64);
    weft_buf_puts(&shown, "/api/streams/");
    weft_stream_id_hide(&shown, name);
    if (rest.len > 0) {
        weft_buf_puts(&shown, "/");
        weft_buf_str(&shown, rest);
    }
    put_field(b, "path", weft_str(shown.data, shown.len), PATH_MAX_BYTES);
    weft_buf_fini(&shown);
}

static void put_about(struct weft_buf *b, h2o_req_t *req) WEFT_ON_WORKER
{
    struct weft_worker *worker = weft_worker_of(req);
    const struct weft_asked *asked = weft_asked_of(req);
    struct weft_str path = weft_str_of(req->input.path);
    struct weft_str client = weft_address_element(req, worker->o.cfg->limits.api_proxies);
    char peer[WEFT_PEER_NAME_MAX];
    char address[WEFT_ADDRESS_MAX];
    struct weft_buf query;

    weft_address_name_peer(req->conn->callbacks->get_socket(req->conn), peer);
    put_field(b, "node", weft_str(worker->o.node_id, strlen(worker->o.node_id)), 64);
    put_field(b, "request_id", asked->id, 64);
    put_field(b, "traceparent", asked->traceparent, 128);
    put_field(b, "peer", weft_str(peer, strlen(peer)), sizeof(peer));
    if (weft_address_parse(address, client)) {
        put_field(b, "client", client, 64);
    }
    put_field(b, "subject", asked->subject, SUBJECT_MAX_BYTES);
    put_field(b, "method", weft_str_of(req->input.method), METHOD_MAX_BYTES);
    if (req->input.query_at != SIZE_MAX && req->input.query_at < path.len) {
        struct weft_str all =
            weft_str(path.p + req->input.query_at + 1, path.len - req->input.query_at - 1);

        path.len = req->input.query_at;
        put_path(b, path);
        weft_buf_init(&query, QUERY_MAX_BYTES);
        weft_access_query(&query, all, QUERY_MAX_BYTES);
        put_field(b, "query", weft_str(query.data, query.len), QUERY_MAX_BYTES);
        weft_buf_fini(&query);
    } else {
        put_path(b, path);
    }
    weft_buf_printf(b, ",\"protocol\":\"HTTP/%d.%d\"", req->version >> 8, req->version & 0xff);
    put_field(b, "user_agent", weft_header(req, "user-agent"), AGENT_MAX_BYTES);
}

static void put_line(struct weft_worker *worker, struct weft_buf *b) WEFT_ON_WORKER
{
    weft_buf_puts(b, "}\n");
    WEFT_ASSERT(!b->toobig && b->len <= WEFT_SINK_LINE_MAX);
    if (!weft_sink_put(worker->o.edge->access, weft_str(b->data, b->len))) {
        weft_count(worker->o.shard, WEFT_M_ACCESS_DROPPED, 1);
    }
}

char *weft_access_about(h2o_req_t *req)
{
    struct weft_buf b;
    size_t len;

    if (weft_worker_of(req)->o.edge->access == NULL) {
        return NULL;
    }
    weft_buf_init(&b, LINE_BUF);
    put_about(&b, req);
    return weft_buf_take(&b, &len); /* ends in a NUL */
}

void weft_access_stream_end(struct weft_worker *worker, const char *about, const char *as,
                            uint64_t lived_ns, uint64_t bytes, uint64_t events, const char *reason)
{
    struct weft_buf *b = &worker->line;

    weft_buf_clear(b);
    put_time(worker, b);
    weft_buf_puts(b, ",\"event\":\"stream.end\"");
    weft_buf_puts(b, about);
    weft_buf_printf(b, ",\"stream\":\"%s\",\"bytes\":%" PRIu64 ",\"events\":%" PRIu64, as, bytes,
                    events);
    put_duration(b, lived_ns);
    put_field(b, "reason", weft_str(reason, strlen(reason)), 128);
    put_line(worker, b);
}

static void log_request(struct weft_worker *worker, h2o_req_t *req) WEFT_ON_WORKER
{
    const struct weft_asked *asked = weft_asked_of(req);
    struct weft_buf *b = &worker->line;

    weft_buf_clear(b);
    put_time(worker, b);
    weft_buf_puts(b,
                  asked->stream != NULL ? ",\"event\":\"stream.begin\"" : ",\"event\":\"request\"");
    put_about(b, req);
    if (asked->stream != NULL) {
        weft_buf_printf(b, ",\"stream\":\"%s\"", asked->stream);
    }
    weft_buf_printf(b, ",\"status\":%d,\"bytes\":%zu", req->res.status, req->bytes_sent);
    put_duration(b, weft_clock_mono_ns() - asked->began_ns);
    put_line(worker, b);
}

static void log_access(h2o_logger_t *self, h2o_req_t *req)
{
    struct weft_worker *worker = weft_worker_of(req);
    struct weft_asked *asked;

    (void)self;
    weft_role_assert_worker(worker->owner);
    if (worker->o.edge->access != NULL) {
        log_request(worker, req);
    }
    asked = &weft_door_of(req)->asked;
    memset(asked, 0, sizeof(*asked)); /* the connection's next request is another one */
    weft_watch_over(req);
}

void weft_access_register(h2o_pathconf_t *path)
{
    h2o_logger_t *logger = h2o_create_logger(path, sizeof(*logger));

    logger->log_access = log_access;
}
