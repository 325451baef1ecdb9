#include "scan.h"

#include <string.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decimal digits from *p on; moves *p behind them. */
static uint64_t number(const char **p, const char *end)
{
    uint64_t value = 0;

    while (*p < end && **p >= '0' && **p <= '9')
        value = value * 10 + (uint64_t)(*(*p)++ - '0');
    return value;
}

static void take_id(struct scan_event *event, const char *p, const char *end)
{
    event->id.ms = number(&p, end);
    if (p < end && *p == '-') {
        p++;
        event->id.seq = number(&p, end);
    }
}

/* `"payload":{"n":"…","t":"…"`: the two numbers stand at fixed places behind the mark. */
static void take_payload(struct scan_event *event, const char *p, const char *end)
{
    static const char mark[] = "\"payload\":{\"n\":\"";
    const char *at = memmem(p, (size_t)(end - p), mark, sizeof(mark) - 1);

    if (at == NULL || end - at < (long)sizeof(mark) + SCAN_N_DIGITS + SCAN_T_DIGITS + 8) {
        event->kind = SCAN_FOREIGN;
        return;
    }
    at += sizeof(mark) - 1;
    event->n = (uint32_t)number(&at, end);
    at += sizeof("\",\"t\":\"") - 1;
    event->sent_ns = number(&at, end);
}

static enum scan_kind kind_of(const char *type, size_t len)
{
    if (len < 5 || memcmp(type, "weft.", 5) != 0)
        return SCAN_EVENT;
    if (len == 9 && memcmp(type, "weft.open", 9) == 0)
        return SCAN_OPEN;
    if (len == 8 && memcmp(type, "weft.gap", 8) == 0)
        return SCAN_GAP;
    if (len == 10 && memcmp(type, "weft.moved", 10) == 0)
        return SCAN_MOVED;
    return SCAN_CONTROL;
}

/* The events of one chunk's data. */
static int scan_events(const char *p, const char *end, scan_event_found *found, void *ctx)
{
    struct scan_event event = {.kind = SCAN_EVENT};
    bool has_data = false;

    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));

        if (lf == NULL)
            return SCAN_BROKEN;
        if (lf == p) {
            if (has_data && !found(ctx, &event))
                return SCAN_ENDED;
            event = (struct scan_event){.kind = SCAN_EVENT};
            has_data = false;
        } else if (lf - p > 6 && memcmp(p, "data: ", 6) == 0) {
            has_data = true;
            if (event.kind == SCAN_EVENT)
                take_payload(&event, p + 6, lf);
        } else if (lf - p > 4 && memcmp(p, "id: ", 4) == 0) {
            take_id(&event, p + 4, lf);
        } else if (lf - p > 7 && memcmp(p, "retry: ", 7) == 0) {
            const char *digits = p + 7;

            event.retry_ms = number(&digits, lf);
        } else if (lf - p > 7 && memcmp(p, "event: ", 7) == 0) {
            event.kind = kind_of(p + 7, (size_t)(lf - p) - 7);
        }
        p = lf + 1;
    }
    return has_data ? SCAN_BROKEN : 0;
}

long scan_chunks(const char *p, size_t len, scan_event_found *found, void *ctx)
{
    const char *begin = p, *end = p + len;

    for (;;) {
        const char *at = p;
        size_t size = 0;
        int digit, rc;

        while (at < end && (digit = hex(*at)) >= 0) {
            size = size << 4 | (size_t)digit;
            if (++at - p > 8)
                return SCAN_BROKEN;
        }
        if (end - at < 2)
            return p - begin;
        if (at == p || at[0] != '\r' || at[1] != '\n')
            return SCAN_BROKEN;
        at += 2;
        if (size == 0)
            return SCAN_ENDED;
        if ((size_t)(end - at) < size + 2)
            return p - begin;
        rc = scan_events(at, at + size, found, ctx);
        if (rc != 0)
            return rc;
        if (at[size] != '\r' || at[size + 1] != '\n')
            return SCAN_BROKEN;
        p = at + size + 2;
    }
}

/* ---- frames ---- */

/* The text behind `"key":"`; NULL if it is not there. */
static const char *text_of(const char *p, const char *end, const char *key)
{
    const char *at = memmem(p, (size_t)(end - p), key, strlen(key));

    return at == NULL ? NULL : at + strlen(key);
}

/* One message: an event, whose JSON begins with its id, or a control message. */
static void take_message(struct scan_event *event, const char *p, const char *end)
{
    static const char id[] = "{\"id\":\"";
    static const char type[] = "{\"type\":\"";
    const char *at;

    if (end - p > (long)sizeof(id) && memcmp(p, id, sizeof(id) - 1) == 0) {
        take_id(event, p + sizeof(id) - 1, end);
        take_payload(event, p, end);
        return;
    }
    event->kind = SCAN_CONTROL;
    if (end - p <= (long)sizeof(type) || memcmp(p, type, sizeof(type) - 1) != 0)
        return;
    p += sizeof(type) - 1;
    at = memchr(p, '"', (size_t)(end - p));
    if (at != NULL)
        event->kind = kind_of(p, (size_t)(at - p));
    if (event->kind == SCAN_EVENT) /* weft.ok comes as well */
        event->kind = SCAN_CONTROL;
    at = text_of(p, end, "\"cursor\":\"");
    if (event->kind == SCAN_OPEN && at != NULL)
        take_id(event, at, end);
    at = text_of(p, end, "\"retry_ms\":");
    if (event->kind == SCAN_MOVED && at != NULL)
        event->retry_ms = number(&at, end);
}

/* The length of a frame's head, 0 if not all of it is there; *ret_size: of what follows. */
static size_t frame_head(const unsigned char *p, size_t len, uint64_t *ret_size)
{
    size_t more = len < 2 ? 0 : p[1] == 126 ? 2 : p[1] == 127 ? 8 : 0;

    if (len < 2 + more)
        return 0;
    *ret_size = more == 0 ? p[1] : 0;
    for (size_t i = 0; i < more; i++)
        *ret_size = *ret_size << 8 | p[2 + i];
    return 2 + more;
}

long scan_frames(const char *p, size_t len, scan_event_found *found, void *ctx)
{
    const char *begin = p, *end = p + len;

    for (;;) {
        struct scan_event event = {.kind = SCAN_EVENT};
        uint64_t size;
        size_t head = frame_head((const unsigned char *)p, (size_t)(end - p), &size);
        unsigned first = head == 0 ? 0 : (unsigned char)*p;

        if (head == 0 || (uint64_t)(end - p) - head < size)
            return p - begin;
        p += head;
        if (first == 0x88)
            return SCAN_ENDED;
        if (first == 0x89)
            event.kind = SCAN_PING;
        else if (first == 0x81)
            take_message(&event, p, p + size);
        else
            return SCAN_BROKEN;
        p += size;
        if (!found(ctx, &event))
            return SCAN_ENDED;
    }
}
