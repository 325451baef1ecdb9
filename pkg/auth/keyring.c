#include <weft/auth/keyring.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/base/assert.h>
#include <weft/base/buf.h>

#include "keyring_priv.h"

json_t *weft_keyring_json(struct weft_str text, struct weft_err *err)
{
    json_error_t where;
    json_t *root = json_loadb(text.len > 0 ? text.p : "", text.len, JSON_REJECT_DUPLICATES, &where);

    if (root == NULL) {
        /* Its text would quote the file, in which there may be secrets. */
        (void)weft_err_set(err, WEFT_EINVAL, "", "is not valid JSON: line %d, column %d",
                           where.line, where.column);
    }
    return root;
}

static bool has_kid(const struct weft_keyring *keys, struct weft_str kid)
{
    for (size_t i = 0; kid.len > 0 && i < keys->n; i++) {
        if (weft_str_eq(keys->keys[i].kid, kid)) {
            return true;
        }
    }
    return false;
}

static int read_keys(struct weft_keyring *keys, const json_t *list, struct weft_err *err)
{
    const json_t *jwk;
    size_t i;

    json_array_foreach(list, i, jwk) {
        struct weft_key *key = &keys->keys[keys->n];
        char where[32];

        (void)snprintf(where, sizeof(where), "keys[%zu]", i);
        switch (weft_key_read(key, jwk, where, err)) {
        case WEFT_KEY_BAD:
            return WEFT_EINVAL;
        case WEFT_KEY_SKIP:
            keys->skipped++;
            break;
        case WEFT_KEY_GOOD:
            if (has_kid(keys, key->kid)) {
                json_decref(key->jwk);
                return weft_err_set(err, WEFT_EINVAL, where, "has the kid of a key before it");
            }
            keys->n++;
            break;
        }
    }
    if (keys->n == 0) {
        return weft_err_set(err, WEFT_EINVAL, "keys",
                            "has no key that can check signatures (%zu of another kind)",
                            keys->skipped);
    }
    return 0;
}

static int read_root(struct weft_keyring **ret, const json_t *root, struct weft_err *err)
{
    const json_t *list = json_object_get(root, "keys");
    size_t n = json_array_size(list);
    struct weft_keyring *keys;
    int rc;

    if (!json_is_array(list)) {
        return weft_err_set(err, WEFT_EINVAL, "keys",
                            "must be an array: a JWK set is {\"keys\": [...]}");
    }
    if (n > WEFT_KEYRING_KEYS_MAX) {
        return weft_err_set(err, WEFT_ETOOBIG, "keys", "has more than %d keys",
                            WEFT_KEYRING_KEYS_MAX);
    }
    keys = calloc(1, sizeof(*keys) + n * sizeof(keys->keys[0]));
    WEFT_ASSERT(keys != NULL);
    atomic_init(&keys->refs, 1);
    rc = read_keys(keys, list, err);
    if (rc != 0) {
        weft_keyring_unref(keys);
        return rc;
    }
    *ret = keys;
    return 0;
}

int weft_keyring_parse(struct weft_keyring **ret, struct weft_str json, struct weft_err *err)
{
    json_t *root;
    int rc;

    if (json.len > WEFT_KEYRING_BYTES_MAX) {
        return weft_err_set(err, WEFT_ETOOBIG, "", "is longer than %d bytes",
                            WEFT_KEYRING_BYTES_MAX);
    }
    root = weft_keyring_json(json, err);
    if (root == NULL) {
        return WEFT_EINVAL;
    }
    rc = read_root(ret, root, err);
    json_decref(root);
    return rc;
}

int weft_keyring_open(const char *path, struct weft_err *err)
{
    /* A pipe without a writer would block for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0) {
        (void)weft_err_set(err, WEFT_ESYS, "", "cannot read %s: %s", path, strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)weft_err_set(err, WEFT_EINVAL, "", "%s is not a regular file", path);
        close(fd);
        return -1;
    }
    return fd;
}

static int read_all(struct weft_buf *out, int fd, const char *name, struct weft_err *err)
{
    char piece[4096];

    while (!out->toobig) {
        ssize_t n = read(fd, piece, sizeof(piece));

        if (n == 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return weft_err_set(err, WEFT_ESYS, "", "cannot read %s: %s", name, strerror(errno));
        }
        if (n > 0) {
            weft_buf_append(out, piece, (size_t)n);
        }
    }
    return weft_err_set(err, WEFT_ETOOBIG, "", "%s is longer than %d bytes", name,
                        WEFT_KEYRING_BYTES_MAX);
}

int weft_keyring_load_fd(struct weft_keyring **ret, int fd, const char *name, struct weft_err *err)
{
    struct weft_err why = {.message = ""};
    struct weft_buf text;
    int rc;

    weft_buf_init(&text, WEFT_KEYRING_BYTES_MAX);
    rc = read_all(&text, fd, name, err);
    if (rc == 0) {
        rc = weft_keyring_parse(ret, weft_str(text.data, text.len), &why);
        if (rc != 0) {
            (void)weft_err_set(err, rc, why.field, "%s%s%s %s", name,
                               why.field[0] != '\0' ? ": " : "", why.field, why.message);
        }
    }
    if (text.data != NULL) {
        explicit_bzero(text.data, text.len);
    }
    weft_buf_fini(&text);
    return rc;
}

int weft_keyring_load(struct weft_keyring **ret, const char *path, struct weft_err *err)
{
    int fd = weft_keyring_open(path, err);
    int rc;

    if (fd < 0) {
        return WEFT_ESYS;
    }
    rc = weft_keyring_load_fd(ret, fd, path, err);
    close(fd);
    return rc;
}

struct weft_keyring *weft_keyring_ref(struct weft_keyring *keys)
{
    atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
    return keys;
}

void weft_keyring_unref(struct weft_keyring *keys)
{
    if (keys == NULL || atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < keys->n; i++) {
        json_decref(keys->keys[i].jwk);
    }
    free(keys);
}

size_t weft_keyring_count(const struct weft_keyring *keys)
{
    return keys->n;
}

size_t weft_keyring_skipped(const struct weft_keyring *keys)
{
    return keys->skipped;
}
