#include "worker_priv.h"

#include <string.h>

/*
 * libh2o takes requests that a proxy before it may read as something else: Content-Length together
 * with Transfer-Encoding, differing Content-Lengths, bare LF, folded lines, two Hosts (RFC 9112
 * sections 2.2, 5.2, 6.3). A request hidden in such a body would be served as the next one. So the
 * head is looked at as it came, before any handler.
 */

static bool name_is(struct weft_str line, const char *name, size_t len)
{
    return line.len > len && line.p[len] == ':' &&
           weft_str_ieq(weft_str(line.p, len), weft_str(name, len));
}

#define NAME_IS(line, literal) name_is((line), (literal), sizeof(literal) - 1)

/* A method, and a path: libh2o makes one of whatever stands there. */
static bool is_request_line(struct weft_str line)
{
    const char *space = memchr(line.p, ' ', line.len);
    size_t at = space == NULL ? line.len : (size_t)(space - line.p) + 1;

    return at > 1 && at < line.len && line.p[at] == '/';
}

const char *weft_rawhead_check(struct weft_str head, bool http11, bool *ret_chunked)
{
    unsigned lengths = 0;
    unsigned encodings = 0;
    unsigned hosts = 0;
    bool first = true;

    (void)weft_str_take(&head, "\r\n"); /* as libh2o does (RFC 9112, section 2.2) */
    while (head.len > 0) {
        const char *lf = memchr(head.p, '\n', head.len);
        struct weft_str line;

        if (lf == NULL) {
            return "the head has no end";
        }
        line = weft_str(head.p, (size_t)(lf - head.p));
        head.p += line.len + 1;
        head.len -= line.len + 1;
        if (line.len == 0 || line.p[line.len - 1] != '\r') {
            return "a line of the head ends without CR";
        }
        line.len--;
        if (memchr(line.p, '\r', line.len) != NULL) {
            return "a line of the head has a CR inside";
        }
        if (first) {
            if (!is_request_line(line)) {
                return "it must begin with a method, a space and a path";
            }
            first = false;
            continue;
        }
        if (line.len == 0) {
            break;
        }
        if (line.p[0] == ' ' || line.p[0] == '\t') {
            return "a header is folded over lines";
        }
        switch (line.p[0] | 0x20) {
        case 'c':
            lengths += NAME_IS(line, "content-length") ? 1 : 0;
            break;
        case 't':
            encodings += NAME_IS(line, "transfer-encoding") ? 1 : 0;
            break;
        case 'h':
            hosts += NAME_IS(line, "host") ? 1 : 0;
            break;
        default:
            break;
        }
    }
    *ret_chunked = encodings > 0;
    if (lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0)) {
        return "the length of the body is given more than once";
    }
    if (encodings > 0 && !http11) {
        return "Transfer-Encoding does not exist in HTTP/1.0";
    }
    if (hosts > 1 || (hosts == 0 && http11)) {
        return "there must be one Host";
    }
    return NULL;
}
