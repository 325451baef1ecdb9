#include <weft/tls/session.h>

#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define RECORD_BYTES ((size_t)16384)

bool weft_tls_session_begin(struct ssl_st *ssl, int fd)
{
    if (SSL_up_ref(ssl) != 1) {
        return false;
    }
    if (SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return false;
    }
    (void)SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY); /* see below */
    return true;
}

void weft_tls_session_finish(struct ssl_st *ssl)
{
    ERR_clear_error();
    (void)SSL_shutdown(ssl);
    ERR_clear_error();
}

void weft_tls_session_end(struct ssl_st *ssl, bool broken)
{
    if (!broken && (SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN) == 0) {
        weft_tls_session_finish(ssl);
    }
    SSL_free(ssl);
}

/*
 * The next record's bytes: as they lie, or, where they are in pieces, copied together, since each record costs some
 * microseconds and 22 bytes. The same bytes give the same length, as OpenSSL wants it of a write that is repeated.
 */
static size_t gather(const struct iovec *iov, size_t n, size_t skip, char *copy,
                     const char **ret_bytes)
{
    size_t len = 0;
    size_t i = 0;

    for (; i < n && skip >= iov[i].iov_len; i++) {
        skip -= iov[i].iov_len;
    }
    if (i < n && (iov[i].iov_len - skip >= RECORD_BYTES || i + 1 == n)) {
        size_t left = iov[i].iov_len - skip;

        *ret_bytes = (const char *)iov[i].iov_base + skip;
        return left < RECORD_BYTES ? left : RECORD_BYTES;
    }
    for (; i < n && len < RECORD_BYTES; i++) {
        size_t left = iov[i].iov_len - skip;
        size_t take = left < RECORD_BYTES - len ? left : RECORD_BYTES - len;

        memcpy(copy + len, (const char *)iov[i].iov_base + skip, take);
        len += take;
        skip = 0;
    }
    *ret_bytes = copy;
    return len;
}

ssize_t weft_tls_session_write(struct ssl_st *ssl, const struct iovec *iov, size_t n,
                               size_t *ret_wire)
{
    uint64_t before = BIO_number_written(SSL_get_wbio(ssl));
    char copy[RECORD_BYTES];
    const char *bytes;
    size_t taken = 0;
    size_t len;
    bool broken = false;

    while (!broken && (len = gather(iov, n, taken, copy, &bytes)) > 0) {
        int rc;

        ERR_clear_error();
        rc = SSL_write(ssl, bytes, (int)len);
        if (rc > 0) {
            taken += (size_t)rc;
        } else if (SSL_get_error(ssl, rc) == SSL_ERROR_WANT_WRITE) {
            break;
        } else {
            broken = true;
            ERR_clear_error();
        }
    }
    *ret_wire = (size_t)(BIO_number_written(SSL_get_wbio(ssl)) - before);
    return broken ? -1 : (ssize_t)taken;
}

/*
 * By itself SSL_read() would go on as long as there are records of TLS's own, such as KeyUpdate: a client that sends nothing
 * else would have the thread for itself. Without SSL_MODE_AUTO_RETRY it comes back after each of them; whether it does so for
 * want of bytes shows by whether it has read some.
 */
ssize_t weft_tls_session_read(struct ssl_st *ssl, char *out, size_t size, unsigned *records)
{
    for (;;) {
        uint64_t before = BIO_number_read(SSL_get_rbio(ssl));
        int rc;

        ERR_clear_error();
        rc = SSL_read(ssl, out, size < INT32_MAX ? (int)size : INT32_MAX);
        if (rc > 0) {
            return rc;
        }
        if ((SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0) { /* or its callback says so */
            ERR_clear_error();
            return -1;
        }
        switch (SSL_get_error(ssl, rc)) {
        case SSL_ERROR_WANT_READ:
            if (BIO_number_read(SSL_get_rbio(ssl)) == before) {
                return 0;
            }
            if (*records == 0) {
                return -1;
            }
            --*records;
            break;
        case SSL_ERROR_WANT_WRITE: /* an answer of TLS's own waits: it goes with the next write */
            return 0;
        default:
            ERR_clear_error();
            return -1;
        }
    }
}
