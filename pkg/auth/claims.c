#include "claims_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/assert.h>

#define NUMBER_MAX (INT64_C(1) << 53) /* whole numbers that JSON carries exactly */
#define MS_PER_S   1000

static struct weft_str text_of(const json_t *string)
{
    return weft_str(json_string_value(string), json_string_length(string));
}

/* A NumericDate in milliseconds. *ret_has: whether it is there. */
static int read_time(const json_t *claims, const char *name, bool *ret_has, int64_t *ret_ms,
                     struct weft_err *err)
{
    const json_t *value = json_object_get(claims, name);
    double seconds = json_number_value(value);

    *ret_has = value != NULL;
    *ret_ms = 0;
    if (value == NULL) {
        return 0;
    }
    if (!json_is_number(value)) {
        return weft_err_set(err, WEFT_EINVAL, name, "%s must be a number of seconds since 1970",
                            name);
    }
    if (!(fabs(seconds) <= (double)NUMBER_MAX)) {
        return weft_err_set(err, WEFT_EINVAL, name, "%s is out of range", name);
    }
    /* Up to 2^53 seconds are less than 2^63 milliseconds. */
    *ret_ms = json_is_integer(value) ? json_integer_value(value) * MS_PER_S
                                     : (int64_t)floor(seconds * MS_PER_S);
    return 0;
}

/* Of times that may be at either end of the range. */
static int64_t plus(int64_t a, int64_t b)
{
    int64_t sum;

    if (!__builtin_add_overflow(a, b, &sum)) {
        return sum;
    }
    return b < 0 ? INT64_MIN : INT64_MAX;
}

static int check_times(struct weft_grant_spec *grant, const json_t *claims,
                       const struct weft_token_policy *policy, struct weft_err *err)
{
    int64_t leeway_ms = (int64_t)policy->leeway_s * MS_PER_S;
    int64_t latest_ms = plus(policy->now_ms, leeway_ms);
    int64_t exp_ms, nbf_ms, iat_ms;
    bool has_exp, has_nbf, has_iat;
    int rc = read_time(claims, "exp", &has_exp, &exp_ms, err);

    rc = rc != 0 ? rc : read_time(claims, "nbf", &has_nbf, &nbf_ms, err);
    rc = rc != 0 ? rc : read_time(claims, "iat", &has_iat, &iat_ms, err);
    if (rc != 0) {
        return rc;
    }
    if (!has_exp && policy->needs_expiry) {
        return weft_err_set(err, WEFT_EINVAL, "exp", "the token has no exp");
    }
    if (has_exp && policy->now_ms >= plus(exp_ms, leeway_ms)) {
        return weft_err_set(err, WEFT_ETIMEOUT, "exp", "the token has expired");
    }
    if (has_nbf && nbf_ms > latest_ms) {
        return weft_err_set(err, WEFT_EINVAL, "nbf", "the token is not good yet (nbf)");
    }
    if (has_iat && iat_ms > latest_ms) {
        return weft_err_set(err, WEFT_EINVAL, "iat", "the token was issued in the future (iat)");
    }
    /* 0 is "never": one that ended exactly in 1970 was refused above. */
    grant->expires_ms = has_exp ? plus(exp_ms, leeway_ms) : 0;
    return 0;
}

static bool is_one_of(struct weft_str text, const struct weft_str *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (weft_str_eq(text, list[i])) {
            return true;
        }
    }
    return false;
}

static int check_issuer(const json_t *claims, const struct weft_token_policy *policy,
                        struct weft_err *err)
{
    const json_t *iss = json_object_get(claims, "iss");

    if (iss != NULL && !json_is_string(iss)) {
        return weft_err_set(err, WEFT_EINVAL, "iss", "iss must be a string");
    }
    if (policy->n_issuers > 0 &&
        (iss == NULL || !is_one_of(text_of(iss), policy->issuers, policy->n_issuers))) {
        return weft_err_set(err, WEFT_EINVAL, "iss", "the token is of another issuer (iss)");
    }
    return 0;
}

static int check_audience(const json_t *claims, const struct weft_token_policy *policy,
                          struct weft_err *err)
{
    const json_t *aud = json_object_get(claims, "aud");
    size_t n = json_is_array(aud) ? json_array_size(aud) : aud != NULL;
    bool found = policy->n_audiences == 0;

    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(aud) ? json_array_get(aud, i) : aud;

        if (!json_is_string(one)) {
            return weft_err_set(err, WEFT_EINVAL, "aud",
                                "aud must be a string or an array of strings");
        }
        found = found || is_one_of(text_of(one), policy->audiences, policy->n_audiences);
    }
    if (!found) {
        return weft_err_set(err, WEFT_EINVAL, "aud", "the token is for another audience (aud)");
    }
    return 0;
}

static int read_name(struct weft_str *ret, const json_t *claims, const char *name,
                     struct weft_err *err)
{
    const json_t *value = json_object_get(claims, name);

    *ret = value == NULL ? WEFT_STR("") : text_of(value);
    if (value != NULL && (!json_is_string(value) || ret->len == 0 ||
                          ret->len > WEFT_GRANT_NAME_MAX || !weft_str_printable(*ret))) {
        return weft_err_set(err, WEFT_EINVAL, name,
                            "%s must be a string of 1 to %d printable bytes", name,
                            WEFT_GRANT_NAME_MAX);
    }
    return 0;
}

/* The globs of both claims, on the stack of weft_claims_grant. */
struct list {
    const char *name;
    struct weft_str items[WEFT_GRANT_GLOBS_MAX];
    size_t n;
};

struct lists {
    struct list publish;
    struct list subscribe;
    size_t unmatched;
};

static int wrong(struct weft_err *err, const char *claim, const char *member, const char *what)
{
    char field[64];

    (void)snprintf(field, sizeof(field), "%s%s%s", claim, member[0] != '\0' ? "." : "", member);
    return weft_err_set(err, WEFT_EINVAL, field, "%s %s", field, what);
}

/*
 * lenient: entries that are no globs are for hubs of another kind (URLs, templates), and match
 * nothing.
 */
static int read_list(struct list *to, size_t *unmatched, const json_t *claim, const char *name,
                     bool lenient, struct weft_err *err)
{
    const json_t *array = json_object_get(claim, to->name);
    const json_t *one;
    size_t i;

    if (array != NULL && !json_is_array(array)) {
        return wrong(err, name, to->name, "must be an array of strings");
    }
    json_array_foreach(array, i, one) {
        if (!json_is_string(one)) {
            return wrong(err, name, to->name, "must be an array of strings");
        }
        if (!weft_grant_glob_valid(text_of(one))) {
            if (!lenient) {
                return wrong(err, name, to->name,
                             "must have globs of 1 to 200 of A-Z a-z 0-9 . _ : - and *");
            }
            (*unmatched)++;
        } else if (to->n == WEFT_GRANT_GLOBS_MAX) {
            return wrong(err, name, to->name, "has more than 200 entries");
        } else {
            to->items[to->n++] = text_of(one);
        }
    }
    return 0;
}

static int read_roles(unsigned *roles, const json_t *weft, struct weft_err *err)
{
    const json_t *array = json_object_get(weft, "roles");
    const json_t *one;
    size_t i;

    if (array != NULL && !json_is_array(array)) {
        return wrong(err, "weft", "roles", "must be an array of strings");
    }
    json_array_foreach(array, i, one) {
        if (!json_is_string(one)) {
            return wrong(err, "weft", "roles", "must be an array of strings");
        }
        if (weft_str_eq(text_of(one), WEFT_STR("operator"))) {
            *roles |= WEFT_ROLE_OPERATOR;
        }
    }
    return 0;
}

/* Both lists of one claim, `weft` or `mercure`, if it is there. */
static int read_lists(struct lists *to, const json_t *claims, const char *name, bool lenient,
                      struct weft_err *err)
{
    const json_t *claim = json_object_get(claims, name);
    int rc;

    if (claim == NULL) {
        return 0;
    }
    if (!json_is_object(claim)) {
        return wrong(err, name, "", "must be an object");
    }
    rc = read_list(&to->publish, &to->unmatched, claim, name, lenient, err);
    return rc != 0 ? rc : read_list(&to->subscribe, &to->unmatched, claim, name, lenient, err);
}

int weft_claims_grant(struct weft_grant **ret, const json_t *claims,
                      const struct weft_token_policy *policy, struct weft_err *err)
{
    struct weft_grant_spec grant = {.roles = 0};
    struct lists lists;
    int rc = check_times(&grant, claims, policy, err);

    lists.publish.name = "publish";
    lists.publish.n = 0;
    lists.subscribe.name = "subscribe";
    lists.subscribe.n = 0;
    lists.unmatched = 0;
    rc = rc != 0 ? rc : check_issuer(claims, policy, err);
    rc = rc != 0 ? rc : check_audience(claims, policy, err);
    rc = rc != 0 ? rc : read_name(&grant.subject, claims, "sub", err);
    rc = rc != 0 ? rc : read_name(&grant.jti, claims, "jti", err);
    rc = rc != 0 ? rc : read_lists(&lists, claims, "weft", false, err);
    rc = rc != 0 ? rc : read_roles(&grant.roles, json_object_get(claims, "weft"), err);
    rc = rc != 0 ? rc : read_lists(&lists, claims, "mercure", true, err);
    if (rc != 0) {
        return rc;
    }
    grant.publish = (struct weft_globs){lists.publish.items, lists.publish.n};
    grant.subscribe = (struct weft_globs){lists.subscribe.items, lists.subscribe.n};
    grant.unmatched = lists.unmatched;
    return weft_grant_create(ret, &grant, err);
}
