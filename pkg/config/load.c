/*
 * From the outside into struct weft_config: defaults, then file, environment and flags. The
 * flags are walked twice, because they name the file, which they also overrule.
 */
#include <weft/config/config.h>

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/err.h>

#include "config_priv.h"

int weft_config_defaults(struct weft_config *cfg, enum weft_config_mode mode)
{
    int rc = 0;

    memset(cfg, 0, sizeof(*cfg));
    for (size_t i = 0; i < weft_params_len && rc == 0; i++)
        rc = weft_param_set_default(cfg, &weft_params[i]);
    for (size_t i = 0; mode == WEFT_CONFIG_DEV && i < weft_params_dev_len && rc == 0; i++) {
        const struct weft_param_preset *preset = &weft_params_dev[i];
        const struct weft_param *p = weft_param_find(preset->name, strlen(preset->name));
        struct weft_param_why why;

        WEFT_ASSERT(p);
        rc = weft_param_set_text(cfg, p, preset->value, &why);
        WEFT_ASSERT(rc != WEFT_EINVAL);
    }
    if (rc)
        weft_config_fini(cfg);
    return rc;
}

void weft_config_fini(struct weft_config *cfg)
{
    if (!cfg)
        return;
    for (size_t i = 0; i < weft_params_len; i++)
        weft_param_clear(cfg, &weft_params[i]);
    memset(cfg, 0, sizeof(*cfg));
}

/* Sets p from text that `source` (a variable, a flag) gave. */
static int apply_text(struct weft_config *cfg, const struct weft_param *p, const char *text,
                      const char *source, struct weft_err *err)
{
    struct weft_param_why why;
    int rc = weft_param_set_text(cfg, p, text, &why);

    if (rc == WEFT_EINVAL)
        return weft_err_set(err, rc, p->name, "%s (%s)", why.text, source);
    if (rc)
        return weft_err_set(err, rc, p->name, "%s", weft_err_text(rc));
    return 0;
}

/* The value of a variable, or NULL. One that is empty counts as not set. */
static const char *env_value(char **envp, const char *name)
{
    size_t len = strlen(name);

    for (; envp && *envp; envp++) {
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
            return (*envp)[len + 1] != '\0' ? *envp + len + 1 : NULL;
    }
    return NULL;
}

/*
 * Other WEFT_ variables are left alone: Kubernetes makes some (WEFT_SERVICE_HOST ...) for a
 * service of that name, and the other programs have their own.
 */
int weft_config_apply_env(struct weft_config *cfg, char **envp, struct weft_err *err)
{
    for (size_t i = 0; i < weft_params_len; i++) {
        const char *value = env_value(envp, weft_params[i].env);
        int rc = 0;

        if (value)
            rc = apply_text(cfg, &weft_params[i], value, weft_params[i].env, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* "--set http.listen=0.0.0.0:80" */
static int apply_set(struct weft_config *cfg, const char *pair, struct weft_err *err)
{
    const char *eq = strchr(pair, '=');
    const struct weft_param *p;
    char name[96];
    size_t len;

    if (!eq)
        return weft_err_set(err, WEFT_EINVAL, "", "--set needs NAME=VALUE");
    len = (size_t)(eq - pair);
    p = weft_param_find(pair, len);
    if (!p) {
        len = len < sizeof(name) ? len : sizeof(name) - 1;
        memcpy(name, pair, len);
        name[len] = '\0';
        return weft_err_set(err, WEFT_EINVAL, name, "is not a parameter (--set)");
    }
    return cfg ? apply_text(cfg, p, eq + 1, "--set", err) : 0;
}

/* Whether arg is this flag, as "--flag" or "--flag=value"; then *ret_value is the value or NULL. */
static bool flag_is(const char *arg, const char *flag, const char **ret_value)
{
    size_t len = strlen(flag);

    if (strncmp(arg, flag, len) != 0 || (arg[len] != '\0' && arg[len] != '='))
        return false;
    *ret_value = arg[len] == '=' ? arg + len + 1 : NULL;
    return true;
}

static const struct weft_param *find_flag(const char *arg, const char **ret_value)
{
    for (size_t i = 0; i < weft_params_len; i++) {
        if (weft_params[i].flag && flag_is(arg, weft_params[i].flag, ret_value))
            return &weft_params[i];
    }
    return NULL;
}

/* A flag without value: 1 if arg is one, 0 if not, or an error. */
static int apply_switch(struct weft_config_cmdline *cmd, const char *arg, struct weft_err *err)
{
    const struct {
        const char *flag;
        bool *to;
    } switches[] = {{"--check", &cmd->check},
                    {"--print", &cmd->print},
                    {"--help", &cmd->help},
                    {"-h", &cmd->help},
                    {"--version", &cmd->version}};
    const char *value;

    for (size_t i = 0; i < WEFT_COUNT_OF(switches); i++) {
        if (!flag_is(arg, switches[i].flag, &value))
            continue;
        if (value)
            return weft_err_set(err, WEFT_EINVAL, "", "%s takes no value", switches[i].flag);
        *switches[i].to = true;
        return 1;
    }
    return 0;
}

int weft_config_apply_flags(struct weft_config *cfg, int argc, char **argv,
                            struct weft_config_cmdline *cmd, struct weft_err *err)
{
    int i;

    for (i = 1; i < argc && !cmd->help && !cmd->version; i++) {
        const char *arg = argv[i];
        const struct weft_param *p;
        const char *value = NULL;
        bool config, set;
        int rc;

        if (strcmp(arg, "--") == 0) {
            i++;
            break;
        }
        if (arg[0] != '-' || arg[1] == '\0')
            break; /* a word */
        rc = apply_switch(cmd, arg, err);
        if (rc < 0)
            return rc;
        if (rc > 0)
            continue;

        config = flag_is(arg, "--config", &value);
        set = !config && flag_is(arg, "--set", &value);
        p = config || set ? NULL : find_flag(arg, &value);
        if (!config && !set && !p)
            return weft_err_set(err, WEFT_EINVAL, "", "unknown flag %.*s", (int)strcspn(arg, "="),
                                arg);
        if (!value) {
            if (i + 1 == argc)
                return weft_err_set(err, WEFT_EINVAL, p ? p->name : "", "%s needs a value", arg);
            value = argv[++i];
        }
        rc = 0;
        if (config)
            cmd->file = value;
        else if (set)
            rc = apply_set(cfg, value, err);
        else if (cfg)
            rc = apply_text(cfg, p, value, p->flag, err);
        if (rc)
            return rc;
    }
    cmd->first_word = i;
    return 0;
}

int weft_config_check(const struct weft_config *cfg, struct weft_err *err)
{
    if (cfg->redis.backoff_min_ms > cfg->redis.backoff_max_ms)
        return weft_err_set(err, WEFT_EINVAL, "redis.backoff_min_ms",
                            "must not be more than redis.backoff_max_ms (%u)",
                            cfg->redis.backoff_max_ms);
    if (cfg->tls.cert[0] == '\0' && (cfg->tls.key[0] != '\0' || cfg->tls.ticket_keys[0] != '\0'))
        return weft_err_set(err, WEFT_EINVAL, "tls.cert",
                            "must be given with tls.key or tls.ticket_keys");
    if (cfg->publish.queue_events < cfg->publish.max_batch)
        return weft_err_set(err, WEFT_EINVAL, "publish.queue_events",
                            "must not be less than publish.max_batch (%u), or the largest batch "
                            "would never be taken",
                            cfg->publish.max_batch);
    if (cfg->publish.queue_bytes < cfg->http.max_body_bytes)
        return weft_err_set(err, WEFT_EINVAL, "publish.queue_bytes",
                            "must not be less than http.max_body_bytes (%llu), or the longest "
                            "request would never be taken",
                            (unsigned long long)cfg->http.max_body_bytes);
    return 0;
}

int weft_config_load(struct weft_config *cfg, int argc, char **argv, char **envp,
                     struct weft_config_cmdline *ret_cmd, struct weft_err *err)
{
    struct weft_config_cmdline cmd = {.first_word = argc};
    int rc;

    rc = weft_config_apply_flags(NULL, argc, argv, &cmd, err);
    if (rc)
        return rc;
    if (!cmd.help && !cmd.version) {
        if (!cmd.file)
            cmd.file = env_value(envp, "WEFT_CONFIG");
        if (cmd.file)
            rc = weft_config_apply_file(cfg, cmd.file, err);
        if (rc == 0)
            rc = weft_config_apply_env(cfg, envp, err);
        if (rc == 0) {
            struct weft_config_cmdline again = {0};

            rc = weft_config_apply_flags(cfg, argc, argv, &again, err);
        }
        if (rc == 0)
            rc = weft_config_check(cfg, err);
    }
    if (rc == 0)
        *ret_cmd = cmd;
    return rc;
}

size_t weft_config_diff(const struct weft_config *from, const struct weft_config *to,
                        void (*changed)(void *arg, const char *name, bool reload), void *arg)
{
    size_t count = 0;

    for (size_t i = 0; i < weft_params_len; i++) {
        if (weft_param_equal(from, to, &weft_params[i]))
            continue;
        count++;
        if (changed)
            changed(arg, weft_params[i].name, weft_params[i].reload);
    }
    return count;
}
