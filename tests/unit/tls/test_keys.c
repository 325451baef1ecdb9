/* Keys of session tickets: what a file may hold, and how they are renewed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include <weft/tls/keys.h>

#define LINE 108

static void fill(uint8_t *block, unsigned seed)
{
    for (size_t i = 0; i < WEFT_TLS_KEY_BYTES; i++) {
        block[i] = (uint8_t)(seed * 37 + i * 11 + 200);
    }
}

/* One block as a line; returns its length, with what ends it. */
static size_t line_of(char *out, unsigned seed, const char *end)
{
    uint8_t block[WEFT_TLS_KEY_BYTES];

    fill(block, seed);
    assert_int_equal(EVP_EncodeBlock((unsigned char *)out, block, sizeof(block)), LINE);
    memcpy(out + LINE, end, strlen(end) + 1);
    return LINE + strlen(end);
}

static int parse(struct weft_tls_keys *keys, const void *bytes, size_t len, struct weft_err *err)
{
    memset(err, 0, sizeof(*err));
    return weft_tls_keys_parse(keys, weft_str(bytes, len), err);
}

static void raw_blocks(void **state)
{
    uint8_t file[(WEFT_TLS_KEYS_MAX + 1) * WEFT_TLS_KEY_BYTES];
    struct weft_tls_keys keys;
    struct weft_err err;

    (void)state;
    for (unsigned i = 0; i <= WEFT_TLS_KEYS_MAX; i++) {
        fill(file + (size_t)i * WEFT_TLS_KEY_BYTES, i);
    }
    for (size_t n = 1; n <= WEFT_TLS_KEYS_MAX; n++) {
        assert_int_equal(parse(&keys, file, n * WEFT_TLS_KEY_BYTES, &err), 0);
        assert_int_equal(keys.n, n);
        assert_memory_equal(keys.key, file, n * WEFT_TLS_KEY_BYTES);
    }
    /* Name, HMAC, AES, in this order. */
    assert_memory_equal(keys.key[1].name, file + 80, 16);
    assert_memory_equal(keys.key[1].hmac, file + 96, 32);
    assert_memory_equal(keys.key[1].aes, file + 128, 32);
    assert_int_equal(parse(&keys, file, sizeof(file), &err), WEFT_EINVAL);
    assert_int_equal(keys.n, 0);
    assert_non_null(strstr(err.message, "more than 16"));
    assert_int_equal(parse(&keys, file, 81, &err), WEFT_EINVAL);
    assert_int_equal(parse(&keys, file, 48, &err), WEFT_EINVAL);
    assert_int_equal(parse(&keys, file, 79, &err), WEFT_EINVAL);
}

static void lines(void **state)
{
    char file[(WEFT_TLS_KEYS_MAX + 1) * (LINE + 4)];
    uint8_t want[WEFT_TLS_KEY_BYTES];
    struct weft_tls_keys keys;
    struct weft_err err;
    size_t len = 0;

    (void)state;
    len += line_of(file + len, 1, "\n\n");
    len += line_of(file + len, 2, "\r\n");
    len += line_of(file + len, 3, "");
    assert_int_equal(parse(&keys, file, len, &err), 0);
    assert_int_equal(keys.n, 3);
    for (unsigned i = 0; i < 3; i++) {
        fill(want, i + 1);
        assert_memory_equal(&keys.key[i], want, sizeof(want));
    }
    len = 0;
    for (unsigned i = 0; i <= WEFT_TLS_KEYS_MAX; i++) {
        len += line_of(file + len, i, "\n");
    }
    assert_int_equal(parse(&keys, file, len, &err), WEFT_EINVAL);
    assert_int_equal(parse(&keys, file, len - LINE - 1, &err), 0);
    assert_int_equal(keys.n, WEFT_TLS_KEYS_MAX);
}

static void broken_lines(void **state)
{
    char good[2 * (LINE + 4)];
    char file[2 * (LINE + 4)];
    size_t len = line_of(good, 1, "\n");
    struct weft_tls_keys keys;
    struct weft_err err;

    (void)state;
    for (size_t at = 0; at < LINE; at++) {
        for (const char *c = "!=- \n\r\t"; *c != '\0'; c++) {
            memcpy(file, good, len);
            if (file[at] == *c) {
                continue;
            }
            file[at] = *c;
            assert_int_equal(parse(&keys, file, len, &err), WEFT_EINVAL);
            assert_int_equal(keys.n, 0);
        }
    }
    for (size_t cut = 1; cut < LINE; cut++) {
        assert_int_equal(parse(&keys, good, cut, &err), WEFT_EINVAL);
    }
    len += line_of(good + len, 2, "x\n");
    assert_int_equal(parse(&keys, good, len, &err), WEFT_EINVAL);
    assert_non_null(strstr(err.message, "line 2"));
    assert_int_equal(parse(&keys, "", 0, &err), WEFT_EINVAL);
    assert_int_equal(parse(&keys, "\n\r\n\n", 4, &err), WEFT_EINVAL);
}

static void renewed(void **state)
{
    struct weft_tls_keys keys = {0};
    struct weft_tls_key first, second;

    (void)state;
    weft_tls_keys_renew(&keys);
    assert_int_equal(keys.n, 1);
    first = keys.key[0];
    weft_tls_keys_renew(&keys);
    assert_int_equal(keys.n, 2);
    assert_memory_equal(&keys.key[1], &first, sizeof(first));
    assert_memory_not_equal(&keys.key[0], &first, sizeof(first));
    second = keys.key[0];
    weft_tls_keys_renew(&keys);
    assert_int_equal(keys.n, 2);
    assert_memory_equal(&keys.key[1], &second, sizeof(second));
    weft_tls_keys_wipe(&keys);
    assert_int_equal(keys.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_blocks),
        cmocka_unit_test(lines),
        cmocka_unit_test(broken_lines),
        cmocka_unit_test(renewed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
