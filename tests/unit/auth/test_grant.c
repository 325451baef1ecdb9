/* What globs cover: compared with what they mean, letter by letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weft/auth/grant.h>
#include <weft/base/assert.h>

static struct weft_str from(const char *s)
{
    return weft_str(s, strlen(s));
}

static struct weft_grant *grant_of(const char *glob)
{
    struct weft_str one = from(glob);
    struct weft_grant_spec spec = {.publish = {&one, 1}, .subscribe = {&one, 1}};
    struct weft_grant *grant = NULL;

    assert_int_equal(weft_grant_create(&grant, &spec, NULL), 0);
    return grant;
}

static void publishing(void **state)
{
    static const struct {
        const char *glob, *topic;
        bool may;
    } cases[] = {
        {"orders", "orders", true},
        {"orders", "order", false},
        {"orders", "orders2", false},
        {"orders", "Orders", false},
        {"*", "orders", true},
        {"**", "orders", true},
        {"repo:*", "repo:1", true},
        {"repo:*", "repo:", true},
        {"repo:*", "repo", false},
        {"repo:*", "xrepo:1", false},
        {"*:log", "repo:log", true},
        {"*:log", ":log", true},
        {"*:log", "repo:log2", false},
        {"a*c", "ac", true},
        {"a*c", "abc", true},
        {"a*c", "abcd", false},
        {"a*a", "a", false},
        {"a*a", "aa", true},
        {"*ab*ab*", "ab", false},
        {"*ab*ab*", "abab", true},
        {"*ab*ba", "aba", false},
        {"*ab*ba", "abba", true},
        {"a*b*c", "abc", true},
        {"a*b*c", "acb", false},
        {"a*", "a*", false}, /* no topic */
        {"*", "*", false},
        {"*", "", false},
        {"*", "a/b", false},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_grant *grant = grant_of(cases[i].glob);

        if (weft_grant_may_publish(grant, from(cases[i].topic)) != cases[i].may) {
            fail_msg("%s %s", cases[i].glob, cases[i].topic);
        }
        weft_grant_unref(grant);
    }
}

static void subscribing(void **state)
{
    static const struct {
        const char *glob, *pattern;
        bool may;
    } cases[] = {
        {"orders", "orders", true},
        {"orders", "orders*", false},
        {"orders", "*", false},
        {"repo:*", "repo:*", true},
        {"repo:*", "repo:1*", true},
        {"repo:*", "repo:1", true},
        {"repo:*", "repo*", false},
        {"repo:*", "*", false},
        {"*", "*", true},
        {"**", "*", true},
        {"*", "repo:*", true},
        {"a*b", "a*", false},
        {"a*b", "ab*", false},
        {"*b", "b*", false},
        {"*b*", "ab*", true},
        {"*b*", "b*", true},
        {"*b*", "*", false},
        {"a*b*", "a*", false},
        {"a*b*", "ab*", true},
        {"a*b*", "axxb*", true},
        {"a*b*", "axxbcc*", true},
        {"a*b**", "ab*", true},
        {"*a*a*", "a*", false},
        {"*a*a*", "aa*", true},
        {"*", "a**", false}, /* no pattern */
        {"*", "a*b", false},
        {"*", "", false},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_grant *grant = grant_of(cases[i].glob);

        if (weft_grant_may_subscribe(grant, from(cases[i].pattern)) != cases[i].may) {
            fail_msg("%s %s", cases[i].glob, cases[i].pattern);
        }
        weft_grant_unref(grant);
    }
}

/* The obvious definition, exponential at worst. */
static bool match_slowly(const char *glob, const char *topic)
{
    if (*glob == '\0') {
        return *topic == '\0';
    }
    if (*glob == '*') {
        return match_slowly(glob + 1, topic) || (*topic != '\0' && match_slowly(glob, topic + 1));
    }
    return *glob == *topic && match_slowly(glob + 1, topic + 1);
}

/* Whether glob matches all that begins with prefix, as far as some continuations tell. */
static bool covers_slowly(const char *glob, const char *prefix)
{
    static const char *const more[] = {"", "a", "b", "z", "zz", "azbz", "zabab", "abz"};
    char topic[32];

    for (size_t i = 0; i < WEFT_COUNT_OF(more); i++) {
        size_t len = strlen(prefix);

        memcpy(topic, prefix, len);
        memcpy(topic + len, more[i], strlen(more[i]) + 1);
        if (!match_slowly(glob, topic)) {
            return false;
        }
    }
    return true;
}

static void globs_agree_with_the_definition(void **state)
{
    static const char letters[] = "ab*";
    char glob[7] = "";
    char text[6] = "";

    /* Globs of up to six from {a, b, *}, topics and prefixes of up to four from {a, b}. */
    for (int g = 0; g < 4 * 4 * 4 * 4 * 4 * 4; g++) {
        struct weft_grant *grant;

        for (int i = 0, rest = g; i < 6; i++, rest /= 4) {
            glob[i] = letters[rest % 4];
        }
        if (glob[0] == '\0') {
            continue;
        }
        grant = grant_of(glob);
        for (int t = 0; t < 3 * 3 * 3 * 3; t++) {
            bool covered;
            size_t len;

            for (int i = 0, rest = t; i < 4; i++, rest /= 3) {
                text[i] = rest % 3 == 2 ? '\0' : letters[rest % 3];
            }
            len = strlen(text);
            if (len > 0 && weft_grant_may_publish(grant, from(text)) != match_slowly(glob, text)) {
                fail_msg("%s %s", glob, text);
            }
            text[len] = '*';
            covered = weft_grant_may_subscribe(grant, weft_str(text, len + 1));
            text[len] = '\0';
            if (covered != covers_slowly(glob, text)) {
                fail_msg("%s covers %s*", glob, text);
            }
            memset(text, 0, sizeof(text));
        }
        weft_grant_unref(grant);
    }
}

static void what_a_glob_is(void **state)
{
    char text[201];

    memset(text, '*', sizeof(text));
    assert_true(weft_grant_glob_valid(weft_str(text, 200)));
    assert_false(weft_grant_glob_valid(weft_str(text, 201)));
    assert_false(weft_grant_glob_valid(weft_str(NULL, 0)));
    for (int c = 0; c < 256; c++) {
        bool good = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                    (c != 0 && strchr("._:-*", c) != NULL);

        text[1] = (char)c;
        assert_int_equal(weft_grant_glob_valid(weft_str(text, 3)), good);
    }
}

static void too_much_is_refused(void **state)
{
    struct weft_str many[WEFT_GRANT_GLOBS_MAX + 1];
    struct weft_grant_spec spec = {.roles = 0};
    struct weft_grant *grant = NULL;
    struct weft_err err;
    char name[WEFT_GRANT_NAME_MAX + 1];

    for (size_t i = 0; i < WEFT_COUNT_OF(many); i++) {
        many[i] = WEFT_STR("a*");
    }
    spec.publish = (struct weft_globs){many, WEFT_GRANT_GLOBS_MAX + 1};
    assert_int_equal(weft_grant_create(&grant, &spec, &err), WEFT_EINVAL);
    assert_string_equal(err.field, "publish");
    spec.publish.n--;
    many[7] = WEFT_STR("a b");
    assert_int_equal(weft_grant_create(&grant, &spec, &err), WEFT_EINVAL);
    assert_string_equal(err.field, "publish[7]");
    spec.publish.n = 0;
    memset(name, 'n', sizeof(name));
    spec.jti = weft_str(name, sizeof(name));
    assert_int_equal(weft_grant_create(&grant, &spec, &err), WEFT_EINVAL);
    assert_string_equal(err.field, "jti");
    assert_null(grant);
}

/* It keeps copies, and lives as long as its last owner. */
static void it_is_its_own(void **state)
{
    char glob[] = "a*";
    char subject[] = "me";
    struct weft_str one = from(glob);
    struct weft_grant_spec spec = {.subject = from(subject),
                                   .roles = WEFT_ROLE_OPERATOR,
                                   .expires_ms = 7,
                                   .subscribe = {&one, 1}};
    struct weft_grant *grant = NULL;

    assert_int_equal(weft_grant_create(&grant, &spec, NULL), 0);
    memset(glob, 'x', 2);
    memset(subject, 'x', 2);
    assert_ptr_equal(weft_grant_ref(grant), grant);
    weft_grant_unref(grant);
    assert_true(weft_grant_may_subscribe(grant, WEFT_STR("ab")));
    assert_false(weft_grant_may_publish(grant, WEFT_STR("ab")));
    assert_true(weft_str_eq(grant->is.subject, WEFT_STR("me")));
    assert_int_equal(grant->is.roles, WEFT_ROLE_OPERATOR);
    assert_int_equal(grant->is.expires_ms, 7);
    weft_grant_unref(grant);
    weft_grant_unref(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishing),
        cmocka_unit_test(subscribing),
        cmocka_unit_test(globs_agree_with_the_definition),
        cmocka_unit_test(what_a_glob_is),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(it_is_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
