#include <weft/config/retention.h>

#include <string.h>

#include "config_priv.h"

#define PATTERN_MAX 200
#define EVENTS_MAX  1000000000
#define SECONDS_MAX 3153600000 /* 100 years */

static const char form[] = "must be PATTERN=KEY:VALUE;KEY:VALUE, for example "
                           "repo:*=max_events:1000;max_age:7d;idle:90d";

/* As wire/name.h has it, which lies above this library. */
static bool is_pattern(struct weft_str s)
{
    bool wild = s.len > 0 && s.p[s.len - 1] == '*';
    size_t n = wild ? s.len - 1 : s.len;

    for (size_t i = 0; i < n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == ':' || c == '-')) {
            return false;
        }
    }
    return s.len > 0 && s.len <= PATTERN_MAX;
}

/* NULL, or what is wrong with it. */
static const char *take(uint32_t *to, bool *has, enum weft_param_type type, uint64_t max,
                        struct weft_str text)
{
    uint64_t value;

    if (*has) {
        return "must not name a key twice";
    }
    if (!weft_param_parse_number(type, text, &value) || value > max) {
        return type == WEFT_PARAM_TYPE_S
                   ? "must have a time of 0 to 36500d, such as 3600, 30s, 5m, 1h or 7d"
                   : "must have a number of events of 0 to 1000000000";
    }
    *to = (uint32_t)value;
    *has = true;
    return NULL;
}

static const char *take_pair(struct weft_retention_rule *rule, struct weft_str pair)
{
    struct weft_str value = pair;
    struct weft_str key = weft_str_before(&value, ':');

    if (key.len == pair.len) {
        return form;
    }
    if (weft_str_eq(key, WEFT_STR("max_events"))) {
        return take(&rule->keep.max_events, &rule->has_max_events, WEFT_PARAM_TYPE_INT, EVENTS_MAX,
                    value);
    }
    if (weft_str_eq(key, WEFT_STR("max_age"))) {
        return take(&rule->keep.max_age_s, &rule->has_max_age, WEFT_PARAM_TYPE_S, SECONDS_MAX,
                    value);
    }
    if (weft_str_eq(key, WEFT_STR("idle"))) {
        return take(&rule->keep.idle_s, &rule->has_idle, WEFT_PARAM_TYPE_S, SECONDS_MAX, value);
    }
    return "must have no other keys than max_events, max_age and idle";
}

int weft_retention_rule_parse(struct weft_retention_rule *ret_rule, const char *text,
                              const char **ret_why)
{
    struct weft_retention_rule rule = {.keep = {0, 0, 0}};
    struct weft_str rest = weft_str(text, strlen(text));
    const char *why = NULL;

    rule.pattern = weft_str_before(&rest, '=');
    if (rest.len == 0) {
        why = form;
    } else if (!is_pattern(rule.pattern)) {
        why = "must begin with a topic, 1 to 200 of A-Z a-z 0-9 . _ : -, that may end with *";
    }
    while (why == NULL && rest.len > 0) {
        why = take_pair(&rule, weft_str_before(&rest, ';'));
    }
    if (why != NULL) {
        *ret_why = why;
        return WEFT_EINVAL;
    }
    *ret_rule = rule;
    return 0;
}
