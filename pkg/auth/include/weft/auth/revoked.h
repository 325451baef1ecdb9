/*
 * revoked - which tokens are no longer good, by their jti: a bounded table.
 *
 * Any thread asks, one thread, the owner, changes it. An entry has to be kept only as long as the
 * token would have been good, so each has an end, and those that are over make room.
 */
#ifndef WEFT_AUTH_REVOKED_H
#define WEFT_AUTH_REVOKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/str.h>

#define WEFT_REVOKED_JTI_MAX 200 /* bytes; at least 1 */

struct weft_revoked;

struct weft_revoked_entry {
    struct weft_str jti;
    int64_t until_ms; /* since 1970 */
};

/* At most max entries. Yours. */
struct weft_revoked *weft_revoked_create(size_t max);
/* NULL is allowed. Nobody may use it any more. */
void weft_revoked_destroy(struct weft_revoked *rv);

/*
 * Owner. One that is there already is kept until the later of the two ends; one that is over already
 * is not added (0). WEFT_EFULL: nothing changed, and the token stays good: count it. WEFT_EINVAL: no
 * jti, or too long a one.
 */
int weft_revoked_add(struct weft_revoked *rv, struct weft_str jti, int64_t until_ms, int64_t now_ms)
    WEFT_MUST_CHECK;

/* Owner. Whether it was there. */
bool weft_revoked_remove(struct weft_revoked *rv, struct weft_str jti);

/*
 * Owner. These n entries instead of all there are; nobody sees anything in between. WEFT_EFULL: as
 * many as there is room for are in, the ones that last longest lost no more than others; count it.
 * WEFT_EINVAL: some were no jti and left out.
 */
int weft_revoked_replace(struct weft_revoked *rv, const struct weft_revoked_entry *entries,
                         size_t n, int64_t now_ms) WEFT_MUST_CHECK;

/* Any thread. */
bool weft_revoked_has(struct weft_revoked *rv, struct weft_str jti, int64_t now_ms);
/* Any thread. Some of them may be over. */
size_t weft_revoked_count(struct weft_revoked *rv);
/*
 * Any thread, without the lock. Another number after every change by which a token may have become
 * bad (or good again): whoever has let tokens in looks at them again then.
 */
uint64_t weft_revoked_version(const struct weft_revoked *rv);

#endif
