/* An X-Forwarded-For, an Origin with its Host, a query: what is made of them is always what it says it is. */
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "../../pkg/http/worker_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void addresses(struct weft_str text)
{
    struct weft_str element;
    size_t commas = 0;
    size_t elements = 0;

    for (size_t i = 0; i < text.len; i++) {
        commas += text.p[i] == ',' ? 1 : 0;
    }
    while (weft_address_last(&text, &element)) {
        char out[WEFT_ADDRESS_MAX];
        char again[WEFT_ADDRESS_MAX];
        unsigned char bytes[16];

        elements++;
        if (weft_address_parse(out, element)) {
            WEFT_ASSERT(inet_pton(AF_INET, out, bytes) == 1 ||
                        inet_pton(AF_INET6, out, bytes) == 1);
            WEFT_ASSERT(weft_address_parse(again, weft_str(out, strlen(out))));
            WEFT_ASSERT(strcmp(out, again) == 0);
        } else {
            WEFT_ASSERT(out[0] == '\0');
        }
    }
    WEFT_ASSERT(elements == commas + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_str text = weft_str((const char *)data, size);
    struct weft_str host = text;
    struct weft_str origin;
    struct weft_buf b;

    if (size == 0) {
        return 0;
    }
    addresses(text);
    (void)weft_request_id_valid(text);
    origin = weft_str_before(&host, '\n');
    if (weft_origin_is_host(origin, host)) {
        WEFT_ASSERT(weft_str_starts(origin, "http://") || weft_str_starts(origin, "https://"));
        WEFT_ASSERT(host.len > 0);
    }
    weft_buf_init(&b, 4096);
    weft_access_query(&b, text, 300);
    WEFT_ASSERT(!b.toobig && b.len <= 300);
    weft_buf_fini(&b);
    return 0;
}
