/*
 * Query strings and path segments: what is decoded is printable, and encoding it again gives a text
 * that decodes to the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/query.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(struct weft_str s)
{
    size_t cap = 3 * s.len + 1;
    char *encoded = malloc(cap);
    char *decoded = malloc(cap);
    size_t len = weft_percent_encode(encoded, cap, s);
    struct weft_str back;

    WEFT_ASSERT(len >= s.len && len <= 3 * s.len);
    WEFT_ASSERT(weft_segment_decode(weft_str(encoded, len), decoded, &back));
    WEFT_ASSERT(weft_str_eq(back, s));
    if (len > 0)
        WEFT_ASSERT(weft_percent_encode(encoded, len - 1, s) == 0);
    free(encoded);
    free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_str text = {(const char *)data, size};
    struct weft_err err = {0, "", ""};
    char *scratch = malloc(size + 1);
    struct weft_query q;
    struct weft_str segment;

    if (weft_query_parse(&q, text, scratch, &err) == 0) {
        size_t sum = 0;

        WEFT_ASSERT(q.n <= WEFT_QUERY_MAX_PARAMS);
        for (size_t i = 0; i < q.n; i++) {
            WEFT_ASSERT(q.params[i].key.len > 0);
            WEFT_ASSERT(weft_str_printable(q.params[i].key));
            WEFT_ASSERT(weft_str_printable(q.params[i].value));
            sum += q.params[i].key.len + q.params[i].value.len;
            check_round_trip(q.params[i].value);
        }
        WEFT_ASSERT(sum <= size);
    } else {
        WEFT_ASSERT(err.code == WEFT_EINVAL && err.field[0] != '\0' && err.message[0] != '\0');
    }
    if (weft_segment_decode(text, scratch, &segment))
        check_round_trip(segment);
    free(scratch);
    return 0;
}
