#include "config_priv.h"

#include <string.h>

#include <weft/base/assert.h>

static const char *const weft_config_anonymous_words[] = {
    [WEFT_ANONYMOUS_NONE] = "none",
    [WEFT_ANONYMOUS_SUBSCRIBE] = "subscribe",
    [WEFT_ANONYMOUS_PUBLISH] = "publish",
    [WEFT_ANONYMOUS_ALL] = "all",
    NULL,
};

static const char *const weft_config_without_words[] = {
    [WEFT_CONFIG_WITHOUT_OPEN] = "open",
    [WEFT_CONFIG_WITHOUT_CLOSED] = "closed",
    [WEFT_CONFIG_WITHOUT_LOCAL] = "local",
    NULL,
};

static const char *const weft_config_listen_words[] = {
    [WEFT_LISTEN_PARTITION] = "partition",
    [WEFT_LISTEN_TOPICS] = "topics",
    NULL,
};

static const char *const weft_config_unknown_types_words[] = {
    [WEFT_UNKNOWN_TYPES_ALLOW] = "allow",
    [WEFT_UNKNOWN_TYPES_REFUSE] = "refuse",
    NULL,
};

static const char *const weft_config_tls_version_words[] = {
    [WEFT_CONFIG_TLS_12] = "1.2",
    [WEFT_CONFIG_TLS_13] = "1.3",
    NULL,
};

static const char *const weft_config_log_level_words[] = {
    [WEFT_CONFIG_LOG_DEBUG] = "debug",
    [WEFT_CONFIG_LOG_INFO] = "info",
    [WEFT_CONFIG_LOG_WARN] = "warn",
    [WEFT_CONFIG_LOG_ERROR] = "error",
    NULL,
};

static const char *const weft_config_log_format_words[] = {
    [WEFT_CONFIG_LOG_JSON] = "json",
    [WEFT_CONFIG_LOG_TEXT] = "text",
    NULL,
};

/* value.c writes every enum as an unsigned int. */
_Static_assert(sizeof(enum weft_config_anonymous) == sizeof(unsigned), "enum of another size");
_Static_assert(sizeof(enum weft_config_log_level) == sizeof(unsigned), "enum of another size");

/* Names of the groups' texts, so that each row can point to its own. */
#define WEFT_PARAM_GROUP(g, t) static const char group_text_##g[] = t;
#include <weft/config/params.def>

#define COMMON(g, f, e, fl, r, t)                                                          \
    .name = #g "." #f, .group = #g, .group_text = group_text_##g, .field = #f, .env = (e), \
    .flag = (fl), .text = (t), .offset = offsetof(struct weft_config, g.f), .reload = (r)

#define NUMBER(kind, d, lo, hi) .type = WEFT_PARAM_TYPE_##kind, .def = (d), .min = (lo), .max = (hi)

const struct weft_param weft_params[] = {
#define WEFT_PARAM_STRING(g, f, d, check, e, fl, r, t)                           \
    {COMMON(g, f, e, fl, r, t), .type = WEFT_PARAM_TYPE_STRING, .def_text = (d), \
     .rule = &weft_rule_##check},
#define WEFT_PARAM_LIST(g, f, d, check, e, fl, r, t)                           \
    {COMMON(g, f, e, fl, r, t), .type = WEFT_PARAM_TYPE_LIST, .def_text = (d), \
     .rule = &weft_rule_##check},
#define WEFT_PARAM_BOOL(g, f, d, e, fl, r, t) {COMMON(g, f, e, fl, r, t), NUMBER(BOOL, d, 0, 1)},
#define WEFT_PARAM_INT(g, f, d, lo, hi, e, fl, r, t) \
    {COMMON(g, f, e, fl, r, t), NUMBER(INT, d, lo, hi)},
#define WEFT_PARAM_MS(g, f, d, lo, hi, e, fl, r, t) \
    {COMMON(g, f, e, fl, r, t), NUMBER(MS, d, lo, hi)},
#define WEFT_PARAM_S(g, f, d, lo, hi, e, fl, r, t) \
    {COMMON(g, f, e, fl, r, t), NUMBER(S, d, lo, hi)},
#define WEFT_PARAM_SIZE(g, f, d, lo, hi, e, fl, r, t) \
    {COMMON(g, f, e, fl, r, t), NUMBER(SIZE, d, lo, hi)},
#define WEFT_PARAM_ENUM(g, f, etype, d, e, fl, r, t)                      \
    {COMMON(g, f, e, fl, r, t), .type = WEFT_PARAM_TYPE_ENUM, .def = (d), \
     .max = WEFT_COUNT_OF(etype##_words) - 2, .words = etype##_words},
#include <weft/config/params.def>
};

const size_t weft_params_len = WEFT_COUNT_OF(weft_params);

const struct weft_param_preset weft_params_dev[] = {
    {"http.listen", "127.0.0.1:8080"},
    {"auth.anonymous", "all"},
    {"dev.data", ".weft"},
};

const size_t weft_params_dev_len = WEFT_COUNT_OF(weft_params_dev);

const struct weft_param *weft_param_find(const char *name, size_t len)
{
    for (size_t i = 0; i < weft_params_len; i++) {
        const struct weft_param *p = &weft_params[i];

        if (strlen(p->name) == len && memcmp(p->name, name, len) == 0)
            return p;
    }
    return NULL;
}
