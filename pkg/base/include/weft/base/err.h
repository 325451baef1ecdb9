/*
 * err - the one table of error codes, and the sentence an operator reads.
 *
 * Functions return 0 or a negative code from this table. Calls whose failure
 * a person has to understand also fill a struct weft_err. There is no
 * thread-local last error: it would not travel with a message.
 */
#ifndef WEFT_BASE_ERR_H
#define WEFT_BASE_ERR_H

#define WEFT_ERR_TABLE(X)                               \
    X(EINVAL, 1, "invalid input")                       \
    X(EFULL, 2, "a bounded queue or table is full")     \
    X(ENOMEM, 3, "out of memory")                       \
    X(EUNAVAILABLE, 4, "a dependency is not available") \
    X(ETOOBIG, 5, "larger than the limit")              \
    X(ENOTFOUND, 6, "not found")                        \
    X(EPROTO, 7, "the peer broke the protocol")         \
    X(ESYS, 8, "a system call failed")                  \
    X(ECONFLICT, 9, "conflicts with what is there")     \
    X(ESTOPPED, 10, "stopping")                         \
    X(ETIMEOUT, 11, "timed out")

enum weft_rc {
    WEFT_OK = 0,
#define X(name, value, text) WEFT_##name = -(value),
    WEFT_ERR_TABLE(X)
#undef X
};

#define WEFT_MUST_CHECK __attribute__((warn_unused_result))

/* What went wrong, for a person: which field, and one sentence. Caller-owned. */
struct weft_err {
    int code;
    char field[96];    /* the wrong field's path, or "" */
    char message[256]; /* one sentence, no line breaks */
};

/* Fills *err (may be NULL) and returns code, so that callers can `return weft_err_set(...)`. */
int weft_err_set(struct weft_err *err, int code, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Static text for a code. Never NULL. */
const char *weft_err_text(int code);

#endif
