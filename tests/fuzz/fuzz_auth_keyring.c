/* JWK sets: what is taken has usable keys within the bounds, and a private set can be made public. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weft/auth/keyring.h>
#include <weft/auth/sign.h>
#include <weft/base/assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_str json = weft_str((const char *)data, size);
    struct weft_err err = {.message = ""};
    struct weft_keyring *keys = NULL;
    struct weft_keyring *again = NULL;
    struct weft_buf out;
    size_t secret;
    size_t n;

    if (weft_keyring_parse(&keys, json, &err) != 0) {
        WEFT_ASSERT(keys == NULL && err.message[0] != '\0');
        return 0;
    }
    n = weft_keyring_count(keys);
    WEFT_ASSERT(n >= 1 && n + weft_keyring_skipped(keys) <= WEFT_KEYRING_KEYS_MAX);
    weft_buf_init(&out, 1 << 24);
    WEFT_ASSERT(weft_sign_public(&out, json, &secret, &err) == 0);
    WEFT_ASSERT(weft_keyring_parse(&again, weft_str(out.data, out.len), &err) == 0);
    WEFT_ASSERT(weft_keyring_count(again) == n);
    weft_buf_clear(&out);
    (void)weft_token_sign(&out, json, WEFT_STR(""), WEFT_STR(""), WEFT_STR("{}"), &err);
    weft_buf_fini(&out);
    weft_keyring_unref(again);
    weft_keyring_unref(keys);
    return 0;
}
