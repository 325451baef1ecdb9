#include "args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/str.h>

const char *args_program = "weft";

void args_complain(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", args_program);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static const struct arg *find(const struct arg *table, struct weft_str name)
{
    for (; table->name != NULL; table++) {
        if (weft_str_eq(name, weft_str(table->name, strlen(table->name))))
            return table;
    }
    return NULL;
}

/* "1.25" as 1250: three digits after the point at most. */
static bool parse_seconds(const char *text, uint64_t *ret_ms)
{
    const char *dot = strchr(text, '.');
    size_t whole = dot != NULL ? (size_t)(dot - text) : strlen(text);
    uint64_t seconds, part = 0;

    if (!weft_str_u64(weft_str(text, whole), &seconds) || seconds > UINT64_MAX / 2000)
        return false;
    if (dot != NULL) {
        size_t digits = strlen(dot + 1);

        if (digits > 3 || !weft_str_u64(weft_str(dot + 1, digits), &part))
            return false;
        for (; digits < 3; digits++)
            part *= 10;
    }
    *ret_ms = seconds * 1000 + part;
    return true;
}

static bool store(const struct arg *arg, const char *value)
{
    uint64_t number;

    switch (arg->kind) {
    case ARG_FLAG:
        *arg->to.flag = true;
        return true;
    case ARG_STRING:
        *arg->to.string = value;
        return true;
    case ARG_NUMBER:
        if (!weft_str_u64(weft_str(value, strlen(value)), &number) || number < arg->min ||
            number > arg->max) {
            args_complain("--%s: a whole number from %llu to %llu is needed, not '%s'", arg->name,
                          (unsigned long long)arg->min, (unsigned long long)arg->max, value);
            return false;
        }
        *arg->to.number = number;
        return true;
    case ARG_SECONDS:
        if (!parse_seconds(value, &number) || number > arg->max) {
            args_complain("--%s: seconds are needed (0 to %llu), not '%s'", arg->name,
                          (unsigned long long)arg->max / 1000, value);
            return false;
        }
        *arg->to.number = number;
        return true;
    case ARG_LIST:
        if (arg->to.list->n == ARGS_LIST_MAX) {
            args_complain("--%s: given more than %d times", arg->name, ARGS_LIST_MAX);
            return false;
        }
        arg->to.list->items[arg->to.list->n++] = value;
        return true;
    }
    return false;
}

/* One `--name[=value]` at argv[*i]; steps over a value that is a word of its own. */
static bool parse_option(const struct arg *table, int argc, char **argv, int *i)
{
    const char *text = argv[*i] + 2;
    const char *equals = strchr(text, '=');
    struct weft_str name = weft_str(text, equals != NULL ? (size_t)(equals - text) : strlen(text));
    const struct arg *arg = find(table, name);

    if (arg == NULL) {
        args_complain("there is no option --%.*s (see %s %s --help)", (int)name.len, name.p,
                      args_program, argv[0]);
        return false;
    }
    if (arg->kind == ARG_FLAG) {
        if (equals != NULL) {
            args_complain("--%s takes no value", arg->name);
            return false;
        }
        return store(arg, NULL);
    }
    if (equals != NULL)
        return store(arg, equals + 1);
    if (*i + 1 == argc) {
        args_complain("--%s needs a value: %s", arg->name, arg->value);
        return false;
    }
    return store(arg, argv[++*i]);
}

enum args_result args_parse(const struct arg *table, int argc, char **argv, size_t least,
                            size_t most, struct args_list *words)
{
    bool options = true;

    words->n = 0;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];

        if (options && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0))
            return ARGS_HELP;
        if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && word[0] == '-' && word[1] == '-') {
            if (!parse_option(table, argc, argv, &i))
                return ARGS_BAD;
        } else if (options && word[0] == '-' && word[1] != '\0') {
            args_complain("there is no option %s (see %s %s --help)", word, args_program, argv[0]);
            return ARGS_BAD;
        } else if (words->n == most || words->n == ARGS_LIST_MAX) {
            args_complain("'%s' is one word too many (see %s %s --help)", word, args_program,
                          argv[0]);
            return ARGS_BAD;
        } else {
            words->items[words->n++] = word;
        }
    }
    if (words->n < least) {
        args_complain("too few words (see %s %s --help)", args_program, argv[0]);
        return ARGS_BAD;
    }
    return ARGS_OK;
}

void args_print(const struct arg *table)
{
    for (; table->name != NULL; table++) {
        char left[64];

        snprintf(left, sizeof(left), "--%s%s%s", table->name, table->value != NULL ? " " : "",
                 table->value != NULL ? table->value : "");
        printf("  %-24s ", left);
        for (const char *p = table->help; *p != '\0'; p++) {
            putchar(*p);
            if (*p == '\n')
                printf("  %-24s ", "");
        }
        putchar('\n');
    }
}
