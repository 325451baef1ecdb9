/* One value: what each type takes, what it refuses and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weft/base/assert.h>
#include <weft/config/config.h>

#include "config_priv.h"

static struct weft_config cfg;

static int setup(void **state)
{
    return weft_config_defaults(&cfg, WEFT_CONFIG_NODE);
}

static int teardown(void **state)
{
    weft_config_fini(&cfg);
    return 0;
}

static int set(const char *name, const char *text, struct weft_param_why *why)
{
    const struct weft_param *p = weft_param_find(name, strlen(name));

    assert_non_null(p);
    return weft_param_set_text(&cfg, p, text, why);
}

static const char *shown(const char *name, struct weft_buf *buf)
{
    weft_buf_clear(buf);
    weft_param_print(buf, &cfg, weft_param_find(name, strlen(name)));
    return buf->data;
}

/* Text that is taken, and the JSON it prints as. */
static const struct {
    const char *name;
    const char *text;
    const char *json;
} taken[] = {
    {"node.id", "", "\"\""},
    {"node.id", "a.B-3_x", "\"a.B-3_x\""},
    {"node.workers", "0", "0"},
    {"node.workers", "64", "64"},
    {"http.listen", "0.0.0.0:0", "\"0.0.0.0:0\""},
    {"http.listen", "[::1]:65535", "\"[::1]:65535\""},
    {"http.listen", "localhost:80", "\"localhost:80\""},
    {"http.request_timeout_ms", "500", "500"},
    {"http.request_timeout_ms", "500ms", "500"},
    {"http.request_timeout_ms", "30s", "30000"},
    {"http.request_timeout_ms", "5m", "300000"},
    {"http.request_timeout_ms", "1h", "3600000"},
    {"history.max_age_s", "90", "90"},
    {"history.max_age_s", "90s", "90"},
    {"history.max_age_s", "2m", "120"},
    {"history.idle_s", "3h", "10800"},
    {"history.idle_s", "7d", "604800"},
    {"history.rules", "", "[]"},
    {"history.rules", "a=max_events:0, repo:*=max_age:7d;idle:90d",
     "[\"a=max_events:0\", \"repo:*=max_age:7d;idle:90d\"]"},
    {"http.max_body_bytes", "1024", "1024"},
    {"http.max_body_bytes", "64KiB", "65536"},
    {"http.max_body_bytes", "2MiB", "2097152"},
    {"ring.bytes", "16GiB", "17179869184"},
    {"http.cors_origins", "", "[]"},
    {"http.cors_origins", "*", "[\"*\"]"},
    {"http.cors_origins", " https://a.example ,, http://localhost:3000,",
     "[\"https://a.example\", \"http://localhost:3000\"]"},
    {"redis.url", "redis://h", "\"redis://h\""},
    {"redis.url", "redis://u:p@h:1/2", "\"redis://u:***@h:1/2\""},
    {"redis.url", "redis://secret@h", "\"redis://***@h\""},
    {"redis.url", "redis://:secret@h", "\"redis://:***@h\""},
    {"redis.url", "redis://u:p@ss/w@h", "\"redis://u:***@h\""},
    {"redis.url", "rediss://u:p@h", "\"rediss://u:***@h\""},
    {"redis.url", "redis+sentinel://u:p@a,b/m", "\"redis+sentinel://u:***@a,b/m\""},
    {"redis.url", "redis+sentinel://a,b/m?sentinel_password=s&sentinel_user=u",
     "\"redis+sentinel://a,b/m?sentinel_password=***\""},
    {"redis.url", "rediss+sentinel://u:p@a/m?sentinel_user=x&sentinel_password=a@b",
     "\"rediss+sentinel://u:***@a/m?sentinel_user=x&sentinel_password=***\""},
    {"redis.url", "unix:///run/r.sock?db=3", "\"unix:///run/r.sock?db=3\""},
    {"redis.prefix", "a", "\"a\""},
    {"auth.anonymous", "subscribe", "\"subscribe\""},
    {"publish.unknown_types", "refuse", "\"refuse\""},
    {"log.level", "debug", "\"debug\""},
    {"log.format", "text", "\"text\""},
    {"auth.jwks", "/etc/weft/\"keys\".json", "\"/etc/weft/\\\"keys\\\".json\""},
};

static void takes(void **state)
{
    struct weft_param_why why;
    struct weft_buf buf;

    weft_buf_init(&buf, 65536);
    for (size_t i = 0; i < WEFT_COUNT_OF(taken); i++) {
        if (set(taken[i].name, taken[i].text, &why))
            fail_msg("%s = '%s': %s", taken[i].name, taken[i].text, why.text);
        assert_string_equal(shown(taken[i].name, &buf), taken[i].json);
    }
    weft_buf_fini(&buf);
}

#define LETTERS_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Text that is refused, and a part of the reason. */
static const struct {
    const char *name;
    const char *text;
    const char *why;
} refused[] = {
    {"node.id", "a b", "characters"},
    {"node.id", LETTERS_64 "a", "1 to 64"},
    {"node.id", "a\nb", "control characters"},
    {"node.id", "\xff", "UTF-8"},
    {"node.workers", "65", "must be 0 to 64"},
    {"node.workers", "-1", "whole number"},
    {"node.workers", "", "whole number"},
    {"node.workers", "4x", "whole number"},
    {"node.workers", " 4", "whole number"},
    {"node.workers", "0x4", "whole number"},
    {"node.workers", "99999999999999999999999", "must be 0 to 64"},
    {"http.listen", "8080", "HOST:PORT"},
    {"http.listen", ":8080", "HOST:PORT"},
    {"http.listen", "0.0.0.0:", "HOST:PORT"},
    {"http.listen", "0.0.0.0:65536", "HOST:PORT"},
    {"http.listen", "0.0.0.0:+80", "HOST:PORT"},
    {"http.listen", "0.0.0.0:000080", "HOST:PORT"},
    {"http.listen", "::1:80", "HOST:PORT"},
    {"http.listen", "[]:80", "HOST:PORT"},
    {"http.listen", "[::1:80", "HOST:PORT"},
    {"http.listen", "a b:80", "HOST:PORT"},
    {"http.request_timeout_ms", "99", "must be 100ms to 1h"},
    {"http.request_timeout_ms", "2h", "must be 100ms to 1h"},
    {"http.request_timeout_ms", "5 s", "duration"},
    {"http.request_timeout_ms", "5S", "duration"},
    {"http.request_timeout_ms", "1.5s", "duration"},
    {"http.request_timeout_ms", "s", "duration"},
    {"http.request_timeout_ms", "18446744073709551615h", "must be 100ms to 1h"},
    {"http.request_timeout_ms", "-5s", "duration"},
    {"history.max_age_s", "500ms", "duration"},
    {"history.max_age_s", "36501d", "must be 0 to 36500d"},
    {"history.rules", "a=idle:1d,b", "entry 2, b, must be PATTERN=KEY:VALUE"},
    {"history.rules", "a*b=idle:1d", "must begin with a topic"},
    {"history.rules", "repo:*=max_age:7w", "entry 1, repo:*=max_age:7w, must have a time"},
    {"http.max_body_bytes", "1", "must be 1KiB to 64MiB"},
    {"http.max_body_bytes", "1GiB", "must be 1KiB to 64MiB"},
    {"http.max_body_bytes", "1MB", "size"},
    {"http.max_body_bytes", "1s", "size"},
    {"longpoll.wait_ms", "601s", "must be 0 to 10m"},
    {"http.cors_origins", "a.example", "origin"},
    {"http.cors_origins", "https://A.example", "lower case"},
    {"http.cors_origins", "https://a.example/", "origin"},
    {"http.cors_origins", "https://", "origin"},
    {"http.cors_origins", "://a", "origin"},
    {"redis.url", "http://h", "redis://"},
    {"redis.url", "redis://", "redis://"},
    {"redis.url", "unix://r.sock", "unix:///"},
    {"redis.url", "unix:///", "unix:///"},
    {"redis.url", "", "redis://"},
    {"redis.prefix", "", "1 to 32"},
    {"redis.prefix", "a:b", "1 to 32"},
    {"redis.prefix", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "1 to 32"},
    {"auth.anonymous", "everyone", "must be one of none, subscribe, publish, all"},
    {"auth.anonymous", "ALL", "must be one of"},
    {"auth.anonymous", "", "must be one of"},
    {"log.level", "trace", "must be one of debug, info, warn, error"},
    {"dev.data", "", "empty"},
};

static void refuses_and_keeps_the_old_value(void **state)
{
    struct weft_config before;

    assert_int_equal(weft_config_defaults(&before, WEFT_CONFIG_NODE), 0);
    weft_config_fini(&cfg);
    assert_int_equal(weft_config_defaults(&cfg, WEFT_CONFIG_NODE), 0);
    for (size_t i = 0; i < WEFT_COUNT_OF(refused); i++) {
        struct weft_param_why why = {""};
        int rc = set(refused[i].name, refused[i].text, &why);

        if (rc != WEFT_EINVAL || !strstr(why.text, refused[i].why))
            fail_msg("%s = '%s': %d '%s'", refused[i].name, refused[i].text, rc, why.text);
        assert_int_equal(weft_config_diff(&before, &cfg, NULL, NULL), 0);
    }
    weft_config_fini(&before);
}

static void bounds_strings_and_lists(void **state)
{
    static char text[8192];
    struct weft_param_why why;

    memset(text, 'a', WEFT_CONFIG_TEXT_MAX);
    assert_int_equal(set("auth.jwks", text, &why), 0);
    memset(text, 'a', WEFT_CONFIG_TEXT_MAX + 1);
    assert_int_equal(set("auth.jwks", text, &why), WEFT_EINVAL);
    assert_string_equal(why.text, "must not be longer than 4096 bytes");

    memset(text, 0, sizeof(text));
    for (size_t i = 0; i < WEFT_CONFIG_LIST_MAX; i++)
        memcpy(text + 2 * i, "*,", 2);
    assert_int_equal(set("http.cors_origins", text, &why), 0);
    assert_int_equal(cfg.http.cors_origins.len, WEFT_CONFIG_LIST_MAX);
    memcpy(text + (size_t)2 * WEFT_CONFIG_LIST_MAX, "*", 2);
    assert_int_equal(set("http.cors_origins", text, &why), WEFT_EINVAL);
    assert_string_equal(why.text, "must not have more than 256 entries");
}

/* No row of the table is a truth yet: a row made here writes over any bool-sized field. */
static void takes_truths(void **state)
{
    static const struct {
        const char *text;
        int rc;
        bool value;
    } rows[] = {{"true", 0, true},        {"1", 0, true},          {"false", 0, false},
                {"0", 0, false},          {"yes", WEFT_EINVAL, 0}, {"", WEFT_EINVAL, 0},
                {"TRUE", WEFT_EINVAL, 0}, {"2", WEFT_EINVAL, 0}};
    const struct weft_param p = {.name = "a.b",
                                 .type = WEFT_PARAM_TYPE_BOOL,
                                 .max = 1,
                                 .offset = offsetof(struct weft_config, http.max_topics)};
    struct weft_param_why why;
    struct weft_buf buf;

    weft_buf_init(&buf, 64);
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        assert_int_equal(weft_param_set_text(&cfg, &p, rows[i].text, &why), rows[i].rc);
        weft_buf_clear(&buf);
        weft_param_print(&buf, &cfg, &p);
        if (rows[i].rc == 0)
            assert_string_equal(buf.data, rows[i].value ? "true" : "false");
        else
            assert_string_equal(why.text, "must be true or false");
    }
    weft_buf_fini(&buf);
}

static void splits_listen(void **state)
{
    char host[16] = "untouched";
    uint16_t port = 7;

    assert_int_equal(weft_config_split_listen("nothing", host, sizeof(host), &port), WEFT_EINVAL);
    assert_int_equal(
        weft_config_split_listen("a-name-too-long.example:1", host, sizeof(host), &port),
        WEFT_EINVAL);
    assert_string_equal(host, "untouched");
    assert_int_equal(port, 7);

    assert_int_equal(weft_config_split_listen("127.0.0.1:8080", host, sizeof(host), &port), 0);
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, 8080);
    assert_int_equal(weft_config_split_listen("[fe80::1%eth0]:0", host, sizeof(host), &port), 0);
    assert_string_equal(host, "fe80::1%eth0");
    assert_int_equal(port, 0);
}

static void redacting_is_bounded(void **state)
{
    char out[12];

    weft_config_redact_url("redis://user:password@host", out, sizeof(out));
    assert_string_equal(out, "redis://use");
    weft_config_redact_url("redis://u:p@", out, 1);
    assert_string_equal(out, "");
    weft_config_redact_url("u:p@h", out, sizeof(out));
    assert_string_equal(out, "u:***@h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes),         cmocka_unit_test(refuses_and_keeps_the_old_value),
        cmocka_unit_test(takes_truths),  cmocka_unit_test(bounds_strings_and_lists),
        cmocka_unit_test(splits_listen), cmocka_unit_test(redacting_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
