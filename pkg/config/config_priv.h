/*
 * config_priv - one parameter as a row of data, and what can be done with its value.
 *
 * Nothing here knows where a value came from; load.c does. Any thread, as long as only
 * one touches a given struct weft_config.
 */
#ifndef WEFT_CONFIG_PRIV_H
#define WEFT_CONFIG_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/str.h>
#include <weft/config/config.h>

#define WEFT_CONFIG_TEXT_MAX 4096    /* bytes of one string */
#define WEFT_CONFIG_LIST_MAX 256     /* strings of one list */
#define WEFT_CONFIG_FILE_MAX 1048576 /* bytes of the file */

enum weft_param_type {
    WEFT_PARAM_TYPE_STRING,
    WEFT_PARAM_TYPE_LIST,
    WEFT_PARAM_TYPE_BOOL,
    WEFT_PARAM_TYPE_INT,
    WEFT_PARAM_TYPE_MS,
    WEFT_PARAM_TYPE_S,
    WEFT_PARAM_TYPE_SIZE,
    WEFT_PARAM_TYPE_ENUM,
};

/* What a string, or each string of a list, has to be like. */
struct weft_param_rule {
    const char *(*check)(const char *value); /* NULL: fine, else static text "must be ..." */
    bool secret;                             /* a URL with a password */
};

struct weft_param {
    const char *name; /* "group.field" */
    const char *group;
    const char *group_text;
    const char *field;
    const char *env;
    const char *flag; /* or NULL */
    const char *text;
    const char *def_text;               /* string, list */
    const struct weft_param_rule *rule; /* string, list */
    const char *const *words;           /* enum: the word of each value, then NULL */
    uint64_t def;                       /* bool, int, ms, s, size, enum */
    uint64_t min;                       /* int, ms, s, size */
    uint64_t max;
    size_t offset; /* of the field in struct weft_config */
    enum weft_param_type type;
    bool reload;
};

/* The table, in the order of params.def. Static. */
extern const struct weft_param weft_params[];
extern const size_t weft_params_len;

/* What `weftd dev` begins with instead of the defaults of the table. Static. */
struct weft_param_preset {
    const char *name;
    const char *value;
};
extern const struct weft_param_preset weft_params_dev[];
extern const size_t weft_params_dev_len;

/* NULL if there is none. */
const struct weft_param *weft_param_find(const char *name, size_t len);

/* Room for the reason why a value was refused: one sentence without the value of a secret. */
struct weft_param_why {
    char text[192];
};

/*
 * Set the parameter from text (environment, flags), from a number or from strings (the
 * file); the value is checked. 0, WEFT_EINVAL with the reason in *why, or WEFT_ENOMEM; on
 * failure the old value stays.
 */
int weft_param_set_text(struct weft_config *cfg, const struct weft_param *p, const char *text,
                        struct weft_param_why *why) WEFT_MUST_CHECK;
int weft_param_set_number(struct weft_config *cfg, const struct weft_param *p, uint64_t value,
                          struct weft_param_why *why) WEFT_MUST_CHECK;
int weft_param_set_list(struct weft_config *cfg, const struct weft_param *p,
                        const char *const *items, size_t len, struct weft_param_why *why)
    WEFT_MUST_CHECK;

int weft_param_set_default(struct weft_config *cfg, const struct weft_param *p) WEFT_MUST_CHECK;
void weft_param_clear(struct weft_config *cfg, const struct weft_param *p);
bool weft_param_equal(const struct weft_config *a, const struct weft_config *b,
                      const struct weft_param *p);

/*
 * Digits, behind them perhaps a unit of this type; a number too large for the result becomes
 * UINT64_MAX. False: something else.
 */
bool weft_param_parse_number(enum weft_param_type type, struct weft_str text, uint64_t *ret_value);

/* Appends the value as JSON, secrets redacted. */
void weft_param_print(struct weft_buf *out, const struct weft_config *cfg,
                      const struct weft_param *p);

/* Appends a number as one would write it: 10s, 1MiB, 4096; for enums the word. */
void weft_param_print_number(struct weft_buf *out, const struct weft_param *p, uint64_t value);

/* What the file, the environment and the command line hold; load.c puts them in order. */
int weft_config_apply_file(struct weft_config *cfg, const char *path, struct weft_err *err)
    WEFT_MUST_CHECK;
int weft_config_apply_env(struct weft_config *cfg, char **envp, struct weft_err *err)
    WEFT_MUST_CHECK;

/* cfg may be NULL: then the flags are only read for *cmd and their form is checked. */
int weft_config_apply_flags(struct weft_config *cfg, int argc, char **argv,
                            struct weft_config_cmdline *cmd, struct weft_err *err) WEFT_MUST_CHECK;

/* Rules that hold between parameters. */
int weft_config_check(const struct weft_config *cfg, struct weft_err *err) WEFT_MUST_CHECK;

/* Rules of rule.c, by the name that params.def gives them. */
extern const struct weft_param_rule weft_rule_any;
extern const struct weft_param_rule weft_rule_not_empty;
extern const struct weft_param_rule weft_rule_node_id;
extern const struct weft_param_rule weft_rule_prefix;
extern const struct weft_param_rule weft_rule_listen;
extern const struct weft_param_rule weft_rule_cookie;
extern const struct weft_param_rule weft_rule_origin;
extern const struct weft_param_rule weft_rule_redis_url;
extern const struct weft_param_rule weft_rule_retention;
extern const struct weft_param_rule weft_rule_slow_policy;

#endif
