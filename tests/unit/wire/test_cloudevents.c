#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/event.h>

static const struct weft_event_ctx ctx = {
    .limits = {.max_events = 3, .max_event_bytes = 4000, .max_topics = 3},
    .topic = {"repo:42", 7},
    .node = {"a", 1},
    .now_ms = 1795314948061,
};

/* The envelope and the idempotency key, of each event a line. */
static void print(const struct weft_events *evs, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < evs->n; i++) {
        const struct weft_event *ev = &evs->list[i];
        struct weft_str envelope = weft_event_envelope(evs, ev);

        (void)snprintf(out + strlen(out), size - strlen(out), "%.*s %.*s\n", (int)envelope.len,
                       envelope.p, (int)ev->once_len, evs->bytes.data + ev->once_off);
    }
}

#define CE   "{\"specversion\":\"1.0\",\"id\":\"i1\",\"source\":\"/s\",\"type\":\"a.b\""
#define L50  "12345678901234567890123456789012345678901234567890"
#define L200 L50 L50 L50 L50

/* field NULL: good, and want is what becomes of it. */
static void structured(void **state)
{
    static const struct {
        enum weft_body_kind kind;
        const char *body, *field, *want;
    } cases[] = {
        {WEFT_BODY_CE, CE "}", NULL,
         "{\"type\":\"a.b\",\"ts\":1795314948061,\"source\":\"/s\",\"payload\":{},\"node\":\"a\"} "
         "/s i1\n"},
        {WEFT_BODY_CE, CE ",\"data\":{ \"x\" : 1 },\"time\":\"1970-01-01T00:00:01.5Z\"}", NULL,
         "{\"type\":\"a.b\",\"ts\":1500,\"source\":\"/s\",\"payload\":{\"x\":1},\"node\":\"a\"} "
         "/s i1\n"},
        {WEFT_BODY_CE,
         CE ",\"subject\":\"su\",\"datacontenttype\":\"application/json; charset=utf-8\","
            "\"dataschema\":\"https://x/y\",\"time\":\"1970-01-01T00:00:00Z\","
            "\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
            "\"partitionkey\":\"k\",\"repoid\":42,\"taskid\":\"7\",\"sessionid\":\"s\","
            "\"serviceid\":\"v\",\"requestid\":\"r\",\"data\":{}}",
         NULL,
         "{\"type\":\"a.b\",\"ts\":0,\"repo_id\":\"42\",\"task_id\":\"7\",\"session_id\":\"s\","
         "\"service_id\":\"v\",\"request_id\":\"r\",\"key\":\"k\","
         "\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
         "\"source\":\"/s\",\"subject\":\"su\",\"dataschema\":\"https://x/y\",\"payload\":{},"
         "\"node\":\"a\"} /s i1\n"},
        /* null is the same as absent. */
        {WEFT_BODY_CE, CE ",\"subject\":null,\"data\":null,\"data_base64\":null,\"ext\":null}",
         NULL,
         "{\"type\":\"a.b\",\"ts\":1795314948061,\"source\":\"/s\",\"payload\":{},\"node\":\"a\"} "
         "/s i1\n"},
        {WEFT_BODY_CE, CE ",\"datacontenttype\":\"application/vnd.x+JSON\",\"data\":{}}", NULL,
         "{\"type\":\"a.b\",\"ts\":1795314948061,\"source\":\"/s\",\"payload\":{},\"node\":\"a\"} "
         "/s i1\n"},
        {WEFT_BODY_CE_BATCH, "[" CE "}," CE ",\"time\":\"1970-01-01T00:00:00Z\"}]", NULL,
         "{\"type\":\"a.b\",\"ts\":1795314948061,\"source\":\"/s\",\"payload\":{},\"node\":\"a\"} "
         "/s i1\n"
         "{\"type\":\"a.b\",\"ts\":0,\"source\":\"/s\",\"payload\":{},\"node\":\"a\"} /s i1\n"},

        {WEFT_BODY_CE, "", "body", NULL},
        {WEFT_BODY_CE, "[" CE "}]", "body", NULL},
        {WEFT_BODY_CE_BATCH, CE "}", "body", NULL},
        {WEFT_BODY_CE_BATCH, "[]", "body", NULL},
        {WEFT_BODY_CE_BATCH, "[1]", "[0]", NULL},
        {WEFT_BODY_CE, "{}", "specversion", NULL},
        {WEFT_BODY_CE, "{\"specversion\":\"0.3\"}", "specversion", NULL},
        {WEFT_BODY_CE, "{\"specversion\":1.0}", "specversion", NULL},
        {WEFT_BODY_CE, "{\"specversion\":\"1.0\",\"source\":\"s\",\"type\":\"a\"}", "id", NULL},
        {WEFT_BODY_CE, "{\"specversion\":\"1.0\",\"id\":null,\"source\":\"s\",\"type\":\"a\"}",
         "id", NULL},
        {WEFT_BODY_CE, "{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"s\",\"type\":\"a\"}",
         "id", NULL},
        {WEFT_BODY_CE, "{\"specversion\":\"1.0\",\"id\":1,\"source\":\"s\",\"type\":\"a\"}", "id",
         NULL},
        {WEFT_BODY_CE, "{\"specversion\":\"1.0\",\"id\":\"a\\n\",\"source\":\"s\",\"type\":\"a\"}",
         "id", NULL},
        {WEFT_BODY_CE,
         "{\"specversion\":\"1.0\",\"id\":\"" L200 "x\",\"source\":\"s\",\"type\":\"a\"}", "id",
         NULL},
        {WEFT_BODY_CE, "{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"a\"}", "source", NULL},
        {WEFT_BODY_CE, "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"a b\",\"type\":\"a\"}",
         "source", NULL},
        {WEFT_BODY_CE, "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\"}", "type", NULL},
        {WEFT_BODY_CE, "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"a/b\"}",
         "type", NULL},
        {WEFT_BODY_CE,
         "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"weft.x\"}", "type",
         NULL},
        {WEFT_BODY_CE, CE ",\"time\":\"yesterday\"}", "time", NULL},
        {WEFT_BODY_CE, CE ",\"time\":1}", "time", NULL},
        {WEFT_BODY_CE, CE ",\"time\":\"1969-12-31T23:59:59Z\"}", "time", NULL},
        {WEFT_BODY_CE, CE ",\"data\":[]}", "data", NULL},
        {WEFT_BODY_CE, CE ",\"data\":\"x\"}", "data", NULL},
        {WEFT_BODY_CE, CE ",\"data_base64\":\"e30=\"}", "data_base64", NULL},
        {WEFT_BODY_CE, CE ",\"datacontenttype\":\"text/plain\"}", "datacontenttype", NULL},
        {WEFT_BODY_CE, CE ",\"datacontenttype\":\"+json\"}", "datacontenttype", NULL},
        {WEFT_BODY_CE, CE ",\"datacontenttype\":\"application/jsonp\"}", "datacontenttype", NULL},
        {WEFT_BODY_CE, CE ",\"subject\":\"\"}", "subject", NULL},
        {WEFT_BODY_CE, CE ",\"subject\":1}", "subject", NULL},
        {WEFT_BODY_CE, CE ",\"traceparent\":\"x\"}", "traceparent", NULL},
        {WEFT_BODY_CE, CE ",\"myextension\":\"x\"}", "myextension", NULL},
        {WEFT_BODY_CE, CE ",\"repo_id\":\"x\"}", "repo_id", NULL},
        {WEFT_BODY_CE, CE ",\"repoid\":true}", "repoid", NULL},
        {WEFT_BODY_CE, CE ",\"topics\":[\"x\"]}", "topics", NULL},
        {WEFT_BODY_CE, CE ",\"id\":\"2\"}", "body", NULL},
        {WEFT_BODY_CE_BATCH,
         "[" CE "},{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\","
         "\"type\":\"task.progress\",\"data\":{}}]",
         "[1].data.phase", NULL},
        {WEFT_BODY_CE_BATCH, "[" CE "}," CE "}," CE "}," CE "}]", "body", NULL},
    };
    struct weft_events evs;

    weft_events_init(&evs);
    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_str body = {cases[i].body, strlen(cases[i].body)};
        struct weft_err err = {0, "", ""};
        char got[2000];
        int rc = weft_events_parse(&evs, cases[i].kind, body, NULL, 0, &ctx, &err);

        assert_string_equal(err.field, cases[i].field != NULL ? cases[i].field : "");
        assert_int_equal(rc == 0, cases[i].field == NULL);
        print(&evs, got, sizeof(got));
        assert_string_equal(got, cases[i].want != NULL ? cases[i].want : "");
        weft_events_clear(&evs);
    }
    weft_events_fini(&evs);
}

#define H(name, value)               \
    {                                \
        {name, sizeof(name) - 1},    \
        {                            \
            value, sizeof(value) - 1 \
        }                            \
    }
#define REQUIRED H("specversion", "1.0"), H("id", "i1"), H("source", "/s"), H("type", "a.b")

#define HEADERS_MAX 12

static const struct {
    struct weft_ce_header headers[HEADERS_MAX];
    const char *body, *field, *want;
} binaries[] = {
    {{REQUIRED},
     "{\"x\": 1}",
     NULL,
     "{\"type\":\"a.b\",\"ts\":1795314948061,\"source\":\"/s\",\"payload\":{\"x\":1},"
     "\"node\":\"a\"} /s i1\n"},
    {{REQUIRED},
     "",
     NULL,
     "{\"type\":\"a.b\",\"ts\":1795314948061,\"source\":\"/s\",\"payload\":{},\"node\":\"a\"} "
     "/s i1\n"},
    {{REQUIRED, H("time", "1970-01-01T00:00:00+00:00"),
      H("subject", " \t Euro%20%E2%82%AC %F0%9F%98%80 "), H("repoid", "42"),
      H("partitionkey", "a%25b"), H("dataschema", "\"q\\\"%22\"")},
     "{}",
     NULL,
     "{\"type\":\"a.b\",\"ts\":0,\"repo_id\":\"42\",\"key\":\"a%b\",\"source\":\"/s\","
     "\"subject\":\"Euro \xe2\x82\xac \xf0\x9f\x98\x80\",\"dataschema\":\"q\\\"\\\"\","
     "\"payload\":{},\"node\":\"a\"} /s i1\n"},
    {{REQUIRED, H("subject", "a\\b%5C")},
     "{}",
     NULL,
     "{\"type\":\"a.b\",\"ts\":1795314948061,\"source\":\"/s\",\"subject\":\"a\\\\b\\\\\","
     "\"payload\":{},\"node\":\"a\"} /s i1\n"},

    {{REQUIRED}, "[1]", "data", NULL},
    {{REQUIRED}, "1", "data", NULL},
    {{REQUIRED}, "null", "data", NULL},
    {{REQUIRED}, "{", "body", NULL},
    {{H("specversion", "1.0"), H("id", "1"), H("source", "s")}, "{}", "type", NULL},
    {{REQUIRED, H("id", "2")}, "{}", "id", NULL},
    {{REQUIRED, H("foo", "2")}, "{}", "foo", NULL},
    {{REQUIRED, H("data", "{}")}, "{}", "data", NULL},
    {{REQUIRED, H("", "x")}, "{}", "", NULL},
    {{REQUIRED, H("subject", "")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", "  ")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", "\"\"")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", "%")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", "%4")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", "%zz")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", "%0d%0a")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", "a%00")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", "%c3")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", "\xff")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", "\"a\\\"")}, "{}", "subject", NULL},
    {{REQUIRED, H("subject", L200 "x")}, "{}", "subject", NULL},
    {{REQUIRED, H("time", "x")}, "{}", "time", NULL},
    {{REQUIRED, H("datacontenttype", "text/xml")}, "{}", "datacontenttype", NULL},
    {{H("specversion", "1.0"), H("id", "1"), H("source", "a%20b"), H("type", "a")},
     "{}",
     "source",
     NULL},
    {{H("specversion", "1.0"), H("id", "1"), H("source", "s"), H("type", "log.append")},
     "{\"level\":\"info\"}",
     "data.message",
     NULL},
};

static void binary(void **state)
{
    struct weft_events evs;

    weft_events_init(&evs);
    for (size_t i = 0; i < WEFT_COUNT_OF(binaries); i++) {
        struct weft_str body = {binaries[i].body, strlen(binaries[i].body)};
        struct weft_err err = {0, "", ""};
        size_t n = 0;
        char got[2000];
        int rc;

        while (n < HEADERS_MAX && binaries[i].headers[n].name.p != NULL)
            n++;
        rc = weft_events_parse(&evs, WEFT_BODY_CE_BINARY, body, binaries[i].headers, n, &ctx, &err);
        if (strcmp(err.field, binaries[i].field != NULL ? binaries[i].field : "") != 0)
            fail_msg("case %zu: %s %s", i, err.field, err.message);
        assert_int_equal(rc == 0, binaries[i].field == NULL);
        print(&evs, got, sizeof(got));
        assert_string_equal(got, binaries[i].want != NULL ? binaries[i].want : "");
        weft_events_clear(&evs);
    }
    weft_events_fini(&evs);
}

/* All attributes at their longest, all of them decoded: the place for them is enough. */
static void the_longest_headers_fit(void **state)
{
    static const char *const names[] = {"subject",   "partitionkey", "repoid",    "taskid",
                                        "sessionid", "serviceid",    "requestid", "dataschema",
                                        "id",        "source"};
    struct weft_ce_header headers[WEFT_COUNT_OF(names) + 2] = {H("specversion", "1.0"),
                                                               H("type", "a")};
    struct weft_events evs;
    struct weft_err err;
    char value[3 * 200];

    for (size_t i = 0; i < sizeof(value); i += 3)
        memcpy(value + i, "%22", 3);
    for (size_t i = 0; i < WEFT_COUNT_OF(names); i++) {
        headers[i + 2].name = weft_str(names[i], strlen(names[i]));
        headers[i + 2].value = weft_str(value, sizeof(value));
    }
    weft_events_init(&evs);
    assert_int_equal(weft_events_parse(&evs, WEFT_BODY_CE_BINARY, WEFT_STR("{}"), headers,
                                       WEFT_COUNT_OF(headers), &ctx, &err),
                     0);
    assert_int_equal(evs.list[0].once_len, 401);
    assert_in_range(evs.list[0].envelope_len, 9 * 400, 4000); /* all but the id are kept */
    weft_events_fini(&evs);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(structured),
        cmocka_unit_test(binary),
        cmocka_unit_test(the_longest_headers_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
