#include <weft/auth/grant.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/name.h>

bool weft_grant_glob_valid(struct weft_str glob)
{
    char topic[WEFT_NAME_MAX];

    if (glob.len == 0 || glob.len > WEFT_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < glob.len; i++) {
        topic[i] = glob.p[i];
        if (topic[i] == '*') {
            topic[i] = '.';
        }
    }
    return weft_topic_valid(weft_str(topic, glob.len));
}

static int check_list(const struct weft_globs *list, const char *name, struct weft_err *err)
{
    char field[32];

    if (list->n > WEFT_GRANT_GLOBS_MAX) {
        return weft_err_set(err, WEFT_EINVAL, name, "%s has more than %d entries", name,
                            WEFT_GRANT_GLOBS_MAX);
    }
    for (size_t i = 0; i < list->n; i++) {
        if (!weft_grant_glob_valid(list->items[i])) {
            (void)snprintf(field, sizeof(field), "%s[%zu]", name, i);
            return weft_err_set(err, WEFT_EINVAL, field,
                                "%s must be 1 to %d of A-Z a-z 0-9 . _ : - and *", field,
                                WEFT_NAME_MAX);
        }
    }
    return 0;
}

static int check(const struct weft_grant_spec *spec, struct weft_err *err)
{
    int rc;

    if (spec->subject.len > WEFT_GRANT_NAME_MAX || spec->jti.len > WEFT_GRANT_NAME_MAX) {
        return weft_err_set(err, WEFT_EINVAL, spec->jti.len > WEFT_GRANT_NAME_MAX ? "jti" : "sub",
                            "has more than %d bytes", WEFT_GRANT_NAME_MAX);
    }
    rc = check_list(&spec->publish, "publish", err);
    return rc != 0 ? rc : check_list(&spec->subscribe, "subscribe", err);
}

static size_t bytes_of(const struct weft_globs *list)
{
    size_t bytes = 0;

    for (size_t i = 0; i < list->n; i++) {
        bytes += list->items[i].len;
    }
    return bytes;
}

static struct weft_str copy(char **at, struct weft_str s)
{
    struct weft_str copied = weft_str(*at, s.len);

    if (s.len > 0) {
        memcpy(*at, s.p, s.len);
        *at += s.len;
    }
    return copied;
}

static struct weft_globs copy_list(struct weft_str **slots, char **at,
                                   const struct weft_globs *list)
{
    struct weft_str *items = *slots;

    for (size_t i = 0; i < list->n; i++) {
        items[i] = copy(at, list->items[i]);
    }
    *slots += list->n;
    return (struct weft_globs){items, list->n};
}

/* One block: the grant, the slots of both lists, all text. */
int weft_grant_create(struct weft_grant **ret, const struct weft_grant_spec *spec,
                      struct weft_err *err)
{
    size_t n = spec->publish.n + spec->subscribe.n;
    struct weft_grant *grant;
    struct weft_str *slots;
    char *at;
    int rc = check(spec, err);

    if (rc != 0) {
        return rc;
    }
    grant = malloc(sizeof(*grant) + n * sizeof(*slots) + bytes_of(&spec->publish) +
                   bytes_of(&spec->subscribe) + spec->subject.len + spec->jti.len);
    WEFT_ASSERT(grant != NULL);
    slots = (struct weft_str *)(void *)(grant + 1);
    at = (char *)(slots + n);
    grant->is = *spec;
    grant->is.subject = copy(&at, spec->subject);
    grant->is.jti = copy(&at, spec->jti);
    grant->is.publish = copy_list(&slots, &at, &spec->publish);
    grant->is.subscribe = copy_list(&slots, &at, &spec->subscribe);
    atomic_init(&grant->refs, 1);
    *ret = grant;
    return 0;
}

struct weft_grant *weft_grant_ref(struct weft_grant *grant)
{
    atomic_fetch_add_explicit(&grant->refs, 1, memory_order_relaxed);
    return grant;
}

void weft_grant_unref(struct weft_grant *grant)
{
    if (grant != NULL && atomic_fetch_sub_explicit(&grant->refs, 1, memory_order_acq_rel) == 1) {
        free(grant);
    }
}

/*
 * The part before the first star and the one behind the last are anchored; those between are looked
 * for from left to right, each at its first place, which leaves most for the ones behind. memmem is
 * linear, so all of it is.
 *
 * text may end with a star of its own, which only a star of the glob can match. It stands for "some
 * byte that no glob has": a star that takes it takes whatever a pattern may match in its place, and
 * since it is the last byte, nothing but stars can follow.
 */
static bool matches(struct weft_str glob, struct weft_str text)
{
    struct weft_str rest = glob;
    struct weft_str part = weft_str_before(&rest, '*');

    if (part.len == glob.len) {
        return weft_str_eq(glob, text) && memchr(text.p, '*', text.len) == NULL;
    }
    if (text.len < part.len || memcmp(text.p, part.p, part.len) != 0) {
        return false;
    }
    text = weft_str(text.p + part.len, text.len - part.len);
    for (const char *star; rest.len > 0 && (star = memchr(rest.p, '*', rest.len)) != NULL;) {
        size_t len = (size_t)(star - rest.p);
        const char *found = len == 0 ? text.p : memmem(text.p, text.len, rest.p, len);

        if (found == NULL) {
            return false;
        }
        text.len -= (size_t)(found - text.p) + len;
        text.p = found + len;
        rest = weft_str(star + 1, rest.len - len - 1);
    }
    return rest.len <= text.len &&
           (rest.len == 0 || memcmp(text.p + text.len - rest.len, rest.p, rest.len) == 0);
}

static bool any_matches(const struct weft_globs *list, struct weft_str text)
{
    for (size_t i = 0; i < list->n; i++) {
        if (matches(list->items[i], text)) {
            return true;
        }
    }
    return false;
}

bool weft_grant_may_publish(const struct weft_grant *grant, struct weft_str topic)
{
    return weft_topic_valid(topic) && any_matches(&grant->is.publish, topic);
}

bool weft_grant_may_subscribe(const struct weft_grant *grant, struct weft_str pattern)
{
    return weft_pattern_valid(pattern) && any_matches(&grant->is.subscribe, pattern);
}
