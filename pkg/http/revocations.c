#include "worker_priv.h"

#include <weft/access/revocations.h>
#include <weft/auth/revoked.h>

/* /api/revocations: tokens that are no longer good, by their jti, for operators. */

static const char *const no_query[] = {NULL};

struct form {
    uint64_t until_ms;
};

static const struct weft_member members[] = {
    {.name = "until_ms",
     .kind = WEFT_MEMBER_U64,
     .offset = offsetof(struct form, until_ms),
     .lo = 1,
     .hi = (double)WEFT_REVOKED_FOR_EVER},
};

static bool take_jti(struct weft_call *call) WEFT_ON_WORKER
{
    struct weft_str jti = call->params[0];

    if (jti.len == 0 || jti.len > WEFT_REVOKED_JTI_MAX || !weft_str_printable(jti)) {
        weft_respond_problem(call->req, 400, "invalid", "jti", "it must be 1 to %d printable bytes",
                             WEFT_REVOKED_JTI_MAX);
        return false;
    }
    return true;
}

void weft_handle_revocations(struct weft_call *call)
{
    static const char *const known[] = {"limit", NULL};
    uint32_t limit;

    if (weft_query_allow(call, known) && weft_query_u32(call, "limit", 1, 10000, 1000, &limit)) {
        weft_control_ask(call, weft_revocations_ask_list(limit));
    }
}

/*
 * A token is good for auth.leeway_s beyond its `exp`, which is what the operator tells: that long it is to be remembered, by
 * Redis and every node.
 */
static int64_t remembered_until(const struct weft_worker *worker, uint64_t until_ms)
{
    int64_t leeway_ms = (int64_t)worker->o.cfg->auth.leeway_s * 1000;

    return (int64_t)until_ms < WEFT_REVOKED_FOR_EVER - leeway_ms ? (int64_t)until_ms + leeway_ms
                                                                 : WEFT_REVOKED_FOR_EVER;
}

void weft_handle_revocation_put(struct weft_call *call)
{
    struct form form = {.until_ms = (uint64_t)WEFT_REVOKED_FOR_EVER};

    if (weft_query_allow(call, no_query) && take_jti(call) &&
        weft_call_form(call, members, WEFT_COUNT_OF(members), &form, NULL)) {
        weft_control_ask(call, weft_revocations_ask(call->params[0],
                                                    remembered_until(call->worker, form.until_ms)));
    }
}

void weft_handle_revocation_delete(struct weft_call *call)
{
    if (weft_query_allow(call, no_query) && take_jti(call)) {
        weft_control_ask(call, weft_revocations_ask(call->params[0], 0));
    }
}
