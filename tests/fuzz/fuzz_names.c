/* Ids, since, topics, patterns and types: what is accepted is what the grammar says. */
#include <stdint.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/id.h>
#include <weft/wire/name.h>
#include <weft/wire/since.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool only(struct weft_str s, const char *others)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
            (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_str s = {(const char *)data, size};
    bool short_enough = size >= 1 && size <= WEFT_NAME_MAX;
    struct weft_since since;
    struct weft_id id;

    /* An id has exactly one spelling. */
    if (weft_id_parse(s, &id)) {
        char out[WEFT_ID_MAX_LEN];

        WEFT_ASSERT(weft_str_eq(s, weft_str(out, weft_id_print(out, id))));
    }
    if (weft_since_parse(s, &since) == 0) {
        if (since.kind == WEFT_SINCE_ID)
            WEFT_ASSERT(weft_id_parse(s, &id) && id.ms == since.id.ms && id.seq == since.id.seq);
        else
            WEFT_ASSERT(since.id.seq == 0 && since.id.ms < 1ULL << 53);
    }

    WEFT_ASSERT(weft_topic_valid(s) == (short_enough && only(s, "._:-")));
    WEFT_ASSERT(weft_type_glob_valid(s) == (short_enough && only(s, "._-*")));
    if (weft_topic_valid(s)) {
        WEFT_ASSERT(weft_pattern_valid(s) && !weft_pattern_is_wildcard(s));
        WEFT_ASSERT(weft_pattern_match(s, s));
    }
    if (weft_pattern_valid(s) && weft_pattern_is_wildcard(s))
        WEFT_ASSERT(size == 1 || weft_topic_valid(weft_str(s.p, s.len - 1)));
    if (weft_type_valid(s)) {
        WEFT_ASSERT(short_enough && only(s, "._-"));
        WEFT_ASSERT(s.p[0] != '.' && s.p[s.len - 1] != '.' && memmem(s.p, s.len, "..", 2) == NULL);
        WEFT_ASSERT(weft_type_glob_valid(s) && weft_type_glob_match(s, s));
    }
    return 0;
}
