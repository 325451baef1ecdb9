#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/schema.h>

static struct weft_str from(const char *s)
{
    return weft_str(s, strlen(s));
}

static void known(void **state)
{
    static const char *const types[] = {
        "repo.status_changed", "task.status_changed",   "doc.created",          "task.progress",
        "log.append",          "service.state_changed", "service.health_check", "service.error",
        "service.started",     "service.stopped",       "service.restarted",    "agent.update",
        "data.update",         "file.update",           "metrics.report",       "message.asr",
        "message.x",
    };
    static const char *const unknown[] = {
        "",         "repo",        "repo.status_change", "repo.status_changed2", "message",
        "message.", "message.a.b", "messages.a",         "orders.created",       "Log.append",
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(types); i++)
        assert_true(weft_schema_known(from(types[i])));
    for (size_t i = 0; i < WEFT_COUNT_OF(unknown); i++)
        assert_false(weft_schema_known(from(unknown[i])));
}

/* field NULL: good. */
static void check(void **state)
{
    static const struct {
        const char *type, *payload, *field, *message;
    } cases[] = {
        {"orders.created", "{\"from\":1}", NULL, NULL},
        {"orders.created", "{}", NULL, NULL},

        {"repo.status_changed", "{\"from\":\"cloning\",\"to\":\"ready\"}", NULL, NULL},
        {"repo.status_changed", "{\"to\":\"error\",\"from\":\"a\",\"error_msg\":\"x\"}", NULL,
         NULL},
        {"repo.status_changed", "{\"from\":\"a\",\"to\":\"b\",\"error_msg\":null,\"more\":[1]}",
         NULL, NULL},
        {"repo.status_changed", "{\"from\":\"a\",\"to\":\"b\",\"error_msg\":\"\"}", NULL, NULL},
        {"repo.status_changed", "{}", "payload.from", "is required"},
        {"repo.status_changed", "{\"from\":\"a\"}", "payload.to", "is required"},
        {"repo.status_changed", "{\"from\":\"a\",\"to\":\"\"}", "payload.to", "must not be empty"},
        {"repo.status_changed", "{\"from\":\"a\",\"to\":null}", "payload.to", "must be a string"},
        {"repo.status_changed", "{\"from\":1,\"to\":\"b\"}", "payload.from", "must be a string"},
        {"repo.status_changed", "{\"from\":\"a\",\"to\":\"b\",\"error_msg\":{}}",
         "payload.error_msg", "must be a string"},
        {"repo.status_changed", "{\"fr\\u006fm\":\"a\",\"to\":\"b\"}", NULL, NULL},

        {"task.status_changed",
         "{\"from\":\"pending\",\"to\":\"running\",\"started_at\":1795314948061}", NULL, NULL},
        {"task.status_changed",
         "{\"from\":\"running\",\"to\":\"completed\",\"completed_at\":\"2026-11-22T12:00:00Z\"}",
         NULL, NULL},
        {"task.status_changed", "{\"from\":\"a\",\"to\":\"b\",\"started_at\":1.5}",
         "payload.started_at", "must be a string or an integer"},
        {"task.status_changed", "{\"from\":\"a\",\"to\":\"b\",\"completed_at\":true}",
         "payload.completed_at", "must be a string or an integer"},

        {"doc.created", "{\"doc_id\":7,\"title\":\"t\",\"filename\":\"f\"}", NULL, NULL},
        {"doc.created", "{\"doc_id\":\"d7\",\"title\":\"t\",\"filename\":\"f\"}", NULL, NULL},
        {"doc.created", "{\"doc_id\":\"\",\"title\":\"t\",\"filename\":\"f\"}", "payload.doc_id",
         "must not be empty"},
        {"doc.created", "{\"doc_id\":7.5,\"title\":\"t\",\"filename\":\"f\"}", "payload.doc_id",
         "must be a string or an integer"},
        {"doc.created", "{\"doc_id\":7,\"title\":\"t\"}", "payload.filename", "is required"},
        {"doc.created", "{\"doc_id\":7,\"filename\":\"f\"}", "payload.title", "is required"},

        {"task.progress", "{\"phase\":\"llm\"}", NULL, NULL},
        {"task.progress", "{\"phase\":\"llm\",\"percent\":0,\"message\":\"m\"}", NULL, NULL},
        {"task.progress", "{\"phase\":\"llm\",\"percent\":100}", NULL, NULL},
        {"task.progress", "{\"phase\":\"llm\",\"percent\":33.3}", NULL, NULL},
        {"task.progress", "{\"phase\":\"llm\",\"percent\":1e2}", NULL, NULL},
        {"task.progress", "{\"phase\":\"llm\",\"percent\":100.01}", "payload.percent",
         "must be from 0 to 100"},
        {"task.progress", "{\"phase\":\"llm\",\"percent\":-0.1}", "payload.percent",
         "must be from 0 to 100"},
        {"task.progress", "{\"phase\":\"llm\",\"percent\":1e999}", "payload.percent",
         "must be from 0 to 100"},
        {"task.progress", "{\"phase\":\"llm\",\"percent\":\"50\"}", "payload.percent",
         "must be a number"},
        {"task.progress", "{\"percent\":5}", "payload.phase", "is required"},

        {"log.append", "{\"level\":\"info\",\"message\":\"\"}", NULL, NULL},
        {"log.append", "{\"level\":\"warning\",\"message\":\"m\"}", NULL, NULL},
        {"log.append", "{\"level\":\"w\\u0061rn\",\"message\":\"m\"}", NULL, NULL},
        {"log.append", "{\"level\":\"INFO\",\"message\":\"m\"}", "payload.level",
         "must be one of trace, debug, info, warn, warning, error, fatal"},
        {"log.append", "{\"level\":\"\",\"message\":\"m\"}", "payload.level",
         "must be one of trace, debug, info, warn, warning, error, fatal"},
        {"log.append", "{\"level\":3,\"message\":\"m\"}", "payload.level", "must be a string"},
        {"log.append", "{\"level\":\"info\"}", "payload.message", "is required"},

        {"service.state_changed",
         "{\"from\":\"a\",\"to\":\"b\",\"service\":\"s\",\"reason\":\"r\"}", NULL, NULL},
        {"service.state_changed", "{\"to\":\"b\"}", "payload.from", "is required"},
        {"service.health_check", "{\"status\":\"healthy\",\"latency_ms\":45}", NULL, NULL},
        {"service.health_check", "{\"status\":\"healthy\",\"latency_ms\":-1}", "payload.latency_ms",
         "must not be less than 0"},
        {"service.health_check", "{\"latency_ms\":1}", "payload.status", "is required"},
        {"service.error", "{\"message\":\"m\",\"code\":\"E1\"}", NULL, NULL},
        {"service.error", "{\"message\":\"m\",\"code\":17}", NULL, NULL},
        {"service.error", "{\"code\":17}", "payload.message", "is required"},
        {"service.started", "{}", NULL, NULL},
        {"service.started", "{\"pid\":1234,\"message\":\"m\"}", NULL, NULL},
        {"service.started", "{\"pid\":\"1234\"}", "payload.pid", "must be an integer"},
        {"service.stopped", "{\"code\":0,\"reason\":\"r\"}", NULL, NULL},
        {"service.stopped", "{\"code\":0.5}", "payload.code", "must be an integer"},
        {"service.restarted", "{\"count\":3}", NULL, NULL},
        {"service.restarted", "{\"count\":[]}", "payload.count", "must be an integer"},

        {"agent.update", "{\"status\":{\"a\":[null]}}", NULL, NULL},
        {"data.update", "{}", NULL, NULL},
        {"file.update", "{\"from\":1}", NULL, NULL},
        {"metrics.report", "{\"cpuUsagePercent\":1.5,\"networkRxInstantBps\":null}", NULL, NULL},

        {"message.llm", "{\"message_id\":\"m1\",\"status\":\"processing\",\"session_id\":7}", NULL,
         NULL},
        {"message.llm", "{}", NULL, NULL},
        {"message.llm", "{\"status\":\"done\"}", "payload.status",
         "must be one of pending, processing, completed, failed"},
        {"message.llm", "{\"message_id\":1}", "payload.message_id", "must be a string"},
        {"message.a.b", "{\"status\":\"done\"}", NULL, NULL},
    };

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        struct weft_err err = {0, "", ""};
        int rc =
            weft_schema_check(from(cases[i].type), weft_json_value(from(cases[i].payload)), &err);

        assert_string_equal(err.field, cases[i].field != NULL ? cases[i].field : "");
        assert_string_equal(err.message, cases[i].message != NULL ? cases[i].message : "");
        assert_int_equal(rc, cases[i].field != NULL ? WEFT_EINVAL : 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(known),
        cmocka_unit_test(check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
