#include <weft/tls/openssl.h>

#include <string.h>

#include <openssl/err.h>

const char *weft_openssl_why(void)
{
    unsigned long code = ERR_peek_last_error();
    unsigned long first = ERR_peek_error();
    const char *why;

    /* A file that cannot be opened: the system's error comes first, then what it was wanted for. */
    if (ERR_SYSTEM_ERROR(first)) {
        why = strerror(ERR_GET_REASON(first));
    } else {
        why = ERR_reason_error_string(code);
    }
    ERR_clear_error();
    return why == NULL ? "unknown reason" : why;
}

int weft_openssl_no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return 0;
}
