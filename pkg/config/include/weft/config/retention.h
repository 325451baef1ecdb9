/*
 * retention - one rule of history.rules, as text and as numbers. Pure.
 *
 *   repo:*=max_events:1000;max_age:7d;idle:90d
 *
 * A pattern as subscribers write it, `=`, and at least one of the keys, each once. Which rule counts
 * for which topic is decided where topics are known (fabric/retention_rules).
 */
#ifndef WEFT_CONFIG_RETENTION_H
#define WEFT_CONFIG_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/err.h>
#include <weft/base/str.h>

/* What a topic keeps; 0 in a field: no limit. */
struct weft_retention {
    uint32_t max_events;
    uint32_t max_age_s;
    uint32_t idle_s; /* without news for so long, the topic goes */
};

struct weft_retention_rule {
    struct weft_str pattern; /* borrowed from the text */
    struct weft_retention keep;
    bool has_max_events, has_max_age, has_idle; /* else the default counts */
};

/* WEFT_EINVAL with *ret_why a static text, "must be ..."; *ret_rule is untouched then. */
int weft_retention_rule_parse(struct weft_retention_rule *ret_rule, const char *text,
                              const char **ret_why) WEFT_MUST_CHECK;

#endif
