/*
 * The scanner against jansson: whatever we accept it accepts, and the minified text is the same
 * value. What it refuses we refuse, but for numbers that it cannot hold and keys that it compares
 * in another way; what we refuse and it accepts (depth, lengths …) is our strictness.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <weft/base/assert.h>
#include <weft/wire/json.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every member and element is reached, and has the kind that jansson sees. */
static void walk(struct weft_json v, const json_t *j)
{
    static const enum weft_json_kind kinds[] = {
        [JSON_OBJECT] = WEFT_JSON_OBJECT, [JSON_ARRAY] = WEFT_JSON_ARRAY,
        [JSON_STRING] = WEFT_JSON_STRING, [JSON_INTEGER] = WEFT_JSON_NUMBER,
        [JSON_REAL] = WEFT_JSON_NUMBER,   [JSON_TRUE] = WEFT_JSON_BOOL,
        [JSON_FALSE] = WEFT_JSON_BOOL,    [JSON_NULL] = WEFT_JSON_NULL,
    };
    struct weft_json_iter it;
    struct weft_json value;
    struct weft_str key;
    size_t n = 0;

    WEFT_ASSERT(v.kind == kinds[json_typeof(j)]);
    if (json_is_string(j)) {
        char *text = malloc(v.raw.len);
        struct weft_str decoded = weft_json_text(v, text);

        WEFT_ASSERT(weft_str_eq(decoded, weft_str(json_string_value(j), json_string_length(j))));
        free(text);
    } else if (json_is_integer(j)) {
        int64_t number;

        WEFT_ASSERT(weft_json_int(v, &number) && number == json_integer_value(j));
    } else if (json_is_array(j)) {
        weft_json_begin(&it, v);
        while (weft_json_next(&it, &key, &value))
            walk(value, json_array_get(j, n++));
        WEFT_ASSERT(n == json_array_size(j));
    } else if (json_is_object(j)) {
        weft_json_begin(&it, v);
        while (weft_json_next(&it, &key, &value)) {
            /* The key as a string of its own: with the quotes around it. */
            struct weft_json quoted = weft_json_value(weft_str(key.p - 1, key.len + 2));
            char *text = malloc(quoted.raw.len + 1);
            struct weft_str decoded = weft_json_text(quoted, text);
            struct weft_json again;
            const json_t *member;

            text[decoded.len] = '\0';
            member = json_object_get(j, text);
            WEFT_ASSERT(member != NULL);
            WEFT_ASSERT(weft_json_get(v, text, &again) && again.raw.p == value.raw.p);
            walk(value, member);
            free(text);
            n++;
        }
        WEFT_ASSERT(n == json_object_size(j));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    struct weft_str text = {(const char *)data, size};
    struct weft_err err = {0, "", ""};
    struct weft_buf out;
    struct weft_buf twice;
    json_error_t error;
    json_t *theirs = json_loadb(text.p, text.len, flags, &error);

    weft_buf_init(&out, size + 1);
    weft_buf_init(&twice, size + 1);
    if (weft_json_minify(&out, text, WEFT_JSON_MAX_DEPTH, &err) == 0) {
        json_t *minified = json_loadb(out.data, out.len, flags, &error);

        if (theirs == NULL) {
            WEFT_ASSERT(json_error_code(&error) == json_error_numeric_overflow);
            WEFT_ASSERT(minified == NULL);
        } else {
            WEFT_ASSERT(json_equal(theirs, minified));
            walk(weft_json_value(weft_str(out.data, out.len)), theirs);
        }
        for (size_t i = 0; i < out.len; i++)
            WEFT_ASSERT((unsigned char)out.data[i] >= 0x20);

        WEFT_ASSERT(
            weft_json_minify(&twice, weft_str(out.data, out.len), WEFT_JSON_MAX_DEPTH, NULL) == 0);
        WEFT_ASSERT(weft_str_eq(weft_str(out.data, out.len), weft_str(twice.data, twice.len)));
        json_decref(minified);
    } else {
        WEFT_ASSERT(err.message[0] != '\0' && out.len == 0);
    }
    json_decref(theirs);
    weft_buf_fini(&out);
    weft_buf_fini(&twice);
    return 0;
}
