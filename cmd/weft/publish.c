/* weft publish - put events into a topic, and print their ids. */
#include "publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include <weft/wire/json.h>

#include "args.h"
#include "commands.h"
#include "exits.h"
#include "output.h"

#define BODY_MAX (64u << 20)

#define NUMBER_MAX ((UINT64_C(1) << 53) - 1)
#define NO_EPOCH   UINT64_MAX

struct publish_options {
    const char *event;
    const char *key;
    const char *producer;
    const char *ack;
    uint64_t epoch, seq;
    struct args_list fields;
    bool ndjson;
    bool json;
};

static void print_help(const struct arg *table)
{
    puts("usage: weft publish TOPIC TYPE [PAYLOAD | -] [options]\n"
         "       weft publish TOPIC --event JSON\n"
         "       weft publish TOPIC --ndjson < events.ndjson\n"
         "\n"
         "Publishes one event of TYPE with a JSON object as payload ({} if there is none, - for\n"
         "stdin), or whole events, and prints their ids, one on a line.\n");
    args_print(table);
    puts("\nexit codes: 0 taken, 1 the server refused, 2 wrong usage,\n"
         "            4 no server could be reached");
}

int publish_send(struct publish *pub, const char *content_type, const char *key,
                 struct weft_str body)
{
    struct http_request rq = {.target = pub->target,
                              .content_type = content_type,
                              .key = key,
                              .producer = pub->producer,
                              .epoch = pub->epoch,
                              .first = pub->seq,
                              .body = body};
    int code = http_call(pub->http, &rq, &pub->answer);
    struct weft_str answer;
    json_t *root, *id;
    size_t i;

    if (code != EXIT_DONE)
        return code;
    answer = weft_str(pub->answer.data, pub->answer.len);
    if (pub->json) {
        output_line(WEFT_STR(""), answer);
        output_flush();
        return EXIT_DONE;
    }

    root = json_loadb(answer.p != NULL ? answer.p : "", answer.len, 0, NULL);
    if (!json_is_array(json_object_get(root, "ids"))) {
        args_complain("the events were taken, but the answer holds no ids");
        json_decref(root);
        return EXIT_REFUSED;
    }
    json_array_foreach(json_object_get(root, "ids"), i, id) {
        output_line(WEFT_STR(""), weft_str(json_string_value(id), json_string_length(id)));
    }
    json_decref(root);
    output_flush();
    return EXIT_DONE;
}

static bool read_stdin(struct weft_buf *out)
{
    for (;;) {
        char *room = weft_buf_reserve(out, 65536);
        ssize_t n;

        if (room == NULL) {
            args_complain("stdin: more than %u bytes", BODY_MAX);
            return false;
        }
        n = read(STDIN_FILENO, room, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            args_complain("stdin: %s", strerror(errno));
            return false;
        }
        if (n == 0)
            return true;
        out->len += (size_t)n;
    }
}

/*
 * The text of an argument, or stdin for `-`; checked to be JSON, as the node checks it, so that a slip is told by
 * place. It is sent as it is.
 */
static bool read_json(const char *argument, const char *what, struct weft_buf *out)
{
    struct weft_buf checked;
    struct weft_err err;
    int rc;

    if (strcmp(argument, "-") != 0)
        weft_buf_puts(out, argument);
    else if (!read_stdin(out))
        return false;
    weft_buf_init(&checked, BODY_MAX);
    rc = weft_json_minify(&checked, weft_str(out->data, out->len), WEFT_JSON_MAX_DEPTH, &err);
    weft_buf_fini(&checked);
    if (rc != 0)
        args_complain("%s: not JSON: %s", what, err.message);
    return rc == 0;
}

/* NAME=VALUE as a member of the event; all are strings but the time. */
static bool put_field(struct weft_buf *body, const char *field)
{
    const char *equals = strchr(field, '=');
    struct weft_str name, value;
    uint64_t number;

    if (equals == NULL || equals == field) {
        args_complain("--field: NAME=VALUE is needed, not '%s'", field);
        return false;
    }
    name = weft_str(field, (size_t)(equals - field));
    value = weft_str(equals + 1, strlen(equals + 1));
    weft_buf_puts(body, ",");
    weft_buf_json(body, name);
    weft_buf_puts(body, ":");
    if (!weft_str_eq(name, WEFT_STR("ts"))) {
        weft_buf_json(body, value);
    } else if (weft_str_u64(value, &number)) {
        weft_buf_u64(body, number);
    } else {
        args_complain("--field: ts is a time in milliseconds, not '%.*s'", (int)value.len, value.p);
        return false;
    }
    return true;
}

/* {"type":…,<fields>,"payload":…}: the payload's text goes in as it is, digits and all. */
static bool compose(struct weft_buf *body, const struct args_list *words,
                    const struct args_list *fields)
{
    struct weft_buf payload;
    bool good = true;

    weft_buf_init(&payload, BODY_MAX);
    if (words->n > 2)
        good = read_json(words->items[2], "payload", &payload);
    else
        weft_buf_puts(&payload, "{}");

    weft_buf_puts(body, "{\"type\":");
    weft_buf_json(body, weft_str(words->items[1], strlen(words->items[1])));
    for (size_t i = 0; i < fields->n && good; i++)
        good = put_field(body, fields->items[i]);
    weft_buf_puts(body, ",\"payload\":");
    weft_buf_append(body, payload.data, payload.len);
    weft_buf_puts(body, "}");
    weft_buf_fini(&payload);
    return good;
}

static bool usage_is_good(const struct publish_options *opt, const struct args_list *words)
{
    bool whole = opt->event != NULL || opt->ndjson;

    if (opt->event != NULL && opt->ndjson)
        args_complain("--event and --ndjson do not go together");
    else if (whole && words->n > 1)
        args_complain("'%s': TYPE and PAYLOAD do not go with %s", words->items[1],
                      opt->ndjson ? "--ndjson" : "--event");
    else if (whole && opt->fields.n > 0)
        args_complain("--field does not go with %s", opt->ndjson ? "--ndjson" : "--event");
    else if (opt->producer != NULL && opt->key != NULL)
        args_complain("--key does not go with --producer");
    else if ((opt->producer != NULL) != (opt->epoch != NO_EPOCH))
        args_complain("--producer and --epoch go together");
    else if (opt->producer == NULL && opt->seq != 0)
        args_complain("--seq goes with --producer");
    else if (!whole && words->n < 2)
        args_complain("TYPE is missing (or --event, or --ndjson; see weft publish --help)");
    else
        return true;
    return false;
}

/* Also keeps line breaks out of the request's head. */
static bool key_is_good(const char *option, const char *key)
{
    size_t len = key != NULL ? strlen(key) : 1;

    if (len == 0 || len > PUBLISH_KEY_MAX) {
        args_complain("%s: 1 to %d characters", option, PUBLISH_KEY_MAX);
        return false;
    }
    for (; key != NULL && *key != '\0'; key++) {
        if (*key < 0x20 || *key > 0x7e) {
            args_complain("%s: printable ASCII only", option);
            return false;
        }
    }
    return true;
}

static int run(struct publish *pub, const struct publish_options *opt,
               const struct args_list *words)
{
    struct weft_buf body;
    bool good;
    int code = EXIT_USAGE;

    if (opt->ndjson)
        return publish_ndjson(pub);
    weft_buf_init(&body, BODY_MAX);
    if (opt->event != NULL)
        good = read_json(opt->event, "--event", &body);
    else
        good = compose(&body, words, &opt->fields);
    if (good && body.toobig) {
        args_complain("the event is larger than %u bytes", BODY_MAX);
        good = false;
    }
    if (good)
        code = publish_send(pub, "application/json", pub->key, weft_str(body.data, body.len));
    weft_buf_fini(&body);
    return code == EXIT_DONE ? output_exit() : code;
}

int publish_run(int argc, char **argv)
{
    struct publish_options opt = {.epoch = NO_EPOCH};
    struct publish pub = {0};
    struct args_list words;
    struct servers_given given = {.ca = NULL};
    struct servers servers;
    struct weft_buf target;
    int code;
    const struct arg table[] = {
        ARG_IS_STRING("event", "JSON | -", &opt.event,
                      "a whole event, or an array of them, taken as one"),
        ARG_IS_FLAG("ndjson", &opt.ndjson,
                    "events from stdin, one on a line, sent in batches of up to 100\n"
                    "as they come; a batch that is refused ends it"),
        ARG_IS_LIST("field", "NAME=VALUE", &opt.fields,
                    "a field of the event: repo_id, task_id, session_id, service_id,\n"
                    "request_id, key, traceparent, source, subject, ts; any number of times"),
        ARG_IS_STRING("key", "KEY", &opt.key,
                      "Idempotency-Key: a second run with it gets the first one's ids\n"
                      "(with --ndjson every batch has all 100 lines, and KEY-1, KEY-2, ...)"),
        ARG_IS_STRING("producer", "ID", &opt.producer,
                      "number the events, so that each is taken once: the producer's name;\n"
                      "with --ndjson each line has its number, and every batch has all 100 lines"),
        ARG_IS_NUMBER("epoch", 0, NUMBER_MAX, &opt.epoch,
                      "of the producer: higher each time it starts anew"),
        ARG_IS_NUMBER("seq", 0, NUMBER_MAX, &opt.seq, "number of the first event (default: 0)"),
        ARG_IS_STRING("ack", "replicas:N", &opt.ack,
                      "taken only when N replicas of Redis have the events"),
        ARG_IS_FLAG("json", &opt.json, "print the server's answer instead of the ids alone"),
        ARGS_ARE_SERVERS(&given),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 1, 3, &words)) {
    case ARGS_HELP:
        print_help(table);
        return EXIT_DONE;
    case ARGS_BAD:
        return EXIT_USAGE;
    case ARGS_OK:
        break;
    }
    if (!usage_is_good(&opt, &words) || !key_is_good("--key", opt.key) ||
        !key_is_good("--producer", opt.producer) || !servers_init(&servers, &given))
        return EXIT_USAGE;

    weft_buf_init(&target, 4096);
    weft_buf_puts(&target, "/api/topics/");
    http_encode(&target, words.items[0]);
    weft_buf_puts(&target, "/events");
    if (opt.ack != NULL) {
        weft_buf_puts(&target, "?ack=");
        http_encode(&target, opt.ack);
    }
    pub.http = http_create(&servers);
    pub.target = target.data;
    pub.key = opt.key;
    pub.producer = opt.producer;
    pub.epoch = opt.epoch;
    pub.seq = opt.seq;
    pub.json = opt.json;
    weft_buf_init(&pub.answer, BODY_MAX);
    if (pub.http == NULL || target.toobig || words.items[0][0] == '\0') {
        args_complain("topic: empty or too long");
        code = EXIT_USAGE;
    } else {
        code = run(&pub, &opt, &words);
    }
    weft_buf_fini(&pub.answer);
    http_destroy(pub.http);
    weft_buf_fini(&target);
    return code;
}
