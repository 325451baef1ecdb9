/*
 * token - what the files of the command `weft token` share.
 *
 * It asks no node: keys and tokens are made and read on the spot.
 */
#ifndef WEFT_CMD_TOKEN_H
#define WEFT_CMD_TOKEN_H

#include <stdbool.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>

#include "args.h"

struct token {
    struct args_list words;
    struct args_list publish, subscribe, roles, audiences, issuers;
    const char *alg, *kid, *key, *jwks, *subject, *jti, *expires;
};

/* An enum exit_code each; what is printed is with output. */
int token_make(const struct token *t);
int token_read(const struct token *t);

/* A file, `-` for stdin, of at most out->max bytes. false: said on stderr. */
bool token_read_file(struct weft_buf *out, const char *path);

/* Says err on stderr, after what it is about. EXIT_REFUSED. */
int token_refuse(const char *about, const struct weft_err *err);

#endif
