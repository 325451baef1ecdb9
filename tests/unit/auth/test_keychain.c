/* Keys that follow a file: rewritten, replaced, switched by a link, wrong, gone, back. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <weft/auth/keychain.h>
#include <weft/base/assert.h>

#include "tokens.h"

#define K32  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define OCT  "{\"kty\":\"oct\",\"k\":\"" K32 "\"}"
#define ONE  "{\"keys\":[" OCT "]}"
#define TWO  "{\"keys\":[" OCT "," OCT "]}"
#define FOUR "{\"keys\":[" OCT "," OCT "," OCT "," OCT "]}"

struct test {
    struct weft_keychain *chain;
    struct weft_err err;
    char folder[64];
};

/* Borrowed, of the test: one at a time. */
static const char *in(const struct test *t, const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", t->folder, name);
    return path;
}

static void write_file(const struct test *t, const char *name, const char *text)
{
    FILE *f = fopen(in(t, name), "we");

    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, true);
    assert_int_equal(fclose(f), 0);
}

static size_t keys(const struct test *t)
{
    struct weft_keyring *ring = weft_keychain_get(t->chain);
    size_t n = ring == NULL ? 0 : weft_keyring_count(ring);

    weft_keyring_unref(ring);
    return n;
}

static enum weft_keychain_news poll_file(struct test *t, const char *name)
{
    t->err = (struct weft_err){.message = ""};
    return weft_keychain_poll(t->chain, in(t, name), &t->err);
}

static void rewritten_and_replaced(void **state)
{
    struct test *t = *state;
    char to[128];

    assert_int_equal(keys(t), 0);
    write_file(t, "jwks", ONE);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_CHANGED);
    assert_int_equal(keys(t), 1);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_SAME);
    write_file(t, "jwks", TWO);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_CHANGED);
    assert_int_equal(keys(t), 2);
    write_file(t, "new", FOUR);
    (void)snprintf(to, sizeof(to), "%s", in(t, "jwks"));
    assert_int_equal(rename(in(t, "new"), to), 0);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_CHANGED);
    assert_int_equal(keys(t), 4);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_SAME);
}

/* As Kubernetes does: jwks -> ..data/jwks, ..data -> a folder, and then another one. */
static void switched_by_a_link(void **state)
{
    struct test *t = *state;
    char to[128];

    assert_int_equal(mkdir(in(t, "v1"), 0700), 0);
    assert_int_equal(mkdir(in(t, "v2"), 0700), 0);
    write_file(t, "v1/jwks", ONE);
    write_file(t, "v2/jwks", TWO);
    assert_int_equal(symlink("v1", in(t, "..data")), 0);
    assert_int_equal(symlink("..data/jwks", in(t, "jwks")), 0);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_CHANGED);
    assert_int_equal(keys(t), 1);
    assert_int_equal(symlink("v2", in(t, "..data_tmp")), 0);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_SAME);
    (void)snprintf(to, sizeof(to), "%s", in(t, "..data"));
    assert_int_equal(rename(in(t, "..data_tmp"), to), 0);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_CHANGED);
    assert_int_equal(keys(t), 2);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_SAME);
}

/* Of the same size and time, as archives and images make them: it is another file all the same. */
static void same_size_and_time(void **state)
{
    const struct timespec times[2] = {{1800000000, 0}, {1800000000, 0}};
    struct test *t = *state;
    char padded[] = TWO;
    char to[128];

    memset(padded, ' ', sizeof(padded) - 1);
    memcpy(padded, ONE, strlen(ONE));
    write_file(t, "jwks", padded);
    write_file(t, "new", TWO);
    assert_int_equal(utimensat(AT_FDCWD, in(t, "jwks"), times, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, in(t, "new"), times, 0), 0);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_CHANGED);
    assert_int_equal(keys(t), 1);
    (void)snprintf(to, sizeof(to), "%s", in(t, "jwks"));
    assert_int_equal(rename(in(t, "new"), to), 0);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_CHANGED);
    assert_int_equal(keys(t), 2);
}

static void wrong_gone_and_back(void **state)
{
    struct test *t = *state;

    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_WRONG);
    assert_non_null(strstr(t->err.message, "No such file"));
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_SAME);
    write_file(t, "jwks", TWO);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_CHANGED);

    write_file(t, "jwks", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}");
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_WRONG);
    assert_string_equal(t->err.field, "keys[0].k");
    assert_non_null(strstr(t->err.message, "jwks: keys[0].k is too short"));
    assert_null(strstr(t->err.message, "c2VjcmV0"));
    assert_int_equal(keys(t), 2);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_SAME);

    assert_int_equal(unlink(in(t, "jwks")), 0);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_WRONG);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_SAME);
    assert_int_equal(keys(t), 2);
    write_file(t, "jwks", ONE);
    assert_int_equal(poll_file(t, "jwks"), WEFT_KEYCHAIN_CHANGED);
    assert_int_equal(keys(t), 1);
}

static void another_path(void **state)
{
    struct test *t = *state;

    write_file(t, "a", ONE);
    write_file(t, "b", TWO);
    assert_int_equal(poll_file(t, "a"), WEFT_KEYCHAIN_CHANGED);
    assert_int_equal(poll_file(t, "b"), WEFT_KEYCHAIN_CHANGED);
    assert_int_equal(keys(t), 2);
    assert_int_equal(poll_file(t, "none"), WEFT_KEYCHAIN_WRONG);
    assert_int_equal(poll_file(t, "none2"), WEFT_KEYCHAIN_WRONG);
    assert_int_equal(poll_file(t, "b"), WEFT_KEYCHAIN_CHANGED);
}

static void no_file_at_all(void **state)
{
    struct test *t = *state;
    struct weft_keyring *ring = NULL;
    char *large = malloc(WEFT_KEYRING_BYTES_MAX + 2);

    assert_int_equal(mkdir(in(t, "folder"), 0700), 0);
    assert_int_equal(poll_file(t, "folder"), WEFT_KEYCHAIN_WRONG);
    assert_non_null(strstr(t->err.message, "not a regular file"));
    assert_int_equal(mkfifo(in(t, "pipe"), 0600), 0);
    assert_int_equal(poll_file(t, "pipe"), WEFT_KEYCHAIN_WRONG);
    write_file(t, "empty", "");
    assert_int_equal(weft_keyring_load(&ring, in(t, "empty"), &t->err), WEFT_EINVAL);
    memset(large, ' ', WEFT_KEYRING_BYTES_MAX + 1);
    large[WEFT_KEYRING_BYTES_MAX + 1] = '\0';
    memcpy(large, ONE, strlen(ONE));
    write_file(t, "large", large);
    assert_int_equal(weft_keyring_load(&ring, in(t, "large"), &t->err), WEFT_ETOOBIG);
    large[WEFT_KEYRING_BYTES_MAX] = '\0';
    write_file(t, "large", large);
    assert_int_equal(weft_keyring_load(&ring, in(t, "large"), &t->err), 0);
    assert_int_equal(weft_keyring_count(ring), 1);
    weft_keyring_unref(ring);
    free(large);
}

/* Who has a keyring keeps it. */
static void set_by_hand(void **state)
{
    struct test *t = *state;
    struct weft_keyring *held;

    weft_keychain_set(t->chain, tokens_ring(WEFT_STR(ONE)));
    held = weft_keychain_get(t->chain);
    weft_keychain_set(t->chain, tokens_ring(WEFT_STR(TWO)));
    assert_int_equal(weft_keyring_count(held), 1);
    assert_int_equal(keys(t), 2);
    weft_keychain_set(t->chain, NULL);
    assert_null(weft_keychain_get(t->chain));
    weft_keyring_unref(held);
    weft_keychain_destroy(NULL);
}

static int set_up(void **state)
{
    struct test *t = calloc(1, sizeof(*t));

    WEFT_ASSERT(t != NULL);
    (void)snprintf(t->folder, sizeof(t->folder), "/tmp/weft-keychain-XXXXXX");
    WEFT_ASSERT(mkdtemp(t->folder) != NULL);
    t->chain = weft_keychain_create();
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"v1/jwks", "v2/jwks", "jwks",  "..data", "a",
                                        "b",       "empty",   "large", "pipe"};
    static const char *const folders[] = {"v1", "v2", "folder"};
    struct test *t = *state;

    for (size_t i = 0; i < WEFT_COUNT_OF(files); i++) {
        (void)unlink(in(t, files[i]));
    }
    for (size_t i = 0; i < WEFT_COUNT_OF(folders); i++) {
        (void)rmdir(in(t, folders[i]));
    }
    assert_int_equal(rmdir(t->folder), 0);
    weft_keychain_destroy(t->chain);
    free(t);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rewritten_and_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(switched_by_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(same_size_and_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_gone_and_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_file_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(set_by_hand, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
