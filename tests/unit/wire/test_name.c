#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/name.h>

static struct weft_str from(const char *s)
{
    return weft_str(s, strlen(s));
}

static void validity(void **state)
{
    static const struct {
        const char *text;
        bool topic, pattern, type, glob;
    } cases[] = {
        {"a", true, true, true, true},
        {"orders", true, true, true, true},
        {"repo:42", true, true, false, false},
        {"A-Z_a-z.0:9", true, true, false, false},
        {"task.status_changed", true, true, true, true},
        {"com.Example-1.x", true, true, true, true},
        {":", true, true, false, false},
        {"repo:*", false, true, false, false},
        {"*", false, true, false, true},
        {"task.*", false, true, false, true},
        {"*.status_*", false, false, false, true},
        {"**", false, false, false, true},
        {"a*b", false, false, false, true},
        {"a..b", true, true, false, true},
        {".a", true, true, false, true},
        {"a.", true, true, false, true},
        {".", true, true, false, true},
        {"", false, false, false, false},
        {"a b", false, false, false, false},
        {"a/b", false, false, false, false},
        {"a\n", false, false, false, false},
        {"a,b", false, false, false, false},
        {"a{b}", false, false, false, false},
        {"a?", false, false, false, false},
        {"\xc3\xa9", false, false, false, false},
        {"@", false, false, false, false},
        {"[", false, false, false, false},
        {"`", false, false, false, false},
        {"a*\n", false, false, false, false},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_str s = from(cases[i].text);

        if (weft_topic_valid(s) != cases[i].topic || weft_pattern_valid(s) != cases[i].pattern ||
            weft_type_valid(s) != cases[i].type || weft_type_glob_valid(s) != cases[i].glob)
            fail_msg("'%s'", cases[i].text);
    }
    assert_false(weft_topic_valid(weft_str("a\0b", 3)));
    assert_false(weft_type_valid(weft_str("a\0b", 3)));
    assert_false(weft_topic_valid(weft_str(NULL, 0)));
}

static void length(void **state)
{
    char text[WEFT_NAME_MAX + 1];

    memset(text, 'a', sizeof(text));
    assert_true(weft_topic_valid(weft_str(text, WEFT_NAME_MAX)));
    assert_true(weft_pattern_valid(weft_str(text, WEFT_NAME_MAX)));
    assert_true(weft_type_valid(weft_str(text, WEFT_NAME_MAX)));
    assert_true(weft_type_glob_valid(weft_str(text, WEFT_NAME_MAX)));
    assert_false(weft_topic_valid(weft_str(text, WEFT_NAME_MAX + 1)));
    assert_false(weft_pattern_valid(weft_str(text, WEFT_NAME_MAX + 1)));
    assert_false(weft_type_valid(weft_str(text, WEFT_NAME_MAX + 1)));
    assert_false(weft_type_glob_valid(weft_str(text, WEFT_NAME_MAX + 1)));
}

static void every_byte_is_in_its_class(void **state)
{
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'a'};
        bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                    c == '.' || c == '_' || c == '-';

        assert_int_equal(weft_type_valid(weft_str(text, 3)), word);
        assert_int_equal(weft_topic_valid(weft_str(text, 3)), word || c == ':');
        assert_int_equal(weft_type_glob_valid(weft_str(text, 3)), word || c == '*');
    }
}

static void reserved(void **state)
{
    assert_true(weft_type_reserved(from("weft.gap")));
    assert_true(weft_type_reserved(from("weft.")));
    assert_false(weft_type_reserved(from("weft")));
    assert_false(weft_type_reserved(from("weft-x.y")));
    assert_false(weft_type_reserved(from("a.weft.x")));
    assert_false(weft_type_reserved(from("Weft.x")));
}

static void patterns(void **state)
{
    static const struct {
        const char *pattern, *topic;
        bool match;
    } cases[] = {
        {"repo:42", "repo:42", true}, {"repo:42", "repo:421", false}, {"repo:42", "repo:4", false},
        {"repo:*", "repo:42", true},  {"repo:*", "repo:", true},      {"repo:*", "repo", false},
        {"repo:*", "xrepo:1", false}, {"*", "anything", true},        {"Repo:*", "repo:42", false},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        if (weft_pattern_match(from(cases[i].pattern), from(cases[i].topic)) != cases[i].match)
            fail_msg("%s %s", cases[i].pattern, cases[i].topic);
    }
    assert_true(weft_pattern_is_wildcard(from("a*")));
    assert_false(weft_pattern_is_wildcard(from("a")));
    assert_false(weft_pattern_is_wildcard(from("")));
}

static void globs(void **state)
{
    static const struct {
        const char *glob, *type;
        bool match;
    } cases[] = {
        {"task.progress", "task.progress", true},
        {"task.progress", "task.progre", false},
        {"task.progre", "task.progress", false},
        {"*", "x", true},
        {"**", "task.progress", true},
        {"task.*", "task.progress", true},
        {"task.*", "task.", true},
        {"task.*", "task", false},
        {"task.*", "xtask.a", false},
        {"*.status_changed", "repo.status_changed", true},
        {"*.status_changed", "repo.status_changed.x", false},
        {"*status*", "repo.status_changed", true},
        {"*.*.*", "a.b", false},
        {"*.*.*", "a.b.c", true},
        {"a*b*c", "aXbYc", true},
        {"a*b*c", "abc", true},
        {"a*b*c", "acb", false},
        {"*abab", "ababab", true},
        {"*aab", "aaaaab", true},
        {"a*", "a", true},
        {"*a", "a", true},
        {"*a*", "b", false},
        {"*ab*cd*ef", "xabxcdxcdxef", true},
        {"*ab*cd*ef", "xabxcdxcdxe", false},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        if (weft_type_glob_match(from(cases[i].glob), from(cases[i].type)) != cases[i].match)
            fail_msg("%s %s", cases[i].glob, cases[i].type);
    }
}

/* The obvious definition, exponential at worst. */
static bool match_slowly(const char *glob, const char *type)
{
    if (*glob == '\0')
        return *type == '\0';
    if (*glob == '*')
        return match_slowly(glob + 1, type) || (*type != '\0' && match_slowly(glob, type + 1));
    return *glob == *type && match_slowly(glob + 1, type + 1);
}

static void globs_agree_with_the_definition(void **state)
{
    static const char letters[] = "ab*";
    char glob[6] = "";
    char type[6] = "";

    /* All globs of five from {a, b, *, end}, all types of five from {a, b, end}. */
    for (int g = 0; g < 4 * 4 * 4 * 4 * 4; g++) {
        for (int i = 0, rest = g; i < 5; i++, rest /= 4)
            glob[i] = letters[rest % 4];
        for (int t = 0; t < 3 * 3 * 3 * 3 * 3; t++) {
            for (int i = 0, rest = t; i < 5; i++, rest /= 3)
                type[i] = rest % 3 == 2 ? '\0' : letters[rest % 3];
            if (weft_type_glob_match(from(glob), from(type)) != match_slowly(glob, type))
                fail_msg("%s %s", glob, type);
        }
    }
}

static void a_glob_of_stars_is_fast(void **state)
{
    char glob[WEFT_NAME_MAX];
    char type[WEFT_NAME_MAX];

    memset(type, 'a', sizeof(type));
    for (size_t i = 0; i < sizeof(glob); i++)
        glob[i] = i % 2 == 0 ? '*' : 'a';
    glob[sizeof(glob) - 1] = 'b';
    assert_false(weft_type_glob_match(weft_str(glob, sizeof(glob)), weft_str(type, sizeof(type))));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(validity),
        cmocka_unit_test(length),
        cmocka_unit_test(every_byte_is_in_its_class),
        cmocka_unit_test(reserved),
        cmocka_unit_test(patterns),
        cmocka_unit_test(globs),
        cmocka_unit_test(globs_agree_with_the_definition),
        cmocka_unit_test(a_glob_of_stars_is_fast),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
