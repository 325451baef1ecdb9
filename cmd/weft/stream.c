#include "stream.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include <weft/base/clock.h>

#include "args.h"
#include "cursor_file.h"
#include "problem.h"

#define EVENT_MAX          (32u << 20) /* twice the largest event that a node can be told to take */
#define PROBLEM_MAX        65536
#define CONNECT_TIMEOUT_MS 10000L

struct run {
    struct stream *stream;
    const char *url;
    CURL *easy;
    struct weft_sse_parser parser;
    struct weft_buf problem; /* the body of an answer that is no stream */
    uint64_t heard_ms;       /* monotonic, when the last byte came */
    bool is_stream;
};

/* Once there is `done`, the rest of what the parser holds is not the caller's any more. */
static void event_arrived(void *ctx, struct weft_str type, struct weft_str last_id,
                          struct weft_str data)
{
    struct stream *stream = ctx;

    if (!stream->done)
        stream->event_arrived(stream->ctx, type, last_id, data);
}

static void id_arrived(void *ctx, struct weft_str last_id)
{
    struct stream *stream = ctx;

    if (!stream->done)
        stream->id_arrived(stream->ctx, last_id);
}

static bool begins_stream(struct run *run)
{
    const char *type = NULL;
    long status = 0;

    curl_easy_getinfo(run->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(run->easy, CURLINFO_CONTENT_TYPE, &type);
    return status == 200 && type != NULL && strncasecmp(type, "text/event-stream", 17) == 0;
}

static size_t bytes_arrived(char *bytes, size_t size, size_t n, void *ctx)
{
    struct run *run = ctx;
    size_t len = size * n;

    run->heard_ms = weft_clock_mono_ms();
    if (!run->is_stream) {
        run->is_stream = begins_stream(run);
        if (!run->is_stream) {
            weft_buf_append(&run->problem, bytes, len);
            return run->problem.toobig ? 0 : len;
        }
    }
    weft_sse_parser_feed(&run->parser, bytes, len);
    return run->stream->done || run->parser.dropped > 0 ? 0 : len;
}

static bool set_options(struct run *run, struct curl_slist *headers, char *error)
{
    CURL *easy = run->easy;

    curl_easy_setopt(easy, CURLOPT_URL, run->url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "weft/" WEFT_VERSION);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 262144L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, bytes_arrived);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, run);
    return servers_prepare(run->stream->servers, easy);
}

static struct curl_slist *make_headers(const char *last_id)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/event-stream");
    char line[CURSOR_MAX + 32];

    headers = curl_slist_append(headers, "Cache-Control: no-store");
    if (last_id[0] != '\0') {
        snprintf(line, sizeof(line), "Last-Event-ID: %s", last_id);
        headers = curl_slist_append(headers, line);
    }
    return headers;
}

static void set_reason(struct stream *stream, const char *reason)
{
    snprintf(stream->reason, sizeof(stream->reason), "%s", reason);
}

/*
 * Lets libcurl work until the transfer ends, a signal comes or the server has been silent too long.
 */
static enum stream_end transfer(struct run *run, CURLM *multi, CURLcode *ret_rc)
{
    struct stream *stream = run->stream;

    *ret_rc = CURLE_OK;
    for (;;) {
        struct curl_waitfd signal_fd = {.fd = stream->signal_fd, .events = CURL_WAIT_POLLIN};
        uint64_t now, silent_at;
        CURLMsg *msg;
        int running, queued;

        curl_multi_perform(multi, &running);
        msg = curl_multi_info_read(multi, &queued);
        if (msg != NULL && msg->msg == CURLMSG_DONE) {
            *ret_rc = msg->data.result;
            return STREAM_CUT;
        }
        now = weft_clock_mono_ms();
        silent_at = run->heard_ms + stream->silence_ms;
        if (now >= silent_at) {
            snprintf(stream->reason, sizeof(stream->reason), "silent for %.1f s",
                     (double)(now - run->heard_ms) / 1000);
            return run->is_stream ? STREAM_CUT : STREAM_UNREACHABLE;
        }
        now = silent_at - now;
        curl_multi_poll(multi, &signal_fd, 1, now < 1000 ? (int)now : 1000, NULL);
        if (signal_fd.revents != 0)
            return STREAM_SIGNAL;
    }
}

/* What the end of the transfer means. */
static enum stream_end classify(struct run *run, CURLcode rc, const char *error)
{
    struct stream *stream = run->stream;
    curl_off_t retry_after = 0;
    long status = 0;

    if (stream->done)
        return STREAM_DONE;
    if (run->parser.dropped > 0) {
        args_complain("%s: an event is larger than %u bytes", run->url, EVENT_MAX);
        return STREAM_REFUSED;
    }
    curl_easy_getinfo(run->easy, CURLINFO_RESPONSE_CODE, &status);
    if (run->is_stream || (status == 200 && begins_stream(run))) {
        set_reason(stream, rc == CURLE_OK     ? "closed by the server"
                           : error[0] != '\0' ? error
                                              : curl_easy_strerror(rc));
        return STREAM_CUT;
    }
    if (status == 0) {
        set_reason(stream, error[0] != '\0' ? error : curl_easy_strerror(rc));
        return STREAM_UNREACHABLE;
    }
    if (status == 429 || status >= 500) {
        curl_easy_getinfo(run->easy, CURLINFO_RETRY_AFTER, &retry_after);
        if (retry_after > 0)
            stream->retry_after_ms = (int64_t)retry_after * 1000;
        snprintf(stream->reason, sizeof(stream->reason), "status %ld", status);
        return STREAM_CUT;
    }
    if (status == 200)
        args_complain("%s does not answer with an event stream", run->url);
    else
        problem_print(run->url, status, weft_str(run->problem.data, run->problem.len));
    return STREAM_REFUSED;
}

enum stream_end stream_run(struct stream *stream, const char *url, const char *last_id)
{
    struct run run = {.stream = stream, .url = url, .heard_ms = weft_clock_mono_ms()};
    struct curl_slist *headers = make_headers(last_id);
    CURLM *multi = curl_multi_init();
    char error[CURL_ERROR_SIZE] = "";
    enum stream_end end;
    CURLcode rc;

    stream->retry_ms = -1;
    stream->retry_after_ms = -1;
    set_reason(stream, "");
    run.easy = curl_easy_init();
    if (multi == NULL || run.easy == NULL)
        abort(); /* out of memory */
    weft_buf_init(&run.problem, PROBLEM_MAX);
    weft_sse_parser_init(&run.parser, EVENT_MAX, event_arrived, stream);
    run.parser.id_arrived = id_arrived;
    curl_multi_add_handle(multi, run.easy);
    if (set_options(&run, headers, error)) {
        end = transfer(&run, multi, &rc);
        if (end == STREAM_CUT && stream->reason[0] == '\0')
            end = classify(&run, rc, error);
    } else {
        set_reason(stream, "no token");
        end = STREAM_REFUSED;
    }
    stream->retry_ms = run.parser.retry_ms;

    curl_multi_remove_handle(multi, run.easy);
    curl_easy_cleanup(run.easy);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    weft_sse_parser_fini(&run.parser);
    weft_buf_fini(&run.problem);
    return end;
}
