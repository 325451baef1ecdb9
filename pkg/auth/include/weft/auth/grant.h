/*
 * grant - what somebody may do: topics to publish to and to subscribe to, and roles.
 *
 * Immutable after it is made and counted: any thread may ask it. Topics are granted by globs, in
 * which `*` anywhere stands for any run of characters, also none. Who it was granted by does not
 * matter here.
 */
#ifndef WEFT_AUTH_GRANT_H
#define WEFT_AUTH_GRANT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/str.h>

#define WEFT_GRANT_GLOBS_MAX 200 /* in each of the two lists */
#define WEFT_GRANT_NAME_MAX  200 /* bytes of a subject, a jti */

enum weft_grant_role {
    WEFT_ROLE_OPERATOR = 1 << 0,
};

struct weft_globs {
    const struct weft_str *items;
    size_t n;
};

/* What a grant says. */
struct weft_grant_spec {
    struct weft_str subject; /* "" if nobody is named */
    struct weft_str jti;     /* what it is revoked by; "" if it cannot be */
    int64_t expires_ms; /* since 1970: the first moment at which it is no longer good; 0: never */
    unsigned roles;     /* of enum weft_grant_role */
    struct weft_globs publish;
    struct weft_globs subscribe;
    size_t unmatched; /* entries of a `mercure` claim that can match no topic */
};

struct weft_grant {
    struct weft_grant_spec is; /* const after create; borrowed from the grant */
    atomic_uint refs;
};

/* 1 to 200 of A-Z a-z 0-9 . _ : - and `*`. */
bool weft_grant_glob_valid(struct weft_str glob);

/*
 * *ret is yours, with one reference, and has copies of everything. WEFT_EINVAL: a glob is not valid,
 * a list or a name is too long; err->field says which.
 */
int weft_grant_create(struct weft_grant **ret, const struct weft_grant_spec *spec,
                      struct weft_err *err) WEFT_MUST_CHECK;

/* Shared: one more owner. */
struct weft_grant *weft_grant_ref(struct weft_grant *grant);
/* NULL is allowed. The last owner frees; any thread. */
void weft_grant_unref(struct weft_grant *grant);

/* Any thread. Linear in the length of all globs and of the topic, times the number of globs. */
bool weft_grant_may_publish(const struct weft_grant *grant, struct weft_str topic);

/*
 * Any thread. pattern: a topic, or a prefix with one `*` behind it, which is allowed only if one glob
 * covers all that it can ever match.
 */
bool weft_grant_may_subscribe(const struct weft_grant *grant, struct weft_str pattern);

#endif
