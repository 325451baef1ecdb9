#include <weft/wire/ws.h>

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

#define FIRST_CAP 1024

/* ---- bytes ---- */

/* phase: of the mask at the first byte. */
static void unmask(char *p, size_t n, const unsigned char mask[4], unsigned phase)
{
    unsigned char turned[8];
    uint64_t wide;
    size_t i = 0;

    for (size_t k = 0; k < sizeof(turned); k++) {
        turned[k] = mask[(phase + k) & 3];
    }
    memcpy(&wide, turned, sizeof(wide));
    for (; i + sizeof(wide) <= n; i += sizeof(wide)) {
        uint64_t word;

        memcpy(&word, p + i, sizeof(word));
        word ^= wide;
        memcpy(p + i, &word, sizeof(word));
    }
    for (; i < n; i++) {
        p[i] = (char)((unsigned char)p[i] ^ turned[i & 7]);
    }
}

static bool is_utf8(const char *p, size_t n)
{
    size_t i = 0;

    while (i < n) {
        uint64_t word;
        size_t len;

        if (i + sizeof(word) <= n) {
            memcpy(&word, p + i, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        len = weft_utf8_len(p + i, n - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}

/* ---- reading ---- */

void weft_ws_reader_init(struct weft_ws_reader *r, size_t max_message, bool from_client)
{
    memset(r, 0, sizeof(*r));
    r->max = max_message;
    r->from_client = from_client;
}

static void forget_message(struct weft_ws_reader *r)
{
    free(r->message);
    r->message = NULL;
    r->len = r->cap = 0;
    r->handed_over = false;
}

void weft_ws_reader_fini(struct weft_ws_reader *r)
{
    forget_message(r);
}

static bool refuse(struct weft_ws_reader *r, unsigned code, const char *why)
{
    r->broken.code = code;
    r->broken.why = why;
    forget_message(r);
    return false;
}

static bool is_control(unsigned opcode)
{
    return (opcode & 8) != 0;
}

/* The first two bytes. False: broken. */
static bool check_begin(struct weft_ws_reader *r)
{
    unsigned opcode = r->head[0] & 15U;
    unsigned len = r->head[1] & 127U;
    bool fin = (r->head[0] & 0x80) != 0;

    if ((r->head[0] & 0x70) != 0) {
        return refuse(r, WEFT_WS_PROTOCOL, "a reserved bit is set");
    }
    if (((r->head[1] & 0x80) != 0) != r->from_client) {
        return refuse(r, WEFT_WS_PROTOCOL,
                      r->from_client ? "a frame is not masked" : "a frame is masked");
    }
    if (is_control(opcode)) {
        if (opcode > WEFT_WS_PONG) {
            return refuse(r, WEFT_WS_PROTOCOL, "an opcode is not known");
        }
        if (!fin) {
            return refuse(r, WEFT_WS_PROTOCOL, "a control frame is fragmented");
        }
        if (len > WEFT_WS_CONTROL_MAX) {
            return refuse(r, WEFT_WS_PROTOCOL, "a control frame is longer than 125 bytes");
        }
    } else if (opcode > WEFT_WS_BINARY) {
        return refuse(r, WEFT_WS_PROTOCOL, "an opcode is not known");
    } else if (opcode == WEFT_WS_CONTINUATION && !r->in_message) {
        return refuse(r, WEFT_WS_PROTOCOL, "a continuation continues nothing");
    } else if (opcode != WEFT_WS_CONTINUATION && r->in_message) {
        return refuse(r, WEFT_WS_PROTOCOL, "a message begins inside another one");
    } else if (opcode == WEFT_WS_BINARY) {
        return refuse(r, WEFT_WS_UNSUPPORTED, "messages are text");
    }
    r->opcode = (unsigned char)opcode;
    r->fin = fin;
    return true;
}

static size_t head_need(const struct weft_ws_reader *r)
{
    unsigned len = r->head[1] & 127U;

    return 2U + (len == 126 ? 2U : len == 127 ? 8U : 0U) + (r->from_client ? 4U : 0U);
}

/* The whole head. False: broken. */
static bool check_head(struct weft_ws_reader *r)
{
    size_t need = head_need(r);
    size_t n = need - 2 - (r->from_client ? 4 : 0);
    uint64_t len = 0;

    if (n == 0) {
        len = r->head[1] & 127U;
    }
    for (size_t i = 0; i < n; i++) {
        len = len << 8 | r->head[2 + i];
    }
    if ((n == 2 && len < 126) || (n == 8 && (len <= UINT16_MAX || len >> 63 != 0))) {
        return refuse(r, WEFT_WS_PROTOCOL, "a length is not written in the shortest way");
    }
    if (!is_control(r->opcode) && len > r->max - r->len) {
        return refuse(r, WEFT_WS_TOO_BIG, "the message is too long");
    }
    if (r->from_client) {
        memcpy(r->mask, r->head + need - 4, 4);
    }
    r->left = len;
    r->phase = 0;
    r->control_len = 0;
    r->in_payload = true;
    if (!is_control(r->opcode)) {
        r->in_message = true;
    }
    return true;
}

/* Collects the head. False: not complete yet, or broken. */
static bool take_head(struct weft_ws_reader *r, char **at, const char *end)
{
    while (*at < end) {
        r->head[r->head_len++] = (unsigned char)*(*at)++;
        if (r->head_len == 2 && !check_begin(r)) {
            return false;
        }
        if (r->head_len >= 2 && r->head_len == head_need(r)) {
            r->head_len = 0;
            return check_head(r);
        }
    }
    return false;
}

static void keep(struct weft_ws_reader *r, const char *p, size_t n)
{
    if (n > r->cap - r->len) {
        size_t cap = r->cap == 0 ? FIRST_CAP : r->cap;

        while (cap < r->len + n) {
            cap *= 2;
        }
        cap = cap > r->max ? r->max : cap; /* len + n is within it: check_head() */
        r->message = realloc(r->message, cap);
        WEFT_ASSERT(r->message != NULL);
        r->cap = cap;
    }
    memcpy(r->message + r->len, p, n);
    r->len += n;
}

static bool is_sent_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static bool take_close(struct weft_ws_reader *r, struct weft_ws_message *ret)
{
    const unsigned char *p = (const unsigned char *)ret->data.p;

    ret->code = WEFT_WS_NO_CODE;
    if (ret->data.len == 0) {
        r->ended = true;
        return true;
    }
    if (ret->data.len == 1) {
        return refuse(r, WEFT_WS_PROTOCOL, "a close code has one byte");
    }
    ret->code = (unsigned)p[0] << 8 | p[1];
    ret->data = weft_str(ret->data.p + 2, ret->data.len - 2);
    if (!is_sent_code(ret->code)) {
        return refuse(r, WEFT_WS_PROTOCOL, "a close code is none that may be sent");
    }
    if (!is_utf8(ret->data.p, ret->data.len)) {
        return refuse(r, WEFT_WS_BAD_DATA, "a close reason is not UTF-8");
    }
    r->ended = true;
    return true;
}

/* The frame is complete, and so is the message. False: broken. */
static bool take_message(struct weft_ws_reader *r, struct weft_str data,
                         struct weft_ws_message *ret)
{
    ret->opcode = (enum weft_ws_opcode)r->opcode;
    ret->data = data;
    if (r->opcode == WEFT_WS_CLOSE) {
        return take_close(r, ret);
    }
    if (!is_control(r->opcode)) {
        ret->opcode = WEFT_WS_TEXT;
        r->in_message = false;
        r->handed_over = r->len > 0;
        if (!is_utf8(data.p, data.len)) {
            return refuse(r, WEFT_WS_BAD_DATA, "a text is not UTF-8");
        }
    }
    return true;
}

/* True: *ret is a message. */
static bool take_payload(struct weft_ws_reader *r, char **at, const char *end,
                         struct weft_ws_message *ret)
{
    size_t n = (uint64_t)(end - *at) < r->left ? (size_t)(end - *at) : (size_t)r->left;
    char *p = *at;
    struct weft_str data = weft_str(p, n);

    if (r->from_client) {
        unmask(p, n, r->mask, r->phase);
        r->phase = (unsigned char)((r->phase + n) & 3);
    }
    *at += n;
    r->left -= n;
    if (is_control(r->opcode)) {
        if (n > 0 && (r->left > 0 || r->control_len > 0)) {
            memcpy(r->control + r->control_len, p, n);
        }
        if (r->left > 0 || r->control_len > 0) {
            r->control_len = (unsigned char)(r->control_len + n);
            data = weft_str(r->control, r->control_len);
        }
    } else if (r->left > 0 || !r->fin || r->len > 0) {
        if (n > 0) {
            keep(r, p, n);
        }
        data = weft_str(r->message, r->len);
    }
    if (r->left > 0) {
        return false;
    }
    r->in_payload = false;
    return (is_control(r->opcode) || r->fin) && take_message(r, data, ret);
}

enum weft_ws_got weft_ws_read(struct weft_ws_reader *r, char **at, char *end,
                              struct weft_ws_message *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (r->handed_over) {
        forget_message(r);
    }
    if (r->ended) {
        *at = end;
    }
    while (r->broken.code == 0 && !r->ended) {
        if (!r->in_payload && !take_head(r, at, end)) {
            break;
        }
        /* A frame without payload is complete with its head. */
        if (take_payload(r, at, end, ret)) {
            return WEFT_WS_GOT_MESSAGE;
        }
        if (*at == end && r->in_payload) {
            break;
        }
    }
    if (r->broken.code != 0) {
        *ret = r->broken;
        *at = end;
        return WEFT_WS_GOT_BROKEN;
    }
    return WEFT_WS_GOT_NOTHING;
}

/* ---- writing ---- */

void weft_ws_put(struct weft_buf *out, enum weft_ws_opcode opcode, struct weft_str data)
{
    char head[WEFT_WS_HEAD_MAX];

    weft_buf_append(out, head, weft_ws_head(head, opcode, data.len));
    weft_buf_str(out, data);
}

void weft_ws_put_close(struct weft_buf *out, unsigned code, const char *reason)
{
    size_t len = strlen(reason);
    char text[WEFT_WS_CONTROL_MAX];

    WEFT_ASSERT(len <= WEFT_WS_REASON_MAX);
    if (code == WEFT_WS_NO_CODE) {
        weft_ws_put(out, WEFT_WS_CLOSE, weft_str(NULL, 0));
        return;
    }
    text[0] = (char)(code >> 8);
    text[1] = (char)(code & 0xff);
    memcpy(text + 2, reason, len);
    weft_ws_put(out, WEFT_WS_CLOSE, weft_str(text, 2 + len));
}

void weft_ws_put_masked(struct weft_buf *out, enum weft_ws_opcode opcode, bool fin, uint32_t mask,
                        struct weft_str data)
{
    char head[WEFT_WS_HEAD_MAX];
    unsigned char key[4];
    size_t n = weft_ws_head(head, opcode, data.len);

    if (!fin) {
        head[0] = (char)(head[0] & 0x7f);
    }
    head[1] = (char)(head[1] | 0x80);
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = (unsigned char)(mask >> (8 * i));
    }
    weft_buf_append(out, head, n);
    weft_buf_append(out, key, sizeof(key));
    size_t from = out->len;
    weft_buf_str(out, data);
    if (out->len - from == data.len && data.len > 0) {
        unmask(out->data + from, data.len, key, 0);
    }
}
