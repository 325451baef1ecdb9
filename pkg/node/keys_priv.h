/*
 * keys - the file of keys that tokens are checked with, as a node reads it when it starts. Main thread.
 */
#ifndef WEFT_NODE_KEYS_PRIV_H
#define WEFT_NODE_KEYS_PRIV_H

#include <weft/base/err.h>

struct weft_config;
struct weft_keychain;

/* 0 also where no file is configured. Else err->field is `auth.jwks`. May block on the file. */
int weft_node_keys_read(struct weft_keychain *keychain, const struct weft_config *cfg,
                        struct weft_err *err) WEFT_MUST_CHECK;

#endif
