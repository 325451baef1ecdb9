/* `glob LF type`: the matcher against a table of all pairs of suffixes, which cannot be clever. */
#include <stdint.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/name.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* matches[j] of row i: the glob from i on matches the type from j on. Rows from the last up. */
static bool match_by_table(struct weft_str glob, struct weft_str type)
{
    bool matches[WEFT_NAME_MAX + 1] = {false};

    matches[type.len] = true;
    for (size_t i = glob.len; i-- > 0;) {
        bool star = glob.p[i] == '*';
        bool diagonal = matches[type.len];

        matches[type.len] = star && matches[type.len];
        for (size_t j = type.len; j-- > 0;) {
            bool below = matches[j];

            matches[j] = star ? below || matches[j + 1] : glob.p[i] == type.p[j] && diagonal;
            diagonal = below;
        }
    }
    return matches[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *lf = size > 0 ? memchr(data, '\n', size) : NULL;
    struct weft_str glob;
    struct weft_str type;

    if (lf == NULL)
        return 0;
    glob = weft_str((const char *)data, (size_t)(lf - data));
    type = weft_str((const char *)lf + 1, size - glob.len - 1);
    if (glob.len > WEFT_NAME_MAX || type.len > WEFT_NAME_MAX)
        return 0;
    WEFT_ASSERT(weft_type_glob_match(glob, type) == match_by_table(glob, type));
    if (weft_pattern_valid(glob) && weft_topic_valid(type))
        WEFT_ASSERT(weft_pattern_match(glob, type) == match_by_table(glob, type));
    return 0;
}
