/*
 * openssl - what everybody needs who reads certificates and keys with OpenSSL. Any thread.
 */
#ifndef WEFT_TLS_OPENSSL_H
#define WEFT_TLS_OPENSSL_H

/* Why OpenSSL failed just now on this thread; its queue of errors is empty then. Valid until the next failure. */
const char *weft_openssl_why(void);

/* For SSL_CTX_set_default_passwd_cb: there is no passphrase. Without it OpenSSL would ask on the terminal. */
int weft_openssl_no_passphrase(char *buf, int size, int writing, void *ctx);

#endif
