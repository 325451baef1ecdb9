/*
 * session - TLS on a descriptor, after its handshake: reading, writing, the end.
 *
 * As read(2) and write(2) on a descriptor that does not block. What it keeps of a write is one record at most (16
 * KiB), which the descriptor took in part. One thread.
 */
#ifndef WEFT_TLS_SESSION_H
#define WEFT_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <weft/base/err.h>

struct iovec;
struct ssl_st;

/* From now on ssl reads and writes fd, which is borrowed. Another reference to ssl is taken. False: out of memory. */
bool weft_tls_session_begin(struct ssl_st *ssl, int fd) WEFT_MUST_CHECK;
/* Says goodbye if the descriptor takes it; nothing may be written any more, reading goes on. */
void weft_tls_session_finish(struct ssl_st *ssl);
/*
 * Says goodbye if the descriptor takes it, and gives the reference back; the descriptor stays open. broken: a call of the
 * two below said -1.
 */
void weft_tls_session_end(struct ssl_st *ssl, bool broken);

/*
 * Bytes taken, which are fewer than all only if the descriptor takes no more now; -1: the connection is broken. A
 * write that was not taken whole has to be followed by one that begins with the bytes that were not taken, and no fewer of
 * them. *ret_wire: bytes that went to the descriptor.
 */
ssize_t weft_tls_session_write(struct ssl_st *ssl, const struct iovec *iov, size_t n,
                               size_t *ret_wire);
/*
 * Bytes read; 0: none now; -1: the peer has gone, or broke the protocol. *records: how many records without bytes for
 * out (new keys, or half a record) may be read; counted down, and -1 when there are more.
 */
ssize_t weft_tls_session_read(struct ssl_st *ssl, char *out, size_t size, unsigned *records);

#endif
