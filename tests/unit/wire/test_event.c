#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/event.h>

static const struct weft_event_ctx ctx = {
    .limits = {.max_events = 3, .max_event_bytes = 4000, .max_topics = 3},
    .topic = {"repo:42", 7},
    .node = {"a", 1},
    .now_ms = 1795314948061,
};

static int parse(struct weft_events *evs, enum weft_body_kind kind, const char *body,
                 const struct weft_event_ctx *c, struct weft_err *err)
{
    /* A copy of its own, so that reading past its end is seen. */
    size_t len = strlen(body);
    char *copy = malloc(len + 1);
    char *tight = realloc(copy, len > 0 ? len : 1);
    int rc;

    memcpy(tight, body, len);
    memset(err, 0, sizeof(*err));
    weft_events_clear(evs);
    rc = weft_events_parse(evs, kind, weft_str(tight, len), NULL, 0, c, err);
    free(tight);
    return rc;
}

/* Topics with commas, then the envelope, of each event a line. */
static void print(const struct weft_events *evs, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < evs->n; i++) {
        const struct weft_event *ev = &evs->list[i];
        struct weft_str envelope = weft_event_envelope(evs, ev);
        struct weft_str type = weft_event_type(evs, ev);
        struct weft_str topic;
        uint32_t pos = 0;
        unsigned n = 0;

        while (weft_event_next_topic(evs, ev, &pos, &topic)) {
            (void)snprintf(out + strlen(out), size - strlen(out), "%s%.*s", n > 0 ? "," : "",
                           (int)topic.len, topic.p);
            n++;
        }
        assert_int_equal(n, ev->topics_n);
        assert_int_equal(ev->once_len, 0);
        assert_memory_equal(envelope.p, "{\"type\":\"", 9);
        assert_ptr_equal(type.p, envelope.p + 9);
        assert_int_equal(type.p[type.len], '"');
        (void)snprintf(out + strlen(out), size - strlen(out), " %.*s\n", (int)envelope.len,
                       envelope.p);
    }
}

static void good_bodies(void **state)
{
    static const struct {
        enum weft_body_kind kind;
        const char *body, *want;
    } cases[] = {
        {WEFT_BODY_JSON, "{\"type\":\"a\"}",
         "repo:42 {\"type\":\"a\",\"ts\":1795314948061,\"payload\":{},\"node\":\"a\"}\n"},
        {WEFT_BODY_JSON, " [ { \"type\" : \"a.b\" , \"payload\" : { \"x\" : [ 1 , { } ] } } ] ",
         "repo:42 {\"type\":\"a.b\",\"ts\":1795314948061,\"payload\":{\"x\":[1,{}]},\"node\":\"a\"}\n"},
        /* All fields, in the envelope's order whatever order they came in. */
        {WEFT_BODY_JSON,
         "{\"payload\":{\"from\":\"a\",\"to\":\"b\"},\"subject\":\"su\",\"source\":\"so\","
         "\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
         "\"key\":\"k\",\"request_id\":\"r\",\"service_id\":\"sv\",\"session_id\":\"ss\","
         "\"task_id\":\"7\",\"repo_id\":\"42\",\"ts\":1,\"topics\":[\"t1\",\"t:2\"],"
         "\"type\":\"task.status_changed\"}",
         "t1,t:2 {\"type\":\"task.status_changed\",\"ts\":1,\"repo_id\":\"42\",\"task_id\":\"7\","
         "\"session_id\":\"ss\",\"service_id\":\"sv\",\"request_id\":\"r\",\"key\":\"k\","
         "\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
         "\"source\":\"so\",\"subject\":\"su\",\"payload\":{\"from\":\"a\",\"to\":\"b\"},"
         "\"node\":\"a\"}\n"},
        /* Integers become strings; escapes are written anew. */
        {WEFT_BODY_JSON,
         "{\"type\":\"a\",\"repo_id\":42,\"task_id\":-0,\"key\":-9223372036854775808,\"ts\":0}",
         "repo:42 {\"type\":\"a\",\"ts\":0,\"repo_id\":\"42\",\"task_id\":\"0\","
         "\"key\":\"-9223372036854775808\",\"payload\":{},\"node\":\"a\"}\n"},
        {WEFT_BODY_JSON,
         "{\"typ\\u0065\":\"\\u0061\",\"subject\":\"\\u4ed3\\/\\\"\\\\\\ud83d\\ude00\","
         "\"topics\":[\"\\u0061b\"]}",
         "ab {\"type\":\"a\",\"ts\":1795314948061,\"subject\":\"\xe4\xbb\x93/\\\"\\\\\xf0\x9f\x98\x80\","
         "\"payload\":{},\"node\":\"a\"}\n"},
        {WEFT_BODY_JSON,
         "[{\"type\":\"a\"},{\"type\":\"b\",\"topics\":[\"x\",\"y\",\"z\"]},{\"type\":\"c\"}]",
         "repo:42 {\"type\":\"a\",\"ts\":1795314948061,\"payload\":{},\"node\":\"a\"}\n"
         "x,y,z {\"type\":\"b\",\"ts\":1795314948061,\"payload\":{},\"node\":\"a\"}\n"
         "repo:42 {\"type\":\"c\",\"ts\":1795314948061,\"payload\":{},\"node\":\"a\"}\n"},
        {WEFT_BODY_NDJSON, "{\"type\":\"a\"}",
         "repo:42 {\"type\":\"a\",\"ts\":1795314948061,\"payload\":{},\"node\":\"a\"}\n"},
        {WEFT_BODY_NDJSON, "\r\n{\"type\":\"a\"}\r\n \t\r\n\n{\"type\":\"b\",\"ts\":2}\n\n",
         "repo:42 {\"type\":\"a\",\"ts\":1795314948061,\"payload\":{},\"node\":\"a\"}\n"
         "repo:42 {\"type\":\"b\",\"ts\":2,\"payload\":{},\"node\":\"a\"}\n"},
    };
    struct weft_events evs;

    weft_events_init(&evs);
    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_err err;
        char got[2000];

        if (parse(&evs, cases[i].kind, cases[i].body, &ctx, &err) != 0)
            fail_msg("%s: %s", cases[i].body, err.message);
        print(&evs, got, sizeof(got));
        assert_string_equal(got, cases[i].want);
    }
    weft_events_fini(&evs);
}

#define L50 "12345678901234567890123456789012345678901234567890"

static void bad_bodies(void **state)
{
    static const struct {
        const char *body, *field;
        int rc;
    } cases[] = {
        {"", "body", WEFT_EINVAL},
        {" \r\n", "body", WEFT_EINVAL},
        {"[]", "body", WEFT_EINVAL},
        {"{\"type\":\"a\"", "body", WEFT_EINVAL},
        {"{\"type\":\"a\",\"type\":\"a\"}", "body", WEFT_EINVAL},
        {"\"a\"", "body", WEFT_EINVAL},
        {"1", "body", WEFT_EINVAL},
        {"null", "body", WEFT_EINVAL},
        {"[1]", "[0]", WEFT_EINVAL},
        {"[{\"type\":\"a\"},[]]", "[1]", WEFT_EINVAL},
        {"[{\"type\":\"a\"},{\"type\":\"a\"},{\"type\":\"a\"},{}]", "body", WEFT_ETOOBIG},
        {"{}", "type", WEFT_EINVAL},
        {"{\"payload\":{}}", "type", WEFT_EINVAL},
        {"{\"type\":\"\"}", "type", WEFT_EINVAL},
        {"{\"type\":1}", "type", WEFT_EINVAL},
        {"{\"type\":null}", "type", WEFT_EINVAL},
        {"{\"type\":\"a b\"}", "type", WEFT_EINVAL},
        {"{\"type\":\"a.\"}", "type", WEFT_EINVAL},
        {"{\"type\":\"a\\n\"}", "type", WEFT_EINVAL},
        {"{\"type\":\"weft.gap\"}", "type", WEFT_EINVAL},
        {"{\"type\":\"w\\u0065ft.gap\"}", "type", WEFT_EINVAL},
        {"{\"type\":\"" L50 L50 L50 L50 "1\"}", "type", WEFT_EINVAL},
        {"[{\"type\":\"a\"},{\"type\":\"weft.x\"}]", "[1].type", WEFT_EINVAL},
        {"{\"type\":\"a\",\"ts\":-1}", "ts", WEFT_EINVAL},
        {"{\"type\":\"a\",\"ts\":1.5}", "ts", WEFT_EINVAL},
        {"{\"type\":\"a\",\"ts\":1e3}", "ts", WEFT_EINVAL},
        {"{\"type\":\"a\",\"ts\":9007199254740992}", "ts", WEFT_EINVAL},
        {"{\"type\":\"a\",\"ts\":\"1\"}", "ts", WEFT_EINVAL},
        {"{\"type\":\"a\",\"ts\":null}", "ts", WEFT_EINVAL},
        {"{\"type\":\"a\",\"payload\":[]}", "payload", WEFT_EINVAL},
        {"{\"type\":\"a\",\"payload\":\"{}\"}", "payload", WEFT_EINVAL},
        {"{\"type\":\"a\",\"payload\":null}", "payload", WEFT_EINVAL},
        {"{\"type\":\"a\",\"repo_id\":\"\"}", "repo_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"repo_id\":null}", "repo_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"repo_id\":1.5}", "repo_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"repo_id\":9223372036854775808}", "repo_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"repo_id\":{}}", "repo_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"task_id\":\"a\\rb\"}", "task_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"session_id\":\"a\\nb\"}", "session_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"service_id\":\"a\x7f\"}", "service_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"service_id\":\"a\\u007f\"}", "service_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"request_id\":\"" L50 L50 L50 L50 "1\"}", "request_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"request_id\":\"\\n" L50 L50 L50 L50 "\"}", "request_id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"key\":\"\\u001f\"}", "key", WEFT_EINVAL},
        {"{\"type\":\"a\",\"key\":true}", "key", WEFT_EINVAL},
        {"{\"type\":\"a\",\"source\":1}", "source", WEFT_EINVAL},
        {"{\"type\":\"a\",\"subject\":1}", "subject", WEFT_EINVAL},
        {"{\"type\":\"a\",\"traceparent\":\"x\"}", "traceparent", WEFT_EINVAL},
        {"{\"type\":\"a\",\"traceparent\":1}", "traceparent", WEFT_EINVAL},
        {"{\"type\":\"a\",\"id\":\"1-1\"}", "id", WEFT_EINVAL},
        {"{\"type\":\"a\",\"topic\":\"b\"}", "topic", WEFT_EINVAL},
        {"{\"type\":\"a\",\"node\":\"b\"}", "node", WEFT_EINVAL},
        {"{\"type\":\"a\",\"other\":1}", "other", WEFT_EINVAL},
        {"{\"type\":\"a\",\"dataschema\":\"x\"}", "dataschema", WEFT_EINVAL},
        {"{\"type\":\"a\",\"\":1}", "", WEFT_EINVAL},
        {"{\"type\":\"a\",\"x\\ny\":1}", "x\\ny", WEFT_EINVAL},
        {"[{\"type\":\"a\",\"Type\":1}]", "[0].Type", WEFT_EINVAL},
        {"{\"type\":\"a\",\"topics\":\"b\"}", "topics", WEFT_EINVAL},
        {"{\"type\":\"a\",\"topics\":[]}", "topics", WEFT_EINVAL},
        {"{\"type\":\"a\",\"topics\":[1]}", "topics[0]", WEFT_EINVAL},
        {"{\"type\":\"a\",\"topics\":[\"a\",\"b*\"]}", "topics[1]", WEFT_EINVAL},
        {"{\"type\":\"a\",\"topics\":[\"a\",\"\"]}", "topics[1]", WEFT_EINVAL},
        {"{\"type\":\"a\",\"topics\":[\"a\",\"b\",\"a\"]}", "topics[2]", WEFT_EINVAL},
        {"{\"type\":\"a\",\"topics\":[\"a\",\"b\",\"\\u0061\"]}", "topics[2]", WEFT_EINVAL},
        {"{\"type\":\"a\",\"topics\":[\"a\",\"b\",\"c\",\"d\"]}", "topics", WEFT_ETOOBIG},
        {"[{\"type\":\"a\"},{\"type\":\"a\",\"topics\":[{}]}]", "[1].topics[0]", WEFT_EINVAL},
        {"{\"type\":\"task.status_changed\",\"payload\":{\"from\":\"a\"}}", "payload.to",
         WEFT_EINVAL},
        {"{\"type\":\"task.status_changed\"}", "payload.from", WEFT_EINVAL},
        {"[{\"type\":\"a\"},{\"type\":\"b\"},{\"type\":\"doc.created\",\"payload\":{\"doc_id\":1}}]",
         "[2].payload.title", WEFT_EINVAL},
    };
    struct weft_events evs;

    weft_events_init(&evs);
    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_err err;
        char begin[128];

        if (parse(&evs, WEFT_BODY_JSON, cases[i].body, &ctx, &err) != cases[i].rc)
            fail_msg("%s", cases[i].body);
        assert_int_equal(err.code, cases[i].rc);
        assert_string_equal(err.field, cases[i].field);
        /* The message can stand alone. */
        (void)snprintf(begin, sizeof(begin), "%s%s", err.field, err.field[0] != '\0' ? " " : "");
        assert_memory_equal(err.message, begin, strlen(begin));
        assert_true(strlen(err.message) > strlen(begin));
        assert_int_equal(evs.n, 0);
        assert_int_equal(evs.bytes.len, 0);
    }
    weft_events_fini(&evs);
}

static void bad_lines(void **state)
{
    static const struct {
        const char *body, *field, *message;
    } cases[] = {
        {"", "body", "body holds no event"},
        {"\n\r\n ", "body", "body holds no event"},
        {"{\"type\":\"a\"}\n{\"type\":}\n", "body",
         "body is not valid JSON: unexpected text at byte 21"},
        {"{\"type\":\"a\"} {\"type\":\"b\"}\n", "body",
         "body is not valid JSON: more text after the value at byte 13"},
        {"{\"type\":\n\"a\"}", "body", "body is not valid JSON: the text ends too early at byte 8"},
        {"[{\"type\":\"a\"}]", "[0]", "[0] must be an object"},
        {"{\"type\":\"a\"}\n\n{}", "[1].type", "[1].type is required"},
        {"{\"type\":\"a\"}\n{\"type\":\"a\"}\n{\"type\":\"a\"}\n{\"type\":\"a\"}", "body",
         "body holds more than 3 events"},
    };
    struct weft_events evs;

    weft_events_init(&evs);
    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_err err;

        assert_int_not_equal(parse(&evs, WEFT_BODY_NDJSON, cases[i].body, &ctx, &err), 0);
        assert_string_equal(err.field, cases[i].field);
        assert_string_equal(err.message, cases[i].message);
    }
    weft_events_fini(&evs);
}

static void traceparents(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings", true},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false},
        {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01", false},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false},
        {"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g", false},
    };
    struct weft_events evs;

    weft_events_init(&evs);
    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_err err;
        char body[200];

        (void)snprintf(body, sizeof(body), "{\"type\":\"a\",\"traceparent\":\"%s\"}",
                       cases[i].text);
        if ((parse(&evs, WEFT_BODY_JSON, body, &ctx, &err) == 0) != cases[i].ok)
            fail_msg("%s", cases[i].text);
    }
    weft_events_fini(&evs);
}

static void known_types_only(void **state)
{
    struct weft_event_ctx strict = ctx;
    struct weft_events evs;
    struct weft_err err;

    strict.limits.known_types_only = true;
    weft_events_init(&evs);
    assert_int_equal(parse(&evs, WEFT_BODY_JSON, "{\"type\":\"agent.update\"}", &strict, &err), 0);
    assert_int_equal(parse(&evs, WEFT_BODY_JSON, "{\"type\":\"orders.created\"}", &strict, &err),
                     WEFT_EINVAL);
    assert_string_equal(err.field, "type");
    weft_events_fini(&evs);
}

static void the_limit_of_an_envelope_is_exact(void **state)
{
    static const char body[] = "[{\"type\":\"a\"},{\"type\":\"a\",\"payload\":{\"x\":\"123\"}}]";
    static const char longest[] =
        "{\"type\":\"a\",\"ts\":1795314948061,\"payload\":{\"x\":\"123\"},\"node\":\"a\"}";
    struct weft_event_ctx tight = ctx;
    struct weft_events evs;
    struct weft_err err;

    weft_events_init(&evs);
    tight.limits.max_event_bytes = sizeof(longest) - 1;
    assert_int_equal(parse(&evs, WEFT_BODY_JSON, body, &tight, &err), 0);
    tight.limits.max_event_bytes--;
    assert_int_equal(parse(&evs, WEFT_BODY_JSON, body, &tight, &err), WEFT_ETOOBIG);
    assert_string_equal(err.field, "[1].payload");
    assert_int_equal(evs.n, 0);
    weft_events_fini(&evs);
}

static void the_longest_attributes_fit(void **state)
{
    static const char *const names[] = {"repo_id",    "task_id", "session_id", "service_id",
                                        "request_id", "key",     "source",     "subject"};
    struct weft_events evs;
    struct weft_err err;
    struct weft_buf body;
    struct weft_buf expected;
    struct weft_str envelope;

    weft_buf_init(&body, 20000);
    weft_buf_init(&expected, 20000);
    weft_buf_puts(&body, "{\"type\":\"a\"");
    weft_buf_puts(&expected, "{\"type\":\"a\",\"ts\":1795314948061");
    /* Each of them 200 bytes that have to be escaped, and came as the longest escape there is. */
    for (size_t i = 0; i < WEFT_COUNT_OF(names); i++) {
        weft_buf_printf(&body, ",\"%s\":\"", names[i]);
        weft_buf_printf(&expected, ",\"%s\":\"", names[i]);
        for (int c = 0; c < 200; c++) {
            weft_buf_puts(&body, "\\u0022");
            weft_buf_puts(&expected, "\\\"");
        }
        weft_buf_puts(&body, "\"");
        weft_buf_puts(&expected, "\"");
    }
    weft_buf_puts(&body, "}");
    weft_buf_puts(&expected, ",\"payload\":{},\"node\":\"a\"}");
    weft_events_init(&evs);
    assert_int_equal(parse(&evs, WEFT_BODY_JSON, body.data, &ctx, &err), 0);
    envelope = weft_event_envelope(&evs, &evs.list[0]);
    assert_int_equal(envelope.len, expected.len);
    assert_memory_equal(envelope.p, expected.data, envelope.len);
    weft_buf_fini(&body);
    weft_buf_fini(&expected);
    weft_events_fini(&evs);
}

static void the_nodes_name_is_escaped(void **state)
{
    struct weft_event_ctx named = ctx;
    struct weft_events evs;
    struct weft_err err;
    char got[200];

    named.node = WEFT_STR("n\"1");
    weft_events_init(&evs);
    assert_int_equal(parse(&evs, WEFT_BODY_JSON, "{\"type\":\"a\",\"ts\":1}", &named, &err), 0);
    print(&evs, got, sizeof(got));
    assert_string_equal(got,
                        "repo:42 {\"type\":\"a\",\"ts\":1,\"payload\":{},\"node\":\"n\\\"1\"}\n");
    weft_events_fini(&evs);
}

static void no_place_for_the_error(void **state)
{
    struct weft_events evs;

    weft_events_init(&evs);
    assert_int_equal(weft_events_parse(&evs, WEFT_BODY_JSON, WEFT_STR("[{}]"), NULL, 0, &ctx, NULL),
                     WEFT_EINVAL);
    weft_events_fini(&evs);
}

static void a_batch_of_many(void **state)
{
    struct weft_event_ctx wide = ctx;
    struct weft_events evs;
    struct weft_err err;
    struct weft_buf body;

    wide.limits.max_events = 5000;
    weft_buf_init(&body, 1 << 20);
    weft_events_init(&evs);
    for (int round = 0; round < 2; round++) {
        weft_buf_clear(&body);
        for (unsigned i = 0; i < 5000; i++)
            weft_buf_printf(&body, "%c{\"type\":\"t%u\",\"ts\":%u,\"topics\":[\"x%u\",\"y\"]}",
                            i == 0 ? '[' : ',', i, i, i);
        weft_buf_puts(&body, "]");
        assert_int_equal(parse(&evs, WEFT_BODY_JSON, body.data, &wide, &err), 0);
        assert_int_equal(evs.n, 5000);
        for (unsigned i = 0; i < 5000; i++) {
            struct weft_str topic = {NULL, 0};
            struct weft_str envelope = weft_event_envelope(&evs, &evs.list[i]);
            uint32_t pos = 0;
            char want[100];

            (void)snprintf(want, sizeof(want),
                           "{\"type\":\"t%u\",\"ts\":%u,\"payload\":{},\"node\":\"a\"}", i, i);
            assert_int_equal(envelope.len, strlen(want));
            assert_memory_equal(envelope.p, want, envelope.len);
            (void)snprintf(want, sizeof(want), "x%u", i);
            assert_true(weft_event_next_topic(&evs, &evs.list[i], &pos, &topic));
            assert_true(weft_str_eq(topic, weft_str(want, strlen(want))));
            assert_true(weft_event_next_topic(&evs, &evs.list[i], &pos, &topic));
            assert_false(weft_event_next_topic(&evs, &evs.list[i], &pos, &topic));
        }
    }
    weft_events_fini(&evs);
    weft_buf_fini(&body);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies),
        cmocka_unit_test(bad_bodies),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(traceparents),
        cmocka_unit_test(known_types_only),
        cmocka_unit_test(the_limit_of_an_envelope_is_exact),
        cmocka_unit_test(the_longest_attributes_fit),
        cmocka_unit_test(the_nodes_name_is_escaped),
        cmocka_unit_test(no_place_for_the_error),
        cmocka_unit_test(a_batch_of_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
