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
        {"rediss://u:p@h/1", "h", "", "u", "p", "h:6379", 6379, 1},
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
        assert_int_equal(url.n_sentinels, 0);
        assert_true(url.tls == (strncmp(cases[i].text, "rediss", 6) == 0));
    }
}

static void sentinels(void **state)
{
    struct weft_redis_url url;
    struct weft_redis_url one;
    struct weft_err err;

    assert_int_equal(weft_redis_url_parse(&url, "redis+sentinel://s/m", &err), 0);
    assert_int_equal(url.n_sentinels, 1);
    assert_string_equal(url.sentinels[0].name, "s");
    assert_int_equal(url.sentinels[0].port, 26379);
    assert_string_equal(url.master, "m");
    assert_string_equal(url.host.name, "");
    assert_string_equal(url.label, "the master m");
    assert_false(url.tls);

    assert_int_equal(
        weft_redis_url_parse(&url,
                             "rediss+sentinel://app:a%3fb/c@s1:1,[::1]:2,10.0.0.3,[::4]/my%2fm/5"
                             "?sentinel_password=p%26%40&sentinel_user=who",
                             &err),
        0);
    assert_true(url.tls);
    assert_int_equal(url.n_sentinels, 4);
    assert_string_equal(url.sentinels[1].name, "::1");
    assert_int_equal(url.sentinels[1].port, 2);
    assert_string_equal(url.sentinels[2].name, "10.0.0.3");
    assert_int_equal(url.sentinels[3].port, 26379);
    assert_string_equal(url.master, "my/m");
    assert_int_equal(url.db, 5);
    assert_string_equal(url.user, "app");
    assert_string_equal(url.password, "a?b/c");

    weft_redis_url_of_sentinel(&one, &url, 1);
    assert_string_equal(one.host.name, "::1");
    assert_int_equal(one.host.port, 2);
    assert_string_equal(one.user, "who");
    assert_string_equal(one.password, "p&@");
    assert_string_equal(one.label, "::1:2");
    assert_true(one.tls);
    assert_int_equal(one.db, 0);
    assert_int_equal(one.n_sentinels, 0);
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
        "rediss://",
        "redis+sentinel://:hush@s",
        "redis+sentinel://:hush@s/",
        "redis+sentinel://:hush@/m",
        "redis+sentinel://:hush@s,,t/m",
        "redis+sentinel://:hush@s:0,t/m",
        "redis+sentinel://:hush@s/m/x",
        "redis+sentinel://:hush@s/m?sentinel_pass=hush",
        "redis+sentinel://:hush@s/m?sentinel_password=hush%z",
        "redis+sentinel://:hush@1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17/m",
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
        cmocka_unit_test(sentinels),
        cmocka_unit_test(refused_without_the_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
