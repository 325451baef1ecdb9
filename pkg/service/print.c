#include "print_priv.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/service/definition.h>

#include "unit_priv.h"

static void text(struct weft_buf *b, const struct weft_reply *hash, const char *name,
                 const char *as)
{
    struct weft_str value = weft_hash_field(hash, name);

    weft_buf_printf(b, ",\"%s\":", as);
    if (value.p == NULL || value.len == 0) {
        weft_buf_puts(b, "null");
    } else {
        weft_buf_json(b, value);
    }
}

static void number(struct weft_buf *b, const struct weft_reply *hash, const char *name,
                   const char *as)
{
    weft_buf_printf(b, ",\"%s\":%" PRIu64, as, weft_hash_u64(hash, name));
}

/* A time of ours, digits and a dot; null for none, and for what somebody else has put there. */
static void latency(struct weft_buf *b, const struct weft_reply *hash)
{
    struct weft_str value = weft_hash_field(hash, "latency_ms");
    bool good = value.len > 0 && value.len < 20;

    for (size_t i = 0; i < value.len; i++) {
        good = good && ((value.p[i] >= '0' && value.p[i] <= '9') || (value.p[i] == '.' && i > 0));
    }
    if (good) {
        weft_buf_str(b, value);
    } else {
        weft_buf_puts(b, "null");
    }
}

static struct weft_str field_of(void *ctx, const char *name)
{
    return weft_hash_field(ctx, name);
}

static void id(struct weft_buf *b, const char *as, const struct weft_reply *hash)
{
    weft_buf_printf(b, "{\"%s\":", as);
    weft_buf_json(b, weft_hash_field(hash, "id"));
}

void weft_print_service(struct weft_buf *b, const struct weft_reply *hash)
{
    struct weft_service_def def;
    struct weft_err err;

    id(b, "id", hash);
    if (weft_service_def_load(&def, field_of, (void *)(uintptr_t)hash, &err) == 0) {
        weft_buf_append(b, ",", 1);
        weft_service_def_print(&def, b);
    }
    weft_service_def_fini(&def);
    text(b, hash, "state", "state");
    text(b, hash, "reason", "reason");
    number(b, hash, "since_ms", "since_ms");
    text(b, hash, "node", "node");
    if (weft_str_eq(weft_hash_field(hash, "kind"), WEFT_STR("command"))) {
        text(b, hash, "want", "want");
        number(b, hash, "pid", "pid");
    } else {
        weft_buf_puts(b, ",\"latency_ms\":");
        latency(b, hash);
    }
    number(b, hash, "revision", "revision");
    number(b, hash, "created_ms", "created_ms");
    weft_buf_append(b, "}", 1);
}

/* `<ms> <message>` */
static void print_errors(struct weft_buf *b, const struct weft_reply *errors)
{
    for (size_t i = 0; errors->kind == WEFT_REPLY_ARRAY && i < errors->n; i++) {
        struct weft_str rest = weft_reply_str(errors->items[i]);
        struct weft_str at = weft_str_before(&rest, ' ');
        uint64_t ms = 0;

        (void)weft_str_u64(at, &ms);
        weft_buf_printf(b, "%s{\"at_ms\":%" PRIu64 ",\"message\":", i == 0 ? "" : ",", ms);
        weft_buf_json(b, rest);
        weft_buf_append(b, "}", 1);
    }
}

void weft_print_metrics(struct weft_buf *b, const struct weft_reply *hash,
                        const struct weft_reply *errors)
{
    static const char *const counters[] = {"requests",      "successes",     "failures",
                                           "state_changes", "health_checks", "starts",
                                           "restarts",      "errors"};
    uint64_t requests = weft_hash_u64(hash, "requests");
    uint64_t successes = weft_hash_u64(hash, "successes");

    id(b, "id", hash);
    for (size_t i = 0; i < WEFT_COUNT_OF(counters); i++) {
        number(b, hash, counters[i], counters[i]);
    }
    weft_buf_puts(b, ",\"success_rate\":");
    if (requests > 0) {
        weft_buf_printf(b, "%.6g", (double)successes / (double)requests);
    } else {
        weft_buf_puts(b, "null");
    }
    weft_buf_puts(b, ",\"average_response_ms\":");
    if (successes > 0) {
        weft_buf_printf(b, "%.6g",
                        (double)weft_hash_u64(hash, "response_us") / 1000 / (double)successes);
    } else {
        weft_buf_puts(b, "null");
    }
    weft_buf_puts(b, ",\"recent_errors\":[");
    print_errors(b, errors);
    weft_buf_puts(b, "]}");
}

enum weft_verdict weft_print_health(struct weft_buf *b, const struct weft_reply *hash)
{
    static const struct {
        struct weft_str state;
        const char *status;
        enum weft_verdict verdict;
    } table[] = {
        {{"healthy", 7}, "healthy", WEFT_VERDICT_HEALTHY},
        {{"running", 7}, "healthy", WEFT_VERDICT_HEALTHY},
        {{"unhealthy", 9}, "unhealthy", WEFT_VERDICT_UNHEALTHY},
        {{"backoff", 7}, "unhealthy", WEFT_VERDICT_UNHEALTHY},
        {{"failed", 6}, "unhealthy", WEFT_VERDICT_UNHEALTHY},
        {{"starting", 8}, "starting", WEFT_VERDICT_OTHER},
        {{"stopping", 8}, "stopping", WEFT_VERDICT_OTHER},
        {{"stopped", 7}, "stopped", WEFT_VERDICT_OTHER},
    };
    struct weft_str state = weft_hash_field(hash, "state");
    const char *status = "unknown";
    enum weft_verdict verdict = WEFT_VERDICT_OTHER;

    for (size_t i = 0; i < WEFT_COUNT_OF(table); i++) {
        if (weft_str_eq(state, table[i].state)) {
            status = table[i].status;
            verdict = table[i].verdict;
        }
    }
    /* A command that is wanted and does not run, since its node is gone, is not well. */
    if (weft_str_eq(state, WEFT_STR("stopped")) &&
        weft_str_eq(weft_hash_field(hash, "want"), WEFT_STR("running"))) {
        status = "unhealthy";
        verdict = WEFT_VERDICT_UNHEALTHY;
    }
    id(b, "name", hash);
    weft_buf_printf(b, ",\"status\":\"%s\",\"latency\":", status);
    latency(b, hash);
    weft_buf_append(b, "}", 1);
    return verdict;
}

void weft_print_node(struct weft_buf *b, const struct weft_reply *hash)
{
    id(b, "id", hash);
    text(b, hash, "version", "version");
    text(b, hash, "address", "address");
    number(b, hash, "started_ms", "started_ms");
    number(b, hash, "at_ms", "at_ms");
    weft_buf_printf(b,
                    ",\"load\":{\"connections\":%" PRIu64 ",\"subscribers\":%" PRIu64
                    ",\"deliveries\":%" PRIu64 ",\"cpu_ms\":%" PRIu64 ",\"resident_bytes\":%" PRIu64
                    "}}",
                    weft_hash_u64(hash, "connections"), weft_hash_u64(hash, "subscribers"),
                    weft_hash_u64(hash, "deliveries"), weft_hash_u64(hash, "cpu_ms"),
                    weft_hash_u64(hash, "resident_bytes"));
}
