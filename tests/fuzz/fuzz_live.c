/*
 * Lines of the live channels into a batch, and the frames taken apart again: each part is where the
 * frame says, each chunk is as long as its header says.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/base/err.h>
#include <weft/wire/frame.h>
#include <weft/wire/live.h>
#include <weft/wire/name.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct weft_str take(struct weft_str *s, size_t n)
{
    struct weft_str front = {s->p, n};

    WEFT_ASSERT(n <= s->len);
    s->p += n;
    s->len -= n;
    return front;
}

static void expect(struct weft_str *s, struct weft_str want)
{
    WEFT_ASSERT(weft_str_eq(take(s, want.len), want));
}

static size_t chunk_size(const char *head)
{
    char text[WEFT_CHUNK_HEAD + 1] = "";

    memcpy(text, head, WEFT_CHUNK_HEAD);
    WEFT_ASSERT(strcmp(text + 6, "\r\n") == 0);
    return strtoul(text, NULL, 16);
}

static void check_frame(const struct weft_batch *batch, const struct weft_frame *f,
                        const struct weft_live_line *line)
{
    struct weft_str rest = {batch->bytes + f->off, f->len};
    char id_text[WEFT_ID_MAX_LEN];
    struct weft_str id = {id_text, weft_id_print(id_text, line->id)};

    WEFT_ASSERT(f->id.ms == line->id.ms && f->id.seq == line->id.seq && f->prev == line->prev);
    WEFT_ASSERT(chunk_size(rest.p) == f->len - WEFT_CHUNK_HEAD - WEFT_CHUNK_TAIL);
    WEFT_ASSERT(weft_str_eq(weft_frame_type(batch, f), line->type));
    WEFT_ASSERT(weft_str_eq(weft_frame_topic(batch, f), line->topic));

    (void)take(&rest, WEFT_CHUNK_HEAD);
    expect(&rest, WEFT_STR("event: "));
    expect(&rest, line->type);
    expect(&rest, WEFT_STR("\n"));
    WEFT_ASSERT(rest.p == batch->bytes + f->id_off);
    expect(&rest, WEFT_STR("id: "));
    expect(&rest, id);
    expect(&rest, WEFT_STR("\ndata: "));
    WEFT_ASSERT(rest.p == batch->bytes + f->json_off);
    WEFT_ASSERT(weft_frame_json(batch, f).len == f->json_len);
    expect(&rest, WEFT_STR("{\"id\":\""));
    expect(&rest, id);
    expect(&rest, WEFT_STR("\",\"topic\":\""));
    expect(&rest, line->topic);
    expect(&rest, WEFT_STR("\""));
    if (line->envelope.len > 2)
        expect(&rest, WEFT_STR(","));
    expect(&rest, weft_str(line->envelope.p + 1, line->envelope.len - 1));
    WEFT_ASSERT(rest.p == batch->bytes + f->json_off + f->json_len);
    expect(&rest, WEFT_STR("\n\n\r\n"));
    WEFT_ASSERT(rest.len == 0);
}

static void check_line(const struct weft_live_line *line)
{
    WEFT_ASSERT(weft_topic_valid(line->topic) && weft_type_valid(line->type));
    WEFT_ASSERT(line->envelope.len >= 2 && line->envelope.p[0] == '{' &&
                line->envelope.p[line->envelope.len - 1] == '}');
    for (size_t i = 0; i < line->envelope.len; i++)
        WEFT_ASSERT((unsigned char)line->envelope.p[i] >= 0x20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_str text = {(const char *)data, size};
    struct weft_live_line lines[64];
    struct weft_batch_builder bb;
    struct weft_batch *batch;
    size_t n = 0;
    int rc;

    weft_batch_builder_init(&bb);
    while (n < WEFT_COUNT_OF(lines) && (rc = weft_live_next(&text, &lines[n])) != 0) {
        WEFT_ASSERT(rc == 1 || rc == WEFT_EPROTO);
        if (rc != 1)
            continue;
        check_line(&lines[n]);
        weft_batch_add(&bb, lines[n].id, lines[n].prev, lines[n].topic, lines[n].type,
                       lines[n].envelope);
        n++;
    }
    batch = weft_batch_seal(&bb, 1);
    weft_batch_builder_fini(&bb);
    WEFT_ASSERT((batch == NULL) == (n == 0));
    if (batch != NULL) {
        WEFT_ASSERT(batch->n == n);
        for (size_t i = 0; i < n; i++)
            check_frame(batch, &batch->frames[i], &lines[i]);
    }
    weft_batch_unref(batch);
    return 0;
}
