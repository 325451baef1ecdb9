#include "worker_priv.h"

#include <weft/service/services.h>

/* Services and nodes: the control thread answers, by what Redis holds. */

#define LIST_MAX  1000
#define NODES_MAX 1000

static const char *const no_query[] = {NULL};

/* `health` is a path of its own. */
static bool id_of(struct weft_call *call, struct weft_str *ret_id) WEFT_ON_WORKER
{
    *ret_id = call->params[0];
    if (!weft_service_id_valid(*ret_id) || weft_str_eq(*ret_id, WEFT_STR("health"))) {
        weft_respond_problem(call->req, 400, "invalid", "id",
                             "a service's id is 1 to 64 of A-Z a-z 0-9 . _ - and not `health`");
        return false;
    }
    return true;
}

/* No parameter, no body. */
static void ask(struct weft_call *call, enum weft_service_ask what) WEFT_ON_WORKER
{
    struct weft_str id;
    char unused;

    if (weft_query_allow(call, no_query) && id_of(call, &id) &&
        weft_call_form(call, NULL, 0, &unused, NULL)) {
        weft_control_ask(call, weft_services_ask(what, id));
    }
}

void weft_handle_service(struct weft_call *call)
{
    ask(call, WEFT_SERVICE_ASK_GET);
}

void weft_handle_service_metrics(struct weft_call *call)
{
    ask(call, WEFT_SERVICE_ASK_METRICS);
}

void weft_handle_service_delete(struct weft_call *call)
{
    ask(call, WEFT_SERVICE_ASK_DELETE);
}

void weft_handle_service_start(struct weft_call *call)
{
    ask(call, WEFT_SERVICE_ASK_START);
}

void weft_handle_service_stop(struct weft_call *call)
{
    ask(call, WEFT_SERVICE_ASK_STOP);
}

void weft_handle_service_restart(struct weft_call *call)
{
    ask(call, WEFT_SERVICE_ASK_RESTART);
}

void weft_handle_service_put(struct weft_call *call)
{
    struct weft_request *rq;
    struct weft_err err;
    struct weft_str id;

    if (!weft_query_allow(call, no_query) || !id_of(call, &id)) {
        return;
    }
    rq = weft_services_ask_put(id, weft_str_of(call->req->entity), &err);
    if (rq == NULL) {
        weft_respond_err(call->req, &err);
        return;
    }
    weft_control_ask(call, rq);
}

void weft_handle_services(struct weft_call *call)
{
    static const char *const known[] = {"after", "limit", NULL};
    struct weft_str after = weft_query_get(call->query, "after");
    uint32_t limit;

    if (!weft_query_allow(call, known) ||
        !weft_query_u32(call, "limit", 1, LIST_MAX, LIST_MAX, &limit)) {
        return;
    }
    if (after.len > 0 && !weft_service_id_valid(after)) {
        weft_respond_problem(call->req, 400, "invalid", "after", "it must be a service's id");
        return;
    }
    weft_control_ask(call, weft_services_ask_list(WEFT_SERVICES_LIST, after, limit));
}

void weft_handle_services_health(struct weft_call *call)
{
    if (weft_query_allow(call, no_query)) {
        weft_control_ask(call,
                         weft_services_ask_list(WEFT_SERVICES_HEALTH, weft_str("", 0), UINT32_MAX));
    }
}

void weft_handle_nodes(struct weft_call *call)
{
    if (weft_query_allow(call, no_query)) {
        weft_control_ask(call,
                         weft_services_ask_list(WEFT_SERVICES_NODES, weft_str("", 0), NODES_MAX));
    }
}
