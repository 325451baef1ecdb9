#include "retention_rules_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/wire/name.h>

int weft_retention_rules_init(struct weft_retention_rules *rules,
                              const struct weft_config_history *history, struct weft_err *err)
{
    memset(rules, 0, sizeof(*rules));
    rules->defaults = (struct weft_retention){.max_events = history->max_events,
                                              .max_age_s = history->max_age_s,
                                              .idle_s = history->idle_s};
    if (history->rules.len == 0) {
        return 0;
    }
    rules->list = calloc(history->rules.len, sizeof(*rules->list));
    if (rules->list == NULL) {
        return weft_err_set(err, WEFT_ENOMEM, "history.rules", "out of memory");
    }
    for (; rules->n < history->rules.len; rules->n++) {
        struct weft_retention_rule *rule = &rules->list[rules->n];
        const char *text = history->rules.items[rules->n];
        const char *why = NULL;

        if (weft_retention_rule_parse(rule, text, &why) != 0) {
            weft_retention_rules_fini(rules);
            return weft_err_set(err, WEFT_EINVAL, "history.rules", "%.100s %s", text, why);
        }
        if (!rule->has_max_events) {
            rule->keep.max_events = rules->defaults.max_events;
        }
        if (!rule->has_max_age) {
            rule->keep.max_age_s = rules->defaults.max_age_s;
        }
        if (!rule->has_idle) {
            rule->keep.idle_s = rules->defaults.idle_s;
        }
    }
    return 0;
}

void weft_retention_rules_fini(struct weft_retention_rules *rules)
{
    free(rules->list);
    memset(rules, 0, sizeof(*rules));
}

struct weft_retention weft_retention_of(const struct weft_retention_rules *rules,
                                        struct weft_str topic)
{
    for (size_t i = 0; i < rules->n; i++) {
        if (weft_pattern_match(rules->list[i].pattern, topic)) {
            return rules->list[i].keep;
        }
    }
    return rules->defaults;
}

bool weft_retention_ages(const struct weft_retention_rules *rules)
{
    bool ages = rules->defaults.max_age_s > 0 || rules->defaults.idle_s > 0;

    for (size_t i = 0; i < rules->n && !ages; i++) {
        ages = rules->list[i].keep.max_age_s > 0 || rules->list[i].keep.idle_s > 0;
    }
    return ages;
}
