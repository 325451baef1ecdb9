/*
 * config - the parameters of a node, from defaults, a file, the environment and flags.
 *
 * All parameters stand in params.def, one row each: cfg->http.listen is the row
 * "http.listen", the JSON path {"http": {"listen": ...}}, and so on. A later source
 * wins over an earlier one: defaults < file < environment < flags. A configuration
 * that was loaded is complete and every value is inside its range.
 *
 * It does not know what the parameters do: it opens no socket, resolves no name and
 * reads no file but its own.
 *
 * A struct weft_config is yours and owns its strings; after weft_config_load() it is
 * constant and any thread may read it. Nothing here is global.
 */
#ifndef WEFT_CONFIG_CONFIG_H
#define WEFT_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <weft/base/err.h>

/* What a request without a token may do (auth.anonymous). */
enum weft_config_anonymous {
    WEFT_ANONYMOUS_NONE,
    WEFT_ANONYMOUS_SUBSCRIBE,
    WEFT_ANONYMOUS_PUBLISH,
    WEFT_ANONYMOUS_ALL,
};

/* Which channels the hub subscribes to (hub.listen). */
enum weft_config_listen {
    WEFT_LISTEN_PARTITION,
    WEFT_LISTEN_TOPICS,
};

/* Events whose type has no schema (publish.unknown_types). */
/* As enum weft_without (guard/without.h). */
enum weft_config_without {
    WEFT_CONFIG_WITHOUT_OPEN,
    WEFT_CONFIG_WITHOUT_CLOSED,
    WEFT_CONFIG_WITHOUT_LOCAL
};

enum weft_config_unknown_types {
    WEFT_UNKNOWN_TYPES_ALLOW,
    WEFT_UNKNOWN_TYPES_REFUSE,
};

/* Oldest TLS of the listener (tls.min_version). */
enum weft_config_tls_version {
    WEFT_CONFIG_TLS_12,
    WEFT_CONFIG_TLS_13,
};

/* In the order of enum weft_log_level (log.level). */
enum weft_config_log_level {
    WEFT_CONFIG_LOG_DEBUG,
    WEFT_CONFIG_LOG_INFO,
    WEFT_CONFIG_LOG_WARN,
    WEFT_CONFIG_LOG_ERROR,
};

/* In the order of enum weft_log_format (log.format). */
enum weft_config_log_format {
    WEFT_CONFIG_LOG_JSON,
    WEFT_CONFIG_LOG_TEXT,
};

/* A list of strings; items is NULL when len is 0. */
struct weft_config_list {
    char **items;
    size_t len;
};

/*
 * One struct for each group, and one member of each in struct weft_config:
 * struct weft_config_http { char *listen; uint32_t max_connections; ... } http;
 * No string is NULL; one that was not given is "".
 */
#define WEFT_PARAM_GROUP(group, text) struct weft_config_##group {
#define WEFT_PARAM_END(group) \
    }                         \
    ;
#define WEFT_PARAM_STRING(group, field, def, check, env, flag, reload, text) char *field;
#define WEFT_PARAM_LIST(group, field, def, check, env, flag, reload, text) \
    struct weft_config_list field;
#define WEFT_PARAM_BOOL(group, field, def, env, flag, reload, text)           bool field;
#define WEFT_PARAM_INT(group, field, def, min, max, env, flag, reload, text)  uint32_t field;
#define WEFT_PARAM_MS(group, field, def, min, max, env, flag, reload, text)   uint32_t field;
#define WEFT_PARAM_S(group, field, def, min, max, env, flag, reload, text)    uint32_t field;
#define WEFT_PARAM_SIZE(group, field, def, min, max, env, flag, reload, text) uint64_t field;
#define WEFT_PARAM_ENUM(group, field, type, def, env, flag, reload, text)     enum type field;
#include <weft/config/params.def>

struct weft_config {
#define WEFT_PARAM_GROUP(group, text) struct weft_config_##group group;
#include <weft/config/params.def>
};

/* Which defaults: those of the table, or those of `weftd dev`. */
enum weft_config_mode {
    WEFT_CONFIG_NODE,
    WEFT_CONFIG_DEV, /* loopback only, everything allowed without a token */
};

/* What the command line asked for besides parameters. */
struct weft_config_cmdline {
    int first_word;   /* index in argv of the first word that is no flag; argc if there is none */
    const char *file; /* the file that was read; borrowed from argv or envp, NULL: none */
    bool check;       /* --check */
    bool print;       /* --print */
    bool help;        /* --help or -h */
    bool version;     /* --version */
};

/*
 * Fills *cfg, whatever it held before, with the defaults of the mode.
 * 0, or WEFT_ENOMEM with *cfg empty but fit for weft_config_fini().
 */
int weft_config_defaults(struct weft_config *cfg, enum weft_config_mode mode) WEFT_MUST_CHECK;

/*
 * Puts file, environment and flags over the values of *cfg, which
 * weft_config_defaults() has filled, and checks the whole. argv[0] is skipped, flags end
 * at the first word or after "--"; the file is the one of --config, else of WEFT_CONFIG.
 * envp may be NULL. With --help or --version nothing else is looked at.
 * 0, or an error: err->field is the path of the wrong parameter ("" if there is none),
 * err->message one sentence without secrets; *cfg is half loaded, only for fini.
 */
int weft_config_load(struct weft_config *cfg, int argc, char **argv, char **envp,
                     struct weft_config_cmdline *ret_cmd, struct weft_err *err) WEFT_MUST_CHECK;

/* Frees the strings and empties *cfg. Accepts an empty or half-loaded one, and NULL. */
void weft_config_fini(struct weft_config *cfg);

/*
 * Calls changed() for each parameter whose value differs; reload tells whether a running
 * node can take it. Returns how many there were. changed may be NULL.
 */
size_t weft_config_diff(const struct weft_config *from, const struct weft_config *to,
                        void (*changed)(void *arg, const char *name, bool reload), void *arg);

/*
 * The effective configuration as a JSON file that weft_config_load() takes; secrets
 * are replaced by "***". 0, WEFT_ENOMEM, or WEFT_ESYS if the stream failed.
 */
int weft_config_print(const struct weft_config *cfg, FILE *out) WEFT_MUST_CHECK;

/* The flags, for --help. Errors are left in the stream. */
void weft_config_usage(FILE *out);

/* docs/configuration.md. Errors are left in the stream. */
void weft_config_document(FILE *out);

/*
 * Splits "HOST:PORT" or "[IPv6]:PORT" (the form of http.listen) into ret_host, without
 * brackets, and *ret_port. 0, or WEFT_EINVAL with both untouched.
 */
int weft_config_split_listen(const char *listen, char *ret_host, size_t host_size,
                             uint16_t *ret_port) WEFT_MUST_CHECK;

/*
 * Writes the URL with its password as "***" into out, cut at size - 1 bytes: for
 * whoever logs an address. size is at least 1.
 */
void weft_config_redact_url(const char *url, char *out, size_t size);

#endif
