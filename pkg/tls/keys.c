#include <weft/tls/keys.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <weft/base/assert.h>

#define LINE_CHARS 108 /* of 80 bytes in base64 */
#define FILE_MAX   4096

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

_Static_assert(sizeof(struct weft_tls_key) == WEFT_TLS_KEY_BYTES, "a key is its block");
_Static_assert(WEFT_TLS_KEYS_MAX *(LINE_CHARS + 2) < FILE_MAX, "a file holds them all");

static int too_many(struct weft_tls_keys *keys, struct weft_err *err)
{
    weft_tls_keys_wipe(keys);
    return weft_err_set(err, WEFT_EINVAL, "", "more than %d keys", WEFT_TLS_KEYS_MAX);
}

static bool parse_line(struct weft_str line, struct weft_tls_key *ret_key)
{
    unsigned char block[LINE_CHARS / 4 * 3 + 1];
    /* OpenSSL takes blanks around it, and "=" anywhere. */
    bool good =
        line.len == LINE_CHARS && strspn(line.p, base64) == LINE_CHARS - 1 &&
        line.p[LINE_CHARS - 1] == '=' &&
        EVP_DecodeBlock(block, (const unsigned char *)line.p, LINE_CHARS) == LINE_CHARS / 4 * 3;

    if (good) {
        memcpy(ret_key, block, sizeof(*ret_key));
    }
    OPENSSL_cleanse(block, sizeof(block));
    return good;
}

static bool is_text(struct weft_str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.p[i];

        if (c != '\n' && c != '\r' && (c < 0x20 || c > 0x7e)) {
            return false;
        }
    }
    return true;
}

static int parse_lines(struct weft_tls_keys *keys, struct weft_str bytes, struct weft_err *err)
{
    char line[LINE_CHARS + 1]; /* ended by NUL */
    size_t number = 0;

    while (bytes.len > 0) {
        const char *lf = memchr(bytes.p, '\n', bytes.len);
        size_t len = lf == NULL ? bytes.len : (size_t)(lf - bytes.p);
        size_t skip = lf == NULL ? len : len + 1;
        size_t text = len > 0 && bytes.p[len - 1] == '\r' ? len - 1 : len;
        bool good;

        number++;
        if (text > 0 && keys->n == WEFT_TLS_KEYS_MAX) {
            return too_many(keys, err);
        }
        if (text > 0) {
            size_t n = text < LINE_CHARS ? text : LINE_CHARS;

            memcpy(line, bytes.p, n);
            line[n] = '\0';
            good = text == LINE_CHARS && parse_line(weft_str(line, text), &keys->key[keys->n]);
            OPENSSL_cleanse(line, sizeof(line));
            if (!good) {
                weft_tls_keys_wipe(keys);
                return weft_err_set(err, WEFT_EINVAL, "",
                                    "line %zu is not a key: 80 bytes in base64 are needed", number);
            }
            keys->n++;
        }
        bytes.p += skip;
        bytes.len -= skip;
    }
    return 0;
}

int weft_tls_keys_parse(struct weft_tls_keys *ret_keys, struct weft_str bytes, struct weft_err *err)
{
    int rc = 0;

    memset(ret_keys, 0, sizeof(*ret_keys));
    if (is_text(bytes)) {
        rc = parse_lines(ret_keys, bytes, err);
    } else if (bytes.len % WEFT_TLS_KEY_BYTES != 0) {
        rc = weft_err_set(err, WEFT_EINVAL, "",
                          "keys of 80 bytes are needed, but these are %zu bytes", bytes.len);
    } else if (bytes.len / WEFT_TLS_KEY_BYTES > WEFT_TLS_KEYS_MAX) {
        rc = too_many(ret_keys, err);
    } else {
        ret_keys->n = bytes.len / WEFT_TLS_KEY_BYTES;
        memcpy(ret_keys->key, bytes.p, bytes.len);
    }
    if (rc == 0 && ret_keys->n == 0) {
        rc = weft_err_set(err, WEFT_EINVAL, "", "there is no key in it");
    }
    return rc;
}

int weft_tls_keys_read(struct weft_tls_keys *ret_keys, const char *path, struct weft_err *err)
{
    char bytes[FILE_MAX];
    struct weft_err why = {0};
    FILE *in = fopen(path, "re");
    size_t n;
    int rc;

    memset(ret_keys, 0, sizeof(*ret_keys));
    if (in == NULL) {
        return weft_err_set(err, WEFT_ESYS, "", "%s: %s", path, strerror(errno));
    }
    errno = 0;
    n = fread(bytes, 1, sizeof(bytes), in);
    if (ferror(in)) {
        rc = weft_err_set(err, WEFT_ESYS, "", "%s: %s", path, strerror(errno));
    } else if (n == sizeof(bytes)) {
        rc = weft_err_set(err, WEFT_ETOOBIG, "", "%s: longer than %d bytes", path, FILE_MAX - 1);
    } else {
        rc = weft_tls_keys_parse(ret_keys, weft_str(bytes, n), &why);
        if (rc != 0) {
            rc = weft_err_set(err, rc, "", "%s: %s", path, why.message);
        }
    }
    (void)fclose(in);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return rc;
}

void weft_tls_keys_renew(struct weft_tls_keys *keys)
{
    unsigned char block[WEFT_TLS_KEY_BYTES];

    if (keys->n > 0) {
        keys->key[1] = keys->key[0];
    }
    keys->n = keys->n > 0 ? 2 : 1;
    WEFT_ASSERT(RAND_bytes(block, sizeof(block)) == 1);
    memcpy(&keys->key[0], block, sizeof(block));
    OPENSSL_cleanse(block, sizeof(block));
}

void weft_tls_keys_wipe(struct weft_tls_keys *keys)
{
    OPENSSL_cleanse(keys, sizeof(*keys));
}
