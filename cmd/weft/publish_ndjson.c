/*
 * publish --ndjson: lines of stdin, in batches.
 *
 * A batch goes out when it has 100 lines, or when no more lines are waiting, so that a slow
 * producer is not held up and a fast one is batched; while a request is under way the pipe fills.
 * With a key or numbers the batches have to be the same in a second run, so there only their size
 * and the end of stdin close one.
 *
 * Whoever reads the ids may go away: the rest is published all the same. Where they cannot be written for another
 * reason it ends.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "exits.h"
#include "output.h"
#include "publish.h"

#define LINES_MAX (16u << 20) /* bytes of lines waiting to be sent */
#define READ_SIZE 65536

struct lines {
    struct weft_buf waiting; /* whole lines and the beginning of one */
    uint64_t taken;          /* lines sent and taken before */
    uint64_t batches;
    bool eof;
};

/* Whether read(2) would give something at once. */
static bool more_waits(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&in, 1, 0) == 1;
}

static bool read_more(struct lines *lines)
{
    char *room = weft_buf_reserve(&lines->waiting, READ_SIZE);
    ssize_t n;

    if (room == NULL) {
        args_complain("stdin: a line is longer than %u bytes", LINES_MAX);
        return false;
    }
    do {
        n = read(STDIN_FILENO, room, READ_SIZE);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        args_complain("stdin: %s", strerror(errno));
        return false;
    }
    lines->waiting.len += (size_t)n;
    if (n == 0) {
        lines->eof = true;
        /* The last line may lack its end. */
        if (lines->waiting.len > 0 && lines->waiting.data[lines->waiting.len - 1] != '\n')
            weft_buf_puts(&lines->waiting, "\n");
    }
    return true;
}

/* The bytes and the number of the next lines, PUBLISH_BATCH at most. */
static size_t next_batch(const struct lines *lines, unsigned *ret_n)
{
    const char *p = lines->waiting.data;
    size_t len = 0;

    *ret_n = 0;
    while (*ret_n < PUBLISH_BATCH && len < lines->waiting.len) {
        const char *lf = memchr(p + len, '\n', lines->waiting.len - len);

        if (lf == NULL)
            break;
        len = (size_t)(lf - p) + 1;
        (*ret_n)++;
    }
    return len;
}

static bool is_blank(struct weft_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (memchr(" \t\r\n", s.p[i], 4) == NULL)
            return false;
    }
    return true;
}

/* Of the lines in s: blank ones are none. */
static uint64_t count_events(struct weft_str s)
{
    uint64_t n = 0;

    while (s.len > 0) {
        n += !is_blank(weft_str_before(&s, '\n'));
    }
    return n;
}

static int send_batch(struct publish *pub, struct lines *lines, size_t len, unsigned n)
{
    struct weft_str body = weft_str(lines->waiting.data, len);
    char key[PUBLISH_KEY_MAX + 32];
    int code = EXIT_DONE;

    lines->batches++;
    if (pub->key != NULL)
        snprintf(key, sizeof(key), "%s-%llu", pub->key, (unsigned long long)lines->batches);
    if (!is_blank(body))
        code = publish_send(pub, "application/x-ndjson", pub->key != NULL ? key : NULL, body);
    if (code == EXIT_DONE) {
        lines->taken += n;
        pub->seq += count_events(body);
        memmove(lines->waiting.data, lines->waiting.data + len, lines->waiting.len - len);
        lines->waiting.len -= len;
    } else {
        args_complain("not taken: the batch of lines %llu to %llu, and all after it",
                      (unsigned long long)lines->taken + 1, (unsigned long long)lines->taken + n);
    }
    return code;
}

int publish_ndjson(struct publish *pub)
{
    struct lines lines = {.eof = false};
    bool again = pub->key != NULL || pub->producer != NULL; /* a second run is foreseen */
    int code = EXIT_DONE;

    weft_buf_init(&lines.waiting, LINES_MAX);
    while (code == EXIT_DONE) {
        unsigned n;
        size_t len = next_batch(&lines, &n);
        bool due = n == PUBLISH_BATCH || lines.eof || (!again && !more_waits());

        if (output_exit() != EXIT_DONE) {
            args_complain("not taken: what stands after line %llu",
                          (unsigned long long)lines.taken);
            code = output_exit();
        } else if (n > 0 && due) {
            code = send_batch(pub, &lines, len, n);
        } else if (lines.eof) {
            break;
        } else if (!read_more(&lines)) {
            code = EXIT_REFUSED;
        }
    }
    weft_buf_fini(&lines.waiting);
    return code;
}
