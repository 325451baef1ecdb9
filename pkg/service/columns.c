#include <weft/base/assert.h>
#include <weft/telemetry/labels.h>

#include "unit_priv.h"

/* Of what this node has seen: Prometheus adds up the nodes. */
const struct weft_label_column weft_service_columns[] = {
    [WEFT_COLUMN_REQUESTS] = {"service_requests_total", WEFT_LABEL_COUNTER, "requests",
                              "Requests that this node made to the service.", 0, 0},
    [WEFT_COLUMN_SUCCESSES] = {"service_requests_success_total", WEFT_LABEL_COUNTER, "requests",
                               "Requests that went well.", 0, 0},
    [WEFT_COLUMN_FAILURES] = {"service_requests_failure_total", WEFT_LABEL_COUNTER, "requests",
                              "Requests that failed.", 0, 0},
    [WEFT_COLUMN_SUCCESS_RATE] = {"service_success_rate", WEFT_LABEL_RATIO, "0 to 1",
                                  "Part of the requests that went well.", WEFT_COLUMN_SUCCESSES,
                                  WEFT_COLUMN_REQUESTS},
    [WEFT_COLUMN_RESPONSE_SECONDS] = {"", WEFT_LABEL_HIDDEN, "", "", 0, 0},
    [WEFT_COLUMN_RESPONSE_AVERAGE] = {"service_response_time_average_seconds", WEFT_LABEL_RATIO,
                                      "seconds",
                                      "Average response time of requests that went well.",
                                      WEFT_COLUMN_RESPONSE_SECONDS, WEFT_COLUMN_SUCCESSES},
    [WEFT_COLUMN_HEALTH_CHECKS] = {"service_health_checks_total", WEFT_LABEL_COUNTER, "checks",
                                   "Health checks that this node made.", 0, 0},
    [WEFT_COLUMN_STATE_CHANGES] = {"service_state_changes_total", WEFT_LABEL_COUNTER, "changes",
                                   "Changes of the service's state that this node told.", 0, 0},
    [WEFT_COLUMN_STARTS] = {"service_starts_total", WEFT_LABEL_COUNTER, "starts",
                            "Processes started for the service.", 0, 0},
    [WEFT_COLUMN_RESTARTS] = {"service_restarts_total", WEFT_LABEL_COUNTER, "restarts",
                              "Restarts, by themselves or asked for.", 0, 0},
    [WEFT_COLUMN_ERRORS] = {"service_errors_total", WEFT_LABEL_COUNTER, "errors",
                            "Errors of the service that this node told.", 0, 0},
    [WEFT_COLUMN_UP] = {"service_up", WEFT_LABEL_GAUGE, "0 or 1",
                        "1 if the service that this node has is healthy or runs, else 0.", 0, 0},
};

const size_t weft_service_columns_len = WEFT_COUNT_OF(weft_service_columns);
