/*
 * keychain - the keyring of the moment, and the file it comes from.
 *
 * Any thread takes a reference; one thread, the owner, puts another in its place, mostly since the
 * file has changed. Kubernetes changes one by letting a symbolic link point elsewhere, so what is
 * compared is the file at the end of all links.
 */
#ifndef WEFT_AUTH_KEYCHAIN_H
#define WEFT_AUTH_KEYCHAIN_H

#include <weft/auth/keyring.h>

struct weft_keychain;

/* Empty. Yours. */
struct weft_keychain *weft_keychain_create(void);
/* NULL is allowed. Nobody may use it any more; keyrings that were given out live on. */
void weft_keychain_destroy(struct weft_keychain *chain);

/* Any thread. Shared: one reference for the caller; NULL while there are no keys. */
struct weft_keyring *weft_keychain_get(struct weft_keychain *chain);

/* Owner. Takes over the caller's reference; NULL: no keys any more. */
void weft_keychain_set(struct weft_keychain *chain, struct weft_keyring *keys);

enum weft_keychain_news {
    WEFT_KEYCHAIN_SAME,    /* not changed since it was read last, well or badly */
    WEFT_KEYCHAIN_CHANGED, /* read, and in its place */
    WEFT_KEYCHAIN_WRONG    /* changed and cannot be used: the keys from before stay, err says why */
};

/*
 * Owner. Reads the file if it is another one than at the last call, or has changed (device, inode,
 * size, times of change). A file that is wrong or gone is reported once and read again when it
 * changes again.
 */
enum weft_keychain_news weft_keychain_poll(struct weft_keychain *chain, const char *path,
                                           struct weft_err *err) WEFT_MUST_CHECK;

#endif
