#include <weft/base/err.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/base/str.h>

/*
 * Messages quote what a peer sent and end up in logs and JSON answers: bytes that would break a
 * line or the encoding become '?', and a sequence that was cut off at the end goes.
 */
static void make_printable(char *s, size_t size)
{
    size_t len = strlen(s);
    bool cut = len + 1 == size;
    size_t i = 0;

    while (i < len) {
        size_t n = weft_utf8_len(s + i, len - i);

        if (n == 0 && cut && len - i < 4 && (s[i] & 0x80) != 0) {
            s[i] = '\0';
            return;
        }
        if (n == 0 || (n == 1 && ((unsigned char)s[i] < 0x20 || s[i] == 0x7f))) {
            s[i] = '?';
            n = 1;
        }
        i += n;
    }
}

int weft_err_set(struct weft_err *err, int code, const char *field, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return code;

    err->code = code;
    (void)snprintf(err->field, sizeof(err->field), "%s", field);
    va_start(ap, fmt);
    (void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    make_printable(err->field, sizeof(err->field));
    make_printable(err->message, sizeof(err->message));
    return code;
}

const char *weft_err_text(int code)
{
    switch (code) {
    case WEFT_OK:
        return "ok";
#define X(name, value, text) \
    case WEFT_##name:        \
        return text;
        WEFT_ERR_TABLE(X)
#undef X
    default:
        return "unknown error";
    }
}
