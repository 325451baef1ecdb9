/* What is written for people: --print, --help, docs/configuration.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weft/base/err.h>
#include <weft/config/config.h>

#include "config_priv.h"

#ifndef WEFT_SOURCE_DIR
#define WEFT_SOURCE_DIR "."
#endif

#define DOCUMENT WEFT_SOURCE_DIR "/docs/configuration.md"

static char *word(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
    return out;
}

static void print_can_be_loaded_again(void **state)
{
    char path[] = "/tmp/weft-test-print-XXXXXX";
    char words[4][96];
    char *argv[] = {word(words[0], 96, "weftd"),
                    word(words[1], 96, "--set=http.cors_origins=https://a.example,*"),
                    word(words[2], 96, "--redis=unix:///a\"b\\c.sock"), NULL};
    char *argv_file[] = {words[0], words[3], NULL};
    struct weft_config_cmdline cmd;
    struct weft_config cfg, again;
    struct weft_err err;
    int fd = mkstemp(path);
    FILE *out;

    assert_true(fd >= 0);
    assert_int_equal(weft_config_defaults(&cfg, WEFT_CONFIG_DEV), 0);
    assert_int_equal(weft_config_load(&cfg, 3, argv, NULL, &cmd, &err), 0);
    out = fdopen(fd, "w");
    assert_int_equal(weft_config_print(&cfg, out), 0);
    fclose(out);

    snprintf(words[3], sizeof(words[3]), "--config=%s", path);
    assert_int_equal(weft_config_defaults(&again, WEFT_CONFIG_NODE), 0);
    if (weft_config_load(&again, 2, argv_file, NULL, &cmd, &err))
        fail_msg("%s: %s", err.field, err.message);
    assert_int_equal(weft_config_diff(&cfg, &again, NULL, NULL), 0);
    assert_string_equal(again.redis.url, "unix:///a\"b\\c.sock");
    weft_config_fini(&cfg);
    weft_config_fini(&again);
    unlink(path);
}

static void print_hides_the_password(void **state)
{
    char words[2][64];
    char *argv[] = {word(words[0], 64, "weftd"), word(words[1], 64, "--redis=redis://u:hunter2@h"),
                    NULL};
    struct weft_config_cmdline cmd;
    struct weft_config cfg;
    struct weft_err err;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_int_equal(weft_config_defaults(&cfg, WEFT_CONFIG_NODE), 0);
    assert_int_equal(weft_config_load(&cfg, 2, argv, NULL, &cmd, &err), 0);
    assert_int_equal(weft_config_print(&cfg, out), 0);
    fclose(out);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "\"url\": \"redis://u:***@h\""));
    free(text);
    weft_config_fini(&cfg);
}

static void print_tells_of_a_full_disk(void **state)
{
    struct weft_config cfg;
    FILE *out = fopen("/dev/full", "w");

    if (!out)
        skip();
    assert_int_equal(weft_config_defaults(&cfg, WEFT_CONFIG_NODE), 0);
    assert_int_equal(weft_config_print(&cfg, out), WEFT_ESYS);
    fclose(out);
    weft_config_fini(&cfg);
}

static void usage_names_every_flag(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    weft_config_usage(out);
    fclose(out);
    for (size_t i = 0; i < weft_params_len; i++) {
        if (weft_params[i].flag)
            assert_non_null(strstr(text, weft_params[i].flag));
    }
    assert_non_null(strstr(text, "--set NAME=VALUE"));
    free(text);
}

/* WEFT_WRITE_DOCS=1 writes the file instead. */
static void document_is_up_to_date(void **state)
{
    char *made = NULL, *held = NULL;
    size_t made_len = 0, held_len = 0, size = 0;
    FILE *out = open_memstream(&made, &made_len);
    FILE *in;

    weft_config_document(out);
    fclose(out);
    if (getenv("WEFT_WRITE_DOCS")) {
        out = fopen(DOCUMENT, "w");
        assert_non_null(out);
        assert_int_equal(fwrite(made, 1, made_len, out), made_len);
        assert_int_equal(fclose(out), 0);
    }
    in = fopen(DOCUMENT, "r");
    if (!in)
        fail_msg("%s is missing: run this test with WEFT_WRITE_DOCS=1", DOCUMENT);
    held_len = (size_t)getdelim(&held, &size, '\0', in);
    fclose(in);
    if (held_len != made_len || memcmp(held, made, made_len) != 0)
        fail_msg("%s is not what params.def says: run this test with WEFT_WRITE_DOCS=1", DOCUMENT);
    free(made);
    free(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(print_can_be_loaded_again),  cmocka_unit_test(print_hides_the_password),
        cmocka_unit_test(print_tells_of_a_full_disk), cmocka_unit_test(usage_names_every_flag),
        cmocka_unit_test(document_is_up_to_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
