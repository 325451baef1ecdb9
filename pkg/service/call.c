#include "call_priv.h"

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

#define BYTES_MAX ((size_t)1024 * 1024)

void weft_svc_call_close(struct weft_svc_call *call)
{
    WEFT_ASSERT(call->n < WEFT_CALL_WORDS_MAX && !call->bytes.toobig);
    call->ends[call->n++] = call->bytes.len;
}

struct weft_buf *weft_svc_call_open(struct weft_svc_call *call)
{
    return &call->bytes;
}

void weft_svc_call_begin(struct weft_svc_call *call, const char *command)
{
    weft_buf_init(&call->bytes, BYTES_MAX);
    call->n = 0;
    weft_svc_call_text(call, command);
}

void weft_svc_call_function(struct weft_svc_call *call, const char *function, size_t n_keys)
{
    weft_svc_call_begin(call, "FCALL");
    weft_svc_call_text(call, function);
    weft_svc_call_u64(call, n_keys);
}

void weft_svc_call_word(struct weft_svc_call *call, struct weft_str word)
{
    weft_buf_str(&call->bytes, word);
    weft_svc_call_close(call);
}

void weft_svc_call_text(struct weft_svc_call *call, const char *word)
{
    weft_buf_puts(&call->bytes, word);
    weft_svc_call_close(call);
}

void weft_svc_call_u64(struct weft_svc_call *call, uint64_t word)
{
    weft_buf_u64(&call->bytes, word);
    weft_svc_call_close(call);
}

void weft_svc_call_key(struct weft_svc_call *call, const struct weft_keys *keys,
                       void (*key)(struct weft_buf *b, const struct weft_keys *k))
{
    key(&call->bytes, keys);
    weft_svc_call_close(call);
}

void weft_svc_call_key_of(struct weft_svc_call *call, const struct weft_keys *keys, const char *id,
                          void (*key)(struct weft_buf *b, const struct weft_keys *k,
                                      const char *id))
{
    key(&call->bytes, keys, id);
    weft_svc_call_close(call);
}

int weft_svc_call_send(struct weft_svc_call *call, struct weft_redis_conn *cn,
                       weft_redis_replied *replied, void *ctx)
{
    struct weft_str argv[WEFT_CALL_WORDS_MAX];
    size_t from = 0;
    int rc = WEFT_EUNAVAILABLE;

    for (size_t i = 0; i < call->n; i++) {
        argv[i] = weft_str(call->bytes.data + from, call->ends[i] - from);
        from = call->ends[i];
    }
    if (cn != NULL) {
        rc = weft_redis_send(cn, replied, ctx, call->n, argv);
    }
    weft_buf_fini(&call->bytes);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct weft_reply *const *x = a;
    const struct weft_reply *const *y = b;

    return weft_str_cmp(weft_reply_str(*x), weft_reply_str(*y));
}

void weft_svc_sort(const struct weft_reply *names)
{
    if (names->n > 0) {
        /* Pointers, as they should be. NOLINTNEXTLINE(bugprone-sizeof-expression) */
        qsort(names->items, names->n, sizeof(names->items[0]), by_name);
    }
}

void weft_svc_copy(char *to, size_t size, struct weft_str s)
{
    size_t n = s.p != NULL && s.len < size ? s.len : 0;

    if (n > 0) {
        memcpy(to, s.p, n);
    }
    to[n] = '\0';
}
