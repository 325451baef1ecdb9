/* What may be registered, and that body, hash and JSON say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weft/service/definition.h>

#include "place_priv.h"
#include "probing_priv.h"

static struct weft_str str_of(const char *s)
{
    return weft_str(s, strlen(s));
}

static const char *const good[] = {
    "{\"kind\":\"url\",\"url\":\"http://a\"}",
    "{\"kind\":\"url\",\"url\":\"HTTPS://a.example.org:8443/health?x=1#y\"}",
    "{\"kind\":\"url\",\"url\":\"http://[::1]:80/\",\"interval_ms\":100,\"timeout_ms\":10}",
    "{\"kind\":\"url\",\"url\":\"http://10.0.0.1?q\",\"labels\":{\"team\":\"a \\\"b\\\"\"},\"run_on\":\"b\"}",
    "{\"kind\":\"command\",\"command\":[\"/bin/sleep\",\"1\"]}",
    ("{\"kind\":\"command\",\"command\":[\"x\",\"\",\"\\u00e4 \\n\"],\"restart\":\"never\",\"autostart\":true,"
     "\"backoff_min_ms\":10,\"backoff_max_ms\":10,\"start_ms\":0,\"stop_timeout_ms\":0}"),
};

static const struct {
    const char *body, *field;
} bad[] = {
    {"", "kind"},
    {"{}", "kind"},
    {"[]", "body"},
    {"{", "body"},
    {"{\"kind\":\"url\"}", "url"},
    {"{\"kind\":\"daemon\"}", "kind"},
    {"{\"kind\":\"url\",\"url\":\"\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"ftp://a/\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"file:///etc/passwd\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http://\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http:///path\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http://a b/\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http://a\\r\\nX: y/\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http://u:p@a/\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http://a:0/\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http://a:70000/\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http://a:b/\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http://[::1/\"}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http://a\\\\b/\"}", "url"},
    {"{\"kind\":\"url\",\"url\":7}", "url"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"interval_ms\":99}", "interval_ms"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"interval_ms\":-1}", "interval_ms"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"interval_ms\":1e9}", "interval_ms"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"interval_ms\":99999999999999999999}", "interval_ms"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"interval_ms\":NaN}", "body"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"timeout_ms\":\"1s\"}", "timeout_ms"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"command\":[\"x\"]}", "command"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"port\":1}", "port"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"labels\":{\"a b\":\"c\"}}", "labels"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"labels\":{\"a\":1}}", "labels"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"labels\":[]}", "labels"},
    {"{\"kind\":\"url\",\"url\":\"http://a\",\"run_on\":\"a/b\"}", "run_on"},
    {"{\"kind\":\"command\"}", "command"},
    {"{\"kind\":\"command\",\"command\":[]}", "command"},
    {"{\"kind\":\"command\",\"command\":[\"\"]}", "command"},
    {"{\"kind\":\"command\",\"command\":\"ls\"}", "command"},
    {"{\"kind\":\"command\",\"command\":[\"ls\",1]}", "command"},
    {"{\"kind\":\"command\",\"command\":[\"ls\",\"a\\u0000b\"]}", "command"},
    {"{\"kind\":\"command\",\"command\":[\"ls\"],\"url\":\"http://a\"}", "url"},
    {"{\"kind\":\"command\",\"command\":[\"ls\"],\"restart\":\"sometimes\"}", "restart"},
    {"{\"kind\":\"command\",\"command\":[\"ls\"],\"autostart\":\"yes\"}", "autostart"},
    {"{\"kind\":\"command\",\"command\":[\"ls\"],\"backoff_min_ms\":20,\"backoff_max_ms\":10}",
     "backoff_max_ms"},
};

static void what_is_wrong_is_refused_by_its_name(void **state)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct weft_service_def def;
        struct weft_err err = {0};

        assert_int_equal(weft_service_def_read(&def, str_of(bad[i].body), &err), WEFT_EINVAL);
        assert_string_equal(err.field, bad[i].field);
        weft_service_def_fini(&def);
    }
}

struct hash {
    char names[32][32];
    char values[32][256];
    size_t n;
};

static struct weft_str value_of(void *ctx, const char *name)
{
    const struct hash *h = ctx;

    for (size_t i = 0; i < h->n; i++) {
        if (strcmp(h->names[i], name) == 0) {
            return str_of(h->values[i]);
        }
    }
    return weft_str(NULL, 0);
}

static char *print(const struct weft_service_def *def)
{
    struct weft_buf b;
    size_t len;

    weft_buf_init(&b, 65536);
    weft_service_def_print(def, &b);
    return weft_buf_take(&b, &len);
}

static void it_comes_back_from_the_hash_as_it_was(void **state)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct weft_service_def def, again;
        struct hash h = {.n = 0};
        struct weft_err err = {0};
        const char *name;
        struct weft_buf b;
        char *one, *two;

        assert_int_equal(weft_service_def_read(&def, str_of(good[i]), &err), 0);
        weft_buf_init(&b, 65536);
        while ((name = weft_service_def_field(&def, h.n, &b)) != NULL) {
            (void)snprintf(h.names[h.n], sizeof(h.names[0]), "%s", name);
            (void)snprintf(h.values[h.n], sizeof(h.values[0]), "%s", b.len > 0 ? b.data : "");
            weft_buf_clear(&b);
            h.n++;
        }
        weft_buf_fini(&b);
        assert_int_equal(weft_service_def_load(&again, value_of, &h, &err), 0);
        one = print(&def);
        two = print(&again);
        assert_string_equal(one, two);
        assert_int_equal(def.argc, again.argc);
        for (size_t k = 0; k < def.argc; k++) {
            assert_string_equal(def.argv[k], again.argv[k]);
        }
        free(one);
        free(two);
        weft_service_def_fini(&def);
        weft_service_def_fini(&again);
    }
}

static void a_command_becomes_arguments(void **state)
{
    struct weft_service_def def;
    struct weft_err err;

    assert_int_equal(weft_service_def_read(&def, str_of(good[5]), &err), 0);
    assert_int_equal(def.argc, 3);
    assert_string_equal(def.argv[0], "x");
    assert_string_equal(def.argv[1], "");
    assert_string_equal(def.argv[2], "\xc3\xa4 \n");
    assert_null(def.argv[3]);
    weft_service_def_fini(&def);
}

static void ids(void **state)
{
    char longest[66];

    memset(longest, 'a', 65);
    longest[65] = '\0';
    assert_true(weft_service_id_valid(str_of("ai-gateway_2.b")));
    assert_true(weft_service_id_valid(weft_str(longest, 64)));
    assert_false(weft_service_id_valid(weft_str(longest, 65)));
    for (const char *p = "/:{}* \n%\"\x80"; *p != '\0'; p++) {
        char id[3] = {'a', *p, '\0'};

        assert_false(weft_service_id_valid(str_of(id)));
    }
    assert_false(weft_service_id_valid(str_of("")));
}

static void health_changes_when_enough_results_in_a_row_say_so(void **state)
{
    /* results, and the health after each: healthy_after 2, unhealthy_after 3 */
    static const char results[] = "1000110001011";
    static const char health[] = "hhhuuhhhuuuuh"; /* u: unhealthy, h: healthy */
    struct weft_probing p;

    weft_probing_begin(&p, WEFT_HEALTH_UNKNOWN, 1000, 1, 0);
    for (size_t i = 0; results[i] != '\0'; i++) {
        enum weft_health before = p.health;
        bool changed;

        while (!weft_probing_step(&p, 1000, weft_probing_due_ms(&p))) {
        }
        changed = weft_probing_result(&p, results[i] == '1', 3, 2);
        assert_int_equal(weft_health_word(p.health)[0], health[i]);
        assert_int_equal(changed, before != p.health);
    }
}

static void probes_come_at_their_interval_and_never_two_at_once(void **state)
{
    struct weft_probing p;
    uint64_t now = 5000;

    weft_probing_begin(&p, WEFT_HEALTH_UNKNOWN, 300, 7, now);
    assert_true(weft_probing_due_ms(&p) <= now + 300);
    now = weft_probing_due_ms(&p);
    assert_true(weft_probing_step(&p, 300, now));
    assert_false(weft_probing_step(&p, 300, now + 10000));
    assert_int_equal(weft_probing_due_ms(&p), UINT64_MAX);
    (void)weft_probing_result(&p, true, 1, 1);
    assert_int_equal(weft_probing_due_ms(&p), now + 300);
}

static void services_spread_over_nodes_and_move_only_when_they_must(void **state)
{
    const char *const nodes[] = {"a", "b", "c", "d"};
    unsigned of[4] = {0};

    assert_int_equal(weft_place("x", nodes, 0), 0);
    for (int i = 0; i < 4000; i++) {
        char service[16];
        size_t at, without;

        (void)snprintf(service, sizeof(service), "svc-%d", i);
        at = weft_place(service, nodes, 4);
        of[at]++;
        without = weft_place(service, nodes, 3); /* d is gone */
        assert_true(at == 3 || at == without);
    }
    for (int i = 0; i < 4; i++) {
        assert_in_range(of[i], 850, 1150);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_refused_by_its_name),
        cmocka_unit_test(it_comes_back_from_the_hash_as_it_was),
        cmocka_unit_test(a_command_becomes_arguments),
        cmocka_unit_test(ids),
        cmocka_unit_test(health_changes_when_enough_results_in_a_row_say_so),
        cmocka_unit_test(probes_come_at_their_interval_and_never_two_at_once),
        cmocka_unit_test(services_spread_over_nodes_and_move_only_when_they_must),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
