#include <weft/config/config.h>

#include <string.h>

#include "config_priv.h"

/* Every value is bounded, and escaping makes at most six bytes of one. */
#define PRINT_MAX ((size_t)64 << 20)

int weft_config_print(const struct weft_config *cfg, FILE *out)
{
    const char *group = "";
    struct weft_buf text;
    int rc = 0;

    weft_buf_init(&text, PRINT_MAX);
    for (size_t i = 0; i < weft_params_len; i++) {
        const struct weft_param *p = &weft_params[i];

        if (strcmp(p->group, group) != 0) {
            weft_buf_printf(&text, "%s  \"%s\": {\n", i ? "\n  },\n" : "{\n", p->group);
            group = p->group;
        } else {
            weft_buf_puts(&text, ",\n");
        }
        weft_buf_printf(&text, "    \"%s\": ", p->field);
        weft_param_print(&text, cfg, p);
    }
    weft_buf_puts(&text, "\n  }\n}\n");

    if (text.toobig)
        rc = WEFT_ETOOBIG;
    else if (fwrite(text.data, 1, text.len, out) != text.len || fflush(out) != 0)
        rc = WEFT_ESYS;
    weft_buf_fini(&text);
    return rc;
}

void weft_config_usage(FILE *out)
{
    static const struct {
        const char *flag;
        const char *value;
        const char *text;
    } general[] = {
        {"--config", "FILE", "Read this JSON file (or the one of WEFT_CONFIG)."},
        {"--set", "NAME=VALUE", "Set any parameter, e.g. history.max_events=5000."},
        {"--check", "", "Check the configuration and end."},
        {"--print", "", "Print the effective configuration and end."},
        {"--version", "", "Print the version and end."},
        {"--help", "", "Print this and end."},
    };
    char left[64];

    for (size_t i = 0; i < weft_params_len; i++) {
        const struct weft_param *p = &weft_params[i];

        if (!p->flag)
            continue;
        snprintf(left, sizeof(left), "%s VALUE", p->flag);
        fprintf(out, "  %-20s  %s (%s)\n", left, p->name, p->env);
    }
    for (size_t i = 0; i < sizeof(general) / sizeof(general[0]); i++) {
        snprintf(left, sizeof(left), "%s %s", general[i].flag, general[i].value);
        fprintf(out, "  %-20s  %s\n", left, general[i].text);
    }
}
