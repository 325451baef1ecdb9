#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "args.h"

struct options {
    bool flag;
    const char *string;
    uint64_t number, ms;
    struct args_list list;
};

static enum args_result parse(struct options *opt, struct args_list *words, int argc, char **argv)
{
    const struct arg table[] = {
        ARG_IS_FLAG("flag", &opt->flag, ""),
        ARG_IS_STRING("string", "TEXT", &opt->string, ""),
        ARG_IS_NUMBER("number", 2, 9, &opt->number, ""),
        ARG_IS_SECONDS("seconds", &opt->ms, ""),
        ARG_IS_LIST("list", "ITEM", &opt->list, ""),
        ARG_END,
    };

    memset(opt, 0, sizeof(*opt));
    return args_parse(table, argc, argv, 1, 2, words);
}

static struct options opt;
static struct args_list words;

/* The words of one command line; the first is the command. */
#define PARSE(...)                                                              \
    parse(&opt, &words, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
          (char *[]){__VA_ARGS__})
#define W(text) ((char[]){text})

static void options_stand_anywhere(void **state)
{
    assert_int_equal(PARSE(W("c"), W("--flag"), W("a"), W("--number"), W("9"), W("--string=x=y"),
                           W("b"), W("--list"), W("1"), W("--list=2"), W("--seconds"), W("1.25")),
                     ARGS_OK);
    assert_true(opt.flag);
    assert_int_equal(opt.number, 9);
    assert_string_equal(opt.string, "x=y");
    assert_int_equal(opt.ms, 1250);
    assert_int_equal(opt.list.n, 2);
    assert_string_equal(opt.list.items[1], "2");
    assert_int_equal(words.n, 2);
    assert_string_equal(words.items[1], "b");
}

static void dashes(void **state)
{
    /* "-" is a word, and "--" makes words of all that follows. */
    assert_int_equal(PARSE(W("c"), W("-"), W("--"), W("--flag")), ARGS_OK);
    assert_false(opt.flag);
    assert_string_equal(words.items[0], "-");
    assert_string_equal(words.items[1], "--flag");
    assert_int_equal(PARSE(W("c"), W("-x")), ARGS_BAD);
}

static void help_wins(void **state)
{
    assert_int_equal(PARSE(W("c"), W("--help")), ARGS_HELP);
    assert_int_equal(PARSE(W("c"), W("a"), W("-h"), W("--nonsense")), ARGS_HELP);
}

static void slips_are_told(void **state)
{
    assert_int_equal(PARSE(W("c")), ARGS_BAD);
    assert_int_equal(PARSE(W("c"), W("1"), W("2"), W("3")), ARGS_BAD);
    assert_int_equal(PARSE(W("c"), W("a"), W("--fla")), ARGS_BAD);
    assert_int_equal(PARSE(W("c"), W("a"), W("--flag=1")), ARGS_BAD);
    assert_int_equal(PARSE(W("c"), W("a"), W("--string")), ARGS_BAD);
    assert_int_equal(PARSE(W("c"), W("a"), W("--number"), W("1")), ARGS_BAD);
    assert_int_equal(PARSE(W("c"), W("a"), W("--number"), W("10")), ARGS_BAD);
    assert_int_equal(PARSE(W("c"), W("a"), W("--number"), W("-3")), ARGS_BAD);
    assert_int_equal(PARSE(W("c"), W("a"), W("--number"), W("3 ")), ARGS_BAD);
    assert_int_equal(PARSE(W("c"), W("a"), W("--number="), W("3")), ARGS_BAD);
}

static void seconds(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } rows[] = {{"0", 0},      {"0.5", 500},
                {"1.", -1},    {"86400", 86400000},
                {"86401", -1}, {"", -1},
                {".5", -1},    {"1.2345", -1},
                {"1,5", -1},   {"-1", -1},
                {"1e3", -1},   {"1.2.3", -1},
                {"0.001", 1},  {"99999999999999999999", -1}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[32];

        strncpy(text, rows[i].text, sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        if (rows[i].ms < 0) {
            assert_int_equal(PARSE(W("c"), W("a"), W("--seconds"), text), ARGS_BAD);
        } else {
            assert_int_equal(PARSE(W("c"), W("a"), W("--seconds"), text), ARGS_OK);
            assert_int_equal(opt.ms, rows[i].ms);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(dashes),
        cmocka_unit_test(help_wins),
        cmocka_unit_test(slips_are_told),
        cmocka_unit_test(seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
