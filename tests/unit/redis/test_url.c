/* Where Redis is and who we are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weft/redis/url.h>

static void accepted(void **state)
{
    static const struct {
        const char *text, *host, *path, *user, *password, *label;
        uint16_t port;
        uint32_t db;
    } cases[] = {
        {"redis://localhost", "localhost", "", "", "", "localhost:6379", 6379, 0},
        {"redis://10.0.0.1:7000/3", "10.0.0.1", "", "", "", "10.0.0.1:7000", 7000, 3},
        {"redis://h/", "h", "", "", "", "h:6379", 6379, 0},
        {"redis://:secret@h:1", "h", "", "", "secret", "h:1", 1, 0},
        {"redis://app:s%40cret%3a@h", "h", "", "app", "s@cret:", "h:6379", 6379, 0},
        {"redis://a@b:c@h", "h", "", "a@b", "c", "h:6379", 6379, 0},
        {"redis://[::1]:6380/1", "::1", "", "", "", "::1:6380", 6380, 1},
        {"redis://[::1]", "::1", "", "", "", "::1:6379", 6379, 0},
        {"unix:///run/redis.sock", "", "/run/redis.sock", "", "", "unix:///run/redis.sock", 0, 0},
        {"unix:///r%20s?db=2", "", "/r s", "", "", "unix:///r s", 0, 2},
        {"unix://u:p@/r.sock", "", "/r.sock", "u", "p", "unix:///r.sock", 0, 0},
    };
    struct weft_redis_url url;
    struct weft_err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(weft_redis_url_parse(&url, cases[i].text, &err), 0);
        assert_string_equal(url.host.name, cases[i].host);
        assert_string_equal(url.path, cases[i].path);
        assert_string_equal(url.user, cases[i].user);
        assert_string_equal(url.password, cases[i].password);
        assert_string_equal(url.label, cases[i].label);
        assert_int_equal(url.host.port, cases[i].port);
        assert_int_equal(url.db, cases[i].db);
    }
}

static void refused_without_the_password(void **state)
{
    static const char *const cases[] = {
        "",
        "http://h",
        "redis://",
        "redis://:hush@",
        "redis://:hush@h:0",
        "redis://:hush@h:65536",
        "redis://:hush@h:6379x",
        "redis://:hush@h/x",
        "redis://:hush@h/99999999",
        "redis://:hush%zz@h",
        "redis://:hush%00@h",
        "redis://:hush@[::1",
        "redis://:hush@[::1]x",
        "unix://:hush@relative",
        "unix:///path?table=1",
        ("unix:///01234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890123456789"),
    };
    struct weft_redis_url url;
    struct weft_err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(weft_redis_url_parse(&url, cases[i], &err), WEFT_EINVAL);
        assert_string_equal(err.field, "redis.url");
        assert_true(err.message[0] != '\0');
        assert_null(strstr(err.message, "hush"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),
        cmocka_unit_test(refused_without_the_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
