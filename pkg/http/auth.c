#include "worker_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/auth/keychain.h>
#include <weft/auth/revoked.h>
#include <weft/auth/token.h>
#include <weft/base/clock.h>

/*
 * Who sends a request, and what he may do. A token is looked for in the Authorization header, then in the query, then
 * in the cookie; the first that is there counts. One that is no good is refused whatever everybody may do
 * (auth.anonymous): who believes to be somebody is not quietly made nobody.
 */

/* ---- checking a token ---- */

struct weft_checker {
    struct weft_token_policy policy;
    struct weft_str *names; /* audiences, then issuers; the configuration's texts */
};

static size_t copy_names(struct weft_str *out, const struct weft_config_list *list)
{
    for (size_t i = 0; i < list->len; i++) {
        out[i] = weft_str(list->items[i], strlen(list->items[i]));
    }
    return list->len;
}

struct weft_checker *weft_checker_create(const struct weft_config *cfg)
{
    struct weft_checker *checker = calloc(1, sizeof(*checker));
    size_t n = cfg->auth.audiences.len + cfg->auth.issuers.len;

    WEFT_ASSERT(checker != NULL);
    checker->names = calloc(n + 1, sizeof(*checker->names));
    WEFT_ASSERT(checker->names != NULL);
    checker->policy.audiences = checker->names;
    checker->policy.n_audiences = copy_names(checker->names, &cfg->auth.audiences);
    checker->policy.issuers = checker->names + checker->policy.n_audiences;
    checker->policy.n_issuers =
        copy_names(checker->names + checker->policy.n_audiences, &cfg->auth.issuers);
    checker->policy.leeway_s = cfg->auth.leeway_s;
    checker->policy.needs_expiry = cfg->auth.needs_expiry;
    return checker;
}

void weft_checker_destroy(struct weft_checker *checker)
{
    if (checker != NULL) {
        free(checker->names);
        free(checker);
    }
}

static bool is_revoked(const struct weft_worker *worker, const struct weft_grant *grant,
                       int64_t now_ms)
{
    return grant->is.jti.len > 0 && weft_revoked_has(worker->o.revoked, grant->is.jti, now_ms);
}

int weft_token_take(struct weft_worker *worker, struct weft_str token,
                    struct weft_grant **ret_grant, struct weft_err *err)
{
    struct weft_keyring *keys = weft_keychain_get(worker->o.keychain);
    struct weft_token_policy policy = worker->checker->policy;
    struct weft_grant *grant = NULL;

    policy.now_ms = weft_clock_wall_ms();
    if (keys == NULL) {
        (void)weft_err_set(err, WEFT_EINVAL, "", "this node has no keys to check it with");
    } else if (weft_token_check(keys, token, &policy, &grant, err) != 0) {
        grant = NULL;
    } else if (is_revoked(worker, grant, policy.now_ms)) {
        weft_grant_unref(grant);
        grant = NULL;
        (void)weft_err_set(err, WEFT_EINVAL, "jti", "it was revoked");
    }
    weft_keyring_unref(keys);
    weft_count(worker->o.shard, grant != NULL ? WEFT_M_TOKENS_ACCEPTED : WEFT_M_TOKENS_REFUSED, 1);
    *ret_grant = grant;
    return grant != NULL ? 0 : WEFT_EINVAL;
}

/* Without a token (auth.anonymous). */
static bool everybody_may(const struct weft_worker *worker, enum weft_right right)
{
    switch (worker->o.cfg->auth.anonymous) {
    case WEFT_ANONYMOUS_NONE:
        return right == WEFT_RIGHT_NONE;
    case WEFT_ANONYMOUS_SUBSCRIBE:
        return right == WEFT_RIGHT_NONE || right == WEFT_RIGHT_READ ||
               right == WEFT_RIGHT_SUBSCRIBE;
    case WEFT_ANONYMOUS_PUBLISH:
        return right == WEFT_RIGHT_NONE || right == WEFT_RIGHT_PUBLISH || right == WEFT_RIGHT_GUARD;
    case WEFT_ANONYMOUS_ALL:
        return true;
    }
    return false;
}

/* ---- the token of a request ---- */

static bool in_header(struct weft_call *call, struct weft_str *ret_token) WEFT_ON_WORKER
{
    struct weft_str rest = weft_header(call->req, "authorization");

    if (rest.p == NULL || !weft_str_ieq(weft_str_before(&rest, ' '), WEFT_STR("bearer"))) {
        return false; /* another scheme is for somebody in front of us */
    }
    *ret_token = weft_str_trim(rest);
    return true;
}

static bool in_query(struct weft_call *call, struct weft_str *ret_token) WEFT_ON_WORKER
{
    if (!call->worker->o.cfg->auth.query) {
        return false;
    }
    *ret_token = weft_query_get(call->query, "token");
    if (ret_token->p == NULL) {
        *ret_token = weft_query_get(call->query, "access_token");
    }
    return ret_token->p != NULL;
}

static bool in_cookie(struct weft_call *call, struct weft_str *ret_token) WEFT_ON_WORKER
{
    const char *name = call->worker->o.cfg->auth.cookie;
    const h2o_headers_t *headers = &call->req->headers;
    ssize_t at = -1;

    if (name[0] == '\0' || !weft_origin_lends(call->req, call->worker->o.cfg)) {
        return false;
    }
    while ((at = h2o_find_header(headers, H2O_TOKEN_COOKIE, at)) != -1) {
        struct weft_str rest = weft_str_of(headers->entries[at].value);

        while (rest.len > 0) {
            struct weft_str value = weft_str_trim(weft_str_before(&rest, ';'));

            if (weft_str_eq(weft_str_before(&value, '='), weft_str(name, strlen(name)))) {
                *ret_token = value;
                return true;
            }
        }
    }
    return false;
}

struct holder {
    struct weft_grant *grant;
};

static void let_go(void *p)
{
    weft_grant_unref(((struct holder *)p)->grant);
}

void weft_call_authenticate(struct weft_call *call)
{
    struct weft_str token = {NULL, 0};
    struct weft_grant *grant = NULL;
    struct weft_err err;

    if (!in_header(call, &token) && !in_query(call, &token) && !in_cookie(call, &token)) {
        return;
    }
    if (weft_token_take(call->worker, token, &grant, &err) != 0) {
        if (weft_route_handles(call->route, weft_handle_limits_check) &&
            everybody_may(call->worker, WEFT_RIGHT_GUARD)) {
            return; /* a proxy asks with the head of a request that is for somebody else, as is its token */
        }
        call->refused = h2o_strdup(&call->req->pool, err.message, SIZE_MAX).base;
        return;
    }
    struct holder *holder = h2o_mem_alloc_shared(&call->req->pool, sizeof(*holder), let_go);

    holder->grant = grant; /* as long as the request */
    call->grant = grant;
    weft_asked_by(call->req, grant->is.subject);
}

/* ---- what he may do ---- */

/* Of some topic at least: the handler asks about the ones it is for. */
static bool token_may(const struct weft_grant *grant, enum weft_right right)
{
    bool operates = (grant->is.roles & WEFT_ROLE_OPERATOR) != 0;

    switch (right) {
    case WEFT_RIGHT_NONE:
    case WEFT_RIGHT_READ:
        return true;
    case WEFT_RIGHT_SUBSCRIBE:
        return grant->is.subscribe.n > 0;
    case WEFT_RIGHT_PUBLISH:
        return grant->is.publish.n > 0;
    case WEFT_RIGHT_GUARD:
        return operates || grant->is.publish.n > 0;
    case WEFT_RIGHT_OPERATE:
        return operates;
    case WEFT_RIGHT_OWN:
        return true;
    }
    return false;
}

bool weft_is_operator(const struct weft_worker *worker, const struct weft_grant *grant)
{
    return everybody_may(worker, WEFT_RIGHT_OPERATE) ||
           (grant != NULL && token_may(grant, WEFT_RIGHT_OPERATE));
}

bool weft_may_publish(const struct weft_worker *worker, const struct weft_grant *grant,
                      struct weft_str topic)
{
    return everybody_may(worker, WEFT_RIGHT_PUBLISH) ||
           (grant != NULL && weft_grant_may_publish(grant, topic));
}

bool weft_may_subscribe(const struct weft_worker *worker, const struct weft_grant *grant,
                        struct weft_str pattern)
{
    return everybody_may(worker, WEFT_RIGHT_SUBSCRIBE) ||
           (grant != NULL && weft_grant_may_subscribe(grant, pattern));
}

/* ---- refusals ---- */

/* RFC 6750, section 3. */
static void challenge(h2o_req_t *req, const char *why)
{
    static const char begin[] = "Bearer realm=\"weft\"";
    h2o_iovec_t value = h2o_iovec_init(H2O_STRLIT(begin));

    if (why != NULL) {
        value =
            h2o_concat(&req->pool, value, h2o_iovec_init(H2O_STRLIT(", error=\"invalid_token\"")));
    }
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_WWW_AUTHENTICATE, NULL, value.base,
                   value.len);
}

void weft_respond_unauthorized(h2o_req_t *req, const char *why)
{
    weft_count(weft_worker_of(req)->o.shard, WEFT_M_REQUESTS_UNAUTHORIZED, 1);
    challenge(req, why);
    if (why != NULL) {
        weft_respond_problem(req, 401, "unauthorized", "token", "the token is refused: %s", why);
    } else {
        weft_respond_problem(req, 401, "unauthorized", "", "this needs a token");
    }
}

void weft_respond_forbidden(struct weft_call *call, const char *field, const char *what)
{
    struct weft_worker *worker = call->worker;

    if (call->grant == NULL && worker->o.cfg->auth.jwks[0] != '\0') {
        weft_respond_unauthorized(call->req, NULL); /* with one he might */
        return;
    }
    weft_count(worker->o.shard, WEFT_M_REQUESTS_FORBIDDEN, 1);
    weft_respond_problem(call->req, 403, "forbidden", field,
                         call->grant != NULL ? "the token does not allow this: %s"
                                             : "not without a token (auth.anonymous): %s",
                         what);
}

static bool may_call(struct weft_call *call, enum weft_right right) WEFT_ON_WORKER
{
    static const char *const needs[] = {
        [WEFT_RIGHT_NONE] = "",
        [WEFT_RIGHT_READ] = "a token, or anonymous access",
        [WEFT_RIGHT_SUBSCRIBE] = "topics that may be subscribed to",
        [WEFT_RIGHT_PUBLISH] = "topics that may be published to",
        [WEFT_RIGHT_GUARD] = "the role operator, or topics that may be published to",
        [WEFT_RIGHT_OPERATE] = "the role operator",
        [WEFT_RIGHT_OWN] = "",
    };

    if (everybody_may(call->worker, right) ||
        (call->grant != NULL && token_may(call->grant, right))) {
        return true;
    }
    weft_respond_forbidden(call, "", needs[right]);
    return false;
}

bool weft_call_permitted(struct weft_call *call, enum weft_right right)
{
    if (right == WEFT_RIGHT_NONE || right == WEFT_RIGHT_OWN) {
        return true;
    }
    if (call->refused != NULL) {
        weft_respond_unauthorized(call->req, call->refused);
        return false;
    }
    return may_call(call, right);
}

bool weft_call_may_subscribe(struct weft_call *call, struct weft_str pattern, const char *field)
{
    if (weft_may_subscribe(call->worker, call->grant, pattern)) {
        return true;
    }
    weft_respond_forbidden(call, field, "subscribing to this topic");
    return false;
}

/* ---- tokens of what lives on ---- */

void weft_standing_begin(struct weft_standing *standing, struct weft_grant *grant)
{
    *standing = (struct weft_standing){.grant = grant == NULL ? NULL : weft_grant_ref(grant)};
}

void weft_standing_renew(struct weft_standing *standing, struct weft_grant *grant)
{
    struct weft_grant *old = standing->grant;

    weft_standing_begin(standing, grant);
    weft_grant_unref(old);
}

void weft_standing_end(struct weft_standing *standing)
{
    weft_grant_unref(standing->grant);
    standing->grant = NULL;
}

enum weft_standing_state weft_standing_look(struct weft_standing *standing,
                                            const struct weft_worker *worker)
{
    const struct weft_grant *grant = standing->grant;
    int64_t now_ms;

    if (grant == NULL) {
        return WEFT_STILL_GOOD;
    }
    now_ms = weft_clock_wall_ms();
    if (is_revoked(worker, grant, now_ms)) {
        return WEFT_REVOKED;
    }
    /* It is looked at once a second: rather early than late. */
    if (grant->is.expires_ms != 0 && now_ms + 1000 > grant->is.expires_ms) {
        return WEFT_EXPIRED;
    }
    if (grant->is.expires_ms != 0 && !standing->told &&
        now_ms + (int64_t)worker->o.cfg->auth.expiring_ms > grant->is.expires_ms) {
        standing->told = true;
        return WEFT_EXPIRES_SOON;
    }
    return WEFT_STILL_GOOD;
}

void weft_expiring_print(struct weft_buf *out, const struct weft_standing *standing)
{
    int64_t at_ms = standing->grant->is.expires_ms;
    int64_t in_ms = at_ms - weft_clock_wall_ms();

    weft_buf_printf(out, "\"expires_ms\":%lld,\"in_ms\":%lld", (long long)at_ms,
                    (long long)(in_ms > 0 ? in_ms : 0));
}

void weft_renewed_print(struct weft_buf *out, const struct weft_standing *standing)
{
    int64_t at_ms = standing->grant == NULL ? 0 : standing->grant->is.expires_ms;

    if (at_ms == 0) {
        weft_buf_puts(out, "\"expires_ms\":null");
    } else {
        weft_buf_printf(out, "\"expires_ms\":%lld", (long long)at_ms);
    }
}
