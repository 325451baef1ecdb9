#include <weft/wire/frame.h>

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

/* Offsets are 32 bit; callers bound a batch far below this. */
#define BYTES_MAX ((size_t)INT32_MAX)
/* What six hex digits can say. */
#define CHUNK_MAX 0xffffffU
/* Room for the fixed text around the parts and two ids, rounded up. */
#define AROUND_MAX (96 + 2 * (size_t)WEFT_ID_MAX_LEN)

struct weft_batch *weft_batch_ref(struct weft_batch *batch)
{
    /* Relaxed: whoever takes a reference already holds one. */
    unsigned before = atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);

    WEFT_ASSERT(before > 0 && before < UINT32_MAX);
    return batch;
}

void weft_batch_unref(struct weft_batch *batch)
{
    unsigned before;

    if (batch == NULL)
        return;
    /* Release: our reads end before the last owner frees; acquire: and it frees after all reads. */
    before = atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel);
    WEFT_ASSERT(before > 0);
    if (before == 1)
        free(batch);
}

void weft_batch_builder_init(struct weft_batch_builder *bb)
{
    memset(bb, 0, sizeof(*bb));
}

void weft_batch_builder_fini(struct weft_batch_builder *bb)
{
    free(bb->bytes);
    free(bb->frames);
    memset(bb, 0, sizeof(*bb));
}

static void grow_bytes(struct weft_batch_builder *bb, size_t need)
{
    size_t cap = bb->cap > 0 ? bb->cap : 4096;

    WEFT_ASSERT(need <= BYTES_MAX);
    while (cap < need)
        cap *= 2;
    bb->bytes = realloc(bb->bytes, cap);
    WEFT_ASSERT(bb->bytes != NULL);
    bb->cap = cap;
}

static void grow_frames(struct weft_batch_builder *bb)
{
    bb->frames_cap = bb->frames_cap > 0 ? bb->frames_cap * 2 : 32;
    bb->frames = realloc(bb->frames, bb->frames_cap * sizeof(*bb->frames));
    WEFT_ASSERT(bb->frames != NULL);
}

static void put_chunk_head(char out[WEFT_CHUNK_HEAD], size_t size)
{
    static const char hex[] = "0123456789abcdef";

    for (int i = 5; i >= 0; i--) {
        out[i] = hex[size & 15];
        size >>= 4;
    }
    out[6] = '\r';
    out[7] = '\n';
}

static char *put(char *at, const char *p, size_t n)
{
    memcpy(at, p, n);
    return at + n;
}

#define PUT_LITERAL(at, literal) put((at), (literal), sizeof(literal) - 1)

bool weft_frame_fits(struct weft_str topic, struct weft_str type, struct weft_str envelope)
{
    return topic.len <= UINT16_MAX && type.len <= UINT16_MAX && envelope.len <= CHUNK_MAX &&
           AROUND_MAX + topic.len + type.len + envelope.len <= CHUNK_MAX;
}

void weft_batch_add(struct weft_batch_builder *bb, struct weft_id id, uint64_t prev,
                    struct weft_str topic, struct weft_str type, struct weft_str envelope)
{
    char id_text[WEFT_ID_MAX_LEN];
    size_t id_len = weft_id_print(id_text, id);
    size_t need = bb->len + AROUND_MAX + topic.len + type.len + envelope.len;
    struct weft_frame *f;
    char *base;
    char *at;
    size_t chunk;

    WEFT_ASSERT(envelope.len >= 2 && weft_frame_fits(topic, type, envelope));
    if (need > bb->cap)
        grow_bytes(bb, need);
    if (bb->n == bb->frames_cap)
        grow_frames(bb);

    f = &bb->frames[bb->n++];
    f->id = id;
    f->prev = prev;
    f->off = (uint32_t)bb->len;
    f->type_len = (uint16_t)type.len;
    f->topic_len = (uint16_t)topic.len;

    base = bb->bytes;
    at = base + bb->len + WEFT_CHUNK_HEAD; /* the header when the size is known */
    at = PUT_LITERAL(at, "event: ");
    f->type_off = (uint32_t)(at - base);
    at = put(at, type.p, type.len);
    *at++ = '\n';

    f->id_off = (uint32_t)(at - base);
    at = PUT_LITERAL(at, "id: ");
    at = put(at, id_text, id_len);
    at = PUT_LITERAL(at, "\ndata: ");

    f->json_off = (uint32_t)(at - base);
    at = PUT_LITERAL(at, "{\"id\":\"");
    at = put(at, id_text, id_len);
    at = PUT_LITERAL(at, "\",\"topic\":\"");
    f->topic_off = (uint32_t)(at - base);
    at = put(at, topic.p, topic.len);
    *at++ = '"';
    if (envelope.len > 2)
        *at++ = ',';
    at = put(at, envelope.p + 1, envelope.len - 1);
    f->json_len = (uint32_t)(at - base) - f->json_off;

    at = PUT_LITERAL(at, "\n\n");
    chunk = (size_t)(at - base) - f->off - WEFT_CHUNK_HEAD;
    put_chunk_head(base + f->off, chunk);
    at = PUT_LITERAL(at, "\r\n");

    f->len = (uint32_t)(at - base) - f->off;
    bb->len = (size_t)(at - base);
}

struct weft_batch *weft_batch_seal(struct weft_batch_builder *bb, uint64_t born_ns)
{
    struct weft_batch *batch;
    size_t frames_size = bb->n * sizeof(bb->frames[0]);
    size_t size = sizeof(*batch) + frames_size + bb->len;
    char *bytes;

    if (bb->n == 0)
        return NULL;
    batch = malloc(size);
    WEFT_ASSERT(batch != NULL && bb->n <= UINT32_MAX);

    atomic_init(&batch->refs, 1);
    batch->n = (uint32_t)bb->n;
    batch->born_ns = born_ns;
    batch->size = size;
    memcpy(batch->frames, bb->frames, frames_size);
    bytes = (char *)batch->frames + frames_size;
    memcpy(bytes, bb->bytes, bb->len);
    batch->bytes = bytes;

    bb->n = 0;
    bb->len = 0;
    return batch;
}
