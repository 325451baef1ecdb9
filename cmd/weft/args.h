/*
 * args - a command's options as one table: parsed, checked and shown as help from it.
 *
 * Options may stand anywhere among the words, as `--name value` or `--name=value`; `--` ends
 * them. It does not know what the options mean. Values are borrowed from argv.
 */
#ifndef WEFT_CMD_ARGS_H
#define WEFT_CMD_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGS_LIST_MAX 128

/* Words, or the values of an option that may be given several times. */
struct args_list {
    const char *items[ARGS_LIST_MAX];
    size_t n;
};

enum arg_kind {
    ARG_FLAG,    /* *flag becomes true */
    ARG_STRING,  /* *string */
    ARG_NUMBER,  /* *number, a whole number from min to max */
    ARG_SECONDS, /* *number in milliseconds; given in seconds, with a fraction if need be */
    ARG_LIST     /* one more item of *list */
};

/* A row of the table, which ends with a row without a name. */
struct arg {
    const char *name;  /* without the dashes */
    const char *value; /* what help calls it; NULL for a flag */
    const char *help;  /* may have line breaks */
    enum arg_kind kind;
    uint64_t min, max;
    union {
        bool *flag;
        const char **string;
        uint64_t *number;
        struct args_list *list;
    } to;
};

/* clang-format off */
#define ARG_IS_FLAG(n, ret, text) \
    {.name = (n), .help = (text), .kind = ARG_FLAG, .to.flag = (ret)}
#define ARG_IS_STRING(n, val, ret, text) \
    {.name = (n), .value = (val), .help = (text), .kind = ARG_STRING, .to.string = (ret)}
#define ARG_IS_NUMBER(n, lo, hi, ret, text) \
    {.name = (n), .value = "N", .help = (text), .kind = ARG_NUMBER, .min = (lo), .max = (hi), \
     .to.number = (ret)}
#define ARG_IS_SECONDS(n, ret_ms, text) \
    {.name = (n), .value = "SECONDS", .help = (text), .kind = ARG_SECONDS, .max = 86400000, \
     .to.number = (ret_ms)}
#define ARG_IS_LIST(n, val, ret, text) \
    {.name = (n), .value = (val), .help = (text), .kind = ARG_LIST, .to.list = (ret)}
#define ARG_END {.name = NULL}
/* clang-format on */

enum args_result {
    ARGS_OK,
    ARGS_HELP, /* --help or -h was among them */
    ARGS_BAD   /* said on stderr */
};

/*
 * argv[0] is the command's name. Options are stored, other words go to *words (at least `least`, at
 * most `most`).
 */
enum args_result args_parse(const struct arg *table, int argc, char **argv, size_t least,
                            size_t most, struct args_list *words);

/* The options of the table, on stdout. */
void args_print(const struct arg *table);

/* `weft: <sentence>` on stderr; the program's name is args_program. */
void args_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Set once by main. */
extern const char *args_program;

#endif
