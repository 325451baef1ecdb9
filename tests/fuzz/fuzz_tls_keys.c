/* Files with keys of session tickets: what is taken is 1 to 16 whole keys, and a refusal says why. */
#include <stdint.h>

#include <weft/base/assert.h>
#include <weft/tls/keys.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_err err = {0, "", ""};
    struct weft_tls_keys keys;

    if (weft_tls_keys_parse(&keys, weft_str((const char *)data, size), &err) == 0) {
        WEFT_ASSERT(keys.n >= 1 && keys.n <= WEFT_TLS_KEYS_MAX);
        WEFT_ASSERT(keys.n * WEFT_TLS_KEY_BYTES <= size);
    } else {
        WEFT_ASSERT(keys.n == 0 && err.code == WEFT_EINVAL && err.message[0] != '\0');
    }
    weft_tls_keys_wipe(&keys);
    return 0;
}
