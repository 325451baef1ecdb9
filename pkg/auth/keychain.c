#include <weft/auth/keychain.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/base/assert.h>

#include "keyring_priv.h"

/* What a file looks like from outside. All zero: there is none. */
struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec modified;
    struct timespec changed; /* also by a rename onto it, and not to be set by hand */
};

struct weft_keychain {
    struct { /* any thread, mu held */
        pthread_mutex_t mu;
        struct weft_keyring *keys;
    } locked;
    struct {        /* of the owner */
        char *path; /* NULL: never read one */
        struct stamp stamp;
    } last;
};

struct weft_keychain *weft_keychain_create(void)
{
    struct weft_keychain *chain = calloc(1, sizeof(*chain));

    WEFT_ASSERT(chain != NULL);
    WEFT_ASSERT(pthread_mutex_init(&chain->locked.mu, NULL) == 0);
    return chain;
}

void weft_keychain_destroy(struct weft_keychain *chain)
{
    if (chain == NULL) {
        return;
    }
    weft_keyring_unref(chain->locked.keys);
    pthread_mutex_destroy(&chain->locked.mu);
    free(chain->last.path);
    free(chain);
}

struct weft_keyring *weft_keychain_get(struct weft_keychain *chain)
{
    struct weft_keyring *keys;

    pthread_mutex_lock(&chain->locked.mu);
    keys = chain->locked.keys == NULL ? NULL : weft_keyring_ref(chain->locked.keys);
    pthread_mutex_unlock(&chain->locked.mu);
    return keys;
}

void weft_keychain_set(struct weft_keychain *chain, struct weft_keyring *keys)
{
    struct weft_keyring *before;

    pthread_mutex_lock(&chain->locked.mu);
    before = chain->locked.keys;
    chain->locked.keys = keys;
    pthread_mutex_unlock(&chain->locked.mu);
    weft_keyring_unref(before);
}

static struct stamp stamp_of(const struct stat *st)
{
    return (struct stamp){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static bool times_equal(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool stamps_equal(const struct stamp *a, const struct stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           times_equal(a->modified, b->modified) && times_equal(a->changed, b->changed);
}

/* Whether this is the path and the file of the last time; if not, it is from now on. */
static bool is_same(struct weft_keychain *chain, const char *path, const struct stamp *stamp)
{
    bool same_path = chain->last.path != NULL && strcmp(chain->last.path, path) == 0;

    if (same_path && stamps_equal(&chain->last.stamp, stamp)) {
        return true;
    }
    if (!same_path) {
        free(chain->last.path);
        chain->last.path = strdup(path);
        WEFT_ASSERT(chain->last.path != NULL);
    }
    chain->last.stamp = *stamp;
    return false;
}

enum weft_keychain_news weft_keychain_poll(struct weft_keychain *chain, const char *path,
                                           struct weft_err *err)
{
    struct weft_keyring *keys;
    struct stamp stamp = {.dev = 0};
    struct stat st;
    int fd;
    int rc;

    if (stat(path, &st) == 0) {
        stamp = stamp_of(&st);
    }
    if (is_same(chain, path, &stamp)) {
        return WEFT_KEYCHAIN_SAME;
    }
    fd = weft_keyring_open(path, err);
    if (fd < 0) {
        return WEFT_KEYCHAIN_WRONG;
    }
    /*
     * Of what is read, and from before it is read: a file that is replaced or written to meanwhile
     * looks changed at the next call.
     */
    if (fstat(fd, &st) == 0) {
        chain->last.stamp = stamp_of(&st);
    }
    rc = weft_keyring_load_fd(&keys, fd, path, err);
    close(fd);
    if (rc != 0) {
        return WEFT_KEYCHAIN_WRONG;
    }
    weft_keychain_set(chain, keys);
    return WEFT_KEYCHAIN_CHANGED;
}
