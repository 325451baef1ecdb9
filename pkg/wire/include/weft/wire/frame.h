/*
 * frame - events formatted once for every subscriber of a node.
 *
 * A batch is a run of events in one block of memory, with a table of views into it. Each event
 * is stored as it goes over HTTP/1.1: one chunk that holds one SSE event,
 *
 *   00012f\r\n                                   chunk header, of fixed width (RFC 9112 section 7.1
 *                                                allows leading zeros)
 *   event: <type>\n
 *   id: <ms>-<seq>\n
 *   data: {"id":"…","topic":"…",<envelope>\n
 *   \n
 *   \r\n                                         end of chunk
 *
 * so a subscriber that takes a run of neighbouring events as they are needs one iovec for all of
 * them. Other shapes (no `event:` line, no chunk framing, only the JSON) are parts of the same
 * bytes. Batches are immutable once sealed; an atomic count frees them on any thread.
 */
#ifndef WEFT_WIRE_FRAME_H
#define WEFT_WIRE_FRAME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/str.h>
#include <weft/wire/id.h>

#define WEFT_CHUNK_HEAD 8 /* six hex digits, CR, LF */
#define WEFT_CHUNK_TAIL 2 /* CR, LF */

/* Offsets count from the batch's bytes. Layout: off … id_off … json_off … off + len. */
struct weft_frame {
    struct weft_id id;
    uint64_t prev;     /* seq of the topic's event before this one; 0: none */
    uint32_t off;      /* the chunk header */
    uint32_t len;      /* chunk header to chunk tail, both included */
    uint32_t id_off;   /* "id: …": where a stream without `event:` lines begins */
    uint32_t json_off; /* the JSON object */
    uint32_t json_len;
    uint32_t type_off; /* the type, inside the `event:` line */
    uint16_t type_len;
    uint16_t topic_len;
    uint32_t topic_off; /* the topic, inside the JSON */
};

struct weft_batch {
    atomic_uint refs;
    uint32_t n;
    uint64_t born_ns; /* monotonic, when it was read from Redis: for the latency histogram */
    size_t size;      /* of the whole block, for accounting */
    const char *bytes;
    struct weft_frame frames[];
};

/* Shared: one more owner. */
struct weft_batch *weft_batch_ref(struct weft_batch *batch);
/* NULL is allowed. The last owner frees; any thread. */
void weft_batch_unref(struct weft_batch *batch);

/*
 * Collects events, then becomes one batch. Keep one per thread and reuse it: its memory grows to
 * its largest batch.
 */
struct weft_batch_builder {
    char *bytes;
    size_t len;
    size_t cap;
    struct weft_frame *frames;
    size_t n;
    size_t frames_cap;
};

void weft_batch_builder_init(struct weft_batch_builder *bb);
void weft_batch_builder_fini(struct weft_batch_builder *bb);

/*
 * Whether an event of these parts can be framed: its chunk's size has six digits. What may be published is far smaller
 * (publish.max_event_bytes), but a log may hold anything.
 */
bool weft_frame_fits(struct weft_str topic, struct weft_str type, struct weft_str envelope);

/*
 * envelope: a minified JSON object as event.h makes it (at least `{}`); all four parts are trusted
 * (validated on publish or by live.h), and fit.
 */
void weft_batch_add(struct weft_batch_builder *bb, struct weft_id id, uint64_t prev,
                    struct weft_str topic, struct weft_str type, struct weft_str envelope);

/*
 * One allocation of just the right size; yours, one reference. The builder is empty afterwards.
 * NULL if it held no event.
 */
struct weft_batch *weft_batch_seal(struct weft_batch_builder *bb, uint64_t born_ns);

static inline struct weft_str weft_frame_type(const struct weft_batch *b,
                                              const struct weft_frame *f)
{
    return weft_str(b->bytes + f->type_off, f->type_len);
}

static inline struct weft_str weft_frame_topic(const struct weft_batch *b,
                                               const struct weft_frame *f)
{
    return weft_str(b->bytes + f->topic_off, f->topic_len);
}

static inline struct weft_str weft_frame_json(const struct weft_batch *b,
                                              const struct weft_frame *f)
{
    return weft_str(b->bytes + f->json_off, f->json_len);
}

#endif
