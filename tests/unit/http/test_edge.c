/* Who is behind a request: addresses, origins, ids; what of a query may be written down; how fast the gate opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "../../../pkg/http/worker_priv.h"

static struct weft_str str(const char *s)
{
    return weft_str(s, strlen(s));
}

static void addresses(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: it is none */
    } rows[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"192.0.2.1:80", "192.0.2.1"},
        {"192.0.2.1:65535", "192.0.2.1"},
        {"192.0.2.1:65536", NULL},
        {"192.0.2.1:", NULL},
        {"192.0.2.1:x", NULL},
        {"192.0.2.1:80:80", NULL},
        {"192.0.2", NULL},
        {"192.0.2.256", NULL},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
        {"2001:DB8:1:2::", "2001:db8:1:2::"},
        {"[2001:db8:1:2::9]", "2001:db8:1:2::"},
        {"[2001:db8:1:2::9]:443", "2001:db8:1:2::"},
        {"[2001:db8:1:2::9]443", NULL},
        {"[2001:db8:1:2::9]:", NULL},
        {"[2001:db8:1:2::9", NULL},
        {"[192.0.2.1]", NULL},
        {"[]", NULL},
        {"::1", "::"},
        {"::ffff:192.0.2.7", "192.0.2.7"},
        {"[::ffff:192.0.2.7]:1", "192.0.2.7"},
        {"fe80::1%eth0", NULL},
        {"unknown", NULL},
        {"_hidden", NULL},
        {"", NULL},
        {" 192.0.2.1", NULL},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL},
    };

    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        char out[WEFT_ADDRESS_MAX] = "?";
        bool is = weft_address_parse(out, str(rows[i].text));

        if (is != (rows[i].want != NULL) || strcmp(out, is ? rows[i].want : "") != 0) {
            fail_msg("%s: %d %s", rows[i].text, is, out);
        }
    }
    char out[WEFT_ADDRESS_MAX];
    assert_false(weft_address_parse(out, weft_str("192.0.2.1\0", 10)));
    assert_false(weft_address_print(out, AF_UNIX, "x"));
    assert_string_equal(out, "");
}

static void lists_from_their_end(void **state)
{
    struct weft_str rest = str("a, b ,,c");
    struct weft_str element;
    static const char *const want[] = {"c", "", "b", "a"};

    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(want); i++) {
        assert_true(weft_address_last(&rest, &element));
        assert_true(weft_str_eq(element, str(want[i])));
    }
    assert_false(weft_address_last(&rest, &element));
    rest = weft_str("", 0);
    assert_true(weft_address_last(&rest, &element));
    assert_int_equal(element.len, 0);
    assert_false(weft_address_last(&rest, &element));
}

static void origins_of_the_host(void **state)
{
    static const struct {
        const char *origin, *host;
        bool same;
    } rows[] = {
        {"http://a.example", "a.example", true},
        {"https://a.example", "a.example", true},
        {"http://A.example", "a.EXAMPLE", true},
        {"http://a.example", "a.example:80", true},
        {"https://a.example", "a.example:443", true},
        {"https://a.example", "a.example:80", false},
        {"http://a.example", "a.example:443", false},
        {"http://a.example:8080", "a.example:8080", true},
        {"http://a.example:8080", "a.example", false},
        {"http://a.example:8080", "a.example:8081", false},
        {"http://127.0.0.1:8080", "127.0.0.1:8080", true},
        {"http://[::1]:8080", "[::1]:8080", true},
        {"http://[::1]", "[::1]", true},
        {"http://[::1]", "[::1]:80", true},
        {"http://[::2]", "[::1]", false},
        {"http://a.example.evil", "a.example", false},
        {"http://evil-a.example", "a.example", false},
        {"http://a.example@evil", "a.example", false},
        {"null", "null", false},
        {"", "", false},
        {"http://", "", false},
        {"http://:80", ":80", false},
        {"ftp://a.example", "a.example", false},
        {"a.example", "a.example", false},
        {"file://", "", false},
    };

    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        if (weft_origin_is_host(str(rows[i].origin), str(rows[i].host)) != rows[i].same) {
            fail_msg("%s of %s", rows[i].origin, rows[i].host);
        }
    }
}

static void origins_of_the_list(void **state)
{
    char a[] = "https://a.example";
    char star[] = "*";
    char *both[] = {star, a};
    struct weft_config_list list = {both, 2};
    struct weft_config_list named = {&both[1], 1};
    struct weft_config_list none = {NULL, 0};

    (void)state;
    assert_int_equal(weft_origin_of(str(a), &list), WEFT_ORIGIN_NAMED);
    assert_int_equal(weft_origin_of(str("https://b.example"), &list), WEFT_ORIGIN_ANY);
    assert_int_equal(weft_origin_of(str("https://b.example"), &named), WEFT_ORIGIN_FOREIGN);
    assert_int_equal(weft_origin_of(str("https://a.example.evil"), &named), WEFT_ORIGIN_FOREIGN);
    assert_int_equal(weft_origin_of(str("*"), &named), WEFT_ORIGIN_FOREIGN);
    assert_int_equal(weft_origin_of(str(a), &none), WEFT_ORIGIN_FOREIGN);
    assert_int_equal(weft_origin_of(weft_str(NULL, 0), &list), WEFT_ORIGIN_FOREIGN);
}

static void request_ids(void **state)
{
    char longest[65];

    (void)state;
    memset(longest, 'a', sizeof(longest));
    assert_true(weft_request_id_valid(weft_str(longest, 64)));
    assert_false(weft_request_id_valid(weft_str(longest, 65)));
    assert_true(weft_request_id_valid(str("A-z_0.9")));
    assert_false(weft_request_id_valid(str("")));
    assert_false(weft_request_id_valid(str("a b")));
    assert_false(weft_request_id_valid(str("a\r\nb")));
    assert_false(weft_request_id_valid(str("\"")));
    assert_false(weft_request_id_valid(weft_str(NULL, 0)));
}

static void queries_without_secrets(void **state)
{
    static const struct {
        const char *query, *want;
    } rows[] = {
        {"", ""},
        {"topic=a&types=b*", "topic=a&types=b*"},
        {"topic=a&access_token=x.y.z", "topic=a&access_token=***"},
        {"token=x", "token=***"},
        {"%74oken=x", "***=***"},
        {"TOPIC=x", "TOPIC=***"},
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "***"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "***"},
        {"a&b=&c", "a&b=***&c"},
        {"topic=a=b", "topic=a=b"},
        {"=secret", "***=***"},
        {"&&topic=a", "***&***&topic=a"},
    };
    struct weft_buf b;

    (void)state;
    weft_buf_init(&b, 4096);
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        weft_buf_clear(&b);
        weft_access_query(&b, str(rows[i].query), 1000);
        if (!weft_str_eq(weft_str(b.data, b.len), str(rows[i].want))) {
            fail_msg("%s: %.*s", rows[i].query, (int)b.len, b.data);
        }
    }
    weft_buf_clear(&b);
    weft_access_query(&b, str("topic=aaaaaaaaaa&topic=bbbbbbbbbb&topic=cccccccccc"), 48);
    assert_true(weft_str_eq(weft_str(b.data, b.len), str("topic=aaaaaaaaaa&topic=bbbbbbbbbb&...")));
    weft_buf_fini(&b);
}

/* Whoever asks every 10 ms for a second gets those of a second and of the quarter ahead. */
static void the_gate(void **state)
{
    static const uint32_t rates[] = {1, 7, 100, 5000};
    uint64_t ms = 1000000;
    uint64_t wait;

    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(rates); i++) {
        struct weft_gate gate = {0};
        uint64_t passed = 0;
        uint64_t now = 5000 * ms;

        for (int k = 0; k < 1000; k++, now += 10 * ms) {
            while (weft_gate_pass(&gate, rates[i], now, &wait)) {
                passed++;
            }
            assert_true(wait > 0 && wait <= 1000 * ms);
        }
        assert_in_range(passed, 10 * rates[i] - rates[i] / 4 - 1, 10 * rates[i] + rates[i] / 4 + 1);
        /* One that did not come can come again. */
        weft_gate_return(&gate, rates[i]);
        assert_true(weft_gate_pass(&gate, rates[i], now, &wait));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(lists_from_their_end),
        cmocka_unit_test(origins_of_the_host),
        cmocka_unit_test(origins_of_the_list),
        cmocka_unit_test(request_ids),
        cmocka_unit_test(queries_without_secrets),
        cmocka_unit_test(the_gate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
