#include "http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include <weft/wire/query.h>

#include "args.h"
#include "exits.h"
#include "problem.h"

#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_TIMEOUT_MS  60000L

struct http {
    CURL *curl;
    struct servers *servers;
    char error[CURL_ERROR_SIZE];
};

struct http *http_create(struct servers *servers)
{
    struct http *http = calloc(1, sizeof(*http));

    if (http == NULL)
        return NULL;
    http->servers = servers;
    http->curl = curl_easy_init();
    if (http->curl == NULL) {
        free(http);
        return NULL;
    }
    return http;
}

void http_destroy(struct http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->curl);
    free(http);
}

void http_encode(struct weft_buf *target, const char *s)
{
    size_t len = strlen(s);
    char *out = weft_buf_reserve(target, 3 * len);

    if (out == NULL)
        return;
    target->len += weft_percent_encode(out, 3 * len, weft_str(s, len));
    target->data[target->len] = '\0';
}

static size_t body_arrived(char *bytes, size_t size, size_t n, void *ctx)
{
    struct weft_buf *answer = ctx;

    weft_buf_append(answer, bytes, size * n);
    return answer->toobig ? 0 : size * n;
}

static struct curl_slist *headers_of(const struct http_request *rq)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    char line[320];

    if (rq->content_type != NULL) {
        snprintf(line, sizeof(line), "Content-Type: %s", rq->content_type);
        headers = curl_slist_append(headers, line);
        /* No "Expect: 100-continue": it costs a round trip for larger bodies. */
        headers = curl_slist_append(headers, "Expect:");
    }
    if (rq->key != NULL) {
        snprintf(line, sizeof(line), "Idempotency-Key: %s", rq->key);
        headers = curl_slist_append(headers, line);
    }
    if (rq->producer != NULL) {
        snprintf(line, sizeof(line), "Producer-Id: %s", rq->producer);
        headers = curl_slist_append(headers, line);
        snprintf(line, sizeof(line), "Producer-Epoch: %" PRIu64, rq->epoch);
        headers = curl_slist_append(headers, line);
        snprintf(line, sizeof(line), "Producer-Seq: %" PRIu64, rq->first);
        headers = curl_slist_append(headers, line);
    }
    return headers;
}

/* One try at the present server. *ret_status 0: no answer. */
static CURLcode call_once(struct http *http, const struct http_request *rq,
                          struct curl_slist *headers, struct weft_buf *answer, long *ret_status)
{
    char url[8192];
    int n = snprintf(url, sizeof(url), "%s%s", servers_current(http->servers), rq->target);
    CURLcode rc;

    *ret_status = 0;
    if (n < 0 || (size_t)n >= sizeof(url))
        return CURLE_URL_MALFORMAT;
    curl_easy_reset(http->curl);
    http->error[0] = '\0';
    curl_easy_setopt(http->curl, CURLOPT_URL, url);
    curl_easy_setopt(http->curl, CURLOPT_PATH_AS_IS, 1L); /* "." is a topic */
    curl_easy_setopt(http->curl, CURLOPT_NOSIGNAL, 1L);
    if (!servers_prepare(http->servers, http->curl))
        return CURLE_LOGIN_DENIED;
    curl_easy_setopt(http->curl, CURLOPT_ERRORBUFFER, http->error);
    curl_easy_setopt(http->curl, CURLOPT_USERAGENT, "weft/" WEFT_VERSION);
    curl_easy_setopt(http->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(http->curl, CURLOPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS);
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(http->curl, CURLOPT_WRITEFUNCTION, body_arrived);
    curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, answer);
    if (rq->content_type != NULL) {
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body.len);
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, rq->body.p);
    }
    if (rq->method != NULL)
        curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, rq->method);
    weft_buf_clear(answer);
    answer->toobig = false;
    rc = curl_easy_perform(http->curl);
    if (rc == CURLE_OK)
        curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, ret_status);
    return rc;
}

/* Whether the request cannot have reached a node. */
static bool never_sent(CURLcode rc)
{
    return rc == CURLE_COULDNT_CONNECT || rc == CURLE_COULDNT_RESOLVE_HOST ||
           rc == CURLE_COULDNT_RESOLVE_PROXY || rc == CURLE_SSL_CONNECT_ERROR ||
           rc == CURLE_PEER_FAILED_VERIFICATION;
}

/* Whether a second time does no harm: it reads, it sets, or the node knows it again. */
static bool repeatable(const struct http_request *rq)
{
    if (rq->key != NULL || rq->producer != NULL)
        return true;
    if (rq->method == NULL)
        return rq->content_type == NULL;
    return strcmp(rq->method, "POST") != 0;
}

static void tell_unsure(const struct http_request *rq)
{
    args_complain("it may have been done%s",
                  rq->method != NULL
                      ? ""
                      : ": the events may have been taken; with --key or --producer a "
                        "retry is safe");
}

/* An answer that is none of the node, but of a proxy in front of it that may have sent the request on. */
static bool is_of_gateway(long status)
{
    return status == 502 || status == 504;
}

int http_call(struct http *http, const struct http_request *rq, struct weft_buf *answer)
{
    bool harmless = repeatable(rq);
    struct curl_slist *headers = headers_of(rq);
    int code = EXIT_UNREACHABLE;

    for (size_t tries = http->servers->n; tries > 0; tries--) {
        const char *url = servers_current(http->servers);
        long status;
        CURLcode rc = call_once(http, rq, headers, answer, &status);

        if (rc == CURLE_LOGIN_DENIED) { /* no token, as was said */
            code = EXIT_USAGE;
            break;
        }
        if (rc == CURLE_OK && status >= 200 && status < 300) {
            code = EXIT_DONE;
            break;
        }
        if (rc == CURLE_OK) {
            struct weft_str body = weft_str(answer->data, answer->len);

            problem_print(url, status, body);
            code = EXIT_REFUSED;
            /* Too few replicas: they are in the log, and another node has the same Redis. */
            if (problem_is(body, "replicas"))
                break;
            if (!harmless && (status == 503 || is_of_gateway(status)) &&
                !problem_is_harmless(body)) {
                tell_unsure(rq);
                break;
            }
            if (status != 503)
                break;
        } else if (answer->toobig) {
            args_complain("%s: the answer is too large", url);
            code = EXIT_REFUSED;
            break;
        } else {
            bool unsure = !never_sent(rc) && rc != CURLE_URL_MALFORMAT;

            args_complain("%s: %s", url,
                          http->error[0] != '\0' ? http->error : curl_easy_strerror(rc));
            code = EXIT_UNREACHABLE;
            if (unsure && !harmless) {
                tell_unsure(rq);
                break;
            }
        }
        servers_rotate(http->servers);
    }
    curl_slist_free_all(headers);
    return code;
}
