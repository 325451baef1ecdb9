/*
 * retention_rules_priv - what a topic keeps: the first rule of history.rules whose pattern matches
 * it, else the defaults. Pure, constant after init, any thread.
 *
 * A look costs a comparison of a prefix for each rule: a few nanoseconds for the handful of rules
 * that people write, so nothing is remembered by topic.
 */
#ifndef WEFT_FABRIC_RETENTION_RULES_PRIV_H
#define WEFT_FABRIC_RETENTION_RULES_PRIV_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/base/err.h>
#include <weft/base/str.h>
#include <weft/config/config.h>
#include <weft/config/retention.h>

struct weft_retention_rules {
    struct weft_retention defaults;
    struct weft_retention_rule *list; /* complete: what they do not say is filled in */
    size_t n;
};

/*
 * history is borrowed for as long as the rules live. WEFT_EINVAL with err->field history.rules, or
 * WEFT_ENOMEM; then *rules is empty but fit for fini.
 */
int weft_retention_rules_init(struct weft_retention_rules *rules,
                              const struct weft_config_history *history, struct weft_err *err)
    WEFT_MUST_CHECK;
void weft_retention_rules_fini(struct weft_retention_rules *rules);

struct weft_retention weft_retention_of(const struct weft_retention_rules *rules,
                                        struct weft_str topic);
/* Whether any topic has an age or an idle bound: what publishing does not see to. */
bool weft_retention_ages(const struct weft_retention_rules *rules);

#endif
