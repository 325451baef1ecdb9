/* docs/configuration.md, from the table of parameters. */
#include <weft/config/config.h>

#include <string.h>

#include "config_priv.h"

static const char intro[] =
    "# Configuration\n"
    "\n"
    "<!-- Made from pkg/config/include/weft/config/params.def; a unit test compares. To write it\n"
    "     anew: WEFT_WRITE_DOCS=1 and run the test of the configuration document. -->\n"
    "\n"
    "A node takes its parameters from four places. A later one wins:\n"
    "\n"
    "1. the defaults below;\n"
    "2. a JSON file, named by `--config FILE` or by `WEFT_CONFIG`;\n"
    "3. the environment (a variable that is empty counts as not set);\n"
    "4. flags: `--listen HOST:PORT` or `--listen=HOST:PORT`; `--set NAME=VALUE` sets any parameter.\n"
    "\n"
    "In the file a group is an object: `http.listen` is written\n"
    "\n"
    "```json\n"
    "{\"http\": {\"listen\": \"0.0.0.0:8080\", \"request_timeout_ms\": \"10s\", \"max_body_bytes\": "
    "\"1MiB\"}}\n"
    "```\n"
    "\n"
    "A duration is a number of milliseconds or a text such as `500ms`, `30s`, `5m`, `1h`; one in "
    "seconds is a number of\n"
    "seconds or a text such as `30s`, `5m`, `1h`, `7d`; a size is a number of bytes or a text such as "
    "`64KiB`, `16MiB`,\n"
    "`1GiB`; a list is an array in the file and written "
    "with commas elsewhere.\n"
    "An unknown name, a wrong type or a value out of its range ends the program with the name of "
    "the parameter and the\n"
    "reason. Of the environment only `WEFT_CONFIG` and the variables below are read; others that "
    "begin with `WEFT_` are\n"
    "ignored.\n"
    "\n"
    "`weftd --check` checks that much, whether anybody could use the node (`auth.jwks`, "
    "`auth.anonymous`), and reads the files\n"
    "of keys and certificates as a node does when it starts; it asks no Redis and binds no "
    "address.\n"
    "`weftd --print` prints what is in force, passwords hidden. A parameter that says *reload* is "
    "taken by a running node on\n"
    "SIGHUP; the others need a restart.\n";

static const char *type_name(const struct weft_param *p)
{
    switch (p->type) {
    case WEFT_PARAM_TYPE_STRING:
        return "text";
    case WEFT_PARAM_TYPE_LIST:
        return "list of texts";
    case WEFT_PARAM_TYPE_BOOL:
        return "`true`, `false`";
    case WEFT_PARAM_TYPE_INT:
        return "number";
    case WEFT_PARAM_TYPE_MS:
        return "duration";
    case WEFT_PARAM_TYPE_S:
        return "duration in seconds";
    case WEFT_PARAM_TYPE_SIZE:
        return "size";
    case WEFT_PARAM_TYPE_ENUM:
        break;
    }
    return "";
}

static void put_number(struct weft_buf *out, const struct weft_param *p, uint64_t value)
{
    weft_buf_puts(out, "`");
    weft_param_print_number(out, p, value);
    weft_buf_puts(out, "`");
}

static void put_type(struct weft_buf *out, const struct weft_param *p)
{
    weft_buf_puts(out, type_name(p));
    if (p->type == WEFT_PARAM_TYPE_ENUM) {
        for (uint64_t i = 0; i <= p->max; i++) {
            weft_buf_puts(out, i ? ", " : "");
            put_number(out, p, i);
        }
    } else if (p->max > 0 && p->type != WEFT_PARAM_TYPE_BOOL) {
        weft_buf_puts(out, ", ");
        put_number(out, p, p->min);
        weft_buf_puts(out, " to ");
        put_number(out, p, p->max);
    }
}

static void put_default(struct weft_buf *out, const struct weft_param *p)
{
    if (p->type != WEFT_PARAM_TYPE_STRING && p->type != WEFT_PARAM_TYPE_LIST)
        put_number(out, p, p->def);
    else if (p->def_text[0] == '\0')
        weft_buf_puts(out, "empty");
    else
        weft_buf_printf(out, "`%s`", p->def_text);
}

static void put_row(struct weft_buf *out, const struct weft_param *p)
{
    weft_buf_printf(out, "| `%s` | ", p->name);
    put_type(out, p);
    weft_buf_puts(out, " | ");
    put_default(out, p);
    weft_buf_printf(out, " | `%s`", p->env);
    if (p->flag)
        weft_buf_printf(out, ", `%s`", p->flag);
    weft_buf_printf(out, " | %s%s |\n", p->text, p->reload ? " *reload*" : "");
}

void weft_config_document(FILE *out)
{
    const char *group = "";
    struct weft_buf text;

    weft_buf_init(&text, (size_t)1 << 20);
    weft_buf_puts(&text, intro);
    for (size_t i = 0; i < weft_params_len; i++) {
        const struct weft_param *p = &weft_params[i];

        if (strcmp(p->group, group) != 0) {
            weft_buf_printf(&text,
                            "\n## %s\n\n"
                            "| Parameter | Type | Default | Environment, flag | Meaning |\n"
                            "| --- | --- | --- | --- | --- |\n",
                            p->group_text);
            group = p->group;
        }
        put_row(&text, p);
    }
    weft_buf_puts(&text, "\n## Defaults of `weftd dev`\n\n"
                         "The development mode begins with these instead; file, environment and "
                         "flags still win.\n\n"
                         "| Parameter | Default |\n"
                         "| --- | --- |\n");
    for (size_t i = 0; i < weft_params_dev_len; i++)
        weft_buf_printf(&text, "| `%s` | `%s` |\n", weft_params_dev[i].name,
                        weft_params_dev[i].value);
    fwrite(text.data, 1, text.len, out);
    weft_buf_fini(&text);
}
