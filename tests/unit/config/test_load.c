/* File, environment and flags: which one wins, and what an operator is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weft/base/assert.h>
#include <weft/base/err.h>
#include <weft/config/config.h>

struct loaded {
    struct weft_config cfg;
    struct weft_config_cmdline cmd;
    struct weft_err err;
    int rc;
};

static char path[64]; /* of the file that the tests write */

static int setup(void **state)
{
    int fd;

    snprintf(path, sizeof(path), "/tmp/weft-test-config-XXXXXX");
    fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static int teardown(void **state)
{
    unlink(path);
    return 0;
}

static void write_file(const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void load_mode(struct loaded *l, enum weft_config_mode mode, char **argv, char **envp)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    memset(l, 0, sizeof(*l));
    l->cmd.first_word = -1;
    assert_int_equal(weft_config_defaults(&l->cfg, mode), 0);
    l->rc = weft_config_load(&l->cfg, argc, argv, envp, &l->cmd, &l->err);
}

#define ARGV(...)                            \
    (char *[])                               \
    {                                        \
        (char[]){"weftd"}, __VA_ARGS__, NULL \
    }
#define WORD(text) ((char[]){text})

static void defaults_are_those_of_the_table(void **state)
{
    struct loaded l;

    load_mode(&l, WEFT_CONFIG_NODE, ARGV(NULL), NULL);
    assert_int_equal(l.rc, 0);
    assert_string_equal(l.cfg.node.id, "");
    assert_string_equal(l.cfg.http.listen, "0.0.0.0:8080");
    assert_int_equal(l.cfg.http.max_connections, 20000);
    assert_int_equal(l.cfg.http.max_body_bytes, 1048576);
    assert_int_equal(l.cfg.http.request_timeout_ms, 10000);
    assert_null(l.cfg.http.cors_origins.items);
    assert_string_equal(l.cfg.redis.url, "redis://127.0.0.1:6379");
    assert_int_equal(l.cfg.publish.idempotency_ttl_ms, 3600000);
    assert_int_equal(l.cfg.publish.unknown_types, WEFT_UNKNOWN_TYPES_ALLOW);
    assert_int_equal(l.cfg.auth.anonymous, WEFT_ANONYMOUS_NONE);
    assert_int_equal(l.cfg.log.level, WEFT_CONFIG_LOG_INFO);
    assert_int_equal(l.cmd.first_word, 1);
    assert_null(l.cmd.file);
    weft_config_fini(&l.cfg);

    load_mode(&l, WEFT_CONFIG_DEV, ARGV(NULL), NULL);
    assert_int_equal(l.rc, 0);
    assert_string_equal(l.cfg.http.listen, "127.0.0.1:8080");
    assert_int_equal(l.cfg.auth.anonymous, WEFT_ANONYMOUS_ALL);
    assert_string_equal(l.cfg.dev.data, ".weft");
    weft_config_fini(&l.cfg);
}

static void later_sources_win(void **state)
{
    char file_var[80];
    char *env[] = {file_var,
                   WORD("WEFT_LISTEN=127.0.0.2:2"),
                   WORD("WEFT_REDIS_URL=redis://env"),
                   WORD("WEFT_WORKERS="),
                   WORD("WEFT_NODE_ID_OLD=x"),
                   NULL};
    struct loaded l;

    snprintf(file_var, sizeof(file_var), "WEFT_CONFIG=%s", path);
    write_file("{\"http\": {\"listen\": \"127.0.0.1:1\"}, \"node\": {\"id\": \"file\"},"
               " \"redis\": {\"url\": \"redis://file\"}}");
    load_mode(&l, WEFT_CONFIG_DEV, ARGV(WORD("--listen"), WORD("127.0.0.3:3")), env);
    assert_int_equal(l.rc, 0);
    assert_string_equal(l.cfg.http.listen, "127.0.0.3:3");
    assert_string_equal(l.cfg.redis.url, "redis://env");
    assert_string_equal(l.cfg.node.id, "file");
    assert_int_equal(l.cfg.node.workers, 0);
    assert_int_equal(l.cfg.auth.anonymous, WEFT_ANONYMOUS_ALL);
    assert_string_equal(l.cmd.file, path);
    weft_config_fini(&l.cfg);

    /* The flag's file is read instead of that of the environment. */
    load_mode(&l, WEFT_CONFIG_NODE, ARGV(WORD("--config=/nowhere/weft.json")), env);
    assert_int_equal(l.rc, WEFT_ESYS);
    assert_non_null(strstr(l.err.message, "/nowhere/weft.json: No such file"));
    weft_config_fini(&l.cfg);
}

static void every_type_comes_from_the_file(void **state)
{
    char *argv[] = {WORD("weftd"), WORD("--config"), path, NULL};
    struct loaded l;

    write_file("{\"node\": {\"workers\": 3},"
               " \"http\": {\"cors_origins\": [\"https://a.example\", \"*\"],"
               "            \"request_timeout_ms\": \"30s\", \"write_stall_ms\": 5000,"
               "            \"max_body_bytes\": \"2MiB\", \"sndbuf_lowat_bytes\": 4096},"
               " \"auth\": {\"anonymous\": \"publish\"}, \"log\": {}}");
    load_mode(&l, WEFT_CONFIG_NODE, argv, NULL);
    assert_int_equal(l.rc, 0);
    assert_int_equal(l.cfg.node.workers, 3);
    assert_int_equal(l.cfg.http.cors_origins.len, 2);
    assert_string_equal(l.cfg.http.cors_origins.items[0], "https://a.example");
    assert_int_equal(l.cfg.http.request_timeout_ms, 30000);
    assert_int_equal(l.cfg.http.write_stall_ms, 5000);
    assert_int_equal(l.cfg.http.max_body_bytes, 2097152);
    assert_int_equal(l.cfg.http.sndbuf_lowat_bytes, 4096);
    assert_int_equal(l.cfg.auth.anonymous, WEFT_ANONYMOUS_PUBLISH);
    weft_config_fini(&l.cfg);
}

/* Files that are refused: the path of the wrong value, and a part of the sentence. */
static const struct {
    const char *text;
    const char *field;
    const char *message;
} bad_files[] = {
    {"", "", "is not valid JSON: line 1"},
    {"{", "", "is not valid JSON: line 1"},
    {"[]", "", "must hold one JSON object"},
    {"{\"http\": {\"listen\": \"a:1\"} trailing}", "", "is not valid JSON: line 1"},
    {"{\"http\": {}, \"http\": {}}", "", "duplicate"},
    {"{\"htp\": {}}", "htp", "is not a group of parameters"},
    {"{\"http.listen\": \"a:1\"}", "http.listen", "is not a group of parameters"},
    {"{\"http\": 3}", "http", "must be an object"},
    {"{\"http\": {\"lisen\": \"a:1\"}}", "http.lisen", "is not a parameter"},
    {"{\"http\": {\"listen\": 8080}}", "http.listen", "must be a string"},
    {"{\"http\": {\"listen\": null}}", "http.listen", "must be a string"},
    {"{\"http\": {\"listen\": \"8080\"}}", "http.listen", "must be HOST:PORT"},
    {"{\"http\": {\"listen\": \"a\\u0000b:1\"}}", "", "is not valid JSON"},
    {"{\"node\": {\"workers\": \"4\"}}", "node.workers", "must be a whole number"},
    {"{\"node\": {\"workers\": 4.5}}", "node.workers", "must be a whole number"},
    {"{\"node\": {\"workers\": -4}}", "node.workers", "must be 0 to 64"},
    {"{\"node\": {\"workers\": 99999999999999999999}}", "", "is not valid JSON"},
    {"{\"http\": {\"max_body_bytes\": true}}", "http.max_body_bytes", "must be bytes or a size"},
    {"{\"sse\": {\"retry_ms\": []}}", "sse.retry_ms", "must be milliseconds or a duration"},
    {"{\"sse\": {\"retry_ms\": -1}}", "sse.retry_ms", "must be 50ms to 1h"},
    {"{\"ring\": {\"bytes\": -1}}", "ring.bytes", "must be 64KiB to 16GiB"},
    {"{\"auth\": {\"anonymous\": true}}", "auth.anonymous", "must be a string"},
    {"{\"http\": {\"cors_origins\": \"*\"}}", "http.cors_origins", "must be an array of strings"},
    {"{\"http\": {\"cors_origins\": [\"*\", 1]}}", "http.cors_origins", "must be an array of"},
    {"{\"slow\": {\"policies\": [\"a\"]}}", "slow.policies", "must be PATTERN=POLICY"},
    {"{\"slow\": {\"policies\": [\"=latest\"]}}", "slow.policies", "must be PATTERN=POLICY"},
    {"{\"slow\": {\"policies\": [\"a*b=latest\"]}}", "slow.policies", "must be PATTERN=POLICY"},
    {"{\"slow\": {\"policies\": [\"a*=latest\", \"b=never\"]}}", "slow.policies",
     "must be PATTERN=replay, PATTERN=latest or PATTERN=close"},
    {"{\"redis\": {\"backoff_min_ms\": 3000}}", "redis.backoff_min_ms",
     "must not be more than redis.backoff_max_ms (2000)"},
    {"{\"publish\": {\"queue_events\": 999}}", "publish.queue_events",
     "must not be less than publish.max_batch (1000)"},
    {"{\"publish\": {\"queue_bytes\": \"64KiB\"}}", "publish.queue_bytes",
     "must not be less than http.max_body_bytes (1048576)"},
};

static void wrong_files_are_refused_with_a_path(void **state)
{
    char *argv[] = {WORD("weftd"), WORD("--config"), path, NULL};

    for (size_t i = 0; i < WEFT_COUNT_OF(bad_files); i++) {
        struct loaded l;

        write_file(bad_files[i].text);
        load_mode(&l, WEFT_CONFIG_NODE, argv, NULL);
        if (l.rc != WEFT_EINVAL || l.err.code != l.rc ||
            strcmp(l.err.field, bad_files[i].field) != 0 ||
            !strstr(l.err.message, bad_files[i].message))
            fail_msg("%s: %d '%s' '%s'", bad_files[i].text, l.rc, l.err.field, l.err.message);
        weft_config_fini(&l.cfg);
    }
}

static void the_file_is_bounded_and_has_to_be_one(void **state)
{
    char *argv[] = {WORD("weftd"), WORD("--config"), path, NULL};
    struct loaded l;
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    for (int i = 0; i < 1048577; i++)
        fputc(' ', out);
    fclose(out);
    load_mode(&l, WEFT_CONFIG_NODE, argv, NULL);
    assert_int_equal(l.rc, WEFT_ETOOBIG);
    weft_config_fini(&l.cfg);

    load_mode(&l, WEFT_CONFIG_NODE, ARGV(WORD("--config=/tmp")), NULL);
    assert_int_equal(l.rc, WEFT_ESYS);
    assert_string_equal(l.err.message, "cannot read /tmp: Is a directory");
    weft_config_fini(&l.cfg);
}

static void secrets_are_in_no_message(void **state)
{
    char *env[] = {WORD("WEFT_REDIS_URL=https://u:hunter2@h"), NULL};
    struct loaded l;

    load_mode(&l, WEFT_CONFIG_NODE, ARGV(NULL), env);
    assert_int_equal(l.rc, WEFT_EINVAL);
    assert_string_equal(l.err.field, "redis.url");
    assert_non_null(strstr(l.err.message, "(WEFT_REDIS_URL)"));
    assert_null(strstr(l.err.message, "hunter2"));
    weft_config_fini(&l.cfg);

    write_file("{\"redis\": {\"url\" \"redis://u:hunter2@h\"}}");
    load_mode(&l, WEFT_CONFIG_NODE, ((char *[]){WORD("weftd"), WORD("--config"), path, NULL}),
              NULL);
    assert_int_equal(l.rc, WEFT_EINVAL);
    assert_null(strstr(l.err.message, "hunter2"));
    weft_config_fini(&l.cfg);
}

static void flags_have_two_forms_and_end_at_a_word(void **state)
{
    struct loaded l;

    load_mode(&l, WEFT_CONFIG_NODE,
              ARGV(WORD("--workers=2"), WORD("--node-id"), WORD("n-1"), WORD("--set"),
                   WORD("history.max_events=7"), WORD("--set=http.cors_origins=*"),
                   WORD("--log-level=debug"), WORD("--check"), WORD("word"), WORD("--unknown")),
              NULL);
    assert_int_equal(l.rc, 0);
    assert_int_equal(l.cfg.node.workers, 2);
    assert_string_equal(l.cfg.node.id, "n-1");
    assert_int_equal(l.cfg.history.max_events, 7);
    assert_int_equal(l.cfg.http.cors_origins.len, 1);
    assert_int_equal(l.cfg.log.level, WEFT_CONFIG_LOG_DEBUG);
    assert_true(l.cmd.check);
    assert_false(l.cmd.print);
    assert_int_equal(l.cmd.first_word, 9);
    weft_config_fini(&l.cfg);

    load_mode(&l, WEFT_CONFIG_NODE, ARGV(WORD("--print"), WORD("--"), WORD("--listen")), NULL);
    assert_int_equal(l.rc, 0);
    assert_true(l.cmd.print);
    assert_int_equal(l.cmd.first_word, 3);
    weft_config_fini(&l.cfg);

    /* The last one counts; an empty value is a value. */
    load_mode(&l, WEFT_CONFIG_NODE,
              ARGV(WORD("--node-id=a"), WORD("--node-id="), WORD("--workers"), WORD("1"),
                   WORD("--workers"), WORD("2")),
              NULL);
    assert_int_equal(l.rc, 0);
    assert_string_equal(l.cfg.node.id, "");
    assert_int_equal(l.cfg.node.workers, 2);
    weft_config_fini(&l.cfg);
}

static const struct {
    const char *args[3];
    const char *field;
    const char *message;
} bad_flags[] = {
    {{"--bogus"}, "", "unknown flag --bogus"},
    {{"--bogus=secret"}, "", "unknown flag --bogus"},
    {{"--listenx=a:1"}, "", "unknown flag --listenx"},
    {{"-v"}, "", "unknown flag -v"},
    {{"--listen"}, "http.listen", "--listen needs a value"},
    {{"--config"}, "", "--config needs a value"},
    {{"--check=1"}, "", "--check takes no value"},
    {{"--listen", "8080"},
     "http.listen",
     "must be HOST:PORT, for example 0.0.0.0:8080 or "
     "[::1]:8080 (--listen)"},
    {{"--set"}, "", "--set needs a value"},
    {{"--set", "http.listen"}, "", "--set needs NAME=VALUE"},
    {{"--set", "http.lisen=a:1"}, "http.lisen", "is not a parameter (--set)"},
    {{"--set", "http=1"}, "http", "is not a parameter (--set)"},
    {{"--set", "=1"}, "", "is not a parameter (--set)"},
    {{"--set", "node.workers=many"}, "node.workers", "must be a whole number without sign (--set)"},
};

static void wrong_flags_are_refused(void **state)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(bad_flags); i++) {
        char words[3][64];
        char *argv[5] = {WORD("weftd")};
        struct loaded l;

        for (int k = 0; k < 3 && bad_flags[i].args[k]; k++) {
            snprintf(words[k], sizeof(words[k]), "%s", bad_flags[i].args[k]);
            argv[k + 1] = words[k];
        }
        load_mode(&l, WEFT_CONFIG_NODE, argv, NULL);
        if (l.rc != WEFT_EINVAL || strcmp(l.err.field, bad_flags[i].field) != 0 ||
            strcmp(l.err.message, bad_flags[i].message) != 0)
            fail_msg("%s: %d '%s' '%s'", argv[1], l.rc, l.err.field, l.err.message);
        weft_config_fini(&l.cfg);
    }
}

static void help_looks_at_nothing_else(void **state)
{
    static const char *const flags[] = {"--help", "-h", "--version"};

    for (size_t i = 0; i < WEFT_COUNT_OF(flags); i++) {
        char *env[] = {WORD("WEFT_WORKERS=wrong"), NULL};
        char flag[16];
        struct loaded l;

        snprintf(flag, sizeof(flag), "%s", flags[i]);
        load_mode(&l, WEFT_CONFIG_NODE, ARGV(flag, WORD("--config=/nowhere"), WORD("--bogus")),
                  env);
        assert_int_equal(l.rc, 0);
        assert_int_equal(l.cmd.help, i < 2);
        assert_int_equal(l.cmd.version, i == 2);
        weft_config_fini(&l.cfg);
    }
}

static void a_wrong_value_is_refused_though_a_later_one_wins(void **state)
{
    char *env[] = {WORD("WEFT_WORKERS=wrong"), NULL};
    struct loaded l;

    load_mode(&l, WEFT_CONFIG_NODE, ARGV(WORD("--workers=2")), env);
    assert_int_equal(l.rc, WEFT_EINVAL);
    assert_string_equal(l.err.field, "node.workers");
    assert_string_equal(l.err.message, "must be a whole number without sign (WEFT_WORKERS)");
    weft_config_fini(&l.cfg);
}

static void fini_takes_anything(void **state)
{
    struct weft_config cfg = {0};

    weft_config_fini(NULL);
    weft_config_fini(&cfg);
    assert_int_equal(weft_config_defaults(&cfg, WEFT_CONFIG_NODE), 0);
    weft_config_fini(&cfg);
    weft_config_fini(&cfg);
}

struct seen {
    size_t reload;
    char names[128];
};

static void note(void *arg, const char *name, bool reload)
{
    struct seen *seen = arg;
    size_t len = strlen(seen->names);

    seen->reload += reload;
    snprintf(seen->names + len, sizeof(seen->names) - len, "%s ", name);
}

static void diff_names_what_changed(void **state)
{
    struct seen seen = {0};
    struct loaded a, b;

    load_mode(&a, WEFT_CONFIG_NODE, ARGV(WORD("--set=http.cors_origins=*")), NULL);
    load_mode(&b, WEFT_CONFIG_NODE,
              ARGV(WORD("--workers=2"), WORD("--log-level=warn"),
                   WORD("--set=http.cors_origins=http://a")),
              NULL);
    assert_int_equal(a.rc, 0);
    assert_int_equal(b.rc, 0);
    assert_int_equal(weft_config_diff(&a.cfg, &b.cfg, note, &seen), 3);
    assert_string_equal(seen.names, "node.workers http.cors_origins log.level ");
    assert_int_equal(seen.reload, 1);
    assert_int_equal(weft_config_diff(&a.cfg, &a.cfg, note, &seen), 0);
    weft_config_fini(&a.cfg);
    weft_config_fini(&b.cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(every_type_comes_from_the_file),
        cmocka_unit_test(wrong_files_are_refused_with_a_path),
        cmocka_unit_test(the_file_is_bounded_and_has_to_be_one),
        cmocka_unit_test(secrets_are_in_no_message),
        cmocka_unit_test(flags_have_two_forms_and_end_at_a_word),
        cmocka_unit_test(wrong_flags_are_refused),
        cmocka_unit_test(help_looks_at_nothing_else),
        cmocka_unit_test(a_wrong_value_is_refused_though_a_later_one_wins),
        cmocka_unit_test(fini_takes_anything),
        cmocka_unit_test(diff_names_what_changed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
