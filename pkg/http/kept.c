#include "edge_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/clock.h>
#include <weft/loop/tally.h>
#include <weft/telemetry/sink.h>

#define RETRY_MS 5000 /* another stream has to end first */

/* Counts one more; false: there are max already. Without a limit, or a name, nothing is counted. */
static bool enter(struct weft_worker *worker, const char *kind, struct weft_str name, uint32_t max,
                  struct weft_tally_name **ret_place) WEFT_ON_WORKER
{
    char text[WEFT_TALLY_NAME_MAX + 16];
    bool shared;
    int n;

    if (max == 0 || name.len == 0) {
        return true;
    }
    n = snprintf(text, sizeof(text), "%s %.*s", kind,
                 (int)(name.len < WEFT_TALLY_NAME_MAX ? name.len : WEFT_TALLY_NAME_MAX), name.p);
    *ret_place = weft_tally_enter(worker->o.edge->tally, weft_str(text, (size_t)n), max, &shared);
    if (shared) {
        weft_count(worker->o.shard, WEFT_M_TALLY_FULL, 1);
    }
    return *ret_place != NULL;
}

static void leave(struct weft_worker *worker, struct weft_kept *kept) WEFT_ON_WORKER
{
    weft_tally_leave(worker->o.edge->tally, kept->address);
    weft_tally_leave(worker->o.edge->tally, kept->subject);
    kept->address = kept->subject = NULL;
}

static void turn_away(struct weft_call *call, enum weft_counter reason, const char *parameter)
    WEFT_ON_WORKER
{
    weft_count(call->worker->o.shard, reason, 1);
    if (weft_call_is_stream(call)) {
        weft_turn_stream_away(call, RETRY_MS);
        return;
    }
    h2o_add_header(&call->req->pool, &call->req->res.headers, H2O_TOKEN_RETRY_AFTER, NULL,
                   H2O_STRLIT("5"));
    weft_respond_problem(call->req, 429, "limited", "", "too many streams at once (%s)", parameter);
}

/* Behind proxies, whose connections are many clients', the stream itself is counted; else its connection was. */
static bool enter_address(struct weft_call *call, struct weft_kept *kept) WEFT_ON_WORKER
{
    const struct weft_config *cfg = call->worker->o.cfg;
    struct weft_door *door = weft_door_of(call->req);
    char address[WEFT_ADDRESS_MAX];

    if (cfg->limits.api_proxies == 0) {
        kept->address = door->address;
        door->address = NULL;
        return true;
    }
    weft_address_of(call->req, cfg->limits.api_proxies, address);
    return enter(call->worker, "address", weft_str(address, strlen(address)),
                 cfg->limits.connections_per_address, &kept->address);
}

bool weft_kept_begin(struct weft_call *call, const char *as, struct weft_kept *kept)
{
    struct weft_worker *worker = call->worker;
    struct weft_asked *asked = weft_asked_of(call->req);

    memset(kept, 0, sizeof(*kept));
    if (!enter(worker, "subject", asked->subject, worker->o.cfg->limits.connections_per_subject,
               &kept->subject)) {
        turn_away(call, WEFT_M_REFUSED_SUBJECT, "limits.connections_per_subject");
        return false;
    }
    if (!enter_address(call, kept)) {
        leave(worker, kept);
        turn_away(call, WEFT_M_REFUSED_ADDRESS, "limits.connections_per_address");
        return false;
    }
    asked->stream = as;
    kept->request_id = strndup(asked->id.p, asked->id.len);
    kept->about = weft_access_about(call->req);
    kept->began_ns = weft_clock_mono_ns();
    return true;
}

bool weft_kept_subject(struct weft_worker *worker, struct weft_kept *kept, struct weft_str subject)
{
    if (kept->subject != NULL || /* only one of the same takes its token's place */
        enter(worker, "subject", subject, worker->o.cfg->limits.connections_per_subject,
              &kept->subject)) {
        return true;
    }
    weft_count(worker->o.shard, WEFT_M_REFUSED_SUBJECT, 1);
    return false;
}

void weft_kept_end(struct weft_worker *worker, struct weft_kept *kept, const char *as,
                   uint64_t bytes, uint64_t events, const char *reason)
{
    leave(worker, kept);
    free(kept->request_id);
    kept->request_id = NULL;
    if (kept->about != NULL) {
        weft_access_stream_end(worker, kept->about, as, weft_clock_mono_ns() - kept->began_ns,
                               bytes, events, reason);
        free(kept->about);
        kept->about = NULL;
    }
}
