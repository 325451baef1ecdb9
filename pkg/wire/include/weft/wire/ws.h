/*
 * ws - the frames of WebSocket (RFC 6455): a reader of what a peer sends, and what is put before what it is sent.
 *
 * Text only, no extensions: whatever breaks the RFC, and binary messages, end the connection with the close code that
 * the RFC has for it. The reader unmasks in place and hands over whole messages; one that came in one piece is where
 * the caller has read it to. Nothing is allocated but for a message that is not complete yet, and that by what has
 * come of it, not by what its head promises. Pure.
 */
#ifndef WEFT_WIRE_WS_H
#define WEFT_WIRE_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/str.h>

enum weft_ws_opcode {
    WEFT_WS_CONTINUATION = 0,
    WEFT_WS_TEXT = 1,
    WEFT_WS_BINARY = 2,
    WEFT_WS_CLOSE = 8,
    WEFT_WS_PING = 9,
    WEFT_WS_PONG = 10
};

/* The RFC's, and ours from 4000 on: as HTTP's, plus 4000. */
enum weft_ws_code {
    WEFT_WS_NORMAL = 1000,
    WEFT_WS_GOING_AWAY = 1001,
    WEFT_WS_PROTOCOL = 1002,
    WEFT_WS_UNSUPPORTED = 1003,
    WEFT_WS_NO_CODE = 1005, /* never sent: the close frame was empty */
    WEFT_WS_BAD_DATA = 1007,
    WEFT_WS_TOO_BIG = 1009,
    WEFT_WS_UNAUTHORIZED = 4401,
    WEFT_WS_TIMEOUT = 4408,
    WEFT_WS_LIMITED = 4429
};

#define WEFT_WS_CONTROL_MAX 125 /* bytes in a ping, pong or close */
#define WEFT_WS_REASON_MAX  123
#define WEFT_WS_HEAD_MAX    10

/* ---- reading ---- */

enum weft_ws_got {
    WEFT_WS_GOT_NOTHING, /* all that there was is taken */
    WEFT_WS_GOT_MESSAGE,
    WEFT_WS_GOT_BROKEN /* the connection is to be closed with code and why */
};

struct weft_ws_message {
    enum weft_ws_opcode opcode; /* TEXT, PING, PONG or CLOSE */
    struct weft_str data;       /* of CLOSE: the reason */
    unsigned code;              /* of CLOSE and of what is broken */
    const char *why;            /* it is broken: one sentence, static */
};

/* One owner; the members are the reader's. */
struct weft_ws_reader {
    char *message; /* what has come of one in pieces */
    size_t len, cap, max;
    uint64_t left; /* bytes of the frame's payload that are still to come */
    unsigned char mask[4];
    unsigned char phase; /* which byte of the mask is next */
    unsigned char head[14];
    unsigned char head_len;
    unsigned char control_len;
    unsigned char opcode;          /* of the frame */
    bool from_client;              /* frames have to be masked, else must not be */
    bool in_payload : 1;           /* the head is complete */
    bool fin : 1;                  /* of the frame */
    bool in_message : 1;           /* a text was begun, and its last frame has not come */
    bool handed_over : 1;          /* message is the caller's until the next read */
    bool ended : 1;                /* nothing counts after a close */
    struct weft_ws_message broken; /* code 0: it is not */
    char control[WEFT_WS_CONTROL_MAX];
};

/* max_message: bytes of one message; a longer one is refused (1009) as soon as its length is known. */
void weft_ws_reader_init(struct weft_ws_reader *r, size_t max_message, bool from_client);
/* Safe on a zeroed struct. */
void weft_ws_reader_fini(struct weft_ws_reader *r);

/*
 * Takes what *at points to, up to end, until something has come; *at then stands behind it. The bytes are changed.
 * ret's texts point into them or into the reader, until the next read.
 */
enum weft_ws_got weft_ws_read(struct weft_ws_reader *r, char **at, char *end,
                              struct weft_ws_message *ret);

/* ---- writing ---- */

static inline size_t weft_ws_head_len(size_t len)
{
    return len < 126 ? 2 : len <= UINT16_MAX ? 4 : 10;
}

/* The head of a server's frame, not fragmented: returns its length, which is as above. */
static inline size_t weft_ws_head(char *out, enum weft_ws_opcode opcode, size_t len)
{
    size_t n = weft_ws_head_len(len);

    out[0] = (char)(0x80U | opcode);
    if (n == 2) {
        out[1] = (char)len;
        return n;
    }
    out[1] = n == 4 ? 126 : 127;
    for (size_t i = n; i > 2; i--) {
        out[i - 1] = (char)(len & 0xff);
        len >>= 8;
    }
    return n;
}

/* Appends a whole frame. */
void weft_ws_put(struct weft_buf *out, enum weft_ws_opcode opcode, struct weft_str data);
/* reason: UTF-8, at most WEFT_WS_REASON_MAX bytes (asserted). NO_CODE: an empty close. */
void weft_ws_put_close(struct weft_buf *out, unsigned code, const char *reason);
/* A client's frame, as ours and tests send them. */
void weft_ws_put_masked(struct weft_buf *out, enum weft_ws_opcode opcode, bool fin, uint32_t mask,
                        struct weft_str data);

#endif
