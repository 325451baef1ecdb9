/*
 * tls - what all TLS connections to Redis share: whom to believe, and who we are.
 *
 * At least TLS 1.2; the server's certificate and the name in it are always checked. The files are
 * read once, by create. One loop's thread uses it.
 */
#ifndef WEFT_REDIS_TLS_H
#define WEFT_REDIS_TLS_H

#include <weft/base/err.h>

struct weft_redis_tls; /* opaque */

struct weft_redis_tls_opts {
    const char *ca;   /* file with the certificates to believe; "": those of the system */
    const char *cert; /* file with our certificate and its chain; "": none is shown */
    const char *key;  /* file with its key; "": it is in cert */
};

/* Yours. WEFT_EINVAL (err names the parameter and the file), WEFT_ENOMEM. */
int weft_redis_tls_create(struct weft_redis_tls **ret_tls, const struct weft_redis_tls_opts *opts,
                          struct weft_err *err) WEFT_MUST_CHECK;
/* After the last connection that uses it. NULL is allowed. */
void weft_redis_tls_destroy(struct weft_redis_tls *tls);

#endif
