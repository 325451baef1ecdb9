/* weft history - read what a topic holds, a JSON line for each event. */
#include <stdio.h>
#include <string.h>

#include <weft/wire/json.h>

#include "args.h"
#include "commands.h"
#include "exits.h"
#include "http.h"
#include "output.h"

#define PAGE_MAX   1000
#define ANSWER_MAX (512u << 20)

struct history {
    struct http *http;
    const char *topic;
    const char *after;
    const char *before;
    bool desc;
    struct weft_buf target, answer, page;
};

static void print_help(const struct arg *table)
{
    puts("usage: weft history TOPIC [options]\n"
         "\n"
         "Prints the events that the topic holds, a JSON line for each, oldest first.\n");
    args_print(table);
    puts("\nexit codes: 0 done, 1 the server refused (also: there is no such topic),\n"
         "            2 wrong usage, 4 no server could be reached");
}

static void make_target(struct history *h, uint64_t limit)
{
    weft_buf_clear(&h->target);
    weft_buf_puts(&h->target, "/api/topics/");
    http_encode(&h->target, h->topic);
    weft_buf_printf(&h->target, "/events?limit=%llu&order=%s", (unsigned long long)limit,
                    h->desc ? "desc" : "asc");
    if (h->after != NULL) {
        weft_buf_puts(&h->target, "&after=");
        http_encode(&h->target, h->after);
    }
    if (h->before != NULL) {
        weft_buf_puts(&h->target, "&before=");
        http_encode(&h->target, h->before);
    }
}

/* A gap is told as the node told it. */
static void tell_gap(struct weft_json root)
{
    struct weft_json gap;

    if (weft_json_get(root, "gap", &gap) && gap.kind == WEFT_JSON_OBJECT)
        args_complain("gap: %.*s", (int)gap.raw.len, gap.raw.p);
}

/*
 * Prints the page's events; *ret_n of them, and in *ret_next (at least 64 bytes) where to go on, ""
 * at the end. False: the answer makes no sense.
 */
static bool print_page(struct history *h, uint64_t *ret_n, char *ret_next)
{
    struct weft_json root, events, event, next;
    struct weft_json_iter it;
    struct weft_str key;

    *ret_n = 0;
    ret_next[0] = '\0';
    weft_buf_clear(&h->page);
    if (weft_json_minify_sent(&h->page, weft_str(h->answer.data, h->answer.len), NULL) != 0)
        return false;
    root = weft_json_value(weft_str(h->page.data, h->page.len));
    if (root.kind != WEFT_JSON_OBJECT || !weft_json_get(root, "events", &events) ||
        events.kind != WEFT_JSON_ARRAY)
        return false;
    tell_gap(root);
    weft_json_begin(&it, events);
    while (weft_json_next(&it, &key, &event)) {
        ++*ret_n;
        output_line(WEFT_STR(""), event.raw);
        if (output_flush_if_large() != OUTPUT_OK)
            break;
    }
    if (weft_json_get(root, "next", &next) && next.kind == WEFT_JSON_STRING &&
        next.raw.len - 2 < 64) {
        memcpy(ret_next, next.raw.p + 1, next.raw.len - 2);
        ret_next[next.raw.len - 2] = '\0';
    }
    output_flush();
    return true;
}

static int run(struct history *h, uint64_t limit)
{
    char next[64];

    for (;;) {
        struct http_request rq = {0};
        uint64_t n;
        int code;

        make_target(h, limit < PAGE_MAX ? limit : PAGE_MAX);
        rq.target = h->target.data;
        code = http_call(h->http, &rq, &h->answer);
        if (code != EXIT_DONE)
            return code;
        if (!print_page(h, &n, next)) {
            args_complain("the answer is not what a weft node sends");
            return EXIT_REFUSED;
        }
        limit -= n < limit ? n : limit;
        if (next[0] == '\0' || limit == 0 || !output_is_open())
            return output_exit();
        if (h->desc)
            h->before = next;
        else
            h->after = next;
    }
}

int history_run(int argc, char **argv)
{
    struct history h = {0};
    struct args_list words;
    struct servers_given given = {.ca = NULL};
    struct servers servers;
    uint64_t limit = 100;
    bool all = false;
    int code;
    const struct arg table[] = {
        ARG_IS_STRING("after", "ID", &h.after, "only events after this one"),
        ARG_IS_STRING("before", "ID", &h.before, "only events before this one"),
        ARG_IS_NUMBER("limit", 1, UINT64_MAX, &limit, "at most so many events (default: 100)"),
        ARG_IS_FLAG("desc", &h.desc, "newest first"),
        ARG_IS_FLAG("all", &all, "all of them, page by page"),
        ARGS_ARE_SERVERS(&given),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 1, 1, &words)) {
    case ARGS_HELP:
        print_help(table);
        return EXIT_DONE;
    case ARGS_BAD:
        return EXIT_USAGE;
    case ARGS_OK:
        break;
    }
    h.topic = words.items[0];
    if (h.topic[0] == '\0') {
        args_complain("topic: empty");
        return EXIT_USAGE;
    }
    if (!servers_init(&servers, &given))
        return EXIT_USAGE;
    h.http = http_create(&servers);
    if (h.http == NULL)
        return EXIT_REFUSED;
    weft_buf_init(&h.target, 8192);
    weft_buf_init(&h.answer, ANSWER_MAX);
    weft_buf_init(&h.page, ANSWER_MAX);
    code = run(&h, all ? UINT64_MAX : limit);
    weft_buf_fini(&h.page);
    weft_buf_fini(&h.answer);
    weft_buf_fini(&h.target);
    http_destroy(h.http);
    return code;
}
